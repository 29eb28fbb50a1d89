/* valija.conf: what is understood, what is refused and with which words, and what comes back out.
 */
#include "config/config.h"
#include "config/database.h"
#include "config/remote.h"
#include "config/keys.h"
#include "config/rules.h"

#include "base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#define OFFICE "pop3 { listen = \"127.0.0.1:1110\" }\n"

static struct config config;
static struct err err;

static int parse(const char *text)
{
	memset(&err, 0, sizeof(err));
	memset(&config, 0xee, sizeof(config));
	return config_parse(span_of(text), "/etc/valija/valija.conf", &config, &err);
}

static void good(const char *text)
{
	if (parse(text) != 0)
		fail_msg("refused: %s", err.text);
}

/* Refused in that line with words that hold all of the given ones; nothing is returned. */
static void bad(const char *text, const char *line, const char *words)
{
	char where[80];

	if (parse(text) == 0)
		fail_msg("taken: %s", text);
	assert_int_equal(err.code, EX_CONFIG);
	snprintf(where, sizeof(where), "/etc/valija/valija.conf:%s: ", line);
	if (*line && strncmp(err.text, where, strlen(where)) != 0)
		fail_msg("not in line %s: %s", line, err.text);
	if (!strstr(err.text, words))
		fail_msg("not \"%s\": %s", words, err.text);
	assert_int_equal((unsigned char)config.host_name[0], 0xee);
}

/* A long value, such as a query, may go on in the next line; lines are counted all the same. */
static void test_continued_strings(void **state)
{
	(void)state;
	good("hostname = \"mail\\\n.example.org\"\n" OFFICE);
	assert_string_equal(config.host_name, "mail.example.org");
	bad("hostname = \"mail\\\n.example.org\"\nnonsense = 1\n" OFFICE, "3", "nonsense");
	bad("hostname = \"mail\\\n.example.org\n\"\n" OFFICE, "1", "not ended on its line");
	bad("hostname = \"mail\\", "1", "not ended");
	bad("hostname = 'mail\\\n.example.org'\n" OFFICE, "1", "not ended on its line");
}

static void test_defaults(void **state)
{
	(void)state;
	good(OFFICE);
	assert_string_equal(config.roots[0].path, "/etc/valija/mail");
	assert_string_equal(config.users, "/etc/valija/users");
	assert_string_equal(config.directory, "/etc/valija");
	assert_string_equal(config.aliases, "");
	assert_true(config_host_valid(config.host_name));
	assert_int_equal(config.idle_seconds, 600);
	assert_int_equal(config.drain_seconds, CONFIG_DRAIN_STANDARD);
	assert_int_equal(config.failure_delay_ms, 1000);
	assert_int_equal(config.failure_delay_max_ms, 15000);
	assert_int_equal(config.lmtp_max_size, 50 << 20);
	assert_int_equal(config.lmtp_memory, 0);
	assert_string_equal(config.lmtp_spool, "");
	assert_int_equal(config.lmtp_spool_size, 0);
	assert_int_equal(config.expire_days, -1);
	assert_false(config_delays_logins(&config));
	assert_int_equal(config_announced_delay(&config), -1);
	assert_true(config.plain_on_loopback);
	assert_false(config.plain_without_tls);
	assert_false(config.apop);
	assert_null(strstr(config.mechanisms, "CRAM-MD5"));
}

static void test_every_kind_of_value(void **state)
{
	(void)state;
	good("# office\n"
	     "hostname = mail.example.org # no quotes needed\n"
	     "mail = '/srv/mail'\n"
	     "users = \"etc/users \\\"x\\\"\"\n"
	     "line_ends = crlf\n"
	     "log_level = \"debug\"\n"
	     "pop3 { listen = {\"127.0.0.1:1110\", # one\n"
	     "  \"[::1]:1110\", localhost:111} expire = 30 login_delay = 5m\n"
	     "  login_delay_max = 1d }\n"
	     "lmtp { listen = \"run/lmtp\" max_size = 1G domains = {\"Example.org\", "
	     "\"b.example\"}\n"
	     "  recipient_delimiter = \"\" catch_all = \"post\" aliases = \"aliases\"\n"
	     "  memory = 3M spool = 'var/on the way' spool_size = 1125899906842624 }\n"
	     "quota { messages = 10K octets = 2G over = permanent }\n"
	     "retention { keep_deleted = 7d keep_octets = 5M delete_after = 30d }\n"
	     "login { plain_without_tls = yes plain_on_loopback = off apop = true\n"
	     "  mechanisms = {plain, \"cram-md5\"} failure_delay = 250ms failure_delay_max = 2m\n"
	     "  cache_time = 2d }\n"
	     "/* a longer\n comment */ timeouts { idle = 1h write = 5 drain = 0 }\n"
	     "limits { connections_per_address = 0 }\n"
	     "processes { fronts = 3 net_user = \"nobody\" }\n");
	assert_string_equal(config.host_name, "mail.example.org");
	assert_string_equal(config.roots[0].path, "/srv/mail");
	assert_string_equal(config.users, "/etc/valija/etc/users \"x\"");
	assert_true(config.store_crlf);
	assert_int_equal(config.log_level, 3);
	assert_int_equal(config.listener_count, 4);
	assert_string_equal(config.listeners[0].address, "127.0.0.1");
	assert_int_equal(config.listeners[0].port, 1110);
	assert_int_equal(config.listeners[0].line, 7);
	assert_string_equal(config.listeners[1].address, "::1");
	assert_int_equal(config.listeners[1].line, 8);
	assert_string_equal(config.listeners[2].address, "localhost");
	assert_int_equal(config.listeners[3].service, SERVICE_LMTP);
	assert_string_equal(config.listeners[3].address, "/etc/valija/run/lmtp");
	assert_int_equal(config.listeners[3].port, 0);
	assert_int_equal(config.expire_days, 30);
	assert_int_equal(config.login_delay_seconds, 300);
	assert_int_equal(config_announced_delay(&config), 86400);
	assert_int_equal(config.lmtp_max_size, 1 << 30);
	assert_int_equal(config.lmtp_memory, 3 << 20);
	assert_string_equal(config.lmtp_spool, "/etc/valija/var/on the way");
	assert_int_equal(config.lmtp_spool_size, 1ull << 50);
	assert_string_equal(config.domains, "example.org b.example");
	assert_string_equal(config.recipient_delimiter, "");
	assert_string_equal(config.aliases, "/etc/valija/aliases");
	assert_int_equal(config.quota_messages, 10240);
	assert_true(config.quota_octets == 2ull << 30);
	assert_true(config.quota_permanent);
	assert_int_equal(config.keep_deleted_seconds, 7 * 24 * 3600);
	assert_int_equal(config.keep_octets, 5 << 20);
	assert_int_equal(config.delete_after_seconds, 30 * 24 * 3600);
	assert_true(config.plain_without_tls);
	assert_false(config.plain_on_loopback);
	assert_string_equal(config.mechanisms, "PLAIN CRAM-MD5");
	assert_int_equal(config.failure_delay_ms, 250);
	assert_int_equal(config.failure_delay_max_ms, 120000);
	assert_int_equal(config.auth_cache_seconds, 172800);
	assert_int_equal(config.idle_seconds, 3600);
	assert_int_equal(config.write_seconds, 5);
	assert_int_equal(config.drain_seconds, 0);
	assert_int_equal(config.max_connections_per_address, 0);
	assert_string_equal(config.user_net, "nobody");
}

static void test_mail_with_placeholders(void **state)
{
	char buf[CONFIG_MAIL_MAX];

	(void)state;
	good(OFFICE "mail = \"/srv/mail/{domain}/{local}\"\n");
	assert_string_equal(config.roots[0].path, "/srv/mail");
	assert_string_equal(config.roots[0].template, "{domain}/{local}");
	assert_string_equal(config_root_text(&config.roots[0], buf), "/srv/mail/{domain}/{local}");
	good(OFFICE "mail = \"/srv/mail/x-{user}\"\n");
	assert_string_equal(config.roots[0].path, "/srv/mail");
	assert_string_equal(config.roots[0].template, "x-{user}");
	good(OFFICE "mail = \"/srv/mail\"\n");
	assert_string_equal(config_root_text(&config.roots[0], buf), "/srv/mail");
	bad(OFFICE "mail = \"{user}\"\n", "2", "before the first placeholder");
	bad(OFFICE "mail = \"/{user}\"\n", "2", "before the first placeholder");
	bad(OFFICE "mail = \"/srv/{home}\"\n", "2", "known are {user}");
}

static void test_several_mail_folders(void **state)
{
	pop3_span below;
	const char *template;

	(void)state;
	good(OFFICE
	     "mail = {\"/srv/mail/{domain}/{local}\", old, \"/people/\"}\nmaildir = Maildir\n"
	     "database a { driver = passwd-file file = a mail = \"old/x-{user}\" }\n"
	     "database b { driver = passwd-file file = b mail = \"/people\" }\n"
	     "database c { driver = passwd-file file = c }\n");
	assert_int_equal(config.root_count, 3);
	assert_string_equal(config.roots[0].template, "{domain}/{local}");
	assert_string_equal(config.roots[1].path, "/etc/valija/old");
	assert_string_equal(config.roots[1].template, "");
	assert_string_equal(config.maildir, "Maildir");
	assert_int_equal(config_root_find(&config, span_of("/etc/valija/old/a/b"), &below), 1);
	assert_true(span_equal(below, SPAN_LITERAL("a/b")));
	assert_int_equal(config_root_find(&config, span_of("/etc/valija/old"), &below), 1);
	assert_int_equal(below.size, 0);
	assert_int_equal(config_root_find(&config, span_of("/etc/valija/older/a"), &below), -1);
	assert_int_equal(config_root_find(&config, span_of("/people/a"), &below), 2);
	assert_true(span_equal(below, SPAN_LITERAL("a")));
	assert_int_equal(config_database_mail(&config, &config.databases[0], &template), 1);
	assert_string_equal(template, "x-{user}");
	assert_int_equal(config_database_mail(&config, &config.databases[1], &template), 2);
	assert_string_equal(template, "");
	assert_int_equal(config_database_mail(&config, &config.databases[2], &template), 0);
	assert_string_equal(template, "{domain}/{local}");
	assert_int_equal(config_database_mail(&config, NULL, &template), 0);
	bad(OFFICE "mail = {a, b, c, d, e, f, g, h, i}\n", "2", "at most 8");
	bad(OFFICE "mail = {\"/srv/mail\", \"/srv/mail/\"}\n", "2", "one folder");
	bad(OFFICE "mail = {\"/srv/mail\", \"/srv/mail/x/{user}\"}\n", "2", "one is in the other");
	bad(OFFICE "mail = {\"/srv/mail/x\", \"/srv/mail\"}\n", "2", "one is in the other");
	bad(OFFICE "mail = {a, \"{user}\"}\n", "2", "before the first placeholder");
	bad(OFFICE "mail = {a, \"\"}\n", "2", "empty");
	good(OFFICE "mail = {\"/srv/mail\", \"/srv/mail2\"}\n");
	for (const char *const *part =
		     (const char *const[]){"/x", "..", "a//b", ".m", "m/", "a/../b", NULL};
	     *part; part++) {
		char text[200];

		snprintf(text, sizeof(text), OFFICE "maildir = \"%s\"\n", *part);
		bad(text, "2", "below each home");
	}
	bad(OFFICE "database a { driver = passwd-file file = a mail = \"/srv/{user}\" }\n", "2",
	    "in no folder of the setting mail");
	bad(OFFICE "mail = x\ndatabase a { driver = passwd-file file = a mail = \"x/all\" }\n", "3",
	    "mail of all its users");
	bad(OFFICE "database a { driver = passwd-file file = a mail = \"mail/{home}\" }\n", "2",
	    "known are {user}");
}

static void test_domain_aliases(void **state)
{
	(void)state;
	good(OFFICE "domain_aliases = {\"Example.net=example.org\", \"b.test=a.test\"}\n");
	assert_string_equal(config.domain_aliases, "example.net=example.org b.test=a.test");
	bad(OFFICE "domain_aliases = {\"example.net\"}\n", "2", "ALIAS=DOMAIN");
	bad(OFFICE "domain_aliases = {\"=example.net\"}\n", "2", "ALIAS=DOMAIN");
}

#define REMOTE OFFICE "remote \"old\" {\n server = "

static void test_remotes(void **state)
{
	const struct config_remote *old = &config.remotes[0];
	char name[32];

	(void)state;
	good(REMOTE "pop.test\n credentials = same\n}\n"
		    "remote \"new\" { server = \"[2001:db8::1]:1110\" tls = starttls\n"
		    " credentials = stored login = \"{local}*{domain}\" timeout = 5s\n"
		    " verify = ca.pem password_file = \"credential:pop\" }\n");
	assert_int_equal(config.remote_count, 2);
	assert_string_equal(old->name, "old");
	assert_string_equal(old->host, "pop.test");
	assert_int_equal(old->port, 995);
	assert_int_equal(old->tls, CONFIG_REMOTE_TLS);
	assert_int_equal(old->credentials, CONFIG_REMOTE_SAME);
	assert_string_equal(old->verify, "/etc/ssl/certs/ca-certificates.crt");
	assert_int_equal(old->timeout_seconds, 30);
	assert_string_equal(old[1].host, "2001:db8::1");
	assert_int_equal(old[1].port, 1110);
	assert_string_equal(old[1].verify, "/etc/valija/ca.pem");
	assert_string_equal(old[1].password_file, "credential:pop");
	assert_int_equal(config_remote_find(&config, SPAN_LITERAL("new")), 1);
	assert_int_equal(config_remote_find(&config, SPAN_LITERAL("ne")), -1);
	assert_int_equal(config_remote_login(old, SPAN_LITERAL("a@b.c"), name, sizeof(name)), 0);
	assert_string_equal(name, "a@b.c");
	assert_int_equal(config_remote_login(&old[1], SPAN_LITERAL("a@b.c"), name, sizeof(name)),
			 0);
	assert_string_equal(name, "a*b.c");
	assert_int_equal(config_remote_login(&old[1], SPAN_LITERAL("a@b.c"), name, 5), -1);
	good(REMOTE "\"192.0.2.1\" tls = no credentials = stored }\n");
	assert_int_equal(old->port, 110);
	bad(REMOTE "pop.test\n}\n", "4", "needs credentials");
	bad(OFFICE "remote \"a\" { credentials = same }\n", "2", "needs server");
	bad(OFFICE "remote \"a b\" { server = x credentials = same }\n", "2", "name of a remote");
	bad(REMOTE "\"pop.test:\" credentials = same }\n", "3", "HOST:PORT");
	bad(REMOTE "\"pop.test:0\" credentials = same }\n", "3", "HOST:PORT");
	bad(REMOTE "\"a@pop.test\" credentials = same }\n", "3", "HOST:PORT");
	bad(REMOTE "\"[pop.test]\" credentials = same }\n", "3", "HOST:PORT");
	bad(REMOTE "x credentials = oauth2 }\n", "3", "\"same\", \"stored\", \"oauth\"");
	bad(REMOTE "x credentials = oauth tls = no }\n", "3", "without TLS");
	bad(REMOTE "x credentials = oauth }\n", "3", "needs one database");
	good(REMOTE "x credentials = oauth grants = b }\n"
		    "database a { driver = oauth token_url = \"https://a\" client_id = a }\n"
		    "database b { driver = oauth token_url = \"https://b\" client_id = b }\n");
	assert_int_equal(old->database, 1);
	bad(REMOTE "x credentials = oauth }\n"
		   "database a { driver = oauth token_url = \"https://a\" client_id = a }\n"
		   "database b { driver = oauth token_url = \"https://b\" client_id = b }\n",
	    "3", "name one by grants");
	bad(REMOTE "x credentials = same tls = maybe }\n", "3", "\"starttls\"");
	bad(REMOTE "x credentials = same verify = \"sha256//abc\" }\n", "3", "base64");
	bad(REMOTE "x credentials = same password_file = y }\n", "3", "leave password_file out");
	bad(REMOTE "x credentials = same server = y }\n", "3", "set twice");
	bad(REMOTE "x credentials = same timeout = 0 }\n", "3", "timeout");
	bad(REMOTE "x credentials = same host = y }\n", "3", "no setting");
}

static void test_databases(void **state)
{
	(void)state;
	good(OFFICE "database \"people\" {\n driver = system\n for = {\"login\"}\n"
		    " domains = {\"a.test\", \"\"}\n timeout = 3s\n}\n"
		    "database \"more\" { driver = system }\n");
	assert_int_equal(config.database_count, 2);
	assert_string_equal(config.databases[0].name, "people");
	assert_int_equal(config.databases[0].purposes, CONFIG_FOR_LOGIN);
	assert_int_equal(config.databases[1].purposes, CONFIG_FOR_LOGIN | CONFIG_FOR_RECIPIENT);
	assert_int_equal(config_database_number(&config, &config.databases[0], "timeout"), 3);
	assert_int_equal(config_database_number(&config, &config.databases[1], "timeout"), 10);
	assert_string_equal(config_database_item(&config, &config.databases[0], "domains", 1), "");
	assert_true(config_database_could_have(&config, &config.databases[0],
					       SPAN_LITERAL("x@A.test")));
	assert_true(config_database_could_have(&config, &config.databases[0], SPAN_LITERAL("x")));
	assert_false(config_database_could_have(&config, &config.databases[0],
						SPAN_LITERAL("x@b.test")));
	assert_true(config_database_could_have(&config, &config.databases[1],
					       SPAN_LITERAL("x@b.test")));
	bad(OFFICE "database \"x\" { }\n", "2", "needs a driver");
	bad(OFFICE "database \"x\" {\n timeout = 3s\n}\n", "3", "driver = … first");
	bad(OFFICE "database \"x\" { driver = oracle }\n", "2", "is no driver");
	bad(OFFICE "database \"x y\" { driver = system }\n", "2", "the name of a database");
	bad(OFFICE "database \"x\" { driver = system\n filter = a }\n", "3",
	    "has no setting filter");
	bad(OFFICE "database \"x\" { driver = system\n timeout = 0 }\n", "3", "too little");
	bad(OFFICE "database \"x\" { driver = passwd-file }\n", "2", "needs file");
	bad(OFFICE "database \"x\" { driver = system\n timeout = 1s\n timeout = 2s }\n", "4",
	    "twice");
}

#define SQL_OFFICE(CONNECT)                                                                      \
	OFFICE "database \"x\" { driver = sql\n connect = \"" CONNECT "\"\n user_query = \"q\" " \
	       "}\n"

static void test_each_client_library_has_a_program(void **state)
{
	static const char *const names[] = {"postgresql", "mysql", "sqlite", "ldap"};

	(void)state;
	good(SQL_OFFICE("postgresql:host=a dbname=b") "database \"y\" { driver = sql\n connect = "
						      "\"mysql:dbname=b\"\n user_query = \"q\" }\n"
						      "database \"z\" { driver = sql\n connect = "
						      "\"sqlite:/b\"\n user_query = \"q\" }\n"
						      "database \"l\" { driver = ldap\n servers = "
						      "\"ldaps://a\"\n base = \"dc=a\" }\n");
	assert_int_equal(config.database_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(config_database_program(&config, &config.databases[i]),
				    names[i]);
	bad(SQL_OFFICE("oracle:b"), "4", "connect begins with postgresql:");
	bad(SQL_OFFICE("sqlitefile"), "4", "connect begins with postgresql:");
	bad(SQL_OFFICE("../x:b"), "4", "connect begins with postgresql:");
}

static void test_certificates_in_order(void **state)
{
	(void)state;
	good("pop3s { listen = \"[::]:995\" }\n"
	     "tls \"default\" { certificate = \"tls/cert.pem\" key = \"/k\" }\n"
	     "tls \"other\" {\n key = \"b.key\"\n certificate = \"b.pem\"\n}\n");
	assert_int_equal(config.certificate_count, 2);
	assert_string_equal(config.certificates[0].certificate, "/etc/valija/tls/cert.pem");
	assert_string_equal(config.certificates[0].key, "/k");
	assert_string_equal(config.certificates[1].certificate, "/etc/valija/b.pem");
	assert_string_equal(config.certificates[1].key, "/etc/valija/b.key");
	assert_int_equal(config.certificates[1].line, 4);
}

static void test_slips_are_told_with_their_line(void **state)
{
	(void)state;
	bad("", "", "nothing to listen on");
	bad(OFFICE "\n# c\n# c\nfoo = 1\n", "5", "no setting \"foo\"");
	bad("idle = 10m\n" OFFICE, "1", "belongs into timeouts { }");
	bad("pop3 {\n mail = x\n}\n", "2", "outside of the sections");
	bad("certificate = x\n", "1", "tls \"NAME\" { }");
	bad("mail = a\nmail = b\n", "2", "line 1 already");
	bad("pop3 { listen = \"127.0.0.1:1\"\n listen = \"127.0.0.1:2\" }", "2", "line 1 already");
	bad("mail =\n", "", "");
	bad("mail \"x\"\n", "1", "equal sign");
	bad("pop3 listen = 5\n", "1", "brace");
	bad("pop3 {\n\n", "", "");
	bad("}\n", "1", "brace");
	bad(OFFICE "mail = \"x\n", "2", "quote is missing");
	bad(OFFICE "mail = 'x", "2", "quote is missing");
	bad(OFFICE "\n/* x\n\n", "3", "comment is not ended");
	bad(OFFICE "mail = \"${HOME}/x\"\n", "2", "environment");
	bad(OFFICE "mail = ${HOME}\n", "2", "environment");
	bad(OFFICE "mail = a*b\n", "2", "double quotes");
	bad(OFFICE "mail = \"a\x01\"\n", "2", "control character");
	bad(OFFICE "\x7f", "2", "control character");
	bad(OFFICE "mail = \"\"\n", "2", "empty");
}

static void test_numbers_and_their_units(void **state)
{
	(void)state;
	bad(OFFICE "timeouts { idle = 599s }", "2", "RFC 1939");
	bad(OFFICE "timeouts { idle = 5m }", "2", "at least 10m");
	bad(OFFICE "timeouts { idle = 9d }", "2", "at most 7d");
	bad(OFFICE "timeouts { login = -1 }", "2", "not a number");
	bad(OFFICE "timeouts { login = 1.5m }", "2", "not a number");
	bad(OFFICE "timeouts { login = 10 m }", "2", "");
	bad(OFFICE "timeouts { login = 10x }", "2", "s, m, h or d");
	bad(OFFICE "timeouts { login = \"\" }", "2", "not a number");
	bad(OFFICE "timeouts { login = 0 }", "2", "at least 1s");
	bad(OFFICE "lmtp { max_size = 18446744073709551615 }", "2", "too much");
	bad(OFFICE "lmtp { max_size = 18446744073709551616 }", "2", "not a number");
	bad(OFFICE "lmtp { max_size = 17179869184G }", "2", "too much");
	bad(OFFICE "lmtp { max_size = 10 }", "2", "at least 1K");
	bad(OFFICE "lmtp { memory = -1 }", "2", "not a number");
	bad(OFFICE "lmtp { memory = 1125899906842625 }", "2", "at most");
	bad(OFFICE "lmtp { spool_size = 1.5G }", "2", "not a number");
	bad(OFFICE "lmtp { spool_size = 1048577G }", "2", "at most");
	bad(OFFICE "lmtp { spool_size = {1G, 2G} }", "2", "");
	bad(OFFICE "lmtp { spool = {a, b} }", "2", "");
	bad(OFFICE "limits { connections = 1e3 }", "2", "digits");
	bad(OFFICE "limits { connections = 4294967296 }", "2", "too much");
	bad(OFFICE "login { failure_delay = 20s }", "2", "failure_delay_max");
	bad(OFFICE "pop3 { expire = soon }", "2", "never");
	bad(OFFICE "login { apop = maybe }", "2", "yes or no");
	bad(OFFICE "log_level = loud\n", "2", "\"warning\"");
	bad(OFFICE "login { mechanisms = {PLAIN, FOO} }", "2", "\"FOO\"");
	bad(OFFICE "hostname = \"-x-\"\n", "2", "host name");
	bad(OFFICE "hostname = \"a..b\"\n", "2", "host name");
	bad(OFFICE "lmtp { domains = \"a b_c\" }", "2", "b_c");
	bad(OFFICE "lmtp { recipient_delimiter = \"++++\" }", "2", "too long");
	bad(OFFICE "lmtp { recipient_delimiter = \"@\" }", "2", "recipient_delimiter");
	bad(OFFICE "lmtp { catch_all = \"a/b\" }", "2", "user name");
	bad(OFFICE "log_to = \"stdout\"\n", "2", "log_to is");
	bad(OFFICE "log_to = \"\"\n", "2", "log_to is");
	bad(OFFICE "log_to = \"/var/log/\"\n", "2", "log_to is");
	bad(OFFICE "log_to = \"syslog:log\"\n", "2", "log_to is");
}

static void test_listeners(void **state)
{
	(void)state;
	bad("pop3 { listen = \"1110\" }", "1", "ADDRESS:PORT");
	bad("pop3 { listen = \":1110\" }", "1", "ADDRESS:PORT");
	bad("pop3 { listen = \"127.0.0.1:0\" }", "1", "ADDRESS:PORT");
	bad("pop3 { listen = \"127.0.0.1:65536\" }", "1", "ADDRESS:PORT");
	bad("pop3 { listen = \"127.0.0.1:+1\" }", "1", "ADDRESS:PORT");
	bad("pop3 { listen = \"mail.example.org:110\" }", "1", "not an address");
	bad("pop3 { listen = \"*:110\" }", "1", "\"[::]\" is every address");
	bad("pop3 { listen = \"::1:110\" }", "1", "not an address");
	bad("pop3 { listen = \"[127.0.0.1]:110\" }", "1", "not an address");
	bad("pop3 { listen = \"[::ffff:127.0.0.1]:110\" }", "1", "write the IPv4 address");
	bad("lmtp { listen = \"[::ffff:0.0.0.0]:24\" }", "1", "write the IPv4 address");
	bad("pop3 { listen = \"[::FFFF:7f00:1]:110\" }", "1", "write the IPv4 address");
	bad("pop3 { listen = \"/run/pop\" }", "1", "takes no path");
	bad("lmtp { listen = \"24\" }", "1", "ADDRESS:PORT");
	bad("lmtp { listen = \"\" }", "1", "ADDRESS:PORT");
	bad("pop3s { listen = \"127.0.0.1:995\" }", "1", "needs a certificate");
	bad("lmtp { listen = \"127.0.0.1:25\" }", "1", "RFC 2033");
	bad("lmtp { listen = \"[::]:25\" }", "1", "port 25");
	bad("pop3 {\n listen = {\"127.0.0.1:1\",\n\"127.0.0.1:1\"} }", "3", "line 2");
	bad("pop3 {\n listen = \"[::1]:1\" }\nlmtp { listen = \"[0:0::1]:1\" }", "3", "line 2");
	bad("tls \"a\" { key = \"k\" }", "1", "both");
	bad("tls \"a\" { }", "1", "both");
	bad("tls \"a\" { key = \"k\" certificate = \"c\" key = \"l\" }", "1", "twice");
	bad("tls \"a\" { key = \"k\" certificate = \"c\" }\ntls \"a\" { key = \"k\" }", "2", "");
}

static void test_lists_and_paths_are_bounded(void **state)
{
	char text[4096] = "pop3 { listen = {", path[600];
	size_t used = strlen(text);

	(void)state;
	for (int i = 1; i <= CONFIG_LISTENERS_MAX + 1; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"127.0.0.1:%d\"",
					 i > 1 ? ", " : "", i);
	snprintf(text + used, sizeof(text) - used, "} }");
	bad(text, "1", "at most 16");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	snprintf(text, sizeof(text), OFFICE "mail = \"%s\"\n", path);
	bad(text, "2", "too long");
	snprintf(text, sizeof(text), OFFICE "lmtp { spool = \"%s\" }\n", path);
	bad(text, "2", "too long");
	path[120] = '\0';
	snprintf(text, sizeof(text), "lmtp { listen = \"/%s\" }\n", path);
	bad(text, "1", "too long for a socket");
}

/* A text with something unended must not change how the next one is read: a daemon reads again. */
static void test_after_a_bad_text_a_good_one_is_good(void **state)
{
	static const char *const broken[] = {
		"mail = \"x",   "mail = 'x",        "/* x",   "pop3 {",    "pop3 { listen = {",
		"mail = \"\\9", "mail = \"\\777\"", "tls \"", "tls \"a\"", "a b c { } \"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_int_equal(parse(broken[i]), -1);
		good(OFFICE);
	}
}

/* What -n or init prints says the same when it is read again. */
static char *printed(void (*print)(FILE *), const char *name)
{
	static char text[1 << 16];
	FILE *out = fopen(name, "w+");
	size_t n;

	assert_non_null(out);
	print(out);
	rewind(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = '\0';
	fclose(out);
	unlink(name);
	return text;
}

static void print_whole(FILE *out)
{
	assert_int_equal(config_write_file(&config, out, &err), 0);
}

static void print_changed(FILE *out)
{
	int saved = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	config_print_changed(&config);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
}

static const char odd[] =
	"hostname = a.example\nmail = {\"/m a\\\\i\\\"l\\$\", \"old/{user}\"}\nmaildir = M\nusers "
	"= "
	"\"u\"\n"
	"pop3 { listen = {\"127.0.0.1:1110\", \"[::1]:1110\"} expire = unannounced }\n"
	"tls \"x\" { certificate = \"c\" key = \"/k\" }\n"
	"lmtp { listen = \"s\" max_size = 3M memory = 5000K spool = \"sp o'ol\" }\nquota { over = "
	"permanent }\n"
	"login { failure_delay = 1500ms mechanisms = \"PLAIN\" cache_time = 90m }\n"
	"processes { fronts = 2 }\n"
	"listener \"[::1]:1110\" { proxy_from = {10.0.0.1, \"192.0.2.0/24\", \"::/0\", "
	"\"0.0.0.0/0\", \"2001:db8::/33\"} trust_tls = yes plain_networks = 10.0.0.1 "
	"tls_min = 1.0 tls_min_networks = 10.0.0.2 }\n";

static void test_sections_of_listeners(void **state)
{
	static const uint8_t inside[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 200},
			     outside[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 3, 1},
			     six[16] = {0x20, 0x01, 0x0d, 0xb8, 0x7f};
	char many[4096] = "listener \"127.0.0.1:1110\" { proxy_from = {";

	(void)state;
	/* in front of the section with the address, which may be any of a list */
	good("listener \"127.0.0.1:1110\" { proxy_from = {\"192.0.2.0/24\", \"2001:db8::/33\"} }\n"
	     "pop3 { listen = {\"[::1]:1110\", \"127.0.0.1:1110\"} }\n");
	assert_int_equal(config.rules[0].proxy_from.count, 0);
	assert_int_equal(config.rules[1].proxy_from.count, 2);
	assert_false(config.rules[1].trust_tls);
	assert_true(config_networks_have(&config.rules[1].proxy_from, inside));
	assert_false(config_networks_have(&config.rules[1].proxy_from, outside));
	assert_true(config_networks_have(&config.rules[1].proxy_from, six));
	bad(OFFICE "listener \"127.0.0.1:1111\" { proxy_from = 10.0.0.1 }\n", "2", "neither");
	bad(OFFICE "lmtp { listen = \"127.0.0.1:24\" }\nlistener \"127.0.0.1:24\" { }\n", "3",
	    "neither");
	bad(OFFICE "listener \"x\" { }\n", "2", "ADDRESS:PORT");
	bad(OFFICE "listener \"127.0.0.1:1110\" {\n proxy_from = {\"10.0.0.0/33\"} }\n", "3",
	    "is not a network");
	bad(OFFICE "listener \"127.0.0.1:1110\" {\n proxy_from = {\"example.org\"} }\n", "3",
	    "is not a network");
	bad(OFFICE "listener \"127.0.0.1:1110\" {\n trust_tls = maybe }\n", "3", "yes or no");
	bad(OFFICE "listener \"127.0.0.1:1110\" { trust_tls = yes }\n", "2", "name its network");
	bad(OFFICE "listener \"127.0.0.1:1110\" { proxy = yes }\n", "2", "no setting \"proxy\"");
	bad(OFFICE "listener \"127.0.0.1:1110\" { }\nlistener \"127.0.0.1:1110\" { }\n", "3", "");
	good(OFFICE "listener \"127.0.0.1:1110\" { tls_min = 1.1 tls_min_networks = 192.0.2.0/24 "
		    "plain_networks = {\"192.0.2.200\"} }\n");
	assert_int_equal(config_rules_tls(&config.rules[0], inside), CONFIG_TLS_1_1);
	assert_int_equal(config_rules_tls(&config.rules[0], outside), CONFIG_TLS_1_2);
	assert_true(config_networks_have(&config.rules[0].plain_networks, inside));
	good(OFFICE "listener \"127.0.0.1:1110\" { tls_min = \"1.3\" }\n");
	assert_int_equal(config_rules_tls(&config.rules[0], inside), CONFIG_TLS_1_3);
	good(OFFICE);
	assert_int_equal(config_rules_tls(&config.rules[0], inside), CONFIG_TLS_1_2);
	bad(OFFICE "listener \"127.0.0.1:1110\" { tls_min = 1.0 }\n", "2", "named");
	bad(OFFICE "listener \"127.0.0.1:1110\" { tls_min = 1 }\n", "2", "write one of");
	bad(OFFICE "listener \"127.0.0.1:1110\" { tls_min_networks = 10.0.0.1 }\n", "2",
	    "below 1.2");
	bad("pop3 { listen = \"[::1]:110\" }\nlistener \"[::1]:110\" { }\n"
	    "listener \"[0::1]:110\" { }\n",
	    "3", "already");
	for (int i = 0; i < 17; i++)
		strcat(many, i ? ", 10.0.0.1" : "10.0.0.1");
	strcat(many, "} }\n" OFFICE);
	bad(many, "1", "at most 16");
}

static void test_printed_changes_read_the_same(void **state)
{
	struct config *before = malloc(sizeof(*before));
	char *text;

	(void)state;
	good(odd);
	*before = config;
	text = printed(print_changed, "test-config-changed");
	assert_non_null(strstr(text, "failure_delay = 1500ms\n"));
	assert_non_null(strstr(text, "cache_time = 90m\n"));
	assert_non_null(strstr(text, "memory = 5000K\n"));
	assert_null(strstr(text, "spool_size"));
	assert_null(strstr(text, "idle"));
	assert_null(strstr(text, "failure_delay_max"));
	good(text);
	for (uint32_t i = 0; i < config.listener_count; i++)
		config.listeners[i].line = before->listeners[i].line;
	config.certificates[0].line = before->certificates[0].line;
	assert_memory_equal(before, &config, sizeof(config));
	good(OFFICE "hostname = x\n");
	text = printed(print_changed, "test-config-changed");
	assert_string_equal(text, "hostname = \"x\"\npop3 {\n\tlisten = {\"127.0.0.1:1110\"}\n}\n");
	free(before);
}

static void test_the_written_file_shows_every_default(void **state)
{
	char *text, *hash;
	struct config *before = malloc(sizeof(*before));

	(void)state;
	good(OFFICE "hostname = x.example\ntls \"a\" { certificate = c key = k }\n");
	*before = config;
	text = printed(print_whole, "test-config-whole");
	for (size_t i = 0; i < config_key_count(); i++) {
		char line[80];

		snprintf(line, sizeof(line), "%s = ", config_key(i)->name);
		if (!strstr(text, line))
			fail_msg("%s is not in the file", config_key(i)->name);
	}
	good(text);
	assert_string_equal(config.roots[0].path, before->roots[0].path);
	assert_int_equal(config.listener_count, 1);
	/* with every default in force it still says the same */
	while ((hash = strstr(text, "#listen = {}")))
		memcpy(hash, "            ", 12);
	for (size_t i = 0; i < config_key_count(); i++) {
		char line[80];

		snprintf(line, sizeof(line), "#%s = ", config_key(i)->name);
		for (hash = text; (hash = strstr(hash, line));)
			*hash = ' ';
	}
	good(text);
	for (uint32_t i = 0; i < config.listener_count; i++)
		config.listeners[i].line = before->listeners[i].line;
	config.certificates[0].line = before->certificates[0].line;
	assert_true(config.mechanisms_named && !before->mechanisms_named);
	config.mechanisms_named = false;
	assert_memory_equal(before, &config, sizeof(config));
	free(before);
}

static void test_files(void **state)
{
	char name[] = "test-config-XXXXXX", path[64];
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, OFFICE, sizeof(OFFICE) - 1), sizeof(OFFICE) - 1);
	assert_int_equal(config_load(name, &config, &err), 0);
	assert_int_equal(config.file[0], '/');
	assert_int_equal(ftruncate(fd, (2 << 20)), 0);
	assert_int_equal(config_load(name, &config, &err), -1);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(ftruncate(fd, sizeof(OFFICE)), 0); /* ends in a NUL */
	assert_int_equal(config_load(name, &config, &err), -1);
	assert_non_null(strstr(err.text, "NUL"));
	close(fd);
	unlink(name);
	assert_int_equal(config_load(name, &config, &err), -1);
	assert_int_equal(err.code, EX_NOINPUT);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(config_load("/", &config, &err), -1);
	assert_int_equal(config_load(".", &config, &err), -1);
	assert_non_null(strstr(err.text, "not a regular file"));
	snprintf(path, sizeof(path), "%s/none", name);
	assert_int_equal(config_load(path, &config, &err), -1);
	assert_int_equal(err.code, EX_NOINPUT);
}

static void test_sealed_and_mapped(void **state)
{
	const struct config *mapped;
	int fd, plain;

	(void)state;
	good(odd);
	fd = config_seal(&config, &err);
	assert_true(fd >= 0);
	mapped = config_map(fd, &err);
	assert_non_null(mapped);
	assert_string_equal(mapped->roots[0].path, config.roots[0].path);
	assert_int_equal(mapped->listener_count, 3);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	munmap((void *)(uintptr_t)mapped, sizeof(*mapped));
	close(fd);
	plain = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(plain, sizeof(config)), 0);
	assert_null(config_map(plain, &err)); /* not sealed */
	assert_int_equal(
		fcntl(plain, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
		0);
	assert_null(config_map(plain, &err)); /* sealed, but somebody else's */
	assert_null(config_map(-1, &err));
	close(plain);
}

static char told[8000];

static void tell(void *context, const struct config_change *change)
{
	size_t used = strlen(told);

	(void)context;
	snprintf(told + used, sizeof(told) - used, "%s: %s -> %s%s\n", change->name, change->old,
		 change->new, change->scope == CONFIG_AT_ONCE ? " now" : "");
}

static const char *difference(const char *old_text, const char *new_text)
{
	static struct config old, new;

	told[0] = '\0';
	if (config_parse(span_of(old_text), "/etc/v/v.conf", &old, &err) < 0 ||
	    config_parse(span_of(new_text), "/etc/v/v.conf", &new, &err) < 0)
		fail_msg("%s", err.text);
	config_difference(&old, &new, tell, NULL);
	return told;
}

#define HEAD "hostname = a.b\nlmtp { listen = {\"/run/lmtp\"} }\n"

static void test_differences(void **state)
{
	(void)state;
	assert_string_equal(difference(HEAD, HEAD "# more\n"), "");
	assert_string_equal(difference(HEAD "timeouts { idle = 600s }\n", HEAD), "");
	assert_string_equal(
		difference(HEAD "pop3 { listen = {\"127.0.0.1:1110\"} }\n",
			   HEAD "log_level = debug\ntimeouts { idle = 15m }\n"
				"pop3 { listen = {\"127.0.0.1:1110\", \"[::1]:1110\"} }\n"),
		"log_level: \"info\" -> \"debug\" now\n"
		"pop3.listen: {\"127.0.0.1:1110\"} -> {\"127.0.0.1:1110\", \"[::1]:1110\"} now\n"
		"timeouts.idle: 10m -> 15m\n");
	assert_string_equal(difference(HEAD "tls \"x\" { certificate = a.pem\n key = a.key }\n",
				       HEAD "tls \"x\" { certificate = a.pem\n key = b.key }\n"),
			    "tls.1: \"/etc/v/a.pem\" with the key \"/etc/v/a.key\" -> "
			    "\"/etc/v/a.pem\" with the key \"/etc/v/b.key\"\n");
}

#define SQL(name, connect, timeout)                                        \
	HEAD "database \"" name "\" { driver = sql\n connect = \"" connect \
	     "\"\n user_query = \"select 1\"\n timeout = " timeout "\n }\n"

/* What a client library takes as text may have a password in it. */
static void test_differences_show_no_text_of_a_database(void **state)
{
	const char *text = difference(SQL("x", "postgresql:password=old", "5s"),
				      SQL("x", "postgresql:password=new", "7s"));

	(void)state;
	assert_null(strstr(text, "password"));
	assert_non_null(strstr(text, "database x.connect: (not shown) -> (not shown)\n"));
	assert_non_null(strstr(text, "database x.timeout: 5s -> 7s\n"));
	text = difference(SQL("x", "postgresql:password=old", "5s"),
			  SQL("y", "postgresql:password=old", "5s"));
	assert_string_equal(text, "database: \"x\" -> \"y\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_continued_strings),
		cmocka_unit_test(test_every_kind_of_value),
		cmocka_unit_test(test_mail_with_placeholders),
		cmocka_unit_test(test_several_mail_folders),
		cmocka_unit_test(test_domain_aliases),
		cmocka_unit_test(test_databases),
		cmocka_unit_test(test_remotes),
		cmocka_unit_test(test_each_client_library_has_a_program),
		cmocka_unit_test(test_certificates_in_order),
		cmocka_unit_test(test_slips_are_told_with_their_line),
		cmocka_unit_test(test_numbers_and_their_units),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_lists_and_paths_are_bounded),
		cmocka_unit_test(test_after_a_bad_text_a_good_one_is_good),
		cmocka_unit_test(test_sections_of_listeners),
		cmocka_unit_test(test_printed_changes_read_the_same),
		cmocka_unit_test(test_the_written_file_shows_every_default),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_sealed_and_mapped),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_differences_show_no_text_of_a_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
