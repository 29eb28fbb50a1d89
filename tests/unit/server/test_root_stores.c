/* The kind of the maildrops of each mail folder: what is written there, what the setting asks for,
 * what does not go with mboxes, and where no lock file can be made beside them. */
#include "server/monitor/root_stores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { MAIL_GID = 8, NOTHING = -1 };

static struct config config;
static struct mail_folder mail[2];
static struct err err;
static char said[2000];
static unsigned lines;
static uid_t euid;

uid_t __wrap_geteuid(void);

uid_t __wrap_geteuid(void)
{
	return euid;
}

static int begin(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	memset(mail, 0, sizeof(mail));
	err = (struct err){.text = ""};
	said[0] = '\0';
	lines = 0;
	euid = 0;
	config.root_count = 2;
	strcpy(config.roots[0].path, "/var/mail/one");
	strcpy(config.roots[1].path, "/var/mail/two");
	for (int i = 0; i < 2; i++)
		mail[i] = (struct mail_folder){.gid = MAIL_GID, .mode = 02775};
	return 0;
}

static void resolved(int one, int two)
{
	mail[0].facts.store = one;
	mail[1].facts.store = two;
	if (root_stores_resolve(&config, mail, &err) < 0)
		fail_msg("%s", err.text);
}

static void refused(int one, int two, const char *words, const char *path)
{
	mail[0].facts.store = one;
	mail[1].facts.store = two;
	err = (struct err){.text = ""};
	assert_int_equal(root_stores_resolve(&config, mail, &err), -1);
	assert_int_equal(err.code, EX_CONFIG);
	if (!strstr(err.text, words) || !strstr(err.text, path))
		fail_msg("no \"%s\" in \"%s\"", words, err.text);
}

static void test_what_is_written_counts(void **state)
{
	(void)state;
	resolved(NOTHING, STORE_MBOX);
	assert_int_equal(config.roots[0].store, CONFIG_MAILDIR);
	assert_int_equal(config.roots[1].store, CONFIG_MBOX);
	resolved(STORE_MBOX, STORE_MAILDIR);
	assert_int_equal(config.roots[0].store, CONFIG_MBOX);
	assert_int_equal(config.roots[1].store, CONFIG_MAILDIR);
}

static void test_the_setting_asks_for_one_kind(void **state)
{
	(void)state;
	config.store = 1 + CONFIG_MBOX;
	resolved(STORE_MBOX, STORE_MBOX);
	refused(STORE_MBOX, NOTHING, "store = \"mbox\", but nothing in /var/mail/two says so",
		"valija mark --store mbox /var/mail/two");
	refused(STORE_MAILDIR, STORE_MBOX,
		"store = \"mbox\", but /var/mail/one is marked as a folder of the kind maildir",
		"valija mark --store mbox /var/mail/one");
	config.store = 1 + CONFIG_MAILDIR;
	resolved(STORE_MAILDIR, NOTHING);
	refused(NOTHING, STORE_MBOX,
		"store = \"maildir\", but /var/mail/two is marked as a folder of the kind mbox",
		"valija mark --store maildir /var/mail/two");
}

static void test_retention_is_for_maildirs(void **state)
{
	static const char words[] = "retention: messages are kept, or deleted for their age, in "
				    "Maildirs only";

	(void)state;
	config.keep_deleted_seconds = 1;
	resolved(STORE_MAILDIR, NOTHING);
	refused(STORE_MAILDIR, STORE_MBOX, words, "/var/mail/two has mboxes");
	config.keep_deleted_seconds = 0;
	config.delete_after_seconds = 1;
	refused(STORE_MBOX, STORE_MAILDIR, words, "/var/mail/one has mboxes");
	config.delete_after_seconds = 0;
	resolved(STORE_MBOX, STORE_MBOX);
}

static void test_which_folders_have_a_locker(void **state)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
		bool needs;
	} cases[] = {{0, MAIL_GID, 02775, true},  {0, MAIL_GID, 0770, true},
		     {0, MAIL_GID, 02755, false}, {0, MAIL_GID, 01777, false},
		     {0, MAIL_GID, 0757, false},  {0, 0, 02775, false},
		     {1, MAIL_GID, 02775, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mail_folder one = {
			.uid = cases[i].uid, .gid = cases[i].gid, .mode = cases[i].mode};

		if (root_stores_need_locker(&one) != cases[i].needs)
			fail_msg("case %zu", i);
	}
}

static void say(const char *text)
{
	snprintf(said, sizeof(said), "%s", text);
	lines++;
}

static unsigned warned(bool root)
{
	lines = 0;
	said[0] = '\0';
	root_stores_warn(&config, mail, root, say);
	return lines;
}

static void test_where_no_lock_file_can_be_made(void **state)
{
	(void)state;
	resolved(STORE_MBOX, STORE_MBOX);
	assert_int_equal(warned(true), 0); /* the locker makes them */
	mail[1].mode = 0755;
	assert_int_equal(warned(true), 1);
	assert_non_null(strstr(said, "beside the mailboxes in /var/mail/two"));
	assert_non_null(strstr(said, "give it a group that may write there"));
	mail[0].gid = 0;
	assert_int_equal(warned(true), 2);
	/* each of these can do it itself */
	mail[0].mode = 01777;
	assert_int_equal(warned(true), 1);
	mail[1].uid = 1000;
	assert_int_equal(warned(true), 0);
	/* Maildirs have their own locks */
	mail[0].mode = mail[1].mode = 0755;
	mail[1].uid = 0;
	assert_int_equal(warned(true), 2);
	config.roots[0].store = CONFIG_MAILDIR;
	assert_int_equal(warned(true), 1);
	config.root_count = 1;
	assert_int_equal(warned(true), 0);
}

static void test_a_monitor_that_is_not_root(void **state)
{
	(void)state;
	resolved(STORE_MBOX, STORE_MAILDIR);
	euid = 1000;
	assert_int_equal(warned(false), 1);
	assert_non_null(strstr(said, "/var/mail/one"));
	assert_non_null(strstr(said, "start valijad as root"));
	mail[0].mode = 0777;
	assert_int_equal(warned(false), 0);
	/* alone in its namespace, it owns the folder */
	mail[0].mode = 0755;
	euid = 0;
	assert_int_equal(warned(false), 0);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_written_counts),         TEST(test_the_setting_asks_for_one_kind),
		TEST(test_retention_is_for_maildirs),      TEST(test_which_folders_have_a_locker),
		TEST(test_where_no_lock_file_can_be_made), TEST(test_a_monitor_that_is_not_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
