/* Fields of users by name, networks, templates of homes, domains with other names. */
#include "base/text.h"
#include "users/fields.h"
#include "users/networks.h"

#include "mail_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static struct user user;
static const char *site_maildir = ""; /* the setting maildir */
static uint32_t site_remotes;         /* sections: "old", then "judges" with credentials = same */
static struct err err;

/* Reads fields "name=value", NULL behind the last, of a user of that name. Returns user_fields_end,
 * or what a field's judge says: -2 unknown, -3 bad. */
static int take(const char *name, const char *folders, const char *const *words)
{
	const struct user_mail *mail = mail_of(folders);
	struct user_fields fields;

	memset(&user, 0xee, sizeof(user));
	memset(&err, 0, sizeof(err));
	snprintf(user.name, sizeof(user.name), "%s", name);
	if (mail) {
		struct config *config = (struct config *)(uintptr_t)mail->config;

		snprintf(config->maildir, sizeof(config->maildir), "%s", site_maildir);
		config->remotes[0] =
			(struct config_remote){.name = "old", .credentials = CONFIG_REMOTE_STORED};
		config->remotes[1] =
			(struct config_remote){.name = "judges", .credentials = CONFIG_REMOTE_SAME};
		config->remote_count = site_remotes;
	}
	user_fields_begin(&fields, &user, mail);
	for (; *words; words++) {
		const char *equals = strchr(*words, '=');
		pop3_span field = {*words, (size_t)(equals - *words)};

		switch (user_fields_set(&fields, field, span_of(equals + 1), &err)) {
		case USER_FIELD_TAKEN:
			break;
		case USER_FIELD_UNKNOWN:
			return -2;
		case USER_FIELD_BAD:
			return -3;
		}
	}
	return user_fields_end(&fields, &err);
}
#define TAKE(mail, ...) take("anna@example.org", mail, (const char *const[]){__VA_ARGS__, NULL})

static void test_each_field(void **state)
{
	(void)state;
	assert_int_equal(TAKE("/srv/mail", "password={PLAIN}x", "home=a/b", "uid=1000", "gid=1001",
			      "quota_messages=5", "quota_octets=2G", "nologin=yes", "external=1",
			      "allow_networks=192.0.2.0/24"),
			 0);
	assert_string_equal(user.secret, "{PLAIN}x");
	assert_string_equal(user.home, "a/b");
	assert_true(user.has_ids && user.nologin && user.external);
	assert_int_equal(user.uid, 1000);
	assert_int_equal(user.gid, 1001);
	assert_int_equal(user.quota_messages, 5);
	assert_true(user.quota_octets == 2ull << 30);
	assert_string_equal(user.networks, "192.0.2.0/24");
}

static void test_login_delay(void **state)
{
	static const char *const bad[] = {"login_delay=", "login_delay=10m", "login_delay=-1",
					  "login_delay=86401", "login_delay=1.5"};

	(void)state;
	assert_int_equal(TAKE(NULL, "login_delay=600"), 0);
	assert_true(user.has_login_delay && user.login_delay == 600);
	assert_int_equal(err.code, 0);
	assert_int_equal(TAKE(NULL, "home=a"), 0);
	assert_false(user.has_login_delay);
	assert_int_equal(TAKE("/srv/mail", "login_delay=0"), 0);
	assert_true(user.has_login_delay && user.login_delay == 0);
	assert_int_equal(err.code, 0);
	/* more than the site tells its clients: served, with a note */
	assert_int_equal(TAKE("/srv/mail", "login_delay=86400"), 0);
	assert_non_null(strstr(err.text, "login_delay of anna@example.org is 86400 seconds"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(TAKE("/srv/mail", bad[i]), -3);
		assert_non_null(strstr(err.text, "a number of seconds, 86400 at most"));
	}
}

static void test_names_of_dovecot(void **state)
{
	(void)state;
	assert_int_equal(TAKE("/srv/mail", "userdb_home=/srv/mail/x", "allow_nets=192.0.2.1",
			      "userdb_quota_rule=*:storage=100M:messages=7"),
			 0);
	assert_string_equal(user.home, "x");
	assert_string_equal(user.networks, "192.0.2.1");
	assert_true(user.quota_octets == 100ull << 20);
	assert_int_equal(user.quota_messages, 7);
	assert_int_equal(TAKE("/srv/mail", "quota_rule=*:storage=3"), 0);
	assert_int_equal(user.quota_octets, 3072);
	assert_int_equal(TAKE("/srv/mail", "quota_rule=*:bytes=3"), 0);
	assert_int_equal(user.quota_octets, 3);
	assert_int_equal(TAKE("/srv/mail", "quota_rule=Trash:storage=3"), -3);
	assert_int_equal(TAKE("/srv/mail", "quota_rule=*:ignore"), -3);
	assert_int_equal(TAKE("/srv/mail", "mail=maildir:~/Maildir", "home=/srv/mail/anna"), 0);
	assert_string_equal(user.home, "anna/Maildir");
}

static void test_no_login_unless_it_is_a_plain_no(void **state)
{
	static const char *const no[] = {"nologin=0", "nologin=no", "nologin=False", "nologin=off"};
	static const char *const yes[] = {"nologin=", "nologin=1", "nologin=y", "nologin=0x0"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(TAKE("/srv/mail", no[i]), 0);
		assert_false(user.nologin);
		assert_int_equal(TAKE("/srv/mail", yes[i]), 0);
		assert_true(user.nologin);
	}
}

static void test_what_is_refused(void **state)
{
	char home[600] = "home=";

	(void)state;
	memset(home + 5, 'a', sizeof(home) - 6);
	home[sizeof(home) - 1] = '\0';
	assert_int_equal(TAKE("/srv/mail", "allow_real_nets=192.0.2.0/24"), -2);
	assert_int_equal(TAKE("/srv/mail", "userdb_fail=yes"), -2);
	assert_int_equal(TAKE("/srv/mail", "nopassword="), -2);
	assert_int_equal(TAKE("/srv/mail", "sieve=~/x"), -2);
	assert_int_equal(TAKE("/srv/mail", "imap="), -2);
	assert_non_null(strstr(err.text, "imap"));
	assert_int_equal(TAKE("/srv/mail", "Password=x"), -2);
	assert_int_equal(TAKE("/srv/mail", "home=a\nb"), -3);
	assert_int_equal(TAKE("/srv/mail", "password=x\x7f"), -3);
	assert_int_equal(TAKE("/srv/mail", "quota_messages=-1"), -3);
	assert_int_equal(TAKE("/srv/mail", "quota_octets=99999999999G"), -3);
	assert_int_equal(TAKE("/srv/mail", "allow_networks="), -3);
	assert_int_equal(TAKE("/srv/mail", "allow_networks=example.org"), -3);
	assert_int_equal(TAKE("/srv/mail", "uid=0", "gid=8"), -1);
	assert_int_equal(TAKE("/srv/mail", "home=../x"), -1);
	assert_int_equal(TAKE("/srv/mail", "home=/srv/mailbox/x"), -1);
	assert_int_equal(TAKE("/srv/mail", home), -1);
	assert_int_equal(TAKE("/srv/mail", "maildir=../x"), -1);
}

static void test_a_maildir_below_the_home(void **state)
{
	(void)state;
	assert_int_equal(TAKE("/home", "home=/home/anna", "maildir=Maildir"), 0);
	assert_string_equal(user.home, "anna/Maildir");
	assert_int_equal(TAKE("/home", "maildir=Maildir"), 0);
	assert_string_equal(user.home, "anna@example.org/Maildir");
	assert_int_equal(TAKE("/home", "home=/root", "maildir=/home/anna/m"), 0);
	assert_string_equal(user.home, "anna/m");
}

static void test_what_is_passed_over(void **state)
{
	(void)state;
	assert_int_equal(TAKE("/srv/mail", "userdb_gecos=Anna", "shell=/bin/sh", "acl_groups=a",
			      "quota_rule2=Trash:storage=+10M", "event_x=y", "imap_logout=z",
			      "nice=5", "nodelay=y"),
			 0);
	assert_string_equal(user_home(&user), "anna@example.org");
	assert_true(user.quota_octets == 0 && !user.nologin && !user.external && !user.placed);
}

static void test_mail_of_another_server(void **state)
{
	(void)state;
	assert_int_equal(TAKE("/srv/mail", "remote=old"), -1);
	assert_string_equal(user.remote, "old");
	assert_int_equal(user.remote_section, 0);
	assert_non_null(strstr(err.text, "remote"));
	assert_int_equal(TAKE("/srv/mail", "userdb_remote=", "home=anna"), -1);
	assert_string_equal(user.remote, "?");
	assert_int_equal(TAKE("/srv/mail", "home=anna"), 0);
	assert_string_equal(user.remote, "");
}

static void test_mail_that_moves_here(void **state)
{
	(void)state;
	assert_int_equal(TAKE("/srv/mail", "migrate=old"), -1);
	assert_non_null(strstr(err.text, "no section remote \"old\""));
	site_remotes = 2;
	assert_int_equal(TAKE("/srv/mail", "migrate=old", "home=anna"), 0);
	assert_int_equal(user.migrate_section, 1);
	assert_int_equal(user.remote_section, 0);
	assert_string_equal(user.home, "anna"); /* mail is delivered here */
	assert_int_equal(TAKE("/srv/mail", "migrate=judges"), -1);
	assert_non_null(strstr(err.text, "credentials = same"));
	assert_int_equal(TAKE("/srv/mail", "migrate="), -1);
	assert_int_equal(TAKE("/srv/mail", "migrate=old", "remote=old"), -1);
	assert_non_null(strstr(err.text, "both remote= and migrate="));
	assert_int_equal(TAKE("/srv/mail", "home=anna"), 0);
	assert_int_equal(user.migrate_section, 0);
	site_remotes = 0;
}

static void test_several_mail_folders(void **state)
{
	static const char two[] = "/srv/mail/{domain}/{local} /srv/old/{user} /people";

	(void)state;
	assert_int_equal(take("anna@example.org", two, (const char *const[]){NULL}), 0);
	assert_int_equal(user.root, 0);
	assert_string_equal(user.home, "example.org/anna");
	assert_false(user.placed);
	assert_int_equal(TAKE(two, "home=/srv/old/anna"), 0);
	assert_true(user.root == 1 && user.placed);
	assert_string_equal(user.home, "anna");
	assert_int_equal(TAKE(two, "home=/people/anna/", "maildir=Maildir"), 0);
	assert_int_equal(user.root, 2);
	assert_string_equal(user.home, "anna/Maildir");
	assert_int_equal(TAKE(two, "maildir=/srv/old/x"), 0);
	assert_true(user.root == 1 && user.placed);
	assert_int_equal(TAKE(two, "mail=maildir:/srv/old/%u"), 0);
	assert_int_equal(user.root, 1);
	assert_string_equal(user.home, "anna@example.org");
	assert_int_equal(TAKE(two, "home=below"), 0);
	assert_true(user.root == 0 && user.placed);
	assert_int_equal(TAKE(two, "home=/srv/old"), -1);
	assert_int_equal(TAKE(two, "home=/srv/older/anna"), -1);
	assert_int_equal(TAKE(two, "home=/srv/old/../mail/anna"), -1);
	assert_non_null(strstr(err.text, "dot"));
}

static void test_the_setting_maildir(void **state)
{
	(void)state;
	site_maildir = "Maildir";
	assert_int_equal(TAKE("/people/{local}", "uid=1000", "gid=1000"), 0);
	assert_string_equal(user.home, "anna/Maildir");
	assert_false(user.placed);
	assert_int_equal(TAKE("/people", "home=/people/x"), 0);
	assert_string_equal(user.home, "x/Maildir");
	assert_int_equal(TAKE("/people", "home=/people/x", "maildir=Mail/in"), 0);
	assert_string_equal(user.home, "x/Mail/in");
	assert_int_equal(TAKE("/people", "home=/people/x", "maildir=/people/y"), 0);
	assert_string_equal(user.home, "y");
	assert_int_equal(TAKE("/people", "home=/people/x", "mail=maildir:~/m"), 0);
	assert_string_equal(user.home, "x/m");
	assert_int_equal(TAKE("/people", "home=/root"), -1);
	site_maildir = "";
}

/* The other places of the user that was taken last, in one text. */
static const char *elsewhere(const char *folders)
{
	const struct config *config = mail_of(folders)->config;
	static char text[1024];
	char home[USER_HOME_MAX + 1];
	uint32_t root;

	snprintf(((struct config *)(uintptr_t)config)->maildir, sizeof(config->maildir), "%s",
		 site_maildir);
	text[0] = '\0';
	for (unsigned i = 0; user_location_elsewhere(config, &user, i, &root, home); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u:%s ", root, home);
	return text;
}

static void test_places_where_the_mail_could_be_as_well(void **state)
{
	static const char one[] = "/srv/mail", two[] = "/srv/mail/{domain}/{local} /srv/old";

	(void)state;
	assert_int_equal(TAKE(one, "uid=1", "gid=1"), 0);
	assert_string_equal(elsewhere(one), "");
	assert_int_equal(TAKE(two, "uid=1", "gid=1"), 0);
	assert_string_equal(elsewhere(two), "1:anna@example.org ");
	assert_int_equal(TAKE(two, "home=/srv/old/anna"), 0); /* the entry says where */
	assert_string_equal(elsewhere(two), "");
	assert_int_equal(take("anna", two, (const char *const[]){"home=anna", NULL}), 0);
	user.placed = false;
	assert_string_equal(elsewhere(two), "1:anna "); /* no domain: none by the first one */
	site_maildir = "Maildir";
	assert_int_equal(TAKE(one, "uid=1", "gid=1"), 0);
	assert_string_equal(elsewhere(one), "0:anna@example.org ");
	assert_int_equal(TAKE(one, "home=/srv/mail/x/y"), 0);
	assert_string_equal(elsewhere(one), "0:x/y ");
	assert_int_equal(TAKE(one, "home=/srv/mail/x", "maildir=m"), 0);
	assert_string_equal(elsewhere(one), "");
	site_maildir = "";
}

static void test_the_mail_of_a_database(void **state)
{
	static struct config config;
	struct location_words words = {.home = {"", 0}};
	struct user_mail mail = {.config = &config};
	static const char text[] =
		"mail = {\"/srv/mail/{domain}/{local}\", \"/srv/old/\"}\n"
		"pop3 { listen = {\"127.0.0.1:1\"} }\n"
		"database \"a\" { driver = passwd-file file = a mail = \"/srv/old/{local}\" }\n"
		"database \"b\" { driver = passwd-file file = b mail = \"/srv/old\" }\n"
		"database \"c\" { driver = passwd-file file = c }\n";

	(void)state;
	if (config_parse(span_of(text), "/etc/valija/valija.conf", &config, &err) < 0)
		fail_msg("%s", err.text);
	snprintf(user.name, sizeof(user.name), "anna@example.org");
	mail.database = &config.databases[0];
	assert_int_equal(user_location(&mail, &words, &user, &err), 0);
	assert_true(user.root == 1 && !user.placed);
	assert_string_equal(user_home(&user), "anna");
	mail.database = &config.databases[1];
	assert_int_equal(user_location(&mail, &words, &user, &err), 0);
	assert_int_equal(user.root, 1);
	assert_string_equal(user_home(&user), "anna@example.org");
	mail.database = &config.databases[2];
	assert_int_equal(user_location(&mail, &words, &user, &err), 0);
	assert_int_equal(user.root, 0);
	assert_string_equal(user_home(&user), "example.org/anna");
	mail.database = &config.databases[0];
	words.home = SPAN_LITERAL("x/y"); /* below the database's folder */
	assert_int_equal(user_location(&mail, &words, &user, &err), 0);
	assert_true(user.root == 1 && user.placed);
	assert_string_equal(user_home(&user), "x/y");
}

static const char *placed(const char *name, const char *mail)
{
	static const char *const none[] = {NULL};

	return take(name, mail, none) == 0 ? user_home(&user) : NULL;
}

static void test_a_template(void **state)
{
	(void)state;
	assert_string_equal(placed("anna@example.org", "/srv/mail/{domain}/{local}"),
			    "example.org/anna");
	assert_string_equal(placed("anna@example.org", "/srv/mail/m-{user}/Maildir"),
			    "m-anna@example.org/Maildir");
	assert_string_equal(placed("anna", "/srv/mail/{local}"), "anna");
	assert_null(placed("anna", "/srv/mail/{domain}/{local}")); /* no domain, no folder */
	assert_null(placed("anna@..", "/srv/mail/{domain}/{local}"));
	assert_int_equal(TAKE("/srv/mail/{domain}/{local}", "home=/srv/mail/other"), 0);
	assert_string_equal(user.home, "other"); /* the entry's own home counts */
	assert_int_equal(TAKE("/srv/mail/{domain}/{local}", "home=/srv/elsewhere"), -1);
}

static bool has(const char *list, const char *address)
{
	uint8_t octets[16] = {[10] = 0xff, [11] = 0xff};

	if (strchr(address, ':'))
		assert_int_equal(inet_pton(AF_INET6, address, octets), 1);
	else
		assert_int_equal(inet_pton(AF_INET, address, octets + 12), 1);
	return networks_have(span_of(list), octets);
}

static void test_networks(void **state)
{
	static const char *const bad[] = {
		"",       " , ",          "x",  "192.0.2.0/33", "192.0.2.0/", "192.0.2",
		"::/129", "192.0.2.1;::", "/8", "192.0.2.0/-1", "::1/"};

	(void)state;
	assert_true(has("192.0.2.0/24", "192.0.2.255"));
	assert_false(has("192.0.2.0/24", "192.0.3.0"));
	assert_true(has("192.0.2.128/25", "192.0.2.129"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_true(has("10.0.0.1, 192.0.2.7 ::1", "::1"));
	assert_true(has("10.0.0.1, 192.0.2.7 ::1", "192.0.2.7"));
	assert_false(has("10.0.0.1, 192.0.2.7 ::1", "192.0.2.8"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(has("0.0.0.0/0", "203.0.113.9"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "203.0.113.9"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (networks_valid(span_of(bad[i])))
			fail_msg("%s is taken for networks", bad[i]);
		assert_false(has(bad[i], "192.0.2.1"));
	}
}

static const char *unaliased(const char *name)
{
	static struct config config = {.domain_aliases =
					       "example.net=example.org old.test=example.org"};
	static char buf[USER_NAME_MAX + 1], text[USER_NAME_MAX + 1];
	pop3_span span = user_name_unaliased(&config, span_of(name), buf);

	snprintf(text, sizeof(text), "%.*s", (int)span.size, span.data);
	return text;
}

static void test_domains_with_other_names(void **state)
{
	(void)state;
	assert_string_equal(unaliased("anna@example.net"), "anna@example.org");
	assert_string_equal(unaliased("anna@OLD.test"), "anna@example.org");
	assert_string_equal(unaliased("anna@example.org"), "anna@example.org");
	assert_string_equal(unaliased("anna@net"), "anna@net");
	assert_string_equal(unaliased("example.net"), "example.net");
	assert_string_equal(unaliased("@example.net"), "@example.org");
	assert_string_equal(unaliased(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_field),
		cmocka_unit_test(test_login_delay),
		cmocka_unit_test(test_names_of_dovecot),
		cmocka_unit_test(test_no_login_unless_it_is_a_plain_no),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_a_maildir_below_the_home),
		cmocka_unit_test(test_a_template),
		cmocka_unit_test(test_what_is_passed_over),
		cmocka_unit_test(test_mail_of_another_server),
		cmocka_unit_test(test_mail_that_moves_here),
		cmocka_unit_test(test_several_mail_folders),
		cmocka_unit_test(test_the_setting_maildir),
		cmocka_unit_test(test_places_where_the_mail_could_be_as_well),
		cmocka_unit_test(test_the_mail_of_a_database),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_domains_with_other_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
