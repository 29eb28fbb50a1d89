/* Connections by address, sessions by user, and what failed logins cost. */
#include "server/auth/limits.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE (60ull * 1000)

static const uint8_t near_a[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
static const uint8_t near_b[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9};
static const uint8_t far_six[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1};
static const uint8_t four_a[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
static const uint8_t four_b[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2};
static const uint8_t loop_four[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 9, 9, 9};
static const uint8_t loop_six[16] = {[15] = 1};

static struct limit_address *connected(struct limits *limits, const uint8_t address[16])
{
	enum reason why;
	struct limit_address *entry = limits_connect(limits, address, true, false, &why);

	assert_non_null(entry);
	assert_int_equal(why, REASON_OK);
	return entry;
}

static void refused(struct limits *limits, const uint8_t address[16], enum reason expected)
{
	enum reason why;

	assert_null(limits_connect(limits, address, true, false, &why));
	assert_int_equal(why, expected);
}

static void finish(struct limits *limits)
{
	assert_int_equal(limits->connections, 0);
	assert_int_equal(limits->addresses.count, 0);
	assert_int_equal(limits->users.count, 0);
	table_finish(&limits->addresses);
	table_finish(&limits->blocks);
	table_finish(&limits->users);
}

static void test_an_ipv6_network_is_one_address(void **state)
{
	struct config config = {.max_connections_per_address = 2};
	struct limits limits;
	struct limit_address *one, *two, *other;

	(void)state;
	limits_init(&limits, &config);
	one = connected(&limits, near_a);
	two = connected(&limits, near_b);
	assert_ptr_equal(one, two);
	refused(&limits, near_a, REASON_ADDRESS_CONNECTIONS);
	refused(&limits, near_b, REASON_ADDRESS_CONNECTIONS);
	other = connected(&limits, far_six);
	assert_ptr_not_equal(one, other);
	limits_disconnect(&limits, one);
	one = connected(&limits, near_b);
	limits_disconnect(&limits, one);
	limits_disconnect(&limits, two);
	limits_disconnect(&limits, other);
	finish(&limits);
}

/* Connects from as many /64s as are asked for, all in one /48, each of another /56 if wide. */
static void connect_many(struct limits *limits, struct limit_address **entries, unsigned count,
			 bool wide)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t address[16] = {0x20, 1, 0xd, 0xb8, 0, 7};

		address[wide ? 6 : 7] = (uint8_t)(i + 1);
		entries[i] = connected(limits, address);
	}
}

static void test_wider_ipv6_networks_have_limits_of_their_own(void **state)
{
	struct config config = {.max_connections_per_address = 2};
	struct limits limits;
	struct limit_address *entries[32], *other;
	const uint8_t same_56[16] = {0x20, 1, 0xd, 0xb8, 0, 7, 0, 99};
	const uint8_t same_48[16] = {0x20, 1, 0xd, 0xb8, 0, 7, 99, 99};
	const uint8_t elsewhere[16] = {0x20, 1, 0xd, 0xb8, 0, 8, 99, 99};

	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		unsigned count = wide ? 32 : 8; /* 16 and four times two */

		limits_init(&limits, &config);
		connect_many(&limits, entries, count, wide);
		refused(&limits, wide ? same_48 : same_56, REASON_ADDRESS_CONNECTIONS);
		other = connected(&limits, wide ? elsewhere : same_48);
		limits_disconnect(&limits, other);
		limits_disconnect(&limits, entries[0]);
		entries[0] = connected(&limits, wide ? same_48 : same_56);
		for (unsigned i = 0; i < count; i++)
			limits_disconnect(&limits, entries[i]);
		assert_int_equal(limits.blocks.count, 0);
		finish(&limits);
	}
}

static void test_threat_25_failures_of_wider_ipv6_networks(void **state)
{
	struct config config = {.failure_delay_ms = 1000, .failure_delay_max_ms = 60000};
	struct limits limits;
	struct limit_address *entries[16];

	(void)state;
	limits_init(&limits, &config);
	connect_many(&limits, entries, 16, false);
	for (unsigned i = 0; i < 12; i++) { /* each a first failure: of the /56 they are more */
		uint32_t delay = limits_failed(&limits, entries[i], 1, MINUTE);

		assert_int_equal(delay, i < 7 ? 1000 : i < 11 ? 2000 : 4000);
	}
	/* forgotten after the time */
	assert_int_equal(limits_failed(&limits, entries[15], 1, 12 * MINUTE), 1000);
	for (unsigned i = 0; i < 16; i++)
		limits_disconnect(&limits, entries[i]);
	limits_sweep(&limits, 30 * MINUTE);
	assert_int_equal(limits.blocks.count, 0);
	finish(&limits);
}

static void test_ipv4_addresses_are_one_each(void **state)
{
	struct config config = {.max_connections_per_address = 1};
	struct limits limits;
	struct limit_address *one, *two;

	(void)state;
	limits_init(&limits, &config);
	one = connected(&limits, four_a);
	two = connected(&limits, four_b);
	refused(&limits, four_a, REASON_ADDRESS_CONNECTIONS);
	limits_disconnect(&limits, one);
	limits_disconnect(&limits, two);
	finish(&limits);
}

static void test_all_connections_have_a_limit(void **state)
{
	struct config config = {.max_connections = 2};
	struct limits limits;
	struct limit_address *one, *two, *forced;
	enum reason why;

	(void)state;
	limits_init(&limits, &config);
	one = connected(&limits, four_a);
	two = connected(&limits, four_a);
	/* a stranger who is refused leaves no entry behind */
	refused(&limits, four_b, REASON_CONNECTIONS);
	assert_int_equal(limits.addresses.count, 1);
	forced = limits_connect(&limits, four_b, true, true, &why);
	assert_non_null(forced);
	assert_int_equal(why, REASON_OK);
	assert_int_equal(limits.connections, 3);
	limits_disconnect(&limits, one);
	refused(&limits, four_a, REASON_CONNECTIONS);
	limits_disconnect(&limits, forced);
	one = connected(&limits, four_a);
	limits_disconnect(&limits, one);
	limits_disconnect(&limits, two);
	finish(&limits);
}

static void test_the_delay_doubles_up_to_its_limit(void **state)
{
	static const uint32_t delays[] = {1000, 2000, 4000, 8000, 15000, 15000, 15000};
	struct config config = {.failure_delay_ms = 1000, .failure_delay_max_ms = 15000};
	struct limits limits;
	struct limit_address *local;

	(void)state;
	limits_init(&limits, &config);
	local = connected(&limits, loop_four);
	for (uint32_t n = 1; n <= 7; n++)
		assert_int_equal(limits_failed(&limits, local, n, MINUTE), delays[n - 1]);
	assert_int_equal(limits_failed(&limits, local, UINT32_MAX, MINUTE), 15000);
	config.failure_delay_ms = 0; /* doubled it stays nothing: and it must end */
	assert_int_equal(limits_failed(&limits, local, 3, MINUTE), 0);
	config.failure_delay_ms = 300000;
	assert_int_equal(limits_failed(&limits, local, 1, MINUTE), 15000);
	limits_disconnect(&limits, local);
	finish(&limits);
}

static void test_an_address_is_remembered_for_ten_minutes(void **state)
{
	struct config config = {.failure_delay_ms = 1000, .failure_delay_max_ms = 15000};
	struct limits limits;
	struct limit_address *entry;
	uint64_t now = 100 * MINUTE;

	(void)state;
	limits_init(&limits, &config);
	/* each time from a new connection, so that it is the first failure of that */
	for (uint32_t expected = 1000; expected <= 8000; expected *= 2) {
		entry = connected(&limits, four_a);
		assert_int_equal(limits_failed(&limits, entry, 1, now), expected);
		limits_disconnect(&limits, entry);
	}
	assert_int_equal(limits.addresses.count, 1);
	limits_sweep(&limits, now + 10 * MINUTE);
	assert_int_equal(limits.addresses.count, 1);
	entry = connected(&limits, four_a);
	assert_int_equal(limits_failed(&limits, entry, 1, now + 10 * MINUTE + 1), 1000);
	limits_disconnect(&limits, entry);
	limits_sweep(&limits, now + 21 * MINUTE);
	finish(&limits);
}

static void test_a_sweep_spares_what_is_connected(void **state)
{
	struct config config = {.failure_delay_ms = 1000, .failure_delay_max_ms = 15000};
	struct limits limits;
	struct limit_address *entry;

	(void)state;
	limits_init(&limits, &config);
	entry = connected(&limits, near_a);
	assert_int_equal(limits_failed(&limits, entry, 1, 100 * MINUTE), 1000);
	limits_sweep(&limits, 200 * MINUTE);
	assert_int_equal(limits.addresses.count, 1);
	assert_int_equal(limits_failed(&limits, entry, 1, 200 * MINUTE), 1000);
	limits_disconnect(&limits, entry);
	limits_sweep(&limits, 300 * MINUTE);
	finish(&limits);
}

static void test_loopback_is_not_remembered(void **state)
{
	const uint8_t *local[] = {loop_four, loop_six};
	struct config config = {.failure_delay_ms = 1000, .failure_delay_max_ms = 15000};
	struct limits limits;

	(void)state;
	limits_init(&limits, &config);
	for (int i = 0; i < 2; i++)
		for (int n = 0; n < 5; n++) {
			struct limit_address *entry = connected(&limits, local[i]);

			assert_int_equal(limits_failed(&limits, entry, 1, 100 * MINUTE), 1000);
			limits_disconnect(&limits, entry);
		}
	finish(&limits);
}

static void test_sessions_of_a_user_have_a_limit(void **state)
{
	struct config config = {.max_sessions_per_user = 2};
	struct limits limits;
	struct limit_user *one, *two, *other;

	(void)state;
	limits_init(&limits, &config);
	one = limits_login(&limits, SPAN_LITERAL("carol"));
	two = limits_login(&limits, SPAN_LITERAL("carol"));
	assert_non_null(one);
	assert_ptr_equal(one, two);
	assert_null(limits_login(&limits, SPAN_LITERAL("carol")));
	other = limits_login(&limits, SPAN_LITERAL("caro"));
	assert_non_null(other);
	assert_ptr_not_equal(one, other);
	limits_logout(&limits, one);
	assert_ptr_equal(limits_login(&limits, SPAN_LITERAL("carol")), two);
	limits_logout(&limits, two);
	limits_logout(&limits, two);
	limits_logout(&limits, other);
	finish(&limits);
}

static void test_threat_70_what_is_given_up_again_is_a_failure(void **state)
{
	static const struct config config = {.failure_delay_ms = 1000,
					     .failure_delay_max_ms = 15000};
	struct limits limits;
	struct limit_address *near, *near_too, *far;

	(void)state;
	limits_init(&limits, &config);
	near = connected(&limits, near_a);
	near_too = connected(&limits, near_b);
	far = connected(&limits, four_a);
	/* one that is honest costs nothing */
	assert_false(limits_given_up(&limits, near, 1, MINUTE));
	assert_false(limits_given_up(&limits, far, 1, MINUTE));
	assert_false(limits_has_failures(near, MINUTE));
	assert_true(limits_given_up(&limits, near, 2, MINUTE));
	/* on another connection of the same network it is not the first */
	assert_true(limits_given_up(&limits, near_too, 1, 2 * MINUTE));
	/* forgotten as failures are, from the last one on */
	assert_true(limits_given_up(&limits, near, 1, 12 * MINUTE));
	assert_false(limits_given_up(&limits, near, 1, 23 * MINUTE));
	limits_disconnect(&limits, near);
	limits_disconnect(&limits, near_too);
	limits_disconnect(&limits, far);
	assert_int_equal(limits.addresses.count, 2); /* they are remembered … */
	limits_sweep(&limits, 23 * MINUTE);
	assert_int_equal(limits.addresses.count, 1);
	limits_sweep(&limits, 34 * MINUTE);
	assert_int_equal(limits.addresses.count, 0);
	table_finish(&limits.addresses);
	table_finish(&limits.blocks);
}

/* There proxies and webmail connect for all: a connection counts for itself only. */
static void test_threat_70_given_up_on_loopback(void **state)
{
	static const struct config config = {.failure_delay_ms = 1000,
					     .failure_delay_max_ms = 15000};
	struct limits limits;
	struct limit_address *address;

	(void)state;
	limits_init(&limits, &config);
	address = connected(&limits, loop_four);
	for (int i = 0; i < 5; i++)
		assert_false(limits_given_up(&limits, address, 1, MINUTE));
	assert_true(limits_given_up(&limits, address, 2, MINUTE));
	limits_disconnect(&limits, address);
	assert_int_equal(limits.addresses.count, 0);
	table_finish(&limits.addresses);
	table_finish(&limits.blocks);
}

static void test_fresh_failures_are_those_of_ten_minutes(void **state)
{
	static const struct config config = {.failure_delay_ms = 1000,
					     .failure_delay_max_ms = 15000};
	struct limits limits;
	struct limit_address *address;

	(void)state;
	limits_init(&limits, &config);
	address = connected(&limits, four_b);
	assert_false(limits_has_failures(address, MINUTE));
	limits_failed(&limits, address, 1, MINUTE);
	assert_true(limits_has_failures(address, 11 * MINUTE));
	assert_false(limits_has_failures(address, 11 * MINUTE + 1));
	limits_disconnect(&limits, address);
	limits_sweep(&limits, 20 * MINUTE);
	assert_int_equal(limits.addresses.count, 0);
	table_finish(&limits.addresses);
	table_finish(&limits.blocks);
}

/* What a proxy calls loopback has penalties; the machine's own has none, and is counted apart. */
static void test_loopback_of_a_proxy_is_not_this_machine(void **state)
{
	struct config config = {.max_connections_per_address = 1,
				.failure_delay_ms = 1000,
				.failure_delay_max_ms = 8000};
	struct limit_address *own, *named, *none;
	struct limits limits;
	enum reason why;

	(void)state;
	limits_init(&limits, &config);
	own = limits_connect(&limits, loop_four, true, false, &why);
	named = limits_connect(&limits, loop_four, false, false, &why);
	assert_non_null(own);
	assert_non_null(named);
	assert_true(limits_is_loopback(own));
	assert_false(limits_is_loopback(named));
	/* an address that is none of loopback is none, whatever is said of it */
	none = limits_connect(&limits, near_a, true, false, &why);
	assert_non_null(none);
	assert_false(limits_is_loopback(none));
	for (int i = 0; i < 3; i++)
		limits_failed(&limits, own, 1, 10);
	assert_int_equal(limits_failed(&limits, own, 1, 10), 1000);
	assert_false(limits_has_failures(own, 10));
	limits_failed(&limits, named, 1, 10);
	assert_int_equal(limits_failed(&limits, named, 1, 10), 2000);
	assert_true(limits_has_failures(named, 10));
	limits_disconnect(&limits, own);
	limits_disconnect(&limits, named);
	limits_disconnect(&limits, none);
	limits_sweep(&limits, 20 * 60 * 1000);
	finish(&limits);
}

/* ---- penalties between processes ---- */

static struct ipc_penalty kept[32];
static unsigned kept_count;

static void keep(const struct ipc_penalty *row, void *context)
{
	(void)context;
	assert_true(kept_count < 32);
	kept[kept_count++] = *row;
}

static void fail_at(struct limits *limits, const uint8_t address[16], unsigned times, uint64_t now)
{
	struct limit_address *entry = connected(limits, address);

	while (times--)
		limits_failed(limits, entry, 1, now);
	limits_disconnect(limits, entry);
}

static uint32_t next_delay(struct limits *limits, const uint8_t address[16], uint64_t now)
{
	struct limit_address *entry = connected(limits, address);
	uint32_t delay = limits_failed(limits, entry, 1, now);

	limits_disconnect(limits, entry);
	return delay;
}

static void test_penalties_go_over_to_another_process(void **state)
{
	struct config config = {.failure_delay_ms = 1, .failure_delay_max_ms = 1u << 20};
	struct limits old, new;
	uint64_t now = 60 * MINUTE;

	(void)state;
	kept_count = 0;
	limits_init(&old, &config);
	limits_init(&new, &config);
	assert_int_equal(old.changes, 0);
	fail_at(&old, four_a, 5, now);
	fail_at(&old, near_a, 3, now - MINUTE);
	fail_at(&old, far_six, 6, now);
	fail_at(&old, four_b, 7, now - 11 * MINUTE); /* forgotten by now */
	assert_int_equal(old.changes, 21);
	limits_penalties(&old, now, keep, NULL);
	assert_int_equal(kept_count, 3 + 1 + 1); /* addresses, their /56, their /48 */
	fail_at(&new, four_a, 2, now);
	fail_at(&new, near_a, 4, now);
	for (unsigned i = 0; i < kept_count; i++)
		assert_true(limits_take_penalty(&new, &kept[i], now));
	/* the greater one stays, taken once or twice */
	for (unsigned i = 0; i < kept_count; i++)
		assert_true(limits_take_penalty(&new, &kept[i], now));
	assert_int_equal(next_delay(&new, four_a, now), 1 << 5);
	assert_int_equal(next_delay(&new, near_b, now), 1 << 4);
	assert_int_equal(next_delay(&new, far_six, now), 1 << 6);
	assert_int_equal(next_delay(&new, four_b, now), 1);
	limits_sweep(&new, now + 11 * MINUTE);
	limits_sweep(&old, now + 11 * MINUTE);
	finish(&new);
	finish(&old);
}

/* What a proxy calls loopback goes over, too, and never becomes this machine's own. */
static void test_loopback_of_a_proxy_goes_over(void **state)
{
	struct config config = {.failure_delay_ms = 1, .failure_delay_max_ms = 1u << 20};
	struct limit_address *own, *named;
	struct limits old, new;
	enum reason why;

	(void)state;
	kept_count = 0;
	limits_init(&old, &config);
	limits_init(&new, &config);
	named = limits_connect(&old, loop_four, false, false, &why);
	for (int i = 0; i < 4; i++)
		limits_failed(&old, named, 1, MINUTE);
	limits_disconnect(&old, named);
	limits_penalties(&old, MINUTE, keep, NULL);
	assert_int_equal(kept_count, 1);
	assert_true(limits_take_penalty(&new, &kept[0], MINUTE));
	own = limits_connect(&new, loop_four, true, false, &why);
	named = limits_connect(&new, loop_four, false, false, &why);
	assert_int_equal(limits_failed(&new, own, 1, MINUTE), 1);
	assert_int_equal(limits_failed(&new, named, 1, MINUTE), 1 << 4);
	limits_disconnect(&new, own);
	limits_disconnect(&new, named);
	limits_sweep(&new, 12 * MINUTE);
	limits_sweep(&old, 12 * MINUTE);
	finish(&new);
	finish(&old);
}

static void test_wider_networks_go_over_with_their_addresses(void **state)
{
	struct config config = {.failure_delay_ms = 1, .failure_delay_max_ms = 1u << 20};
	uint8_t address[16] = {0x20, 1, 0xd, 0xb8, 0, 7}, fresh[16] = {0x20, 1, 0xd, 0xb8, 0, 7};
	struct limits old, new;

	(void)state;
	kept_count = 0;
	limits_init(&old, &config);
	limits_init(&new, &config);
	for (unsigned i = 0; i < 16; i++) {
		address[7] = (uint8_t)i;
		fail_at(&old, address, 1, MINUTE);
	}
	fresh[7] = 200;
	limits_penalties(&old, MINUTE, keep, NULL);
	assert_int_equal(kept_count, 16 + 2);
	for (unsigned i = 0; i < kept_count; i++)
		assert_true(limits_take_penalty(&new, &kept[i], MINUTE));
	assert_int_equal(next_delay(&new, fresh, MINUTE), next_delay(&old, fresh, MINUTE));
	limits_sweep(&new, 12 * MINUTE);
	limits_sweep(&old, 12 * MINUTE);
	finish(&new);
	finish(&old);
}

/* A process that an intruder has may send any row. */
static void test_rows_that_cannot_be_right(void **state)
{
	const uint64_t now = 60 * MINUTE;
	const struct ipc_penalty good = {
		.last = now, .failures = 1, .address = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
	struct config config = {.failure_delay_ms = 1, .failure_delay_max_ms = 64};
	struct ipc_penalty row;
	struct limits limits;

	(void)state;
	limits_init(&limits, &config);
#define REFUSED(change)                                                \
	do {                                                           \
		row = good;                                            \
		change;                                                \
		assert_false(limits_take_penalty(&limits, &row, now)); \
	} while (0)
	REFUSED(row.last = now + 1);
	REFUSED(row.last = now - 11 * MINUTE);
	REFUSED(row.last = 0);
	REFUSED(row.failures = 0);
	REFUSED(row.failures = UINT32_MAX);
	REFUSED(row.given_up = UINT32_MAX);
	REFUSED(memcpy(row.address, loop_four, 16));
	REFUSED(memcpy(row.address, loop_six, 16));
	REFUSED(memset(row.address, 0, 16));     /* a Unix socket */
	REFUSED(row.octets = IPC_PENALTY_NAMED); /* that is no loopback */
	REFUSED(row.octets = 5);
	REFUSED(row.octets = 7); /* no address of it is there */
	REFUSED(row.octets = 16);
	assert_int_equal(limits.addresses.count, 0);
	assert_true(limits_take_penalty(&limits, &good, now));
	assert_int_equal(next_delay(&limits, four_a, now), 2);
	limits_sweep(&limits, now + 11 * MINUTE);
	finish(&limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback_of_a_proxy_is_not_this_machine),
		cmocka_unit_test(test_an_ipv6_network_is_one_address),
		cmocka_unit_test(test_wider_ipv6_networks_have_limits_of_their_own),
		cmocka_unit_test(test_threat_25_failures_of_wider_ipv6_networks),
		cmocka_unit_test(test_ipv4_addresses_are_one_each),
		cmocka_unit_test(test_all_connections_have_a_limit),
		cmocka_unit_test(test_the_delay_doubles_up_to_its_limit),
		cmocka_unit_test(test_an_address_is_remembered_for_ten_minutes),
		cmocka_unit_test(test_a_sweep_spares_what_is_connected),
		cmocka_unit_test(test_loopback_is_not_remembered),
		cmocka_unit_test(test_sessions_of_a_user_have_a_limit),
		cmocka_unit_test(test_threat_70_what_is_given_up_again_is_a_failure),
		cmocka_unit_test(test_threat_70_given_up_on_loopback),
		cmocka_unit_test(test_fresh_failures_are_those_of_ten_minutes),
		cmocka_unit_test(test_penalties_go_over_to_another_process),
		cmocka_unit_test(test_loopback_of_a_proxy_goes_over),
		cmocka_unit_test(test_wider_networks_go_over_with_their_addresses),
		cmocka_unit_test(test_rows_that_cannot_be_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
