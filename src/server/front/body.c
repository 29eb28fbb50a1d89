/* See body.h. */
#include "server/front/body.h"

#include "base/log.h"
#include "server/front/session.h"

#include <stdlib.h>

static struct body *body_of(const struct session *session)
{
	return session->mailbox->now->body;
}

static struct link_user *keeper_of(const struct session *session)
{
	return &session->mailbox->now->keeper;
}

static struct body *create(uint32_t count)
{
	struct body *body = malloc(sizeof(*body));

	if (!body)
		return NULL;
	reader_init(&body->reader, count);
	lent_init(&body->lent);
	body->stream = (struct stream){0};
	return body;
}

void body_trim(struct body *body)
{
	if (body)
		reader_trim(&body->reader);
}

void body_destroy(struct body *body)
{
	if (!body)
		return;
	lent_close(&body->lent, false);
	stream_close(&body->stream);
	reader_finish(&body->reader);
	free(body);
}

/* ---- commands ---- */

static bool fetch(struct session *session, struct ipc_fetch *message)
{
	message->session = session->client.node.key;
	message->utf8 = session->pop3.utf8 ? 0 : session->front->utf8_headers;
	if (link_ask(keeper_of(session), IPC_FETCH, message))
		return true;
	reader_not_sent(&body_of(session)->reader);
	return false;
}

static void fetch_ahead(struct session *session)
{
	struct link_user *keeper = keeper_of(session);
	struct ipc_fetch message = {0};

	if (link_has_credit(keeper) &&
	    reader_fetch_ahead(&body_of(session)->reader, link_arena(keeper), &message))
		fetch(session, &message);
}

/* "+OK", and the message behind it. */
static void reply(struct session *session, uint64_t octets)
{
	trace_asked(session, octets);
	pop3_server_reply_message(&session->pop3, octets);
}

void body_event(struct session *session, const struct pop3_event *event)
{
	struct part *part = session->mailbox->now;
	struct body *body = part->body;
	struct ipc_fetch message = {0};
	uint64_t octets;

	if (!body && !(body = part->body = create(part->count))) {
		session_refuse(session, REASON_MEMORY);
		return;
	}
	lent_close(&body->lent, event->type == POP3_EVENT_RETR);
	stream_close(&body->stream);
	reader_drop_body(&body->reader);
	if (reader_find(&body->reader, event->number, &octets)) {
		reply(session, octets);
		fetch_ahead(session);
		return;
	}
	reader_fetch(&body->reader, link_arena(keeper_of(session)), &message);
	message.top = event->type == POP3_EVENT_TOP;
	message.lines = message.top ? event->lines : 0;
	if (!fetch(session, &message))
		session_refuse(session, REASON_MESSAGE_TEMP);
}

bool body_is_ahead(const struct session *session)
{
	const struct body *body = body_of(session);

	return body && reader_is_ahead(&body->reader);
}

void body_hold(struct session *session, const struct pop3_event *event)
{
	reader_hold(&body_of(session)->reader, event);
}

void body_ask_more(struct session *session)
{
	struct body *body = body_of(session);
	bool streams = stream_is_open(&body->stream), sent;
	struct pop3_event none = {.type = POP3_EVENT_NONE};
	struct ipc_slice slice = {.session = session->client.node.key};
	struct ipc_stream stream = {.session = session->client.node.key};

	if (streams)
		stream_ask(&body->stream, link_arena(keeper_of(session)), &stream);
	else
		lent_ask(&body->lent, &slice);
	if (!link_has_credit(keeper_of(session)))
		sent = link_wait(keeper_of(session), &none) == 0;
	else if (streams)
		sent = link_ask(keeper_of(session), IPC_READ_STREAM, &stream);
	else
		sent = link_ask(keeper_of(session), IPC_READ_SLICE, &slice);
	if (!sent)
		conn_abort(&session->client.conn);
}

/* ---- answers ---- */

bool body_fits(const struct session *session, enum ipc_type asked, enum ipc_type type,
	       const void *message)
{
	const struct body *body = body_of(session);

	if (!body)
		return false;
	if (asked == IPC_READ_STREAM)
		return stream_fits(&body->stream, type, message);
	if (asked == IPC_READ_SLICE)
		return lent_fits(&body->lent, type, message);
	return reader_fits(&body->reader, type, message);
}

static void take_bodies(struct session *session)
{
	uint64_t octets;

	if (reader_find_asked(&body_of(session)->reader, &octets))
		reply(session, octets);
	else
		session_refuse(session, REASON_MESSAGE_TEMP);
}

static void take_lent(struct session *session, const struct ipc_body_lent *message, int *fd)
{
	struct body *body = body_of(session);

	lent_take(&body->lent, message, fd);
	reader_large(&body->reader);
	reply(session, message->octets);
}

/* Nobody knows its size before its end. */
static void take_stream(struct session *session, const struct ipc_body_stream *message)
{
	struct body *body = body_of(session);

	stream_open(&body->stream, message->number, body->lent.whole);
	reader_large(&body->reader);
	reply(session, POP3_OCTETS_UNKNOWN);
}

/* The message that goes out has other octets than announced: the keeper counts it anew for the next
 * session, and says which file it is. */
static void wrong(struct session *session)
{
	struct ipc_body_wrong message = {.session = session->client.node.key,
					 .number = body_of(session)->lent.number};

	if (link_of(keeper_of(session)))
		ipc_send(link_chan(keeper_of(session)), IPC_BODY_WRONG, &message);
}

static void take_failed(struct session *session, const struct ipc_body_failed *message)
{
	if (pop3_server_want(&session->pop3) == POP3_WANT_BODY) { /* a later slice */
		ending_reason(session, reason_row(message->reason)->words);
		if (message->reason == REASON_MESSAGE_GONE)
			wrong(session);
		conn_abort(&session->client.conn);
		return;
	}
	session_refuse(session, (enum reason)message->reason);
}

bool body_message(struct session *session, enum ipc_type type, const void *message, int *fds,
		  struct pop3_event *ret_held)
{
	struct body *body = body_of(session);
	int none = -1;

	if (type != IPC_BODIES) {
		reader_not_taken(&body->reader);
	} else if (reader_take(&body->reader, message) < 0) {
		conn_abort(&session->client.conn);
		return false;
	}
	/* a message that did not come by value is asked for again, when the client wants it */
	if (reader_is_ahead(&body->reader))
		return reader_ahead_over(&body->reader, ret_held);
	if (type == IPC_BODIES)
		take_bodies(session);
	else if (type == IPC_BODY_LENT || type == IPC_BODY_SLICED)
		take_lent(session, message, type == IPC_BODY_LENT ? &fds[0] : &none);
	else if (type == IPC_BODY_STREAM)
		take_stream(session, message);
	else if (type == IPC_BODY_FAILED)
		take_failed(session, message);
	else if (type == IPC_STREAM ? stream_take(&body->stream, message) < 0
				    : lent_slice(&body->lent, message) < 0)
		conn_abort(&session->client.conn);
	return false;
}

/* ---- what goes out ---- */

static void take_step(struct session *session, enum lent_step step)
{
	switch (step) {
	case LENT_WANTS:
		body_ask_more(session);
		break;
	case LENT_BROKEN:
		ending_reason(session, "a message became shorter while it was sent");
		wrong(session);
		conn_abort(&session->client.conn);
		break;
	case LENT_DONE:
	case LENT_BY_VALUE:
		break;
	}
}

/* The next piece is asked for before this one goes out, and none while the client is waited for. */
static size_t render_stream(struct session *session, struct stream *stream, char *out, size_t cap)
{
	size_t used;

	if (stream_wants(stream))
		body_ask_more(session);
	used = stream_render(stream, &session->pop3, out, cap);
	if (pop3_server_want(&session->pop3) != POP3_WANT_BODY)
		stream_close(stream);
	return used;
}

size_t body_render(struct session *session, char *out, size_t cap)
{
	struct body *body = body_of(session);
	enum lent_step step;
	size_t used = 0;

	if (stream_is_open(&body->stream))
		return render_stream(session, &body->stream, out, cap);

	if (reader_has_body(&body->reader))
		return reader_render(&body->reader, &session->pop3, out, cap);
	if (lent_waits(&body->lent))
		return 0;
	step = lent_send_file(&body->lent, &session->client.conn);
	if (step == LENT_BY_VALUE)
		step = lent_render(&body->lent, &session->pop3, session->front->scratch, out, cap,
				   &used);
	take_step(session, step);
	if (pop3_server_want(&session->pop3) == POP3_WANT_CLOSE)
		wrong(session);
	if (pop3_server_want(&session->pop3) != POP3_WANT_BODY)
		lent_close(&body->lent, false);
	return used;
}

void body_file_sent(struct session *session, bool failed)
{
	if (session->mailbox && !failed)
		ending_octets(session, body_of(session)->lent.size);
	if (session->mailbox && lent_file_sent(&body_of(session)->lent, failed, &session->pop3)) {
		conn_wake(&session->client.conn);
		return;
	}
	if (session->mailbox)
		wrong(session);
	conn_abort(&session->client.conn);
}
