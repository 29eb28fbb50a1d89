/* Fields of users by name, networks, templates of homes, domains with other names. */
#include "base/text.h"
#include "users/fields.h"
#include "users/networks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static struct user user;
static struct err err;

/* Reads fields "name=value", NULL behind the last, of a user of that name. Returns user_fields_end,
 * or what a field's judge says: -2 unknown, -3 bad. */
static int take(const char *name, const char *mail, const char *const *words)
{
	struct user_fields fields;

	memset(&user, 0xee, sizeof(user));
	memset(&err, 0, sizeof(err));
	snprintf(user.name, sizeof(user.name), "%s", name);
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
			      "quota_messages=5", "quota_octets=2G", "nologin=yes",
			      "allow_networks=192.0.2.0/24"),
			 0);
	assert_string_equal(user.secret, "{PLAIN}x");
	assert_string_equal(user.home, "a/b");
	assert_true(user.has_ids && user.nologin);
	assert_int_equal(user.uid, 1000);
	assert_int_equal(user.gid, 1001);
	assert_int_equal(user.quota_messages, 5);
	assert_true(user.quota_octets == 2ull << 30);
	assert_string_equal(user.networks, "192.0.2.0/24");
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
	assert_int_equal(TAKE("/srv/mail", "shell=/bin/sh"), -2);
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
		cmocka_unit_test(test_names_of_dovecot),
		cmocka_unit_test(test_no_login_unless_it_is_a_plain_no),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_a_maildir_below_the_home),
		cmocka_unit_test(test_a_template),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_domains_with_other_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
