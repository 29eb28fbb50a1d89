/*
 * One connection of the load generator: carries out the script with libpop3's client machine,
 * times every step, checks every octet count. Driven by pop3load's loop; owns its socket and its
 * TLS state. What all connections share is in struct load, the program's root.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "hist.h"
#include "net.h"
#include "script.h"
#include "tls13.h"

#include <pop3/client.h>

#define OUT_SIZE 4096
#define IN_SIZE (256 * 1024)
#define BODY_SIZE (64 * 1024)

enum session_state { SESSION_NONE, SESSION_CONNECT, SESSION_HANDSHAKE, SESSION_OPEN };

struct load {
	struct sockaddr_in address;
	struct tls13_client *tls; /* NULL: plain */
	struct script script;
	const char *users; /* a user's name without its six digits */
	const char *password;
	unsigned first, source, sources, window, laps, max_messages;
	int epoll;
	bool late;     /* parse a listing only when all of it is there */
	bool quickack; /* acknowledge at once, for servers that wait for it (Nagle) */
	uint64_t deadline;

	unsigned at_gate, starting, alive;
	unsigned *vacant; /* a ring of the slots without a session */
	unsigned slots, vacant_first, vacant_count;
	uint64_t sessions, messages, octets, errors, dropped, last_progress;
	char why[256]; /* the first error */
	struct hist greeting, session, step[STEP_COUNT];
	char in[IN_SIZE];
	char body[BODY_SIZE];
};

struct session {
	struct load *load;
	struct tls13 *tls;
	int fd;
	unsigned slot, step, phase;
	enum session_state state;
	bool at_gate, greeted, ended, deaf, listed;
	uint32_t sizes_cap;
	uint32_t mask, count, next_send, next_done, laps_done;
	uint32_t *sizes;
	uint64_t stat_octets, sum, announced;
	uint64_t began, step_began, arrived;
	char *aside; /* a listing on its way, with --late */
	size_t aside_size, aside_cap;
	uint64_t *sent_at;
	char *out;
	uint32_t out_size, out_done;
	struct pop3_client client;
};

void session_init(struct session *session, struct load *load, unsigned slot);
/* began: when this session should have started, for its latency. */
void session_start(struct session *session, uint64_t began);
void session_io(struct session *session, uint32_t events);
/* Goes on from a gate. */
void session_release(struct session *session);
/* Takes one octet off the socket, for STEP_DRIP; nobody looks at it. */
void session_drip(struct session *session);
/* Closes whatever is open, counts nothing. */
void session_close(struct session *session);
void session_finish(struct session *session);

#endif
