/* See sasl.h. */
#include "server/mta/sasl.h"

#include "base/secret.h"
#include "base/text.h"
#include "server/mta/credit.h"
#include "server/mta/sasl_exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EXCHANGES_MAX = 64,      /* of a connection at a time; more wait */
	OUTPUT_MAX = 128 * 1024, /* octets; nothing is read while there are more */
	GREETING_MAX = 2048,
};

static const struct conn_handler handler;

static struct sasl_session *session_of(struct conn *conn)
{
	return CONTAINER(conn, struct sasl_session, client.conn);
}

/* ---- life ---- */

/* Whether the program at the other end is one of an MTA: nobody else can have its uid. */
static bool is_believed(const struct mta *mta, int fd)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0 || size != sizeof(ucred))
		return false;
	for (uint32_t i = 0; i < mta->peers.count; i++)
		if (mta->peers.uids[i] == ucred.uid)
			return true;
	return false;
}

void sasl_session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct mta *mta = CONTAINER(frame, struct mta, frame);
	struct sasl_session *session = calloc(1, sizeof(*session));

	if (!session)
		return;
	session->mta = mta;
	session->number = ++mta->last_connection;
	session->believed = !from->text[0] && is_believed(mta, *fd);
	frame_add(frame, &session->client, from);
	if (session->believed)
		frame_known(frame, &session->client);
	loop_deadline_renew(&mta->idle, &session->client.deadline);
	conn_init(&session->client.conn, frame->child->loop, fd, &handler, NULL);
}

void sasl_session_end_idle(struct front_frame *frame, struct client *client)
{
	struct sasl_session *session = CONTAINER(client, struct sasl_session, client);

	(void)frame;
	if (!session->exchange_count)
		sasl_session_end(session);
}

bool sasl_session_may_give_way(const struct client *client)
{
	const struct sasl_session *session =
		(const struct sasl_session *)(const void *)((const char *)client -
							    offsetof(struct sasl_session, client));

	return !session->exchange_count;
}

void sasl_session_give_way(struct client *client)
{
	sasl_session_end(CONTAINER(client, struct sasl_session, client));
}

static void drop_line(struct sasl_session *session)
{
	if (session->line)
		wipe(session->line, FIELDS_LINE_MAX);
	free(session->line);
	session->line = NULL;
	session->line_size = 0;
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct sasl_session *session = session_of(conn);

	(void)why;
	session->gone = true;
	frame_remove(&session->mta->frame, &session->client);
	while (session->exchanges)
		sasl_exchange_end(session->exchanges);
	drop_line(session);
	free(session->out);
	free(session);
}

/* ---- the greeting ---- */

static void say(struct sasl_session *session, const char *text)
{
	sasl_session_say(session, text, strlen(text));
}

/* The parameters of a mechanism, in the words of the protocol: an MTA offers those that show the
 * secret under TLS only, if it is told so. */
static const char *nature(pop3_span mechanism)
{
	if (config_mechanism_shows_secret(mechanism))
		return "\tplaintext";
	return span_equal(mechanism, SPAN_LITERAL("CRAM-MD5"))
		       ? "\tdictionary\tactive"
		       : "\tdictionary\tactive\tmutual-auth";
}

/* The TLS connection is the MTA's: there is nothing here to bind a login to. */
static bool binds_channel(pop3_span mechanism)
{
	return mechanism.size > 5 && memcmp(mechanism.data + mechanism.size - 5, "-PLUS", 5) == 0;
}

static void greet(struct sasl_session *session)
{
	unsigned char cookie[16];
	char text[GREETING_MAX], hex[33];

	if (getrandom(cookie, sizeof(cookie), 0) != sizeof(cookie)) {
		conn_abort(&session->client.conn);
		return;
	}
	hex_encode(cookie, sizeof(cookie), hex);
	session->greeted = true;
	say(session, "VERSION\t1\t2");
	/* both Postfix and Exim want the mechanisms in front of SPID */
	for (const char *p = session->mta->mechanisms; *(p += strspn(p, " "));
	     p += strcspn(p, " ")) {
		pop3_span mechanism = {p, strcspn(p, " ")};

		if (binds_channel(mechanism))
			continue;
		snprintf(text, sizeof(text), "MECH\t%.*s%s", (int)mechanism.size, mechanism.data,
			 nature(mechanism));
		say(session, text);
	}
	snprintf(text, sizeof(text), "SPID\t%d\nCUID\t%u\nCOOKIE\t%s\nDONE", (int)getpid(),
		 session->number, hex);
	say(session, text);
}

/* ---- input ---- */

/* Cuts a line off the front of *in, which is used up where there is no whole one. Returns 1 with a
 * line, which lives until drop_line; 0: not yet; -1: it is too long. */
static int next_line(struct sasl_session *session, pop3_span *in, pop3_span *ret)
{
	const char *end = in->size ? memchr(in->data, '\n', in->size) : NULL;
	size_t n = end ? (size_t)(end - in->data) : in->size;

	if (session->line_size + n > FIELDS_LINE_MAX)
		return -1;
	*ret = (pop3_span){in->data, n};
	if (session->line || !end) {
		if (n && !session->line && !(session->line = malloc(FIELDS_LINE_MAX)))
			return -1;
		if (n)
			memcpy(session->line + session->line_size, in->data, n);
		session->line_size += n;
		*ret = (pop3_span){session->line, session->line_size};
	}
	in->data += n + (end != NULL);
	in->size -= n + (end != NULL);
	return end != NULL;
}

static bool take_handshake(struct sasl_session *session, enum fields_line kind)
{
	if (kind == FIELDS_VERSION && !session->has_version)
		return session->has_version = true;
	if (kind == FIELDS_CPID && session->has_version && !session->has_process)
		return session->has_process = true;
	return session->has_version && kind == FIELDS_OTHER;
}

static void say_unknown(struct sasl_session *session, uint32_t id)
{
	char text[64];

	snprintf(text, sizeof(text), "FAIL\t%u\treason=there is no such exchange", id);
	say(session, text);
}

/* Returns false when it is not the protocol. */
static bool take_line(struct sasl_session *session, pop3_span line)
{
	struct sasl_exchange *exchange;
	struct fields fields;
	enum fields_line kind = fields_parse(line, &fields);

	if (!session->has_process)
		return take_handshake(session, kind);
	exchange = sasl_exchange_find(session, fields.id);
	switch (kind) {
	case FIELDS_AUTH:
		if (exchange)
			return false;
		sasl_exchange_start(session, &fields);
		return true;
	case FIELDS_CONT:
		if (exchange)
			sasl_exchange_respond(exchange, fields.response);
		else
			say_unknown(session, fields.id);
		return true;
	case FIELDS_CANCEL:
		if (exchange)
			sasl_exchange_end(exchange);
		return true;
	case FIELDS_OTHER:
		return true;
	case FIELDS_VERSION:
	case FIELDS_CPID:
	case FIELDS_BAD:
		break;
	}
	return false;
}

/* Takes one line if it can be answered now. Returns whether it did. */
static bool take_input(struct sasl_session *session, pop3_span *in)
{
	pop3_span line;
	int whole;

	if (!in->size || session->exchange_count >= EXCHANGES_MAX ||
	    session->out_size > OUTPUT_MAX || !mta_has_credit(session->mta))
		return false;
	if (!session->exchange_count)
		loop_deadline_renew(&session->mta->idle, &session->client.deadline);
	whole = next_line(session, in, &line);
	if (whole < 0 || (whole > 0 && !take_line(session, line)))
		session->over = true;
	if (whole)
		drop_line(session);
	return whole > 0;
}

static size_t exchange_octets(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct sasl_session *session = session_of(conn);
	size_t used = 0;

	if (!session->greeted && session->mta->offered)
		greet(session);
	while (session->greeted && !session->over && take_input(session, in))
		;
	used = sasl_session_pull(session, out, cap);
	if (session->over && !session->out)
		conn_close(conn);
	return used;
}

/* A half-closed connection still gets the answers to what it asked. */
static bool busy(struct conn *conn)
{
	const struct sasl_session *session = session_of(conn);

	return session->exchange_count > 0 || session->out;
}

static const struct conn_handler handler = {
	.exchange = exchange_octets, .busy = busy, .closed = closed};
