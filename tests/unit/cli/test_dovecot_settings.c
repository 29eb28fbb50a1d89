/*
 * Dovecot's settings as a valija.conf: what comes of each, and of texts that are none. Files that
 * the settings name are in `files` here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "cli/import/settings/query.h"
#include "cli/import/settings/settings.h"
#include "cli/import/settings/variables.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

struct file {
	const char *path, *text;
};

static const struct file files[] = {
	{"/etc/dovecot/users", "anna:{PLAIN}x:1:1::/srv/vmail/example.org/anna\n"
			       "bert:{PLAIN}x:1:1::/srv/vmail/example.net/bert::a=b\n# none\n"},
	{"/etc/dovecot/homeless", "anna:{PLAIN}x\n"},
	{"/etc/dovecot/ldap", "hosts = a b\ndn = cn=valija\ndnpass = geheim\nbase = ou=people\n"
			      "auth_bind = yes\npass_filter = (uid=%n)\nuser_filter = (mail=%Lu)\n"
			      "user_attrs = =home=/srv/%{ldap:uid}/x,uidNumber=uid,strange=odd\n"
			      "pass_attrs = uid=user,userPassword=password\n"}};

static char *read_file(void *context, const char *path, size_t *ret_size)
{
	(void)context;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (strcmp(files[i].path, path) == 0) {
			*ret_size = strlen(files[i].text);
			return strdup(files[i].text);
		}
	return NULL;
}

static int parse(pop3_span text, struct dovecot_conf *ret, struct err *err)
{
	int rc = dovecot_conf_parse(text, "d", ret, err);

	if (rc < 0)
		dovecot_conf_finish(ret);
	return rc;
}

static void translate(const char *text, struct settings *ret)
{
	struct settings_source source = {.name = "d", .read = read_file};
	struct dovecot_conf conf;
	struct err err = {0};

	assert_int_equal(parse(span_of(text), &conf, &err), 0);
	assert_int_equal(settings_translate(&conf, &source, ret, &err), 0);
	dovecot_conf_finish(&conf);
}

/* Whether the configuration has the words, and valijad takes it. */
static void becomes(const char *text, const char *words)
{
	struct config *config = malloc(sizeof(*config));
	struct settings settings;
	struct err err = {0};

	translate(text, &settings);
	if (!strstr(settings.text, words))
		fail_msg("no %s in:\n%s", words, settings.text);
	if (config_parse((pop3_span){settings.text, settings.size}, "/x/valija.conf", config,
			 &err) < 0)
		fail_msg("%s:\n%s", err.text, settings.text);
	settings_finish(&settings);
	free(config);
}

/* Whether that line has a note of the kind with the words. */
static void is_noted(const char *text, unsigned line, enum settings_kind kind, const char *words)
{
	struct settings settings;
	bool found = false;

	translate(text, &settings);
	for (size_t i = 0; i < settings.note_count; i++)
		found |= settings.notes[i].line == line && settings.notes[i].kind == kind &&
			 strstr(settings.notes[i].text, words) != NULL;
	if (!found)
		fail_msg("no note at line %u has: %s", line, words);
	settings_finish(&settings);
}

static void refuses(const char *text, size_t size, const char *words)
{
	struct dovecot_conf conf;
	struct err err = {0};

	assert_int_equal(parse((pop3_span){text, size}, &conf, &err), -1);
	if (!strstr(err.text, words))
		fail_msg("%s", err.text);
}

static void test_texts_that_are_none(void **state)
{
	char *longest = malloc(1 << 20);

	(void)state;
	memset(longest, 'x', 1 << 20);
	memcpy(longest, "a = ", 4);
	refuses(longest, 1 << 20, "d:1: the line has more than");
	free(longest);
	refuses("a = b\nc\n", 8, "d:2: \"c\" is no setting");
	refuses("a {\n", 4, "d: it ends within a section");
	refuses("a {\n}\n}\n", 8, "d:3: a section ends that did not begin");
	refuses("a = b\0c\n", 8, "d:1: the line has an octet NUL");
	refuses("!include x\n", 11, "give what `doveconf -n` prints");
	refuses("\xff\xfe", 2, "UTF-16");
	refuses("a {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\n"
		"a {\n",
		68, "nested too deep");
}

static void test_odd_texts(void **state)
{
	(void)state;
	becomes("", "mail = \"/FILL-IN\"");
	becomes("= b\nmailbox \"a=b\" {\n}\npassdb {\n}\n \n#\n", "users = \"users\"");
	/* a joined line is named by its beginning */
	is_noted("strange = a \\\n b\nother = c", 1, SETTINGS_TO_DO, "not known here");
	is_noted("strange = a \\\n b\nother = c", 3, SETTINGS_TO_DO, "not known here");
}

static void test_where_the_mail_is(void **state)
{
	(void)state;
	becomes("mail_location = maildir:/srv/%d/%n/Maildir/:INDEX=/x", "mail = \"/srv/{domain}/"
									"{local}/Maildir\"\n");
	becomes("mail_location = maildir:~/Maildir\nmail_home = /srv/%Lu",
		"mail = \"/srv/{user}/Maildir\"\n");
	becomes("mail_driver = maildir\nmail_path = %{home}/M\n"
		"mail_home = /srv/%{user | domain | lower}/%{user|username}",
		"mail = \"/srv/{domain}/{local}/M\"\n");
	becomes("mail_location = mbox:~/mail:INBOX=/var/mail/%u",
		"mail = \"/var/mail/{user}\"\nstore = mbox\n");
	becomes("mail_location = maildir:/x/%u\nnamespace {\n inbox = yes\n location = "
		"maildir:/y/%u\n}",
		"mail = \"/y/{user}\"\n");
	is_noted("mail_location = maildir:/x/%2.256Nu/%u", 1, SETTINGS_TO_DO, "has no counterpart");
	is_noted("mail_location = maildir:/same/for/all", 1, SETTINGS_TO_DO, "the same for all");
	is_noted("mail_location = mdbox:~/mdbox", 1, SETTINGS_TO_DO, "doveadm sync");
	is_noted("mail_location = maildir:/x/%u:CONTROL=/y", 1, SETTINGS_TO_DO, "--from DIR");
}

static void test_where_the_users_are(void **state)
{
	static const char in_file[] =
		"mail_location = maildir:~/Maildir\n"
		"passdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n"
		"userdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n";

	(void)state;
	becomes(in_file, "mail = \"/srv/vmail\"\nmaildir = \"Maildir\"\n"
			 "users = \"/etc/dovecot/users\"\n");
	becomes("mail_location = maildir:~/Mail\nfirst_valid_uid = 500\n"
		"passdb {\n driver = pam\n args = session=yes dovecot\n}\nuserdb {\n driver = "
		"passwd\n}",
		"driver = system\n\tservice = \"dovecot\"\n\tmin_uid = 500\n\tmaildir = "
		"\"Mail\"\n");
	becomes("mail_location = maildir:/x/%u\npassdb {\n driver = ldap\n args = "
		"/etc/dovecot/ldap\n}",
		"servers = {\"ldap://a\", \"ldap://b\"}\n\tbind_dn = \"cn=valija\"\n"
		"\tbind_password_file = \"ldap2.secret\"\n\tbase = \"ou=people\"\n"
		"\tfilter = \"(uid={local})\"\n\trecipient_filter = \"(mail={user})\"\n"
		"\tattributes = {\"uid=user\", \"uidNumber=uid\"}\n\tverify = \"bind\"\n");
	is_noted("passdb {\n driver = passwd-file\n args = scheme=SHA256 /etc/dovecot/homeless\n}",
		 3, SETTINGS_TO_DO, "write {SHA256} in front");
	is_noted("passdb {\n driver = passwd-file\n args = /a\n deny = yes\n}", 1, SETTINGS_TO_DO,
		 "nologin");
	is_noted("passdb {\n driver = sql\n args = /a\n}\nuserdb {\n driver = passwd\n}", 5,
		 SETTINGS_TO_DO, "but passwords do not");
	is_noted("passdb {\n driver = pam\n}\npassdb {\n driver = shadow\n}", 4, SETTINGS_KEPT,
		 "one database");
	is_noted("passdb {\n driver = lua\n}", 1, SETTINGS_TO_DO, "driver = http");
	is_noted("userdb {\n driver = static\n args = uid=1\n override_fields = quota_rule=*:x\n}",
		 4, SETTINGS_TO_DO, "quota_rule is said for all users");
}

static void test_listeners(void **state)
{
	(void)state;
	becomes("mail_location = maildir:/x/%u", "pop3 {\n\tlisten = {\"[::]:110\"}\n}\n");
	becomes("listen = *\nssl_cert = </a\nssl_key = </b\nssl_min_protocol = TLSv1.3",
		"listener \"0.0.0.0:995\" {\n\ttls_min = \"1.3\"\n}\n");
	becomes("listen = 192.0.2.1\nservice pop3-login {\n inet_listener a {\n  port = 11\n  "
		"haproxy = yes\n }\n}\nhaproxy_trusted_networks = 10.0.0.0/8, 192.0.2.9",
		"listener \"192.0.2.1:11\" {\n\tproxy_from = {\"10.0.0.0/8\", \"192.0.2.9\"}\n}\n");
	becomes("service auth {\n unix_listener /var/spool/postfix/private/auth {\n  mode = 0666\n "
		"}\n unix_listener auth-userdb {\n  mode = 0600\n }\n}",
		"sasl {\n\tlisten = {\"/var/spool/postfix/private/auth\"}\n}\n");
	is_noted("listen = mail.example.org", 1, SETTINGS_TO_DO, "not a name");
	is_noted("ssl_key = # hidden, use -P to show it", 1, SETTINGS_TO_DO, "doveconf -n -P");
	is_noted("ssl_min_protocol = TLSv1", 1, SETTINGS_TO_DO, "tls_min_networks");
}

static void test_rules(void **state)
{
	(void)state;
	becomes("auth_mechanisms = plain LOGIN apop plain",
		"login {\n\tapop = yes\n\tmechanisms = {\"PLAIN\", \"LOGIN\"}\n");
	becomes("disable_plaintext_auth = no\nauth_failure_delay = 3 secs",
		"\tplain_without_tls = yes\n\tfailure_delay = 3s\n");
	becomes("plugin {\n quota_rule = *:storage=2T:messages=5\n}",
		"quota {\n\toctets = 2048G\n\tmessages = 5\n\tover = \"permanent\"\n}\n");
	becomes("plugin {\n quota_rule = *:storage=100\n}", "octets = 100K\n");
	is_noted("auth_mechanisms = plain ntlm", 1, SETTINGS_TO_DO, "ntlm is not known");
	is_noted("plugin {\n quota_rule = *:storage=10%%\n}", 2, SETTINGS_TO_DO, "not understood");
	is_noted("mail_max_userip_connections = 3", 1, SETTINGS_KEPT, "sessions_per_user");
	is_noted("pop3_lock_session = yes", 1, SETTINGS_KEPT, "one session at a time");
}

static void query_becomes(const char *text, bool mysql, const char *words)
{
	char *written = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&written, &size);
	struct query query;

	query_read(text, mysql, &query);
	if (words) {
		assert_true(query_write(&query, out));
		fclose(out);
		assert_string_equal(written, words);
	} else {
		assert_false(query_write(&query, out));
		fclose(out);
	}
	free(written);
}

static void test_queries(void **state)
{
	struct query query;

	(void)state;
	query_becomes("SELECT a FROM b WHERE c = '%u'", false, "SELECT a FROM b WHERE c = {user}");
	query_becomes("SELECT '/v/%d/%Ln' AS home;", false,
		      "SELECT ('/v/' || {domain} || '/' || {local}) AS home");
	query_becomes("SELECT \"/v/%d\" x", true, "SELECT CONCAT('/v/', {domain}) x");
	query_becomes("x LIKE 'a%%' AND y = ''", false, "x LIKE 'a%' AND y = ''");
	query_becomes("x = 'it''s %u'", false, "x = ('it''s ' || {user})");
	query_becomes("x = '%w'", false, NULL);
	query_becomes("x = '%u", false, NULL);
	query_read("SELECT f(a, ',') AS password, b.`user`, \"home\" FROM t", true, &query);
	assert_int_equal(query.count, 3);
	assert_non_null(query_column(&query, "password"));
	assert_non_null(query_column(&query, "username|user"));
	query_read("SELECT * FROM t", true, &query);
	assert_int_equal(query.count, 0);
	query_read("UPDATE t", true, &query);
	assert_int_equal(query.count, 0);
}

static void test_secrets_are_apart(void **state)
{
	struct settings settings;

	(void)state;
	translate("passdb {\n driver = ldap\n args = /etc/dovecot/ldap\n}", &settings);
	assert_int_equal(settings.secret_count, 1);
	assert_string_equal(settings.secrets[0].text, "geheim");
	assert_null(strstr(settings.text, "geheim"));
	for (size_t i = 0; i < settings.note_count; i++)
		assert_null(strstr(settings.notes[i].text, "geheim"));
	settings_finish(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_that_are_none),
		cmocka_unit_test(test_odd_texts),
		cmocka_unit_test(test_where_the_mail_is),
		cmocka_unit_test(test_where_the_users_are),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_secrets_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
