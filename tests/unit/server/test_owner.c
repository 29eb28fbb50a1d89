/* The owner of a maildrop, as a keeper that was started for it finds it, still as root: by a way
 * that an owner of mail cannot bend. */
#include "server/keeper/idle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static struct config config; /* its roots have Maildirs */
static struct child child;
static struct keeper keeper;

static int set_up(void **state)
{
	char command[1024];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test-owner-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p mail/anna/Maildir mail/a/b mail/berta outside/Maildir && touch "
		 "mail/file && "
		 "ln -s ../outside mail/link && ln -s ../../outside/Maildir mail/berta/Maildir && "
		 "ln -s anna mail/near",
		 folder);
	assert_int_equal(system(command), 0);
	strcat(folder, "/mail");
	child = (struct child){
		.config = &config, .change_ids = true, .uid = getuid(), .gid = 12345};
	keeper.child = &child;
	keeper.on_demand = true;
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		keeper.roots[i] = (struct keeper_root){.index = i, .fd = -1};
	keeper.home_root = 0;
	keeper.roots[0].fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	keeper.roots[1].fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return keeper.roots[0].fd >= 0 && keeper.roots[1].fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	close(keeper.roots[0].fd);
	close(keeper.roots[1].fd);
	*strrchr(folder, '/') = '\0';
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) == 0 ? 0 : -1;
}

static int find(const char *home, struct err *err)
{
	snprintf(keeper.home, sizeof(keeper.home), "%s", home);
	return keeper_find_owner(&keeper, err);
}

static void the_owner_gives_the_group(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(find("anna/Maildir", &err), 0);
	assert_int_equal(child.gid, getgid());
	assert_int_equal(find("anna", &err), 0);
	assert_int_equal(find("a/b", &err), 0); /* however short */
	child.uid = getuid() + 1;
	assert_int_equal(find("anna/Maildir", &err), -1);
	assert_non_null(strstr(err.text, "belongs to uid"));
}

static void threat_66_no_way_leads_out_of_the_root(void **state)
{
	static const char *const homes[] = {
		"",
		"link",
		"link/Maildir",
		"berta/Maildir",
		"near",
		"near/Maildir",
		"..",
		"../outside",
		"anna/../../outside",
		"anna/..",
		"/etc",
		"/",
		"anna//Maildir",
		"file",
		"missing",
		"anna/missing/x",
	};
	char longest[400];
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		child.gid = 12345;
		assert_int_equal(find(homes[i], &err), -1);
		assert_int_equal(child.gid, 12345);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(find(longest, &err), -1);
}

/* It will be made by the owner of the folder that it will be in; root makes none. */
static void a_maildrop_that_is_not_there(void **state)
{
	struct err err;

	(void)state;
	if (getuid() == 0) {
		assert_int_equal(chown(folder, 4711, 4712), 0);
		child.uid = 4711;
	}
	assert_int_equal(find("missing", &err), 0);
	child.uid++; /* it would be in somebody else's folder */
	assert_int_equal(find("missing", &err), -1);
	child.uid--;
	keeper.home_root = 1;
	assert_int_equal(find("missing", &err), 0);
	assert_int_equal(child.gid, getuid() == 0 ? 4712 : getgid());
	assert_int_equal(find("missing/Maildir", &err), 0);
	assert_int_equal(find("../outside", &err), -1);
	assert_int_equal(find("link/Maildir", &err), -1);
	assert_int_equal(find("file", &err), -1);
	child.uid++;
	assert_int_equal(find("missing", &err), -1);
	keeper.home_root = 2;
	assert_int_equal(find("anna", &err), -1);
	if (getuid() != 0)
		return;
	keeper.home_root = 1;
	assert_int_equal(chown(folder, 0, 0), 0);
	child.uid = 0;
	assert_int_equal(find("missing", &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_owner_gives_the_group, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_maildrop_that_is_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threat_66_no_way_leads_out_of_the_root, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
