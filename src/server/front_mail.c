/*
 * A maildrop seen from a front: listings come from the lent index, messages from batches that the
 * keeper sends ahead or from lent descriptors, deletions go back as one list at QUIT. Nothing here
 * waits for a disk. See front.h.
 */
#include "server/front.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENTRIES 64   /* of a listing, read at once */
#define LINE_ROOM 96 /* a line of LIST or UIDL */

const char mail_unreadable[] = "the maildrop cannot be read now, try again later";

struct chan *mail_channel(const struct session *session)
{
	return &session->link->peer->chan;
}

void mail_fail(struct session *session, enum pop3_code code, const char *text)
{
	pop3_server_reply_err(&session->pop3, code, text);
	session_wake(session);
}

bool mail_ask(struct session *session, enum ipc_type type, void *message)
{
	if (ipc_send(mail_channel(session), type, message, NULL, 0, NULL, 0) < 0)
		return false;
	session->credit_keeper = true;
	session->link->unanswered++;
	return true;
}

/* -- opened, closed -- */

static void tell_closed(struct link *keeper, uint64_t number)
{
	struct ipc_session message = {.session = number};

	/* at once: who has read our last reply may come back before this turn is over, and must
	 * find the maildrop free */
	ipc_send(&keeper->peer->chan, IPC_CLOSE, &message, NULL, 0, NULL, 0);
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

void mail_opened(struct link *keeper, const struct ipc_opened *message, int *fds)
{
	struct front *front = keeper->peer->child->state;
	struct table_node *node = table_find(&front->sessions, message->session);
	struct session *session = node ? CONTAINER(node, struct session, node) : NULL;
	struct mail *mail;

	if (!session || session->stage != STAGE_LOGIN || !session->opening) {
		tell_closed(keeper, message->session);
		return;
	}
	session->opening = false;
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
	if (!session->credit_keeper)
		return;
	session->credit_keeper = false;
	session->link->unanswered--;
	link_credit(session->link);
}

void mail_close(struct session *session)
{
	struct link *keeper = session->link;

	if (keeper) {
		link_leave(keeper, session);
		tell_closed(keeper,
			    session->node.key); /* first: its credit is used again at once */
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
	struct ipc_session message = {.session = session->node.key};

	log_error("session %llu: %s", (unsigned long long)session->node.key, err->text);
	ipc_send(mail_channel(session), IPC_INDEX_WRONG, &message, NULL, 0, NULL, 0);
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
		mail_fail(session, POP3_CODE_SYS_TEMP, mail_unreadable);
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
		mail_fail(session, POP3_CODE_SYS_TEMP, mail_unreadable);
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
		mail->marks = calloc((mail->count + 7u) / 8u, 1);
	if (!mail->marks || !read_entry(session, event->number, false, &entry)) {
		mail_fail(session, POP3_CODE_SYS_TEMP, mail_unreadable);
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
	struct ipc_delete message = {.session = session->node.key};
	struct iovec tail = {numbers, 0};

	for (uint32_t n = 1; n <= session->mail->count; n++) {
		if (pop3_server_marked(&session->pop3, n))
			numbers[count++] = n;
		if (count && (count == IPC_NUMBERS_MAX || n == session->mail->count)) {
			message.count = count;
			tail.iov_len = count * sizeof(*numbers);
			if (ipc_send(mail_channel(session), IPC_DELETE, &message, &tail, 1, NULL,
				     0) < 0)
				return false;
			count = 0;
		}
	}
	return true;
}

static void quit(struct session *session)
{
	struct ipc_commit message = {.session = session->node.key,
				     .total = pop3_server_marked_count(&session->pop3)};

	if (!message.total) {
		mail_close(session);
		pop3_server_reply_ok(&session->pop3, "bye");
		return;
	}
	if (!send_deletions(session) || !mail_ask(session, IPC_COMMIT, &message)) {
		mail_close(session);
		mail_fail(session, POP3_CODE_SYS_TEMP, "nothing was deleted, try again later");
	}
}

static void take_committed(struct session *session, const struct ipc_answer *message)
{
	char text[IPC_TEXT_MAX + 1];

	memcpy(text, ipc_tail(message), message->head.tail);
	text[message->head.tail] = '\0';
	mail_close(session);
	if (message->code)
		pop3_server_reply_err(&session->pop3, (enum pop3_code)message->code, text);
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

static void take_open_failed(struct session *session, const struct ipc_answer *message)
{
	char text[IPC_TEXT_MAX + 1];

	if (session->stage != STAGE_LOGIN || !session->opening)
		return;
	memcpy(text, ipc_tail(message), message->head.tail);
	text[message->head.tail] = '\0';
	session->opening = false;
	login_credit_back(session);
	login_forget(session);
	mail_fail(session,
		  message->code < POP3_CODE_COUNT ? (enum pop3_code)message->code
						  : POP3_CODE_SYS_TEMP,
		  text);
}

void mail_message(struct link *keeper, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = keeper->peer->child->state;
	struct table_node *node;
	struct session *session;

	if (type == IPC_ARENA) {
		if (!keeper->arena)
			keeper->arena = arena_open(fds[0]);
		return;
	}
	node = table_find(&front->sessions, ((const struct ipc_session *)message)->session);
	session = node ? CONTAINER(node, struct session, node) : NULL;
	if (type == IPC_OPENED) {
		mail_opened(keeper, message, fds);
		return;
	}
	if (session && type == IPC_OPEN_FAILED)
		take_open_failed(session, message);
	if (!session || session->link != keeper || !session->mail || !session->credit_keeper)
		return;
	credit_back(session);
	switch (type) {
	case IPC_BODIES:
	case IPC_BODY_LENT:
	case IPC_BODY_FAILED:
	case IPC_SLICE_READY:
		body_message(session, type, message, fds);
		break;
	case IPC_COMMITTED:
		take_committed(session, message);
		break;
	default:
		break;
	}
	session_wake(session);
}
