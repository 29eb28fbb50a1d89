/*
 * TLS between the runs of --watch, for its parent: authorities that are read once for all runs, and
 * the session of each account, which its next run resumes. A session is a secret: whoever has it
 * can pass for the server without a certificate. So no other account's run inherits it, it is used
 * once, and after some hours the server is verified anew, whatever the runs say.
 */
#ifndef FETCH_WATCH_TLS_H
#define FETCH_WATCH_TLS_H

#include "fetch/account/account.h"

struct watch_tls;

/* Of an account; zero: none yet. */
struct watch_session {
	struct tls_client_memory *memory; /* in pages that no child inherits; NULL: none yet */
	unsigned trust;                   /* the number of the authorities it was made with */
	int64_t verified;                 /* ms: when the last run without one started */
	bool awaited;                     /* a run is at work whose session is wanted */
};

/* NULL: no memory. */
struct watch_tls *watch_tls_create(void);
void watch_tls_destroy(struct watch_tls *tls);

/* Before a run of the account: fills ret, for the run alone; its session is taken from the account.
 */
void watch_tls_lend(struct watch_tls *tls, struct watch_session *session,
		    const struct fetch_account *account, int64_t now,
		    struct tls_client_memory *ret);
/* Behind the run: from is a pipe that holds nothing but the session that it wrote. What it is, is
 * for the next run to find out. */
void watch_session_take(struct watch_session *session, int from);
/* The settings may be others now. */
void watch_session_drop(struct watch_session *session);

#endif
