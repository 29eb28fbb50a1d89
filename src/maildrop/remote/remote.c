/* See remote.h. */
#include "maildrop/remote/remote.h"

#include "base/text.h"
#include "maildrop/remote/deliver.h"
#include "maildrop/remote/session.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	THREADS = 2, /* that look names up */
	READERS = 2, /* that read messages from a disk */
};

/* An operation that has ended: done() is called at the end of the turn. */
struct ended {
	struct ended *next;
	struct store_op *op;
};

struct remote {
	struct store store;
	struct workers *workers, *readers;
	struct node **nodes; /* of each section; NULL: it has none */
	struct loop_later later;
	struct ended *first, **last;
	unsigned count;
	struct section sections[];
};

static struct remote *remote_of(struct store *store)
{
	return (struct remote *)store;
}

static struct remote_session *session_of(struct maildrop *maildrop)
{
	return (struct remote_session *)maildrop;
}

static void run_ended(struct loop_later *later)
{
	struct remote *remote = later->context;
	struct ended *first = remote->first;

	remote->first = NULL;
	remote->last = &remote->first;
	while (first) {
		struct ended *ended = first;
		struct store_op *op = ended->op;

		first = ended->next;
		free(ended);
		op->done(op);
	}
}

static void finish(struct store *store, struct store_op *op, enum maildrop_status status,
		   const struct err *err)
{
	struct remote *remote = remote_of(store);
	struct ended *ended = calloc(1, sizeof(*ended));

	if (!ended)
		abort(); /* a new process is better than a session that waits for ever */
	op->own = NULL;
	op->status = status;
	if (err)
		op->err = *err;
	ended->op = op;
	*remote->last = ended;
	remote->last = &ended->next;
	loop_later_add(store->host->loop, &remote->later);
}

static void finish_words(struct store *store, struct store_op *op, enum maildrop_status status,
			 const char *words)
{
	struct err err;

	err_set(&err, EX_TEMPFAIL, "%s", words);
	finish(store, op, status, &err);
}

/* ---- operations ---- */

static void away(struct store *store, bool is_away)
{
	(void)store;
	(void)is_away;
}

static void leave(struct store *store, struct store_where *where)
{
	(void)store;
	(void)where;
}

static enum maildrop_status try_open(struct store *store, struct store_where *where,
				     const struct store_who *who, struct maildrop **ret)
{
	(void)store;
	(void)where;
	(void)who;
	(void)ret;
	return MAILDROP_WAIT;
}

static enum maildrop_status open_empty(struct store *store, struct store_where *where,
				       struct maildrop **ret, struct err *err)
{
	(void)store;
	(void)where;
	(void)ret;
	err_set(err, EX_SOFTWARE, "another server's maildrop is never taken for an empty one");
	return MAILDROP_TEMP;
}

/* The place of the section; -1: there is none. */
static int find_section(const struct remote *remote, const char *path)
{
	for (unsigned i = 0; i < remote->count; i++) {
		size_t n = strlen(remote->sections[i].server->name);

		if (strncmp(path, remote->sections[i].server->name, n) == 0 && path[n] == '/')
			return (int)i;
	}
	return -1;
}

static void open_session(struct store *store, struct store_where *where, struct store_open *op)
{
	struct remote *remote = remote_of(store);
	int place = find_section(remote, where->path);
	struct remote_session *session;
	struct section *section;
	struct err err;

	if (place < 0) {
		finish_words(store, &op->op, MAILDROP_PERM, "there is no such remote section");
		return;
	}
	section = &remote->sections[place];
	session = calloc(1, sizeof(*session));
	if (!session)
		abort();
	if (talk_init(&session->talk, op->who.login, op->who.secret,
		      (section->server->tls == REMOTE_STARTTLS ? TALK_STLS : 0u) |
			      (section->server->token ? TALK_TOKEN : 0u),
		      &section->abilities, &err) < 0) {
		talk_finish(&session->talk);
		free(session);
		finish(store, &op->op, MAILDROP_REFUSED, &err);
		return;
	}
	store_opened(&session->head, store, where);
	session->section = section;
	session->loop = store->host->loop;
	session->finish = finish;
	op->op.own = session;
	session_open(session, op);
}

static bool try_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	(void)maildrop;
	(void)op;
	return false;
}

static void fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	op->op.own = session_of(maildrop);
	session_fetch(session_of(maildrop), op);
}

static void slice(struct maildrop *maildrop, struct store_slice *op)
{
	op->op.own = session_of(maildrop);
	session_slice(session_of(maildrop), op);
}

static void wrong(struct maildrop *maildrop, struct store_wrong *op)
{
	finish(maildrop->store, &op->op, MAILDROP_OK, NULL);
}

static void commit(struct maildrop *maildrop, struct store_commit *op)
{
	session_commit(session_of(maildrop), op);
}

static bool try_close(struct maildrop *maildrop)
{
	session_destroy(session_of(maildrop));
	return true;
}

static void close_session(struct maildrop *maildrop, struct store_close *op)
{
	struct store *store = maildrop->store;

	session_destroy(session_of(maildrop));
	finish(store, &op->op, MAILDROP_OK, NULL);
}

static void usage(struct store *store, struct store_where *where, struct store_usage *op)
{
	(void)where;
	finish_words(store, &op->op, MAILDROP_TEMP, "another server's quota is not known");
}

static void deliver(struct store *store, struct store_where *where, struct store_deliver *op)
{
	struct remote *remote = remote_of(store);
	int place = find_section(remote, where->path);

	if (place < 0 || !remote->nodes[place])
		finish_words(
			store, &op->op, MAILDROP_TEMP,
			"the remote section has no lmtp = \"HOST:PORT\" that mail for its users "
			"is passed on to");
	else
		node_deliver(remote->nodes[place], op);
}

static void make(struct store *store, struct store_where *where, struct store_op *op)
{
	(void)where;
	finish_words(store, op, MAILDROP_TEMP, "nothing is made on another server");
}

static void cancel(struct store *store, struct store_op *op)
{
	(void)store;
	if (op->own)
		session_cancel(op->own, op);
}

static const struct store_ops ops = {
	.away = away,
	.leave = leave,
	.hurry = leave,
	.try_open = try_open,
	.open_empty = open_empty,
	.open = open_session,
	.try_fetch = try_fetch,
	.fetch = fetch,
	.slice = slice,
	.wrong = wrong,
	.commit = commit,
	.try_close = try_close,
	.close = close_session,
	.usage = usage,
	.deliver = deliver,
	.make = make,
	.cancel = cancel,
};

static int add_node(struct remote *remote, unsigned i, const struct remote_server *server,
		    struct err *err)
{
	struct node *node;

	if (!server->lmtp_host)
		return 0;
	node = calloc(1, sizeof(*node));
	if (!node)
		return err_set(err, EX_OSERR, "out of memory");
	if (node_init(node, &remote->store, &remote->workers, &remote->readers, server, err) < 0) {
		free(node);
		return -1;
	}
	node->finish = finish;
	remote->nodes[i] = node;
	return 0;
}

struct store *remote_store_create(const struct store_host *host,
				  const struct remote_server *servers, unsigned count,
				  struct err *err)
{
	struct remote *remote = calloc(1, sizeof(*remote) + count * sizeof(remote->sections[0]));

	if (!remote) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	remote->store = (struct store){.ops = &ops, .host = host};
	remote->last = &remote->first;
	remote->later.run = run_ended;
	remote->later.context = remote;
	remote->nodes = calloc(count + 1, sizeof(*remote->nodes));
	if (!remote->nodes) {
		err_set(err, EX_OSERR, "out of memory");
		remote_store_destroy(&remote->store);
		return NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		if (section_init(&remote->sections[i], host->loop, &remote->workers, &servers[i],
				 link_silent, err) < 0) {
			remote_store_destroy(&remote->store);
			return NULL;
		}
		remote->count++;
		if (add_node(remote, i, &servers[i], err) < 0) {
			remote_store_destroy(&remote->store);
			return NULL;
		}
	}
	return &remote->store;
}

int remote_store_start(struct store *store, struct err *err)
{
	struct remote *remote = remote_of(store);

	unsigned nodes = 0;

	for (unsigned i = 0; i < remote->count; i++)
		nodes += remote->nodes[i] != NULL;
	remote->workers =
		workers_create(store->host->loop, THREADS, 0, remote->count + nodes + 1, err);
	if (!remote->workers || !nodes)
		return remote->workers ? 0 : -1;
	remote->readers =
		workers_create(store->host->loop, READERS, 0, nodes * SECTION_MAIL_MAX, err);
	return remote->readers ? 0 : -1;
}

uint32_t remote_replaced_ids(const struct maildrop *maildrop)
{
	return ((const struct remote_session *)maildrop)->talk.listing.replaced;
}

void remote_store_destroy(struct store *store)
{
	struct remote *remote = remote_of(store);

	if (!store)
		return;
	workers_destroy(remote->workers);
	workers_destroy(remote->readers);
	for (unsigned i = 0; i < remote->count; i++) {
		if (remote->nodes[i])
			node_finish(remote->nodes[i]);
		free(remote->nodes[i]);
		section_finish(&remote->sections[i]);
	}
	free(remote->nodes);
	free(remote);
}
