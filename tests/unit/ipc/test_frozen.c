/* Rows of the monitor, and of what crosses generations besides (control and auth), as they were
 * when they came: after an upgrade (server/monitor/upgrade.h) processes of the version before speak
 * with a monitor of this one. A row that is here keeps its number, size and form for ever; who may
 * send or receive it may become more. A message that has to be another one is a new row. */
#include "ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *name;
	uint32_t type;
	size_t size;
	uint32_t from, to;
	unsigned fds_min, fds_max;
	uint32_t tail_max;
	unsigned texts;
};

static const struct row now[] = {
#define X(name, number, type, from, to, min, max, tail, texts, ...) \
	{#name, (number), sizeof(struct type), (from), (to), (min), (max), (tail), (texts)},
	IPC_MESSAGES(X)
#undef X
};

/* clang-format off */
static const struct row frozen[] = {
	{"CONFIG", 1, 48, 0x1, 0x7fe, 1, 1, 0, 0},
	{"DIRECTORY", 2, 32, 0x1, 0x118, 1, 1, 512, 1},
	{"LISTENER", 3, 24, 0x1, 0x686, 1, 1, 0, 0},
	{"CERTIFICATES", 4, 32, 0x1, 0x22, 1, 1, 0, 0},
	{"TICKET_KEYS", 5, 256, 0x1, 0x2, 0, 0, 0, 0},
	{"PEER", 6, 40, 0x1, 0x7fe, 1, 1, 0, 0},
	{"START", 7, 16, 0x1, 0x7fe, 0, 0, 0, 0},
	{"DRAIN", 8, 32, 0x1, 0x7fe, 0, 0, 0, 0},
	{"KEEPER_REFUSED", 9, 24, 0x1, 0x8, 0, 0, 0, 0},
	{"READY", 10, 16, 0x7fe, 0x1, 0, 0, 0, 0},
	{"FAILED", 11, 24, 0x7fe, 0x1, 0, 0, 512, 1},
	{"PEER_LOST", 12, 24, 0x38, 0x1, 0, 0, 0, 0},
	{"KEEPER_WANTED", 13, 24, 0x8, 0x1, 0, 0, 512, 1},
	{"LISTENER_DEAD", 50, 16, 0x686, 0x1, 0, 0, 0, 0},
	{"KEYS", 55, 32, 0x1, 0x20, 1, 1, 0, 0},
	{"OWNER", 60, 24, 0x1, 0x10, 0, 0, 512, 1},
	{"LEAVE", 61, 24, 0x19, 0x1f, 0, 0, 0, 0},
	{"PING", 62, 16, 0x1, 0x7fe, 0, 0, 0, 0},
	{"PONG", 63, 24, 0x7fe, 0x1, 0, 0, 0, 0},
	{"PEER_DEAD", 64, 24, 0x1, 0x7fe, 0, 0, 0, 0},
	{"LOCATION", 75, 32, 0x10, 0x1, 0, 0, 512, 1},
	{"LOCATION_ANSWER", 76, 32, 0x1, 0x10, 0, 0, 512, 1},
	{"SPOOL_WANTED", 200, 16, 0x4, 0x1, 0, 0, 0, 0},
	{"SPOOL_FILE", 201, 16, 0x1, 0x4, 2, 2, 0, 0},
	{"SPOOL_NONE", 202, 16, 0x1, 0x4, 0, 0, 0, 0},
	{"ROOT_AWAY", 210, 24, 0x1, 0x10, 0, 0, 0, 0},
	{"DATABASE", 220, 32, 0x1, 0x40, 1, 1, 0, 0},
	{"PEER_UIDS", 231, 152, 0x1, 0x80, 0, 0, 0, 0},
	{"WHO", 240, 56, 0x200, 0x8, 0, 0, 512, 1},
	{"WHO_PAGE", 241, 48, 0x8, 0x200, 0, 0, 65536, 0},
	{"CONTROL_PEERS", 243, 160, 0x1, 0x208, 0, 0, 0, 0},
	{"FLUSH", 244, 32, 0x200, 0x8, 0, 0, 512, 1},
	{"FLUSHED", 245, 32, 0x8, 0x200, 0, 0, 0, 0},
	{"DRAINS", 246, 16, 0x7fe, 0x1, 0, 0, 0, 0},
	{"COUNTERS", 260, 16, 0x1, 0x7fe, 1, 1, 0, 0},
	{"PAGE", 261, 24, 0x1, 0x600, 1, 1, 0, 0},
	{"SAMPLES", 262, 16, 0x1, 0x400, 1, 1, 0, 0},
	{"STATE_FOLDER", 263, 24, 0x1, 0x10, 1, 1, 0, 0},
	{"LOCKER", 264, 24, 0x1, 0x10, 1, 1, 0, 0},
	{"TAKE", 284, 48, 0x11, 0x11, 0, 0, 512, 1},
	{"TAKEN", 285, 72, 0x11, 0x11, 0, 0, 0, 0},
	{"ASK", 300, 56, 0x200, 0x9, 0, 1, 512, 1},
	{"LINES", 301, 56, 0x9, 0x200, 0, 0, 65536, 0},
	{"LOG_LEVEL", 302, 24, 0x1, 0x7fe, 0, 0, 0, 0},
	{"STOP_ACCEPTING", 303, 16, 0x1, 0x6, 0, 0, 0, 0},
	{"RECORDER", 320, 16, 0x1, 0x7fe, 1, 1, 0, 0},
	{"RING", 321, 56, 0x1, 0x200, 1, 1, 0, 0},
	{"RING_WRITER", 322, 56, 0x1, 0x200, 0, 0, 0, 0},
	{"TRACE", 323, 40, 0x200, 0x8, 0, 0, 512, 1},
	{"TRACED", 324, 32, 0x8, 0x200, 0, 0, 0, 0},
	{"BAN", 360, 64, 0x200, 0x1, 0, 0, 120, 1},
	{"BAN_PAGE", 361, 288, 0x1, 0x200, 0, 0, 43008, 0},
	{"BANS", 362, 24, 0x1, 0x82, 0, 1, 0, 0},
	{"PENALTIES", 363, 24, 0x9, 0x9, 1, 1, 0, 0},
	{"PENALTY_ASK", 364, 40, 0x200, 0x8, 0, 0, 0, 0},
	{"PENALTY_PAGE", 365, 40, 0x8, 0x200, 0, 0, 20480, 0},
	{"JUDGED", 400, 24, 0x20, 0x1, 0, 0, 512, 1},
	{"REMOTES", 420, 24, 0x1, 0x1000, 1, 1, 0, 0},
	{"GUARD", 440, 56, 0x10, 0x1, 0, 0, 1024, 2},
	{"NODES_BAN", 461, 64, 0x11, 0x11, 0, 0, 120, 1},
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct row *find(const struct row *rows, size_t count, uint32_t type)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

static void test_rows_stay_as_they_were(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(frozen); i++) {
		const struct row *was = &frozen[i], *is = find(now, COUNT(now), was->type);

		if (!is || strcmp(is->name, was->name) != 0 || is->size != was->size ||
		    (is->from & was->from) != was->from || (is->to & was->to) != was->to ||
		    is->fds_min != was->fds_min || is->fds_max != was->fds_max ||
		    is->tail_max != was->tail_max || is->texts != was->texts)
			fail_msg("%s (%u) is not what it was: processes of an older version still "
				 "send it; make a new row instead",
				 was->name, was->type);
	}
}

static void test_new_rows_are_frozen_too(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(now); i++) {
		const struct row *is = &now[i];
		bool crosses = (is->from | is->to) & (IPC_M | IPC_C);

		if (crosses && !find(frozen, COUNT(frozen), is->type))
			fail_msg("add to frozen: {\"%s\", %u, %zu, 0x%x, 0x%x, %u, %u, %u, %u},",
				 is->name, is->type, is->size, is->from, is->to, is->fds_min,
				 is->fds_max, is->tail_max, is->texts);
	}
}

/* Roles and services stand in those rows. */
static void test_numbers_in_rows_stay_as_they_were(void **state)
{
	static const int roles[] = {ROLE_MONITOR,  ROLE_FRONT,   ROLE_LMTP,   ROLE_AUTH,
				    ROLE_KEEPER,   ROLE_KEYS,    ROLE_LOOKUP, ROLE_MTA,
				    ROLE_LOGINS,   ROLE_CONTROL, ROLE_STATUS, ROLE_LOCKER,
				    ROLE_CONNECTOR};
	static const int asks[] = {LOCATION_LOOK, LOCATION_MAKE, LOCATION_MADE, LOCATION_SEEN};
	static const int guard_asks[] = {GUARD_JUDGE, GUARD_SEEN, GUARD_TRIPPED};
	static const int directories[] = {DIRECTORY_USERS, DIRECTORY_MAIL, DIRECTORY_ALIASES,
					  DIRECTORY_LOGINS};

	(void)state;
	for (size_t i = 0; i < COUNT(roles); i++)
		assert_int_equal(roles[i], i);
	for (size_t i = 0; i < COUNT(asks); i++)
		assert_int_equal(asks[i], i);
	for (size_t i = 0; i < COUNT(guard_asks); i++)
		assert_int_equal(guard_asks[i], i);
	for (size_t i = 0; i < COUNT(directories); i++)
		assert_int_equal(directories[i], i);
	assert_int_equal(TLS_TICKET_KEYS, 3);
	assert_int_equal(TLS_TICKET_KEY_SIZE, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_stay_as_they_were),
		cmocka_unit_test(test_new_rows_are_frozen_too),
		cmocka_unit_test(test_numbers_in_rows_stay_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
