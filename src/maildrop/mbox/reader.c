/* See reader.h. In a keeper's worker, or a command of a person, with the rights of the mail's
 * owner. */
#include "maildrop/mbox/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER ((size_t)256 * 1024)
#define AHEAD ((uint64_t)8 << 20) /* octets that the disk reads while others are scanned */

struct reader {
	const struct maildrop_syscalls *sys;
	int fd;
	uint64_t size, asked; /* asked: the disk has been asked for what is before it */
	void (*found)(void *context, const struct mbox_message *message);
	void *context;
	int error; /* errno of a look ahead; 0: none failed */
};

static void found(void *context, const struct mbox_message *message)
{
	const struct reader *r = context;

	r->found(r->context, message);
}

static size_t peek(void *context, uint64_t offset, char *buf, size_t n)
{
	struct reader *r = context;
	ssize_t got;

	if (offset >= r->size)
		return 0;
	if (n > r->size - offset)
		n = (size_t)(r->size - offset);
	got = maildrop_pread(r->sys, r->fd, buf, n, (off_t)offset);
	if (got >= 0 && (size_t)got < n)
		errno = ESTALE;
	if (got < 0 || (size_t)got < n)
		r->error = errno; /* to the scan it is the end of the file */
	return got < 0 ? 0 : (size_t)got;
}

/* Reading and scanning take the same time, and each would wait for the other. A file that is in
 * memory costs a call a window. */
static void ask_ahead(struct reader *r, uint64_t at)
{
	while (r->asked < r->size && r->asked < at + 2 * AHEAD) {
		(void)posix_fadvise(r->fd, (off_t)r->asked, (off_t)AHEAD, POSIX_FADV_WILLNEED);
		r->asked += AHEAD;
	}
}

static int run(struct reader *r, struct mbox_scan *scan, char *buf)
{
	uint64_t at = scan->at; /* of the file: read up to there */
	size_t held = 0, taken;

	while (at < r->size) {
		size_t want = BUFFER - held;
		ssize_t n;

		if (r->size - at > BUFFER)
			ask_ahead(r, at);
		if (want > r->size - at)
			want = (size_t)(r->size - at);
		n = maildrop_pread(r->sys, r->fd, buf + held, want, (off_t)at);
		if (n == 0)
			errno = ESTALE;
		if (n <= 0)
			return -1;
		at += (uint64_t)n;
		held += (size_t)n;
		taken = mbox_scan_feed(scan, (pop3_span){buf, held}, at == r->size);
		if (r->error || scan->state == MBOX_SCAN_NO_MBOX) {
			errno = r->error ? r->error : EBADMSG;
			return -1;
		}
		held -= taken;
		memmove(buf, buf + taken, held);
	}
	return 0;
}

int mbox_read_messages(const struct maildrop_syscalls *sys, int fd, uint64_t offset, uint64_t size,
		       void (*report)(void *context, const struct mbox_message *message),
		       void *context)
{
	struct reader reader = {.sys = sys,
				.fd = fd,
				.size = size,
				.asked = offset,
				.found = report,
				.context = context};
	struct mbox_scan_user user = {.context = &reader, .found = found, .peek = peek};
	struct mbox_scan scan;
	char *buf = malloc(BUFFER);
	int result, saved;

	if (!buf)
		return -1;
	mbox_scan_init(&scan, &user, offset);
	result = run(&reader, &scan, buf);
	saved = errno;
	free(buf);
	errno = saved;
	return result;
}
