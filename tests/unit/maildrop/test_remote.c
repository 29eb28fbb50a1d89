/* A session at another server, without I/O: what is asked, what becomes of each answer, and that
 * nothing is served that was not said; the listing becomes the index that fronts read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "maildrop/index/view.h"
#include "maildrop/remote/section.h"
#include "maildrop/remote/talk.h"

static struct talk talk;
static struct talk_abilities abilities;
static char asked[4096]; /* what the talk has sent, since it was looked at */

#define CAPA "+OK\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n.\r\n"
#define LISTS "+OK\r\n1 100\r\n2 20\r\n.\r\n+OK\r\n1 first\r\n2 second\r\n.\r\n"
#define LOGGED_IN "+OK hi\r\n" CAPA "+OK\r\n+OK\r\n"

static void begin(bool stls)
{
	struct err err;

	abilities = (struct talk_abilities){0};
	asked[0] = '\0';
	assert_int_equal(talk_init(&talk, SPAN_LITERAL("anna"), SPAN_LITERAL("pass word"),
				   stls ? TALK_STLS : 0, &abilities, &err),
			 0);
}

static void send_all(void)
{
	pop3_span out;

	while ((out = talk_output(&talk)).size) {
		size_t used = strlen(asked);

		assert_true(used + out.size < sizeof(asked));
		memcpy(asked + used, out.data, out.size);
		asked[used + out.size] = '\0';
		talk_sent(&talk, out.size);
	}
}

/* The events that these octets bring, one character each, but for MORE. */
static const char *hear(const char *text)
{
	static char events[64];
	pop3_span in = span_of(text);
	enum talk_event event;
	size_t n = 0;

	do {
		send_all();
		event = talk_next(&talk, &in);
		if (event != TALK_MORE)
			events[n++] = "-TOARX"[event];
		assert_true(n < sizeof(events));
	} while (event != TALK_MORE && event != TALK_OVER && event != TALK_START_TLS);
	send_all();
	events[n] = '\0';
	return events;
}

static void expect_asked(const char *text)
{
	assert_string_equal(asked, text);
	asked[0] = '\0';
}

/* A session that is open. */
static void open_session(void)
{
	begin(false);
	assert_string_equal(hear(LOGGED_IN LISTS), "O");
	asked[0] = '\0';
}

static void over(enum maildrop_status status, const char *word)
{
	assert_int_equal(talk.status, status);
	if (!strstr(talk.err.text, word))
		fail_msg("\"%s\" has no \"%s\"", talk.err.text, word);
	talk_finish(&talk);
}

static void test_it_opens(void **state)
{
	struct index_view *view;
	struct index_entry entries[2];
	struct err err;

	(void)state;
	begin(false);
	assert_string_equal(hear("+OK hi\r\n"), "");
	expect_asked("CAPA\r\n");
	assert_string_equal(hear(CAPA), "");
	expect_asked("USER anna\r\nPASS pass word\r\n");
	assert_string_equal(hear("+OK\r\n+OK\r\n"), "");
	expect_asked("LIST\r\nUIDL\r\n");
	assert_null(talk.login);
	assert_string_equal(hear(LISTS), "O");
	assert_int_equal(talk.listing.count, 2);
	assert_int_equal(talk.listing.octets, 120);
	assert_int_equal(index_view_create(talk.listing.base_fd, talk.listing.delta_fd,
					   INDEX_DELTA_HEADER, 2, 120, &view, &err),
			 0);
	assert_int_equal(index_view_read(view, 1, true, entries, 2, &err), 2);
	assert_int_equal(entries[0].octets, 100);
	assert_true(span_equal(entries[1].unique_id, SPAN_LITERAL("second")));
	index_view_destroy(view);
	assert_false(talk_waits(&talk));
	talk_finish(&talk);
	begin(false);
	abilities = (struct talk_abilities){.known = true};
	assert_string_equal(hear("+OK hi\r\n"), "");
	expect_asked("USER anna\r\n"); /* one by one, and no CAPA */
	hear("+OK\r\n");
	expect_asked("PASS pass word\r\n");
	hear("+OK\r\n");
	expect_asked("LIST\r\n");
	hear("+OK\r\n.\r\n");
	expect_asked("UIDL\r\n");
	assert_string_equal(hear("+OK\r\n.\r\n"), "O");
	assert_int_equal(talk.listing.count, 0);
	talk_finish(&talk);
}

/* Sessions that begin at the same time each go by what they heard, whatever another one learns or
 * asks again meanwhile. */
static void test_abilities_are_a_session_s_own(void **state)
{
	(void)state;
	begin(false);
	hear("+OK hi\r\n+OK\r\nPIPELINING\r\n");
	expect_asked("CAPA\r\n");
	abilities = (struct talk_abilities){0};
	hear(".\r\n");
	expect_asked("USER anna\r\nPASS pass word\r\n");
	assert_true(abilities.known && abilities.pipelining);
	abilities = (struct talk_abilities){0};
	assert_string_equal(hear("+OK\r\n+OK\r\n" LISTS), "O");
	expect_asked("LIST\r\nUIDL\r\n");
	talk_finish(&talk);
	begin(false);
	hear("+OK hi\r\n+OK\r\n.\r\n");
	expect_asked("CAPA\r\nUSER anna\r\n");
	abilities = (struct talk_abilities){.known = true, .pipelining = true};
	hear("+OK\r\n");
	expect_asked("PASS pass word\r\n");
	hear("+OK\r\n");
	expect_asked("LIST\r\n");
	hear("+OK\r\n.\r\n");
	expect_asked("UIDL\r\n");
	assert_string_equal(hear("+OK\r\n.\r\n"), "O");
	talk_finish(&talk);
}

static void test_stls_or_nothing(void **state)
{
	(void)state;
	begin(true);
	assert_string_equal(hear("+OK hi\r\n+OK begin\r\n"), "T");
	expect_asked("STLS\r\n");
	talk_tls_started(&talk);
	send_all();
	expect_asked("CAPA\r\n");
	talk_finish(&talk);
	begin(true);
	assert_string_equal(hear("+OK hi\r\n-ERR no\r\n"), "X");
	expect_asked("STLS\r\n");
	over(MAILDROP_TEMP, "STLS");
	begin(true);
	assert_string_equal(hear("+OK hi\r\n+OK begin\r\n+OK injected\r\n"), "X");
	over(MAILDROP_TEMP, "attack");
}

/* What is asked of a server with that CAPA, up to and with the response to its first challenge. */
static void begin_auth(const char *capa, const char *name, const char *secret, unsigned flags)
{
	struct err err;

	abilities = (struct talk_abilities){0};
	asked[0] = '\0';
	assert_int_equal(talk_init(&talk, span_of(name), span_of(secret), flags, &abilities, &err),
			 0);
	hear("+OK hi\r\n");
	expect_asked("CAPA\r\n");
	hear(capa);
}

static void test_mechanisms(void **state)
{
	char password[300];

	(void)state;
	/* printf '\0anna\0pass word' | base64 */
	begin_auth("+OK\r\nsasl LOGIN Plain\r\n.\r\n", "anna", "pass word", 0);
	expect_asked("AUTH PLAIN\r\n");
	hear("+ \r\n");
	expect_asked("AGFubmEAcGFzcyB3b3Jk\r\n");
	hear("+OK\r\n");
	expect_asked("LIST\r\n");
	talk_finish(&talk);
	/* both: what each server can */
	begin_auth("+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n", "anna", "pass word", 0);
	expect_asked("USER anna\r\n");
	talk_finish(&talk);
	/* no PLAIN */
	begin_auth("+OK\r\nSASL PLAINER XPLAIN\r\n.\r\n", "anna", "pass word", 0);
	expect_asked("USER anna\r\n");
	talk_finish(&talk);
	memset(password, 'x', sizeof(password) - 1);
	password[sizeof(password) - 1] = '\0';
	begin_auth("+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n", "anna", password, 0);
	expect_asked("AUTH PLAIN\r\n");
	hear("+ \r\n");
	assert_int_equal(strlen(asked), (6 + strlen(password) + 2) / 3 * 4 + 2);
	talk_finish(&talk);
	/* printf 'n,a=an=2Cna=3D,\1auth=Bearer pass word\1\1' | base64 */
	begin_auth("+OK\r\nUSER\r\nSASL PLAIN OAUTHBEARER\r\n.\r\n", "an,na=", "pass word",
		   TALK_TOKEN);
	expect_asked("AUTH OAUTHBEARER\r\n");
	hear("+ \r\n");
	expect_asked("bixhPWFuPTJDbmE9M0QsAWF1dGg9QmVhcmVyIHBhc3Mgd29yZAEB\r\n");
	hear("+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n");
	expect_asked("AQ==\r\n");
	assert_string_equal(hear("-ERR no\r\n"), "X");
	over(MAILDROP_REFUSED, "the login");
	begin_auth("+OK\r\nSASL OAUTHBEARER XOAUTH2\r\n.\r\n", "anna", "pass word", TALK_TOKEN);
	expect_asked("AUTH XOAUTH2\r\n");
	/* that says nothing of the secret, which was not sent */
	assert_string_equal(hear("-ERR unknown mechanism\r\n"), "X");
	assert_false(talk.judged);
	over(MAILDROP_TEMP, "XOAUTH2");
}

static void test_a_token(void **state)
{
	/* printf 'user=anna\1auth=Bearer pass word\1\1' | base64 */
	static const char response[] = "dXNlcj1hbm5hAWF1dGg9QmVhcmVyIHBhc3Mgd29yZAEB\r\n";
	struct err err;

	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		abilities = (struct talk_abilities){.known = true, .pipelining = true};
		asked[0] = '\0';
		assert_int_equal(talk_init(&talk, SPAN_LITERAL("anna"), SPAN_LITERAL("pass word"),
					   TALK_TOKEN, &abilities, &err),
				 0);
		hear("+OK hi\r\n");
		expect_asked("AUTH XOAUTH2\r\n");
		hear("+ \r\n");
		expect_asked(response);
		if (refused) {
			hear("+ eyJzdGF0dXMiOiI0MDAifQ==\r\n");
			expect_asked("\r\n");
			assert_string_equal(hear("-ERR no\r\n"), "X");
			over(MAILDROP_REFUSED, "the login");
		} else {
			assert_string_equal(hear("+OK\r\n" LISTS), "O");
			assert_int_equal(talk.out_size, TALK_OUT);
			talk_finish(&talk);
		}
	}
}

static void test_refusals_of_a_login(void **state)
{
	static const struct {
		const char *reply;
		enum maildrop_status status;
	} rows[] = {
		{"-ERR [AUTH] no\r\n", MAILDROP_REFUSED},
		{"-ERR [IN-USE] no\r\n", MAILDROP_IN_USE},
		{"-ERR [LOGIN-DELAY] no\r\n", MAILDROP_TOO_SOON},
		{"-ERR [SYS/TEMP] no\r\n", MAILDROP_TEMP},
		{"-ERR [SYS/PERM] no\r\n", MAILDROP_PERM},
		{"-ERR out of order\r\n", MAILDROP_TEMP}, /* it would have said [AUTH] */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(false);
		assert_string_equal(hear("+OK hi\r\n" CAPA "+OK\r\n"), "");
		assert_string_equal(hear(rows[i].reply), "X");
		assert_true(talk.judged);
		over(rows[i].status, "the login");
	}
	begin(false);
	hear("+OK hi\r\n-ERR no CAPA\r\n+OK\r\n");
	assert_string_equal(hear("-ERR maildrop already LOCKED\r\n"), "X");
	over(MAILDROP_IN_USE, "LOCKED");
	begin(false);
	hear("+OK hi\r\n-ERR no CAPA\r\n+OK\r\n");
	assert_string_equal(hear("-ERR wrong\x1b[0m\r\n"), "X");
	over(MAILDROP_REFUSED, "\\x1b");
	begin(false);
	assert_string_equal(hear("-ERR [SYS/TEMP] full\r\n"), "X");
	assert_false(talk.judged);
	over(MAILDROP_TEMP, "the connection");
}

static void test_listings_that_cannot_be(void **state)
{
	static const char *const lists[] = {
		"+OK\r\n2 1\r\n",
		"+OK\r\n1 1\r\n1 1\r\n",
		"+OK\r\n1 x\r\n",
		"+OK\r\n1 9223372036854775807\r\n2 1\r\n",
		"+OK\r\n.\r\n+OK\r\n1 a\r\n",
		"+OK\r\n1 1\r\n.\r\n+OK\r\n.\r\n",
		"+OK\r\n1 1\r\n.\r\n+OK\r\n2 a\r\n",
		"+OK\r\n1 1\r\n.\r\n+OK\r\n1\r\n",
		"+OK\r\n1 1\r\n.\r\n-ERR no UIDL\r\n",
		"-ERR no LIST\r\n",
		"maybe\r\n",
		"+OK\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		begin(false);
		assert_string_equal(hear(LOGGED_IN), "");
		assert_string_equal(hear(lists[i]), "X");
		over(MAILDROP_TEMP, "");
	}
}

/* As a slice of a message asks for it. */
static void fetch(uint32_t number, char *room, size_t size)
{
	talk_fetch(&talk, number, false, 0);
	talk_lend(&talk, room, size);
}

static void taken(const char *room, const char *octets, bool is_last)
{
	bool last;

	assert_int_equal(talk_has_octets(&talk), *octets || is_last);
	assert_int_equal(talk_take(&talk, &last), strlen(octets));
	assert_memory_equal(room, octets, strlen(octets));
	assert_int_equal(last, is_last);
}

static void test_a_message(void **state)
{
	char room[8192];

	(void)state;
	open_session();
	fetch(2, room, sizeof(room));
	assert_true(talk_waits(&talk));
	assert_string_equal(hear("+OK 5 octets\r\n..one\r\nt"), "A");
	expect_asked("RETR 2\r\n");
	taken(room, ".one\r\nt", false);
	assert_true(talk_blocked(&talk));
	talk_lend(&talk, room, sizeof(room));
	taken(room, "", false);
	talk_lend(&talk, room, sizeof(room));
	assert_string_equal(hear("wo\r\n.\r\n"), "");
	taken(room, "wo\r\n", true);
	assert_false(talk_blocked(&talk));
	talk_fetch(&talk, 1, true, 7);
	assert_string_equal(hear("-ERR [SYS/PERM] no\r\n"), "R");
	expect_asked("TOP 1 7\r\n");
	assert_int_equal(talk.status, MAILDROP_PERM);
	fetch(1, room, sizeof(room));
	assert_string_equal(hear("+OK\r\n.\r\n"), "A");
	taken(room, "", true);
	talk_finish(&talk);
}

/* An idle session holds nothing that only answers need, and gets none. */
static void test_an_idle_session(void **state)
{
	char room[8192];

	(void)state;
	open_session();
	for (int i = 0; i < 2; i++) {
		assert_null(talk.client);
		assert_null(talk.out);
		assert_false(talk_waits(&talk));
		assert_string_equal(hear(""), "");
		fetch(1, room, sizeof(room));
		assert_true(talk_waits(&talk));
		assert_string_equal(hear("+OK\r\na\r\n.\r\n"), "A");
		taken(room, "a\r\n", true);
	}
	assert_string_equal(hear("+OK\r\n"), "X");
	over(MAILDROP_TEMP, "what was not asked");
}

/* A client that has enough of a message: the rest is read away, and is not the next one's. */
static void test_what_nobody_wants(void **state)
{
	char room[8192];

	(void)state;
	open_session();
	fetch(1, room, sizeof(room));
	assert_string_equal(hear("+OK\r\none\r\n"), "A");
	fetch(2, room, sizeof(room));
	assert_false(talk_has_octets(&talk));
	assert_string_equal(hear("more of it\r\n.\r\n"), "");
	assert_false(talk_has_octets(&talk));
	assert_string_equal(hear("+OK\r\ntwo\r\n.\r\n"), "A");
	taken(room, "two\r\n", true);
	/* two that were given up before their answers */
	talk_fetch(&talk, 1, false, 0);
	send_all();
	talk_fetch(&talk, 2, false, 0);
	send_all();
	fetch(1, room, sizeof(room));
	assert_string_equal(hear("+OK\r\na\r\n.\r\n-ERR gone\r\n+OK\r\nlast\r\n.\r\n"), "A");
	taken(room, "last\r\n", true);
	talk_finish(&talk);
}

/* No input is taken without room, and what is in the room stays below its end. */
static void test_a_body_waits_for_room(void **state)
{
	char room[4096 + 8], many[6000];
	pop3_span in = {many, sizeof(many)};

	(void)state;
	memset(many, 'y', sizeof(many));
	memset(room, '-', sizeof(room));
	open_session();
	talk_fetch(&talk, 2, false, 0);
	assert_string_equal(hear("+OK\r\n"), "A");
	assert_true(talk_blocked(&talk));
	assert_int_equal(talk_room(&talk), 0);
	assert_int_equal(talk_next(&talk, &in), TALK_MORE);
	assert_int_equal(in.size, sizeof(many));
	talk_lend(&talk, room, sizeof(room) - 4);
	assert_false(talk_blocked(&talk));
	assert_int_equal(talk_room(&talk), sizeof(room) - 4);
	assert_int_equal(talk_next(&talk, &in), TALK_MORE);
	assert_true(talk_blocked(&talk));
	assert_int_equal(in.size, sizeof(many) - sizeof(room) + 4);
	assert_memory_equal(room + sizeof(room) - 5, "y----", 5);
	talk_finish(&talk);
}

static void test_a_body_has_bounds(void **state)
{
	char line[1026], room[8192];
	unsigned lines = 0;
	bool last;

	(void)state;
	memset(line, 'x', 1022);
	memcpy(line + 1022, "\r\n", 3);
	open_session();
	fetch(2, room, sizeof(room));
	hear("+OK\r\n");
	while (*hear(line) != 'X') {
		assert_true(++lines < 1400);
		talk_take(&talk, &last);
		talk_lend(&talk, room, sizeof(room));
	}
	assert_true(lines >= 1020); /* 1 MiB and twice what LIST says */
	over(MAILDROP_TEMP, "more octets");
}

static void test_quit(void **state)
{
	static const uint32_t numbers[] = {1, 2};

	(void)state;
	open_session();
	talk_quit(&talk, numbers, 2);
	send_all();
	expect_asked("DELE 1\r\nDELE 2\r\n");
	assert_string_equal(hear("+OK\r\n+OK\r\n"), "");
	expect_asked("QUIT\r\n");
	assert_string_equal(hear("+OK\r\n"), "X");
	over(MAILDROP_OK, "");
	open_session();
	talk_quit(&talk, numbers, 0);
	send_all();
	expect_asked("QUIT\r\n");
	assert_string_equal(hear("+OK\r\n"), "X");
	over(MAILDROP_OK, "");
	open_session();
	talk_quit(&talk, numbers, 2);
	assert_string_equal(hear("+OK\r\n-ERR gone\r\n+OK\r\n"), "X");
	over(MAILDROP_TEMP, "message 2");
	open_session();
	talk_quit(&talk, numbers, 2);
	assert_string_equal(hear("+OK\r\n+OK\r\n-ERR some are left\r\n"), "X");
	over(MAILDROP_UNKNOWN, "some are left");
	open_session();
	talk_quit(&talk, numbers, 2);
	hear("+OK\r\n");
	talk_eof(&talk);
	over(MAILDROP_LOST, "closed");
	open_session();
	talk_quit(&talk, numbers, 2);
	hear("+OK\r\n+OK\r\n");
	talk_eof(&talk);
	over(MAILDROP_UNKNOWN, "closed");
}

static void test_ids_that_cannot_be_sent(void **state)
{
	char id[101];
	struct index_view *view;
	struct index_entry entries[3];
	struct remote_listing listing;
	struct err err;

	(void)state;
	memset(id, 'i', 100);
	id[100] = '\0';
	remote_listing_init(&listing);
	for (uint32_t n = 1; n <= 3; n++)
		assert_int_equal(remote_listing_size(&listing, n, n, &err), 0);
	assert_int_equal(remote_listing_id(&listing, 1, span_of(id), &err), 0);
	assert_int_equal(remote_listing_id(&listing, 2, SPAN_LITERAL("a b"), &err), 0);
	assert_int_equal(remote_listing_id(&listing, 3, SPAN_LITERAL("ab"), &err), 0);
	assert_int_equal(remote_listing_end(&listing, &err), 0);
	assert_int_equal(index_view_create(listing.base_fd, listing.delta_fd, INDEX_DELTA_HEADER, 3,
					   6, &view, &err),
			 0);
	assert_int_equal(index_view_read(view, 1, true, entries, 3, &err), 3);
	assert_int_equal(entries[0].unique_id.size, 64);
	/* printf 'a b' | sha256sum */
	assert_true(span_equal(
		entries[1].unique_id,
		SPAN_LITERAL("c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65")));
	assert_true(span_equal(entries[2].unique_id, SPAN_LITERAL("ab")));
	index_view_destroy(view);
	remote_listing_finish(&listing);
}

/* ---- turns ---- */

static struct section_wait waits[5];
static char turns[8];

static void turn(struct section_wait *wait)
{
	size_t n = strlen(turns);

	turns[n] = (char)('0' + (wait - waits));
	turns[n + 1] = '\0';
}

static void silent(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	(void)deadline;
	fail();
}

/* More than may be opened at once get their turns in order; who goes away meanwhile is left out. */
static void test_turns(void **state)
{
	static const struct remote_server server = {.name = "old",
						    .host = "127.0.0.1",
						    .port = 110,
						    .tls = REMOTE_CLEAR,
						    .timeout_ms = 1000};
	struct workers *workers = NULL;
	struct section section;
	struct loop *loop;
	struct err err;

	(void)state;
	loop = loop_create(&err);
	assert_non_null(loop);
	assert_int_equal(section_init(&section, loop, &workers, &server, silent, &err), 0);
	turns[0] = '\0';
	for (unsigned i = 0; i < SECTION_OPENING_MAX; i++)
		assert_true(section_enter(&section, &waits[0]));
	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		waits[i].turn = turn;
		assert_false(section_enter(&section, &waits[i]));
	}
	section_wait_cancel(&section, &waits[1]);
	section_wait_cancel(&section, &waits[4]); /* the last */
	section_wait_cancel(&section, &waits[4]);
	section_leave(&section);
	section_leave(&section);
	assert_string_equal(turns, "02");
	assert_false(section_enter(&section, &waits[4]));
	section_leave(&section);
	section_leave(&section);
	assert_string_equal(turns, "0234");
	section_leave(&section);
	assert_string_equal(turns, "0234");
	assert_true(section_enter(&section, &waits[1]));
	assert_false(section_enter(&section, &waits[1]));
	section_wait_cancel(&section, &waits[1]);
	section_finish(&section);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_opens),
		cmocka_unit_test(test_abilities_are_a_session_s_own),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_stls_or_nothing),
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_a_token),
		cmocka_unit_test(test_refusals_of_a_login),
		cmocka_unit_test(test_listings_that_cannot_be),
		cmocka_unit_test(test_a_message),
		cmocka_unit_test(test_an_idle_session),
		cmocka_unit_test(test_what_nobody_wants),
		cmocka_unit_test(test_a_body_waits_for_room),
		cmocka_unit_test(test_a_body_has_bounds),
		cmocka_unit_test(test_quit),
		cmocka_unit_test(test_ids_that_cannot_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
