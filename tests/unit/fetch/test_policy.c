/* Decisions of `valija fetch`: accounts from text, mechanisms, plans, the brake, headers' hashes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "build-config.h"
#include "fetch/account/account.h"
#include "fetch/collect/head.h"
#include "fetch/session/bearer.h"
#include "fetch/session/mechanism.h"
#include "fetch/account/options.h"
#include "fetch/account/password.h"
#include "fetch/collect/plan.h"
#include "fetch/sink/sink.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void urls(void **state)
{
	static const struct {
		const char *url, *user, *host;
		unsigned port;
		enum fetch_tls tls;
	} good[] = {
		{"pop3s://me@mail.example.org", "me", "mail.example.org", 995, FETCH_TLS_IMPLICIT},
		{"pop3://me@mail.example.org", "me", "mail.example.org", 110, FETCH_TLS_STARTTLS},
		{"pop3s://me@h:1995", "me", "h", 1995, FETCH_TLS_IMPLICIT},
		{"pop3s://me@h/", "me", "h", 995, FETCH_TLS_IMPLICIT},
		{"pop3s://me@example.org@h", "me@example.org", "h", 995, FETCH_TLS_IMPLICIT},
		{"pop3s://me%40example.org@h", "me@example.org", "h", 995, FETCH_TLS_IMPLICIT},
		{"pop3s://recent%3Ame@h", "recent:me", "h", 995, FETCH_TLS_IMPLICIT},
		{"pop3://me@[::1]:1110", "me", "::1", 1110, FETCH_TLS_STARTTLS},
		{"pop3://me@[fe80::1]", "me", "fe80::1", 110, FETCH_TLS_STARTTLS},
	};
	static const char *const bad[] = {
		"",
		"pop3s:",
		"pop3s://",
		"pop3s://h",
		"pop3s://@h",
		"imap://m@h",
		"pop3s://m:x@h",
		"pop3s://m@",
		"pop3s://m@h:",
		"pop3s://m@h:x",
		"pop3s://m@h:0",
		"pop3s://m@h:65536",
		"pop3s://m@[::1",
		"pop3s://m@h/x",
		"pop3s://%@h",
		"pop3s://%0@h",
		"pop3s://%00@h",
		"pop3s://a%0ab@h",
		"pop3s://m@h:99999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct fetch_account account;
		struct err err = {0};

		fetch_account_defaults(&account);
		if (fetch_account_url(&account, good[i].url, &err) < 0 ||
		    fetch_account_sink(&account, "maildir:x", &err) < 0 ||
		    fetch_account_check(&account, &err) < 0)
			fail_msg("%s: %s", good[i].url, err.text);
		assert_string_equal(account.user, good[i].user);
		assert_string_equal(account.host, good[i].host);
		assert_int_equal(account.port, good[i].port);
		assert_int_equal(account.tls, good[i].tls);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fetch_account account;
		struct err err = {0};

		fetch_account_defaults(&account);
		if (fetch_account_url(&account, bad[i], &err) == 0)
			fail_msg("%s was taken", bad[i]);
		assert_true(err.text[0]);
	}
}

static void sizes(void **state)
{
	uint64_t size;

	(void)state;
	assert_int_equal(fetch_size("10", &size), 0);
	assert_int_equal(size, 10);
	assert_int_equal(fetch_size("10K", &size), 0);
	assert_int_equal(size, 10240);
	assert_int_equal(fetch_size("3g", &size), 0);
	assert_int_equal(size, (uint64_t)3 << 30);
	assert_int_equal(fetch_size("", &size), -1);
	assert_int_equal(fetch_size("M", &size), -1);
	assert_int_equal(fetch_size("-1", &size), -1);
	assert_int_equal(fetch_size("1T", &size), -1);
	assert_int_equal(fetch_size("18446744073709551615G", &size), -1);
}

static void mechanisms(void **state)
{
	static const struct {
		const char *offered, *asked;
		bool tls, binding, stamp;
		const char *taken;
		int strength;
	} cases[] = {
		{"PLAIN SCRAM-SHA-1 SCRAM-SHA-256", "", true, true, false, "SCRAM-SHA-256",
		 FETCH_SCRAM},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "", true, true, false, "SCRAM-SHA-256-PLUS",
		 FETCH_SCRAM_BOUND},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "", true, false, false, "SCRAM-SHA-256",
		 FETCH_SCRAM},
		{"SCRAM-SHA-256-PLUS PLAIN", "", false, false, false, "PLAIN",
		 FETCH_PLAIN_IN_CLEAR},
		{"SCRAM-SHA-1-PLUS SCRAM-SHA-256", "", true, true, false, "SCRAM-SHA-1-PLUS",
		 FETCH_SCRAM_BOUND},
		{"USER CRAM-MD5", "", true, true, true, "USER", FETCH_PLAIN_TLS},
		{"CRAM-MD5 LOGIN PLAIN", "", true, true, true, "PLAIN", FETCH_PLAIN_TLS},
		{"CRAM-MD5 LOGIN PLAIN", "", false, false, false, "CRAM-MD5", FETCH_DIGEST},
		{"CRAM-MD5", "", true, true, false, "CRAM-MD5", FETCH_PLAIN_TLS},
		{"USER", "", false, false, true, "APOP", FETCH_DIGEST},
		{"USER", "", true, true, true, "USER", FETCH_PLAIN_TLS},
		{"USER", "apop", true, true, true, "APOP", FETCH_PLAIN_TLS},
		{"USER", "apop", true, true, false, NULL, 0},
		{"USER PLAIN", "user", true, true, false, "USER", FETCH_PLAIN_TLS},
		{"EXTERNAL PLAIN", "", true, true, false, "PLAIN", FETCH_PLAIN_TLS},
		{"EXTERNAL PLAIN", "external", true, true, false, "EXTERNAL", FETCH_SCRAM_BOUND},
		{"EXTERNAL PLAIN", "external", false, false, false, NULL, 0},
		{"XOAUTH2 OAUTHBEARER", "", true, true, false, NULL, 0},
		{"XPLAIN PLAINX GSSAPI", "", true, true, false, NULL, 0},
		{"PLAIN", "login", true, true, false, NULL, 0},
		{"", "", true, true, false, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int strength = -1;
		const struct fetch_choice choice = {.offered = cases[i].offered,
						    .asked = cases[i].asked,
						    .last = "",
						    .tls = cases[i].tls,
						    .binding = cases[i].binding,
						    .stamp = cases[i].stamp};
		const char *name = fetch_choose(&choice, &strength);

		if (!cases[i].taken) {
			assert_null(name);
			continue;
		}
		assert_string_equal(name, cases[i].taken);
		assert_int_equal(strength, cases[i].strength);
	}
}

static void mechanisms_of_tokens(void **state)
{
	struct fetch_choice choice = {.offered = "PLAIN OAUTHBEARER XOAUTH2",
				      .asked = "",
				      .last = "",
				      .tls = true,
				      .token = true};
	int strength = -1;

	(void)state;
	assert_string_equal(fetch_choose(&choice, &strength), "XOAUTH2");
	assert_int_equal(strength, FETCH_PLAIN_TLS);
	choice.tried = fetch_mechanism_bit("XOAUTH2");
	assert_string_equal(fetch_choose(&choice, &strength), "OAUTHBEARER");
	choice.tried |= fetch_mechanism_bit("OAUTHBEARER");
	assert_null(fetch_choose(&choice, &strength));
	choice = (struct fetch_choice){
		.offered = "XOAUTH2", .asked = "", .last = "", .tls = false, .token = true};
	assert_null(fetch_choose(&choice, &strength)); /* never in clear */
	choice.tls = true;
	choice.asked = "plain";
	assert_null(fetch_choose(&choice, &strength));
}

/* Among mechanisms of one strength the one that was good last time comes first. */
static void last_good_mechanism(void **state)
{
	struct fetch_choice choice = {
		.offered = "PLAIN LOGIN USER CRAM-MD5", .asked = "", .last = "USER", .tls = true};
	int strength = -1;

	(void)state;
	assert_string_equal(fetch_choose(&choice, &strength), "USER");
	choice.offered = "PLAIN LOGIN SCRAM-SHA-1 USER";
	assert_string_equal(fetch_choose(&choice, &strength), "SCRAM-SHA-1");
	choice.offered = "PLAIN LOGIN";
	assert_string_equal(fetch_choose(&choice, &strength), "PLAIN");
}

static void bearers(void **state)
{
	char out[256], status[BEARER_STATUS_MAX];
	static const struct {
		const char *json, *status;
	} refusals[] = {
		{"{\"status\":\"401\",\"schemes\":\"bearer\"}", "401"},
		{"{\"status\":400}", "400"},
		{"{\"status\":\"invalid_token\",\"openid-configuration\":\"https://x\"}",
		 "invalid_token"},
		{"{\"status\":\"a\\nb\"}", "a\\x0ab"},
		{"{\"status\":[]}", "unknown"},
		{"{}", "unknown"},
		{"[\"status\"]", "unknown"},
		{"<html>", "unknown"},
		{"", "unknown"},
	};

	(void)state;
	assert_int_equal(bearer_xoauth2("a@b", SPAN_LITERAL("tok"), out, sizeof(out)), 26);
	assert_string_equal(out, "user=a@b\1auth=Bearer tok\1\1");
	assert_true(bearer_oauthbearer("a,=b", "h", 995, SPAN_LITERAL("tok"), out, sizeof(out)) >
		    0);
	assert_string_equal(out, "n,a=a=2C=3Db,\1host=h\1port=995\1auth=Bearer tok\1\1");
	assert_int_equal(bearer_xoauth2("a\1", SPAN_LITERAL("tok"), out, sizeof(out)), -1);
	assert_int_equal(bearer_xoauth2("a", SPAN_LITERAL("t\1k"), out, sizeof(out)), -1);
	assert_int_equal(bearer_xoauth2("a", SPAN_LITERAL(""), out, sizeof(out)), -1);
	assert_int_equal(bearer_xoauth2("a", SPAN_LITERAL("tok"), out, 20), -1);
	assert_int_equal(bearer_oauthbearer("a", "h", 1, SPAN_LITERAL("tok"), out, 20), -1);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		bearer_status(span_of(refusals[i].json), status);
		assert_string_equal(status, refusals[i].status);
	}
}

static void netrc(void **state)
{
	static const char text[] = "machine a login x password 1\n"
				   "machine b password 2 login y\n"
				   "machine b\n\tlogin z\n\taccount acct\n\tpassword 3\n"
				   "macdef init\nmachine a login z password no\n\n"
				   "machine C password 4\n"
				   "default login x password 5";
	static const struct {
		const char *host, *user, *password;
	} cases[] = {{"a", "x", "1"}, {"A", "x", "1"}, {"b", "y", "2"},  {"b", "z", "3"},
		     {"c", "w", "4"}, {"d", "x", "5"}, {"a", "q", NULL}, {"b", "w", NULL}};
	struct secret secret;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc;

		secret_init(&secret);
		rc = fetch_netrc(SPAN_LITERAL(text), span_of(cases[i].host), span_of(cases[i].user),
				 &secret);
		assert_int_equal(rc, cases[i].password ? 1 : 0);
		if (rc)
			assert_string_equal(secret.bytes, cases[i].password);
	}
	assert_int_equal(fetch_netrc((pop3_span){"", 0}, span_of("a"), span_of("x"), &secret), 0);
}

static void netrc_with_quotes(void **state)
{
	static const struct {
		const char *text, *password;
	} cases[] = {
		{"machine h login x password \"two words\"", "two words"},
		{"machine \"h\" login \"x\" password \"p\"", "p"},
		{"machine h login x password \"say \\\"hi\\\" \\\\\"", "say \"hi\" \\"},
		{"machine h login x password \"\"", NULL},
		{"machine h login x password \"open", "\"open"},
		{"machine h login x password \"open\nmachine i login x password \"2\"", "\"open"},
		{"machine h login x password in\"side", "in\"side"},
		{"machine h login x password \"a\"\nmachine h login x password b", "a"},
		{"machine h password \"a b\" login x", "a b"},
	};
	char longest[2 * SECRET_MAX + 64];
	struct secret secret;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc;

		secret_init(&secret);
		rc = fetch_netrc(span_of(cases[i].text), span_of("h"), span_of("x"), &secret);
		if (!cases[i].password) {
			assert_true(rc != 1 || secret.size == 0);
			continue;
		}
		assert_int_equal(rc, 1);
		assert_string_equal(secret.bytes, cases[i].password);
	}
	memset(longest, 'p', sizeof(longest));
	memcpy(longest, "machine h login x password \"", 28);
	longest[sizeof(longest) - 1] = '"';
	assert_int_equal(fetch_netrc((pop3_span){longest, sizeof(longest)}, span_of("h"),
				     span_of("x"), &secret),
			 -1);
}

static void names_beyond_ascii(void **state)
{
	static const char *const hosts[][2] = {
		{"b\xc3\xbc"
		 "cher.example",
		 "xn--bcher-kva.example"},
		{"B\xc3\x9c"
		 "CHER.example",
		 "xn--bcher-kva.example"},
		{"mail.\xe4\xbe\x8b\xe3\x81\x88.example", "mail.xn--r8jz45g.example"},
	};
	struct fetch_account account;
	struct err err = {0};
	char url[100];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int rc;

		fetch_account_defaults(&account);
		snprintf(url, sizeof(url), "pop3s://me@%s:1995", hosts[i][0]);
		rc = fetch_account_url(&account, url, &err);
#ifdef HAVE_IDN2
		assert_int_equal(rc, 0);
		assert_string_equal(account.host, hosts[i][1]);
		assert_int_equal(account.port, 1995);
#else
		assert_int_equal(rc, -1);
		assert_non_null(strstr(err.text, "xn--"));
#endif
	}
	assert_int_equal(fetch_account_url(&account, "pop3s://me@b\xff.example", &err), -1);
	assert_int_equal(
		fetch_account_url(&account, "pop3s://me@a\xc3\x9f\xe2\x80\xae.example", &err), -1);
}

static uint64_t hash_of(const char *text, size_t step)
{
	struct head_hash head;
	size_t size = strlen(text);

	head_hash_init(&head);
	for (size_t at = 0; at < size; at += step)
		head_hash_feed(&head, (pop3_span){text + at, size - at < step ? size - at : step});
	return head_hash_value(&head);
}

static void header_hashes(void **state)
{
	static const char base[] = "Received: from a\r\nFrom: x@y\r\nSubject: one\r\n two\r\n"
				   "Date: today\r\n\r\nbody\r\n";
	static const char moved[] = "Received: from b\nX-New: 1\n more\nFROM: x@y\nSubject: one\n"
				    " two\nDate: today\n\nanother body\nFrom: z\n";
	static const char *const different[] = {
		"From: x@z\nSubject: one\n two\nDate: today\n\n",
		"From: x@y\nSubject: one\n twO\nDate: today\n\n",
		"From: x@y\nSubject: one two\nDate: today\n\n",
		"From: x@y\nSubject: one\n two\nDate: tomorrow\n\n",
		"From: x@y\n\nSubject: one\n two\nDate: today\n\n",
	};

	(void)state;
	for (size_t step = 1; step < 40; step++)
		assert_true(hash_of(base, step) == hash_of(moved, sizeof(moved)));
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
		assert_false(hash_of(base, 7) == hash_of(different[i], 7));
	/* none of the known fields: all of them count */
	assert_false(hash_of("X: 1\n\n", 3) == hash_of("X: 2\n\n", 3));
	assert_true(hash_of("X: 1\n\nbody", 3) == hash_of("X: 1\r\n\r\nother", 4));
	assert_false(hash_of("Tofu: 1\n\n", 3) == hash_of("Tofu: 2\n\n", 3));
}

struct world {
	char path[64];
	int dir;
	struct journal *journal;
	struct message messages[40];
};

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	strcpy(world->path, "/tmp/valija-plan-XXXXXX");
	assert_non_null(mkdtemp(world->path));
	world->dir = open(world->path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(
		journal_open(&fetch_files_real, world->dir, "j", "t", &world->journal, NULL), 0);
	*state = world;
	return 0;
}

static int remove_world(void **state)
{
	struct world *world = *state;

	journal_close(world->journal);
	unlinkat(world->dir, "j", 0);
	unlinkat(world->dir, "j.lock", 0);
	close(world->dir);
	rmdir(world->path);
	free(world);
	return 0;
}

/* Message number n (from 1): listed, of that size, in that state. */
static struct seen *put(struct world *world, unsigned number, const char *identity, uint64_t size,
			enum seen_state state)
{
	struct message *message = &world->messages[number - 1];
	struct seen *seen;

	*message = (struct message){.size = size, .listed = true};
	message->entry = journal_intern(world->journal, span_of(identity));
	seen = journal_at(world->journal, message->entry);
	seen->state = (uint8_t)state;
	seen->announced = size;
	seen->time = 1000000000000;
	seen->listed = true;
	return seen;
}

static bool second_is_removed(void *context, const struct seen *seen)
{
	struct world *world = context;

	return span_equal(journal_identity(world->journal, seen), SPAN_LITERAL("ub"));
}

static void plan(struct world *world, unsigned count, struct fetch_account *account, int64_t now,
		 const char *whole, struct plan_totals *totals)
{
	struct plan_settings settings = {.account = account,
					 .now = now,
					 .removed = second_is_removed,
					 .context = world,
					 .whole = whole};

	plan_make(&settings, world->journal, world->messages, count, totals);
}

static void plans(void **state)
{
	static const struct {
		enum fetch_policy policy;
		int64_t now;
		enum plan_action actions[5]; /* of: whole, whole, partial, marked, new */
	} cases[] = {
		{FETCH_KEEP,
		 9000000,
		 {PLAN_NOTHING, PLAN_NOTHING, PLAN_NOTHING, PLAN_NOTHING, PLAN_FETCH}},
		{FETCH_DELETE,
		 9000000,
		 {PLAN_DELETE, PLAN_DELETE, PLAN_NOTHING, PLAN_NOTHING, PLAN_FETCH}},
		{FETCH_KEEP_DAYS,
		 1000000 + 86400 * 3 - 1,
		 {PLAN_NOTHING, PLAN_NOTHING, PLAN_NOTHING, PLAN_NOTHING, PLAN_FETCH}},
		{FETCH_KEEP_DAYS,
		 1000000 + 86400 * 3,
		 {PLAN_DELETE, PLAN_DELETE, PLAN_NOTHING, PLAN_DELETE, PLAN_FETCH}},
		{FETCH_KEEP_NEWEST,
		 0,
		 {PLAN_DELETE, PLAN_NOTHING, PLAN_NOTHING, PLAN_NOTHING, PLAN_FETCH}},
		{FETCH_FOLLOW,
		 0,
		 {PLAN_NOTHING, PLAN_DELETE, PLAN_NOTHING, PLAN_NOTHING, PLAN_FETCH}},
	};
	struct world *world = *state;
	struct fetch_account account;
	struct plan_totals totals;

	fetch_account_defaults(&account);
	account.keep_days = 3;
	account.keep_newest = 4;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(world, 1, "ua", 10, SEEN_WHOLE);
		put(world, 2, "ub", 10, SEEN_WHOLE);
		put(world, 3, "uc", 10, SEEN_PARTIAL);
		put(world, 4, "ud", 10, SEEN_MARKED);
		put(world, 5, "ue", 10, SEEN_UNKNOWN);
		account.policy = cases[i].policy;
		plan(world, 5, &account, cases[i].now, NULL, &totals);
		for (int n = 0; n < 5; n++)
			assert_int_equal(world->messages[n].action, cases[i].actions[n]);
		assert_int_equal(totals.fetch, 1);
		assert_int_equal(totals.fetch_octets, 10);
	}
	account.policy = FETCH_KEEP_DAYS;
	put(world, 4, "ud", 10, SEEN_MARKED)->time = 0; /* left out by hand */
	plan(world, 5, &account, 1000000 + 86400 * 30, NULL, &totals);
	assert_int_equal(world->messages[3].action, PLAN_NOTHING);
	put(world, 4, "ud", 10, SEEN_MARKED);
	world->messages[3].size = 11; /* another message under its id */
	plan(world, 5, &account, 1000000 + 86400 * 30, NULL, &totals);
	assert_int_equal(world->messages[3].action, PLAN_NOTHING);
	account.policy = FETCH_FOLLOW;
	plan(world, 5, &account, 0, "c", &totals);
	assert_int_equal(world->messages[2].action, PLAN_FETCH);
	assert_int_equal(world->messages[2].reason, REASON_WHOLE);
	plan(world, 5, &account, 0, "d", &totals);
	assert_int_equal(world->messages[2].action, PLAN_NOTHING);
}

static void plans_of_odd_listings(void **state)
{
	struct world *world = *state;
	struct fetch_account account;
	struct plan_totals totals;

	fetch_account_defaults(&account);
	account.policy = FETCH_DELETE;
	account.limits.message_octets = 100;
	account.limits.run_messages = 3;
	put(world, 1, "ua", 10, SEEN_WHOLE)->announced = 11; /* an id used again */
	put(world, 2, "ub", 101, SEEN_UNKNOWN);
	put(world, 3, "uc", 10, SEEN_WHOLE);
	world->messages[2].listed = false;
	put(world, 4, "ud", 10, SEEN_UNKNOWN);
	world->messages[3].entry = JOURNAL_NONE;
	put(world, 5, "ue", 10, SEEN_UNKNOWN);
	put(world, 6, "uf", 0, SEEN_WHOLE)->announced = 77; /* LIST does not say */
	plan(world, 6, &account, 0, NULL, &totals);
	assert_int_equal(world->messages[0].action, PLAN_FETCH);
	assert_int_equal(world->messages[0].entry, JOURNAL_NONE);
	assert_int_equal(world->messages[1].action, PLAN_PARTIAL);
	assert_int_equal(world->messages[2].action, PLAN_NOTHING);
	assert_int_equal(world->messages[3].action, PLAN_FETCH);
	assert_int_equal(world->messages[4].action, PLAN_NOTHING);
	assert_int_equal(world->messages[4].reason, REASON_RUN_LIMIT);
	assert_int_equal(world->messages[5].action, PLAN_DELETE);
	assert_int_equal(totals.later, 1);
	for (int reason = REASON_NEW; reason <= REASON_NOT_LISTED; reason++)
		assert_true(plan_reason_text((enum plan_reason)reason)[0]);
}

static void the_brake(void **state)
{
	static const struct {
		unsigned known, gone, before, fresh; /* before: gone already last time */
		bool stop, many_unknown;
	} cases[] = {
		{0, 0, 0, 30, false, false},   {4, 4, 0, 30, false, false},
		{10, 5, 0, 5, false, false},   {10, 6, 0, 0, true, false},
		{10, 10, 0, 10, true, true},   {10, 10, 10, 10, true, true},
		{10, 10, 10, 0, false, false}, {10, 10, 10, 1, false, false},
		{20, 20, 20, 4, false, false}, {20, 20, 20, 5, true, true},
		{20, 11, 3, 0, false, false},  {10, 2, 0, 20, false, false},
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct plan_brake brake;
		unsigned number = 0;

		for (uint32_t e = 0; e < journal_count(world->journal); e++) {
			struct seen *old = journal_at(world->journal, e);

			*old = (struct seen){.identity = old->identity};
		}
		for (unsigned n = 0; n < cases[i].known; n++) {
			char identity[16];
			struct seen *seen;

			snprintf(identity, sizeof(identity), "u%u", n);
			if (n >= cases[i].gone) {
				put(world, ++number, identity, 1, SEEN_WHOLE);
				continue;
			}
			seen = journal_at(world->journal,
					  journal_intern(world->journal, span_of(identity)));
			seen->state = SEEN_WHOLE;
			seen->absent = n < cases[i].before ? 7 : 0;
		}
		for (unsigned n = 0; n < cases[i].fresh; n++) {
			char identity[16];

			snprintf(identity, sizeof(identity), "ux%u", n);
			put(world, ++number, identity, 1, SEEN_UNKNOWN);
		}
		plan_brake(world->journal, world->messages, number, &brake);
		if (brake.stop != cases[i].stop || brake.many_unknown != cases[i].many_unknown)
			fail_msg("case %zu: stop %d, many_unknown %d", i, brake.stop,
				 brake.many_unknown);
		assert_int_equal(brake.missing, cases[i].gone);
	}
}

/* What we deleted ourselves may vanish as it likes. */
static void the_brake_knows_our_own_deletions(void **state)
{
	struct world *world = *state;
	struct plan_brake brake;

	for (unsigned n = 0; n < 20; n++) {
		char identity[16];
		struct seen *seen;

		snprintf(identity, sizeof(identity), "u%u", n);
		seen = put(world, 1, identity, 1, SEEN_WHOLE);
		seen->listed = false;
		seen->remove = true;
	}
	plan_brake(world->journal, world->messages, 0, &brake);
	assert_false(brake.stop);
	assert_int_equal(brake.known, 0);
}

static void delivery_ids(void **state)
{
	char a[DELIVERY_ID_SIZE], b[DELIVERY_ID_SIZE];

	(void)state;
	delivery_id_of_message(SPAN_LITERAL("key"), SPAN_LITERAL("uone"), false, a);
	delivery_id_of_message(SPAN_LITERAL("key"), SPAN_LITERAL("uone"), false, b);
	assert_string_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	delivery_id_of_message(SPAN_LITERAL("key"), SPAN_LITERAL("uone"), true, b);
	assert_string_not_equal(a, b);
	delivery_id_of_message(SPAN_LITERAL("key2"), SPAN_LITERAL("uone"), false, b);
	assert_string_not_equal(a, b);
	delivery_id_of_message(SPAN_LITERAL("key"), SPAN_LITERAL("utwo"), false, b);
	assert_string_not_equal(a, b);
	/* the same in all versions: what an earlier one delivered is found by it */
	delivery_id(SPAN_LITERAL("key"), SPAN_LITERAL("identity"), a);
	assert_string_equal(a, "812d7aeb8fe092cba21c633b49a2689c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(sizes),
		cmocka_unit_test(mechanisms),
		cmocka_unit_test(mechanisms_of_tokens),
		cmocka_unit_test(last_good_mechanism),
		cmocka_unit_test(bearers),
		cmocka_unit_test(netrc),
		cmocka_unit_test(netrc_with_quotes),
		cmocka_unit_test(names_beyond_ascii),
		cmocka_unit_test(header_hashes),
		cmocka_unit_test_setup_teardown(plans, make_world, remove_world),
		cmocka_unit_test_setup_teardown(plans_of_odd_listings, make_world, remove_world),
		cmocka_unit_test_setup_teardown(the_brake, make_world, remove_world),
		cmocka_unit_test_setup_teardown(the_brake_knows_our_own_deletions, make_world,
						remove_world),
		cmocka_unit_test(delivery_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
