/*
 * See engine.h: Ceph RADOS by librados. Its threads call back(), which only puts an operation on a
 * list; done() runs where the engine's owner runs. A write operation is built anew for each call:
 * librados empties what it has carried out, and a second try of the same handle would do nothing
 * and succeed.
 */
#include "maildrop/rados/engine/engine_private.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "maildrop/rados/engine/lock_call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	TIMEOUT_MS = 30000,
	CONNECT_S = 10,
	AGAIN_S = 5,
};

static const char FORMAT[] = "1";

/* ---- results ---- */

static enum engine_result result_of(int code)
{
	switch (-code) {
	case ENOENT:
		return ENGINE_ABSENT;
	case EEXIST:
		return ENGINE_EXISTS;
	case ECANCELED:
	case ERANGE:
	case EOVERFLOW:
		return ENGINE_CHANGED;
	case EBUSY:
		return ENGINE_LOCKED;
	case ENOSPC:
	case EDQUOT:
		return ENGINE_FULL;
	case EPERM:
	case EACCES:
		return ENGINE_DENIED;
	case EMSGSIZE:
	case EFBIG:
	case EINVAL:
	case ENODATA:
	case ENAMETOOLONG:
	case EOPNOTSUPP:
		return ENGINE_REFUSED;
	case ENOTCONN:
		return ENGINE_DOWN;
	default: /* no case for all of errno.h: of any other nobody knows what was done before it */
		return code < 0 ? ENGINE_UNKNOWN : ENGINE_OK;
	}
}

const char *engine_result_text(const struct engine_op *op)
{
	static const char *const texts[] = {
		[ENGINE_OK] = "done",
		[ENGINE_ABSENT] = "the object is not there",
		[ENGINE_EXISTS] = "the object is there already",
		[ENGINE_CHANGED] = "the object was changed meanwhile",
		[ENGINE_LOCKED] = "another session has the lock",
		[ENGINE_FULL] = "the cluster or the pool is full",
		[ENGINE_DENIED] = "the key of this user lacks the right: see docs/many-machines.md "
				  "for the caps",
		[ENGINE_REFUSED] = "the cluster refuses it",
		[ENGINE_DOWN] = "there is no connection to the cluster",
		[ENGINE_UNKNOWN] = "the cluster did not answer in time",
	};

	return texts[op->result];
}

/* ---- ends of operations ---- */

/* In any thread. */
void engine_hand_over(struct engine_op *op)
{
	struct engine *engine = op->engine;
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&engine->mutex);
	first = !engine->ended;
	op->next = NULL;
	*engine->last = op;
	engine->last = &op->next;
	/* under the mutex: engine_destroy closes it only when all has ended */
	if (first && write(engine->event_fd, &one, sizeof(one)) < 0)
		abort(); /* nobody would hear of any other */
	pthread_mutex_unlock(&engine->mutex);
}

/* In a thread of librados. */
static void back(rados_completion_t completion, void *context)
{
	struct engine_op *op = context;

	op->code = rados_aio_get_return_value(completion);
	engine_hand_over(op);
}

static void check_blocklist(const struct engine *engine, const struct engine_op *op)
{
	if (op->code != -ESHUTDOWN || !engine->loop)
		return;
	log_error("the cluster has put this process on its blocklist: it ends, and is started "
		  "again with "
		  "another address; `ceph osd blocklist ls` shows why");
	exit(EX_TEMPFAIL);
}

static void end(struct engine *engine, struct engine_op *op)
{
	check_blocklist(engine, op);
	if (op->result != ENGINE_DOWN)
		op->result = result_of(op->code);
	if (op->take)
		op->take(op);
	if (op->completion)
		rados_aio_release(op->completion);
	op->completion = NULL;
	op->done(op);
}

struct engine_op *engine_take_ended(struct engine *engine)
{
	struct engine_op *ended;
	uint64_t count;

	if (read(engine->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&engine->mutex);
	ended = engine->ended;
	engine->ended = NULL;
	engine->last = &engine->ended;
	pthread_mutex_unlock(&engine->mutex);
	return ended;
}

static void end_all(struct engine *engine)
{
	struct engine_op *op = engine_take_ended(engine), *next;

	for (; op; op = next) {
		next = op->next;
		end(engine, op);
	}
}

static void ready(struct loop_watch *watch, int what)
{
	(void)what;
	end_all(watch->context);
}

void engine_wait(struct engine *engine, struct engine_op *op)
{
	struct engine_op *ended, *next;
	bool over = false;

	while (!over) {
		(void)wait_fd(engine->event_fd, POLLIN, -1);
		for (ended = engine_take_ended(engine); ended; ended = next) {
			next = ended->next;
			over = over || ended == op;
			end(engine, ended);
		}
	}
}

/* ---- beginnings ---- */

static bool is_connected(struct engine *engine)
{
	bool connected;

	pthread_mutex_lock(&engine->mutex);
	connected = engine->connected;
	pthread_mutex_unlock(&engine->mutex);
	return connected;
}

bool engine_begin(struct engine *engine, struct engine_op *op, void (*take)(struct engine_op *op))
{
	op->engine = engine;
	op->result = ENGINE_OK;
	op->code = 0;
	op->take = take;
	op->completion = NULL;
	if (is_connected(engine)) {
		rados_aio_create_completion2(op, back, &op->completion);
		return true;
	}
	op->take = NULL;
	op->result = ENGINE_DOWN;
	engine_hand_over(op);
	return false;
}

void engine_begun(struct engine_op *op, int result)
{
	if (result >= 0)
		return;
	op->code = result;
	engine_hand_over(op);
}

static void write_by(struct engine *engine, enum engine_pool pool, const char *name,
		     rados_write_op_t write, struct engine_op *op, int flags)
{
	engine_begun(op, rados_aio_write_op_operate(write, engine->pools[pool], op->completion,
						    name, NULL, flags));
	rados_release_write_op(write);
}

static void read_by(struct engine *engine, enum engine_pool pool, const char *name,
		    rados_read_op_t read, struct engine_op *op)
{
	engine_begun(op,
		     rados_aio_read_op_operate(read, engine->pools[pool], op->completion, name, 0));
	rados_release_read_op(read);
}

/* Flags of a change that needs room, and of one that does not. Without FULL_TRY a full cluster
 * would keep the request until there is room, long after its deadline. */
static int when_full(bool goes_on)
{
	return goes_on ? LIBRADOS_OPERATION_FULL_FORCE : LIBRADOS_OPERATION_FULL_TRY;
}

/* ---- bodies ---- */

void engine_put(struct engine *engine, const struct engine_put *put, struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = rados_create_write_op();
	rados_write_op_create(write, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_write_full(write, put->octets.data, put->octets.size);
	rados_write_op_setxattr(write, "maildrop", put->owner.data, put->owner.size);
	rados_write_op_setxattr(write, "valija", put->details.data, put->details.size);
	write_by(engine, ENGINE_BODIES, put->name, write, op, when_full(false));
}

void engine_read(struct engine *engine, const char *name, struct engine_read *read)
{
	rados_read_op_t by;

	read->got = 0;
	if (!engine_begin(engine, &read->op, NULL))
		return;
	if (!read->size) { /* to RADOS that means all of the object */
		engine_hand_over(&read->op);
		return;
	}
	by = rados_create_read_op();
	rados_read_op_read(by, read->offset, read->size, read->room, &read->got, NULL);
	read_by(engine, ENGINE_BODIES, name, by, &read->op);
}

void engine_stat(struct engine *engine, const char *name, struct engine_stat *stat)
{
	rados_read_op_t by;

	if (!engine_begin(engine, &stat->op, NULL))
		return;
	by = rados_create_read_op();
	rados_read_op_stat(by, &stat->size, &stat->changed, NULL);
	read_by(engine, ENGINE_BODIES, name, by, &stat->op);
}

static void take_attribute(struct engine_op *op)
{
	struct engine_attribute *attribute = (struct engine_attribute *)op;
	size_t size = op->code > 0 ? (size_t)op->code : 0;

	attribute->value[size < ENGINE_NAME_MAX ? size : ENGINE_NAME_MAX - 1] = '\0';
	if (op->result == ENGINE_REFUSED) /* ENODATA */
		op->result = ENGINE_ABSENT;
}

void engine_attribute(struct engine *engine, const char *name, const char *attribute,
		      struct engine_attribute *ret)
{
	if (engine_begin(engine, &ret->op, take_attribute))
		engine_begun(&ret->op, rados_aio_getxattr(engine->pools[ENGINE_BODIES], name,
							  ret->op.completion, attribute, ret->value,
							  ENGINE_NAME_MAX - 1));
}

void engine_set_attribute(struct engine *engine, const char *name, const char *attribute,
			  const char *value, struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = rados_create_write_op();
	rados_write_op_assert_exists(write);
	rados_write_op_setxattr(write, attribute, value, strlen(value));
	write_by(engine, ENGINE_BODIES, name, write, op, when_full(true));
}

void engine_remove(struct engine *engine, enum engine_pool pool, const char *name,
		   struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = rados_create_write_op();
	rados_write_op_remove(write);
	write_by(engine, pool, name, write, op, when_full(true));
}

/* ---- index objects ---- */

void engine_make(struct engine *engine, const char *name, const char *generation,
		 struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = rados_create_write_op();
	rados_write_op_create(write, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_setxattr(write, "gen", generation, strlen(generation));
	rados_write_op_setxattr(write, "fmt", FORMAT, sizeof(FORMAT) - 1);
	write_by(engine, ENGINE_INDEXES, name, write, op, when_full(false));
}

/* Every attribute is looked at: the lock's is among them. */
static void take_attributes(struct engine_index *index)
{
	const char *name, *value;
	bool known = false;
	size_t size;

	while (rados_getxattrs_next(index->own_attributes, &name, &value, &size) == 0 && name) {
		if (strcmp(name, "gen") == 0 && size == ENGINE_GENERATION)
			memcpy(index->generation, value, size);
		else if (strcmp(name, "fmt") == 0)
			known = size == sizeof(FORMAT) - 1 && memcmp(value, FORMAT, size) == 0;
	}
	if (!known)
		index->generation[0] = '\0';
}

static void take_index(struct engine_op *op)
{
	struct engine_index *index = (struct engine_index *)op;

	memset(index->generation, 0, sizeof(index->generation));
	if (op->result == ENGINE_OK) {
		take_attributes(index);
		index->version = rados_aio_get_version(op->completion);
	}
	rados_getxattrs_end(index->own_attributes);
}

void engine_index(struct engine *engine, const char *name, struct engine_index *index)
{
	rados_read_op_t by;

	index->got = 0;
	if (!engine_begin(engine, &index->op, take_index))
		return;
	by = rados_create_read_op();
	rados_read_op_assert_exists(by);
	if (index->expect)
		rados_read_op_cmpxattr(by, "gen", LIBRADOS_CMPXATTR_OP_EQ, index->expect,
				       strlen(index->expect));
	rados_read_op_getxattrs(by, &index->own_attributes, NULL);
	rados_read_op_stat(by, &index->size, &index->own_changed, NULL);
	if (index->room_size)
		rados_read_op_read(by, index->offset, index->room_size, index->room, &index->got,
				   NULL);
	read_by(engine, ENGINE_INDEXES, name, by, &index->op);
}

static rados_write_op_t conditional(const struct engine_if *condition)
{
	rados_write_op_t write = rados_create_write_op();
	struct lock_call call;

	rados_write_op_assert_exists(write);
	if (condition->version)
		rados_write_op_assert_version(write, condition->version);
	if (condition->generation)
		rados_write_op_cmpxattr(write, "gen", LIBRADOS_CMPXATTR_OP_EQ,
					condition->generation, strlen(condition->generation));
	if (condition->cookie) {
		lock_call_assert(&call, condition->cookie);
		rados_write_op_exec(write, "lock", "assert_locked", call.data, call.size, NULL);
	}
	return write;
}

void engine_append(struct engine *engine, const char *name, const struct engine_if *condition,
		   pop3_span octets, struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = conditional(condition);
	rados_write_op_append(write, octets.data, octets.size);
	write_by(engine, ENGINE_INDEXES, name, write, op, when_full(condition->when_full));
}

void engine_replace(struct engine *engine, const char *name, const struct engine_if *condition,
		    const char *generation, const pop3_span *octets, struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = conditional(condition);
	if (octets)
		rados_write_op_write_full(write, octets->data, octets->size);
	rados_write_op_setxattr(write, "gen", generation, strlen(generation));
	write_by(engine, ENGINE_INDEXES, name, write, op, when_full(condition->when_full));
}

/* ---- locks ---- */

static void call_lock(struct engine *engine, const char *name, const char *method,
		      const struct lock_call *call, struct engine_op *op)
{
	rados_write_op_t write;

	if (!engine_begin(engine, op, NULL))
		return;
	write = rados_create_write_op();
	rados_write_op_assert_exists(write); /* the class would make the object */
	rados_write_op_exec(write, "lock", method, call->data, call->size, NULL);
	write_by(engine, ENGINE_INDEXES, name, write, op, when_full(true));
}

void engine_lock(struct engine *engine, const char *name, const char *cookie, const char *holder,
		 unsigned seconds, struct engine_op *op)
{
	struct lock_call call;

	lock_call_lock(&call, cookie, holder, seconds, false);
	call_lock(engine, name, "lock", &call, op);
}

void engine_renew(struct engine *engine, const char *name, const char *cookie, const char *holder,
		  unsigned seconds, struct engine_op *op)
{
	struct lock_call call;

	lock_call_lock(&call, cookie, holder, seconds, true);
	call_lock(engine, name, "lock", &call, op);
}

void engine_unlock(struct engine *engine, const char *name, const char *cookie,
		   struct engine_op *op)
{
	struct lock_call call;

	lock_call_unlock(&call, cookie);
	call_lock(engine, name, "unlock", &call, op);
}

int engine_locker(struct engine *engine, const char *name, struct engine_locker *ret,
		  struct err *err)
{
	char tag[ENGINE_LOCKER_MAX], addresses[ENGINE_LOCKER_MAX];
	size_t tag_size = sizeof(tag), clients = sizeof(ret->client), cookies = sizeof(ret->cookie),
	       address_size = sizeof(addresses);
	int exclusive;
	ssize_t n;

	if (!engine_connected(engine, err))
		return -1;
	n = rados_list_lockers(engine->pools[ENGINE_INDEXES], name, lock_call_name, &exclusive, tag,
			       &tag_size, ret->client, &clients, ret->cookie, &cookies, addresses,
			       &address_size);
	if (n < 0 && n != -ENOENT)
		return err_sys(err, EX_TEMPFAIL, (int)-n, "%s: who has its lock cannot be read",
			       name);
	return n > 0;
}

int engine_break(struct engine *engine, const char *name, const struct engine_locker *locker,
		 struct err *err)
{
	int result = engine_connected(engine, err)
			     ? rados_break_lock(engine->pools[ENGINE_INDEXES], name, lock_call_name,
						locker->client, locker->cookie)
			     : -ENOTCONN;

	if (result >= 0 || result == -ENOENT)
		return 0;
	return err_sys(err, EX_TEMPFAIL, -result, "%s: its lock cannot be taken away", name);
}

/* ---- whole pools ---- */

int engine_list(struct engine *engine, enum engine_pool pool, const char *prefix,
		bool (*each)(void *context, const char *name), void *context, struct err *err)
{
	rados_list_ctx_t list;
	const char *name;
	int result;

	if (!engine_connected(engine, err))
		return -1;
	result = rados_nobjects_list_open(engine->pools[pool], &list);
	if (result < 0)
		return err_sys(err, EX_TEMPFAIL, -result, "pool %s cannot be listed",
			       engine->names[pool]);
	while ((result = rados_nobjects_list_next(list, &name, NULL, NULL)) == 0)
		if (strncmp(name, prefix, strlen(prefix)) == 0 && !each(context, name))
			break;
	rados_nobjects_list_close(list);
	if (result < 0 && result != -ENOENT)
		return err_sys(err, EX_TEMPFAIL, -result, "pool %s cannot be listed",
			       engine->names[pool]);
	return 0;
}

int engine_command(struct engine *engine, const char *json, char *ret, size_t size, struct err *err)
{
	char *out = NULL, *words = NULL;
	size_t out_size = 0, words_size = 0;
	int result;

	if (!pthread_equal(pthread_self(), engine->thread) && !engine_connected(engine, err))
		return -1;
	result = rados_mon_command(engine->cluster, &json, 1, "", 0, &out, &out_size, &words,
				   &words_size);
	if (result < 0) {
		err_sys(err, result == -EACCES || result == -EPERM ? EX_NOPERM : EX_TEMPFAIL,
			-result, "the monitors refuse %s: %.*s", json,
			(int)(words_size < 128 ? words_size : 128), words ? words : "");
	} else {
		if (out_size >= size)
			out_size = size - 1;
		if (out_size)
			memcpy(ret, out, out_size);
		ret[out_size] = '\0';
	}
	rados_buffer_free(out);
	rados_buffer_free(words);
	return result < 0 ? -1 : 0;
}

/* ---- the connection ---- */

static void set_number(rados_t cluster, const char *name, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	rados_conf_set(cluster, name, text);
}

/* A handle that has read conf. */
static int make_handle(const char *conf, const char *user, unsigned timeout_ms, rados_t *ret,
		       struct err *err)
{
	unsigned seconds = timeout_ms < 1000 ? 1 : timeout_ms / 1000;
	int result = rados_create(ret, user);

	if (result < 0)
		return err_sys(err, EX_OSERR, -result, "librados cannot be used");
	result = rados_conf_read_file(*ret, conf);
	if (result < 0) {
		rados_shutdown(*ret);
		return err_sys(err, EX_CONFIG, -result,
			       "%s cannot be read as a configuration of Ceph (it and the folders "
			       "above it, by uid %u)",
			       conf, (unsigned)geteuid());
	}
	/* the default of these is 0: a client of a dead cluster waits for ever */
	set_number(*ret, "rados_osd_op_timeout", seconds);
	set_number(*ret, "rados_mon_op_timeout", seconds < CONNECT_S ? seconds : CONNECT_S);
	set_number(*ret, "client_mount_timeout", seconds < CONNECT_S ? seconds : CONNECT_S);
	/* what there is to say is said in our log; there are no other files to write to */
	rados_conf_set(*ret, "log_file", "");
	rados_conf_set(*ret, "admin_socket", "");
	rados_conf_set(*ret, "log_to_stderr", "false");
	rados_conf_set(*ret, "err_to_stderr", "false");
	return 0;
}

static void drop(struct engine *engine)
{
	for (int i = 0; i < 2; i++)
		if (engine->pools[i])
			rados_ioctx_destroy(engine->pools[i]);
	engine->pools[0] = engine->pools[1] = NULL;
	if (engine->cluster)
		rados_shutdown(engine->cluster);
	engine->cluster = NULL;
}

static int open_pools(struct engine *engine, struct err *err)
{
	for (int i = 0; i < 2; i++) {
		int result =
			rados_ioctx_create(engine->cluster, engine->names[i], &engine->pools[i]);

		if (result == -ENOENT)
			return err_set(err, EX_CONFIG,
				       "the cluster has no pool %s: make it (ceph osd pool create "
				       "%s), or name "
				       "another one in the section rados",
				       engine->names[i], engine->names[i]);
		if (result < 0)
			return err_sys(err, EX_TEMPFAIL, -result, "pool %s cannot be opened",
				       engine->names[i]);
	}
	return 0;
}

static int connect_once(struct engine *engine, struct err *err)
{
	int result;

	if (make_handle(engine->conf, engine->user, engine->timeout_ms, &engine->cluster, err) <
	    0) {
		engine->cluster = NULL;
		return -1;
	}
	result = rados_connect(engine->cluster);
	if (result == -ETIMEDOUT)
		err_set(err, EX_UNAVAILABLE,
			"no monitor of the cluster answers: are those that %s names (mon_host) up, "
			"and "
			"reachable from here?",
			engine->conf);
	else if (result == -EACCES || result == -EPERM)
		err_set(err, EX_NOPERM,
			"the cluster refuses the user client.%s: is its key in the keyring the "
			"right one?",
			engine->user);
	else if (result < 0)
		err_sys(err, EX_UNAVAILABLE, -result,
			"the cluster of %s cannot be reached as client.%s (does its keyring exist, "
			"and may "
			"this process read it?)",
			engine->conf, engine->user);
	else
		result = open_pools(engine, err);
	if (result == 0 && engine->check)
		result = engine->check(engine, engine->check_context, err);
	if (result < 0)
		drop(engine);
	return result < 0 ? -1 : 0;
}

static void note(struct engine *engine, bool connected, const struct err *err, bool first)
{
	if (connected && !first)
		log_info("connected to the cluster of %s", engine->conf);
	if (!connected && engine->loop && (first || strcmp(err->text, engine->why.text) != 0))
		log_error("%s; tried again every %u s", err->text, (unsigned)AGAIN_S);
	pthread_mutex_lock(&engine->mutex);
	engine->connected = connected;
	engine->tried = true;
	if (!connected)
		engine->why = *err;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->mutex);
}

/* False: it is to stop. */
static bool wait_to_try(struct engine *engine)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += AGAIN_S;
	pthread_mutex_lock(&engine->mutex);
	while (!engine->stop &&
	       pthread_cond_timedwait(&engine->changed, &engine->mutex, &until) == 0)
		;
	stop = engine->stop;
	pthread_mutex_unlock(&engine->mutex);
	return !stop;
}

static void *keep_trying(void *context)
{
	struct engine *engine = context;
	struct err err = {0};
	bool first = true;

	for (; connect_once(engine, &err) < 0; first = false) {
		note(engine, false, &err, first);
		if (!engine->loop || !wait_to_try(engine))
			return NULL;
	}
	note(engine, true, NULL, first);
	return NULL;
}

static void wait_first(struct engine *engine, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&engine->mutex);
	while (!engine->tried &&
	       pthread_cond_timedwait(&engine->changed, &engine->mutex, &until) == 0)
		;
	pthread_mutex_unlock(&engine->mutex);
}

bool engine_connected(struct engine *engine, struct err *err)
{
	bool connected;

	pthread_mutex_lock(&engine->mutex);
	connected = engine->connected;
	if (!connected && engine->tried && err)
		*err = engine->why;
	else if (!connected)
		err_set(err, EX_TEMPFAIL, "the cluster of %s has not answered yet", engine->conf);
	pthread_mutex_unlock(&engine->mutex);
	return connected;
}

static void init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void free_engine(struct engine *engine)
{
	close_fd(&engine->event_fd);
	free(engine->conf);
	free(engine->names[0]);
	free(engine->names[1]);
	free(engine->user);
	pthread_mutex_destroy(&engine->mutex);
	pthread_cond_destroy(&engine->changed);
	free(engine);
}

static struct engine *make_engine(const struct engine_settings *settings, struct loop *loop)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	pthread_mutex_init(&engine->mutex, NULL);
	init_condition(&engine->changed);
	engine->loop = loop;
	engine->last = &engine->ended;
	engine->check = settings->check;
	engine->check_context = settings->context;
	engine->timeout_ms = settings->timeout_ms ? settings->timeout_ms : TIMEOUT_MS;
	engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->conf = strdup(settings->conf);
	engine->names[ENGINE_INDEXES] = strdup(settings->pool);
	engine->names[ENGINE_BODIES] = strdup(settings->bodies ? settings->bodies : settings->pool);
	engine->user = strdup(settings->user);
	if (engine->event_fd >= 0 && engine->conf && engine->names[0] && engine->names[1] &&
	    engine->user)
		return engine;
	free_engine(engine);
	return NULL;
}

struct engine *engine_create(const struct engine_settings *settings, struct loop *loop,
			     unsigned wait_ms, struct err *err)
{
	struct engine *engine = make_engine(settings, loop);

	if (!engine) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	if (pthread_create(&engine->thread, NULL, keep_trying, engine) != 0) {
		err_set(err, EX_OSERR, "no thread can be started");
		free_engine(engine);
		return NULL;
	}
	if (loop) {
		loop_watch_init(&engine->watch, loop, engine->event_fd, ready, engine);
		(void)loop_watch_want(&engine->watch, LOOP_READ);
	}
	wait_first(engine, wait_ms);
	return engine;
}

void engine_destroy(struct engine *engine)
{
	if (!engine)
		return;
	pthread_mutex_lock(&engine->mutex);
	engine->stop = true;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->mutex);
	pthread_join(engine->thread, NULL);
	if (engine->loop)
		loop_watch_finish(&engine->watch);
	if (engine->watching)
		engine->unwatch(engine);
	drop(engine);
	free_engine(engine);
}

/* ---- its files ---- */

static unsigned add_file(char ret[ENGINE_FILES_MAX][ENGINE_PATH_MAX], unsigned count,
			 const char *path, size_t size)
{
	if (count == ENGINE_FILES_MAX || !size || size >= ENGINE_PATH_MAX)
		return count;
	memcpy(ret[count], path, size);
	ret[count][size] = '\0';
	return count + 1;
}

int engine_files(const struct engine_settings *settings,
		 char ret[ENGINE_FILES_MAX][ENGINE_PATH_MAX], struct err *err)
{
	char keyrings[4 * ENGINE_PATH_MAX] = "";
	unsigned count = add_file(ret, 0, settings->conf, strlen(settings->conf));
	rados_t cluster;

	if (make_handle(settings->conf, settings->user, TIMEOUT_MS, &cluster, err) < 0)
		return -1;
	rados_conf_get(cluster, "keyring", keyrings, sizeof(keyrings));
	rados_shutdown(cluster);
	for (const char *at = keyrings; *at;) {
		size_t size = strcspn(at, ", ;\t");

		count = add_file(ret, count, at, size);
		at += size + (at[size] != '\0');
	}
	return (int)count;
}
