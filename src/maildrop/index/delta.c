/* See delta.h. In keepers, fronts and `valija deliver`; every octet read may be hostile. */
#include "maildrop/index/delta.h"

#include "base/array.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SCAN_BUFFER (2 * INDEX_FRAME_MAX)
#define SALVAGE_MAX ((uint64_t)64 << 20)          /* so much of a damaged log is looked through */
#define ENTRIES_MAX (2 * (size_t)INDEX_COUNT_MAX) /* of each array: bounds memory */

void index_delta_init(struct index_delta *delta, const struct index_header *header)
{
	memset(delta, 0, sizeof(*delta));
	delta->whole = true;
	delta->files_only = !header;
	if (!header)
		return;
	delta->id = header->id;
	delta->base_count = header->count;
	delta->count = header->count;
	delta->octets = header->octets;
	delta->stored = header->stored;
	delta->verified = header->verified;
	delta->unverified_end = header->unverified_end;
	delta->in_new = header->in_new;
	memcpy(delta->stamps, header->stamps, sizeof(delta->stamps));
}

void index_delta_finish(struct index_delta *delta)
{
	free(delta->adds);
	free(delta->removed);
	free(delta->edits);
	free(delta->pending);
	free(delta->unknown);
	memset(delta, 0, sizeof(*delta));
}

/* Room for one more entry in an array. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
	if (count >= *room && count >= ENTRIES_MAX)
		return NULL;
	return array_grow(array, count, room, size);
}

static int push_position(uint64_t **array, size_t *count, size_t *room, uint64_t position)
{
	uint64_t *grown = grow(*array, *count, room, sizeof(*grown));

	if (!grown)
		return -1;
	*array = grown;
	grown[(*count)++] = position;
	return 0;
}

static int push_removed(struct index_delta *delta, uint32_t ordinal)
{
	uint32_t *grown =
		grow(delta->removed, delta->removed_count, &delta->removed_room, sizeof(*grown));

	if (!grown)
		return -1;
	delta->removed = grown;
	grown[delta->removed_count++] = ordinal;
	return 0;
}

static int push_edit(struct index_delta *delta, uint32_t ordinal, uint64_t position)
{
	struct index_edit *grown =
		grow(delta->edits, delta->edit_count, &delta->edit_room, sizeof(*grown));

	if (!grown)
		return -1;
	delta->edits = grown;
	grown[delta->edit_count++] = (struct index_edit){ordinal, position};
	return 0;
}

/* A window on the file, so that a delta of usual size is one read. */
struct reader {
	const struct maildrop_syscalls *sys;
	int fd;
	uint64_t limit, start, end; /* of the window */
	bool at_end, failed;        /* the window reaches the end of the file; errno of a read */
	unsigned char *data;
};

/* n octets at position, or NULL: fewer are there, or a read failed. */
static const unsigned char *reader_get(struct reader *r, uint64_t position, size_t n)
{
	if (position > r->limit || n > r->limit - position)
		return NULL;
	if (position < r->start || position + n > r->end) {
		size_t got = 0;

		if (r->at_end && position >= r->start)
			return NULL;
		while (got < SCAN_BUFFER) {
			ssize_t k = r->sys->pread(r->fd, r->data + got, SCAN_BUFFER - got,
						  (off_t)(position + got));

			if (k < 0 && errno == EINTR)
				continue;
			r->failed = k < 0;
			if (k < 0)
				return NULL;
			got += (size_t)k;
			/* a short read is the end of a regular file: no second call is needed */
			if (k == 0 || got < SCAN_BUFFER)
				break;
		}
		r->start = position;
		r->end = position + got;
		r->at_end = got < SCAN_BUFFER;
		if (n > got)
			return NULL;
	}
	return r->data + (position - r->start);
}

static const unsigned char *good_frame(struct reader *r, uint64_t id, uint64_t position,
				       struct index_frame *ret)
{
	const unsigned char *p = reader_get(r, position, INDEX_FRAME_HEADER);

	if (!p || index_frame_decode(p, ret) < 0)
		return NULL;
	p = reader_get(r, position, INDEX_FRAME_HEADER + ret->size);
	return p && index_frame_good(p, ret->size, id, position) ? p : NULL;
}

/* The end of the group of frames that begins here, or 0: it is not whole. */
static uint64_t group_end(struct reader *r, uint64_t id, uint64_t position)
{
	struct index_frame frame;
	bool first = true;

	do {
		if (!good_frame(r, id, position, &frame) || frame.first != first)
			return 0;
		position += INDEX_FRAME_HEADER + frame.size;
		first = false;
	} while (frame.more);
	return position;
}

static int remove_message(struct index_delta *delta, const struct index_change *change)
{
	if (change->ordinal >= delta->base_count + delta->added || delta->count == 0 ||
	    change->octets > delta->octets || change->stored > delta->stored)
		return -1;
	if (change->flags & INDEX_IN_NEW && delta->in_new)
		delta->in_new--;
	delta->count--;
	delta->octets -= change->octets;
	delta->stored -= change->stored;
	return push_removed(delta, change->ordinal);
}

static int rename_message(struct index_delta *delta, const struct index_change *change,
			  uint64_t position)
{
	if (change->ordinal >= delta->base_count + delta->added)
		return -1;
	if (change->flags & INDEX_WAS_NEW && delta->in_new)
		delta->in_new--;
	if (change->flags & INDEX_IN_NEW)
		delta->in_new++;
	return push_edit(delta, change->ordinal, position);
}

static int resize_message(struct index_delta *delta, const struct index_change *change,
			  uint64_t position)
{
	if (change->ordinal >= delta->base_count + delta->added ||
	    change->old_octets > delta->octets || change->old_stored > delta->stored ||
	    change->octets > INT64_MAX - delta->octets ||
	    change->stored > INT64_MAX - delta->stored)
		return -1;
	delta->octets += change->octets - change->old_octets;
	delta->stored += change->stored - change->old_stored;
	return push_edit(delta, change->ordinal, position);
}

static int add_message(struct index_delta *delta, const struct index_change *change,
		       uint64_t position)
{
	size_t added = delta->added;

	if (change->ordinal != delta->base_count + delta->added ||
	    change->ordinal >= INDEX_COUNT_MAX || change->octets > INT64_MAX - delta->octets ||
	    change->stored > INT64_MAX - delta->stored ||
	    push_position(&delta->adds, &added, &delta->add_room, position) < 0)
		return -1;
	delta->added = (uint32_t)added;
	delta->in_new += change->flags & INDEX_IN_NEW ? 1 : 0;
	if (change->flags & INDEX_UNVERIFIED)
		delta->unverified_end = change->ordinal + 1;
	delta->count++;
	delta->octets += change->octets;
	delta->stored += change->stored;
	return 0;
}

static void retire(struct index_delta *delta, uint64_t position)
{
	size_t kept = 0;

	for (size_t i = 0; i < delta->pending_count; i++)
		if (delta->pending[i] >= position)
			delta->pending[kept++] = delta->pending[i];
	delta->pending_count = kept;
}

static int keep_unknown(struct index_delta *delta, uint64_t position)
{
	return push_position(&delta->unknown, &delta->unknown_count, &delta->unknown_room,
			     position);
}

static int apply(struct index_delta *delta, const struct index_change *change, uint64_t position)
{
	switch (change->kind) {
	case CHANGE_UNKNOWN:
		return keep_unknown(delta, position);
	case CHANGE_ADD:
		return add_message(delta, change, position);
	case CHANGE_DEL:
		if (push_position(&delta->pending, &delta->pending_count, &delta->pending_room,
				  position) < 0)
			return -1;
		return change->ordinal == INDEX_NO_ORDINAL ? 0 : remove_message(delta, change);
	case CHANGE_GONE:
		return remove_message(delta, change);
	case CHANGE_NAME:
		return rename_message(delta, change, position);
	case CHANGE_SIZE:
		return resize_message(delta, change, position);
	case CHANGE_STAMP:
		delta->stamps[change->directory] = change->stamp;
		return 0;
	case CHANGE_RETIRE:
		retire(delta, change->position);
		return 0;
	case CHANGE_VERIFIED:
		delta->verified = change->ordinal;
		return 0;
	case CHANGE_FLUSHED:
		delta->flushed = true;
		return 0;
	}
	return -1;
}

/* Without a base only DEL and RETIRE have a meaning, for they name files. Changes of a later
 * version are kept, whatever they mean. */
static int apply_files_only(struct index_delta *delta, const struct index_change *change,
			    uint64_t position)
{
	if (change->kind == CHANGE_DEL)
		return push_position(&delta->pending, &delta->pending_count, &delta->pending_room,
				     position);
	if (change->kind == CHANGE_UNKNOWN)
		return keep_unknown(delta, position);
	if (change->kind == CHANGE_RETIRE)
		retire(delta, change->position);
	return 0;
}

static int apply_frame(struct index_delta *delta, const unsigned char *frame, uint32_t size,
		       uint64_t position)
{
	uint32_t at = 0;

	while (at < size) {
		pop3_span rest = {(const char *)frame + INDEX_FRAME_HEADER + at, size - at};
		uint64_t place = position + INDEX_FRAME_HEADER + at;
		struct index_change change;
		int n = index_change_decode(rest, &change);

		if (n < 0)
			return -1;
		if ((delta->files_only ? apply_files_only : apply)(delta, &change, place) < 0)
			return -1;
		at += (uint32_t)n;
	}
	return 0;
}

static int scan_groups(struct index_delta *delta, struct reader *r)
{
	uint64_t end;

	while ((end = group_end(r, delta->id, delta->size)) != 0) {
		while (delta->size < end) {
			struct index_frame frame;
			const unsigned char *p = good_frame(r, delta->id, delta->size, &frame);

			if (!p || apply_frame(delta, p, frame.size, delta->size) < 0)
				return -1;
			delta->size += INDEX_FRAME_HEADER + frame.size;
		}
	}
	return r->failed ? -1 : 0;
}

static int compare_ordinals(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int compare_edits(const void *a, const void *b)
{
	const struct index_edit *x = a, *y = b;

	if (x->ordinal != y->ordinal)
		return x->ordinal < y->ordinal ? -1 : 1;
	return x->position < y->position ? -1 : x->position > y->position;
}

/* Brings the arrays into the order that lookups need. -1: a message was removed twice. */
static int settle(struct index_delta *delta)
{
	bool sorted = true;

	for (size_t i = 1; i < delta->removed_count && sorted; i++)
		sorted = delta->removed[i - 1] < delta->removed[i];
	if (!sorted)
		qsort(delta->removed, delta->removed_count, sizeof(*delta->removed),
		      compare_ordinals);
	for (size_t i = 1; i < delta->removed_count && !sorted; i++)
		if (delta->removed[i - 1] == delta->removed[i])
			return -1;
	if (delta->edit_count > 1)
		qsort(delta->edits, delta->edit_count, sizeof(*delta->edits), compare_edits);
	return 0;
}

static int read_header(struct index_delta *delta, struct reader *r)
{
	const unsigned char *p = reader_get(r, 0, INDEX_DELTA_HEADER);
	uint64_t id;
	int decoded = p ? index_delta_header_decode(p, &id) : -1;

	if (decoded < 0)
		return decoded;
	if (!delta->files_only && id != delta->id)
		return -1;
	delta->id = id;
	delta->size = INDEX_DELTA_HEADER;
	return 0;
}

int index_delta_scan(struct index_delta *delta, const struct maildrop_syscalls *sys, int fd,
		     uint64_t limit, struct err *err)
{
	struct reader r = {.sys = sys, .fd = fd, .limit = limit};
	int result = -1;

	r.data = malloc(SCAN_BUFFER);
	if (!r.data)
		return err_sys(err, EX_TEMPFAIL, errno, "index");
	errno = 0;
	result = delta->size ? 0 : read_header(delta, &r);
	if (result < 0)
		goto out;
	result = -1;
	if (scan_groups(delta, &r) < 0 || settle(delta) < 0)
		goto out;
	if (limit != UINT64_MAX && delta->size != limit)
		goto out;
	delta->whole = r.at_end && r.end == delta->size;
	result = 0;
out:
	if (result < 0 && r.failed)
		err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	else if (result == INDEX_NEWER)
		err_set(err, EX_TEMPFAIL, "the index's log is of a newer version");
	else if (result < 0)
		err_set(err, EX_TEMPFAIL, "the index's log is damaged or not of its base");
	free(r.data);
	return result;
}

int index_delta_take(struct index_delta *delta, const unsigned char *frames, size_t size)
{
	for (size_t at = 0; at < size;) {
		struct index_frame frame;

		if (index_frame_decode(frames + at, &frame) < 0 ||
		    apply_frame(delta, frames + at, frame.size, delta->size) < 0)
			return -1;
		delta->size += INDEX_FRAME_HEADER + frame.size;
		at += INDEX_FRAME_HEADER + frame.size;
	}
	return settle(delta);
}

size_t index_delta_salvage(struct index_delta *delta, const struct maildrop_syscalls *sys, int fd)
{
	struct reader r = {.sys = sys, .fd = fd, .limit = UINT64_MAX};
	uint64_t bad;
	size_t behind = 0;

	assert(delta->files_only);
	r.data = malloc(SCAN_BUFFER);
	if (!r.data || read_header(delta, &r) < 0)
		goto out;
	(void)scan_groups(delta, &r);
	/* groups begin at multiples of eight; one that was not written to its end is none */
	bad = delta->size;
	while (delta->size - bad < SALVAGE_MAX && reader_get(&r, delta->size, INDEX_FRAME_HEADER)) {
		uint64_t before = delta->size;

		if (scan_groups(delta, &r) < 0)
			break;
		behind += delta->size > before;
		delta->size += delta->size == before ? 8 : 0;
	}
out:
	free(r.data);
	return behind;
}

int index_delta_read(const struct maildrop_syscalls *sys, int fd, uint64_t position,
		     unsigned char buf[INDEX_CHANGE_MAX], struct index_change *ret, struct err *err)
{
	ssize_t n = maildrop_pread(sys, fd, buf, INDEX_CHANGE_MAX, (off_t)position);

	if (n < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	if (index_change_decode((pop3_span){(const char *)buf, (size_t)n}, ret) < 0)
		return err_set(err, EX_TEMPFAIL, "the index's log is damaged");
	return 0;
}

uint32_t index_delta_ordinal(const struct index_delta *delta, uint32_t number)
{
	assert(number >= 1 && number <= delta->count);
	return index_ordinal(delta->removed, delta->removed_count, number);
}

bool index_delta_removed(const struct index_delta *delta, uint32_t ordinal)
{
	return delta->removed_count && bsearch(&ordinal, delta->removed, delta->removed_count,
					       sizeof(ordinal), compare_ordinals);
}

size_t index_delta_edit(const struct index_delta *delta, uint32_t ordinal)
{
	size_t low = 0, high = delta->edit_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (delta->edits[middle].ordinal < ordinal)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
