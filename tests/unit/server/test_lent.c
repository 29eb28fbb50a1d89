/* A lent message on its way out: sendfile goes up to the end of the window and leaves the last line
 * break, the next window is asked for in turn, answers to other questions do not fit. The
 * connection of this program only notes what it is to send. */
#include "server/front/lent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

enum { BEGIN = 100, STORED = 1000 };

static struct {
	uint64_t offset, size; /* of the last conn_send_file */
	unsigned sent;
	uint64_t counted; /* by the protocol */
	bool cannot;
} conn;

bool __wrap_conn_can_send_file(const struct conn *unused);
void __wrap_conn_send_file(struct conn *unused, int fd, uint64_t offset, uint64_t size);
void __wrap_pop3_server_body_sent(struct pop3_server *server, uint64_t octets);

bool __wrap_conn_can_send_file(const struct conn *unused)
{
	(void)unused;
	return !conn.cannot;
}

void __wrap_conn_send_file(struct conn *unused, int fd, uint64_t offset, uint64_t size)
{
	(void)unused;
	assert_true(fd >= 0);
	conn.offset = offset;
	conn.size = size;
	conn.sent++;
}

void __wrap_pop3_server_body_sent(struct pop3_server *server, uint64_t octets)
{
	(void)server;
	conn.counted += octets;
}

/* Lends STORED octets, the first window of which are in memory. */
static void lend(struct lent *lent, uint64_t window, bool wire_form, bool whole)
{
	struct ipc_body_lent message = {.offset = BEGIN,
					.stored = STORED,
					.octets = STORED,
					.window = window,
					.number = 7,
					.wire_form = wire_form,
					.in_memory = 1};
	int fd = memfd_create("message", MFD_CLOEXEC);

	memset(&conn, 0, sizeof(conn));
	assert_int_equal(ftruncate(fd, BEGIN + STORED), 0);
	lent_init(lent);
	lent_close(lent, whole);
	lent_take(lent, &message, &fd);
	assert_int_equal(fd, -1);
	assert_false(lent_waits(lent));
}

static void sends(struct lent *lent, uint64_t offset, uint64_t size)
{
	unsigned before = conn.sent;

	assert_int_equal(lent_send_file(lent, NULL), LENT_DONE);
	assert_int_equal(conn.sent, before + 1);
	assert_int_equal(conn.offset, BEGIN + offset);
	assert_int_equal(conn.size, size);
	assert_true(lent_waits(lent));
	assert_true(lent_file_sent(lent, false, NULL));
	assert_false(lent_waits(lent));
}

static void asks(struct lent *lent, uint64_t offset, uint64_t size)
{
	struct ipc_slice message = {0};

	lent_ask(lent, &message);
	assert_int_equal(message.number, 7);
	assert_int_equal(message.offset, offset);
	assert_int_equal(message.size, size);
	assert_int_equal(message.by_value, 0);
	assert_true(lent_waits(lent));
}

static void gets(struct lent *lent, uint64_t offset, uint64_t size)
{
	struct ipc_slice message = {.number = 7, .offset = offset, .size = size};

	assert_true(lent_fits(lent, IPC_SLICE_READY, &message));
	assert_int_equal(lent_slice(lent, &message), 0);
	assert_false(lent_waits(lent));
}

static void test_all_of_it_is_in_the_window(void **state)
{
	struct lent lent;

	(void)state;
	lend(&lent, STORED, true, true);
	sends(&lent, 0, STORED - 2);
	assert_int_equal(conn.counted, STORED - 2);
	assert_int_equal(lent_send_file(&lent, NULL), LENT_BY_VALUE); /* the last line break */
	lent_close(&lent, true);
}

static void test_sendfile_never_leaves_the_window(void **state)
{
	struct lent lent;

	(void)state;
	lend(&lent, 400, true, true);
	sends(&lent, 0, 400);
	assert_int_equal(lent_send_file(&lent, NULL), LENT_WANTS);
	asks(&lent, 400, 600);
	gets(&lent, 400, 300); /* the keeper may read less */
	sends(&lent, 400, 300);
	assert_int_equal(lent_send_file(&lent, NULL), LENT_WANTS);
	asks(&lent, 700, 300);
	gets(&lent, 700, 300);
	sends(&lent, 700, 298);
	assert_int_equal(conn.counted, STORED - 2);
	lent_close(&lent, true);
}

static void test_the_window_ends_in_the_last_line_break(void **state)
{
	struct lent lent;

	(void)state;
	lend(&lent, STORED - 1, true, true);
	sends(&lent, 0, STORED - 2);
	assert_int_equal(lent_send_file(&lent, NULL), LENT_BY_VALUE);
	lent_close(&lent, true);
}

static void test_what_cannot_go_by_sendfile(void **state)
{
	struct lent lent;

	(void)state;
	lend(&lent, STORED, false, true); /* stored with LF */
	assert_int_equal(lent_send_file(&lent, NULL), LENT_BY_VALUE);
	lent_close(&lent, false);
	lend(&lent, STORED, true, false); /* TOP */
	assert_int_equal(lent_send_file(&lent, NULL), LENT_BY_VALUE);
	lent_close(&lent, false);
	lend(&lent, STORED, true, true);
	conn.cannot = true; /* TLS */
	assert_int_equal(lent_send_file(&lent, NULL), LENT_BY_VALUE);
	assert_int_equal(conn.sent, 0);
	lent_close(&lent, false);
}

static void test_a_file_that_was_not_sent(void **state)
{
	struct lent lent;

	(void)state;
	lend(&lent, STORED, true, true);
	assert_false(lent_file_sent(&lent, false, NULL)); /* nothing was under way */
	assert_int_equal(lent_send_file(&lent, NULL), LENT_DONE);
	assert_false(lent_file_sent(&lent, true, NULL));
	assert_int_equal(conn.counted, 0);
	lent_close(&lent, true);
}

static void test_answers_that_do_not_fit(void **state)
{
	struct ipc_body_failed failed = {.number = 7};
	struct ipc_slice good = {.number = 7, .offset = 400, .size = 600}, bad;
	struct lent lent;

	(void)state;
	lend(&lent, 400, true, true);
	sends(&lent, 0, 400);
	asks(&lent, 400, 600);
	assert_true(lent_fits(&lent, IPC_SLICE_READY, &good));
	assert_true(lent_fits(&lent, IPC_BODY_FAILED, &failed));
	assert_false(lent_fits(&lent, IPC_SLICE, &good)); /* it was not asked for by value */
	bad = good;
	bad.size++;
	assert_false(lent_fits(&lent, IPC_SLICE_READY, &bad));
	bad = good;
	bad.offset--;
	assert_false(lent_fits(&lent, IPC_SLICE_READY, &bad));
	bad = good;
	bad.number++;
	assert_false(lent_fits(&lent, IPC_SLICE_READY, &bad));
	failed.number++;
	assert_false(lent_fits(&lent, IPC_BODY_FAILED, &failed));
	lent_close(&lent, true);
}

/* The rest of a message that was sent by value is not the beginning of the next one. */
static void test_a_slice_that_is_left(void **state)
{
	struct {
		struct ipc_slice slice;
		char octets[STORED];
	} answer = {.slice = {.number = 7, .size = STORED}};
	struct ipc_body_lent next = {.offset = BEGIN,
				     .stored = STORED,
				     .octets = STORED,
				     .window = STORED,
				     .number = 8,
				     .wire_form = true,
				     .in_memory = 1};
	struct ipc_slice asked;
	struct lent lent;
	int fd = memfd_create("message", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, BEGIN + STORED), 0);
	lend(&lent, STORED, true, true);
	lent.cold = true; /* its octets are in memory no more */
	lent_ask(&lent, &asked);
	assert_true(lent_fits(&lent, IPC_SLICE, &answer.slice));
	assert_int_equal(lent_slice(&lent, &answer.slice), 0);
	assert_int_equal(lent_send_file(&lent, NULL), LENT_BY_VALUE);
	lent_close(&lent, true);
	lent_take(&lent, &next, &fd);
	sends(&lent, 0, STORED - 2);
	lent_close(&lent, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_it_is_in_the_window),
		cmocka_unit_test(test_sendfile_never_leaves_the_window),
		cmocka_unit_test(test_the_window_ends_in_the_last_line_break),
		cmocka_unit_test(test_what_cannot_go_by_sendfile),
		cmocka_unit_test(test_a_file_that_was_not_sent),
		cmocka_unit_test(test_answers_that_do_not_fit),
		cmocka_unit_test(test_a_slice_that_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
