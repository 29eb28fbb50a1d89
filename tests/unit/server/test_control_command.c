/* Lines of the control protocol: commands, and what is none; pages of auth's as lines. */
#include "server/control/ban.h"
#include "server/control/command.h"
#include "server/control/page.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct command command;

static const char *parse(const char *text)
{
	return command_parse((pop3_span){text, strlen(text)}, &command);
}

static void test_commands(void **state)
{
	(void)state;
	assert_null(parse("1 who"));
	assert_int_equal(command.row->steps[0].kind, STEP_WHO);
	assert_int_equal(command.row->steps[0].what, WHO_LIST);
	assert_int_equal(command.target.size, 0);
	assert_null(parse("1 who anna@example.org"));
	assert_true(span_equal(command.target, SPAN_LITERAL("anna@example.org")));
	assert_null(parse("1 kick a b"));
	assert_int_equal(command.row->steps[0].what, WHO_KICK);
	assert_true(span_equal(command.target, SPAN_LITERAL("a b")));
	assert_null(parse("1 flush anna"));
	assert_int_equal(command.row->steps[0].kind, STEP_FLUSH);
	assert_true(span_equal(command.target, SPAN_LITERAL("anna")));
	assert_null(parse("1 flush-all"));
	assert_int_equal(command.row->steps[0].kind, STEP_FLUSH);
	assert_int_equal(command.target.size, 0);
	assert_null(parse("1 explain anna"));
	assert_int_equal(command.row->steps[0].kind, STEP_EXPLAIN);
	assert_non_null(parse("1 explain"));
	assert_null(parse("1 logins migrate"));
	assert_int_equal(command.row->steps[0].kind, STEP_LOGINS);
	assert_non_null(parse("1 logins"));
	assert_non_null(parse("1 logins migrate anna"));
}

static void test_commands_of_other_processes(void **state)
{
	(void)state;
	assert_null(parse("1 reload"));
	assert_int_equal(command.row->steps[0].kind, STEP_MONITOR);
	assert_int_equal(command.row->steps[0].what, TOPIC_RELOAD);
	assert_int_equal(command.row->steps[1].kind, STEP_AUTH);
	assert_int_equal(command.row->steps[2].kind, STEP_OVER);
	assert_null(parse("1 show users"));
	assert_int_equal(command.row->steps[0].what, TOPIC_USERS);
	assert_null(parse("1 show sessions anna"));
	assert_true(span_equal(command.target, SPAN_LITERAL("anna")));
	assert_null(parse("1 stats"));
	assert_int_equal(command.row->steps[0].kind, STEP_HERE);
	assert_null(parse("1 upgrade"));
	assert_null(parse("1 show program"));
	assert_null(parse("1 log-level"));
	assert_int_equal(command.target.size, 0);
	assert_null(parse("1 log-level debug"));
	assert_true(span_equal(command.target, SPAN_LITERAL("debug")));
}

static void test_what_is_none(void **state)
{
	static const char *const lines[] = {"",
					    "1",
					    "who",
					    "2 who",
					    "1 kick",
					    "1 kick ",
					    "1 Who",
					    "1  who",
					    "1 kill",
					    "1 who a\tb",
					    "1 whom",
					    "1 who \x7f",
					    "11 who",
					    "1 reload x",
					    "1 reload  ",
					    "1 reloaded",
					    "1reload x",
					    "1 show",
					    "1 show  users",
					    "1 show secrets",
					    "1 flush",
					    "1 flush-all a",
					    "1 flush-all a b"};
	char longest[COMMAND_LINE_MAX + 1] = "1 who ";

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_non_null(parse(lines[i]));
	memset(longest + 6, 'x', IPC_TEXT_MAX);
	assert_null(parse(longest));
	longest[6 + IPC_TEXT_MAX] = 'x';
	assert_non_null(parse(longest));
}

static void test_bans(void **state)
{
	const uint8_t four[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2},
		      six[16] = {0x20, 1, 0xd, 0xb8};

	(void)state;
	assert_null(parse("1 ban list"));
	assert_int_equal(command.row->steps[0].kind, STEP_BAN);
	assert_int_equal(command.ban.act, BAN_LIST);
	assert_null(parse("1 ban add 192.0.2.7/24 60 why not"));
	assert_int_equal(command.ban.act, BAN_ADD);
	assert_memory_equal(command.ban.address, four, 16);
	assert_int_equal(command.ban.bits, 120);
	assert_int_equal(command.ban.seconds, 60);
	assert_int_equal(command.ban.flags, 0);
	assert_true(span_equal(command.target, SPAN_LITERAL("why not")));
	assert_null(parse("1 ban force 2001:db8::7 60")); /* its /64 */
	assert_memory_equal(command.ban.address, six, 16);
	assert_int_equal(command.ban.bits, 64);
	assert_int_equal(command.ban.flags, BAN_FORCE);
	assert_int_equal(command.target.size, 0);
	assert_null(parse("1 ban del 2001:db8::7/128"));
	assert_int_equal(command.ban.act, BAN_REMOVE);
	assert_int_equal(command.ban.bits, 128);
}

static void test_what_is_no_ban(void **state)
{
	static const char *const lines[] = {"1 ban",
					    "1 ban list x",
					    "1 ban add",
					    "1 ban add x 60",
					    "1 ban add 1.2.3.4",
					    "1 ban add 1.2.3.4 0",
					    "1 ban add 1.2.3.4 x",
					    "1 ban add 1.2.3.4 315360001",
					    "1 ban add 1.2.3.4 99999999999999999999999",
					    "1 ban del",
					    "1 ban del x",
					    "1 ban del 1.2.3.4 60",
					    "1 ban add  60",
					    "1 ban add 1.2.3.4/33 60",
					    "1 ban force 60",
					    "1 ban show 1.2.3.4"};
	char longest[COMMAND_LINE_MAX] = "1 ban add 1.2.3.4 60 ";
	size_t n = strlen(longest);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_non_null(parse(lines[i]));
	memset(longest + n, 'x', IPC_BAN_WHY_MAX);
	assert_null(parse(longest));
	longest[n + IPC_BAN_WHY_MAX] = 'x';
	assert_non_null(parse(longest));
}

static void test_a_page_of_bans(void **state)
{
	struct {
		struct ipc_ban_page head;
		struct ipc_ban_row row;
		char why[16];
	} page = {.head = {.count = 1,
			   .head = {.type = IPC_BAN_PAGE,
				    .tail = sizeof(page.row) + sizeof(page.why)}},
		  .row = {.until = 9,
			  .since = 1,
			  .by_uid = 7,
			  .bits = 120,
			  .why_size = 9,
			  .address = {[10] = 0xff, [11] = 0xff, 192, 0, 2}},
		  .why = "two\tlines"};
	struct ipc_ban ask = {.flags = BAN_BEGINS};
	size_t size;
	char *text = ban_render(&page.head, &ask, &size);

	(void)state;
	assert_non_null(text);
	text[size] = '\0';
	assert_string_equal(text, "ban\t192.0.2.0/24\t9\t1\t7\ttwo\\x09lines\n");
	free(text);
	assert_int_equal(ask.bits, 120);
	assert_int_equal(ask.flags, 0);
	assert_memory_equal(ask.address, page.row.address, 16);
	assert_null(ban_refusal(&page.head));
	page.head.status = BAN_REFUSED;
	assert_non_null(strstr(ban_refusal(&page.head), "control.group"));
}

struct page {
	struct ipc_who_page head;
	struct ipc_who_row row;
	char name[16];
};

static char *render(struct page *page, const char *name)
{
	size_t size;
	char *text;

	page->head.head.type = IPC_WHO_PAGE;
	page->row.name_size = (uint32_t)strlen(name);
	memcpy(page->name, name, strlen(name));
	page->head.count = 1;
	page->head.head.tail = (uint32_t)sizeof(page->row) + ipc_who_name_room(page->row.name_size);
	text = page_render(&page->head, &size);
	assert_non_null(text);
	text[size] = '\0';
	return text;
}

static void test_a_page(void **state)
{
	struct page page = {.row = {.front = 0x4711,
				    .session = 12,
				    .since = 1700000000,
				    .address = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 7},
				    .state = WHO_MAIL,
				    .mechanism = "PLAIN"}};
	char *text = render(&page, "anna");

	(void)state;
	assert_string_equal(
		text, "session\t4711-12\tanna\t192.0.2.7\t1700000000\tmail\tno\tPLAIN\t-\t-\n");
	free(text);
	page.row.counted = 1;
	page.row.messages = UINT32_MAX;
	page.row.octets = UINT64_MAX;
	text = render(&page, "anna");
	assert_non_null(strstr(text, "\tPLAIN\t4294967295\t18446744073709551615\n"));
	free(text);
}

static void test_a_name_cannot_end_its_field(void **state)
{
	struct page page = {.row = {.address = {[15] = 1}}};
	char *text = render(&page, "a\tb\n\\\xc3 ");

	(void)state;
	assert_string_equal(
		text,
		"session\t0-0\ta\\x09b\\x0a\\x5c\\xc3\\x20\t::1\t0\tconnected\tno\t-\t-\t-\n");
	free(text);
	text = render(&page, "-"); /* "-" alone stands for none */
	assert_non_null(strstr(text, "\t\\x2d\t"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_commands_of_other_processes),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_what_is_no_ban),
		cmocka_unit_test(test_a_page_of_bans),
		cmocka_unit_test(test_a_page),
		cmocka_unit_test(test_a_name_cannot_end_its_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
