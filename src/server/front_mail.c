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

#define ENTRIES 256  /* of a listing, read at once */
#define LINE_ROOM 96 /* a line of LIST or UIDL */
#define AHEAD_MAX 32 /* messages asked for at once when they come in order */
#define WINDOW (4u << 20)

static const char unreadable[] = "the maildrop cannot be read now, try again later";

static struct chan *channel(const struct session *session)
{
	return &session->link->peer->chan;
}

static void fail(struct session *session, enum pop3_code code, const char *text)
{
	pop3_server_reply_err(&session->pop3, code, text);
	session_wake(session);
}

/* -- opened, closed -- */

static void tell_closed(struct link *keeper, uint64_t number)
{
	struct ipc_session message = {.session = number};

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

static void drop_body(struct mail *mail)
{
	if (mail->body_fd >= 0)
		close(mail->body_fd);
	mail->body_fd = -1;
	mail->body = NULL;
	mail->body_left = 0;
}

static void drop_batch(struct mail *mail)
{
	free(mail->batch);
	mail->batch = NULL;
}

static void drop_listing(struct mail *mail)
{
	free(mail->entries);
	mail->entries = NULL;
}

static void free_mail(struct session *session)
{
	struct mail *mail = session->mail;

	drop_body(mail);
	drop_batch(mail);
	drop_listing(mail);
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
	drop_batch(mail);
	drop_listing(mail);
	index_view_destroy(mail->view);
	mail->view = NULL;
}

/* -- the index -- */

/* The keeper builds it anew for the next login; this session can't go on with it. */
static void index_wrong(struct session *session, const struct err *err)
{
	struct ipc_session message = {.session = session->node.key};

	log_error("session %llu: %s", (unsigned long long)session->node.key, err->text);
	ipc_send(channel(session), IPC_INDEX_WRONG, &message, NULL, 0, NULL, 0);
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

static bool read_entry(struct session *session, uint32_t number, struct index_entry *ret)
{
	struct err err;

	if (!have_view(session))
		return false;
	if (index_view_read(session->mail->view, number, ret, 1, &err) == 1)
		return true;
	index_wrong(session, &err);
	return false;
}

static void list_one(struct session *session, const struct pop3_event *event)
{
	struct index_entry entry;

	if (!read_entry(session, event->number, &entry))
		fail(session, POP3_CODE_SYS_TEMP, unreadable);
	else if (event->type == POP3_EVENT_LIST)
		pop3_server_reply_list_one(&session->pop3, event->number, entry.octets);
	else
		pop3_server_reply_uidl_one(&session->pop3, event->number,
					   (pop3_span){entry.unique_id, entry.unique_id_size});
}

static void list(struct session *session, const struct pop3_event *event)
{
	struct mail *mail = session->mail;

	if (event->number) {
		list_one(session, event);
		return;
	}
	if (!mail->entries)
		mail->entries = malloc(ENTRIES * sizeof(*mail->entries));
	/* its first line is looked at before "+OK" is said */
	if (!mail->entries || (mail->count && !read_entry(session, 1, mail->entries))) {
		fail(session, POP3_CODE_SYS_TEMP, unreadable);
		return;
	}
	mail->listing_next = 1;
	mail->listing_uidl = event->type == POP3_EVENT_UIDL;
	pop3_server_reply_listing(&session->pop3);
}

static size_t render(struct session *session, const struct index_entry *entry, uint32_t number,
		     char *out, size_t cap)
{
	if (pop3_server_marked(&session->pop3, number))
		return 0;
	if (session->mail->listing_uidl)
		return pop3_server_line_uidl(out, cap, number,
					     (pop3_span){entry->unique_id, entry->unique_id_size});
	return pop3_server_line_list(out, cap, number, entry->octets);
}

size_t mail_lines(struct session *session, char *out, size_t cap)
{
	struct mail *mail = session->mail;
	size_t used = 0;
	struct err err;

	while (mail->listing_next <= mail->count && cap - used >= LINE_ROOM) {
		size_t room = (cap - used) / LINE_ROOM;
		int n = index_view_read(mail->view, mail->listing_next, mail->entries,
					room < ENTRIES ? (uint32_t)room : ENTRIES, &err);

		if (n <= 0) { /* "+OK" is out: the only honest end is to cut */
			index_wrong(session, &err);
			session_abort(session);
			return used;
		}
		for (int i = 0; i < n; i++)
			used += render(session, &mail->entries[i], mail->listing_next++, out + used,
				       cap - used);
	}
	if (mail->listing_next > mail->count) {
		drop_listing(mail);
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
	if (!mail->marks || !read_entry(session, event->number, &entry)) {
		fail(session, POP3_CODE_SYS_TEMP, unreadable);
		return;
	}
	if (!pop3_server_has_marks(&session->pop3))
		pop3_server_lend_marks(&session->pop3, mail->marks);
	pop3_server_mark(&session->pop3, event->number, entry.octets);
}

/* -- messages -- */

static bool ask(struct session *session, enum ipc_type type, void *message)
{
	if (ipc_send(channel(session), type, message, NULL, 0, NULL, 0) < 0)
		return false;
	session->credit_keeper = true;
	session->link->unanswered++;
	return true;
}

static void fetch(struct session *session, uint32_t number)
{
	struct mail *mail = session->mail;
	struct ipc_fetch message = {
		.session = session->node.key, .number = number, .count = mail->ahead};

	drop_batch(mail);
	if (!ask(session, IPC_FETCH, &message))
		fail(session, POP3_CODE_SYS_TEMP, unreadable);
}

/* Finds number in the batch; those before it are skipped for good. */
static bool start_from_batch(struct session *session, uint32_t number)
{
	struct mail *mail = session->mail;
	struct batch *batch = mail->batch;

	while (batch && batch->next < batch->count) {
		const struct ipc_body *body = &batch->bodies[batch->next++];
		uint32_t at = batch->offset;

		batch->offset += body->stored;
		if (body->number != number)
			continue;
		mail->body = batch->octets + at;
		mail->body_left = body->stored;
		mail->body_number = number;
		pop3_server_reply_message(&session->pop3, body->octets);
		return true;
	}
	return false;
}

static bool batch_may_hold(const struct batch *batch, uint32_t number)
{
	return batch && batch->next < batch->count && batch->bodies[batch->next].number <= number &&
	       batch->bodies[batch->count - 1].number >= number;
}

static void retr(struct session *session, const struct pop3_event *event)
{
	struct mail *mail = session->mail;
	bool in_order = event->number == mail->last + 1;

	drop_body(mail);
	mail->last = event->number;
	if (batch_may_hold(mail->batch, event->number) && start_from_batch(session, event->number))
		return;
	mail->ahead = !in_order                     ? 1
		      : mail->ahead * 2 > AHEAD_MAX ? AHEAD_MAX
		      : mail->ahead                 ? mail->ahead * 2
						    : 4;
	mail->body_number = event->number;
	fetch(session, event->number);
}

static bool batch_good(const struct ipc_bodies *message, const struct ipc_body *bodies)
{
	uint64_t octets = 0, table = (uint64_t)message->count * sizeof(*bodies);

	if (!message->count || table > message->head.tail)
		return false;
	for (uint32_t i = 0; i < message->count; i++)
		octets += bodies[i].stored;
	return table + octets == message->head.tail;
}

static void take_bodies(struct session *session, const struct ipc_bodies *message)
{
	const struct ipc_body *bodies = (const struct ipc_body *)(const void *)ipc_tail(message);
	struct mail *mail = session->mail;
	struct batch *batch;

	if (!batch_good(message, bodies)) {
		peer_break(session->link->peer, "bodies that do not add up");
		return;
	}
	batch = malloc(sizeof(*batch) + message->head.tail);
	if (!batch) {
		fail(session, POP3_CODE_SYS_TEMP, unreadable);
		return;
	}
	batch->count = message->count;
	batch->next = batch->offset = 0;
	memcpy(batch->bodies, bodies, message->head.tail);
	batch->octets = (char *)&batch->bodies[message->count];
	mail->batch = batch;
	if (!start_from_batch(session, mail->body_number))
		fail(session, POP3_CODE_SYS_TEMP, unreadable);
}

static void take_lent(struct session *session, const struct ipc_body_lent *message, int *fd)
{
	struct mail *mail = session->mail;

	mail->body_fd = *fd;
	*fd = -1;
	mail->body_offset = message->offset;
	mail->body_left = message->stored;
	mail->body_window = message->offset + message->window;
	mail->body_wire_form = message->wire_form;
	mail->slice_asked = false;
	mail->ahead = 1;
	pop3_server_reply_message(&session->pop3, message->octets);
}

static void take_failed(struct session *session, const struct ipc_body_failed *message)
{
	char text[IPC_TEXT_MAX + 1];

	memcpy(text, ipc_tail(message), message->head.tail);
	text[message->head.tail] = '\0';
	if (pop3_server_want(&session->pop3) == POP3_WANT_BODY) { /* a later slice */
		log_warning("session %llu: %s", (unsigned long long)session->node.key, text);
		session_abort(session);
		return;
	}
	fail(session,
	     message->code < POP3_CODE_COUNT ? (enum pop3_code)message->code : POP3_CODE_SYS_TEMP,
	     text);
}

static void ask_slice(struct session *session)
{
	struct mail *mail = session->mail;
	struct ipc_slice message = {.session = session->node.key,
				    .number = mail->body_number,
				    .offset = mail->body_offset,
				    .size = mail->body_left < WINDOW ? mail->body_left : WINDOW};
	struct pop3_event none = {.type = POP3_EVENT_NONE};

	mail->slice_asked = true;
	if (session->link->unanswered >= IPC_KEEPER_CREDITS)
		link_wait(session->link, session, &none);
	else if (!ask(session, IPC_READ_SLICE, &message))
		session_abort(session);
}

static void take_slice(struct session *session, const struct ipc_slice *message)
{
	struct mail *mail = session->mail;

	mail->slice_asked = false;
	mail->body_window = mail->body_offset + message->size;
}

static size_t body_by_value(struct session *session, char *out, size_t cap)
{
	struct mail *mail = session->mail;
	pop3_span in = {mail->body, mail->body_left};
	size_t n = pop3_server_body(&session->pop3, &in, true, out, cap);

	mail->body = in.data;
	mail->body_left = in.size;
	return n;
}

/* The next piece of a lent file, without waiting. -1: it is not in memory (asked for now), or the
 * file is broken. */
static ssize_t read_slice(struct session *session, char *buf, size_t size)
{
	struct mail *mail = session->mail;
	struct iovec part = {buf, mail->body_left < size ? mail->body_left : size};
	ssize_t n;

	if (part.iov_len == 0)
		return 0;
	n = preadv2(mail->body_fd, &part, 1, (off_t)mail->body_offset, RWF_NOWAIT);
	if (n < 0 &&
	    (errno == EOPNOTSUPP || (errno == EAGAIN && mail->body_offset < mail->body_window)))
		n = pread(mail->body_fd, buf, part.iov_len,
			  (off_t)mail->body_offset); /* the keeper just read it */
	if (n > 0)
		return n;
	if (n < 0 && errno == EAGAIN) {
		ask_slice(session);
		return -1;
	}
	log_warning("session %llu: a message became shorter while it was sent",
		    (unsigned long long)session->node.key);
	session_abort(session);
	return -1;
}

/* A large message that is stored as it is sent: all but its last line break goes by sendfile. */
static void body_by_sendfile(struct session *session)
{
	struct mail *mail = session->mail;
	uint64_t size = mail->body_left - 2;

	if (mail->body_offset >= mail->body_window) {
		ask_slice(session);
		return;
	}
	if (size > mail->body_window - mail->body_offset)
		size = mail->body_window - mail->body_offset;
	mail->file_size = size;
	conn_send_file(&session->conn, mail->body_fd, mail->body_offset, size);
}

void mail_file_sent(struct session *session, bool failed)
{
	struct mail *mail = session->mail;

	if (failed || !mail || mail->file_size > mail->body_left) {
		session_abort(session);
		return;
	}
	mail->body_offset += mail->file_size;
	mail->body_left -= mail->file_size;
	pop3_server_body_sent(&session->pop3, mail->file_size);
	mail->file_size = 0;
	session_wake(session);
}

size_t mail_body(struct session *session, char *out, size_t cap)
{
	struct mail *mail = session->mail;
	size_t used = 0;

	if (mail->body)
		return body_by_value(session, out, cap);
	if (mail->slice_asked || mail->file_size)
		return 0;
	if (mail->body_wire_form && mail->body_left > 2 && !mail->body_lines &&
	    conn_can_send_file(&session->conn)) {
		body_by_sendfile(session);
		return 0;
	}
	while (pop3_server_want(&session->pop3) == POP3_WANT_BODY && cap - used >= 64) {
		ssize_t n = read_slice(session, session->front->scratch,
				       sizeof(session->front->scratch));
		pop3_span in = {session->front->scratch, n > 0 ? (size_t)n : 0};
		size_t had = in.size, wrote;

		if (n < 0)
			break;
		wrote = pop3_server_body(&session->pop3, &in, (uint64_t)n == mail->body_left,
					 out + used, cap - used);
		used += wrote;
		mail->body_offset += had - in.size;
		mail->body_left -= had - in.size;
		if (!wrote && had == in.size)
			break;
	}
	if (pop3_server_want(&session->pop3) != POP3_WANT_BODY)
		drop_body(mail);
	return used;
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
			if (ipc_send(channel(session), IPC_DELETE, &message, &tail, 1, NULL, 0) < 0)
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
	if (!send_deletions(session) || !ask(session, IPC_COMMIT, &message)) {
		mail_close(session);
		fail(session, POP3_CODE_SYS_TEMP, "nothing was deleted, try again later");
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
		ask_slice(session);
	else
		mail_event(session, event);
}

void mail_event(struct session *session, const struct pop3_event *event)
{
	bool asks = event->type == POP3_EVENT_RETR || event->type == POP3_EVENT_TOP ||
		    event->type == POP3_EVENT_QUIT;

	loop_deadline_renew(&session->front->spare, &session->spare);
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
		session->mail->body_lines = event->type == POP3_EVENT_TOP;
		retr(session, event);
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
	fail(session,
	     message->code < POP3_CODE_COUNT ? (enum pop3_code)message->code : POP3_CODE_SYS_TEMP,
	     text);
}

void mail_message(struct link *keeper, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = keeper->peer->child->state;
	struct table_node *node =
		table_find(&front->sessions, ((const struct ipc_session *)message)->session);
	struct session *session = node ? CONTAINER(node, struct session, node) : NULL;

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
		take_bodies(session, message);
		break;
	case IPC_BODY_LENT:
		take_lent(session, message, &fds[0]);
		break;
	case IPC_BODY_FAILED:
		take_failed(session, message);
		break;
	case IPC_SLICE_READY:
		take_slice(session, message);
		break;
	case IPC_COMMITTED:
		take_committed(session, message);
		break;
	default:
		break;
	}
	session_wake(session);
}
