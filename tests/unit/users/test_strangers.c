/*
 * Nothing but the right password shows whether a name has an entry, in which scheme, and whether it
 * can be served. Not a clock but the work itself is compared: the linker puts counters before what
 * costs time.
 */
#include "mail_of.h"
#include "users/login.h"
#include "users/passwd_line.h"
#include "users/schemes.h"
#include "users/scram.h"

#include "base/digest.h"
#include "base/text.h"

#include <crypt.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HASH "{SHA256-CRYPT}$5$rounds=1000$saltsalt$"
#define NETWORK "sixteen octets.."
#define OTHER_NETWORK "and sixteen more"

static char directory[] = "/tmp/test-strangers-XXXXXX";
static int dir_fd;
static struct users *users;
static struct login_service *service;
static char hashed[128], scram[512]; /* "word" */

/* ---- counters ---- */

static struct work {
	unsigned pbkdf2s, macs, keys_parsed, lines_parsed, hashes;
} work;

void __real_pbkdf2(enum digest_kind, const void *, size_t, const void *, size_t, uint32_t,
		   unsigned char *);
void __wrap_pbkdf2(enum digest_kind, const void *, size_t, const void *, size_t, uint32_t,
		   unsigned char *);
void __wrap_pbkdf2(enum digest_kind kind, const void *password, size_t password_size,
		   const void *salt, size_t salt_size, uint32_t iterations, unsigned char *ret)
{
	work.pbkdf2s++;
	__real_pbkdf2(kind, password, password_size, salt, salt_size, iterations, ret);
}

void __real_hmac_of(enum digest_kind, const void *, size_t, const void *, size_t, unsigned char *);
void __wrap_hmac_of(enum digest_kind, const void *, size_t, const void *, size_t, unsigned char *);
void __wrap_hmac_of(enum digest_kind kind, const void *key, size_t key_size, const void *data,
		    size_t size, unsigned char *ret)
{
	work.macs++;
	__real_hmac_of(kind, key, key_size, data, size, ret);
}

void __real_hmac_finish(struct hmac *, unsigned char *);
void __wrap_hmac_finish(struct hmac *, unsigned char *);
void __wrap_hmac_finish(struct hmac *hmac, unsigned char *ret)
{
	work.macs++;
	__real_hmac_finish(hmac, ret);
}

int __real_scram_parse(const struct scram_hash *, pop3_span, struct scram_keys *);
int __wrap_scram_parse(const struct scram_hash *, pop3_span, struct scram_keys *);
int __wrap_scram_parse(const struct scram_hash *hash, pop3_span payload, struct scram_keys *ret)
{
	work.keys_parsed++;
	return __real_scram_parse(hash, payload, ret);
}

enum passwd_line __real_passwd_line_parse(pop3_span, const struct user_mail *, struct user *,
					  struct err *);
enum passwd_line __wrap_passwd_line_parse(pop3_span, const struct user_mail *, struct user *,
					  struct err *);
enum passwd_line __wrap_passwd_line_parse(pop3_span line, const struct user_mail *mail,
					  struct user *ret, struct err *err)
{
	work.lines_parsed++;
	return __real_passwd_line_parse(line, mail, ret, err);
}

char *__real_crypt_r(const char *, const char *, struct crypt_data *);
char *__wrap_crypt_r(const char *, const char *, struct crypt_data *);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	char *result = __real_crypt_r(phrase, setting, data);

	work.hashes += result && *result != '*'; /* a setting that is none costs nothing */
	return result;
}

/* ---- the site ---- */

static int set_up(void **state)
{
	struct secret secret;

	(void)state;
	secret_init(&secret);
	secret_set(&secret, SPAN_LITERAL("word"));
	snprintf(hashed, sizeof(hashed), "{SHA256-CRYPT}%s",
		 crypt("word", HASH + strlen("{SHA256-CRYPT}")));
	if (scheme_make("SCRAM-SHA-256", &secret, scram, sizeof(scram), NULL) < 0 ||
	    !mkdtemp(directory))
		return -1;
	dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlinkat(dir_fd, "users", 0);
	close(dir_fd);
	return rmdir(directory);
}

static void open_site(const char *text)
{
	struct login_settings settings = {.host_name = "host",
					  .mechanisms = "SCRAM-SHA-256 CRAM-MD5 PLAIN",
					  .cache_entries = 100,
					  .cache_seconds = 3600};
	/* a file that was written just now is read once more, whenever the next look comes */
	const struct timespec old[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	int fd = openat(dir_fd, "users", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(futimens(fd, old), 0);
	close(fd);
	assert_int_equal(users_open_passwd_file(dir_fd, "users", mail_of("/mail"), &users, NULL),
			 0);
	assert_int_equal(login_service_create(users, &settings, &service, NULL), 0);
}

static void close_site(void)
{
	login_service_destroy(service);
	users_close(users);
}

/* ---- attempts ---- */

struct seen {
	enum login_verdict verdict;
	bool slow; /* a worker was needed */
	struct work work;
	char reason[400];
};

static struct seen step(struct login *login, pop3_span response)
{
	struct seen seen = {0};

	assert_non_null(login);
	memset(&work, 0, sizeof(work));
	seen.verdict = login_step_fast(login, response, true);
	seen.slow = seen.verdict == LOGIN_SLOW;
	if (seen.slow) {
		memset(&work, 0, sizeof(work)); /* what the loop did first is done for all */
		seen.verdict = login_step(login, response, true);
	}
	seen.work = work;
	snprintf(seen.reason, sizeof(seen.reason), "%s", login_reason(login));
	return seen;
}

static struct seen pass(const char *name, const char *password)
{
	struct login *login = login_pass(service, span_of(name), span_of(password));
	struct seen seen = step(login, (pop3_span){NULL, 0});

	login_destroy(login);
	return seen;
}

static struct seen scram_first(const char *name, const char *network)
{
	struct login_channel channel = {.network = span_of(network)};
	struct login *login = login_sasl(service, SPAN_LITERAL("SCRAM-SHA-256"), &channel);
	char text[256], response[400];
	struct seen seen;

	assert_non_null(login);
	assert_false(login_has_begun(login));
	snprintf(text, sizeof(text), "n,,n=%s,r=fyko+d2lbbFgONRv9qkxdawL", name);
	base64_encode(span_of(text), response, sizeof(response));
	seen = step(login, span_of(response));
	assert_int_equal(seen.verdict, LOGIN_MORE);
	assert_true(login_has_begun(login));
	login_destroy(login);
	return seen;
}

static void same_work(const char *name, const struct seen *seen, const struct seen *as)
{
	if (seen->slow != as->slow || memcmp(&seen->work, &as->work, sizeof(work)) != 0)
		fail_msg("%s: %u PBKDF2, %u MACs, %u keys, %u lines, %u hashes%s, not %u %u %u %u "
			 "%u%s",
			 name, seen->work.pbkdf2s, seen->work.macs, seen->work.keys_parsed,
			 seen->work.lines_parsed, seen->work.hashes, seen->slow ? ", slow" : "",
			 as->work.pbkdf2s, as->work.macs, as->work.keys_parsed,
			 as->work.lines_parsed, as->work.hashes, as->slow ? ", slow" : "");
}

/* ---- tests ---- */

static void test_threat_71_the_first_step_of_scram_where_keys_are_stored(void **state)
{
	static const char *const names[] = {"nobody",  "locked", "mute", "crypt", "odd",
					    "damaged", "away",   "ANNA", "sha1"};
	char text[2048];
	struct seen known;

	(void)state;
	snprintf(text, sizeof(text),
		 "anna:%s\nlocked:!\nmute:%s::::::nologin\ncrypt:%s\nodd:{ROT13}jbeq\n"
		 "damaged:{SCRAM-SHA-256}4096,%%,x,y\naway:%s::::/elsewhere\n"
		 "sha1:{SCRAM-SHA-1}4096,c2FsdA==,,\n",
		 scram, scram, hashed, scram);
	open_site(text);
	known = scram_first("anna", NETWORK);
	assert_false(known.slow); /* no hash has to wait for a worker here */
	assert_int_equal(known.work.pbkdf2s, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct seen seen = scram_first(names[i], NETWORK);

		same_work(names[i], &seen, &known);
	}
	close_site();
}

static void test_threat_71_the_first_step_of_scram_where_keys_are_derived(void **state)
{
	static const char *const names[] = {"anna", "nobody", "locked", "mute", "odd", "away"};
	struct seen first = {0}, again = {0};

	(void)state;
	open_site("anna:{PLAIN}word\nlocked:!\nmute:{PLAIN}word::::::nologin\nodd:{ROT13}jbeq\n"
		  "away:{PLAIN}word::::/elsewhere\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct seen seen = scram_first(names[i], NETWORK);

		assert_int_equal(seen.work.pbkdf2s, 1);
		if (i == 0)
			first = seen;
		same_work(names[i], &seen, &first);
		/* the keys are remembered, for this network only */
		seen = scram_first(names[i], NETWORK);
		assert_false(seen.slow);
		assert_int_equal(seen.work.pbkdf2s, 0);
		if (i == 0)
			again = seen;
		same_work(names[i], &seen, &again);
		seen = scram_first(names[i], OTHER_NETWORK);
		same_work(names[i], &seen, &first);
		/* clients that are not told apart by network have no memory in common */
		for (int n = 0; n < 2; n++) {
			seen = scram_first(names[i], "");
			assert_true(seen.slow);
			assert_int_equal(seen.work.pbkdf2s, 1);
		}
	}
	close_site();
}

/* Many names are asked from one network: what is remembered stays bounded, and all are answered. */
static void test_what_is_derived_is_bounded(void **state)
{
	char name[16];

	(void)state;
	open_site("anna:{PLAIN}word\n");
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "name%u", i);
		assert_int_equal(scram_first(name, NETWORK).work.pbkdf2s, 1);
	}
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "NAME%u", i);
		assert_int_equal(scram_first(name, NETWORK).work.pbkdf2s, 0);
	}
	close_site();
	/* another password: other keys */
	open_site("anna:{PLAIN}words\n");
	assert_int_equal(scram_first("anna", NETWORK).work.pbkdf2s, 1);
	close_site();
}

static void test_threat_71_entries_that_cannot_be_served(void **state)
{
	static const char *const names[] = {"nobody",  "locked", "mute",  "odd",
					    "damaged", "away",   "nomail"};
	char text[2048];
	struct seen known, seen;

	(void)state;
	snprintf(text, sizeof(text),
		 "anna:%s\nlocked:!\nmute:%s::::::nologin\nodd:{ROT13}jbeq\n"
		 "damaged:{CRYPT}$9$none\naway:%s::::/elsewhere\nnomail:%s::::a/../b\n",
		 hashed, hashed, hashed, hashed);
	open_site(text);
	known = pass("anna", "wrong");
	assert_int_equal(known.work.hashes, 1);
	assert_int_equal(known.verdict, LOGIN_DENIED);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		seen = pass(names[i], "wrong");
		assert_int_equal(seen.verdict, LOGIN_DENIED);
		assert_int_equal(seen.work.hashes, 1);
		assert_true(seen.slow);
	}
	/* the log names the cause */
	assert_non_null(strstr(pass("odd", "jbeq").reason, "{ROT13}"));
	assert_non_null(strstr(pass("damaged", "wrong").reason, "crypt(3)"));
	/* whoever knows the password learns that it is not the password */
	seen = pass("away", "word");
	assert_int_equal(seen.verdict, LOGIN_TEMP);
	assert_non_null(strstr(seen.reason, "/elsewhere"));
	assert_int_equal(pass("nomail", "word").verdict, LOGIN_TEMP);
	assert_int_equal(pass("mute", "word").verdict, LOGIN_DENIED);
	close_site();
}

static unsigned slow_of(unsigned count, const char *stem)
{
	unsigned slow = 0;
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		struct seen seen;

		snprintf(name, sizeof(name), "%s%u", stem, i);
		seen = pass(name, "wrong");
		assert_int_equal(seen.verdict, LOGIN_DENIED);
		slow += seen.slow;
	}
	return slow;
}

/* Three of four users have a hash, one of four a clear password: so have strangers. */
static void test_threat_71_rare_schemes(void **state)
{
	static char text[16384];
	size_t used = 0;
	unsigned slow;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "user%u:%s\n", i,
					 i % 4 ? hashed : "{PLAIN}word");
	open_site(text);
	slow = slow_of(400, "stranger");
	assert_in_range(slow, 250, 350);
	/* a name costs the same each time, in every case, and over a restart */
	assert_int_equal(slow_of(400, "STRANGER"), slow);
	close_site();
	open_site(text);
	for (unsigned i = 0; i < 40; i++) {
		char name[32];
		bool before;

		snprintf(name, sizeof(name), "stranger%u", i);
		before = pass(name, "wrong").slow;
		close_site();
		open_site(text);
		assert_int_equal(pass(name, "wrong").slow, before);
	}
	close_site();
}

/* The same for SCRAM, where some keys are stored and others are derived. */
static void test_threat_71_rare_schemes_by_scram(void **state)
{
	static char text[16384];
	size_t used = 0;
	unsigned derived = 0;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "user%u:%s\n", i,
					 i % 2   ? hashed
					 : i % 4 ? scram
						 : "{PLAIN}word");
	open_site(text);
	assert_int_equal(scram_first("user0", NETWORK).work.pbkdf2s, 1);
	assert_int_equal(scram_first("user2", NETWORK).work.pbkdf2s, 0);
	for (unsigned i = 0; i < 100; i++) {
		unsigned once;

		snprintf(name, sizeof(name), "stranger%u", i);
		once = scram_first(name, "").work.pbkdf2s;
		assert_int_equal(scram_first(name, "").work.pbkdf2s, once);
		derived += once;
	}
	assert_in_range(derived, 30, 70);
	close_site();
}

/* Entries of one cost are one class, whatever their salts; a damaged one is in none. */
static void test_classes_are_those_of_cost(void **state)
{
	static char text[16384];
	char secret[USER_SECRET_MAX + 1], name[32];
	unsigned clear = 0, damaged = 0;
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "sha%u:$6$%08u$x\nargon%u:{ARGON2ID}$argon2id$v=19$m=1024"
					 ",t=2,p=1$%08u$x\nclear%u:{PLAIN}x\nbad%u:{CRYPT}$9$%u\n"
					 "yes%u:$y$j9T$%08u$x\n",
					 i, i, i, i, i, i, i, i, i);
	open_site(text);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "stranger%u", i);
		assert_int_equal(
			users_stranger_secret(users, span_of(name), ~0u, secret, sizeof(secret)),
			0);
		clear += strcmp(secret, "{PLAIN}x") == 0;
		damaged += strncmp(secret, "{CRYPT}$9$", 10) == 0;
	}
	assert_int_equal(damaged, 0);
	assert_in_range(clear, 60, 140); /* one of four */
	close_site();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threat_71_the_first_step_of_scram_where_keys_are_stored),
		cmocka_unit_test(test_threat_71_the_first_step_of_scram_where_keys_are_derived),
		cmocka_unit_test(test_what_is_derived_is_bounded),
		cmocka_unit_test(test_threat_71_entries_that_cannot_be_served),
		cmocka_unit_test(test_classes_are_those_of_cost),
		cmocka_unit_test(test_threat_71_rare_schemes),
		cmocka_unit_test(test_threat_71_rare_schemes_by_scram),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
