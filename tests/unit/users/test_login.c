/*
 * PASS and APOP, what is remembered, and that a stranger costs and hears what a wrong password
 * does. crypt_r is this program's own and counts, before it calls the library's.
 */
#include "users/cache.h"
#include "users/login.h"
#include "users/schemes.h"

#include "base/text.h"

#include <crypt.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test-login-XXXXXX";
static int dir_fd;
static struct users *users;
static struct login_service *service;
static _Atomic int hashes;

char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	static char *(*real)(const char *, const char *, struct crypt_data *);

	if (!real)
		real = (char *(*)(const char *, const char *, struct crypt_data *))dlsym(RTLD_NEXT,
											 "crypt_r");
	atomic_fetch_add(&hashes, 1);
	return real(phrase, setting, data);
}

static void write_users(const char *text)
{
	static long age = 1000000;
	struct timespec times[2] = {{.tv_sec = 1600000000 + --age}, {.tv_sec = 1600000000 + age}};
	int fd = openat(dir_fd, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(utimensat(dir_fd, "new", times, 0), 0);
	assert_int_equal(renameat(dir_fd, "new", dir_fd, "users"), 0);
}

/* "word", cheap to compute */
#define HASH "$5$rounds=1000$saltsalt$"
static char crypted[128];

static int set_up(void **state)
{
	struct crypt_data data = {0};

	(void)state;
	snprintf(crypted, sizeof(crypted), "{SHA256-CRYPT}%s", crypt_r("word", HASH, &data));
	if (!mkdtemp(directory))
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

static void open_service(const char *text, uint32_t entries, uint32_t seconds)
{
	struct login_settings settings = {.host_name = "host",
					  .mechanisms = "PLAIN",
					  .cache_entries = entries,
					  .cache_seconds = seconds};

	write_users(text);
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, NULL), 0);
	assert_int_equal(login_service_create(users, &settings, &service, NULL), 0);
	hashes = 0;
}

static void close_service(void)
{
	login_service_destroy(service);
	users_close(users);
}

static const char *users_with_hash(void)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		 "anna:%s\nbert:%s\nclear:{PLAIN}clear word\nmute:%s::::::nologin\nlocked:!\n"
		 "odd:{ROT13}jbeq\n",
		 crypted, crypted, crypted);
	return text;
}

static const char *users_with_hashes_only(void)
{
	static char text[1024];

	snprintf(text, sizeof(text), "anna:%s\nbert:%s\nmute:%s::::::nologin\nlocked:!\n", crypted,
		 crypted, crypted);
	return text;
}

struct answer {
	enum login_verdict fast, slow; /* slow: what a worker says when it came to that */
	char reason[400];
};

static struct answer pass(const char *name, pop3_span password)
{
	struct login *login = login_pass(service, span_of(name), password);
	struct answer answer;

	assert_non_null(login);
	answer.fast = login_step_fast(login, (pop3_span){NULL, 0}, false);
	answer.slow = answer.fast;
	if (answer.fast == LOGIN_SLOW)
		answer.slow = login_step(login, (pop3_span){NULL, 0}, false);
	if (answer.slow == LOGIN_GRANTED)
		assert_true(user_name_same(span_of(login_user(login)->name), span_of(name)));
	snprintf(answer.reason, sizeof(answer.reason), "%s", login_reason(login));
	login_destroy(login);
	return answer;
}

static void test_pass(void **state)
{
	struct answer answer;

	(void)state;
	open_service(users_with_hash(), 100, 3600);
	assert_int_equal(pass("clear", SPAN_LITERAL("clear word")).fast, LOGIN_GRANTED);
	assert_int_equal(pass("clear", SPAN_LITERAL("clear  word")).fast, LOGIN_DENIED);
	assert_int_equal(pass("clear", SPAN_LITERAL("")).fast, LOGIN_DENIED);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).slow, LOGIN_GRANTED);
	assert_int_equal(pass("anna", (pop3_span){"word\0x", 6}).slow, LOGIN_DENIED);
	assert_int_equal(pass("mute", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	assert_int_equal(pass("locked", SPAN_LITERAL("!")).slow, LOGIN_DENIED);
	assert_int_equal(pass("", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	answer = pass("odd", SPAN_LITERAL("word"));
	assert_int_equal(answer.slow, LOGIN_DENIED);
	assert_non_null(strstr(answer.reason, "ROT13"));
	close_service();
}

static void test_names_and_passwords_of_any_length(void **state)
{
	static char name[4096], password[SECRET_MAX + 100];
	struct login *login;

	(void)state;
	open_service(users_with_hash(), 100, 3600);
	memset(name, 'a', sizeof(name));
	memset(password, 'b', sizeof(password));
	for (size_t n = 250; n < sizeof(name); n = n < 260 ? n + 1 : n * 2) {
		login = login_pass(service, (pop3_span){name, n}, SPAN_LITERAL("word"));
		assert_int_equal(login_step(login, (pop3_span){NULL, 0}, false), LOGIN_DENIED);
		assert_true(login_claimed_name(login).size <= USER_NAME_MAX);
		login_destroy(login);
	}
	for (size_t n = 500; n <= sizeof(password); n += 100) {
		assert_int_equal(pass("anna", (pop3_span){password, n}).slow, LOGIN_DENIED);
		assert_int_equal(pass("clear", (pop3_span){password, n}).slow, LOGIN_DENIED);
	}
	close_service();
}

static void test_threat_11_format_strings(void **state)
{
	(void)state;
	open_service("%n%s:{PLAIN}%n%n%s\n", 100, 3600);
	assert_int_equal(pass("%n%s", SPAN_LITERAL("%n%n%s")).fast, LOGIN_GRANTED);
	assert_int_equal(pass("%n%n%n%s%s%s", SPAN_LITERAL("%n%n%s")).slow, LOGIN_DENIED);
	assert_int_equal(pass("%n%s", SPAN_LITERAL("%s%n")).slow, LOGIN_DENIED);
	close_service();
}

static void test_threat_12_13_14_names_are_taken_literally(void **state)
{
	static const char *const names[] = {
		"%{home}", "${anna}", "../anna",         "./anna",      "anna/",  "anna/.", "-anna",
		"*",       "ann?",    "anna' or '1'='1", "anna)(uid=*", "anna\n", "anna "};

	(void)state;
	open_service(users_with_hash(), 100, 3600);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(pass(names[i], SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	close_service();
}

/* Not a clock but the work itself is compared: as many hashes, on the same path. */
static void test_threat_19_20_strangers_cost_what_users_do(void **state)
{
	static const char *const names[] = {"anna", "nobody", "mute", "locked", "../etc", ""};

	(void)state;
	open_service(users_with_hashes_only(), 100, 3600);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct answer answer;

		hashes = 0;
		answer = pass(names[i], SPAN_LITERAL("wrong"));
		assert_int_equal(answer.fast, LOGIN_SLOW);
		assert_int_equal(answer.slow, LOGIN_DENIED);
		assert_int_equal(hashes, 1);
	}
	close_service();
	/* a site without a user at all is no different */
	open_service("# nobody yet\n", 100, 3600);
	assert_int_equal(pass("anna", SPAN_LITERAL("x")).slow, LOGIN_DENIED);
	assert_int_equal(hashes, 1);
	close_service();
	/* the usual scheme decides: here none has to be computed */
	open_service("a:{PLAIN}x\nb:{PLAIN}y\n", 100, 3600);
	assert_int_equal(pass("nobody", SPAN_LITERAL("x")).fast, LOGIN_DENIED);
	assert_int_equal(pass("a", SPAN_LITERAL("y")).fast, LOGIN_DENIED);
	assert_int_equal(hashes, 0);
	close_service();
}

static void test_what_proved_right_is_remembered(void **state)
{
	char text[512];

	(void)state;
	open_service(users_with_hash(), 100, 3600);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).fast, LOGIN_SLOW);
	assert_int_equal(hashes, 1);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).fast, LOGIN_GRANTED);
	assert_int_equal(hashes, 1);
	/* wrong ones are not, nor does the right one help them */
	assert_int_equal(pass("anna", SPAN_LITERAL("Word")).fast, LOGIN_SLOW);
	assert_int_equal(pass("anna", SPAN_LITERAL("Word")).fast, LOGIN_SLOW);
	/* until the entry changes */
	snprintf(text, sizeof(text), "anna:%s::::::nologin\nbert:x\n", crypted);
	write_users(text);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	write_users("anna:{SHA256-CRYPT}" HASH "another\n");
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	write_users("bert:{PLAIN}x\n");
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	close_service();
	open_service(users_with_hash(), 0, 3600);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).slow, LOGIN_GRANTED);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).fast, LOGIN_SLOW);
	close_service();
}

/* One user in every spelling: the hash is computed once, the name is the file's. */
static void test_what_is_remembered_holds_in_every_case(void **state)
{
	char text[512];
	struct login *login;

	(void)state;
	snprintf(text, sizeof(text), "Anna@Example.org:%s\n", crypted);
	open_service(text, 100, 3600);
	assert_int_equal(pass("anna@example.org", SPAN_LITERAL("word")).slow, LOGIN_GRANTED);
	assert_int_equal(pass("ANNA@example.org", SPAN_LITERAL("word")).fast, LOGIN_GRANTED);
	assert_int_equal(pass("Anna@Example.org", SPAN_LITERAL("word")).fast, LOGIN_GRANTED);
	assert_int_equal(hashes, 1);
	assert_int_equal(pass("ANNA@EXAMPLE.ORG", SPAN_LITERAL("WORD")).slow, LOGIN_DENIED);
	login = login_pass(service, SPAN_LITERAL("aNNA@eXAMPLE.org"), SPAN_LITERAL("word"));
	assert_int_equal(login_step(login, (pop3_span){NULL, 0}, false), LOGIN_GRANTED);
	assert_string_equal(login_user(login)->name, "Anna@Example.org");
	login_destroy(login);
	close_service();
}

static void test_threat_22_one_users_password_is_not_anothers(void **state)
{
	struct cache *cache;
	unsigned char one[CACHE_DIGEST], two[CACHE_DIGEST];
	struct secret a, b;

	(void)state;
	open_service(users_with_hash(), 100, 3600);
	assert_int_equal(pass("anna", SPAN_LITERAL("word")).slow, LOGIN_GRANTED);
	/* the same stored entry, the same password, never seen with this user */
	assert_int_equal(pass("bert", SPAN_LITERAL("word")).fast, LOGIN_SLOW);
	assert_int_equal(pass("nobody", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	assert_int_equal(pass("mute", SPAN_LITERAL("word")).slow, LOGIN_DENIED);
	close_service();
	/* no shifting of octets from one part into the next */
	assert_int_equal(cache_create(100, 3600, &cache, NULL), 0);
	secret_init(&a);
	secret_init(&b);
	secret_set(&a, SPAN_LITERAL("cd"));
	secret_set(&b, SPAN_LITERAL("d"));
	assert_true(cache_digest(cache, "u", "sab", &a, one));
	cache_put(cache, one);
	assert_true(cache_digest(cache, "u", "sabc", &b, two));
	assert_false(cache_has(cache, two));
	assert_true(cache_digest(cache, "us", "ab", &a, two));
	assert_false(cache_has(cache, two));
	assert_true(cache_digest(cache, "u", "sab", &a, two));
	assert_true(cache_has(cache, two));
	cache_destroy(cache);
	/* another process has another key */
	assert_int_equal(cache_create(100, 3600, &cache, NULL), 0);
	assert_true(cache_digest(cache, "u", "sab", &a, two));
	assert_memory_not_equal(one, two, CACHE_DIGEST);
	cache_destroy(cache);
}

static void test_the_cache_is_bounded_and_forgets(void **state)
{
	unsigned char digest[CACHE_DIGEST] = {0};
	struct timespec wait = {1, 100000000};
	struct cache *cache;
	uint32_t found = 0;

	(void)state;
	assert_int_equal(cache_create(64, 3600, &cache, NULL), 0);
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(digest, &i, sizeof(i));
		cache_put(cache, digest);
		assert_true(cache_has(cache, digest));
	}
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(digest, &i, sizeof(i));
		found += cache_has(cache, digest);
	}
	assert_in_range(found, 1, 64);
	cache_destroy(cache);
	assert_int_equal(cache_create(64, 1, &cache, NULL), 0);
	cache_put(cache, digest);
	nanosleep(&wait, NULL);
	assert_false(cache_has(cache, digest));
	cache_destroy(cache);
}

static void apop_digest(const char *stamp, const char *password, char hex[33])
{
	char text[256];
	unsigned char raw[16];

	snprintf(text, sizeof(text), "%s%s", stamp, password);
	assert_int_equal(EVP_Digest(text, strlen(text), raw, NULL, EVP_md5(), NULL), 1);
	hex_encode(raw, 16, hex);
}

static enum login_verdict apop(const char *name, const char *digest, const char *stamp)
{
	struct login *login = login_apop(service, span_of(name), span_of(digest), span_of(stamp));
	enum login_verdict verdict = login_step_fast(login, (pop3_span){NULL, 0}, false);

	login_destroy(login);
	return verdict;
}

static void test_apop(void **state)
{
	static const char stamp[] = "<1896.697170952@dbc.mtview.ca.us>";
	char hex[33];

	(void)state;
	/* the example of RFC 1939 section 7 */
	open_service(
		"mrose:{PLAIN}tanstaaf\nanna:{SHA256-CRYPT}x\nmute:{PLAIN}tanstaaf::::::nologin\n",
		0, 0);
	assert_int_equal(apop("mrose", "c4c9334bac560ecc979e58001b3e22fb", stamp), LOGIN_GRANTED);
	assert_int_equal(apop("mrose", "C4C9334BAC560ECC979E58001B3E22FB", stamp), LOGIN_GRANTED);
	assert_int_equal(apop("MRose", "c4c9334bac560ecc979e58001b3e22fb", stamp), LOGIN_GRANTED);
	assert_int_equal(apop("mrose", "c4c9334bac560ecc979e58001b3e22fc", stamp), LOGIN_DENIED);
	assert_int_equal(apop("mrose", "c4c9334bac560ecc979e58001b3e22fb", "<1@b>"), LOGIN_DENIED);
	assert_int_equal(apop("mute", "c4c9334bac560ecc979e58001b3e22fb", stamp), LOGIN_DENIED);
	assert_int_equal(apop("mrose", "", stamp), LOGIN_DENIED);
	assert_int_equal(apop("mrose", "c4c9334bac560ecc979e58001b3e22fb00", stamp), LOGIN_DENIED);
	/* where no stamp was offered its empty text is no challenge */
	apop_digest("", "tanstaaf", hex);
	assert_int_equal(apop("mrose", hex, ""), LOGIN_DENIED);
	apop_digest(stamp, "x", hex);
	assert_int_equal(apop("anna", hex, stamp), LOGIN_DENIED);
	apop_digest(stamp, "nobody's secret", hex);
	assert_int_equal(apop("anna", hex, stamp), LOGIN_DENIED);
	assert_int_equal(apop("nobody", hex, stamp), LOGIN_DENIED);
	close_service();
}

static void *many_logins(void *argument)
{
	long wrong = 0;

	(void)argument;
	for (int i = 0; i < 300; i++) {
		struct login *login =
			login_pass(service, SPAN_LITERAL("anna"), SPAN_LITERAL("word"));
		enum login_verdict verdict = login_step_fast(login, (pop3_span){NULL, 0}, false);

		if (verdict == LOGIN_SLOW)
			verdict = login_step(login, (pop3_span){NULL, 0}, false);
		wrong += verdict != LOGIN_GRANTED;
		login_destroy(login);
	}
	return (void *)wrong;
}

/* The file changes all the while, in ways that leave anna alone. */
static void test_threads_and_a_changing_file(void **state)
{
	pthread_t threads[4];
	char text[512];
	void *wrong;

	(void)state;
	open_service(users_with_hash(), 100, 3600);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_logins, NULL), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "u%d:x\nanna:%s\n", i, crypted);
		write_users(text);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	close_service();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_names_and_passwords_of_any_length),
		cmocka_unit_test(test_threat_11_format_strings),
		cmocka_unit_test(test_threat_12_13_14_names_are_taken_literally),
		cmocka_unit_test(test_threat_19_20_strangers_cost_what_users_do),
		cmocka_unit_test(test_what_proved_right_is_remembered),
		cmocka_unit_test(test_what_is_remembered_holds_in_every_case),
		cmocka_unit_test(test_threat_22_one_users_password_is_not_anothers),
		cmocka_unit_test(test_the_cache_is_bounded_and_forgets),
		cmocka_unit_test(test_apop),
		cmocka_unit_test(test_threads_and_a_changing_file),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
