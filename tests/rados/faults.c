/* See faults.h. */
#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <rados/librados.h>
#include <stdlib.h>
#include <string.h>

enum { LATE_MAX = 64 };

struct completion {
	rados_completion_t real;
	rados_callback_t call;
	void *context;
	int instead; /* of its value; 0: its own */
	struct completion *next;
};

struct late {
	rados_write_op_t op;
	rados_ioctx_t io;
	char *name;
	int flags;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct completion *completions;
static struct late late[LATE_MAX];
static unsigned late_count, count, first, many, call_at;
static enum fault kind;
static void (*call_then)(void *context);
static void *call_context;
static rados_write_op_t kept; /* by the thread that calls: not to be released */

int __real_rados_aio_create_completion2(void *context, rados_callback_t call,
					rados_completion_t *ret);
int __wrap_rados_aio_create_completion2(void *context, rados_callback_t call,
					rados_completion_t *ret);
int __real_rados_aio_get_return_value(rados_completion_t completion);
int __wrap_rados_aio_get_return_value(rados_completion_t completion);
void __real_rados_aio_release(rados_completion_t completion);
void __wrap_rados_aio_release(rados_completion_t completion);
void __real_rados_release_write_op(rados_write_op_t op);
void __wrap_rados_release_write_op(rados_write_op_t op);
int __real_rados_aio_write_op_operate(rados_write_op_t op, rados_ioctx_t io,
				      rados_completion_t completion, const char *name,
				      time_t *mtime, int flags);
int __wrap_rados_aio_write_op_operate(rados_write_op_t op, rados_ioctx_t io,
				      rados_completion_t completion, const char *name,
				      time_t *mtime, int flags);
int __real_rados_aio_read_op_operate(rados_read_op_t op, rados_ioctx_t io,
				     rados_completion_t completion, const char *name, int flags);
int __wrap_rados_aio_read_op_operate(rados_read_op_t op, rados_ioctx_t io,
				     rados_completion_t completion, const char *name, int flags);

void faults_set(enum fault fault, unsigned the_first, unsigned how_many)
{
	pthread_mutex_lock(&mutex);
	kind = fault;
	first = the_first;
	many = how_many;
	count = 0;
	call_then = NULL;
	pthread_mutex_unlock(&mutex);
}

unsigned faults_count(void)
{
	unsigned n;

	pthread_mutex_lock(&mutex);
	n = count;
	pthread_mutex_unlock(&mutex);
	return n;
}

void faults_at(unsigned n, void (*call)(void *context), void *context)
{
	pthread_mutex_lock(&mutex);
	call_at = n;
	call_then = call;
	call_context = context;
	pthread_mutex_unlock(&mutex);
}

void faults_release(void)
{
	for (unsigned i = 0; i < late_count; i++) {
		rados_completion_t done;

		__real_rados_aio_create_completion2(NULL, NULL, &done);
		if (__real_rados_aio_write_op_operate(late[i].op, late[i].io, done, late[i].name,
						      NULL, late[i].flags) == 0)
			rados_aio_wait_for_complete(done);
		__real_rados_aio_release(done);
		__real_rados_release_write_op(late[i].op);
		free(late[i].name);
	}
	late_count = 0;
}

/* The fault that this operation has. */
static enum fault next(void)
{
	void (*call)(void *) = NULL;
	enum fault fault = FAULT_NONE;
	void *context = NULL;

	pthread_mutex_lock(&mutex);
	count++;
	if (first && count >= first && count < first + many)
		fault = kind;
	if (call_then && count == call_at) {
		call = call_then;
		context = call_context;
		call_then = NULL;
	}
	pthread_mutex_unlock(&mutex);
	if (call)
		call(context);
	return fault;
}

static struct completion *find(rados_completion_t real)
{
	struct completion *of;

	pthread_mutex_lock(&mutex);
	for (of = completions; of && of->real != real; of = of->next)
		;
	pthread_mutex_unlock(&mutex);
	return of;
}

int __wrap_rados_aio_create_completion2(void *context, rados_callback_t call,
					rados_completion_t *ret)
{
	struct completion *of = calloc(1, sizeof(*of));
	int result = __real_rados_aio_create_completion2(context, call, ret);

	if (!of)
		abort();
	of->real = *ret;
	of->call = call;
	of->context = context;
	pthread_mutex_lock(&mutex);
	of->next = completions;
	completions = of;
	pthread_mutex_unlock(&mutex);
	return result;
}

int __wrap_rados_aio_get_return_value(rados_completion_t completion)
{
	const struct completion *of = find(completion);

	return of && of->instead ? of->instead : __real_rados_aio_get_return_value(completion);
}

void __wrap_rados_aio_release(rados_completion_t completion)
{
	struct completion **at, *of;

	pthread_mutex_lock(&mutex);
	for (at = &completions; *at && (*at)->real != completion; at = &(*at)->next)
		;
	of = *at;
	if (of)
		*at = of->next;
	pthread_mutex_unlock(&mutex);
	free(of);
	__real_rados_aio_release(completion);
}

/* The engine takes a call back inside the call as well as from a thread. */
static int end_with(rados_completion_t completion, int code)
{
	struct completion *of = find(completion);

	of->instead = code;
	of->call(completion, of->context);
	return 0;
}

void __wrap_rados_release_write_op(rados_write_op_t op)
{
	if (op != kept)
		__real_rados_release_write_op(op);
	kept = NULL;
}

int __wrap_rados_aio_write_op_operate(rados_write_op_t op, rados_ioctx_t io,
				      rados_completion_t completion, const char *name,
				      time_t *mtime, int flags)
{
	switch (next()) {
	case FAULT_FAILS:
		return end_with(completion, -EIO);
	case FAULT_BEFORE:
		return end_with(completion, -ETIMEDOUT);
	case FAULT_FULL:
		return end_with(completion, -ENOSPC);
	case FAULT_LATE:
		late[late_count++] = (struct late){op, io, strdup(name), flags};
		kept = op;
		return end_with(completion, -ETIMEDOUT);
	case FAULT_AFTER:
		find(completion)->instead = -ETIMEDOUT;
		break;
	case FAULT_NONE:
	case FAULTS:
		break;
	}
	return __real_rados_aio_write_op_operate(op, io, completion, name, mtime, flags);
}

int __wrap_rados_aio_read_op_operate(rados_read_op_t op, rados_ioctx_t io,
				     rados_completion_t completion, const char *name, int flags)
{
	switch (next()) {
	case FAULT_FAILS:
		return end_with(completion, -EIO);
	case FAULT_BEFORE:
	case FAULT_AFTER:
	case FAULT_LATE:
		return end_with(completion, -ETIMEDOUT);
	case FAULT_NONE:
	case FAULT_FULL:
	case FAULTS:
		break;
	}
	return __real_rados_aio_read_op_operate(op, io, completion, name, flags);
}
