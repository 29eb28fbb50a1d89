/* One look at a server, for doctor.c: a session and what it showed. In the confined process; all of
 * it is the server's word. */
#ifndef FETCH_DOCTOR_LOOK_H
#define FETCH_DOCTOR_LOOK_H

#include "base/secret.h"
#include "fetch/session/login.h"

enum { LOOK_BODIES = 3, LOOK_BODY_MAX = 1 << 20 };

struct look_capabilities {
	bool answered, pipelining, uidl, top, stls, sasl, user;
	uint64_t login_delay; /* seconds; 0: none */
	bool expires_at_once; /* EXPIRE 0 */
	char implementation[80];
};

struct look_message {
	uint64_t size, id; /* size 0: not readable; id: hash, 0: none */
	bool listed;
};

struct look {
	struct look_capabilities before, after; /* the login */
	char greeting[120];
	struct tls_client_peer peer; /* with TLS */
	struct fetch_profile profile;
	int64_t connect_ms, greeting_ms, login_ms, listing_ms;

	struct look_message *messages;
	uint32_t count, capacity;
	bool stat_ok, list_ok, uidl_ok;
	uint32_t stat_count, list_count, uidl_count;
	uint64_t stat_octets, list_octets;
	uint32_t bad_sizes, bad_lines, useless_ids, long_ids, odd_ids;

	bool top_asked, top_ok;
	uint64_t top_lines; /* behind the headers, though 0 were asked for */
	uint32_t bodies, wrong_sizes;
	uint64_t read_ids[LOOK_BODIES];
};

void look_finish(struct look *look);
/* Up to the capabilities before the login, then QUIT. */
int look_outside(struct look *look, const struct fetch_account *account, struct err *err);
/*
 * Logs in, lists, asks for the headers of one message, and QUIT. pipelined: commands go out
 * together, with NOOPs between them; bodies: small messages are read.
 */
int look_inside(struct look *look, const struct fetch_account *account,
		const struct secret *password, bool pipelined, bool bodies, struct err *err);

#endif
