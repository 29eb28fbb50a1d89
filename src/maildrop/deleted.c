/* See deleted.h. */
#include "maildrop/deleted.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	SUM_SIZE = 8, /* hex digits of the checksum in front of a line */
	CHUNK = 64 * 1024,
};

static const char *const words[DELETED_KINDS] = {
	[DELETED_BY_SESSION] = "deleted",
	[DELETED_RESTORED] = "restored",
	[DELETED_EXPIRED] = "expired",
};
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* ---- lines ---- */

static bool is_known(const uint8_t address[16])
{
	static const uint8_t none[16];

	return memcmp(address, none, sizeof(none)) != 0;
}

const char *deleted_address(const struct deleted_by *by, char *buf)
{
	const uint8_t *address = by->address;

	if (!is_known(address))
		return "-";
	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return inet_ntop(AF_INET, address + sizeof(mapped), buf, DELETED_TEXT_MAX);
	return inet_ntop(AF_INET6, address, buf, DELETED_TEXT_MAX);
}

const char *deleted_session(const struct deleted_by *by, char *buf)
{
	if (!by->front)
		return "-";
	snprintf(buf, DELETED_TEXT_MAX, "%" PRIx64 "-%" PRIu64, by->front, by->session);
	return buf;
}

const char *deleted_word(enum deleted_what what)
{
	return words[what];
}

size_t deleted_print(const struct deleted *deleted, char buf[DELETED_LINE_MAX])
{
	char session[DELETED_TEXT_MAX], address[DELETED_TEXT_MAX], sum[SUM_SIZE + 1];
	char *begin = buf + SUM_SIZE + 1;
	int n;

	n = snprintf(begin, DELETED_LINE_MAX - SUM_SIZE - 2,
		     "%" PRIu64 " %s %s %s %s %" PRIu64 " %" PRIu64 " %s", deleted->time,
		     words[deleted->what], deleted_session(&deleted->by, session),
		     deleted_address(&deleted->by, address),
		     deleted->by.label[0] ? deleted->by.label : "-", deleted->stored,
		     deleted->inode, deleted->id);
	snprintf(sum, sizeof(sum), "%08" PRIx32, crc32c(0, begin, (size_t)n));
	memcpy(buf, sum, SUM_SIZE);
	buf[SUM_SIZE] = ' ';
	begin[n] = '\n';
	begin[n + 1] = '\0';
	return SUM_SIZE + 1 + (size_t)n + 1;
}

/* Takes what is in front of the next blank. */
static pop3_span take_word(pop3_span *rest)
{
	const char *blank = rest->size ? memchr(rest->data, ' ', rest->size) : NULL;
	pop3_span word = {rest->data, blank ? (size_t)(blank - rest->data) : rest->size};
	size_t whole = word.size + (blank != NULL);

	*rest = (pop3_span){rest->data + whole, rest->size - whole};
	return word;
}

static bool is_none(pop3_span word)
{
	return span_equal(word, SPAN_LITERAL("-"));
}

static int take_what(pop3_span word, enum deleted_what *ret)
{
	for (unsigned i = 0; i < DELETED_KINDS; i++) {
		if (!span_equal(word, span_of(words[i])))
			continue;
		*ret = (enum deleted_what)i;
		return 0;
	}
	return -1;
}

static int take_hex(pop3_span word, uint64_t *ret)
{
	uint64_t value = 0;

	if (word.size < 1 || word.size > 16)
		return -1;
	for (size_t i = 0; i < word.size; i++) {
		char c = word.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return -1;
		value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = value;
	return 0;
}

static int take_session(pop3_span word, struct deleted_by *ret)
{
	const char *dash = word.size ? memchr(word.data, '-', word.size) : NULL;
	size_t before = dash ? (size_t)(dash - word.data) : 0;

	if (is_none(word))
		return 0;
	if (!dash || take_hex((pop3_span){word.data, before}, &ret->front) < 0 || !ret->front)
		return -1;
	return span_number((pop3_span){dash + 1, word.size - before - 1}, UINT64_MAX,
			   &ret->session);
}

static int take_address(pop3_span word, uint8_t ret[16])
{
	char text[64];

	if (is_none(word))
		return 0;
	if (span_copy(word, text, sizeof(text)) < 0)
		return -1;
	if (inet_pton(AF_INET6, text, ret) == 1)
		return 0;
	memcpy(ret, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, ret + sizeof(mapped)) == 1 ? 0 : -1;
}

static int take_label(pop3_span word, char ret[DELETED_LABEL_MAX + 1])
{
	if (is_none(word))
		return 0;
	for (size_t i = 0; i < word.size; i++)
		if (word.data[i] <= ' ' || word.data[i] > '~')
			return -1;
	return word.size ? span_copy(word, ret, DELETED_LABEL_MAX + 1) : -1;
}

static int take_id(pop3_span word, char ret[POP3_UNIQUE_ID_MAX + 1])
{
	for (size_t i = 0; i < word.size; i++)
		if (word.data[i] <= ' ' || word.data[i] > '~')
			return -1;
	return word.size ? span_copy(word, ret, POP3_UNIQUE_ID_MAX + 1) : -1;
}

int deleted_parse(pop3_span line, struct deleted *ret)
{
	struct deleted d = {0};
	char again[DELETED_LINE_MAX];
	pop3_span rest = line;

	if (line.size <= SUM_SIZE + 1 || line.size >= DELETED_LINE_MAX)
		return -1;
	take_word(&rest);
	if (span_number(take_word(&rest), INT64_MAX, &d.time) < 0 ||
	    take_what(take_word(&rest), &d.what) < 0 || take_session(take_word(&rest), &d.by) < 0 ||
	    take_address(take_word(&rest), d.by.address) < 0 ||
	    take_label(take_word(&rest), d.by.label) < 0 ||
	    span_number(take_word(&rest), INT64_MAX, &d.stored) < 0 ||
	    span_number(take_word(&rest), UINT64_MAX, &d.inode) < 0 || take_id(rest, d.id) < 0)
		return -1;
	/* there is one way to write it, checksum and all */
	if (!span_equal((pop3_span){again, deleted_print(&d, again) - 1}, line))
		return -1;
	*ret = d;
	return 0;
}

/* ---- the file ---- */

/* Whatever the owner has put there: a link is not followed, a FIFO not waited for. *ret_size: its
 * octets. -1 with errno. */
static int open_file(const struct maildrop_syscalls *sys, int dir, const char *name, int flags,
		     uint64_t *ret_size)
{
	int fd = sys->openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return -1;
	errno = EINVAL;
	if (sys->fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	*ret_size = (uint64_t)st.st_size;
	return fd;
}

static int append_to(const struct maildrop_syscalls *sys, int fd, uint64_t size, pop3_span lines)
{
	char last = '\n';

	/* a line that a crash cut off ends where it is */
	if (size && sys->pread(fd, &last, 1, (off_t)size - 1) == 1 && last != '\n') {
		if (maildrop_pwrite(sys, fd, "\n", 1, (off_t)size) < 0)
			return -1;
		size++;
	}
	return maildrop_pwrite(sys, fd, lines.data, lines.size, (off_t)size);
}

int deleted_append(const struct maildrop_syscalls *sys, int dir, pop3_span lines, bool begins)
{
	const int flags = O_RDWR | O_CREAT;
	uint64_t size;
	int fd = open_file(sys, dir, DELETED_FILE, flags, &size), result, saved;

	if (fd >= 0 && begins && size >= DELETED_ROTATED) {
		close(fd);
		if (sys->renameat2(dir, DELETED_FILE, dir, DELETED_OLD, 0) < 0)
			return -1;
		fd = open_file(sys, dir, DELETED_FILE, flags, &size);
	}
	if (fd < 0)
		return -1;
	result = append_to(sys, fd, size, lines);
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

struct reading {
	void (*each)(void *context, const struct deleted *deleted);
	void *context;
	char *data;
	size_t size; /* of a line that is not whole yet, at the beginning */
};

/* Takes all whole lines, and keeps the rest. */
static void take_lines(struct reading *r)
{
	pop3_span rest = {r->data, r->size};
	const char *end;

	while (rest.size && (end = memchr(rest.data, '\n', rest.size)) != NULL) {
		pop3_span line = {rest.data, (size_t)(end - rest.data)};
		struct deleted deleted;

		if (deleted_parse(line, &deleted) == 0)
			r->each(r->context, &deleted);
		rest.data += line.size + 1;
		rest.size -= line.size + 1;
	}
	if (rest.size >= DELETED_LINE_MAX) /* no line of ours: its end does not matter */
		rest.size = 1;
	memmove(r->data, rest.data, rest.size);
	r->size = rest.size;
}

static int read_file(const struct maildrop_syscalls *sys, int dir, const char *name,
		     struct reading *r)
{
	uint64_t size, at = 0;
	int fd = open_file(sys, dir, name, O_RDONLY, &size), saved;
	ssize_t n = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	r->size = 0;
	while (at < DELETED_FILE_MAX) {
		n = maildrop_pread(sys, fd, r->data + r->size, CHUNK - r->size, (off_t)at);
		if (n <= 0)
			break;
		at += (uint64_t)n;
		r->size += (size_t)n;
		take_lines(r);
	}
	saved = errno;
	close(fd);
	errno = saved;
	return n < 0 ? -1 : 0;
}

int deleted_each(const struct maildrop_syscalls *sys, int dir,
		 void (*each)(void *context, const struct deleted *deleted), void *context,
		 struct err *err)
{
	static const char *const names[] = {DELETED_OLD, DELETED_FILE};
	struct reading r = {.each = each, .context = context, .data = malloc(CHUNK)};
	int result = r.data ? 0 : err_set(err, EX_OSERR, "out of memory");

	for (int i = 0; i < 2 && result == 0; i++)
		if (read_file(sys, dir, names[i], &r) < 0)
			result = err_sys(err, EX_NOINPUT, errno,
					 "the journal of deletions %s cannot be read (it must be a "
					 "regular file with one name)",
					 names[i]);
	free(r.data);
	return result;
}
