/*
 * See keys.h. Requests wait in a queue a front; a turn of the loop signs one of each, so that a
 * front with many requests delays the others by one signature, not by its queue. A front may have
 * IPC_SIGN_CREDITS requests unanswered; one more, or a request for something that no handshake
 * needs, breaks its channel, and the monitor ends it.
 */
#include "server/keys/keys.h"

#include "base/log.h"
#include "server/certificates.h"
#include "server/counters.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct request {
	struct request *next;
	uint64_t session, ticket;
	struct tls_to_sign content;
};

/* A front's requests, in order. */
struct asker {
	struct request *first, **end;
	unsigned waiting;
	uint64_t signed_count, failed_count;
};

struct keys {
	struct child *child;
	struct packed packed;         /* as it comes */
	struct ipc_certificates last; /* of its messages */
	/* Handshakes that began before a change end with the keys that they began with. NULL: there
	 * was none of that number. */
	struct tls_keys *sets[IPC_KEY_SETS];
	bool started;
	struct loop_later round;
};

/* ---- signing ---- */

static void answer(struct keys *keys, struct peer *peer, const struct request *request)
{
	unsigned char signature[TLS_SIGNATURE_MAX];
	struct ipc_signed message = {.session = request->session, .ticket = request->ticket};
	struct asker *asker = peer->data;
	pop3_span tail = {(const char *)signature, 0};
	struct tls_to_sign content = request->content;
	struct tls_keys *set = keys->sets[content.key / IPC_KEYS_MAX];
	unsigned size;

	content.key %= IPC_KEYS_MAX;
	/* a set that this process, started later, does not have: no fault of the front */
	switch (set ? tls_keys_sign(set, &content, signature, &size) : TLS_KEYS_FAILED) {
	case TLS_KEYS_SIGNED:
		tail.size = size;
		asker->signed_count++;
		counters_add(COUNTER_SIGNATURES + RESULT_OK, 1);
		break;
	case TLS_KEYS_FAILED:
		asker->failed_count++;
		counters_add(COUNTER_SIGNATURES + RESULT_FAILED, 1);
		break;
	case TLS_KEYS_MISUSED:
		log_warning("%s %u asked for a signature that no handshake needs: it is ended",
			    ipc_role_name(peer->role), peer->index);
		peer_break(peer, "a signature that no handshake needs");
		return;
	}
	peer_send_parts(peer, IPC_SIGNED, &message, &tail, 1);
}

static void drop_first(struct asker *asker)
{
	struct request *request = asker->first;

	asker->first = request->next;
	if (!asker->first)
		asker->end = &asker->first;
	asker->waiting--;
	free(request);
}

/* One request of each front. A broken channel goes at the end of a turn, never in here. */
static void sign_round(struct loop_later *later)
{
	struct keys *keys = later->context;
	bool more = false;

	for (struct peer *peer = keys->child->peers; peer; peer = peer->next) {
		struct asker *asker = peer->data;

		if (!asker || !asker->first || peer->chan.broken)
			continue;
		answer(keys, peer, asker->first);
		drop_first(asker);
		more |= asker->first != NULL;
	}
	if (more)
		loop_later_add(keys->child->loop, &keys->round);
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *data, int *fds)
{
	const struct ipc_sign *message = data;
	struct keys *keys = peer->child->state;
	struct asker *asker = peer->data;
	struct request *request;

	(void)fds;
	if (type != IPC_SIGN || !asker)
		return;
	request = asker->waiting < IPC_SIGN_CREDITS ? malloc(sizeof(*request)) : NULL;
	if (!request) {
		peer_break(peer, "more unanswered requests than it may have");
		return;
	}
	*request = (struct request){.session = message->session,
				    .ticket = message->ticket,
				    .content = {.key = message->key,
						.scheme = message->scheme,
						.size = message->head.tail}};
	memcpy(request->content.content, ipc_tail(message), message->head.tail);
	*asker->end = request;
	asker->end = &request->next;
	asker->waiting++;
	loop_later_add(peer->child->loop, &keys->round);
}

/* ---- the process ---- */

static void peer_up(struct peer *peer)
{
	struct asker *asker = calloc(1, sizeof(*asker));

	if (!asker) {
		peer_break(peer, "out of memory");
		return;
	}
	asker->end = &asker->first;
	peer->data = asker;
}

static void peer_gone(struct peer *peer)
{
	struct asker *asker = peer->data;

	if (asker) {
		log_debug("%s %u: %" PRIu64 " signatures, %" PRIu64 " refused",
			  ipc_role_name(peer->role), peer->index, asker->signed_count,
			  asker->failed_count);
		while (asker->first)
			drop_first(asker);
		free(asker);
	}
	child_drained(peer->child, peer, 0);
}

static struct keys *root_struct(struct child *child)
{
	bool is_new;
	struct keys *keys = child_state(child, sizeof(*keys), &is_new);

	if (!is_new)
		return keys;
	keys->child = child;
	keys->packed = (struct packed){.fds = {-1, -1}};
	keys->round.run = sign_round;
	keys->round.context = keys;
	return keys;
}

static void close_packed(struct packed *packed)
{
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++) {
		close(packed->fds[kind]);
		packed->fds[kind] = -1;
	}
}

/* Files have changed. What is good takes the place of the set four changes ago. */
static void judge(struct keys *keys)
{
	const struct config *config = keys->child->config;
	struct tls_keys **set = &keys->sets[keys->last.number % IPC_KEY_SETS], *fresh = NULL;
	struct ipc_judged message = {.ask = keys->last.ask};
	struct err err = {.text = ""};
	pop3_span why;

	message.good = certificates_judge(&keys->packed, config, (int64_t)time(NULL), &err) == 0 &&
		       certificates_unpack_keys(&keys->packed, config, &fresh, &err) == 0;
	close_packed(&keys->packed);
	if (message.good) {
		tls_keys_destroy(*set);
		*set = fresh;
	}
	why = (pop3_span){err.text, message.good ? 0 : strnlen(err.text, IPC_TEXT_MAX)};
	ipc_send_texts(&keys->child->monitor, IPC_JUDGED, &message, &why, 1);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct keys *keys = root_struct(child);
	struct packed *packed = &keys->packed;
	enum packed_kind kind = type == IPC_KEYS ? PACKED_KEYS : PACKED_CERTIFICATES;

	if ((type != IPC_KEYS && type != IPC_CERTIFICATES) || packed->fds[kind] >= 0)
		return;
	packed->fds[kind] = fds[0];
	keys->last = *(const struct ipc_certificates *)message;
	packed->sizes[kind] = keys->last.size;
	fds[0] = -1;
	if (keys->started && packed->fds[PACKED_CERTIFICATES] >= 0 && packed->fds[PACKED_KEYS] >= 0)
		judge(keys);
}

static int start(struct child *child, struct err *err)
{
	struct keys *keys = root_struct(child);
	struct tls_keys **set = &keys->sets[keys->last.number % IPC_KEY_SETS];
	const struct sched_param any = {.sched_priority = 0};
	struct sandbox sandbox;

	if (certificates_unpack_keys(&keys->packed, child->config, set, err) < 0)
		return -1;
	if (!*set)
		return err_set(err, EX_SOFTWARE, "the site has no certificates");
	close_packed(&keys->packed);
	keys->started = true;
	/* a front that shares the processor goes on until it has nothing to do, and requests come
	 * together: fewer switches; a front that waits loses nothing. A kernel without it: as well
	 */
	sched_setscheduler(0, SCHED_BATCH, &any);
	child_sandbox(child, SANDBOX_KEYS, &sandbox);
	return sandbox_enter(&sandbox, err);
}

const struct child_role keys_role = {
	.role = ROLE_KEYS,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
};
