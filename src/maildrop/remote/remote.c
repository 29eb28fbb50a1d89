/* See remote.h. */
#include "maildrop/remote/remote.h"

#include "base/text.h"
#include "maildrop/remote/session.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { THREADS = 2 }; /* that look names up */

/* An operation that has ended: done() is called at the end of the turn. */
struct ended {
	struct ended *next;
	struct store_op *op;
};

struct remote {
	struct store store;
	struct workers *workers;
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

static struct section *find_section(struct remote *remote, const char *path)
{
	for (unsigned i = 0; i < remote->count; i++) {
		size_t n = strlen(remote->sections[i].server->name);

		if (strncmp(path, remote->sections[i].server->name, n) == 0 && path[n] == '/')
			return &remote->sections[i];
	}
	return NULL;
}

static void open_session(struct store *store, struct store_where *where, struct store_open *op)
{
	struct remote *remote = remote_of(store);
	struct section *section = find_section(remote, where->path);
	struct remote_session *session;
	struct err err;

	if (!section) {
		finish_words(store, &op->op, MAILDROP_PERM, "there is no such remote section");
		return;
	}
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
	(void)where;
	finish_words(store, &op->op, MAILDROP_TEMP, "nothing is delivered to another server");
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
	for (unsigned i = 0; i < count; i++) {
		if (section_init(&remote->sections[i], host->loop, &remote->workers, &servers[i],
				 link_silent, err) < 0) {
			remote_store_destroy(&remote->store);
			return NULL;
		}
		remote->count++;
	}
	return &remote->store;
}

int remote_store_start(struct store *store, struct err *err)
{
	struct remote *remote = remote_of(store);

	remote->workers = workers_create(store->host->loop, THREADS, 0, remote->count + 1, err);
	return remote->workers ? 0 : -1;
}

void remote_store_destroy(struct store *store)
{
	struct remote *remote = remote_of(store);

	if (!store)
		return;
	workers_destroy(remote->workers);
	for (unsigned i = 0; i < remote->count; i++)
		section_finish(&remote->sections[i]);
	free(remote);
}
