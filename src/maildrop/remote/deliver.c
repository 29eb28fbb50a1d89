/* See deliver.h. */
#include "maildrop/remote/deliver.h"

#include "base/table.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	READ_MAX = 8192,           /* octets of replies that one reading brings */
	PIECE = 32768,             /* octets of the message that are read at a time */
	OUT = PIECE + PIECE / 2,   /* and their form on the wire */
	TURN_MAX = 1 << 18,        /* octets that are sent in one turn */
	ANSWER_MS = 5 * 60 * 1000, /* to the end of a message: shorter than an MTA waits for us */
};

/* A message on its way to a server, for some of its recipients. */
struct post {
	struct job job;    /* first; reads the next piece from a disk */
	struct post *next; /* among those that get recipients */
	struct node *node;
	struct link link;
	struct loop_later again;
	struct loop_deadline answer;
	struct lmtp_relay relay;
	struct err err;
	uint32_t count;
	struct store_deliver *ops[NODE_RECIPIENTS_MAX];
	struct lmtp_relay_recipient *recipients; /* the same ones */
	/* of the first of ops; as long as that is under way */
	int fd;
	uint64_t size, at; /* octets of the message; that were read */
	pop3_span rest;    /* that are in memory, and not encoded */
	ssize_t got;       /* by the thread; -1: errnum */
	int errnum;
	uint32_t out_at, out_used;
	bool in_memory; /* it can be read without waiting */
	bool reading, sending, over;
	char *piece, *out; /* while it is being sent */
};

static void pump(struct post *post, bool readable);

/* ---- outcomes ---- */

static enum maildrop_status status_of(enum lmtp_relay_result result)
{
	switch (result) {
	case LMTP_RELAY_DELIVERED:
		return MAILDROP_OK;
	case LMTP_RELAY_REFUSED:
		return MAILDROP_REFUSED;
	case LMTP_RELAY_UNKNOWN:
		return MAILDROP_UNKNOWN;
	case LMTP_RELAY_PENDING:
	case LMTP_RELAY_LATER:
		break;
	}
	return MAILDROP_TEMP;
}

/* Why a recipient has no mail: for the log. */
static void explain(const struct post *post, const struct lmtp_relay_recipient *recipient,
		    struct err *err)
{
	const struct remote_server *server = &post->node->server;
	char words[4 * LMTP_RELAY_WORDS_MAX + 1];

	text_escape(words, sizeof(words) - 1, span_of(recipient->words));
	if (!recipient->why)
		err_set(err, EX_TEMPFAIL, "the reply there is: %s", words);
	else if (recipient->code)
		err_set(err, EX_TEMPFAIL, "%s: %s", recipient->why, words);
	else if (post->err.text[0])
		*err = post->err;
	else
		err_set(err, EX_TEMPFAIL, "%s", recipient->why);
	if (recipient->result == LMTP_RELAY_UNKNOWN)
		err_prefix(err, "whether it was delivered is not known");
	err_prefix(err, "lmtp of remote %s, %s port %u", server->name, server->host,
		   (unsigned)server->port);
}

static void answer(const struct post *post, uint32_t i)
{
	const struct lmtp_relay_recipient *recipient = &post->recipients[i];
	struct store_deliver *op = post->ops[i];
	struct node *node = post->node;
	struct err err = {0};

	op->reply.code = recipient->code;
	memcpy(op->reply.enhanced, recipient->enhanced, sizeof(op->reply.enhanced));
	(void)span_copy(span_of(recipient->words), op->reply.words, sizeof(op->reply.words));
	if (recipient->result != LMTP_RELAY_DELIVERED)
		explain(post, recipient, &err);
	node->finish(node->store, &op->op, status_of(recipient->result), &err);
}

static void close_link(struct post *post)
{
	const struct err *why = &post->err;
	struct err err;

	if (!post->err.text[0]) { /* what that server did */
		err_set(&err, EX_TEMPFAIL, "%s", post->relay.why ? post->relay.why : "");
		why = &err;
	}
	link_tell(&post->link, lmtp_relay_works(&post->relay), why);
	loop_later_cancel(&post->again);
	loop_deadline_cancel(&post->answer);
	link_close(&post->link);
}

/* Every recipient has an outcome. A thread that reads the message needs its descriptor. */
static void settle_all(struct post *post)
{
	if (!post->over) {
		post->over = true;
		close_link(post);
	}
	if (post->reading)
		return;
	for (uint32_t i = 0; i < post->count; i++)
		answer(post, i);
	free(post->recipients);
	free(post->piece);
	free(post->out);
	free(post);
}

/* err of the post says why, or the literal. */
static void give_up(struct post *post, const char *why)
{
	lmtp_relay_cut(&post->relay, why);
	settle_all(post);
}

/* ---- the message ---- */

/* For the log of its deliveries. */
static void note_head(const struct post *post, pop3_span octets)
{
	for (uint32_t i = 0; i < post->count; i++) {
		struct store_deliver *op = post->ops[i];

		if (!op->head || op->head_size)
			continue;
		op->head_size = octets.size < op->head_room ? (uint32_t)octets.size : op->head_room;
		memcpy(op->head, octets.data, op->head_size);
	}
}

/* In a thread, or on the loop where the message is in memory. */
static void read_piece(struct job *job)
{
	struct post *post = (struct post *)job;
	uint64_t left = post->size - post->at;
	size_t size = left < PIECE ? (size_t)left : PIECE;

	do {
		post->got = pread(post->fd, post->piece, size, (off_t)post->at);
	} while (post->got < 0 && errno == EINTR);
	post->errnum = errno;
}

/* -1: it cannot be read, and is given up. */
static int take_piece(struct post *post)
{
	if (post->got <= 0) {
		if (post->got < 0)
			err_sys(&post->err, EX_IOERR, post->errnum, "the message cannot be read");
		else
			err_set(&post->err, EX_IOERR, "the message is shorter than it was");
		give_up(post, "the message cannot be read");
		return -1;
	}
	if (post->at == 0)
		note_head(post, (pop3_span){post->piece, (size_t)post->got});
	post->rest = (pop3_span){post->piece, (size_t)post->got};
	post->at += (uint64_t)post->got;
	return 0;
}

static void piece_read(struct job *job)
{
	struct post *post = (struct post *)job;

	post->reading = false;
	if (post->over)
		settle_all(post);
	else if (take_piece(post) == 0)
		pump(post, false);
}

/* The next octets for the wire. 1: there are some; 0: none now; -1: the message is given up. */
static int fill(struct post *post)
{
	if (!post->rest.size && post->at < post->size) {
		if (post->reading)
			return 0;
		if (post->in_memory) {
			read_piece(&post->job);
			if (take_piece(post) < 0)
				return -1;
		} else {
			post->job = (struct job){.run = read_piece, .done = piece_read};
			if (workers_add(*post->node->readers, &post->job, false) < 0) {
				give_up(post, "too many messages are being read");
				return -1;
			}
			post->reading = true;
			return 0;
		}
	}
	post->out_at = 0;
	if (post->rest.size) {
		post->out_used =
			(uint32_t)lmtp_relay_encode(&post->relay, &post->rest, post->out, OUT);
	} else {
		post->out_used = (uint32_t)lmtp_relay_end(&post->relay, post->out, OUT);
		post->sending = false;
	}
	return 1;
}

/* ---- octets ---- */

static pop3_span output(const struct post *post)
{
	pop3_span commands = lmtp_relay_output(&post->relay);

	return commands.size ? commands
			     : (pop3_span){post->out + post->out_at,
					   (size_t)(post->out_used - post->out_at)};
}

static void sent(struct post *post, size_t size)
{
	if (lmtp_relay_output(&post->relay).size)
		lmtp_relay_sent(&post->relay, size);
	else
		post->out_at += (uint32_t)size;
}

/* Octets that went out; -1: the message is over. */
static ssize_t flush(struct post *post)
{
	ssize_t n, all = 0;

	while (all < TURN_MAX) {
		pop3_span out = output(post);

		if (!out.size && post->sending) {
			n = fill(post);
			if (n < 0)
				return -1;
			if (n == 0)
				break;
			continue;
		}
		if (!out.size)
			break;
		n = link_write(&post->link, out);
		if (n < 0) {
			give_up(post, "the connection broke");
			return -1;
		}
		if (n == 0)
			break;
		sent(post, (size_t)n);
		all += n;
	}
	return all;
}

/* False: the message is over, or TLS begins. */
static bool take_event(struct post *post, enum lmtp_relay_event event)
{
	switch (event) {
	case LMTP_RELAY_MORE:
		break;
	case LMTP_RELAY_START_TLS:
		if (link_start_tls(&post->link) < 0)
			give_up(post, "TLS cannot begin");
		else
			link_handshake(&post->link);
		return false;
	case LMTP_RELAY_CONTENT:
		post->piece = malloc(PIECE);
		post->out = malloc(OUT);
		if (!post->piece || !post->out)
			abort();
		post->sending = true;
		break;
	case LMTP_RELAY_OVER:
		if (output(post).size &&
		    post->link.phase == LINK_OPEN) /* QUIT; as well as it goes */
			(void)link_write(&post->link, lmtp_relay_output(&post->relay));
		settle_all(post);
		return false;
	}
	return true;
}

/* What has come is taken. 1: there was some; 0: none; -1: the message is over, or TLS begins. */
static int take_replies(struct post *post)
{
	char buf[READ_MAX];
	ssize_t n = link_read(&post->link, buf, sizeof(buf));
	pop3_span in = {buf, n > 0 ? (size_t)n : 0};
	enum lmtp_relay_event event;

	if (n == -1)
		return 0;
	if (n <= 0) {
		give_up(post, "that server closed the connection");
		return -1;
	}
	do {
		event = lmtp_relay_next(&post->relay, &in);
		if (!take_event(post, event))
			return -1;
	} while (event != LMTP_RELAY_MORE || in.size);
	if (lmtp_relay_works(&post->relay))
		link_tell_works(&post->link);
	return 1;
}

/* A silent server is waited for, not our own disk; longer for what it does with the message. */
static void await(struct post *post, bool progress)
{
	bool has_output = output(post).size != 0;

	if (lmtp_relay_ended(&post->relay) && !has_output) {
		link_await(&post->link, false, progress);
		if (progress || !post->answer.next)
			loop_deadline_renew(&post->node->answers, &post->answer);
		return;
	}
	link_await(&post->link, has_output || lmtp_relay_waits(&post->relay), progress);
}

static void pump(struct post *post, bool readable)
{
	bool progress = false;
	ssize_t n;
	int took;

	if (post->link.phase != LINK_OPEN)
		return;
	do {
		n = flush(post);
		if (n < 0)
			return;
		took = readable ? take_replies(post) : 0;
		if (took < 0)
			return;
		progress = progress || n > 0 || took > 0;
	} while (took > 0);
	if (n >= TURN_MAX)
		loop_later_add(post->node->section.loop, &post->again);
	if (link_want(&post->link, output(post).size ? LOOP_READ | LOOP_WRITE : LOOP_READ) < 0)
		give_up(post, "the connection cannot be watched");
	else
		await(post, progress);
}

static void pump_again(struct loop_later *later)
{
	pump(later->context, true);
}

/* ---- the connection ---- */

static void link_opened(struct link *link)
{
	struct post *post = CONTAINER(link, struct post, link);

	post->err = (struct err){0}; /* of another address */
	if (post->relay.message.starttls && link->tls)
		lmtp_relay_tls_started(&post->relay);
	pump(post, true);
}

static void link_ready(struct link *link, int what)
{
	pump(CONTAINER(link, struct post, link), (what & LOOP_READ) != 0);
}

static void link_failed(struct link *link)
{
	give_up(CONTAINER(link, struct post, link), "the connection failed");
}

static const struct link_owner link_owner = {
	.opened = link_opened, .ready = link_ready, .failed = link_failed};

static void no_answer(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	give_up(CONTAINER(deadline, struct post, answer),
		"that server did not answer the end of the message in time");
}

/* ---- operations ---- */

static void begin(struct post *post)
{
	const struct store_deliver *first = post->ops[0];
	struct node *node = post->node;
	const struct lmtp_relay_message message = {
		.host_name = node->server.host_name,
		.sender = first->sender,
		.size = first->delivery.headers.size + post->size,
		.utf8 = first->utf8,
		.starttls = node->server.tls == REMOTE_STARTTLS,
	};

	post->recipients = calloc(post->count, sizeof(*post->recipients));
	if (!post->recipients)
		abort();
	for (uint32_t i = 0; i < post->count; i++)
		post->recipients[i].address = post->ops[i]->recipient;
	lmtp_relay_init(&post->relay, &message, post->recipients, post->count);
	post->rest = first->delivery.headers;
	link_open(&post->link, &node->section, &link_owner, &post->err);
}

/* All recipients of the turn are known. */
static void begin_all(struct loop_later *later)
{
	struct node *node = later->context;
	struct post *post = node->collecting;

	node->collecting = NULL;
	while (post) {
		struct post *next = post->next;

		begin(post);
		post = next;
	}
}

static struct post *new_post(struct node *node, const struct store_deliver *op)
{
	struct post *post = calloc(1, sizeof(*post));

	if (!post)
		abort();
	post->node = node;
	post->fd = op->delivery.message_fd;
	post->size = op->delivery.message_size;
	post->in_memory = fcntl(post->fd, F_GET_SEALS) >= 0;
	post->again.run = pump_again;
	post->again.context = post;
	loop_deadline_init(&post->answer);
	post->next = node->collecting;
	node->collecting = post;
	loop_later_add(node->section.loop, &node->later);
	return post;
}

void node_deliver(struct node *node, struct store_deliver *op)
{
	struct post *post = node->collecting;
	char path[LMTP_RELAY_PATH_MAX];
	struct err err;

	if (lmtp_relay_path(op->recipient, path, sizeof(path)) < 0) {
		err_set(&err, EX_DATAERR,
			"no mail can be addressed to the name that the user has there: set "
			"remote_user to one that can");
		node->finish(node->store, &op->op, MAILDROP_TEMP, &err);
		return;
	}
	while (post && (post->fd != op->delivery.message_fd || post->count == NODE_RECIPIENTS_MAX))
		post = post->next;
	if (!post)
		post = new_post(node, op);
	post->ops[post->count++] = op;
}

int node_init(struct node *node, struct store *store, struct workers **resolvers,
	      struct workers **readers, const struct remote_server *server, struct err *err)
{
	struct loop *loop = store->host->loop;

	*node = (struct node){.server = *server, .store = store, .readers = readers};
	node->server.host = server->lmtp_host;
	node->server.port = server->lmtp_port;
	node->server.tls = server->lmtp_tls;
	node->server.for_mail = true;
	node->later.run = begin_all;
	node->later.context = node;
	loop_deadlines_init(&node->answers, loop, ANSWER_MS, no_answer, node);
	return section_init(&node->section, loop, resolvers, &node->server, link_silent, err);
}

void node_finish(struct node *node)
{
	loop_later_cancel(&node->later);
	loop_deadlines_finish(&node->answers);
	section_finish(&node->section);
}
