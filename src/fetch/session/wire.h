/*
 * One connection to a server: resolve, connect (IPv6 and IPv4 side by side), TLS, octets out and
 * in with deadlines. Always reads while it writes, so a server that stops reading cannot deadlock
 * with us. Every wait ends: at the deadline of the state, of the run, or when the rate falls below
 * the minimum.
 */
#ifndef FETCH_SESSION_WIRE_H
#define FETCH_SESSION_WIRE_H

#include "base/err.h"
#include "fetch/account/account.h"
#include "sys/tls_client.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	WIRE_IN_SIZE = 32768,
	WIRE_OUT_SIZE = 32768,
};

struct wire {
	int fd;
	struct tls_client *tls;
	struct tls_client_memory *memory; /* of the account, for --watch; NULL: none */
	char *in;                         /* WIRE_IN_SIZE */
	size_t in_at, in_end;
	char *out; /* WIRE_OUT_SIZE */
	size_t out_at, out_end;
	bool tls_wants_write;
	uint64_t octets_in, octets_out;
	uint64_t minimum_rate;
	int64_t run_deadline; /* ms, monotonic; 0: none */
	int64_t rate_window;  /* ms over which the rate is measured */
	int64_t rate_since;   /* start of that window; 0: no long reply is under way */
	uint64_t rate_octets;
};

void wire_init(struct wire *wire);
/* Closes and frees; wire_init'ed or opened. */
void wire_finish(struct wire *wire);

/* Resolves and connects within the account's connect_seconds, through its proxy. */
int wire_connect(struct wire *wire, const struct fetch_account *account, struct err *err);
int wire_start_tls(struct wire *wire, const struct tls_client_settings *settings, int64_t ms,
		   struct err *err);

/* Room to render commands into, and their size afterwards. They go out with the next wait. */
char *wire_room(struct wire *wire, size_t *ret_cap);
void wire_queued(struct wire *wire, size_t n);
/* Octets received and not taken yet; wire_take removes from their front. */
pop3_span wire_input(const struct wire *wire);
void wire_take(struct wire *wire, size_t n);

/*
 * Sends what is queued and waits until something is received, at most ms. 1: there is new input;
 * 0: the server closed the connection; -1: error, deadline, too slow. Call when wire_input is
 * empty.
 */
int wire_wait(struct wire *wire, int64_t ms, struct err *err);

#endif
