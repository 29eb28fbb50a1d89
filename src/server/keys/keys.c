/*
 * See keys.h. Requests wait in a queue a front; a turn of the loop signs one of each, so that a
 * front with many requests delays the others by one signature, not by its queue. A front may have
 * IPC_SIGN_CREDITS requests unanswered; one more, or a request for something that no handshake
 * needs, breaks its channel, and the monitor ends it.
 */
#include "server/keys/keys.h"

#include "base/log.h"
#include "server/certificates.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
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
	struct packed packed;
	struct tls_keys *tls;
	struct loop_later round;
};

/* ---- signing ---- */

static void answer(struct keys *keys, struct peer *peer, const struct request *request)
{
	unsigned char signature[TLS_SIGNATURE_MAX];
	struct ipc_signed message = {.session = request->session, .ticket = request->ticket};
	struct asker *asker = peer->data;
	pop3_span tail = {(const char *)signature, 0};
	unsigned size;

	switch (tls_keys_sign(keys->tls, &request->content, signature, &size)) {
	case TLS_KEYS_SIGNED:
		tail.size = size;
		asker->signed_count++;
		break;
	case TLS_KEYS_FAILED:
		asker->failed_count++;
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

static void drain(struct child *child, uint64_t ms)
{
	(void)ms;
	child_drained(child, NULL, 0);
}

static struct keys *root_struct(struct child *child)
{
	struct keys *keys = child->state;

	if (keys)
		return keys;
	keys = calloc(1, sizeof(*keys));
	if (!keys)
		abort();
	keys->child = child;
	keys->packed = (struct packed){.fds = {-1, -1}};
	keys->round.run = sign_round;
	keys->round.context = keys;
	child->state = keys;
	return keys;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct packed *packed = &root_struct(child)->packed;
	enum packed_kind kind = type == IPC_KEYS ? PACKED_KEYS : PACKED_CERTIFICATES;

	if ((type != IPC_KEYS && type != IPC_CERTIFICATES) || packed->fds[kind] >= 0)
		return;
	packed->fds[kind] = fds[0];
	packed->sizes[kind] = ((const struct ipc_certificates *)message)->size;
	fds[0] = -1;
}

static int start(struct child *child, struct err *err)
{
	struct keys *keys = root_struct(child);
	const struct sched_param any = {.sched_priority = 0};
	struct sandbox sandbox;

	if (certificates_unpack_keys(&keys->packed, child->config, &keys->tls, err) < 0)
		return -1;
	if (!keys->tls)
		return err_set(err, EX_SOFTWARE, "the site has no certificates");
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++)
		close(keys->packed.fds[kind]);
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
	.drain = drain,
};
