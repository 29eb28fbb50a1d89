/* The state that a monitor hands to its next program comes back as it was written; a state that is
 * damaged, in another order, of another version or no sealed memory file is refused before any of
 * it is used. */
#include "handover_test.h"

#include "base/log.h"

static int seal_octets(const void *octets, size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, size), size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* ---- tests ---- */

static void test_it_comes_back_as_it_was(void **state)
{
	static const enum handover_kind kinds[] = {
		HANDOVER_MONITOR,    HANDOVER_ASKER,   HANDOVER_LISTENER,   HANDOVER_SOCKET,
		HANDOVER_SOCKET,     HANDOVER_PAGE,    HANDOVER_GENERATION, HANDOVER_WANTED,
		HANDOVER_ROOT,       HANDOVER_LOOKUP,  HANDOVER_SLOT,       HANDOVER_WAITING,
		HANDOVER_GENERATION, HANDOVER_WANTED,  HANDOVER_ROOT,       HANDOVER_LOOKUP,
		HANDOVER_SLOT,       HANDOVER_WAITING, HANDOVER_END};
	struct handover_monitor monitor = a_monitor();
	struct handover_reader reader;
	struct handover h;
	struct err err;
	int fd;

	(void)state;
	put_all(&h);
	fd = sealed(&h);
	handover_finish(&h);
	assert_int_equal(handover_open(fd, &reader, &err), 0);
	close(fd); /* the reader has it mapped */
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const void *record;
		pop3_span text;

		assert_int_equal(handover_kind(&reader), kinds[i]);
		if (kinds[i] == HANDOVER_END)
			break;
		record = handover_next(&reader, &text);
		if (kinds[i] == HANDOVER_MONITOR)
			assert_memory_equal(record, &monitor, sizeof(monitor));
		if (kinds[i] == HANDOVER_ASKER)
			assert_memory_equal(record, &asker, sizeof(asker));
		if (kinds[i] == HANDOVER_SLOT) {
			assert_memory_equal(record, &slot, sizeof(slot));
			assert_true(span_equal(text, SPAN_LITERAL("anna/Maildir")));
		}
		if (kinds[i] == HANDOVER_WAITING)
			assert_true(span_equal(text, SPAN_LITERAL("bert")));
	}
	handover_rewind(&reader);
	assert_int_equal(handover_kind(&reader), HANDOVER_MONITOR);
	handover_close(&reader);
}

static void test_another_version_is_named(void **state)
{
	struct handover h;
	struct err err = {0};
	char *octets;
	int fd;

	(void)state;
	put_all(&h);
	fd = sealed(&h);
	octets = malloc(h.size);
	assert_int_equal(pread(fd, octets, h.size, 0), h.size);
	close(fd);
	octets[7]++;
	fd = seal_octets(octets, h.size, SEALS);
	assert_int_equal(read_all(fd, &err), -1);
	assert_non_null(strstr(err.text, "has version 2, and this program understands version 1"));
	close(fd);
	free(octets);
	handover_finish(&h);
}

static void test_it_must_be_sealed(void **state)
{
	static const int lacking[] = {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};
	struct handover h;
	struct err err = {0};
	char *octets;
	int fd;

	(void)state;
	put_all(&h);
	fd = sealed(&h);
	octets = malloc(h.size);
	assert_int_equal(pread(fd, octets, h.size, 0), h.size);
	assert_true(write(fd, "x", 1) < 0);
	close(fd);
	for (size_t i = 0; i < sizeof(lacking) / sizeof(*lacking); i++) {
		fd = seal_octets(octets, h.size, SEALS & ~lacking[i]);
		assert_int_equal(read_all(fd, &err), -1);
		close(fd);
	}
	assert_int_equal(read_all(-1, &err), -1);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_all(fd, &err), -1);
	close(fd);
	free(octets);
	handover_finish(&h);
}

/* Every octet changed, every end cut: refused, or read without going beyond the file. */
static void test_threat_125_octets_that_were_changed(void **state)
{
	struct handover h;
	struct err err = {0};
	unsigned refused = 0;
	char *octets;
	int fd;

	(void)state;
	put_all(&h);
	fd = sealed(&h);
	octets = malloc(h.size);
	assert_int_equal(pread(fd, octets, h.size, 0), h.size);
	close(fd);
	for (size_t i = 0; i < h.size; i++) {
		for (int change = 0; change < 2; change++) {
			octets[i] = (char)(octets[i] ^ (change ? 0xff ^ 0x01 : 0x01));
			fd = seal_octets(octets, h.size, SEALS);
			refused += read_all(fd, &err) < 0;
			close(fd);
		}
		octets[i] = (char)(octets[i] ^ 0xff); /* as it was */
	}
	assert_true(refused > 500);
	for (size_t size = 0; size < h.size; size++) {
		fd = seal_octets(octets, size, SEALS);
		assert_int_equal(read_all(fd, &err), -1);
		close(fd);
	}
	free(octets);
	handover_finish(&h);
}

static void test_threat_125_records_in_another_order(void **state)
{
	struct handover_monitor monitor = a_monitor();
	struct handover h;

	(void)state;
	handover_begin(&h); /* nothing */
	refuses(&h, "not whole");
	handover_put(&h, HANDOVER_MONITOR, &monitor, none); /* no generation */
	refuses(&h, "not whole");
	handover_put(&h, HANDOVER_MONITOR, &monitor, none); /* two of them */
	refuses(&h, "another order");
	handover_finish(&h);

	put_all(&h); /* a question behind a listener */
	handover_put(&h, HANDOVER_ASKER, &asker, none);
	refuses(&h, "another order");
	handover_finish(&h);

	handover_begin(&h); /* more of them than the monitor has places for */
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	for (int i = 0; i < HANDOVER_ASKERS_MAX + 1; i++)
		handover_put(&h, HANDOVER_ASKER, &asker, none);
	put_generation(&h, 1, false);
	refuses(&h, "another order");
	handover_finish(&h);

	put_all(&h); /* a listener behind a generation */
	handover_put(&h, HANDOVER_LISTENER, &listener, none);
	refuses(&h, "another order");
	handover_finish(&h);

	put_all(&h); /* a second one that serves */
	put_generation(&h, 4, false);
	refuses(&h, "not whole");
	handover_finish(&h);

	put_all(&h); /* a number that was there */
	put_generation(&h, 3, true);
	refuses(&h, "another order");
	handover_finish(&h);

	handover_begin(&h); /* a socket that no listener has */
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	handover_put(&h, HANDOVER_SOCKET, &sockets[0], none);
	refuses(&h, "another order");
	handover_finish(&h);

	handover_begin(&h); /* a listener without its second socket */
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	handover_put(&h, HANDOVER_LISTENER, &listener, none);
	handover_put(&h, HANDOVER_SOCKET, &sockets[0], none);
	put_generation(&h, 1, false);
	refuses(&h, "another order");
	handover_finish(&h);
}

/* A field at a time that no monitor writes. */
static void test_threat_125_fields_out_of_range(void **state)
{
	static const struct handover_slot bad_slots[] = {
		{.role = ROLE_MONITOR, .group_size = 1, .channel_fd = -1, .log_fd = -1},
		{.role = ROLE_COUNT, .group_size = 1, .channel_fd = -1, .log_fd = -1},
		{.role = ROLE_AUTH, .group_size = 1, .pid = 1, .channel_fd = -1, .log_fd = -1},
		{.role = ROLE_AUTH, .group_size = 1, .pid = -5, .channel_fd = -1, .log_fd = -1},
		{.role = ROLE_AUTH, .group_size = 1, .pid = 9, .channel_fd = 2, .log_fd = -1},
		{.role = ROLE_AUTH, .group_size = 1, .pid = 0, .channel_fd = 9, .log_fd = -1},
		{.role = ROLE_AUTH, .group_size = 0, .pid = 9, .channel_fd = 9, .log_fd = -1},
		{.role = ROLE_AUTH,
		 .group_size = 1,
		 .channel_fd = -1,
		 .log_fd = -1,
		 .home_root = 8},
		{.role = ROLE_AUTH, .group_size = 1, .channel_fd = -1, .log_fd = -1, .ready = 2},
	};
	struct handover h;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_slots) / sizeof(*bad_slots); i++) {
		struct handover_slot bad = bad_slots[i];

		bad.page_fd = -1;
		put_all(&h);
		handover_put(&h, HANDOVER_SLOT, &bad, none);
		refuses(&h, "damaged");
		handover_finish(&h);
	}
	put_all(&h);
	handover_put(&h, HANDOVER_SLOT, &slot, (pop3_span){"a\0b", 3});
	refuses(&h, "damaged");
	handover_finish(&h);
}

static void refuses_monitor(struct handover_monitor monitor)
{
	struct handover h;

	handover_begin(&h);
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	put_generation(&h, 1, false);
	refuses(&h, "damaged");
	handover_finish(&h);
}

static void test_threat_138_what_was_steered_out_of_range(void **state)
{
	static const struct handover_asker bad[] = {
		{.control = 0, .wanted = WANTS_RELOAD},
		{.control = 1, .wanted = COMMANDS_WANTED},
		{.control = 1, .wanted = WANTS_UPGRADE, .later = 2},
	};
	struct handover_monitor sound = a_monitor(), monitor;
	struct handover h;

	(void)state;
	refuses_monitor((monitor = sound, monitor.drained = 2, monitor));
	refuses_monitor((monitor = sound, monitor.again = 2, monitor));
	refuses_monitor((monitor = sound, monitor.log_level = LOG_LEVEL_COUNT + 1, monitor));
	refuses_monitor((monitor = sound, monitor.version[0] = '\0', monitor));
	refuses_monitor(
		(monitor = sound, memset(monitor.version, 'x', sizeof(monitor.version)), monitor));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		handover_begin(&h);
		handover_put(&h, HANDOVER_MONITOR, &sound, none);
		handover_put(&h, HANDOVER_ASKER, &bad[i], none);
		put_generation(&h, 1, false);
		refuses(&h, "damaged");
		handover_finish(&h);
	}
}

static void test_what_is_too_large_is_not_written(void **state)
{
	static char text[HANDOVER_TEXT_MAX + 1];
	struct handover h;
	struct err err = {0};

	(void)state;
	put_all(&h);
	memset(text, 'a', sizeof(text));
	handover_put(&h, HANDOVER_SLOT, &slot, (pop3_span){text, HANDOVER_TEXT_MAX});
	assert_null(h.why);
	handover_put(&h, HANDOVER_SLOT, &slot, (pop3_span){text, sizeof(text)});
	assert_int_equal(handover_seal(&h, &err), -1);
	handover_finish(&h);
	put_all(&h);
	while (!h.why && h.size < 2 * (size_t)HANDOVER_SIZE_MAX)
		handover_put(&h, HANDOVER_SLOT, &slot, (pop3_span){text, HANDOVER_TEXT_MAX});
	assert_true(h.size <= HANDOVER_SIZE_MAX);
	assert_int_equal(handover_seal(&h, &err), -1);
	assert_non_null(strstr(err.text, "too large"));
	handover_finish(&h);
}

/* Only a descriptor that survived an exec is taken, and only once. */
static void test_descriptors_are_taken_once(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(handover_take_fd(fd), -1);
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	assert_int_equal(handover_take_fd(fd), fd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(handover_take_fd(fd), -1);
	close(fd);
	assert_int_equal(handover_take_fd(fd), -1);
	assert_int_equal(handover_take_fd(-1), -1);
}

static void test_descriptors_are_noted(void **state)
{
	struct handover h;

	(void)state;
	handover_begin(&h);
	for (int i = 0; i < 200; i++)
		assert_int_equal(handover_fd(&h, i), i);
	assert_int_equal(handover_fd(&h, -1), -1);
	assert_int_equal(h.fd_count, 200);
	assert_int_equal(h.fds[199], 199);
	handover_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_comes_back_as_it_was),
		cmocka_unit_test(test_another_version_is_named),
		cmocka_unit_test(test_it_must_be_sealed),
		cmocka_unit_test(test_threat_125_octets_that_were_changed),
		cmocka_unit_test(test_threat_125_records_in_another_order),
		cmocka_unit_test(test_threat_125_fields_out_of_range),
		cmocka_unit_test(test_threat_138_what_was_steered_out_of_range),
		cmocka_unit_test(test_what_is_too_large_is_not_written),
		cmocka_unit_test(test_descriptors_are_taken_once),
		cmocka_unit_test(test_descriptors_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
