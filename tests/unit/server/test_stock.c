/* Files for large messages that an LMTP front has in stock: how many it asks for, and that it takes
 * no more than that. */
#include "server/lmtp/stock.h"

#include "ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct chan monitor;
static struct stock stock;
static unsigned asked;
static bool is_full; /* the channel */

int __wrap_ipc_send(struct chan *to, enum ipc_type type, void *message);

int __wrap_ipc_send(struct chan *to, enum ipc_type type, void *message)
{
	(void)message;
	assert_ptr_equal(to, &monitor);
	assert_int_equal(type, IPC_SPOOL_WANTED);
	if (is_full)
		return -1;
	asked++;
	return 0;
}

static int begin(void **state)
{
	(void)state;
	asked = 0;
	is_full = false;
	stock_init(&stock, &monitor);
	assert_int_equal(asked, STOCK_MAX);
	return 0;
}

/* The monitor sends a file of these descriptors: whether it is kept. */
static bool comes(int first)
{
	int fds[2] = {first, first + 1};

	stock_file(&stock, fds);
	if (fds[0] != -1) { /* the caller closes both */
		assert_int_equal(fds[0], first);
		assert_int_equal(fds[1], first + 1);
		return false;
	}
	assert_int_equal(fds[1], -1);
	return true;
}

/* Takes the file of these descriptors. */
static void takes(int first)
{
	int fds[2] = {-1, -1};

	assert_true(stock_take(&stock, fds));
	assert_int_equal(fds[0], first);
	assert_int_equal(fds[1], first + 1);
}

static void test_as_many_as_were_asked_for(void **state)
{
	(void)state;
	for (int i = 0; i < STOCK_MAX; i++)
		assert_true(comes(100 + 2 * i));
	assert_false(comes(500));
	assert_int_equal(asked, STOCK_MAX);
	for (int i = STOCK_MAX - 1; i >= 0; i--)
		takes(100 + 2 * i);
	assert_int_equal(asked, 2 * STOCK_MAX); /* each is asked for again */
}

static void test_none_is_there_yet(void **state)
{
	int fds[2] = {-1, -1};

	(void)state;
	assert_false(stock_take(&stock, fds));
	assert_int_equal(fds[0] & fds[1], -1);
	assert_int_equal(asked, STOCK_MAX); /* all are on their way */
	assert_true(comes(100));
	takes(100);
	assert_int_equal(asked, STOCK_MAX + 1);
	assert_false(stock_take(&stock, fds));
}

/* "There is none" is an answer as well: that one is asked for with the next message. */
static void test_the_monitor_has_none(void **state)
{
	int fds[2];

	(void)state;
	for (int i = 0; i < STOCK_MAX; i++)
		stock_none(&stock);
	stock_none(&stock); /* unasked */
	assert_int_equal(asked, STOCK_MAX);
	assert_false(comes(100)); /* nor is this one asked for */
	assert_false(stock_take(&stock, fds));
	assert_int_equal(asked, 2 * STOCK_MAX);
	assert_true(comes(100));
}

static void test_a_channel_that_is_full(void **state)
{
	(void)state;
	assert_true(comes(100));
	is_full = true;
	takes(100);
	assert_int_equal(asked, STOCK_MAX);
	is_full = false;
	stock_ask(&stock);
	assert_int_equal(asked, STOCK_MAX + 1);
	stock_ask(&stock);
	assert_int_equal(asked, STOCK_MAX + 1);
}

#define IN_STOCK(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_STOCK(test_as_many_as_were_asked_for),
		IN_STOCK(test_none_is_there_yet),
		IN_STOCK(test_the_monitor_has_none),
		IN_STOCK(test_a_channel_that_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
