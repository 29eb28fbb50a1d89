/* The lock of a maildrop, as a session has it, and what is done under it. See tool.h. */
#include "rados/tool/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	LEASE_S = 120,
	RENEW_MS = 30000,
	TRIES_MAX = 20, /* of a fence: deliveries come in between */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void say_who(char ret[ENGINE_LOCKER_MAX])
{
	char host[64] = "";

	gethostname(host, sizeof(host) - 1);
	snprintf(ret, ENGINE_LOCKER_MAX, "%s valija rados, process %d", host, (int)getpid());
}

/* tool.PID.RANDOM.HOST */
static int make_cookie(char ret[ENGINE_COOKIE_MAX], struct err *err)
{
	char random[ENGINE_GENERATION + 1], host[64] = "";

	if (tool_random_text(random, err) < 0)
		return -1;
	gethostname(host, sizeof(host) - 1);
	snprintf(ret, ENGINE_COOKIE_MAX, "tool.%d.%.16s.%.24s", (int)getpid(), random, host);
	return 0;
}

/* Is the cookie that of a command on this machine that was killed? Should it live after all (two
 * machines of one name), nothing is lost: all that it writes is refused from then on. */
static bool is_of_the_dead(const char *cookie)
{
	char own[64] = "", host[25] = "";
	int pid;

	gethostname(own, sizeof(own) - 1);
	own[24] = '\0';
	return sscanf(cookie, "tool.%d.%*16[0-9a-f].%24s", &pid, host) == 2 && pid > 0 &&
	       strcmp(host, own) == 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

static bool free_of_the_dead(struct tool *tool, const char *name)
{
	struct engine_locker locker;

	return engine_locker(tool->engine, name, &locker, NULL) == 1 &&
	       is_of_the_dead(locker.cookie) &&
	       engine_break(tool->engine, name, &locker, NULL) == 0;
}

static int take(struct tool *tool, const char *name, struct tool_lock *ret, struct err *err)
{
	struct engine_op op = {.done = tool_ended};
	char who[ENGINE_LOCKER_MAX];

	*ret = (struct tool_lock){.renewed_ms = now_ms()};
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (make_cookie(ret->cookie, err) < 0)
		return -1;
	say_who(who);
	engine_lock(tool->engine, name, ret->cookie, who, LEASE_S, &op);
	engine_wait(tool->engine, &op);
	if (op.result == ENGINE_UNKNOWN) /* it may have been granted */
		tool_lock_give(tool, ret);
	if (op.result == ENGINE_LOCKED)
		return 0;
	return op.result == ENGINE_OK ? 1 : tool_failed(&op, name, err);
}

int tool_lock_take(struct tool *tool, const char *name, struct tool_lock *ret, struct err *err)
{
	int rc = take(tool, name, ret, err);

	return rc == 0 && free_of_the_dead(tool, name) ? take(tool, name, ret, err) : rc;
}

int tool_lock_keep(struct tool *tool, struct tool_lock *lock, struct err *err)
{
	struct engine_op op = {.done = tool_ended};
	uint64_t asked = now_ms();
	char who[ENGINE_LOCKER_MAX];

	if (asked - lock->renewed_ms < RENEW_MS)
		return 0;
	say_who(who);
	engine_renew(tool->engine, lock->name, lock->cookie, who, LEASE_S, &op);
	engine_wait(tool->engine, &op);
	if (op.result != ENGINE_OK)
		return tool_failed(&op, lock->name, err);
	lock->renewed_ms = asked;
	return 0;
}

void tool_lock_give(struct tool *tool, struct tool_lock *lock)
{
	struct engine_op op = {.done = tool_ended};

	engine_unlock(tool->engine, lock->name, lock->cookie, &op);
	engine_wait(tool->engine, &op); /* else its lease ends it */
}

/* -1: err. ENGINE_CHANGED: something came in between. */
static int fence_once(struct tool *tool, struct tool_lock *lock, struct tool_index *index,
		      enum engine_result *ret, struct err *err)
{
	struct engine_if condition = {.cookie = lock->cookie, .when_full = true};
	struct engine_op op = {.done = tool_ended};
	char generation[ENGINE_GENERATION + 1];
	int rc = tool_index_read(tool, lock->name, index, err);

	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, EX_TEMPFAIL, "%s went away", lock->name);
	if (index->damaged || !*index->generation)
		rc = index->damaged
			     ? -1
			     : err_set(err, EX_DATAERR, "it has no generation of this version");
	else
		rc = tool_random_text(generation, err);
	if (rc < 0) {
		tool_index_finish(index);
		return -1;
	}
	condition.version = index->version;
	condition.generation = index->generation;
	engine_replace(tool->engine, lock->name, &condition, generation, NULL, &op);
	engine_wait(tool->engine, &op);
	*ret = op.result;
	snprintf(index->generation, sizeof(index->generation), "%s", generation);
	if (op.result == ENGINE_OK)
		return 0;
	tool_index_finish(index);
	/* the outcome of a change that was not answered is not needed: another one follows */
	if (op.result == ENGINE_CHANGED || op.result == ENGINE_UNKNOWN)
		return 0;
	return tool_failed(&op, lock->name, err);
}

int tool_fence(struct tool *tool, struct tool_lock *lock, struct tool_index *ret, struct err *err)
{
	enum engine_result result = ENGINE_CHANGED;

	for (int i = 0; i < TRIES_MAX && result != ENGINE_OK; i++)
		if (tool_lock_keep(tool, lock, err) < 0 ||
		    fence_once(tool, lock, ret, &result, err) < 0)
			return -1;
	if (result == ENGINE_OK)
		return 0;
	return err_set(err, EX_TEMPFAIL, "%s changes again and again, or does not answer",
		       lock->name);
}
