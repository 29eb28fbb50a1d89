/*
 * A store without files, for a keeper in a process of its own (role_test.h): whatever can be asked
 * of it waits until the test says how it ends. Header only; link with --wrap=store_create. Three
 * messages of a maildrop come in slices alone: octet n of message m is fake_octet(m, n).
 */
#ifndef TESTS_FAKE_STORE_H
#define TESTS_FAKE_STORE_H

#include "role_test.h"

#include "maildrop/driver.h"
#include "maildrop/store.h"

#include <assert.h>

enum fake_what {
	FAKE_OPEN,
	FAKE_FETCH,
	FAKE_SLICE,
	FAKE_WRONG,
	FAKE_COMMIT,
	FAKE_CLOSE,
	FAKE_USAGE,
	FAKE_DELIVER,
	FAKE_MAKE,
	FAKE_ASK,
	FAKE_KINDS
};
enum {
	FAKE_COUNT = 3,
	FAKE_STORED = 100000,
	FAKE_PENDING = 16,
	FAKE_EVENT = 100,
	FAKE_ASKED,
	FAKE_TOLD,
	FAKE_ASKED_IDLE = 1000, /* milliseconds that another machine's site wants */
};

/* Of the test and the role's process: what the store was asked for, and how it behaves. */
struct fake_shared {
	atomic_uint begun[FAKE_KINDS], cancelled, flags, hurried, left, open;
	atomic_int try_open; /* enum maildrop_status */
	atomic_bool try_close, away;
	atomic_uint abilities;
	/* other machines: what they answer to FAKE_ASK; what this one was answered, and told */
	struct store_holding holding;
	struct store_ask asks;
	atomic_uint answered, told;
	struct store_holding answer;
	char octets[STORE_TELL_MAX];
	size_t size;
	atomic_ulong sliced,
		session; /* octets that slices gave; the session that was opened last */
};
static struct fake_shared *fake_shared;
static int fake_pipe[2];

/* A command: operation `what` that has waited longest ends with this status; or, what FAKE_EVENT,
 * an event of the maildrop that was opened last. FAKE_ASKED: another machine asks for that one, and
 * would take it or not; FAKE_TOLD: another machine tells what octets has. */
struct fake_command {
	int what, status;
};

static inline char fake_octet(uint32_t number, uint64_t at)
{
	return at % 50 == 48 ? '\r' : at % 50 == 49 ? '\n' : (char)('a' + (number + at / 50) % 26);
}

/* ---- in the keeper's process ---- */

struct store *__wrap_store_create(enum store_kind kind, const struct store_host *host,
				  const struct maildrop_settings *settings, int root_fd,
				  struct err *err);

struct fake_maildrop {
	struct maildrop head;
	int fd;
};

static struct fake_store {
	struct store store;
	struct loop_watch watch;
	struct {
		struct store_op *op;
		struct maildrop *maildrop;
		struct store_where *where;
		int what;
	} pending[FAKE_PENDING];
	unsigned count;
	struct maildrop *last;
} fake;

static inline struct maildrop *fake_open_now(struct store_where *where, const struct store_who *who)
{
	struct fake_maildrop *m = calloc(1, sizeof(*m));

	m->fd = memfd_create("fake", MFD_CLOEXEC);
	m->head.snapshot = (struct maildrop_snapshot){.base_fd = m->fd,
						      .delta_fd = m->fd,
						      .count = FAKE_COUNT,
						      .octets = FAKE_COUNT * FAKE_STORED};
	store_opened(&m->head, &fake.store, where);
	fake.last = &m->head;
	fake_shared->flags = who->flags;
	fake_shared->session = who->session;
	fake_shared->open++;
	return &m->head;
}

static inline void fake_close_now(struct maildrop *maildrop)
{
	struct fake_maildrop *m = (struct fake_maildrop *)maildrop;

	if (fake.last == maildrop)
		fake.last = NULL;
	fake_shared->open--;
	close(m->fd);
	free(m);
}

static inline void fake_begin(int what, struct store_where *where, struct maildrop *maildrop,
			      struct store_op *op)
{
	assert(fake.count < FAKE_PENDING);
	fake.pending[fake.count].op = op;
	fake.pending[fake.count].maildrop = maildrop;
	fake.pending[fake.count].where = where;
	fake.pending[fake.count].what = what;
	fake.count++;
	fake_shared->begun[what]++;
}

/* What is answered where the operation is well. */
static inline void fake_fill(int what, struct store_where *where, struct maildrop *maildrop,
			     struct store_op *op)
{
	struct store_fetch *fetch = (struct store_fetch *)op;
	struct store_slice *slice = (struct store_slice *)op;

	if (what == FAKE_OPEN) {
		((struct store_open *)op)->maildrop =
			fake_open_now(where, &((struct store_open *)op)->who);
	} else if (what == FAKE_FETCH) {
		fetch->form = STORE_STREAM;
		fetch->body = (struct maildrop_body){
			.fd = -1, .stored = FAKE_STORED, .octets = FAKE_STORED, .wire_form = true};
	} else if (what == FAKE_SLICE) {
		if (slice->size > FAKE_STORED - slice->offset)
			slice->size = FAKE_STORED - slice->offset;
		for (uint64_t i = 0; i < slice->size; i++)
			slice->room[i] = fake_octet(slice->number, slice->offset + i);
		fake_shared->sliced += slice->size;
	} else if (what == FAKE_USAGE) {
		((struct store_usage *)op)->usage = (struct maildrop_usage){1, 1};
	} else if (what == FAKE_ASK) {
		((struct store_ask *)op)->holding = fake_shared->holding;
	} else if (what == FAKE_CLOSE) {
		fake_close_now(maildrop);
	}
}

static inline void fake_asked(bool take)
{
	struct store_asked *asked = calloc(1, sizeof(*asked));

	*asked = (struct store_asked){.idle = FAKE_ASKED_IDLE, .take = take};
	fake.store.host->asked(fake.last->owner, asked);
}

static inline void fake_command(struct loop_watch *watch, int ready)
{
	struct fake_command command;

	(void)ready;
	if (read(watch->fd, &command, sizeof(command)) != sizeof(command))
		return;
	if (command.what == FAKE_EVENT) {
		fake.store.host->event(fake.last->owner, (enum store_event)command.status);
		return;
	}
	if (command.what == FAKE_ASKED) {
		fake_asked(command.status != 0);
		return;
	}
	if (command.what == FAKE_TOLD) {
		fake.store.host->told(fake.store.host->context,
				      (pop3_span){fake_shared->octets, fake_shared->size});
		return;
	}
	for (unsigned i = 0; i < fake.count; i++) {
		struct store_op *op = fake.pending[i].op;

		if (fake.pending[i].what != command.what)
			continue;
		op->status = (enum maildrop_status)command.status;
		if (op->status == MAILDROP_OK)
			fake_fill(command.what, fake.pending[i].where, fake.pending[i].maildrop,
				  op);
		else
			err_set(&op->err, 0, "the test wants it so");
		fake.count--;
		memmove(&fake.pending[i], &fake.pending[i + 1],
			(fake.count - i) * sizeof(fake.pending[0]));
		op->done(op);
		return;
	}
	abort(); /* nothing of that waits */
}

static void fake_away(struct store *store, bool away)
{
	(void)store;
	fake_shared->away = away;
}

static void fake_leave(struct store *store, struct store_where *where)
{
	(void)store, (void)where;
	fake_shared->left++;
}

static void fake_hurry(struct store *store, struct store_where *where)
{
	(void)store, (void)where;
	fake_shared->hurried++;
}

static enum maildrop_status fake_try_open(struct store *store, struct store_where *where,
					  const struct store_who *who, struct maildrop **ret)
{
	enum maildrop_status status = (enum maildrop_status)(int)fake_shared->try_open;

	(void)store;
	if (status == MAILDROP_OK)
		*ret = fake_open_now(where, who);
	return status;
}

static enum maildrop_status fake_open_empty(struct store *store, struct store_where *where,
					    struct maildrop **ret, struct err *err)
{
	(void)store, (void)where, (void)ret;
	err_set(err, 0, "there is none");
	return MAILDROP_TEMP;
}

static void fake_open(struct store *store, struct store_where *where, struct store_open *op)
{
	(void)store;
	fake_begin(FAKE_OPEN, where, NULL, &op->op);
}

static bool fake_try_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	(void)maildrop, (void)op;
	return false;
}

static void fake_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	fake_begin(FAKE_FETCH, NULL, maildrop, &op->op);
}

static void fake_slice(struct maildrop *maildrop, struct store_slice *op)
{
	fake_begin(FAKE_SLICE, NULL, maildrop, &op->op);
}

static void fake_wrong(struct maildrop *maildrop, struct store_wrong *op)
{
	fake_begin(FAKE_WRONG, NULL, maildrop, &op->op);
}

static void fake_commit(struct maildrop *maildrop, struct store_commit *op)
{
	fake_begin(FAKE_COMMIT, NULL, maildrop, &op->op);
}

static bool fake_try_close(struct maildrop *maildrop)
{
	if (!fake_shared->try_close)
		return false;
	fake_close_now(maildrop);
	return true;
}

static void fake_close(struct maildrop *maildrop, struct store_close *op)
{
	fake_begin(FAKE_CLOSE, NULL, maildrop, &op->op);
}

static void fake_usage(struct store *store, struct store_where *where, struct store_usage *op)
{
	(void)store;
	fake_begin(FAKE_USAGE, where, NULL, &op->op);
}

static void fake_deliver(struct store *store, struct store_where *where, struct store_deliver *op)
{
	(void)store;
	fake_begin(FAKE_DELIVER, where, NULL, &op->op);
}

static void fake_make(struct store *store, struct store_where *where, struct store_op *op)
{
	(void)store;
	fake_begin(FAKE_MAKE, where, NULL, op);
}

static void fake_cancel(struct store *store, struct store_op *op)
{
	(void)store, (void)op;
	fake_shared->cancelled++;
}

static void fake_ask(struct store *store, struct store_where *where, struct store_ask *op)
{
	(void)store;
	fake_shared->asks = *op;
	fake_begin(FAKE_ASK, where, NULL, &op->op);
}

static void fake_answer(struct store *store, struct store_asked *asked,
			const struct store_holding *holding)
{
	(void)store;
	free(asked);
	fake_shared->answer = *holding;
	fake_shared->answered++;
}

static void fake_tell(struct store *store, pop3_span octets)
{
	(void)store;
	memcpy(fake_shared->octets, octets.data, octets.size);
	fake_shared->size = octets.size;
	fake_shared->told++;
}

static struct store_ops fake_ops = {
	.away = fake_away,
	.leave = fake_leave,
	.hurry = fake_hurry,
	.try_open = fake_try_open,
	.open_empty = fake_open_empty,
	.open = fake_open,
	.try_fetch = fake_try_fetch,
	.fetch = fake_fetch,
	.slice = fake_slice,
	.wrong = fake_wrong,
	.commit = fake_commit,
	.try_close = fake_try_close,
	.close = fake_close,
	.usage = fake_usage,
	.deliver = fake_deliver,
	.make = fake_make,
	.cancel = fake_cancel,
	.ask = fake_ask,
	.answer = fake_answer,
	.tell = fake_tell,
};

struct store *__wrap_store_create(enum store_kind kind, const struct store_host *host,
				  const struct maildrop_settings *settings, int root_fd,
				  struct err *err)
{
	(void)kind, (void)settings, (void)root_fd, (void)err;
	fake_ops.abilities = fake_shared->abilities;
	fake.store.ops = &fake_ops;
	fake.store.host = host;
	loop_watch_init(&fake.watch, host->loop, fake_pipe[0], fake_command, NULL);
	loop_watch_want(&fake.watch, LOOP_READ);
	return &fake.store;
}

/* ---- the test's side ---- */

/* Before role_begin. */
static inline void fake_prepare(void)
{
	fake_shared = mmap(NULL, sizeof(*fake_shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fake_shared, MAP_FAILED);
	fake_shared->try_open = MAILDROP_WAIT;
	fake_shared->try_close = true;
	assert_int_equal(pipe2(fake_pipe, O_CLOEXEC), 0);
}

static inline void fake_over(void)
{
	close(fake_pipe[0]);
	close(fake_pipe[1]);
	munmap(fake_shared, sizeof(*fake_shared));
}

/* Waits until the store was asked for so many in all. */
static inline void fake_wait(const atomic_uint *count, unsigned wanted)
{
	for (int ms = 0; *count < wanted; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
	assert_int_equal(*count, wanted);
}

static inline void fake_end(int what, int status)
{
	struct fake_command command = {what, status};

	assert_int_equal(write(fake_pipe[1], &command, sizeof(command)), sizeof(command));
}

#endif
