/*
 * A maildrop seen from a front: listings come from the lent index, messages from batches that the
 * keeper sends ahead or from lent descriptors, deletions go back as one list at QUIT. Nothing here
 * waits for a disk. See front.h.
 */
#include "server/front/front.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENTRIES 64   /* of a listing, read at once */
#define LINE_ROOM 96 /* a line of LIST or UIDL */

struct chan *mail_channel(const struct session *session)
{
	return &session->link->peer->chan;
}

void mail_fail(struct session *session, enum reason reason)
{
	const struct reason_row *row = reason_row(reason);

	pop3_server_reply_err(&session->pop3, row->code, row->words);
	session_wake(session);
}

bool mail_ask(struct session *session, enum ipc_type type, void *message)
{
	if (ipc_send(mail_channel(session), type, message) < 0)
		return false;
	session->asked_keeper = (uint8_t)type;
	session->link->unanswered++;
	return true;
}

/* -- opened, closed -- */

static void tell_closed(struct link *keeper, uint64_t number)
{
	struct ipc_session message = {.session = number};

	/* at once: who has read our last reply may come back before this turn is over, and must
	 * find the maildrop free */
	ipc_send(&keeper->peer->chan, IPC_CLOSE, &message);
}

static void join(struct link *keeper, struct session *session)
{
	session->link = keeper;
	session->next = keeper->sessions;
	session->at = &keeper->sessions;
	if (session->next)
		session->next->at = &session->next;
	keeper->sessions = session;
}

static void part(struct session *session)
{
	*session->at = session->next;
	if (session->next)
		session->next->at = session->at;
	session->link = NULL;
	session->at = NULL;
}

/* Whether a keeper answers the login that session waits for: auth gave it the ticket. */
static bool sent_by_auth(const struct session *session, enum ipc_type type, uint64_t ticket)
{
	return session && session->stage == STAGE_LOGIN && session->ticket == ticket &&
	       ipc_answers(type, (enum ipc_type)session->asked_auth);
}

static void take_opened(struct link *keeper, struct session *session,
			const struct ipc_opened *message, int *fds)
{
	struct mail *mail;

	if (!sent_by_auth(session, IPC_OPENED, message->ticket)) { /* it ended meanwhile */
		tell_closed(keeper, message->session);
		return;
	}
	login_credit_back(session);
	mail = calloc(1, sizeof(*mail));
	if (!mail) {
		tell_closed(keeper, message->session);
		session_abort(session);
		return;
	}
	mail->base_fd = fds[0];
	mail->delta_fd = fds[1];
	fds[0] = fds[1] = mail->body_fd = -1;
	mail->delta_size = message->delta_size;
	mail->count = message->count;
	mail->octets = message->octets;
	session->mail = mail;
	join(keeper, session);
	login_forget(session);
	session->stage = STAGE_MAIL;
	pop3_server_reply_logged_in(&session->pop3, mail->count, mail->octets);
	session_wake(session);
}

static void free_mail(struct session *session)
{
	struct mail *mail = session->mail;

	body_forget(mail);
	index_view_destroy(mail->view);
	if (mail->base_fd >= 0)
		close(mail->base_fd);
	if (mail->delta_fd >= 0)
		close(mail->delta_fd);
	free(mail->marks);
	free(mail);
	session->mail = NULL;
}

static void credit_back(struct session *session)
{
	if (!session->asked_keeper)
		return;
	session->asked_keeper = IPC_NONE;
	session->link->unanswered--;
	link_credit(session->link);
}

void mail_close(struct session *session)
{
	struct link *keeper = session->link;

	if (keeper) {
		link_leave(keeper, session);
		tell_closed(keeper,
			    session->client.node.key); /* first: its credit is used again at once */
		credit_back(session);
		part(session);
	}
	if (session->mail)
		free_mail(session);
}

void mail_give_back(struct session *session)
{
	struct mail *mail = session->mail;

	if (!mail || pop3_server_want(&session->pop3) != POP3_WANT_INPUT)
		return;
	body_give_back(mail);
	index_view_destroy(mail->view);
	mail->view = NULL;
}

/* -- the index -- */

/* The keeper builds it anew for the next login; this session can't go on with it. */
static void index_wrong(struct session *session, const struct err *err)
{
	struct ipc_session message = {.session = session->client.node.key};

	log_error("session %llu: %s", (unsigned long long)session->client.node.key, err->text);
	ipc_send(mail_channel(session), IPC_INDEX_WRONG, &message);
}

static bool have_view(struct session *session)
{
	struct mail *mail = session->mail;
	struct err err;

	if (mail->view)
		return true;
	if (index_view_create(mail->base_fd, mail->delta_fd, mail->delta_size, mail->count,
			      mail->octets, &mail->view, &err) == 0)
		return true;
	index_wrong(session, &err);
	return false;
}

/* What they point to lives until the next reading. Returns how many, -1 and a word to the keeper if
 * there is none. */
static int read_entries(struct session *session, uint32_t first, bool with_ids,
			struct index_entry *ret, uint32_t n)
{
	struct err err;
	int got;

	if (!have_view(session))
		return -1;
	got = index_view_read(session->mail->view, first, with_ids, ret, n, &err);
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
static void rest(struct mail *mail)
{
	if (mail->view)
		index_view_rest(mail->view);
}

static void list_one(struct session *session, uint32_t number, bool uidl)
{
	struct index_entry entry;

	if (!read_entry(session, number, uidl, &entry))
		mail_fail(session, REASON_MAILDROP_TEMP);
	else if (uidl)
		pop3_server_reply_uidl_one(&session->pop3, number, entry.unique_id);
	else
		pop3_server_reply_list_one(&session->pop3, number, entry.octets);
	rest(session->mail);
}

static void list(struct session *session, const struct pop3_event *event)
{
	struct mail *mail = session->mail;
	bool uidl = event->type == POP3_EVENT_UIDL;
	struct index_entry first;

	if (event->number) {
		list_one(session, event->number, uidl);
		return;
	}
	/* its first line is looked at before "+OK" is said */
	if (mail->count && !read_entry(session, 1, uidl, &first)) {
		mail_fail(session, REASON_MAILDROP_TEMP);
		return;
	}
	mail->listing_next = 1;
	mail->listing_uidl = uidl;
	pop3_server_reply_listing(&session->pop3);
}

static size_t render(struct session *session, const struct index_entry *entry, uint32_t number,
		     char *out, size_t cap)
{
	if (pop3_server_marked(&session->pop3, number))
		return 0;
	if (session->mail->listing_uidl)
		return pop3_server_line_uidl(out, cap, number, entry->unique_id);
	return pop3_server_line_list(out, cap, number, entry->octets);
}

size_t mail_lines(struct session *session, char *out, size_t cap)
{
	struct mail *mail = session->mail;
	size_t used = 0;

	while (mail->listing_next <= mail->count && cap - used >= LINE_ROOM) {
		struct index_entry entries[ENTRIES];
		size_t room = (cap - used) / LINE_ROOM;
		int n = read_entries(session, mail->listing_next, mail->listing_uidl, entries,
				     room < ENTRIES ? (uint32_t)room : ENTRIES);

		/* "+OK" is out: the only honest end is to cut, and nothing more is sent */
		if (n < 0) {
			session_abort(session);
			return 0;
		}
		for (int i = 0; i < n; i++)
			used += render(session, &entries[i], mail->listing_next++, out + used,
				       cap - used);
	}
	if (mail->listing_next > mail->count) {
		rest(mail);
		pop3_server_lines_end(&session->pop3);
	}
	return used;
}

static void dele(struct session *session, const struct pop3_event *event)
{
	struct mail *mail = session->mail;
	struct index_entry entry;

	if (!mail->marks)
		mail->marks = calloc(mail->count / 8 + 1, 1);
	if (!mail->marks || !read_entry(session, event->number, false, &entry)) {
		mail_fail(session, REASON_MAILDROP_TEMP);
		return;
	}
	rest(mail);
	if (!pop3_server_has_marks(&session->pop3))
		pop3_server_lend_marks(&session->pop3, mail->marks);
	pop3_server_mark(&session->pop3, event->number, entry.octets);
}

/* -- QUIT -- */

static bool send_deletions(struct session *session)
{
	uint32_t *numbers = session->front->numbers, count = 0;
	struct ipc_delete message = {.session = session->client.node.key};

	for (uint32_t n = 1; n <= session->mail->count; n++) {
		if (pop3_server_marked(&session->pop3, n))
			numbers[count++] = n;
		if (count && (count == IPC_NUMBERS_MAX || n == session->mail->count)) {
			pop3_span tail = {(const char *)numbers, count * sizeof(*numbers)};

			message.count = count;
			if (ipc_send_all(mail_channel(session), IPC_DELETE, &message, &tail, 1,
					 NULL, 0) < 0)
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

	if (!message.total) {
		mail_close(session);
		pop3_server_reply_ok(&session->pop3, "bye");
		return;
	}
	if (!send_deletions(session) || !mail_ask(session, IPC_COMMIT, &message)) {
		mail_close(session);
		mail_fail(session, REASON_NOTHING_DELETED);
	}
}

static void take_committed(struct session *session, const struct ipc_committed *message)
{
	mail_close(session);
	if (message->reason != REASON_OK)
		mail_fail(session, (enum reason)message->reason);
	else
		pop3_server_reply_ok(&session->pop3, "bye");
}

/* -- what comes in -- */

void mail_go_on(struct session *session, const struct pop3_event *event)
{
	if (event->type == POP3_EVENT_NONE)
		body_ask_slice(session);
	else
		mail_event(session, event);
}

void mail_event(struct session *session, const struct pop3_event *event)
{
	bool asks = event->type == POP3_EVENT_RETR || event->type == POP3_EVENT_TOP ||
		    event->type == POP3_EVENT_QUIT;

	loop_deadline_renew(&session->front->spare, &session->spare);
	if (asks && session->mail->coming) { /* one request at a time: that answer comes first */
		body_hold(session, event);
		return;
	}
	if (asks && session->link->unanswered >= IPC_KEEPER_CREDITS) {
		link_wait(session->link, session, event);
		return;
	}
	switch (event->type) {
	case POP3_EVENT_LIST:
	case POP3_EVENT_UIDL:
		list(session, event);
		break;
	case POP3_EVENT_RETR:
	case POP3_EVENT_TOP:
		body_event(session, event);
		break;
	case POP3_EVENT_DELE:
		dele(session, event);
		break;
	case POP3_EVENT_QUIT:
		quit(session);
		break;
	default:
		break;
	}
}

static void take_open_failed(struct session *session, const struct ipc_open_failed *message)
{
	if (!sent_by_auth(session, IPC_OPEN_FAILED, message->ticket))
		return; /* it ended meanwhile */
	login_credit_back(session);
	login_forget(session);
	mail_fail(session, (enum reason)message->reason);
}

/* An answer to a session that this keeper serves. */
static void take_answer(struct session *session, enum ipc_type type, const void *message, int *fds)
{
	if (!ipc_answers(type, (enum ipc_type)session->asked_keeper) ||
	    (type != IPC_COMMITTED && !body_fits(session, type, message))) {
		peer_break(session->link->peer, "it answers what nobody asked");
		return;
	}
	credit_back(session);
	if (type == IPC_COMMITTED)
		take_committed(session, message);
	else
		body_message(session, type, message, fds);
	session_wake(session);
}

void mail_message(struct link *keeper, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = keeper->peer->child->state;
	struct session *session;

	if (type == IPC_ARENA) {
		if (!keeper->arena)
			keeper->arena = arena_open(fds[0]);
		return;
	}
	session = session_find(front, ((const struct ipc_session *)message)->session);
	if (type == IPC_OPENED)
		take_opened(keeper, session, message, fds);
	else if (type == IPC_OPEN_FAILED)
		take_open_failed(session, message);
	else if (session && session->link == keeper)
		take_answer(session, type, message, fds);
	/* else: it ended while the answer was on its way */
}
