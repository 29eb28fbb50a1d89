/* src/ipc: every row of the table is refused in every way that it can be wrong. */
#include "ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *name;
	size_t size;
	uint32_t from, to, tail_max;
	unsigned fds_min, fds_max;
};

static const struct row rows[] = {
#define X(name, type, from, to, min, max, tail) \
	{#name, sizeof(struct type), (from), (to), (tail), (min), (max)},
	IPC_MESSAGES(X)
#undef X
};

static enum ipc_type check(uint32_t type, size_t size, size_t tail_said, unsigned fds, int from,
			   int to)
{
	struct ipc_head *head = calloc(1, size + 1);
	const char *why = NULL;
	enum ipc_type got;

	assert_non_null(head);
	head->type = type;
	head->tail = (uint32_t)tail_said;
	got = ipc_check(head, size, fds, (enum ipc_role)from, (enum ipc_role)to, &why);
	if (got == IPC_NONE)
		assert_non_null(why);
	free(head);
	return got;
}

static void test_every_row(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		uint32_t type = i + 1;
		size_t whole = row->size + row->tail_max;

		assert_string_equal(ipc_name(type), row->name);
		for (int from = 0; from < ROLE_COUNT; from++)
			for (int to = 0; to < ROLE_COUNT; to++) {
				bool may = (row->from >> from & 1) && (row->to >> to & 1);

				assert_int_equal(
					check(type, whole, row->tail_max, row->fds_min, from, to),
					may ? type : IPC_NONE);
				if (!may)
					continue;
				assert_int_equal(check(type, row->size, 0, row->fds_max, from, to),
						 type);
				assert_int_equal(
					check(type, row->size - 1, 0, row->fds_min, from, to),
					IPC_NONE);
				assert_int_equal(
					check(type, row->size + 1, 0, row->fds_min, from, to),
					IPC_NONE);
				assert_int_equal(check(type, row->size, 1, row->fds_min, from, to),
						 IPC_NONE);
				assert_int_equal(
					check(type, row->size, UINT32_MAX, row->fds_min, from, to),
					IPC_NONE);
				assert_int_equal(check(type, whole + 1, row->tail_max + 1u,
						       row->fds_min, from, to),
						 IPC_NONE);
				assert_int_equal(
					check(type, row->size, 0, row->fds_max + 1, from, to),
					IPC_NONE);
				if (row->fds_min)
					assert_int_equal(check(type, row->size, 0, row->fds_min - 1,
							       from, to),
							 IPC_NONE);
			}
	}
}

static void test_no_such_message(void **state)
{
	(void)state;
	assert_int_equal(check(IPC_NONE, 64, 0, 0, ROLE_FRONT, ROLE_AUTH), IPC_NONE);
	assert_int_equal(check(IPC_COUNT, 64, 0, 0, ROLE_FRONT, ROLE_AUTH), IPC_NONE);
	assert_int_equal(check(UINT32_MAX, 64, 0, 0, ROLE_FRONT, ROLE_AUTH), IPC_NONE);
	assert_string_equal(ipc_name(UINT32_MAX), "unknown message");
}

/* A packet is cut into messages only where one surely ends. */
static void test_several_in_a_packet(void **state)
{
	union {
		struct ipc_head head;
		char octets[512];
	} packet = {.head = {IPC_CONNECT, 0}};
	struct ipc_head *second = (struct ipc_head *)(packet.octets + sizeof(struct ipc_connect));
	size_t one = sizeof(struct ipc_connect), two = one + sizeof(struct ipc_session);

	(void)state;
	second->type = IPC_DISCONNECT;
	assert_int_equal(ipc_first(&packet, two), one);
	assert_int_equal(ipc_first(second, two - one), two - one);
	assert_int_equal(ipc_first(&packet, one), one);
	assert_int_equal(ipc_first(&packet, one - 1), one - 1);
	assert_int_equal(ipc_first(&packet, 7), 7); /* not even a head */
	packet.head.tail = 16;                      /* all of the rest is its tail */
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head.tail = 15; /* what follows would not be aligned */
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head.tail = UINT32_MAX;
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head = (struct ipc_head){IPC_COUNT, 0};
	assert_int_equal(ipc_first(&packet, two), two);
}

/* Nothing but the monitor gives authority: what a front may say to a keeper is about sessions that
 * auth opened. */
static void test_threat_29_who_may_open(void **state)
{
	(void)state;
	for (int from = 0; from < ROLE_COUNT; from++) {
		bool may = from == ROLE_AUTH;

		assert_int_equal(check(IPC_OPEN, sizeof(struct ipc_open), 0, 0, from, ROLE_KEEPER),
				 may ? IPC_OPEN : IPC_NONE);
		assert_int_equal(check(IPC_RCPT_OPEN, sizeof(struct ipc_recipient_open), 0, 0, from,
				       ROLE_KEEPER),
				 may ? IPC_RCPT_OPEN : IPC_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_no_such_message),
		cmocka_unit_test(test_several_in_a_packet),
		cmocka_unit_test(test_threat_29_who_may_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
