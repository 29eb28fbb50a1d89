/*
 * SASL logins against GNU SASL's own client: every mechanism, channel binding, and what hostile
 * clients send (rows of the table of attacks in the names).
 */
#include "users/cram_md5.h"
#include "users/login.h"
#include "users/schemes.h"

#include "base/text.h"

#include <fcntl.h>
#include <gsasl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define EVERY "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN"
#define EXPORTER "0123456789abcdefghijklmnopqrstuv" /* 32 octets, as RFC 9266 has them */

static char directory[] = "/tmp/test-sasl-XXXXXX";
static int dir_fd;
static struct users *users;
static struct login_service *service;
static Gsasl *gsasl;

/* What the client knows. */
struct client {
	const char *name, *password, *authzid, *binding;
};

static int on_client(Gsasl *context, Gsasl_session *session, Gsasl_property what)
{
	const struct client *client = gsasl_session_hook_get(session);
	char text[96];

	(void)context;
	if (what == GSASL_AUTHID)
		return gsasl_property_set(session, what, client->name);
	if (what == GSASL_PASSWORD)
		return gsasl_property_set(session, what, client->password);
	if (what == GSASL_AUTHZID)
		return gsasl_property_set(session, what, client->authzid ? client->authzid : "");
	if (what == GSASL_CB_TLS_EXPORTER && client->binding) {
		base64_encode(span_of(client->binding), text, sizeof(text));
		return gsasl_property_set(session, what, text);
	}
	return GSASL_NO_CALLBACK;
}

static void add_user(FILE *out, const char *name, const char *scheme, const char *password)
{
	struct secret secret;
	char stored[1024];

	secret_init(&secret);
	secret_set(&secret, span_of(password));
	assert_int_equal(scheme_make(scheme, &secret, stored, sizeof(stored), NULL), 0);
	fprintf(out, "%s:%s\n", name, stored);
}

static int set_up(void **state)
{
	struct login_settings settings = {.host_name = "mail.example.org",
					  .mechanisms = EVERY,
					  .cache_entries = 100,
					  .cache_seconds = 3600};
	char path[64];
	FILE *out;

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/users", directory);
	out = fopen(path, "w");
	add_user(out, "plain", "PLAIN", "secret word");
	add_user(out, "s1", "SCRAM-SHA-1", "secret word");
	add_user(out, "s256", "SCRAM-SHA-256", "secret word");
	add_user(out, "cram", "CRAM-MD5", "secret word");
	add_user(out, "yes", "YESCRYPT", "secret word");
	add_user(out, "MixedCase", "PLAIN", "secret word");
	fprintf(out, "gone:{PLAIN}secret word::::::nologin\n");
	fclose(out);
	dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (users_open_passwd_file(dir_fd, "users", NULL, &users, NULL) < 0 ||
	    login_service_create(users, &settings, &service, NULL) < 0 ||
	    gsasl_init(&gsasl) != GSASL_OK)
		return -1;
	gsasl_callback_set(gsasl, on_client);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	gsasl_done(gsasl);
	login_service_destroy(service);
	users_close(users);
	unlinkat(dir_fd, "users", 0);
	close(dir_fd);
	return rmdir(directory);
}

static struct login *start(const char *mechanism, const char *exporter)
{
	struct login_channel channel = {.tls = exporter != NULL,
					.exporter = exporter ? span_of(exporter)
							     : (pop3_span){NULL, 0}};
	struct login *login = login_sasl(service, span_of(mechanism), &channel);

	assert_non_null(login);
	return login;
}

/* First as the loop tries it, then as a worker does. */
static enum login_verdict step(struct login *login, const char *response)
{
	pop3_span text = span_of(response ? response : "");
	enum login_verdict verdict = login_step_fast(login, text, response != NULL);

	return verdict == LOGIN_SLOW ? login_step(login, text, response != NULL) : verdict;
}

/* The whole exchange; the responses are appended to record (NULL: none kept). */
static enum login_verdict talk(const char *mechanism, const struct client *client,
			       const char *exporter, char *record)
{
	struct login *login = start(mechanism, exporter);
	enum login_verdict verdict = LOGIN_MORE;
	struct client copy = *client;
	Gsasl_session *session = NULL;
	char challenge[8192] = "", *response = NULL;

	assert_int_equal(gsasl_client_start(gsasl, mechanism, &session), GSASL_OK);
	gsasl_session_hook_set(session, &copy);
	if (strcmp(mechanism, "LOGIN") == 0 || strcmp(mechanism, "CRAM-MD5") == 0) {
		verdict = step(login, NULL); /* these let the server begin */
		assert_int_equal(span_copy(login_challenge(login), challenge, sizeof(challenge)),
				 0);
	}
	for (int turns = 0; verdict == LOGIN_MORE && turns < 8; turns++) {
		int code = gsasl_step64(session, challenge, &response);

		if (code != GSASL_OK && code != GSASL_NEEDS_MORE) {
			verdict = LOGIN_SLOW; /* the client gave up */
			break;
		}
		if (record)
			sprintf(record + strlen(record), "%s\n", response);
		verdict = step(login, response);
		gsasl_free(response);
		assert_int_equal(span_copy(login_challenge(login), challenge, sizeof(challenge)),
				 0);
	}
	if (verdict == LOGIN_GRANTED) {
		assert_true(
			user_name_same(span_of(login_user(login)->name), span_of(client->name)));
		assert_true(span_equal(login_claimed_name(login), span_of(client->name)));
	}
	if (verdict == LOGIN_DENIED)
		assert_true(login_reason(login)[0] != '\0');
	gsasl_finish(session);
	login_destroy(login);
	return verdict;
}

static enum login_verdict try(const char *mechanism, const char *name, const char *password)
{
	bool plus = strstr(mechanism, "PLUS") != NULL;
	struct client client = {name, password, NULL, plus ? EXPORTER : NULL};

	return talk(mechanism, &client, plus ? EXPORTER : NULL, NULL);
}

static void test_every_mechanism_with_every_scheme(void **state)
{
	static const struct {
		const char *name, *mechanisms;
	} can[] = {
		{"plain", EVERY},
		{"s1", "SCRAM-SHA-1 SCRAM-SHA-1-PLUS PLAIN LOGIN"},
		{"s256", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN LOGIN"},
		{"cram", "CRAM-MD5 PLAIN LOGIN"},
		{"yes", "PLAIN LOGIN"},
		{"gone", ""},
		{"nobody", ""},
	};
	char all[] = EVERY, *rest = all, *mechanism;

	(void)state;
	while ((mechanism = strsep(&rest, " ")))
		for (size_t i = 0; i < sizeof(can) / sizeof(can[0]); i++) {
			char word[32], list[128];
			enum login_verdict right = try(mechanism, can[i].name, "secret word");
			enum login_verdict wrong = try(mechanism, can[i].name, "secret worD");

			snprintf(word, sizeof(word), " %s ", mechanism);
			snprintf(list, sizeof(list), " %s ", can[i].mechanisms);
			if (right != (strstr(list, word) ? LOGIN_GRANTED : LOGIN_DENIED))
				fail_msg("%s with %s: %d", can[i].name, mechanism, right);
			if (wrong != LOGIN_DENIED)
				fail_msg("%s with %s and a wrong password: %d", can[i].name,
					 mechanism, wrong);
		}
}

/* No stored secret and no exchange depends on the case of the name's letters. */
static void test_names_in_every_case(void **state)
{
	static const struct {
		const char *name, *mechanism;
	} can[] = {
		{"PLAIN", "PLAIN"},         {"Plain", "LOGIN"},        {"pLAIN", "CRAM-MD5"},
		{"PLAIN", "SCRAM-SHA-256"}, {"S256", "SCRAM-SHA-256"}, {"S1", "SCRAM-SHA-1-PLUS"},
		{"CRAM", "CRAM-MD5"},       {"Yes", "PLAIN"},          {"mixedcase", "CRAM-MD5"},
		{"MIXEDCASE", "PLAIN"},     {"mixedcase", "LOGIN"},    {"mIXEDcASE", "SCRAM-SHA-1"},
	};
	struct client client = {"mixedcase", "secret word", "MixedCase", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(can) / sizeof(can[0]); i++) {
		if (try(can[i].mechanism, can[i].name, "secret word") != LOGIN_GRANTED)
			fail_msg("%s with %s", can[i].name, can[i].mechanism);
		if (try(can[i].mechanism, can[i].name, "Secret word") != LOGIN_DENIED)
			fail_msg("%s with %s and a wrong password", can[i].name, can[i].mechanism);
	}
	/* to act for oneself is not to act for another */
	assert_int_equal(talk("SCRAM-SHA-256", &client, NULL, NULL), LOGIN_GRANTED);
	assert_int_equal(talk("PLAIN", &client, NULL, NULL), LOGIN_GRANTED);
}

static void test_what_is_offered(void **state)
{
	char list[256];

	(void)state;
	login_mechanisms(service, true, list, sizeof(list));
	assert_string_equal(list, EVERY);
	login_mechanisms(service, false, list, sizeof(list));
	assert_string_equal(list, "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN");
	login_mechanisms(service, false, list, 16);
	assert_string_equal(list, "SCRAM-SHA-256");
}

static void test_unknown_mechanisms(void **state)
{
	static const char *const names[] = {"",          "PLAI", "PLAINX", "DIGEST-MD5", "EXTERNAL",
					    "ANONYMOUS", "PASS", "APOP",   "%s"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct login *login = start(names[i], NULL);

		assert_int_equal(step(login, "AGEAYg=="), LOGIN_PERM);
		login_destroy(login);
	}
}

static void test_login_takes_a_name_first(void **state)
{
	struct login *login = start("LOGIN", NULL);

	(void)state;
	assert_int_equal(step(login, "cGxhaW4="), LOGIN_MORE); /* plain */
	assert_int_equal(step(login, "c2VjcmV0IHdvcmQ="), LOGIN_GRANTED);
	login_destroy(login);
}

/* RFC 4616: message, NULs, authorization as somebody else. */
static void test_threat_17_malformed_plain_and_other_users(void **state)
{
	static const struct {
		const char *octets;
		size_t size;
		enum login_verdict verdict;
	} messages[] = {
		{"\0plain\0secret word", 18, LOGIN_GRANTED},
		{"plain\0plain\0secret word", 23, LOGIN_GRANTED},
		{"s1\0plain\0secret word", 20, LOGIN_DENIED},
		{"root\0plain\0secret word", 22, LOGIN_DENIED},
		{"\0plain\0secret wor", 17, LOGIN_DENIED},
		{"\0plain\0", 7, LOGIN_DENIED},
		{"\0\0secret word", 13, LOGIN_DENIED},
		{"plain\0secret word", 17, LOGIN_DENIED},
		{"\0plain", 6, LOGIN_DENIED},
		{"x", 1, LOGIN_DENIED},
		{"\0plain\0secret word\0", 19, LOGIN_DENIED},
		{"\0plain\0secret word\0x", 20, LOGIN_DENIED},
		{"\0../plain\0secret word", 21, LOGIN_DENIED},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct login *login = start("PLAIN", NULL);
		enum login_verdict verdict;

		base64_encode((pop3_span){messages[i].octets, messages[i].size}, text,
			      sizeof(text));
		verdict = step(login, text);
		if (verdict != messages[i].verdict)
			fail_msg("message %zu: %d", i, verdict);
		/* over is over */
		assert_int_equal(step(login, "AHBsYWluAHNlY3JldCB3b3Jk"), messages[i].verdict);
		login_destroy(login);
	}
}

static void test_threat_17_scram_for_another_user(void **state)
{
	struct client client = {"s256", "secret word", "plain", NULL};

	(void)state;
	assert_int_equal(talk("SCRAM-SHA-256", &client, NULL, NULL), LOGIN_DENIED);
	client.authzid = "s256";
	assert_int_equal(talk("SCRAM-SHA-256", &client, NULL, NULL), LOGIN_GRANTED);
}

static void test_threat_15_invalid_base64_ends_this_exchange_only(void **state)
{
	static const char *const bad[] = {"!",
					  "AAA",
					  "A===",
					  "AA=A",
					  "AHBsYWluAHNlY3JldCB3b3Jk=",
					  "AHBsYWlu\tAHNlY3Jl",
					  "AB==",
					  "\xff\xff\xff\xff"};
	char all[] = EVERY, *rest = all, *mechanism;
	struct login *other = start("LOGIN", NULL);

	(void)state;
	assert_int_equal(step(other, NULL), LOGIN_MORE);
	while ((mechanism = strsep(&rest, " ")))
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct login *login = start(mechanism, EXPORTER);

			assert_int_equal(step(login, bad[i]), LOGIN_DENIED);
			login_destroy(login);
		}
	assert_int_equal(step(other, "cGxhaW4="), LOGIN_MORE);
	assert_int_equal(step(other, "c2VjcmV0IHdvcmQ="), LOGIN_GRANTED);
	login_destroy(other);
}

/* The sanitizer's leak check is the judge; so is the cap on attempts at a time. */
static void test_threat_16_cancelled_exchanges_leave_nothing(void **state)
{
	char all[] = EVERY, *rest = all, *mechanism;

	(void)state;
	while ((mechanism = strsep(&rest, " ")))
		for (int i = 0; i < 40000; i++) {
			struct login *login = start(mechanism, EXPORTER);

			if (i % 16 == 0 && strncmp(mechanism, "SCRAM", 5) != 0)
				assert_int_equal(step(login, NULL), LOGIN_MORE);
			login_destroy(login);
		}
}

static void test_threat_18_long_responses(void **state)
{
	char all[] = EVERY, *rest = all, *mechanism, *text = malloc(65537);

	(void)state;
	assert_non_null(text);
	while ((mechanism = strsep(&rest, " "))) {
		static const size_t sizes[] = {16384, 16388, 65536};

		for (size_t i = 0; i < 3; i++) {
			struct login *login = start(mechanism, EXPORTER);

			memset(text, 'A', sizes[i]);
			text[sizes[i]] = '\0';
			assert_int_equal(step(login, text), LOGIN_DENIED);
			login_destroy(login);
		}
	}
	free(text);
}

/* Nothing a stranger can see tells whether a user exists: same kind of challenge, the same one
 * every time, the same end. */
static void scram_first(const char *mechanism, const char *name, char *salt, char *iterations)
{
	struct login *login = start(mechanism, NULL);
	char bare[64], text[96], answer[256] = "";

	snprintf(bare, sizeof(bare), "n,,n=%s,r=fyko", name);
	base64_encode(span_of(bare), text, sizeof(text));
	assert_int_equal(step(login, text), LOGIN_MORE);
	assert_true(base64_decode(login_challenge(login), answer, sizeof(answer) - 1) > 0);
	assert_int_equal(sscanf(answer, "r=%*[^,],s=%63[^,],i=%15s", salt, iterations), 2);
	login_destroy(login);
}

static void test_threat_19_scram_challenges_of_strangers(void **state)
{
	static const char *const names[] = {"nobody", "yes", "cram", "plain", "gone", "s1", "s256"};
	static const char *const mechanisms[] = {"SCRAM-SHA-1", "SCRAM-SHA-256"};
	char salt[64], again[64], usual[16], iterations[16], upper[64];

	(void)state;
	for (int m = 0; m < 2; m++) {
		scram_first(mechanisms[m], m ? "s256" : "s1", salt, usual);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			scram_first(mechanisms[m], names[i], salt, iterations);
			scram_first(mechanisms[m], names[i], again, iterations);
			assert_string_equal(salt, again);
			assert_string_equal(iterations, usual);
			assert_int_equal(strlen(salt), 24); /* 16 octets */
			scram_first(mechanisms[m], i ? names[i - 1] : "nobody2", again, iterations);
			assert_string_not_equal(salt, again);
		}
		/* small or capital: as users are looked up */
		scram_first(mechanisms[m], "nobody", salt, iterations);
		scram_first(mechanisms[m], "NoBody", upper, iterations);
		assert_string_equal(salt, upper);
	}
}

static void test_threat_24_scram_replay(void **state)
{
	struct client client = {"s256", "secret word", NULL, NULL};
	char record[8192] = "", *second, *end;
	struct login *login = start("SCRAM-SHA-256", NULL);

	(void)state;
	assert_int_equal(talk("SCRAM-SHA-256", &client, NULL, record), LOGIN_GRANTED);
	end = strchr(record, '\n');
	*end = '\0';
	second = end + 1;
	*strchr(second, '\n') = '\0';
	assert_int_equal(step(login, record), LOGIN_MORE);
	assert_int_equal(step(login, second), LOGIN_DENIED);
	login_destroy(login);
}

static void cram_response(const char *name, const char *challenge, char *text, size_t size)
{
	char hex[CRAM_MD5_HEX + 1], digest[33], clear[512], response[128];
	struct secret secret;
	int n = base64_decode(span_of(challenge), clear, sizeof(clear) - 1);

	assert_true(n > 0);
	secret_init(&secret);
	secret_set(&secret, SPAN_LITERAL("secret word"));
	cram_md5_make(&secret, hex);
	assert_int_equal(cram_md5_answer(span_of(hex), (pop3_span){clear, (size_t)n}, digest), 0);
	snprintf(response, sizeof(response), "%s %s", name, digest);
	base64_encode(span_of(response), text, size);
}

static void test_threat_24_cram_replay(void **state)
{
	struct login *one = start("CRAM-MD5", NULL), *two = start("CRAM-MD5", NULL);
	char first[512], second[512], response[256];

	(void)state;
	assert_int_equal(step(one, NULL), LOGIN_MORE);
	assert_int_equal(step(two, NULL), LOGIN_MORE);
	span_copy(login_challenge(one), first, sizeof(first));
	span_copy(login_challenge(two), second, sizeof(second));
	assert_string_not_equal(first, second);
	cram_response("cram", first, response, sizeof(response));
	assert_int_equal(step(two, response), LOGIN_DENIED);
	assert_int_equal(step(one, response), LOGIN_GRANTED);
	login_destroy(one);
	login_destroy(two);
}

static void test_cram_md5_responses(void **state)
{
	static const char *const bad[] = {"",
					  "cram",
					  "cram ",
					  " ",
					  "cram 00",
					  "  ",
					  "x0123456789abcdef0123456789abcdef",
					  " 0123456789abcdef0123456789abcdef",
					  "cram 0123456789abcdef0123456789abcdef0"};
	char text[128];
	struct login *login;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		login = start("CRAM-MD5", NULL);
		assert_int_equal(step(login, NULL), LOGIN_MORE);
		base64_encode(span_of(bad[i]), text, sizeof(text));
		assert_int_equal(step(login, text), LOGIN_DENIED);
		login_destroy(login);
	}
	login = start("CRAM-MD5", NULL);
	assert_int_equal(step(login, "AAAA"), LOGIN_DENIED); /* before there was a challenge */
	login_destroy(login);
}

static void test_threat_24_channel_binding(void **state)
{
	struct client client = {"s256", "secret word", NULL, EXPORTER};
	char other[] = EXPORTER, text[64];
	struct login *login;

	(void)state;
	assert_int_equal(talk("SCRAM-SHA-256-PLUS", &client, EXPORTER, NULL), LOGIN_GRANTED);
	/* somebody in the middle has another TLS connection with each side */
	other[31] ^= 1;
	assert_int_equal(talk("SCRAM-SHA-256-PLUS", &client, other, NULL), LOGIN_DENIED);
	/* PLUS without TLS, or without its data */
	login = start("SCRAM-SHA-256-PLUS", NULL);
	assert_int_equal(step(login, "bixn"), LOGIN_PERM);
	login_destroy(login);
	login = start("SCRAM-SHA-1-PLUS", "");
	assert_int_equal(step(login, "bixn"), LOGIN_PERM);
	login_destroy(login);
	/* PLUS by name, but the client binds nothing */
	login = start("SCRAM-SHA-256-PLUS", EXPORTER);
	base64_encode(SPAN_LITERAL("n,,n=s256,r=fyko"), text, sizeof(text));
	assert_int_equal(step(login, text), LOGIN_DENIED);
	login_destroy(login);
	/* "you offer no binding", though we do: somebody took -PLUS out of our list */
	login = start("SCRAM-SHA-256", EXPORTER);
	base64_encode(SPAN_LITERAL("y,,n=s256,r=fyko"), text, sizeof(text));
	assert_int_equal(step(login, text), LOGIN_DENIED);
	login_destroy(login);
	/* and where we do not, it is true */
	login = start("SCRAM-SHA-256", NULL);
	assert_int_equal(step(login, text), LOGIN_MORE);
	login_destroy(login);
	/* binding asked for by a mechanism that has none */
	login = start("SCRAM-SHA-256", EXPORTER);
	base64_encode(SPAN_LITERAL("p=tls-exporter,,n=s256,r=fyko"), text, sizeof(text));
	assert_int_equal(step(login, text), LOGIN_DENIED);
	login_destroy(login);
}

static void test_a_word_after_the_last_word(void **state)
{
	struct client client = {"s256", "secret word", NULL, NULL};
	struct login *login = start("SCRAM-SHA-256", NULL);
	Gsasl_session *session = NULL;
	char challenge[1024] = "", *response = NULL;

	(void)state;
	gsasl_client_start(gsasl, "SCRAM-SHA-256", &session);
	gsasl_session_hook_set(session, &client);
	for (int i = 0; i < 2; i++) {
		gsasl_step64(session, challenge, &response);
		assert_int_equal(step(login, response), LOGIN_MORE);
		gsasl_free(response);
		span_copy(login_challenge(login), challenge, sizeof(challenge));
	}
	assert_int_equal(step(login, "eA=="), LOGIN_DENIED);
	assert_int_equal(step(login, ""), LOGIN_DENIED);
	gsasl_finish(session);
	login_destroy(login);
}

static void test_broken_scram_messages(void **state)
{
	static const char *const bad[] = {"",
					  "n",
					  "n,",
					  "n,,",
					  "n,,n=",
					  "n,,n=s256",
					  "n,,r=x,n=s256",
					  "n,,n=s256,r=",
					  "n,,m=x,n=s256,r=x",
					  "q,,n=s256,r=x",
					  "n,a=\xff,n=s256,r=x",
					  "n,,n==,r=x",
					  "n,,n=s=3256,r=x"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct login *login = start("SCRAM-SHA-256", NULL);
		enum login_verdict verdict;

		base64_encode(span_of(bad[i]), text, sizeof(text));
		verdict = step(login, text);
		if (verdict == LOGIN_MORE && bad[i][0]) /* taken, so the proof has to be right */
			verdict = step(login, "Yz1iaXdzLHI9eCxwPXg=");
		if (verdict != LOGIN_DENIED && bad[i][0])
			fail_msg("%s: %d", bad[i], verdict);
		login_destroy(login);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mechanism_with_every_scheme),
		cmocka_unit_test(test_names_in_every_case),
		cmocka_unit_test(test_what_is_offered),
		cmocka_unit_test(test_unknown_mechanisms),
		cmocka_unit_test(test_login_takes_a_name_first),
		cmocka_unit_test(test_threat_17_malformed_plain_and_other_users),
		cmocka_unit_test(test_threat_17_scram_for_another_user),
		cmocka_unit_test(test_threat_15_invalid_base64_ends_this_exchange_only),
		cmocka_unit_test(test_threat_16_cancelled_exchanges_leave_nothing),
		cmocka_unit_test(test_threat_18_long_responses),
		cmocka_unit_test(test_threat_19_scram_challenges_of_strangers),
		cmocka_unit_test(test_threat_24_scram_replay),
		cmocka_unit_test(test_threat_24_cram_replay),
		cmocka_unit_test(test_cram_md5_responses),
		cmocka_unit_test(test_threat_24_channel_binding),
		cmocka_unit_test(test_a_word_after_the_last_word),
		cmocka_unit_test(test_broken_scram_messages),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
