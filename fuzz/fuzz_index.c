/*
 * A base and a delta that somebody else made: fronts read the two through index_view, keepers
 * through index. The input says what is in the files, not their checksums, or nobody would get past
 * those; a flag leaves them as they come.
 *
 *   flags; number of base blocks; for each: length (2, little-endian), octets (the rest is zeros);
 *   then delta frames to the end: flags, length (2), octets. Flags 1: the delta comes as it is.
 */
#include "maildrop/index/index.h"
#include "maildrop/index/view.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCKS_MAX 16
#define READ_MAX 3000 /* of a count that may be anything */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static unsigned take_byte(struct input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

/* A run with its length in front, cut to what is there and to max. */
static struct input take_run(struct input *in, size_t max)
{
	size_t n = take_byte(in);
	struct input run;

	n |= (size_t)take_byte(in) << 8;
	n = n > in->size ? in->size : n;
	run = (struct input){in->data, n > max ? max : n};
	in->data += n;
	in->size -= n;
	return run;
}

static void put(int fd, const void *p, size_t n, size_t at)
{
	if (pwrite(fd, p, n, (off_t)at) != (ssize_t)n)
		abort();
}

static uint64_t make_base(struct input *in, int fd)
{
	unsigned blocks = take_byte(in) % (BLOCKS_MAX + 1);
	uint64_t id = 0;

	for (unsigned i = 0; i < blocks; i++) {
		struct input run = take_run(in, INDEX_PAYLOAD);
		unsigned char block[INDEX_BLOCK] = {0};

		memcpy(block, run.data, run.size);
		if (i == 0)
			for (int k = 0; k < 8; k++)
				id |= (uint64_t)block[16 + k] << 8 * k;
		index_block_seal(block, id, i);
		put(fd, block, sizeof(block), (size_t)i * INDEX_BLOCK);
	}
	return id;
}

static size_t make_delta(struct input *in, int fd, uint64_t id, bool raw)
{
	unsigned char frame[INDEX_FRAME_MAX];
	size_t at = INDEX_DELTA_HEADER;

	if (raw) {
		put(fd, in->data, in->size, 0);
		return in->size;
	}
	index_delta_header_encode(id, frame);
	put(fd, frame, INDEX_DELTA_HEADER, 0);
	while (in->size > 3) {
		unsigned flags = take_byte(in);
		struct input run = take_run(in, sizeof(frame) - INDEX_FRAME_HEADER);
		struct index_frame fields = {.first = !(flags & 1), .more = flags & 2};

		if (run.size == 0)
			continue;
		fields.size = (uint32_t)run.size;
		memcpy(frame + INDEX_FRAME_HEADER, run.data, run.size);
		index_frame_seal(frame, &fields, id, at);
		put(fd, frame, INDEX_FRAME_HEADER + run.size, at);
		at += INDEX_FRAME_HEADER + run.size;
	}
	return at;
}

static void check_id(const char *id, size_t size)
{
	if (size < 1 || size > POP3_UNIQUE_ID_MAX)
		abort();
	for (size_t i = 0; i < size; i++)
		if (id[i] < 0x21 || id[i] > 0x7e)
			abort();
}

/* As a front: sizes and ids by number. */
static void look_as_front(int base, int delta, const struct index_delta *known)
{
	struct index_view *view = NULL;
	struct index_entry entries[70];
	uint32_t at = 1;
	int n;

	if (index_view_create(base, delta, known->size, known->count + 1, known->octets, &view,
			      NULL) == 0)
		abort(); /* not what was announced */
	if (index_view_create(base, delta, known->size, known->count, known->octets, &view, NULL) <
	    0)
		return;
	while (at < READ_MAX && (n = index_view_read(view, at, true, entries, 70, NULL)) > 0) {
		for (int i = 0; i < n; i++)
			check_id(entries[i].unique_id.data, entries[i].unique_id.size);
		at += (uint32_t)n;
	}
	if (at > known->count + 1 && known->count < READ_MAX)
		abort();
	for (at = 1; at < READ_MAX; at += (uint32_t)n) {
		n = index_view_read(view, at, false, entries, 70, NULL);
		if (n <= 0)
			break;
	}
	if (known->count)
		(void)index_view_read(view, known->count, true, entries, 1, NULL);
	(void)index_view_read(view, known->count / 2, true, entries, 1, NULL);
	index_view_destroy(view);
}

/* As a keeper: names, too, and whatever can be saved. */
static void look_as_keeper(struct index *index)
{
	uint32_t end = index->header.count + index->delta.added;
	struct index_search search = {0};

	for (uint32_t ordinal = 0; ordinal < end && ordinal < READ_MAX; ordinal++) {
		struct index_message m;

		(void)index_delta_removed(&index->delta, ordinal);
		if (index_read(index, ordinal, &m, NULL) < 0)
			continue;
		check_id(m.id, m.id_size);
		if (m.name_size == 0 || strlen(m.name) != m.name_size || strchr(m.name, '/'))
			abort();
		if (search.count < 100)
			index_search_add(&search, (pop3_span){m.name, m.name_size});
	}
	(void)index_search(index, &search);
	index_search_finish(&search);
	(void)index_verify(index, NULL);
	for (size_t i = 0; i < index->delta.pending_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(index->sys, index->delta_fd, index->delta.pending[i], buf,
				     &change, NULL) == 0 &&
		    change.kind != CHANGE_DEL)
			abort();
	}
}

/* What only a later version knows is carried into a new log octet by octet. */
static void carry_unknown(const struct index *index)
{
	for (size_t i = 0; i < index->delta.unknown_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX], copy[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(index->sys, index->delta_fd, index->delta.unknown[i], buf,
				     &change, NULL) < 0 ||
		    change.kind != CHANGE_UNKNOWN ||
		    index_change_encode(&change, copy) != change.record.size ||
		    memcmp(copy, buf, change.record.size) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	int base = memfd_create("base", MFD_CLOEXEC), delta = memfd_create("delta", MFD_CLOEXEC);
	bool raw = take_byte(&in) & 1;
	struct index_delta saved;
	struct index index;
	uint64_t id;

	if (base < 0 || delta < 0)
		abort();
	id = make_base(&in, base);
	(void)make_delta(&in, delta, id, raw);
	if (index_open(&index, &maildrop_kernel, base, delta, UINT64_MAX, NULL) == 0) {
		look_as_front(base, delta, &index.delta);
		look_as_keeper(&index);
		carry_unknown(&index);
		index_close(&index);
	}
	index_delta_init(&saved, NULL);
	(void)index_delta_salvage(&saved, &maildrop_kernel, delta);
	index_delta_finish(&saved);
	close(base);
	close(delta);
	return 0;
}
