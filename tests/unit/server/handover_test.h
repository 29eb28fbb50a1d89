/* For tests of handover.h: a sound state, record by record, and whether one is read. A test program
 * includes it once. */
#ifndef TESTS_HANDOVER_TEST_H
#define TESTS_HANDOVER_TEST_H

#include "server/monitor/handover.h"

#include "base/text.h"

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

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static const pop3_span none = {"", 0};

/* ---- sound records ---- */

static inline struct handover_monitor a_monitor(void)
{
	return (struct handover_monitor){.instances = 77,
					 .pid = 4711,
					 .numbers = 3,
					 .tickets = 1000,
					 .no_network_fd = -1,
					 .samples_fd = 40,
					 .penalties_fd = -1,
					 .drained = 1,
					 .log_level = 2,
					 .program = "/usr/sbin/valijad",
					 .version = "0.1.0"};
}

static inline struct handover_generation a_generation(uint32_t number, bool draining)
{
	return (struct handover_generation){.number = number,
					    .draining = draining,
					    .counts = 1,
					    .wanted = 1,
					    .roots = 1,
					    .lookups = 1,
					    .program_fd = 50,
					    .config_fd = 51,
					    .users_fd = 52,
					    .aliases_fd = -1,
					    .spool_fd = -1,
					    .certificates_fd = 53,
					    .keys_fd = 54,
					    .logins_fd = -1,
					    .fronts = 2,
					    .file = "/etc/valija/valija.conf"};
}

static const struct handover_asker asker = {
	.control = 75, .number = 9, .wanted = WANTS_UPGRADE, .later = 1};
static const struct handover_wanted wanted = {
	.service = SERVICE_POP3, .port = 110, .address = "127.0.0.1"};
static const struct handover_listener listener = {
	.wanted = {.service = SERVICE_POP3, .port = 110, .address = "127.0.0.1"},
	.sockets = 2,
	.port = 110,
	.folder_fd = -1};
static const struct handover_socket sockets[] = {{.fd = 20}, {.fd = -1}};
static const struct handover_page page = {
	.role = ROLE_FRONT, .taken = 1, .fd = 30, .read_fd = 31, .ring_fd = -1, .ring_read_fd = -1};
static const struct handover_root root = {.fd = 60, .path = "/var/mail/valija"};
static const struct handover_lookup lookup = {.program_fd = 61, .secrets_fd = 62};
static const struct handover_slot slot = {.role = ROLE_KEEPER,
					  .uid = 1000,
					  .group_size = 1,
					  .pid = 999,
					  .channel_fd = 70,
					  .log_fd = 71,
					  .page_fd = 30,
					  .instance = 76,
					  .on_demand = 1};
static const struct handover_waiting waiting = {.age = 5, .uid = 1001};

static inline void put_generation(struct handover *h, uint32_t number, bool draining)
{
	struct handover_generation g = a_generation(number, draining);

	handover_put(h, HANDOVER_GENERATION, &g, none);
	handover_put(h, HANDOVER_WANTED, &wanted, none);
	handover_put(h, HANDOVER_ROOT, &root, none);
	handover_put(h, HANDOVER_LOOKUP, &lookup, none);
	handover_put(h, HANDOVER_SLOT, &slot, SPAN_LITERAL("anna/Maildir"));
	handover_put(h, HANDOVER_WAITING, &waiting, SPAN_LITERAL("bert"));
}

static inline void put_all(struct handover *h)
{
	struct handover_monitor monitor = a_monitor();

	handover_begin(h);
	handover_put(h, HANDOVER_MONITOR, &monitor, none);
	handover_put(h, HANDOVER_ASKER, &asker, none);
	handover_put(h, HANDOVER_LISTENER, &listener, none);
	handover_put(h, HANDOVER_SOCKET, &sockets[0], none);
	handover_put(h, HANDOVER_SOCKET, &sockets[1], none);
	handover_put(h, HANDOVER_PAGE, &page, none);
	put_generation(h, 1, true);
	put_generation(h, 3, false);
}

static inline int sealed(const struct handover *h)
{
	struct err err = {0};
	int fd = handover_seal(h, &err);

	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* Reads all of it, as a monitor does. */
static inline int read_all(int fd, struct err *err)
{
	struct handover_reader reader;
	pop3_span text;
	unsigned octets = 0;

	if (handover_open(fd, &reader, err) < 0)
		return -1;
	while (handover_kind(&reader) != HANDOVER_END) {
		assert_non_null(handover_next(&reader, &text));
		for (size_t i = 0; i < text.size; i++)
			octets += (unsigned char)text.data[i];
	}
	handover_close(&reader);
	return (int)(octets & 0xffff);
}

static inline void refuses(const struct handover *h, const char *why)
{
	struct err err = {0};
	int fd = sealed(h);

	assert_int_equal(read_all(fd, &err), -1);
	if (!strstr(err.text, why))
		fail_msg("no \"%s\" in \"%s\"", why, err.text);
	close(fd);
}

#endif
