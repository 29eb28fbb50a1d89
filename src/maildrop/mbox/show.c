/* See show.h. In a keeper's worker, with the rights of the mail's owner. */
#include "maildrop/mbox/show.h"

#include "maildrop/mbox/from.h"
#include "maildrop/mbox/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER ((size_t)128 * 1024)

struct shower {
	const struct mbox_place *place;
	int fd;
	uint64_t written;
	bool hidden, inside; /* of the header line that is being read: hidden; its end is to come */
	struct pop3_counter counter;
	char buf[BUFFER];
};

static int put(struct shower *s, const char *data, size_t size)
{
	pop3_counter_feed(&s->counter, (pop3_span){data, size});
	if (maildrop_pwrite(s->place->sys, s->fd, data, size, (off_t)s->written) < 0)
		return -1;
	s->written += size;
	return 0;
}

/* Takes header lines, or a part of a long one; returns octets taken, 0: needs more, or -1. */
static ssize_t put_head(struct shower *s, size_t size, bool last)
{
	size_t at = 0;

	while (at < size && (s->inside || last || size - at >= MBOX_LOOK)) {
		pop3_span line = {s->buf + at, size - at};
		const char *end = memchr(line.data, '\n', line.size);
		size_t n = end ? (size_t)(end - line.data) + 1 : line.size;

		if (!s->inside && *line.data != ' ' && *line.data != '\t')
			s->hidden = mbox_header_kind(line) == MBOX_HEADER_HIDDEN &&
				    mbox_empty_line(line) == 0;
		s->inside = !end;
		if (!s->hidden && put(s, line.data, n) < 0)
			return -1;
		at += n;
	}
	return (ssize_t)at;
}

static int show_range(struct shower *s, uint64_t start, uint64_t size, bool head)
{
	uint64_t done = 0;

	while (done < size) {
		size_t n = size - done < BUFFER ? (size_t)(size - done) : BUFFER;
		ssize_t got = maildrop_pread(s->place->sys, s->place->lock.fd, s->buf, n,
					     (off_t)(start + done));

		if (got == 0)
			errno = ESTALE;
		if (got <= 0)
			return -1;
		if (!head && put(s, s->buf, (size_t)got) < 0)
			return -1;
		if (head)
			got = put_head(s, (size_t)got, done + (uint64_t)got == size);
		if (got < 0)
			return -1;
		if (got == 0) { /* a read that was too short for a line */
			errno = EIO;
			return -1;
		}
		done += (uint64_t)got;
	}
	return 0;
}

struct look {
	const struct mbox_entry *entry;
	unsigned found;
	bool same;
};

static void found_one(void *context, const struct mbox_message *m)
{
	struct look *look = context;

	look->found++;
	look->same = mbox_entry_is(look->entry, m);
}

/* Octets of the empty line that is there; none: another line, the end of the file, or an error,
 * which the reading of the message meets as well. */
static uint32_t empty_line_at(const struct mbox_place *place, uint64_t offset)
{
	char text[2];
	ssize_t n = maildrop_pread(place->sys, place->lock.fd, text, sizeof(text), (off_t)offset);

	return mbox_empty_line((pop3_span){text, n < 0 ? 0 : (size_t)n});
}

/* As if the mailbox ended with this message and the empty line behind it: without that line, an
 * empty one at the end of the message would be taken for it. */
static int check(const struct mbox_place *place, const struct mbox_entry *entry)
{
	struct look look = {.entry = entry};
	uint64_t end = entry->start + entry->from_size + entry->stored;

	end += empty_line_at(place, end);
	if (mbox_read_messages(place->sys, place->lock.fd, entry->start, end, found_one, &look) < 0)
		return -1;
	errno = ESTALE;
	return look.found == 1 && look.same ? 0 : -1;
}

static int show(const struct mbox_place *place, const struct mbox_entry *e, int fd,
		uint64_t *ret_size)
{
	struct shower *s;
	uint64_t start = e->start + e->from_size;
	int result, saved;

	if (check(place, e) < 0)
		return -1;
	s = malloc(sizeof(*s));
	if (!s)
		return -1;
	s->place = place;
	s->fd = fd;
	s->written = 0;
	s->hidden = s->inside = false;
	pop3_counter_init(&s->counter);
	result = show_range(s, start, e->head, e->hides);
	if (result == 0)
		result = show_range(s, start + e->head, e->stored - e->head, false);
	saved = errno;
	pop3_counter_finish(&s->counter);
	if (result == 0 && s->counter.octets != e->octets) {
		saved = ESTALE; /* it changed between the two readings */
		result = -1;
	}
	if (result == 0)
		*ret_size = s->written;
	free(s);
	errno = saved;
	return result;
}

/* Other programs move messages: none of them is to do so between the two readings, since a message
 * of the same size may then be where this one was. */
int mbox_show(const struct mbox_place *place, const struct mbox_entry *e, int fd,
	      uint64_t *ret_size)
{
	struct mbox_lock lock = {.calls = &place->calls,
				 .fd = place->lock.fd,
				 .dir = place->dir,
				 .name = place->lock.name,
				 .reading = true,
				 .no_dotlock = true,
				 .wait_ms = MBOX_READ_LOCK_MS};
	struct err err = {0};
	int result, saved;

	if (mbox_lock_take(&lock, &err) < 0) {
		errno = err.errnum;
		return -1;
	}
	result = show(place, e, fd, ret_size);
	saved = errno;
	mbox_lock_release(&lock);
	errno = saved;
	return result;
}
