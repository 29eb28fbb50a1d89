/* See mailbox.h. */
#include "server/front/mailbox.h"

#include "base/text.h"
#include "server/counters.h"
#include "server/front/join.h"
#include "server/front/session.h"
#include "server/front/words.h"
#include "server/record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	ENTRIES = 64,   /* of a listing, read at once */
	LINE_ROOM = 96, /* a line of LIST or UIDL */
};

/* ---- parts ---- */

/* Number: of the mailbox. *ret_before: messages in front of the part. */
static struct part *part_of(struct mailbox *mailbox, uint32_t number, uint32_t *ret_before)
{
	struct part *part = mailbox->parts, *last = part + mailbox->part_count - 1;

	*ret_before = 0;
	while (part < last && number - *ret_before > part->count)
		*ret_before += part++->count;
	return part;
}

static uint32_t before(struct mailbox *mailbox, const struct part *part)
{
	uint32_t count = 0;

	for (const struct part *p = mailbox->parts; p < part; p++)
		count += p->count;
	return count;
}

/* The session's part that this keeper has opened; NULL: none. */
static struct part *part_at(const struct session *session, const struct link *keeper)
{
	const struct mailbox *mailbox = session ? session->mailbox : NULL;

	for (unsigned i = 0; mailbox && i < mailbox->part_count; i++)
		if (link_of(&mailbox->parts[i].keeper) == keeper)
			return &mailbox->parts[i];
	return session ? join_part(session, keeper) : NULL;
}

/* As part_entries, with a number of the mailbox. */
static int read_entries(struct session *session, uint32_t first, bool with_ids,
			struct index_entry *ret, uint32_t n)
{
	uint32_t in_front;
	struct part *part = part_of(session->mailbox, first, &in_front);

	return part_entries(part, first - in_front, with_ids, ret, n);
}

static bool read_entry(struct session *session, uint32_t number, bool with_id,
		       struct index_entry *ret)
{
	return read_entries(session, number, with_id, ret, 1) == 1;
}

/* An idle session keeps no buffers. */
static void trim(struct mailbox *mailbox)
{
	for (unsigned i = 0; i < mailbox->part_count; i++)
		part_trim(&mailbox->parts[i]);
}

/* ---- opened, closed ---- */

static char *copy_of(pop3_span text)
{
	char *copy = malloc(text.size + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return copy;
}

enum { TRACED_MESSAGES = 200 };

/* The dialogue of a session that is followed has its mail in front. */
static void trace_opened(struct session *session)
{
	uint32_t count = session->mailbox->count;
	struct index_entry entry;

	trace_named(session, span_of(session->ending.user), true);
	for (uint32_t n = 1; session->trace && n <= count && n <= TRACED_MESSAGES; n++) {
		if (!read_entry(session, n, true, &entry))
			return;
		trace_message(session, entry.octets, entry.unique_id);
	}
	if (session->trace)
		trim(session->mailbox);
}

/* parts: taken; NULL: there is one, which is not open yet. */
static struct mailbox *create(struct part *parts)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox) + !parts * sizeof(mailbox->whole[0]));

	if (!mailbox)
		return NULL;
	mailbox->part_count = parts ? JOIN_PARTS : 1;
	mailbox->now = mailbox->parts = parts ? parts : mailbox->whole;
	return mailbox;
}

static void destroy(struct mailbox *mailbox)
{
	for (unsigned i = 0; i < mailbox->part_count; i++)
		part_close(&mailbox->parts[i]);
	if (mailbox->parts != mailbox->whole)
		free(mailbox->parts);
	free(mailbox->marks);
	free(mailbox);
}

/* All parts are open, and the login is answered: takes the mailbox. */
static void enter(struct session *session, struct mailbox *mailbox,
		  const struct ipc_opened *message)
{
	uint64_t octets = 0;

	session->ending.user = copy_of(ipc_text(message, 0));
	if (!session->ending.user) {
		destroy(mailbox);
		conn_abort(&session->client.conn);
		return;
	}
	counters_add(COUNTER_SESSIONS_NOW + (size_t)session->service, 1);
	for (unsigned i = 0; i < mailbox->part_count; i++) {
		mailbox->count += mailbox->parts[i].count;
		octets += mailbox->parts[i].octets;
	}
	free(pop3_server_take_back_name(&session->pop3));
	session->mailbox = mailbox;
	session->stage = STAGE_MAIL;
	frame_known(&session->front->frame, &session->client);
	session->ending.left = mailbox->count;
	trace_opened(session);
	pop3_server_reply_logged_in(&session->pop3, mailbox->count, octets);
	if (session->front->strict.login_delay_user)
		pop3_server_user_delay(&session->pop3, (int32_t)message->login_delay);
	conn_wake(&session->client.conn);
}

static void say_same_ids(const struct session *session, pop3_span user)
{
	struct record record;

	record_begin(&record, RECORD_MAILDROP_FAILED, session->address,
		     session->front->frame.child->instance, session->client.node.key);
	record_text(&record, RECORD_KEY_USER, user);
	record_words(&record, RECORD_KEY_REASON,
		     "a message here and one at the other server have the same unique id");
	record_write(&record);
}

/* Clients know messages by their unique ids: two parts are one mailbox only where these differ. */
static void enter_both(struct session *session, const struct ipc_opened *message)
{
	int differ = join_ids_differ(session->joining);
	struct mailbox *mailbox = differ > 0 ? create(session->joining) : NULL;

	if (mailbox) {
		join_take(session);
		login_opened(session);
		enter(session, mailbox, message);
		return;
	}
	if (differ == 0)
		say_same_ids(session, ipc_text(message, 0));
	login_unopened(session, differ == 0 ? REASON_MAILDROP_PERM : REASON_MAILDROP_TEMP);
}

void mailbox_opened(struct link *keeper, struct session *session, const struct ipc_opened *message,
		    int *fds)
{
	struct mailbox *mailbox;

	if (!login_waits(session, message)) { /* the session or its login ended meanwhile */
		part_send_close(link_peer(keeper), message->session);
		return;
	}
	if (message->part != PART_WHOLE) {
		if (join_add(session, keeper, message, fds))
			enter_both(session, message);
		return;
	}
	join_drop(session);
	login_opened(session);
	mailbox = create(NULL);
	if (!mailbox) {
		part_send_close(link_peer(keeper), message->session);
		conn_abort(&session->client.conn);
		return;
	}
	part_open(mailbox->parts, session, keeper, message, fds);
	enter(session, mailbox, message);
}

void mailbox_close(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;

	if (!mailbox)
		return;
	session->mailbox = NULL;
	session->stage = STAGE_CLOSING;
	destroy(mailbox);
}

void mailbox_trim(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;

	if (!mailbox || pop3_server_want(&session->pop3) != POP3_WANT_INPUT)
		return;
	for (unsigned i = 0; i < mailbox->part_count; i++)
		part_put_away(&mailbox->parts[i]);
}

/* ---- listings ---- */

static void list_one(struct session *session, uint32_t number, bool uidl)
{
	struct index_entry entry;

	if (!read_entry(session, number, uidl, &entry))
		session_refuse(session, REASON_MAILDROP_TEMP);
	else if (uidl)
		pop3_server_reply_uidl_one(&session->pop3, number, entry.unique_id);
	else
		pop3_server_reply_list_one(&session->pop3, number, entry.octets);
	trim(session->mailbox);
}

static void list(struct session *session, const struct pop3_event *event)
{
	struct mailbox *mailbox = session->mailbox;
	bool uidl = event->type == POP3_EVENT_UIDL;
	struct index_entry first;

	if (event->number) {
		list_one(session, event->number, uidl);
		return;
	}
	/* the first line is looked at before "+OK" goes out */
	if (mailbox->count && !read_entry(session, 1, uidl, &first)) {
		session_refuse(session, REASON_MAILDROP_TEMP);
		return;
	}
	mailbox->listing_next = 1;
	mailbox->listing_uidl = uidl;
	pop3_server_reply_listing(&session->pop3);
}

static size_t render(struct session *session, const struct index_entry *entry, uint32_t number,
		     char *out, size_t cap)
{
	if (pop3_server_marked(&session->pop3, number))
		return 0;
	if (session->mailbox->listing_uidl)
		return pop3_server_line_uidl(out, cap, number, entry->unique_id);
	return pop3_server_line_list(out, cap, number, entry->octets);
}

size_t mailbox_lines(struct session *session, char *out, size_t cap)
{
	struct mailbox *mailbox = session->mailbox;
	size_t used = 0;

	while (mailbox->listing_next <= mailbox->count && cap - used >= LINE_ROOM) {
		struct index_entry entries[ENTRIES];
		size_t room = (cap - used) / LINE_ROOM;
		int n = read_entries(session, mailbox->listing_next, mailbox->listing_uidl, entries,
				     room < ENTRIES ? (uint32_t)room : ENTRIES);

		/* "+OK" is out: the only honest end is to cut, and nothing more is sent */
		if (n < 0) {
			ending_reason(session, "the index is damaged");
			conn_abort(&session->client.conn);
			return 0;
		}
		for (int i = 0; i < n; i++)
			used += render(session, &entries[i], mailbox->listing_next++, out + used,
				       cap - used);
	}
	if (mailbox->listing_next > mailbox->count) {
		trim(mailbox);
		pop3_server_lines_end(&session->pop3);
	}
	return used;
}

static void dele(struct session *session, const struct pop3_event *event)
{
	struct mailbox *mailbox = session->mailbox;
	struct index_entry entry;

	if (!read_entry(session, event->number, false, &entry)) {
		session_refuse(session, REASON_MAILDROP_TEMP);
		return;
	}
	/* only now: an index that could be read says as many messages as the keeper did */
	if (!mailbox->marks)
		mailbox->marks = calloc(mailbox->count / 8 + 1, 1);
	if (!mailbox->marks) {
		session_refuse(session, REASON_MAILDROP_TEMP);
		return;
	}
	trim(mailbox);
	if (!pop3_server_has_marks(&session->pop3))
		pop3_server_lend_marks(&session->pop3, mailbox->marks);
	pop3_server_mark(&session->pop3, event->number, entry.octets);
}

/* ---- QUIT ---- */

/* Deletions at the other server come first: those here are made once it has said yes. */
static struct part *last_part(struct mailbox *mailbox)
{
	return &mailbox->parts[mailbox->part_count - 1];
}

static void finish_quit(struct session *session)
{
	mailbox_close(session);
	ending_reason(session, "quit");
	session->ending.dele = pop3_server_marked_count(&session->pop3);
	session->ending.dele_octets = session->pop3.deleted_octets;
	session->ending.left -= session->ending.dele;
	counters_add(COUNTER_DELETED, session->ending.dele);
	counters_add(COUNTER_DELETED_OCTETS, session->ending.dele_octets);
	pop3_server_reply_ok(&session->pop3, words_bye(pop3_server_language(&session->pop3)));
}

static void fail_quit(struct session *session)
{
	bool some = session->mailbox->deleted > 0;

	ending_reason(session,
		      some ? "quit, but not all was deleted" : "quit, but nothing was deleted");
	mailbox_close(session);
	session_refuse(session, some ? REASON_NOT_DELETED : REASON_NOTHING_DELETED);
}

/* The part that is asked now has a credit. */
static void commit(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;
	struct part *part = mailbox->now;
	struct ipc_commit message = {.session = session->client.node.key};
	int64_t count = part_delete_marked(part, before(mailbox, part));

	message.total = count < 0 ? 0 : (uint32_t)count;
	memcpy(message.address, session->address, sizeof(message.address));
	if (count < 0 || !link_ask(&part->keeper, IPC_COMMIT, &message))
		fail_quit(session);
	else
		mailbox->deleted += message.total;
}

static void quit(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;

	if (!mailbox->quitting && !pop3_server_marked_count(&session->pop3) &&
	    !last_part(mailbox)->remote) {
		finish_quit(session);
		return;
	}
	mailbox->quitting = true;
	commit(session);
}

static void take_committed(struct session *session, const struct ipc_committed *message)
{
	struct mailbox *mailbox = session->mailbox;
	const struct pop3_event event = {.type = POP3_EVENT_QUIT};

	if (message->reason == REASON_NO_DELETE) { /* the session has ended as it should */
		mailbox_close(session);
		ending_reason(session, "quit, nothing was deleted: the password may not delete");
		pop3_server_reply_ok(&session->pop3, session_words(session, REASON_NO_DELETE));
	} else if (message->reason != REASON_OK) {
		mailbox_close(session);
		ending_reason(session, "quit, but not all was deleted");
		session_refuse(session, (enum reason)message->reason);
	} else if (mailbox->now > mailbox->parts &&
		   mailbox->deleted < pop3_server_marked_count(&session->pop3)) {
		mailbox->now--;
		mailbox_event(session, &event);
	} else {
		finish_quit(session);
	}
}

/* ---- commands ---- */

static void send_message(struct session *session, const struct pop3_event *event)
{
	struct ending *ending = &session->ending;
	struct pop3_event of_part = *event;

	ending->topping = event->type == POP3_EVENT_TOP;
	if (ending->topping)
		ending->top++;
	else
		ending->retr++;
	of_part.number -= before(session->mailbox, session->mailbox->now);
	body_event(session, &of_part);
}

/* RETR, TOP and QUIT ask a keeper: which part is it? */
static struct part *part_for(struct mailbox *mailbox, const struct pop3_event *event)
{
	uint32_t in_front;

	if (event->type != POP3_EVENT_QUIT)
		return part_of(mailbox, event->number, &in_front);
	return mailbox->quitting ? mailbox->now : last_part(mailbox);
}

/* False: the event waits for its turn. */
static bool may_ask(struct session *session, const struct pop3_event *event)
{
	struct mailbox *mailbox = session->mailbox;

	if (body_is_ahead(session)) { /* one request at a time: its answer comes first */
		body_hold(session, event);
		return false;
	}
	mailbox->now = part_for(mailbox, event);
	if (link_has_credit(&mailbox->now->keeper))
		return true;
	if (link_wait(&mailbox->now->keeper, event) < 0)
		conn_abort(&session->client.conn);
	return false;
}

void mailbox_event(struct session *session, const struct pop3_event *event)
{
	bool asks = event->type == POP3_EVENT_RETR || event->type == POP3_EVENT_TOP ||
		    event->type == POP3_EVENT_QUIT;

	loop_deadline_renew(&session->front->trim, &session->trim);
	if (asks && !may_ask(session, event))
		return;
	if (event->type == POP3_EVENT_LIST || event->type == POP3_EVENT_UIDL)
		list(session, event);
	else if (event->type == POP3_EVENT_RETR || event->type == POP3_EVENT_TOP)
		send_message(session, event);
	else if (event->type == POP3_EVENT_DELE)
		dele(session, event);
	else if (event->type == POP3_EVENT_QUIT)
		quit(session);
}

bool mailbox_waits(const struct session *session)
{
	enum ipc_type asked =
		session->mailbox ? link_unanswered(&session->mailbox->now->keeper) : IPC_NONE;

	return (asked == IPC_FETCH || asked == IPC_READ_SLICE || asked == IPC_READ_STREAM) &&
	       pop3_server_want(&session->pop3) != POP3_WANT_INPUT;
}

bool mailbox_commits(const struct session *session)
{
	return session->mailbox && link_unanswered(&session->mailbox->now->keeper) == IPC_COMMIT;
}

/* ---- the keeper ---- */

static struct session *session_of(struct link_user *user)
{
	return CONTAINER(user, struct part, keeper)->session;
}

static void resume(struct link_user *user, const struct pop3_event *event)
{
	if (event->type == POP3_EVENT_NONE) /* a slice of a large message waited */
		body_ask_more(session_of(user));
	else
		mailbox_event(session_of(user), event);
}

/* The lock is gone with the keeper: nothing was deleted. */
static void gone(struct link_user *user)
{
	struct session *session = session_of(user);

	ending_reason(session, "the keeper is gone");
	join_drop(session);
	conn_abort(&session->client.conn);
}

const struct link_handler mailbox_handler = {
	.credits = IPC_KEEPER_CREDITS, .resume = resume, .gone = gone};

/* A command that waits for its reply gets one; a client that sleeps is left as after a timeout; a
 * reply that is going out is cut. */
void mailbox_gone(struct link *keeper, struct session *session, const struct ipc_gone *message)
{
	enum pop3_want want;

	if (!part_at(session, keeper))
		return; /* it ended meanwhile */
	want = pop3_server_want(&session->pop3);
	ending_reason(session, reason_row(message->reason)->words);
	join_drop(session);
	mailbox_close(session);
	if (want == POP3_WANT_REPLY) {
		session_refuse(session, (enum reason)message->reason);
		pop3_server_close_after(&session->pop3);
	} else if (want == POP3_WANT_INPUT && !conn_blocked(&session->client.conn)) {
		conn_close(&session->client.conn);
	} else {
		conn_abort(&session->client.conn);
	}
}

void mailbox_asked(struct link *keeper, struct session *session)
{
	struct ipc_holder message = {0};
	uint64_t now;

	if (!part_at(session, keeper))
		return; /* its CLOSE is on its way */
	now = loop_now(session->front->frame.child->loop);
	message.session = session->client.node.key;
	message.since = (uint64_t)time(NULL) - (now - session->ending.started) / 1000;
	message.idle = activity_idle(&session->activity, &session->client.conn, now);
	memcpy(message.address, session->address, sizeof(message.address));
	message.busy = pop3_server_want(&session->pop3) == POP3_WANT_REPLY;
	ipc_send(&link_peer(keeper)->chan, IPC_HOLDER, &message);
}

/* An answer to a session that this keeper serves. */
static void take_answer(struct session *session, struct link_user *keeper, enum ipc_type type,
			const void *message, int *fds)
{
	enum ipc_type asked = link_unanswered(keeper);
	struct pop3_event held;

	/* only of the part that was asked last anything is unanswered */
	if (!session->mailbox || !ipc_answers(type, asked) ||
	    (type != IPC_COMMITTED && !body_fits(session, asked, type, message))) {
		peer_break(link_peer(link_of(keeper)), "it answers a question that was not asked");
		return;
	}
	link_answered(keeper);
	if (type == IPC_COMMITTED)
		take_committed(session, message);
	else if (body_message(session, type, message, fds, &held))
		mailbox_event(session, &held);
	conn_wake(&session->client.conn);
}

void mailbox_message(struct link *keeper, struct session *session, enum ipc_type type,
		     const void *message, int *fds)
{
	struct part *part = part_at(session, keeper);

	if (session && type == IPC_OPEN_FAILED)
		login_open_failed(session, message);
	else if (session && type == IPC_OPEN_IN_USE)
		login_in_use(session, message);
	else if (part)
		take_answer(session, &part->keeper, type, message, fds);
	/* else: it ended while the answer was on its way */
}
