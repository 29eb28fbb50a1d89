/*
 * What the process that dials answers, as the process that writes takes it: `valija migrate`. All
 * of it is as hostile as the other server. The first octet says whether the maildrop is there, and
 * whether it may be switched; then packets: kind, status, last, number (1 octet each), value, size
 * (2, the low one first), octets. Checked: it ends, with an outcome and words that fit it.
 */
#include "cli/migrate/link.h"
#include "cli/migrate/writer.h"
#include "maildrop/store.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PACKETS = 50, HEAD = 8, BUFFER = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As many of the questions as have an answer fit into the socket: nobody reads them. */
static void queue(int fd, const uint8_t *data, size_t size)
{
	static struct link_packet packet;

	for (int i = 0; i < PACKETS && size >= HEAD; i++) {
		size_t octets = (size_t)(data[6] | data[7] << 8);

		packet.kind = data[0];
		packet.status = (int8_t)data[1];
		packet.last = data[2];
		packet.number = data[3];
		packet.value = (uint64_t)(data[4] | data[5] << 8);
		data += HEAD;
		size -= HEAD;
		if (octets > size)
			octets = size;
		if (octets > sizeof(packet.octets))
			octets = sizeof(packet.octets);
		if (octets)
			memcpy(packet.octets, data, octets);
		data += octets;
		size -= octets;
		if (send(fd, &packet, LINK_HEAD + octets, MSG_DONTWAIT) < 0)
			break;
	}
	shutdown(fd, SHUT_WR);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static int make_folder(char *path)
{
	int fd;

	if (!mkdtemp(path))
		abort();
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "cur", 0700) < 0 || mkdirat(fd, "new", 0700) < 0 ||
	    mkdirat(fd, "tmp", 0700) < 0)
		abort();
	return fd;
}

static void check(const struct writer_report *report)
{
	assert(report->outcome >= WRITER_SWITCHED && report->outcome <= WRITER_FAILED);
	assert(memchr(report->why, '\0', sizeof(report->why)));
	assert(!strpbrk(report->why, "\r\n\033"));
	if (report->outcome >= WRITER_REFUSED)
		assert(report->why[0]);
	assert(report->before + report->copied + report->refused <= report->messages);
	assert(!report->now || report->outcome == WRITER_SWITCHED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = "office.test"};
	char path[] = "/tmp/fuzz-migrate-XXXXXX";
	struct writer_report report;
	int link[2], control[2], room = BUFFER;
	struct writer_job job = {
		.settings = &settings, .folder = -1, .home = "anna", .source = "old anna"};

	if (!size)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
		abort();
	(void)setsockopt(link[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	queue(link[1], data + 1, size - 1);
	if (write(control[1], data[0] & 1 ? "S" : "C", 1) != 1)
		abort();
	job.channel = link[0];
	job.control = control[0];
	job.dry_run = data[0] & 2;
	job.delete_there = data[0] & 4;
	if (!job.dry_run || data[0] & 8)
		job.folder = make_folder(path);
	writer_run(&job, &report);
	check(&report);
	if (job.folder >= 0) {
		close(job.folder);
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	for (int i = 0; i < 2; i++) {
		close(link[i]);
		close(control[i]);
	}
	return 0;
}
