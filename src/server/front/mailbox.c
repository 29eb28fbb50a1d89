/* See mailbox.h. */
#include "server/front/mailbox.h"

#include "base/text.h"
#include "server/counters.h"
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

/* ---- opened, closed ---- */

static void send_close(struct peer *keeper, uint64_t number)
{
	struct ipc_session message = {.session = number};

	/* at once, not at the end of the turn: a client that reconnects after the last reply must
	 * not get [IN-USE] */
	ipc_send(&keeper->chan, IPC_CLOSE, &message);
}

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

static bool read_entry(struct session *session, uint32_t number, bool with_id,
		       struct index_entry *ret);
static void trim_view(struct mailbox *mailbox);

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
		trim_view(session->mailbox);
}

void mailbox_opened(struct link *keeper, struct session *session, const struct ipc_opened *message,
		    int *fds)
{
	struct mailbox *mailbox;

	if (!login_opened(session, message)) { /* the session or its login ended meanwhile */
		send_close(link_peer(keeper), message->session);
		return;
	}
	mailbox = calloc(1, sizeof(*mailbox));
	session->ending.user = copy_of(ipc_text(message, 0));
	if (session->ending.user)
		counters_add(COUNTER_SESSIONS_NOW + (size_t)session->service, 1);
	if (!mailbox || !session->ending.user) {
		free(mailbox);
		send_close(link_peer(keeper), message->session);
		conn_abort(&session->client.conn);
		return;
	}
	mailbox->session = session;
	mailbox->base_fd = fds[0];
	mailbox->delta_fd = fds[1];
	fds[0] = fds[1] = -1;
	mailbox->delta_size = message->delta_size;
	mailbox->count = message->count;
	mailbox->octets = message->octets;
	mailbox->remote = message->remote;
	link_join(keeper, &mailbox->keeper);
	free(pop3_server_take_back_name(&session->pop3));
	session->mailbox = mailbox;
	session->stage = STAGE_MAIL;
	frame_known(&session->front->frame, &session->client);
	session->ending.left = mailbox->count;
	trace_opened(session);
	pop3_server_reply_logged_in(&session->pop3, mailbox->count, mailbox->octets);
	if (session->front->strict.login_delay_user)
		pop3_server_user_delay(&session->pop3, (int32_t)message->login_delay);
	conn_wake(&session->client.conn);
}

void mailbox_close(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;
	struct link *keeper = mailbox ? link_of(&mailbox->keeper) : NULL;

	if (!mailbox)
		return;
	if (keeper) {
		/* CLOSE goes first: the credit that comes back is used again at once */
		send_close(link_peer(keeper), session->client.node.key);
		link_part(&mailbox->keeper);
	}
	body_destroy(mailbox->body);
	index_view_destroy(mailbox->view);
	close(mailbox->base_fd);
	close(mailbox->delta_fd);
	free(mailbox->marks);
	free(mailbox);
	session->mailbox = NULL;
	session->stage = STAGE_CLOSING;
}

void mailbox_trim(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;

	if (!mailbox || pop3_server_want(&session->pop3) != POP3_WANT_INPUT)
		return;
	body_trim(mailbox->body);
	index_view_destroy(mailbox->view);
	mailbox->view = NULL;
}

/* ---- the index ---- */

/* The keeper builds the index anew for the next login; this session cannot go on with it. */
static void index_wrong(struct session *session, const struct err *err)
{
	struct ipc_session message = {.session = session->client.node.key};

	struct record record;

	record_begin(&record, RECORD_INDEX_WRONG, session->address,
		     session->front->frame.child->instance, session->client.node.key);
	record_text(&record, RECORD_KEY_USER, span_of(session->ending.user));
	record_words(&record, RECORD_KEY_REASON, err->text);
	record_write(&record);
	ipc_send(link_chan(&session->mailbox->keeper), IPC_INDEX_WRONG, &message);
}

static bool have_view(struct session *session)
{
	struct mailbox *mailbox = session->mailbox;
	struct err err;

	if (mailbox->view)
		return true;
	if (index_view_create(mailbox->base_fd, mailbox->delta_fd, mailbox->delta_size,
			      mailbox->count, mailbox->octets, &mailbox->view, &err) == 0)
		return true;
	index_wrong(session, &err);
	return false;
}

/* The entries' texts live until the next reading. Returns how many there are, or -1 after the
 * keeper was sent INDEX_WRONG. */
static int read_entries(struct session *session, uint32_t first, bool with_ids,
			struct index_entry *ret, uint32_t n)
{
	struct err err;
	int got;

	if (!have_view(session))
		return -1;
	got = index_view_read(session->mailbox->view, first, with_ids, ret, n, &err);
	if (got > 0)
		return got;
	index_wrong(session, &err);
	return -1;
}

static bool read_entry(struct session *session, uint32_t number, bool with_id,
		       struct index_entry *ret)
{
	return read_entries(session, number, with_id, ret, 1) == 1;
}

/* An idle session keeps no buffers. */
static void trim_view(struct mailbox *mailbox)
{
	if (mailbox->view)
		index_view_trim(mailbox->view);
}

static void list_one(struct session *session, uint32_t number, bool uidl)
{
	struct index_entry entry;

	if (!read_entry(session, number, uidl, &entry))
		session_refuse(session, REASON_MAILDROP_TEMP);
	else if (uidl)
		pop3_server_reply_uidl_one(&session->pop3, number, entry.unique_id);
	else
		pop3_server_reply_list_one(&session->pop3, number, entry.octets);
	trim_view(session->mailbox);
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
		trim_view(mailbox);
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
	trim_view(mailbox);
	if (!pop3_server_has_marks(&session->pop3))
		pop3_server_lend_marks(&session->pop3, mailbox->marks);
	pop3_server_mark(&session->pop3, event->number, entry.octets);
}

/* ---- QUIT ---- */

static bool send_deletions(struct session *session)
{
	uint32_t *numbers = session->front->numbers, count = 0;
	struct ipc_delete message = {.session = session->client.node.key};

	for (uint32_t n = 1; n <= session->mailbox->count; n++) {
		if (pop3_server_marked(&session->pop3, n))
			numbers[count++] = n;
		if (count && (count == IPC_NUMBERS_MAX || n == session->mailbox->count)) {
			pop3_span tail = {(const char *)numbers, count * sizeof(*numbers)};

			message.count = count;
			if (ipc_send_all(link_chan(&session->mailbox->keeper), IPC_DELETE, &message,
					 &tail, 1, NULL, 0) < 0)
				return false;
			count = 0;
		}
	}
	return true;
}

static void quit(struct session *session)
{
	struct ipc_commit message = {.session = session->client.node.key,
				     .total = pop3_server_marked_count(&session->pop3)};

	memcpy(message.address, session->address, sizeof(message.address));
	if (!message.total && !session->mailbox->remote) {
		ending_reason(session, "quit");
		mailbox_close(session);
		pop3_server_reply_ok(&session->pop3,
				     words_bye(pop3_server_language(&session->pop3)));
		return;
	}
	if (!send_deletions(session) ||
	    !link_ask(&session->mailbox->keeper, IPC_COMMIT, &message)) {
		ending_reason(session, "quit, but nothing was deleted");
		mailbox_close(session);
		session_refuse(session, REASON_NOTHING_DELETED);
	}
}

static void take_committed(struct session *session, const struct ipc_committed *message)
{
	mailbox_close(session);
	if (message->reason == REASON_NO_DELETE) { /* the session has ended as it should */
		ending_reason(session, "quit, nothing was deleted: the password may not delete");
		pop3_server_reply_ok(&session->pop3, session_words(session, REASON_NO_DELETE));
		return;
	}
	if (message->reason != REASON_OK) {
		ending_reason(session, "quit, but not all was deleted");
		session_refuse(session, (enum reason)message->reason);
		return;
	}
	ending_reason(session, "quit");
	session->ending.dele = pop3_server_marked_count(&session->pop3);
	session->ending.dele_octets = session->pop3.deleted_octets;
	session->ending.left -= session->ending.dele;
	counters_add(COUNTER_DELETED, session->ending.dele);
	counters_add(COUNTER_DELETED_OCTETS, session->ending.dele_octets);
	pop3_server_reply_ok(&session->pop3, words_bye(pop3_server_language(&session->pop3)));
}

/* ---- commands ---- */

static void send_message(struct session *session, const struct pop3_event *event)
{
	struct ending *ending = &session->ending;

	ending->topping = event->type == POP3_EVENT_TOP;
	if (ending->topping)
		ending->top++;
	else
		ending->retr++;
	body_event(session, event);
}

void mailbox_event(struct session *session, const struct pop3_event *event)
{
	struct link_user *keeper = &session->mailbox->keeper;
	bool asks = event->type == POP3_EVENT_RETR || event->type == POP3_EVENT_TOP ||
		    event->type == POP3_EVENT_QUIT;

	loop_deadline_renew(&session->front->trim, &session->trim);
	if (asks && body_is_ahead(session)) { /* one request at a time: its answer comes first */
		body_hold(session, event);
		return;
	}
	if (asks && !link_has_credit(keeper)) {
		if (link_wait(keeper, event) < 0)
			conn_abort(&session->client.conn);
		return;
	}
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
		session->mailbox ? link_unanswered(&session->mailbox->keeper) : IPC_NONE;

	return (asked == IPC_FETCH || asked == IPC_READ_SLICE || asked == IPC_READ_STREAM) &&
	       pop3_server_want(&session->pop3) != POP3_WANT_INPUT;
}

bool mailbox_commits(const struct session *session)
{
	return session->mailbox && link_unanswered(&session->mailbox->keeper) == IPC_COMMIT;
}

/* ---- the keeper ---- */

static struct session *session_of(struct link_user *user)
{
	return CONTAINER(user, struct mailbox, keeper)->session;
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
	ending_reason(session_of(user), "the keeper is gone");
	conn_abort(&session_of(user)->client.conn);
}

const struct link_handler mailbox_handler = {
	.credits = IPC_KEEPER_CREDITS, .resume = resume, .gone = gone};

static bool serves(const struct link *keeper, const struct session *session)
{
	return session && session->mailbox && link_of(&session->mailbox->keeper) == keeper;
}

/* A command that waits for its reply gets one; a client that sleeps is left as after a timeout; a
 * reply that is going out is cut. */
void mailbox_gone(struct link *keeper, struct session *session, const struct ipc_gone *message)
{
	enum pop3_want want;

	if (!serves(keeper, session))
		return; /* it ended meanwhile */
	want = pop3_server_want(&session->pop3);
	ending_reason(session, reason_row(message->reason)->words);
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

	if (!serves(keeper, session))
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
static void take_answer(struct session *session, enum ipc_type type, const void *message, int *fds)
{
	struct link_user *keeper = &session->mailbox->keeper;
	enum ipc_type asked = link_unanswered(keeper);
	struct pop3_event held;

	if (!ipc_answers(type, asked) ||
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
	if (session && type == IPC_OPEN_FAILED)
		login_open_failed(session, message);
	else if (session && type == IPC_OPEN_IN_USE)
		login_in_use(session, message);
	else if (serves(keeper, session))
		take_answer(session, type, message, fds);
	/* else: it ended while the answer was on its way */
}
