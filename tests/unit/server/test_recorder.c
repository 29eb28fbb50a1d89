/* The flight recorder: events are copied in and out, the two lanes, what is cut; and rings whose
 * memory is anything. */
#include "server/control/rings.h"

#include "base/text.h"
#include "server/control/explain.h"
#include "server/control/story.h"
#include "server/control/tracing.h"
#include "server/monitor/pages.h"
#include "server/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
enum { FRONT = 0xabc, MILLION = 1000000 };

static struct recorder mine;
static struct rings rings;
static int ring_fd;

static void add_ring(enum ipc_role role, uint32_t id, size_t size, uint64_t writer)
{
	struct ipc_ring message = {.role = role, .id = id, .writers = {writer}};

	ring_fd = recorder_make(size);
	assert_true(ring_fd >= 0);
	assert_true(recorder_open(ring_fd, true, &mine));
	recorder_use(&mine);
	rings_add(&rings, &message, ring_fd);
	close(ring_fd);
}

static int set_up(void **state)
{
	(void)state;
	memset(&rings, 0, sizeof(rings));
	add_ring(ROLE_AUTH, 1, 2 * RECORDER_PAGE, 7);
	assert_int_equal(rings.count, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	recorder_use(NULL);
	for (unsigned i = 0; i < rings.count; i++)
		recorder_close(&rings.list[i].recorder);
	recorder_close(&mine);
	return 0;
}

static void note(enum record_event event, uint64_t session, const char *user, const char *why)
{
	struct record record;

	record_begin(&record, event, address, FRONT, session);
	record_text(&record, RECORD_KEY_USER, span_of(user));
	record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

static unsigned count(struct recorder_copy *last)
{
	struct ring_place place = {0};
	struct recorder_copy copy;
	unsigned n = 0;

	do
		if (rings_read(&rings, place, &copy)) {
			*last = copy;
			last->view = recorder_view(last);
			n++;
		}
	while (rings_next(&rings, &place));
	return n;
}

static void test_an_event_comes_out_as_it_went_in(void **state)
{
	struct recorder_copy copy;
	struct record_view view;
	char line[LOG_LINE_MAX];

	(void)state;
	note(RECORD_LOGIN_REFUSED, 5, "anna", "wrong password");
	assert_int_equal(count(&copy), 1);
	view = recorder_view(&copy);
	assert_true(span_equal((pop3_span){line, record_line(&view, line)},
			       SPAN_LITERAL("login-refused from=192.0.2.1 session=abc-5 "
					    "user=\"anna\" reason=\"wrong password\"")));
}

static void test_what_goes_well_does_not_push_out_what_went_wrong(void **state)
{
	struct recorder_copy copy;
	unsigned all = 2 * RECORDER_PAGE / RECORDER_EVENT - 1;

	(void)state;
	note(RECORD_LOGIN_REFUSED, 1, "anna", "wrong password");
	for (unsigned i = 0; i < 1000; i++)
		note(RECORD_LOGIN, 2 + i, "bert", "");
	assert_int_equal(count(&copy), mine.events[LANE_USUAL] + 1);
	assert_int_equal(copy.view.event, RECORD_LOGIN_REFUSED); /* that lane is the last */
	for (unsigned i = 0; i < 1000; i++)
		note(RECORD_LOGIN_REFUSED, 2 + i, "bert", "");
	assert_int_equal(count(&copy), all - mine.events[LANE_TRACE]);
}

static void test_long_texts_are_cut_and_numbers_are_not(void **state)
{
	static char name[400];
	struct record record;
	struct recorder_copy copy;
	struct record_field field;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	record_begin(&record, RECORD_LOGIN, address, 1, 2);
	record_words(&record, RECORD_KEY_MECHANISM, "PLAIN");
	record_text(&record, RECORD_KEY_USER, span_of(name));
	record_number(&record, RECORD_KEY_MS, UINT64_MAX);
	record_write(&record);
	assert_int_equal(count(&copy), 1);
	assert_true(record_find(&copy.view, RECORD_KEY_USER, &field));
	assert_int_equal(field.kind, RECORD_TEXT_CUT);
	assert_in_range(field.text.size, 70, RECORDER_FIELDS);
	assert_false(record_find(&copy.view, RECORD_KEY_MS, &field));
}

static void test_a_front_speaks_of_its_own_sessions_only(void **state)
{
	struct ipc_ring again = {.role = ROLE_FRONT, .id = 2, .writers = {FRONT + 1, FRONT}};
	struct recorder_copy copy;

	(void)state;
	recorder_close(&mine);
	add_ring(ROLE_FRONT, 2, RECORDER_PAGE, FRONT + 1);
	note(RECORD_SESSION_END, 1, "anna", "kicked");
	assert_int_equal(count(&copy), 0);
	rings_writer(&rings, &again);
	assert_int_equal(count(&copy), 1);
	note(RECORD_LOGIN, 1, "anna", ""); /* that is auth's to say */
	assert_int_equal(count(&copy), 1);
}

static void test_what_is_no_ring_is_not_read(void **state)
{
	struct ipc_ring message = {.role = ROLE_AUTH, .id = 9};
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), other;
	struct recorder recorder;

	(void)state;
	assert_int_equal(ftruncate(fd, RECORDER_PAGE), 0);
	assert_false(recorder_open(fd, false, &recorder)); /* it could be cut */
	rings_add(&rings, &message, fd);
	assert_int_equal(rings.count, 1);
	close(fd);
	other = recorder_make(RECORDER_PAGE);
	assert_int_equal(pwrite(other, "valother", 8, 0), 8);
	assert_false(recorder_open(other, false, &recorder));
	close(other);
	assert_int_equal(recorder_make(RECORDER_PAGE + 1) >= 0, true);
	other = recorder_make(RECORDER_PAGE - 1);
	assert_false(recorder_open(other, false, &recorder));
	close(other);
}

/* ---- memory of an attacker ---- */

static void test_threat_117_any_memory_is_read_safely(void **state)
{
	static const struct explain_clock clock = {.loop_ms = 1000, .real_ms = MILLION};
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint8_t *at = (uint8_t *)(mine.head + 1);
		size_t size, n = mine.size - sizeof(*mine.head);
		unsigned told = 0;
		char *lines;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			at[i] = (uint8_t)(seed >> 24);
		}
		/* numbers and kinds that could be, so that the fields are reached */
		for (unsigned lane = 0; lane < LANES; lane++)
			for (uint32_t i = 0; i < mine.events[lane]; i++) {
				struct recorder_event *event = &mine.lanes[lane][i];

				event->number = mine.events[lane] + i;
				event->event %= RECORD_EVENT_COUNT;
				event->size %= RECORDER_FIELDS + 2;
				if (round % 2)
					event->fields[0] = RECORD_KEY_USER;
			}
		lines = explain(&rings, SPAN_LITERAL("192.0.2.1"), &clock, &size, &told);
		assert_non_null(lines);
		for (size_t i = 0; i < size; i++)
			assert_true((lines[i] >= ' ' && lines[i] <= '~') || lines[i] == '\n' ||
				    lines[i] == '\t');
		free(lines);
	}
}

/* ---- traces ---- */

static void trace_line(uint64_t id, enum record_key key, const char *text)
{
	struct record record;

	record_begin(&record, RECORD_TRACE, NULL, FRONT, 3);
	record_number(&record, RECORD_KEY_TRACE, id);
	record_text(&record, key, span_of(text));
	record_write(&record);
}

static void assert_collected(struct tracing *tracing, const char *want)
{
	size_t size;
	char *lines = tracing_collect(tracing, &rings, &size);

	assert_int_equal(size, strlen(want));
	if (size)
		assert_memory_equal(lines, want, size);
	free(lines);
}

static int set_up_front(void **state)
{
	(void)state;
	memset(&rings, 0, sizeof(rings));
	add_ring(ROLE_FRONT, 1, 2 * RECORDER_PAGE, FRONT);
	return 0;
}

static void test_a_trace_has_its_own_lines_from_its_beginning_on(void **state)
{
	struct tracing *tracing;
	char want[64];

	(void)state;
	trace_line(7, RECORD_KEY_LINE, "before");
	tracing = tracing_begin(&rings, 7, 0);
	assert_non_null(tracing);
	assert_collected(tracing, "");
	trace_line(7, RECORD_KEY_MORE, "C: RETR\t");
	trace_line(8, RECORD_KEY_LINE, "of another one");
	trace_line(7, RECORD_KEY_LINE, "1");
	assert_collected(tracing, "more\tabc-3\tC: RETR?\ntrace\tabc-3\t1\n");
	assert_collected(tracing, "");
	assert_int_equal(tracing->lines, 1);
	for (uint32_t i = 0; i < mine.events[LANE_TRACE] + 5; i++)
		trace_line(8, RECORD_KEY_LINE, "of another one");
	snprintf(want, sizeof(want), "lost\t%u\n", 5);
	assert_collected(tracing, want);
	free(tracing);
}

static void note_login(enum record_event event, const char *user, const char *section)
{
	struct record record;

	record_begin(&record, event, NULL, 7, 3);
	record_text(&record, RECORD_KEY_USER, span_of(user));
	if (section)
		record_words(&record, RECORD_KEY_MIGRATE, section);
	record_write(&record);
}

static void test_logins_of_users_whose_mail_moves(void **state)
{
	struct tracing *tracing = tracing_begin_logins();
	char name[200];

	(void)state;
	assert_non_null(tracing);
	note_login(RECORD_LOGIN, "anna", "old"); /* before somebody looks */
	note_login(RECORD_LOGIN, "berta", NULL);
	note_login(RECORD_LOGIN_REFUSED, "carla", "old");
	assert_collected(tracing, "login\t7-3\tanna\told\n");
	assert_collected(tracing, "");
	note_login(RECORD_LOGIN, "d\tr a", "old");
	assert_collected(tracing, "login\t7-3\td\\x09r\\x20a\told\n");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	note_login(RECORD_LOGIN, name, "old"); /* cut: whose it is is not known */
	assert_collected(tracing, "");
	assert_int_equal(tracing->lines, 2);
	for (uint32_t i = 0; i < mine.events[LANE_USUAL] + 5; i++)
		note_login(RECORD_LOGIN, "berta", NULL);
	assert_collected(tracing, "lost\t5\n");
	free(tracing);
	tracing = tracing_begin_logins(); /* what was there before nobody has lost */
	assert_non_null(tracing);
	assert_collected(tracing, "");
	free(tracing);
}

static void test_threat_117_a_lane_of_traces_may_be_anything(void **state)
{
	struct tracing *tracing = tracing_begin(&rings, 7, 0);

	(void)state;
	assert_non_null(tracing);
	for (unsigned round = 0; round < 50; round++) {
		size_t size;
		char *lines;

		for (uint32_t i = 0; i < mine.events[LANE_TRACE]; i++) {
			struct recorder_event *event = &mine.lanes[LANE_TRACE][i];

			memset(event, (int)(round * 7 + i), sizeof(*event));
			event->number = mine.events[LANE_TRACE] * (uint64_t)(round + 1) + i;
			event->event = RECORD_TRACE;
			event->front = FRONT;
			event->size = (round * 13 + i) % (RECORDER_FIELDS + 1);
			event->fields[0] = RECORD_KEY_LINE;
		}
		mine.head->last[LANE_TRACE] = round % 3 ? UINT64_MAX / (round + 1) : round;
		lines = tracing_collect(tracing, &rings, &size);
		for (size_t i = 0; i < size; i++)
			assert_true((lines[i] >= ' ' && lines[i] <= '~') || lines[i] == '\n' ||
				    lines[i] == '\t');
		free(lines);
	}
	free(tracing);
}

/* ---- the story ---- */

static char *story(const char *target)
{
	static const struct explain_clock clock = {.loop_ms = 0, .real_ms = MILLION};
	unsigned told;
	size_t size;
	char *lines = explain(&rings, span_of(target), &clock, &size, &told), *copy;

	assert_non_null(lines);
	copy = malloc(size + 1);
	assert_non_null(copy);
	memcpy(copy, lines, size);
	copy[size] = '\0';
	free(lines);
	return copy;
}

static void assert_told(const char *target, const char *words)
{
	char *text = story(target);

	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
	free(text);
}

static void test_names_in_every_spelling(void **state)
{
	(void)state;
	note(RECORD_LOGIN_REFUSED, 5, "Anna@Example.ORG", "wrong password");
	assert_told("anna@example.org", "refused: wrong password");
	assert_told("ANNA", "refused: wrong password");
	assert_told("abc-5", "refused: wrong password");
	assert_told("192.0.2.1", "refused: wrong password");
	assert_told("ann", "no client with that name or address came this far");
	assert_told("anna@example.com", "no client with that name or address came this far");
}

static void test_a_session_is_told_whole(void **state)
{
	struct record record;

	(void)state;
	record_begin(&record, RECORD_LOGIN_FAILED, address, FRONT, 5); /* names nobody */
	record_words(&record, RECORD_KEY_REASON, "out of memory");
	record_write(&record);
	assert_told("anna", "no client with that name");
	note(RECORD_LOGIN_REFUSED, 5, "anna", "wrong password");
	assert_told("anna", "could not be judged: out of memory");
}

static void test_only_the_last_sessions_are_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 25; i++)
		note(RECORD_LOGIN, i, "anna", "");
	assert_told("anna", "note\t5 earlier sessions are left out\n");
	assert_told("anna", "nothing went wrong here");
}

static void test_each_reason_of_a_refusal_has_its_advice(void **state)
{
	static const struct {
		enum record_event event;
		const char *why, *advice;
	} rows[] = {
		{RECORD_LOGIN_REFUSED, "wrong password", "valija user passwd anna"},
		{RECORD_LOGIN_REFUSED, "wrong APOP digest", "valija user passwd anna"},
		{RECORD_LOGIN_REFUSED, "unknown user or no login for this one", "valija user add"},
		{RECORD_LOGIN_REFUSED, "no login for this user: nologin in the entry", "`nologin`"},
		{RECORD_LOGIN_REFUSED, "not from a network of allow_networks", "192.0.2.1 is in"},
		{RECORD_LOGIN_REFUSED, "the account is expired or locked", "chage -l anna"},
		{RECORD_LOGIN_REFUSED, "the app password x has expired", "valija user app list"},
		{RECORD_LOGIN_REFUSED, "too many sessions of this user", "valija who anna"},
		{RECORD_LOGIN_REFUSED, "too soon after the last login", "less often"},
		{RECORD_LOGIN_FAILED, "not in clear text: use TLS", "SSL/TLS (port 995)"},
		{RECORD_LOGIN_FAILED, "the user database is down", "valija user test anna"},
		{RECORD_KICKED, "", "advice\tnothing went wrong"}, /* without its uid */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tear_down(state);
		set_up(state);
		note(rows[i].event, 5, "anna", rows[i].why);
		assert_told("anna", rows[i].advice);
	}
}

/* What is known of the session that has a maildrop open: its id, where it came from, both. */
static void test_who_has_the_maildrop_open(void **state)
{
	static const struct {
		bool id, from;
		const char *words;
	} rows[] = {
		{true, true, "the maildrop is in use: session f-1 has it open since "},
		{false, true, "the maildrop is in use: a session of another process has it open "},
		{true, false, "the maildrop is in use by session f-1; waited 3 ms"},
		{false, false, "the maildrop is in use by another program or process; waited 3 ms"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct record record;

		tear_down(state);
		set_up(state);
		recorder_close(&mine);
		add_ring(ROLE_KEEPER, 2, 2 * RECORDER_PAGE, 8);
		record_begin(&record, RECORD_IN_USE, address, FRONT, 5);
		record_text(&record, RECORD_KEY_USER, SPAN_LITERAL("anna"));
		record_number(&record, RECORD_KEY_MS, 3);
		if (rows[i].id)
			record_words(&record, RECORD_KEY_HOLDER, "f-1");
		if (rows[i].from)
			record_words(&record, RECORD_KEY_HOLDER_FROM, "192.0.2.7");
		record_write(&record);
		assert_told("anna", rows[i].words);
	}
}

static void test_each_event_has_words_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RECORD_EVENT_COUNT; i++) {
		struct record_view view = {.event = (enum record_event)i};
		char words[STORY_WORDS_MAX];
		bool told = record_event_roles(view.event) != 0 && i != RECORD_TRACE;

		assert_in_range(story_words(&view, words), 1, STORY_WORDS_MAX - 1);
		if (told && strcmp(words, record_event_word(view.event)) == 0)
			fail_msg("\"%s\" has no words", words);
		assert_int_equal(record_event_lane(view.event) != LANE_NONE,
				 record_event_roles(view.event) != 0);
	}
}

/* ---- the monitor's side ---- */

static struct pages pages;
static unsigned changes, made_rings;

static void changed(void *context, const struct page *page, bool is_new)
{
	(void)context;
	assert_true(page->ring.fd >= 0);
	changes++;
	made_rings += is_new;
}

static int set_up_pages(void **state)
{
	(void)state;
	changes = made_rings = 0;
	pages_init(&pages, NULL, NULL, true);
	pages.ring_changed = changed;
	return 0;
}

static int tear_down_pages(void **state)
{
	(void)state;
	pages_finish(&pages);
	return 0;
}

static struct page *take(enum ipc_role role, uint64_t instance, unsigned of, bool on_demand)
{
	struct page *page = pages_take(&pages, role, 0, 1);

	if (page)
		pages_give_ring(&pages, page, instance, of, on_demand);
	return page;
}

static void test_the_next_process_goes_on_in_the_ring(void **state)
{
	struct page *page = take(ROLE_AUTH, 7, 1, false);
	struct recorder recorder;
	int fd = pages_ring_to_read(page);

	(void)state;
	assert_true(recorder_open(fd, false, &recorder));
	assert_false(recorder_open(fd, true, &mine)); /* it cannot be mapped for writing */
	recorder_close(&recorder);
	close(fd);
	pages_release(page);
	assert_ptr_equal(take(ROLE_AUTH, 9, 1, false), page);
	assert_int_equal(page->ring.writers[0], 9);
	assert_int_equal(page->ring.writers[1], 7);
	assert_int_equal(changes, 2);
	assert_int_equal(made_rings, 1);
}

static off_t size_of(const struct page *page)
{
	return page->ring.fd < 0 ? 0 : lseek(page->ring.fd, 0, SEEK_END);
}

static void test_rings_have_their_share_and_all_have_a_bound(void **state)
{
	struct page *front = take(ROLE_FRONT, 1, 2, false), *page;
	off_t all = size_of(front);
	unsigned without = 0;

	(void)state;
	assert_int_equal(size_of(front), 1 << 20);
	for (unsigned i = 0; i < 20 && (page = take(ROLE_FRONT, 2 + i, 2, false)); i++) {
		all += size_of(page);
		without += size_of(page) == 0;
		if (i == 0)
			assert_int_equal(size_of(page), size_of(front)); /* of a reload */
	}
	assert_int_equal(all, RECORDER_ALL_MAX);
	assert_true(without > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_event_comes_out_as_it_went_in, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_goes_well_does_not_push_out_what_went_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_texts_are_cut_and_numbers_are_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_front_speaks_of_its_own_sessions_only,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_ring_is_not_read, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_threat_117_any_memory_is_read_safely, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_names_in_every_spelling, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_session_is_told_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_only_the_last_sessions_are_told, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_each_reason_of_a_refusal_has_its_advice,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_trace_has_its_own_lines_from_its_beginning_on, set_up_front,
			tear_down),
		cmocka_unit_test_setup_teardown(test_logins_of_users_whose_mail_moves, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_threat_117_a_lane_of_traces_may_be_anything,
						set_up_front, tear_down),
		cmocka_unit_test_setup_teardown(test_who_has_the_maildrop_open, set_up, tear_down),
		cmocka_unit_test(test_each_event_has_words_of_its_own),
		cmocka_unit_test_setup_teardown(test_the_next_process_goes_on_in_the_ring,
						set_up_pages, tear_down_pages),
		cmocka_unit_test_setup_teardown(test_rings_have_their_share_and_all_have_a_bound,
						set_up_pages, tear_down_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
