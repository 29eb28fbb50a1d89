/* Answers of status from the counters: sums over pages that may lie, its texts, its samples. */
#include "server/status/page.h"
#include "server/status/samples.h"
#include "server/status/text.h"
#include "server/totals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOW 1700000000

static struct totals totals;
static struct config config;
static struct text_source source;

static struct counters_page *new_page(enum ipc_role role)
{
	struct counters_page *page = test_calloc(1, sizeof(*page));

	memcpy(page->magic, COUNTERS_MAGIC, sizeof(page->magic));
	page->version = COUNTERS_VERSION;
	page->role = role;
	page->hash = counters_hash();
	return page;
}

static void fill(struct counters_page *page)
{
	for (size_t i = 0; i < COUNTER_SLOTS; i++)
		page->slots[i] = UINT64_MAX;
}

static int begin(void **state)
{
	(void)state;
	memset(&totals, 0, sizeof(totals));
	memset(&config, 0, sizeof(config));
	source = (struct text_source){.totals = &totals, .config = &config, .now = NOW};
	return 0;
}

static char *text_of(void (*write)(FILE *out))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	write(out);
	fclose(out);
	return text;
}

static void write_metrics(FILE *out)
{
	text_metrics(&source, false, out);
}

static void write_open_metrics(FILE *out)
{
	text_metrics(&source, true, out);
}

static void write_json(FILE *out)
{
	text_json(&source, out);
}

static void write_page(FILE *out)
{
	page_write(&source, out);
}

static void assert_has(const char *text, const char *wanted)
{
	assert_non_null(text);
	if (!strstr(text, wanted))
		fail_msg("no \"%s\" in:\n%.3000s", wanted, text);
}

static void assert_metrics(const char *wanted)
{
	char *text = text_of(write_metrics);

	assert_has(text, wanted);
	free(text);
}

/* ---- sums ---- */

static void test_pages_are_added_up(void **state)
{
	struct counters_page *one = new_page(ROLE_FRONT), *two = new_page(ROLE_FRONT);

	(void)state;
	one->slots[COUNTER_CONNECTIONS] = 5;
	two->slots[COUNTER_CONNECTIONS] = 7;
	one->slots[COUNTER_CERTIFICATE_END] = 50;
	two->slots[COUNTER_CERTIFICATE_END] = 40; /* a gauge whose highest value counts */
	totals_add(&totals, ROLE_FRONT, one);
	totals_add(&totals, ROLE_FRONT, two);
	assert_int_equal(totals_slot(&totals, COUNTER_CONNECTIONS), 12);
	assert_int_equal(totals_slot(&totals, COUNTER_CERTIFICATE_END), 50);
	assert_int_equal(totals.ignored, 0);
	test_free(one);
	test_free(two);
}

/* A front that an attacker owns fills its whole page: nothing that others count changes. */
static void test_threat_112_lies_about_itself_alone(void **state)
{
	struct counters_page *front = new_page(ROLE_FRONT), *keeper = new_page(ROLE_KEEPER);

	(void)state;
	fill(front);
	keeper->slots[COUNTER_DELIVERIES] = 3;
	totals_add(&totals, ROLE_FRONT, front);
	totals_add(&totals, ROLE_KEEPER, keeper);
	assert_int_equal(totals_slot(&totals, COUNTER_DELIVERIES), 3);
	assert_int_equal(totals_slot(&totals, COUNTER_HASHES), 0);
	assert_int_equal(totals_slot(&totals, COUNTER_START_TIME), 0);
	assert_int_equal(totals.slots[ROLE_KEEPER][COUNTER_PROCESSES], 0);
	assert_true(totals_slot(&totals, COUNTER_CONNECTIONS) == UINT64_MAX);
	test_free(front);
	test_free(keeper);
}

/* Its role is what the monitor said, not what stands in the page. */
static void test_threat_112_no_choice_of_a_role(void **state)
{
	struct counters_page *front = new_page(ROLE_FRONT);

	(void)state;
	front->role = ROLE_KEEPER;
	front->index = front->generation = UINT32_MAX;
	front->slots[COUNTER_DELIVERIES] = 9;
	totals_add(&totals, ROLE_FRONT, front);
	assert_int_equal(totals_slot(&totals, COUNTER_DELIVERIES), 0);
	test_free(front);
}

static void test_a_page_of_another_table_is_left_out(void **state)
{
	struct counters_page *page = new_page(ROLE_FRONT);

	(void)state;
	page->slots[COUNTER_CONNECTIONS] = 5;
	page->hash++;
	totals_add(&totals, ROLE_FRONT, page);
	page->hash--;
	page->version++;
	totals_add(&totals, ROLE_FRONT, page);
	page->version--;
	page->magic[0] ^= 1;
	totals_add(&totals, ROLE_FRONT, page);
	assert_int_equal(totals_slot(&totals, COUNTER_CONNECTIONS), 0);
	assert_int_equal(totals.ignored, 3);
	assert_metrics("\nvalija_counters_pages_ignored 3\n");
	test_free(page);
}

static void test_quantiles(void **state)
{
	uint64_t buckets[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	assert_int_equal(totals_quantile(buckets, 990), 0);
	buckets[10] = 100; /* 513 … 1024 */
	assert_int_equal(totals_quantile(buckets, 500), 768);
	assert_int_equal(totals_quantile(buckets, 1000), 1024);
	buckets[20] = 1; /* one of 101 is slow */
	assert_true(totals_quantile(buckets, 990) <= 1024);
	assert_true(totals_quantile(buckets, 999) > 1 << 19);
	memset(buckets, 0xff, sizeof(buckets)); /* a lie */
	assert_true(totals_quantile(buckets, 990) <= 1ull << 31);
}

/* ---- the text of Prometheus ---- */

static void test_counters_gauges_and_labels(void **state)
{
	(void)state;
	totals.slots[ROLE_FRONT][counters_login(SERVICE_POP3S, 2, TLS_1_3, RESULT_OK)] = 4;
	totals.slots[ROLE_FRONT][COUNTER_SESSIONS_NOW + SERVICE_POP3S] = (uint64_t)-2;
	totals.slots[ROLE_FRONT][COUNTER_LOGIN_FAILURES + REASON_WRONG] = 6;
	assert_metrics("# HELP valija_logins_total ");
	assert_metrics("# TYPE valija_logins_total counter\n"
		       "valija_logins_total{service=\"pop3s\",mechanism=\"PLAIN\","
		       "tls=\"TLSv1.3\",result=\"ok\"} 4\n# HELP");
	assert_metrics("\nvalija_sessions{service=\"pop3s\"} -2\n");
	assert_metrics("\nvalija_login_failures_total{service=\"pop3\",reason=\"wrong\"} 6\n# ");
}

static void test_a_histogram_is_cumulative(void **state)
{
	(void)state;
	totals.slots[ROLE_KEEPER][COUNTER_COMMIT_SECONDS + 0] = 1;
	totals.slots[ROLE_KEEPER][COUNTER_COMMIT_SECONDS + 2] = 2;
	totals.slots[ROLE_KEEPER][COUNTER_COMMIT_SECONDS + 31] = 4;
	totals.slots[ROLE_KEEPER][COUNTER_COMMIT_SECONDS + HISTOGRAM_SUM] = 2500001;
	assert_metrics("valija_commit_seconds_bucket{le=\"0.000001\"} 1\n"
		       "valija_commit_seconds_bucket{le=\"0.000002\"} 1\n"
		       "valija_commit_seconds_bucket{le=\"0.000004\"} 3\n");
	assert_metrics("valija_commit_seconds_bucket{le=\"1073.741824\"} 3\n"
		       "valija_commit_seconds_bucket{le=\"+Inf\"} 7\n"
		       "valija_commit_seconds_sum 2.500001\n"
		       "valija_commit_seconds_count 7\n");
	totals.slots[ROLE_FRONT][COUNTER_SESSION_SECONDS + 10] = 1; /* milliseconds */
	assert_metrics("valija_session_seconds_bucket{service=\"pop3\",le=\"1.024\"} 1\n");
	assert_metrics("valija_session_seconds_bucket{service=\"pop3\",le=\"0.512\"} 0\n");
}

static void test_processes_are_told_apart(void **state)
{
	(void)state;
	totals.slots[ROLE_AUTH][COUNTER_STARTS] = 2;
	totals.slots[ROLE_AUTH][COUNTER_PROCESSES] = 1;
	assert_metrics("\n# TYPE valija_processes gauge\nvalija_processes{process=\"auth\"} 1\n# ");
}

/* Those that the site has: also one that is down; the name is the site's, and may be any text. */
static void test_databases_have_their_names(void **state)
{
	(void)state;
	snprintf(config.databases[0].name, sizeof(config.databases[0].name), "a\"b\\c\nd");
	snprintf(config.databases[1].name, sizeof(config.databases[1].name), "ldap");
	config.database_count = 2;
	totals.slots[ROLE_AUTH][COUNTER_DATABASE_UP + 1] = 1;
	totals.slots[ROLE_AUTH][COUNTER_DATABASE_UP + 2] = 1; /* a lie */
	assert_metrics("valija_database_up{database=\"a\\\"b\\\\c\\nd\"} 0\n"
		       "valija_database_up{database=\"ldap\"} 1\n# ");
}

static void test_open_metrics(void **state)
{
	char *text = text_of(write_open_metrics);

	(void)state;
	assert_has(text, "# TYPE valija_scrapes counter\nvalija_scrapes_total 0\n# EOF\n");
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
	text = text_of(write_metrics);
	assert_null(strstr(text, "# EOF"));
	free(text);
}

/* Each line is a comment or a sample: also of a page full of lies. */
static void test_threat_112_lies_do_not_break_the_text(void **state)
{
	struct counters_page *page = new_page(ROLE_FRONT);
	char *text, *line, *rest;

	(void)state;
	fill(page);
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		totals_add(&totals, (enum ipc_role)role, page);
	config.database_count = config.certificate_count = 64;
	text = text_of(write_metrics);
	rest = text;
	while ((line = strsep(&rest, "\n")) && *line) {
		const char *space = strrchr(line, ' ');

		assert_true(*line == '#' || strncmp(line, "valija_", 7) == 0);
		assert_true(*line == '#' || strspn(space + 1, "-0123456789.") == strlen(space + 1));
	}
	assert_true(!rest || !*rest);
	free(text);
	text = text_of(write_page);
	assert_has(text, "</html>");
	free(text);
	text = text_of(write_json);
	assert_has(text, "}\n");
	free(text);
	test_free(page);
}

/* ---- ready ---- */

static void test_ready_is_what_sessions_need(void **state)
{
	(void)state;
	assert_has(text_not_ready(&totals), "auth");
	totals.slots[ROLE_AUTH][COUNTER_PROCESSES] = 1;
	assert_has(text_not_ready(&totals), "keeper");
	totals.slots[ROLE_KEEPER][COUNTER_PROCESSES] = 2;
	assert_has(text_not_ready(&totals), "front");
	totals.slots[ROLE_LMTP][COUNTER_PROCESSES] = 1;
	assert_null(text_not_ready(&totals));
	totals.slots[ROLE_LMTP][COUNTER_PROCESSES] = 0;
	totals.slots[ROLE_FRONT][COUNTER_PROCESSES] = 1;
	assert_null(text_not_ready(&totals));
}

/* ---- samples ---- */

static int samples_fd;

static struct samples *open_samples(void)
{
	struct samples *samples = samples_open(samples_fd);

	assert_non_null(samples);
	return samples;
}

static int begin_samples(void **state)
{
	samples_fd = memfd_create("samples", MFD_CLOEXEC);
	assert_int_equal(ftruncate(samples_fd, COUNTERS_SAMPLES_SIZE), 0);
	return begin(state);
}

static int end_samples(void **state)
{
	(void)state;
	close(samples_fd);
	return 0;
}

static void add(uint64_t logins, uint64_t failures, uint64_t deliveries)
{
	totals.slots[ROLE_FRONT][counters_login(0, 0, TLS_NONE, RESULT_OK)] += logins;
	totals.slots[ROLE_FRONT][COUNTER_LOGIN_FAILURES + REASON_WRONG] += failures;
	totals.slots[ROLE_KEEPER][COUNTER_DELIVERIES] += deliveries;
	totals.slots[ROLE_FRONT][COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS + 10] +=
		logins;
}

static void test_a_sample_has_what_came_since_the_last(void **state)
{
	struct samples *samples = open_samples();
	const struct sample *sample;

	(void)state;
	add(1000, 50, 7); /* before there was a sample */
	samples_tick(samples, &totals, NOW);
	assert_int_equal(samples_count(samples), 0);
	add(10, 2, 3);
	totals.slots[ROLE_FRONT][COUNTER_SESSIONS_NOW] = 4;
	samples_tick(samples, &totals, NOW + 1); /* too early */
	assert_int_equal(samples_count(samples), 0);
	samples_tick(samples, &totals, NOW + SAMPLE_SECONDS);
	assert_int_equal(samples_count(samples), 1);
	sample = samples_get(samples, 0);
	assert_int_equal(sample->time, NOW + SAMPLE_SECONDS);
	assert_int_equal(sample->sessions, 4);
	assert_int_equal(sample->logins, 10);
	assert_int_equal(sample->failures, 2);
	assert_int_equal(sample->deliveries, 3);
	assert_true(sample->p99 > 512 && sample->p99 <= 1024);
}

/* 288 of them, the oldest first; memory that does not grow. */
static void test_a_day_of_samples(void **state)
{
	struct samples *samples = open_samples();

	(void)state;
	for (unsigned i = 0; i <= SAMPLES + 10; i++) {
		samples_tick(samples, &totals, NOW + i * (uint64_t)SAMPLE_SECONDS);
		add(i, 0, 0);
	}
	assert_int_equal(samples_count(samples), SAMPLES);
	for (unsigned i = 1; i < SAMPLES; i++)
		assert_int_equal(samples_get(samples, i)->time,
				 samples_get(samples, i - 1)->time + SAMPLE_SECONDS);
	assert_int_equal(samples_get(samples, SAMPLES - 1)->logins, SAMPLES + 9);
}

/* Another process of status goes on in the same memory. */
static void test_samples_outlive_the_process(void **state)
{
	struct samples *samples = open_samples();

	(void)state;
	samples_tick(samples, &totals, NOW);
	add(5, 0, 0);
	samples_tick(samples, &totals, NOW + SAMPLE_SECONDS);
	add(6, 0, 0);
	samples = open_samples();
	samples_tick(samples, &totals, NOW + 2 * SAMPLE_SECONDS);
	assert_int_equal(samples_count(samples), 2);
	assert_int_equal(samples_get(samples, 0)->logins, 5);
	assert_int_equal(samples_get(samples, 1)->logins, 6);
}

static void test_memory_of_another_build_begins_anew(void **state)
{
	char octets[COUNTERS_SAMPLES_SIZE];

	(void)state;
	memset(octets, 0xa5, sizeof(octets));
	assert_int_equal(pwrite(samples_fd, octets, sizeof(octets), 0), sizeof(octets));
	assert_int_equal(samples_count(open_samples()), 0);
	/* the right beginning, then a place outside the list */
	memset(octets + 16, 0xff, 8);
	assert_int_equal(pread(samples_fd, octets, 16, 0), 16);
	assert_int_equal(pwrite(samples_fd, octets, sizeof(octets), 0), sizeof(octets));
	assert_int_equal(samples_count(open_samples()), 0);
	assert_int_equal(ftruncate(samples_fd, 100), 0);
	assert_null(samples_open(samples_fd));
}

/* A page that went back, or a clock that did, makes no giant numbers. */
static void test_sums_that_go_back(void **state)
{
	struct samples *samples = open_samples();

	(void)state;
	add(100, 0, 0);
	samples_tick(samples, &totals, NOW);
	begin(NULL);
	totals.slots[ROLE_FRONT][COUNTER_SESSIONS_NOW] = (uint64_t)-5;
	samples_tick(samples, &totals, NOW - 10 * SAMPLE_SECONDS);
	assert_int_equal(samples_count(samples), 1);
	assert_int_equal(samples_get(samples, 0)->logins, 0);
	assert_int_equal(samples_get(samples, 0)->sessions, 0);
}

/* ---- the page ---- */

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Nothing from elsewhere, no script; what is opened is closed. */
static void test_the_page(void **state)
{
	static const char *const elements[] = {"table", "section", "svg", "main", "caption", "tr",
					       "td",    "th",      "div", "p",    "body"};
	struct samples *samples = open_samples();
	char *text, open[16], shut[16];

	(void)state;
	source.samples = samples;
	config.certificate_count = 1;
	totals.slots[ROLE_FRONT][COUNTER_CERTIFICATE_END] = NOW + 86400;
	samples_tick(samples, &totals, NOW - 2 * SAMPLE_SECONDS);
	add(5, 1, 1);
	samples_tick(samples, &totals, NOW - SAMPLE_SECONDS);
	text = text_of(write_page);
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		snprintf(open, sizeof(open), "<%s", elements[i]);
		snprintf(shut, sizeof(shut), "</%s>", elements[i]);
		assert_true(count_of(text, shut) > 0);
		if (strlen(elements[i]) > 2) /* "<p" and "<th" begin others, too */
			assert_int_equal(count_of(text, open), count_of(text, shut));
	}
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "http://"));
	assert_null(strstr(text, "https://"));
	assert_null(strstr(text, "src="));
	assert_int_equal(count_of(text, "<h1>"), 1);
	assert_int_equal(count_of(text, "<table>"), count_of(text, "<caption>"));
	assert_int_equal(count_of(text, "<svg"), 5);
	assert_has(text, "2023-11-15 (soon, or over: renew it)");
	assert_has(text, "Not ready: auth is not there");
	free(text);
}

#define ROW(title, value) "<tr><th scope=\"row\">" title "</th><td>" value "</td></tr>\n"

/* Two samples: 40 sessions, many logins; then 20, with failures and deliveries. */
static void fill_page(struct samples *samples)
{
	uint64_t *front = totals.slots[ROLE_FRONT], *keeper = totals.slots[ROLE_KEEPER];

	source.samples = samples;
	samples_tick(samples, &totals, NOW - 3 * SAMPLE_SECONDS);
	front[counters_login(0, 2, TLS_1_3, RESULT_OK)] = 1234567;
	front[COUNTER_SESSIONS_NOW] = 40;
	front[COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS + 10] = 1000;
	samples_tick(samples, &totals, NOW - 2 * SAMPLE_SECONDS);
	front[counters_login(0, 2, TLS_1_3, RESULT_FAILED)] = 3;
	front[COUNTER_LOGIN_FAILURES + REASON_WRONG] = 3;
	front[COUNTER_SESSIONS_NOW] = 20;
	front[COUNTER_CONNECTIONS] = 1000;
	front[COUNTER_CONNECTIONS_NOW] = 21;
	front[COUNTER_COMMANDS + COUNTER_RETR] = 99;
	front[COUNTER_RETR_OCTETS] = 5600000000;
	front[COUNTER_DELETED] = 98;
	keeper[COUNTER_DELIVERIES + REASON_OK] = 7;
	keeper[COUNTER_DELIVERIES + REASON_OVER_QUOTA] = 2;
	samples_tick(samples, &totals, NOW - SAMPLE_SECONDS);
	keeper[COUNTER_KEEPER_JOBS] = 4;
	totals.slots[ROLE_AUTH][COUNTER_USERS] = 19;
	totals.slots[ROLE_AUTH][COUNTER_AUTH_QUEUE] = (uint64_t)-1;
	totals.slots[ROLE_MONITOR][COUNTER_START_TIME] = NOW - 3 * 86400 - 5;
	totals.slots[ROLE_MONITOR][COUNTER_GENERATION] = 2;
	for (unsigned i = ROLE_FRONT; i < ROLE_COUNT; i++) {
		totals.slots[i][COUNTER_PROCESSES] = 5;
		totals.slots[i][COUNTER_STARTS] = i == ROLE_KEYS ? 0 : 6;
		totals.slots[i][COUNTER_FAILURES] = 1;
	}
	config.certificate_count = 2;
	front[COUNTER_CERTIFICATE_END] = NOW + 14 * 86400;
	front[COUNTER_CERTIFICATE_END + 1] = NOW + 14 * 86400 - 1;
}

static void test_figures_of_the_page(void **state)
{
	static const char *const wanted[] = {
		"<p class=\"state good\">Ready.</p>\n",
		", runs for 3 days, configuration 2. Figures of 2023-11-14 22:13:20 UTC; ",
		"<h3>Sessions</h3>\n<p class=\"dim\">now 20, at most 40</p>\n",
		"<h3>Logins</h3>\n<p class=\"dim\">in five minutes: now 0, at most "
		"1&#8239;234&#8239;567</p>\n",
		"<h3>Failed logins</h3>\n<p class=\"dim\">in five minutes: now 3, at most 3</p>\n",
		"<h3>Deliveries</h3>\n<p class=\"dim\">in five minutes: now 7, at most 7</p>\n",
		"<p class=\"dim\">for 99 of 100: now 0&nbsp;µs, at most 1.0&nbsp;ms</p>\n",
		ROW("Connections", "21") ROW("Sessions", "20") ROW("Users with a session", "19")
			ROW("Logins that wait", "0") ROW("Jobs of keepers", "4"),
		ROW("Connections", "1&#8239;000") ROW("Logins", "1&#8239;234&#8239;567")
			ROW("Logins that failed", "3") ROW("Messages read (RETR)", "99")
				ROW("Of these", "5.6&nbsp;GB") ROW("Messages deleted", "98")
					ROW("Deliveries", "7")
						ROW("Deliveries put off or refused", "2"),
		ROW("They are judged", "0&nbsp;µs</td><td>0&nbsp;µs"),
		ROW("The whole answer", "768&nbsp;µs</td><td>1.0&nbsp;ms"),
		ROW("auth", "5</td><td>6</td><td>1"),
		ROW("1", "2023-11-28"),
		"<tr><th scope=\"row\">2</th><td class=\"bad\">2023-11-28 (soon, or over: renew "
		"it)</td></tr>\n",
	};
	char *text;

	(void)state;
	fill_page(open_samples());
	text = text_of(write_page);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		assert_has(text, wanted[i]);
	assert_null(strstr(text, "row\">keys<")); /* there was none */
	free(text);
}

#define LINE_AT(x) "<path d=\"M" x " 0V90\" stroke=\"var(--line)\" fill=\"none\"/>"

static void test_pictures_of_the_page(void **state)
{
	char *text;

	(void)state;
	fill_page(open_samples());
	text = text_of(write_page);
	assert_has(text,
		   "<svg viewBox=\"0 0 600 91\" aria-hidden=\"true\" preserveAspectRatio=\"none\">"
		   "<path d=\"M0 90.5H600\" stroke=\"var(--line)\" fill=\"none\"/>" LINE_AT("150")
			   LINE_AT("300") LINE_AT(
				   "450") "<polygon fill=\"var(--fill)\" "
					  "points=\"595.8,90 595.8,4.0 597.9,47.0 597.9,90\"/>"
					  "<polyline fill=\"none\" stroke=\"var(--mark)\" "
					  "stroke-width=\"2\" "
					  "vector-effect=\"non-scaling-stroke\" points=\"595.8,4.0 "
					  "597.9,47.0\"/></svg>\n");
	assert_has(text, "points=\"595.8,90.0 597.9,4.0\"/></svg>\n"); /* failures */
	free(text);
}

/* Amounts and spans in the unit that fits; a page without samples. */
static void test_units_of_the_page(void **state)
{
	static const struct {
		uint64_t octets, seconds, bucket;
		const char *wanted[3];
	} rows[] = {
		{999, 2 * 3600 - 1, 9, {"999&nbsp;octets", "119 minutes", "384&nbsp;µs"}},
		{1000, 2 * 3600, 12, {"1.0&nbsp;KB", "2 hours", "3.1&nbsp;ms"}},
		{999900, 2 * 86400 - 1, 21, {"999.9&nbsp;KB", "47 hours", "1.6&nbsp;s"}},
		{1234567, 2 * 86400, 22, {"1.2&nbsp;MB", "2 days", "3.1&nbsp;s"}},
		{UINT64_C(7000000000000000), 0, 22, {"7000.0&nbsp;TB", "0 minutes", "3.1&nbsp;s"}},
	};

	(void)state;
	source.samples = open_samples();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[64], *page;

		begin(NULL);
		source.samples = open_samples();
		totals.slots[ROLE_FRONT][COUNTER_RETR_OCTETS] = rows[i].octets;
		totals.slots[ROLE_MONITOR][COUNTER_START_TIME] = NOW - rows[i].seconds;
		totals.slots[ROLE_FRONT][COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS +
					 rows[i].bucket] = 1;
		page = text_of(write_page);
		snprintf(text, sizeof(text), "<td>%s</td>", rows[i].wanted[0]);
		assert_has(page, text);
		snprintf(text, sizeof(text), ", runs for %s, ", rows[i].wanted[1]);
		assert_has(page, text);
		snprintf(text, sizeof(text), "The whole answer</th><td>%s</td>", rows[i].wanted[2]);
		assert_has(page, text);
		assert_int_equal(count_of(page, "the first sample comes within five minutes"), 5);
		free(page);
	}
}

static void test_json_has_the_samples(void **state)
{
	struct samples *samples = open_samples();
	char *text;

	(void)state;
	source.samples = samples;
	samples_tick(samples, &totals, NOW - SAMPLE_SECONDS);
	add(5, 1, 1);
	samples_tick(samples, &totals, NOW);
	text = text_of(write_json);
	assert_has(text, "\"samples\":[{\"time\":1700000000,\"sessions\":0,\"logins\":5,"
			 "\"failures\":1,\"deliveries\":1,\"p99_us\":");
	assert_has(text, "\"ready\":false");
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
#define SAMPLES_TEST(name) cmocka_unit_test_setup_teardown(name, begin_samples, end_samples)
	const struct CMUnitTest tests[] = {
		TEST(test_pages_are_added_up),
		TEST(test_threat_112_lies_about_itself_alone),
		TEST(test_threat_112_no_choice_of_a_role),
		TEST(test_a_page_of_another_table_is_left_out),
		TEST(test_quantiles),
		TEST(test_counters_gauges_and_labels),
		TEST(test_a_histogram_is_cumulative),
		TEST(test_processes_are_told_apart),
		TEST(test_databases_have_their_names),
		TEST(test_open_metrics),
		TEST(test_threat_112_lies_do_not_break_the_text),
		TEST(test_ready_is_what_sessions_need),
		SAMPLES_TEST(test_a_sample_has_what_came_since_the_last),
		SAMPLES_TEST(test_a_day_of_samples),
		SAMPLES_TEST(test_samples_outlive_the_process),
		SAMPLES_TEST(test_memory_of_another_build_begins_anew),
		SAMPLES_TEST(test_sums_that_go_back),
		SAMPLES_TEST(test_the_page),
		SAMPLES_TEST(test_figures_of_the_page),
		SAMPLES_TEST(test_pictures_of_the_page),
		SAMPLES_TEST(test_units_of_the_page),
		SAMPLES_TEST(test_json_has_the_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
