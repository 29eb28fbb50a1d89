/* See who.h. On auth's loop. control is believed about the uid of a person, and about nothing
 * else. */
#include "server/auth/who.h"

#include "base/text.h"
#include "server/auth/session.h"
#include "server/lines.h"
#include "server/record.h"
#include "server/target.h"

#include <stdlib.h>
#include <string.h>

enum {
	SESSIONS_MAX = 256, /* that are looked at in a turn */
	BUCKETS_MAX = 2048,
	TAIL_ENOUGH = IPC_BATCH_MAX / 2, /* a page ends when it has so many octets */
	TRAFFIC_MS = 1000,               /* a front has for its answer */
	WAITING_MAX = 64,                /* pages that wait for one; others go without */
};

struct scan {
	const struct ipc_who *ask;
	struct target target;
	uint32_t looked_at;
	bool full; /* a session found no room in the page */
	struct ipc_who_page page;
	uint32_t size;
	_Alignas(8) char tail[IPC_BATCH_MAX];
};

static pop3_span name_of(const struct auth_session *session)
{
	return session->user ? limits_user_name(session->user) : (pop3_span){"", 0};
}

static bool is_meant(const struct target *target, const struct auth_session *session)
{
	pop3_span name = name_of(session);

	if (target->all)
		return true;
	if (target->is_session && target->front == session->front->instance &&
	    target->session == session->node.key)
		return true;
	if (target->is_network && network_has_family(&target->network, session->ip))
		return true;
	return target->name.size && span_equal(target->name, name);
}

static enum ipc_who_state state_of(const struct auth_session *session)
{
	if (session->granted)
		return WHO_MAIL;
	return session->login ? WHO_LOGIN : WHO_CONNECTED;
}

/* False: the page is full. */
static bool add_row(struct scan *scan, const struct auth_session *session)
{
	pop3_span name = name_of(session);
	uint32_t room = ipc_who_name_room((uint32_t)name.size);
	struct ipc_who_row *row = (struct ipc_who_row *)(void *)(scan->tail + scan->size);

	if (sizeof(scan->tail) - scan->size < sizeof(*row) + room)
		return false;
	*row = (struct ipc_who_row){.front = session->front->instance,
				    .session = session->node.key,
				    .since = session->since,
				    .name_size = (uint32_t)name.size,
				    .tls = session->tls,
				    .state = (uint8_t)state_of(session)};
	memcpy(row->address, session->ip, sizeof(row->address));
	(void)span_copy(span_of(auth_mechanism_name(session)), row->mechanism,
			sizeof(row->mechanism));
	memset(row + 1, 0, room);
	memcpy(row + 1, name.data, name.size);
	scan->size += (uint32_t)sizeof(*row) + room;
	scan->page.count++;
	return true;
}

static void kick(const struct auth_session *session, uint32_t uid)
{
	struct ipc_session message = {.session = session->node.key};
	struct record record;

	record_begin(&record, RECORD_KICKED, session->ip, session->front->instance,
		     session->node.key);
	record_number(&record, RECORD_KEY_BY_UID, uid);
	record_text(&record, RECORD_KEY_USER, name_of(session));
	record_write(&record);
	peer_send(session->front, IPC_KICK, &message);
}

static void look_at(struct table_node *node, void *context)
{
	struct scan *scan = context;
	const struct auth_session *session = CONTAINER(node, struct auth_session, node);

	scan->looked_at++;
	if (!is_meant(&scan->target, session))
		return;
	if (!add_row(scan, session))
		scan->full = true;
	else if (scan->ask->act == WHO_KICK)
		kick(session, scan->ask->uid);
}

/* The POP3 front with the lowest instance from that one on. NULL: none. */
static struct peer *front_from(const struct child *child, uint64_t instance)
{
	struct peer *found = NULL;

	for (struct peer *peer = child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_FRONT && peer->data && peer->instance >= instance &&
		    (!found || peer->instance < found->instance))
			found = peer;
	return found;
}

/* A page has sessions of one front. */
static void fill_page(struct scan *scan, const struct child *child)
{
	struct peer *front = front_from(child, scan->ask->front);
	uint64_t cursor = front && front->instance == scan->ask->front ? scan->ask->cursor : 0;
	unsigned buckets = 0;

	while (front && !scan->full && scan->looked_at < SESSIONS_MAX && buckets++ < BUCKETS_MAX &&
	       scan->size < TAIL_ENOUGH) {
		cursor = table_scan(front->data, cursor, look_at, scan);
		if (cursor)
			continue;
		front = front_from(child, front->instance + 1);
		if (scan->page.count)
			break;
	}
	scan->page.front = front ? front->instance : 0;
	scan->page.cursor = cursor;
	scan->page.status = scan->full ? WHO_FAILED : front ? WHO_MORE : WHO_END;
}

/* ---- what they have sent ---- */

/* A page that waits for its front. */
struct waiting {
	struct table_node node;
	struct loop_deadline deadline;
	struct whos *whos;
	struct child *child;
	uint64_t front, control; /* instances */
	struct ipc_who_page page;
	uint32_t size;
	_Alignas(8) char tail[];
};

static struct ipc_who_row *first_row(char *tail)
{
	return (struct ipc_who_row *)(void *)tail;
}

static struct ipc_who_row *next_row(struct ipc_who_row *row)
{
	return (struct ipc_who_row *)(void *)((char *)(row + 1) +
					      ipc_who_name_room(row->name_size));
}

static void send_page(struct peer *control, struct ipc_who_page *page, char *tail, uint32_t size)
{
	pop3_span part = {tail, size};

	peer_send_parts(control, IPC_WHO_PAGE, page, &part, 1);
}

/* The page goes as it is now. */
static void finish(struct waiting *waiting)
{
	struct peer *control = child_peer(waiting->child, ROLE_CONTROL, waiting->control);

	table_remove(&waiting->whos->waiting, &waiting->node);
	loop_deadline_cancel(&waiting->deadline);
	if (control)
		send_page(control, &waiting->page, waiting->tail, waiting->size);
	free(waiting);
}

static void too_late(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	finish(CONTAINER(deadline, struct waiting, deadline));
}

void whos_init(struct whos *whos, struct loop *loop)
{
	table_init(&whos->waiting);
	loop_deadlines_init(&whos->deadlines, loop, TRAFFIC_MS, too_late, whos);
}

/* Numbers of the sessions that have a maildrop, in the order of the page. */
static uint32_t sessions_with_mail(struct scan *scan, uint64_t numbers[IPC_TRAFFIC_MAX])
{
	struct ipc_who_row *row = first_row(scan->tail);
	uint32_t count = 0;

	for (uint32_t i = 0; i < scan->page.count; i++, row = next_row(row))
		if (row->state == WHO_MAIL && count < IPC_TRAFFIC_MAX)
			numbers[count++] = row->session;
	return count;
}

/* Asks the front of the page's sessions. False: there is nothing to ask, or no room to wait. */
static bool ask_front(struct whos *whos, struct peer *control, struct scan *scan)
{
	uint64_t numbers[IPC_TRAFFIC_MAX];
	struct ipc_traffic question = {.count = sessions_with_mail(scan, numbers)};
	struct peer *front = scan->page.count ? child_peer(control->child, ROLE_FRONT,
							   first_row(scan->tail)->front)
					      : NULL;
	pop3_span part = {(const char *)numbers, question.count * sizeof(numbers[0])};
	struct waiting *waiting;

	if (!front || !question.count || whos->waiting.count >= WAITING_MAX)
		return false;
	waiting = malloc(sizeof(*waiting) + scan->size);
	if (!waiting)
		return false;
	*waiting = (struct waiting){.whos = whos,
				    .child = control->child,
				    .front = front->instance,
				    .control = control->instance,
				    .page = scan->page,
				    .size = scan->size};
	memcpy(waiting->tail, scan->tail, scan->size);
	question.number = ++whos->last_number;
	table_add(&whos->waiting, &waiting->node, question.number);
	loop_deadline_init(&waiting->deadline);
	loop_deadline_renew(&whos->deadlines, &waiting->deadline);
	peer_send_parts(front, IPC_TRAFFIC, &question, &part, 1);
	return true;
}

/* Sound fronts answer in the order of the question: no search is needed. */
static void enter(struct waiting *waiting, const struct ipc_traffic *message)
{
	const struct ipc_traffic_row *from =
		(const struct ipc_traffic_row *)(const void *)ipc_tail(message);
	struct ipc_who_row *row = first_row(waiting->tail);
	uint32_t at = 0;

	for (uint32_t i = 0; i < waiting->page.count && at < message->count;
	     i++, row = next_row(row)) {
		if (row->session != from[at].session)
			continue;
		row->messages = from[at].messages;
		row->octets = from[at++].octets;
		row->counted = 1;
	}
}

void whos_answer(struct whos *whos, const struct peer *front, const struct ipc_traffic *message)
{
	struct table_node *node = table_find(&whos->waiting, message->number);
	struct waiting *waiting = node ? CONTAINER(node, struct waiting, node) : NULL;

	if (!waiting || waiting->front != front->instance)
		return;
	enter(waiting, message);
	finish(waiting);
}

static void end_waiting(struct table_node *node, void *context)
{
	struct waiting *waiting = CONTAINER(node, struct waiting, node);
	const struct peer *gone = context;

	if (waiting->control == gone->instance)
		waiting->control = 0; /* nobody is there to be answered */
	if (waiting->front == gone->instance || !waiting->control)
		finish(waiting);
}

void whos_gone(struct whos *whos, const struct peer *peer)
{
	struct peer gone = {.instance = peer->instance};

	table_each(&whos->waiting, end_waiting, &gone);
}

/* ---- other machines ---- */

/* Sessions are numbered by each machine for itself: the id of one is nobody's elsewhere. */
static void tell_nodes(struct auth *auth, const struct ipc_who *ask)
{
	struct target target;

	target_read(ipc_text(ask, 0), &target);
	if (ask->act == WHO_KICK && !ask->front && !ask->cursor && !target.all &&
	    !target.is_session)
		nodes_tell(auth, NODES_KICK, ask->uid, ipc_text(ask, 0));
}

struct told {
	struct loop_later later;
	struct child *child;
	struct ipc_who ask;
	char target[IPC_TEXT_MAX];
	size_t size;
};

static void kick_some(struct loop_later *later)
{
	struct told *told = CONTAINER(later, struct told, later);
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		abort();
	scan->ask = &told->ask;
	target_read((pop3_span){told->target, told->size}, &scan->target);
	fill_page(scan, told->child);
	told->ask.front = scan->page.front;
	told->ask.cursor = scan->page.cursor;
	free(scan);
	if (told->ask.front)
		loop_later_add_slow(told->child->loop, later);
	else
		free(told);
}

void auth_kick_told(struct auth *auth, uint32_t uid, pop3_span target)
{
	struct told *told = calloc(1, sizeof(*told));

	if (!told)
		abort();
	told->later.run = kick_some;
	told->child = auth->child;
	told->ask = (struct ipc_who){.uid = uid, .act = WHO_KICK};
	told->size = target.size;
	memcpy(told->target, target.data, target.size);
	loop_later_add_slow(auth->child->loop, &told->later);
}

void auth_who(struct peer *control, const struct ipc_who *ask)
{
	struct auth *auth = control->child->state;
	struct ipc_who_page refusal = {.number = ask->number, .status = WHO_REFUSED};
	struct scan *scan;

	if (!lines_obeyed(&auth->control, ask->uid, ask->gid)) {
		peer_send(control, IPC_WHO_PAGE, &refusal);
		return;
	}
	scan = calloc(1, sizeof(*scan));
	if (!scan) {
		refusal.status = WHO_FAILED;
		peer_send(control, IPC_WHO_PAGE, &refusal);
		return;
	}
	tell_nodes(auth, ask);
	scan->ask = ask;
	scan->page.number = ask->number;
	target_read(ipc_text(ask, 0), &scan->target);
	fill_page(scan, control->child);
	if (ask->act == WHO_KICK || !ask_front(&auth->whos, control, scan))
		send_page(control, &scan->page, scan->tail, scan->size);
	free(scan);
}
