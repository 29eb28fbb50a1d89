/* Whose commands valijad obeys: each user once, and no more than there is room for. */
#include "server/monitor/control_peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { GROUP = 77, MEMBERS = IPC_UIDS_MAX + 8 };

static uid_t euid;
static unsigned members;

uid_t __wrap_geteuid(void);
struct group *__wrap_getgrnam(const char *name);
int __wrap_sandbox_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err);

uid_t __wrap_geteuid(void)
{
	return euid;
}

struct group *__wrap_getgrnam(const char *name)
{
	static char names[MEMBERS][12], *list[MEMBERS + 1];
	static struct group group;

	if (strcmp(name, "operators") != 0)
		return NULL;
	for (unsigned i = 0; i < members; i++) {
		snprintf(names[i], sizeof(names[i]), "%u", 1000 + i);
		list[i] = names[i];
	}
	list[members] = NULL;
	group = (struct group){.gr_gid = GROUP, .gr_mem = list};
	return &group;
}

/* A name of digits is a user's; that of 1001 is not there any more. */
int __wrap_sandbox_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
	unsigned uid;

	(void)err;
	if (sscanf(name, "%u", &uid) != 1 || uid == 1001)
		return -1;
	*ret_uid = uid;
	*ret_gid = GROUP;
	return 0;
}

static int found(const char *group, struct ipc_control_peers *ret, struct err *err)
{
	static struct config config;

	snprintf(config.control_group, sizeof(config.control_group), "%s", group);
	memset(ret, 0, sizeof(*ret));
	return control_peers_find(&config, ret, err);
}

static void test_without_a_group(void **state)
{
	struct ipc_control_peers peers;
	struct err err = {0};

	(void)state;
	euid = 0;
	assert_int_equal(found("", &peers, &err), 0);
	assert_int_equal(peers.count, 1);
	assert_int_equal(peers.uids[0], 0);
	assert_int_equal(peers.has_group, 0);
	euid = 500;
	assert_int_equal(found("", &peers, &err), 0);
	assert_int_equal(peers.count, 2);
	assert_int_equal(peers.uids[0], 0);
	assert_int_equal(peers.uids[1], 500);
}

static void test_members_of_a_group(void **state)
{
	struct ipc_control_peers peers;
	struct err err = {0};

	(void)state;
	euid = 1000;
	members = 3;
	assert_int_equal(found("operators", &peers, &err), 0);
	assert_int_equal(peers.has_group, 1);
	assert_int_equal(peers.gid, GROUP);
	assert_int_equal(peers.count, 3); /* 1000 once, and 1001 not at all */
	assert_int_equal(peers.uids[1], 1000);
	assert_int_equal(peers.uids[2], 1002);
	assert_int_equal(found("nobodies", &peers, &err), -1);
	assert_int_equal(err.code, EX_NOUSER);
	assert_int_equal(peers.count, 0);
	assert_non_null(strstr(err.text, "\"nobodies\", and there is no such system group"));
}

static void test_room(void **state)
{
	struct ipc_control_peers peers;
	struct err err = {0};

	(void)state;
	euid = 500;
	members = IPC_UIDS_MAX - 2 + 1; /* one of which is not there */
	assert_int_equal(found("operators", &peers, &err), 0);
	assert_int_equal(peers.count, IPC_UIDS_MAX);
	members++;
	assert_int_equal(found("operators", &peers, &err), -1);
	assert_int_equal(err.code, EX_CONFIG);
	assert_non_null(strstr(err.text, "\"operators\" has more than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_group),
		cmocka_unit_test(test_members_of_a_group),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
