/* Decisions and files of `valija fetch --watch`: results, pauses, memory, metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch/account/options.h"
#include "fetch/watch/memory.h"
#include "fetch/watch/metrics.h"
#include "fetch/watch/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static void results(void **state)
{
	static const struct {
		struct fetch_outcome outcome;
		enum watch_result result;
	} rows[] = {
		{{.code = EX_OK}, WATCH_GOOD},
		{{.code = EX_OK, .refusal = POP3_CODE_AUTH}, WATCH_GOOD}, /* another way was good */
		{{.code = EX_DATAERR}, WATCH_PARTLY},
		{{.code = EX_DATAERR, .text = "the state file is damaged"}, WATCH_BROKEN},
		{{.code = EX_NOHOST, .network = true}, WATCH_NETWORK},
		{{.code = EX_TEMPFAIL, .network = true}, WATCH_NETWORK},
		{{.code = EX_TEMPFAIL}, WATCH_TEMPORARY},
		{{.code = EX_TEMPFAIL, .refusal = POP3_CODE_IN_USE}, WATCH_IN_USE},
		{{.code = EX_TEMPFAIL, .refusal = POP3_CODE_LOGIN_DELAY}, WATCH_TOO_SOON},
		{{.code = EX_TEMPFAIL, .refusal = POP3_CODE_SYS_TEMP}, WATCH_TEMPORARY},
		{{.code = EX_UNAVAILABLE, .refusal = POP3_CODE_SYS_PERM}, WATCH_BROKEN},
		{{.code = EX_NOPERM, .refusal = POP3_CODE_AUTH}, WATCH_LOGIN},
		{{.code = 79, .consent = true, .refusal = POP3_CODE_AUTH}, WATCH_CONSENT},
		{{.code = EX_CONFIG}, WATCH_BROKEN},
		{{.code = EX_SOFTWARE}, WATCH_BROKEN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(watch_result_of(&rows[i].outcome), rows[i].result);
	for (int i = 0; i < WATCH_RESULTS; i++)
		assert_non_null(watch_result_text((enum watch_result)i));
}

static uint64_t pause_of(enum watch_result result, unsigned failures, uint32_t interval,
			 uint32_t delay, uint32_t random)
{
	return watch_pause(&(struct watch_timing){result, failures, interval, delay}, random);
}

static void pauses(void **state)
{
	const uint32_t middle = UINT32_MAX / 2;
	uint64_t last = 0;

	(void)state;
	assert_in_range(pause_of(WATCH_GOOD, 0, 300, 0, middle), 299900, 300100);
	assert_int_equal(pause_of(WATCH_GOOD, 0, 300, 0, 0), 270000);
	assert_int_equal(pause_of(WATCH_GOOD, 0, 300, 0, UINT32_MAX), 330000);
	assert_in_range(pause_of(WATCH_NETWORK, 1, 300, 0, middle), 29900, 30100);
	assert_in_range(pause_of(WATCH_NETWORK, 1, 10, 0, middle), 9900, 10100);
	assert_in_range(pause_of(WATCH_LOGIN, 1, 1, 0, middle), 299000, 301000);
	for (unsigned n = 1; n < 12; n++) { /* it doubles, up to an hour */
		uint64_t now = pause_of(WATCH_TEMPORARY, n, 60, 0, middle);

		assert_true(now >= last && now <= 3601000);
		last = now;
	}
	assert_in_range(last, 3599000, 3601000);
	assert_in_range(pause_of(WATCH_TEMPORARY, UINT32_MAX, 1, 0, middle), 3599000, 3601000);
	/* an interval longer than the ceiling is kept, messages left out put nothing off */
	assert_in_range(pause_of(WATCH_NETWORK, 20, 86400, 0, middle), 80000000, 87000000);
	assert_in_range(pause_of(WATCH_PARTLY, 9, 300, 0, middle), 299900, 300100);
	assert_int_equal(pause_of(WATCH_GOOD, 0, FETCH_INTERVAL_MAX, 0, UINT32_MAX),
			 (uint64_t)FETCH_INTERVAL_MAX * 1100);
}

static void login_delays(void **state)
{
	static const uint32_t randoms[] = {0, 1, UINT32_MAX / 2, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_true(pause_of(WATCH_GOOD, 0, 60, 900, randoms[i]) >= 900000);
		assert_true(pause_of(WATCH_GOOD, 0, 900, 900, randoms[i]) >= 900000);
		assert_true(pause_of(WATCH_NETWORK, 1, 60, 900, randoms[i]) >= 900000);
		assert_true(pause_of(WATCH_GOOD, 0, 60, 900, randoms[i]) <= 990000);
	}
}

static void intervals(void **state)
{
	static const struct {
		const char *text;
		uint32_t seconds; /* 0: none */
	} rows[] = {
		{"90", 90}, {"90s", 90}, {"5m", 300}, {"2h", 7200}, {"30d", 2592000},
		{"31d", 0}, {"0", 0},    {"", 0},     {"m", 0},     {"-5m", 0},
		{"5 m", 0}, {"5mm", 0},  {"5M", 0},   {"721h", 0},  {"99999999999999999999", 0}};
	uint32_t seconds;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		seconds = 0;
		assert_int_equal(fetch_interval(rows[i].text, &seconds), rows[i].seconds ? 0 : -1);
		assert_int_equal(seconds, rows[i].seconds);
	}
}

static struct watch_record some(const char *name)
{
	struct watch_record r = {.result = WATCH_CONSENT,
				 .code = 79,
				 .failures = 3,
				 .login_delay = 900,
				 .last_run = 1700000000,
				 .last_success = 1600000000,
				 .next_run = 1700000300,
				 .runs = 12,
				 .failed = 4,
				 .messages = 5000000000,
				 .octets = 1234567890123};

	snprintf(r.name, sizeof(r.name), "%s", name);
	snprintf(r.text, sizeof(r.text), "the token was \"refused\"");
	return r;
}

static void the_memory_comes_back(void **state)
{
	struct watch_record records[] = {some("home"), some("\xc3\xa4 \"b\\")};
	struct watch_memory memory = {records, 2, 1700000001}, back;
	char folder[] = "/tmp/valija-watch-XXXXXX";
	int dir;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(watch_memory_load(dir, &back, NULL), 0);
	assert_int_equal(back.count, 0);
	assert_int_equal(watch_memory_save(dir, &memory, NULL), 0);
	assert_int_equal(watch_memory_load(dir, &back, NULL), 0);
	assert_int_equal(back.count, 2);
	assert_int_equal(back.written, 1700000001);
	assert_memory_equal(back.records, records, sizeof(records));
	assert_ptr_equal(watch_memory_find(&back, "home"), &back.records[0]);
	assert_null(watch_memory_find(&back, "hom"));
	watch_memory_finish(&back);

	unlinkat(dir, "watch.json", 0);
	close(dir);
	assert_int_equal(rmdir(folder), 0); /* nothing else was made */
}

static void one_daemon_has_the_lock(void **state)
{
	char folder[] = "/tmp/valija-test-XXXXXX";
	int dir, lock, second;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(watch_locked(dir, NULL), 0);
	assert_int_equal(watch_lock(dir, &lock, NULL), 1);
	assert_int_equal(watch_lock(dir, &second, NULL), 0);
	assert_int_equal(watch_locked(dir, NULL), 1);
	close(lock);
	assert_int_equal(watch_locked(dir, NULL), 0);
	assert_int_equal(watch_lock(dir, &second, NULL), 1);
	close(second);
	unlinkat(dir, "watch.lock", 0);
	close(dir);
	assert_int_equal(rmdir(folder), 0);
}

/* `valija fetch status` at the moment in which a daemon starts. */
static void the_lock_is_looked_at_without_being_taken(void **state)
{
	char folder[] = "/tmp/valija-test-XXXXXX";
	int dir, lock, status;
	pid_t child;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	child = fork();
	if (child == 0) {
		for (pid_t parent = getppid(); getppid() == parent;)
			if (watch_locked(dir, NULL) < 0)
				_exit(1);
		_exit(0);
	}
	assert_true(child > 0);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(watch_lock(dir, &lock, NULL), 1);
		close(lock);
	}
	assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* it looks still */
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	unlinkat(dir, "watch.lock", 0);
	close(dir);
	assert_int_equal(rmdir(folder), 0);
}

/* A run that has written text behind its outcome. */
static void run_left(struct watch_session *session, const char *text)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
	close(ends[1]);
	watch_session_take(session, ends[0]);
	close(ends[0]);
}

static struct fetch_account pinned(void)
{
	struct fetch_account account;

	fetch_account_defaults(&account);
	account.tls = FETCH_TLS_STARTTLS;
	account.pin_count = 1; /* no file of authorities is read */
	return account;
}

static void sessions_are_lent_once_and_for_hours(void **state)
{
	const int64_t hours = 3600 * 1000;
	struct watch_tls *tls = watch_tls_create();
	struct fetch_account account = pinned();
	struct watch_session session = {0};
	struct tls_client_memory lent;

	(void)state;
	assert_non_null(tls);
	watch_tls_lend(tls, &session, &account, 5 * hours, &lent);
	assert_non_null(lent.trust);
	assert_int_equal(lent.size, 0);
	run_left(&session, "one");
	watch_tls_lend(tls, &session, &account, 6 * hours, &lent);
	assert_int_equal(lent.size, 3);
	assert_memory_equal(lent.session, "one", 3);
	run_left(&session, ""); /* it got none, or died */
	watch_tls_lend(tls, &session, &account, 7 * hours, &lent);
	assert_int_equal(lent.size, 0);
	/* six hours behind the last whole handshake, however often it was resumed since */
	for (int hour = 8; hour <= 12; hour++) {
		run_left(&session, "two");
		watch_tls_lend(tls, &session, &account, hour * hours, &lent);
		assert_int_equal(lent.size, 3);
	}
	run_left(&session, "two");
	watch_tls_lend(tls, &session, &account, 13 * hours, &lent);
	assert_int_equal(lent.size, 0);
	/* a run that was started with older settings */
	watch_session_drop(&session);
	run_left(&session, "old");
	watch_tls_lend(tls, &session, &account, 13 * hours, &lent);
	assert_int_equal(lent.size, 0);
	watch_session_drop(&session);
	watch_tls_destroy(tls);
}

static void sessions_that_are_not_kept(void **state)
{
	struct watch_tls *tls = watch_tls_create();
	struct fetch_account account = pinned();
	struct watch_session session = {0};
	struct tls_client_memory lent;

	(void)state;
	snprintf(account.cert_file, sizeof(account.cert_file), "client.pem");
	watch_tls_lend(tls, &session, &account, 1, &lent);
	assert_non_null(lent.trust);
	run_left(&session, "of a client with a certificate");
	account.cert_file[0] = '\0';
	watch_tls_lend(tls, &session, &account, 2, &lent);
	assert_int_equal(lent.size, 0);
	account.pin_count = 0;
	snprintf(account.ca_file, sizeof(account.ca_file), "/nonexistent/authority.pem");
	watch_tls_lend(tls, &session, &account, 3, &lent);
	assert_null(lent.trust); /* the run tries to read it, and says so */
	account.tls = FETCH_TLS_NONE;
	watch_tls_lend(tls, &session, &account, 4, &lent);
	assert_null(lent.trust);
	watch_session_drop(&session);
	watch_tls_destroy(tls);
}

/* The run of another account may be in the hands of its server. */
static void threat_91_no_process_inherits_sessions(void **state)
{
	struct watch_tls *tls = watch_tls_create();
	struct fetch_account account = pinned();
	struct watch_session session = {0};
	struct tls_client_memory lent;
	int ends[2], status;
	pid_t child;

	(void)state;
	watch_tls_lend(tls, &session, &account, 1, &lent);
	run_left(&session, "secret");
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], session.memory->session, 6), 6);
	child = fork();
	if (child == 0) /* the kernel does not find it to read from */
		_exit(write(ends[1], session.memory->session, 6) < 0 && errno == EFAULT ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(ends[0]);
	close(ends[1]);
	watch_session_drop(&session);
	watch_tls_destroy(tls);
}

static void metrics(void **state)
{
	struct watch_record records[] = {some("home"), some("a\\b\"c")};
	struct watch_memory memory = {records, 2, 1};
	char *text = watch_metrics_text(&memory);

	(void)state;
	assert_non_null(strstr(text, "# TYPE valija_fetch_messages_total counter\n"
				     "valija_fetch_messages_total{account=\"home\"} 5000000000\n"
				     "valija_fetch_messages_total{account=\"a\\\\b\\\"c\"} "));
	assert_non_null(strstr(text, "\nvalija_fetch_consent_needed{account=\"home\"} 1\n"));
	assert_non_null(strstr(
		text,
		"\nvalija_fetch_last_success_timestamp_seconds{account=\"home\"} 1600000000\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results),
		cmocka_unit_test(pauses),
		cmocka_unit_test(login_delays),
		cmocka_unit_test(intervals),
		cmocka_unit_test(the_memory_comes_back),
		cmocka_unit_test(one_daemon_has_the_lock),
		cmocka_unit_test(the_lock_is_looked_at_without_being_taken),
		cmocka_unit_test(sessions_are_lent_once_and_for_hours),
		cmocka_unit_test(sessions_that_are_not_kept),
		cmocka_unit_test(threat_91_no_process_inherits_sessions),
		cmocka_unit_test(metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
