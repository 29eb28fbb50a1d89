/* See index.h. */
#include "maildrop/index/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WINDOW_BLOCKS 8u /* read at once when the reading goes on in sequence */
#define STRETCH 16384u

static int damaged(struct err *err)
{
	return err_set(err, EX_TEMPFAIL, "the index is damaged");
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static ssize_t read_blocks(struct index *index, unsigned char *data, uint64_t first, uint32_t n)
{
	size_t got = 0, want = (size_t)n * INDEX_BLOCK;

	while (got < want) {
		ssize_t k = index->sys->pread(index->base_fd, data + got, want - got,
					      (off_t)(first * INDEX_BLOCK + got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		if (k == 0)
			break;
		got += (size_t)k;
	}
	return (ssize_t)(got / INDEX_BLOCK);
}

int index_open_base(struct index *index, const struct maildrop_syscalls *sys, int base_fd,
		    struct err *err)
{
	unsigned char block[INDEX_BLOCK];
	ssize_t n;
	int decoded;

	memset(index, 0, sizeof(*index));
	index->sys = sys;
	index->base_fd = base_fd;
	index->delta_fd = -1;
	n = read_blocks(index, block, 0, 1);
	if (n < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	decoded = n == 1 ? index_header_decode(block, &index->header) : -1;
	if (decoded == INDEX_NEWER) {
		err_set(err, EX_TEMPFAIL, "the index is of a newer version");
		return INDEX_NEWER;
	}
	if (decoded < 0)
		return damaged(err);
	index->hashes_at = 1 + index_record_blocks(index->header.count);
	index->texts_at = index->hashes_at + index_hash_blocks(index->header.count);
	index->end = index->texts_at + index->header.text_blocks;
	index_delta_init(&index->delta, &index->header);
	return 0;
}

int index_open(struct index *index, const struct maildrop_syscalls *sys, int base_fd, int delta_fd,
	       uint64_t limit, struct err *err)
{
	int result = index_open_base(index, sys, base_fd, err);

	if (result < 0)
		return result;
	index->delta_fd = delta_fd;
	result = index_delta_scan(&index->delta, sys, delta_fd, limit, err);
	if (result < 0)
		index_delta_finish(&index->delta);
	return result;
}

int index_check_size(const struct index *index, struct err *err)
{
	struct stat st;

	if (index->sys->fstat(index->base_fd, &st) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	return (uint64_t)st.st_size < index->end * INDEX_BLOCK ? damaged(err) : 0;
}

void index_drop_buffers(struct index *index)
{
	free(index->records.data);
	free(index->texts.data);
	free(index->log.data);
	memset(&index->records, 0, sizeof(index->records));
	memset(&index->texts, 0, sizeof(index->texts));
	memset(&index->log, 0, sizeof(index->log));
}

void index_close(struct index *index)
{
	index_drop_buffers(index);
	index_delta_finish(&index->delta);
}

static int make_room(struct index_window *window, uint32_t blocks, struct err *err)
{
	unsigned char *more;

	if (blocks <= window->room)
		return 0;
	more = realloc(window->data, (size_t)blocks * INDEX_BLOCK);
	if (!more)
		return err_sys(err, EX_TEMPFAIL, errno, "index");
	window->data = more;
	window->room = blocks;
	return 0;
}

/*
 * Blocks from `number` on, checked. One is read for a look-up somewhere, several when the block
 * follows the one before.
 */
static int window_read(struct index *index, struct index_window *window, uint64_t number,
		       uint64_t end, struct err *err)
{
	bool sequence = window->count && number == window->first + window->count;
	uint32_t want = sequence ? WINDOW_BLOCKS : 1;
	ssize_t n;

	if (want > end - number)
		want = (uint32_t)(end - number);
	window->count = 0;
	if (make_room(window, want, err) < 0)
		return -1;
	n = read_blocks(index, window->data, number, want);
	if (n < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	if (n < (ssize_t)want)
		return damaged(err);
	for (uint32_t i = 0; i < want; i++)
		if (!index_block_good(window->data + (size_t)i * INDEX_BLOCK, index->header.id,
				      number + i))
			return damaged(err);
	window->first = number;
	window->count = want;
	return 0;
}

static bool holds(const struct index_window *window, uint64_t number)
{
	return number >= window->first && number < window->first + window->count;
}

/* A checked block, which is not beyond `end`. */
static const unsigned char *block_get(struct index *index, struct index_window *window,
				      uint64_t number, uint64_t end, struct err *err)
{
	if (number >= end) {
		damaged(err);
		return NULL;
	}
	if (!holds(window, number) && window_read(index, window, number, end, err) < 0)
		return NULL;
	return window->data + (number - window->first) * INDEX_BLOCK;
}

/* A base record and those behind it in its block, which is kept until the next call. */
static const unsigned char *records_from(struct index *index, uint32_t ordinal, struct err *err)
{
	const unsigned char *block = block_get(
		index, &index->records, 1 + ordinal / INDEX_BLOCK_RECORDS, index->hashes_at, err);

	return block ? block + ordinal % INDEX_BLOCK_RECORDS * INDEX_RECORD : NULL;
}

static uint64_t text_block(const struct index *index, const struct index_record *r)
{
	return index->texts_at + r->text / INDEX_BLOCK;
}

/* A base record's text, in the window, until the next call. NULL: no. */
static const char *text_of(struct index *index, const struct index_record *r, struct err *err)
{
	uint32_t at = r->text % INDEX_BLOCK,
		 size = r->name_size + (r->flags & INDEX_OWN_ID ? r->id_size : 0u);
	const unsigned char *block;

	if (at + size > INDEX_PAYLOAD) {
		damaged(err);
		return NULL;
	}
	block = block_get(index, &index->texts, text_block(index, r), index->end, err);
	return block ? (const char *)block + at : NULL;
}

/* A change at a position of the log that the scan noted; its spans live until the next call. */
static int log_change(struct index *index, uint64_t position, struct index_change *ret,
		      struct err *err)
{
	struct index_stretch *log = &index->log;
	pop3_span in;

	if (!log->data)
		log->data = malloc(STRETCH);
	if (!log->data)
		return err_sys(err, EX_TEMPFAIL, errno, "index");
	if (position < log->first || position + INDEX_CHANGE_MAX > log->first + log->size) {
		ssize_t n = maildrop_pread(index->sys, index->delta_fd, log->data, STRETCH,
					   (off_t)position);

		log->size = 0;
		if (n < 0)
			return err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
		log->first = position;
		log->size = (uint32_t)n;
	}
	in.data = (const char *)log->data + (position - log->first);
	in.size = log->size - (position - log->first);
	return index_change_decode(in, ret) < 0 ? damaged(err) : 0;
}

static void copy_text(struct index_message *message, const char *id, const char *name)
{
	memcpy(message->id, id, message->id_size);
	memcpy(message->name, name, message->name_size);
	message->name[message->name_size] = '\0';
}

static int read_base(struct index *index, uint32_t ordinal, struct index_message *ret,
		     struct err *err)
{
	const unsigned char *record = records_from(index, ordinal, err);
	struct index_record r;
	const char *text;

	if (!record)
		return -1;
	if (index_record_decode(record, &r) < 0)
		return damaged(err);
	text = text_of(index, &r, err);
	if (!text)
		return -1;
	ret->octets = r.octets;
	ret->stored = r.stored;
	ret->inode = r.inode;
	ret->flags = r.flags;
	ret->id_size = r.id_size;
	ret->name_size = r.name_size;
	copy_text(ret, text, text + (r.flags & INDEX_OWN_ID ? r.id_size : 0));
	if (!index_id_valid((pop3_span){ret->id, ret->id_size}) ||
	    !index_name_valid((pop3_span){ret->name, ret->name_size}))
		return damaged(err);
	return 0;
}

static int read_added(struct index *index, uint32_t ordinal, struct index_change *ret,
		      struct err *err)
{
	uint32_t nth = ordinal - index->header.count;

	if (nth >= index->delta.added)
		return damaged(err);
	if (log_change(index, index->delta.adds[nth], ret, err) < 0)
		return -1;
	return ret->kind == CHANGE_ADD ? 0 : damaged(err);
}

#define FLAGS_OF_SIZE (INDEX_UNVERIFIED | INDEX_WIRE_FORM)

static int apply_edits(struct index *index, uint32_t ordinal, struct index_message *message,
		       struct err *err)
{
	const struct index_delta *delta = &index->delta;

	for (size_t i = index_delta_edit(delta, ordinal);
	     i < delta->edit_count && delta->edits[i].ordinal == ordinal; i++) {
		struct index_change change;

		if (log_change(index, delta->edits[i].position, &change, err) < 0)
			return -1;
		message->inode = change.inode;
		if (change.kind == CHANGE_SIZE) {
			message->octets = change.octets;
			message->stored = change.stored;
			message->flags = (uint16_t)((message->flags & ~FLAGS_OF_SIZE) |
						    (change.flags & FLAGS_OF_SIZE));
			continue;
		}
		if (change.kind != CHANGE_NAME)
			return damaged(err);
		message->flags = (uint16_t)((message->flags & ~INDEX_IN_NEW) |
					    (change.flags & INDEX_IN_NEW));
		message->name_size = (uint8_t)change.name.size;
		memcpy(message->name, change.name.data, change.name.size);
		message->name[change.name.size] = '\0';
	}
	return 0;
}

int index_read(struct index *index, uint32_t ordinal, struct index_message *ret, struct err *err)
{
	if (ordinal < index->header.count) {
		if (read_base(index, ordinal, ret, err) < 0)
			return -1;
	} else {
		struct index_change change;

		if (read_added(index, ordinal, &change, err) < 0)
			return -1;
		ret->octets = change.octets;
		ret->stored = change.stored;
		ret->inode = change.inode;
		ret->flags = change.flags;
		ret->id_size = (uint8_t)change.id.size;
		ret->name_size = (uint8_t)change.name.size;
		copy_text(ret, change.id.data, change.name.data);
	}
	return index->delta.edit_count ? apply_edits(index, ordinal, ret, err) : 0;
}

/* As many as one block of records and, with ids, the texts in the window have. */
static int base_entries(struct index *index, uint32_t ordinal, bool with_ids,
			struct index_entry *ret, uint32_t n, struct err *err)
{
	const unsigned char *record = records_from(index, ordinal, err);
	uint32_t in_block = INDEX_BLOCK_RECORDS - ordinal % INDEX_BLOCK_RECORDS, i;

	if (!record)
		return -1;
	n = smaller(smaller(n, in_block), index->header.count - ordinal);
	for (i = 0; i < n; i++, record += INDEX_RECORD) {
		struct index_record r;
		const char *text = NULL;

		if (index_record_decode(record, &r) < 0)
			return damaged(err);
		if (with_ids) {
			if (i > 0 && !holds(&index->texts, text_block(index, &r)))
				break;
			text = text_of(index, &r, err);
			if (!text)
				return -1;
			if (!index_id_valid((pop3_span){text, r.id_size}))
				return damaged(err);
		}
		ret[i].octets = r.octets;
		ret[i].unique_id = (pop3_span){text, text ? r.id_size : 0u};
	}
	return (int)i;
}

static int added_entry(struct index *index, uint32_t ordinal, bool with_id, struct index_entry *ret,
		       struct err *err)
{
	struct index_change change;

	if (read_added(index, ordinal, &change, err) < 0)
		return -1;
	ret->octets = change.octets;
	ret->unique_id = with_id ? change.id : (pop3_span){0};
	return 1;
}

static int unedited_entries(struct index *index, uint32_t ordinal, bool with_ids,
			    struct index_entry *ret, uint32_t n, struct err *err)
{
	if (ordinal < index->header.count)
		return base_entries(index, ordinal, with_ids, ret, n, err);
	return added_entry(index, ordinal, with_ids, ret, err);
}

/* `edit`: its first one. They are read before the message: if that was added, its id is in the
 * same stretch of the log. */
static int edited_entry(struct index *index, uint32_t ordinal, bool with_id, size_t edit,
			struct index_entry *ret, struct err *err)
{
	const struct index_delta *delta = &index->delta;
	uint64_t octets = 0;
	bool counted = false;

	for (; edit < delta->edit_count && delta->edits[edit].ordinal == ordinal; edit++) {
		struct index_change change;

		if (log_change(index, delta->edits[edit].position, &change, err) < 0)
			return -1;
		if (change.kind != CHANGE_SIZE)
			continue;
		octets = change.octets;
		counted = true;
	}
	if (unedited_entries(index, ordinal, with_id, ret, 1, err) < 0)
		return -1;
	if (counted)
		ret->octets = octets;
	return 1;
}

int index_read_entries(struct index *index, uint32_t ordinal, bool with_ids,
		       struct index_entry *ret, uint32_t n, struct err *err)
{
	const struct index_delta *delta = &index->delta;
	size_t edit = index_delta_edit(delta, ordinal);

	if (edit < delta->edit_count) {
		if (delta->edits[edit].ordinal == ordinal)
			return edited_entry(index, ordinal, with_ids, edit, ret, err);
		n = smaller(n, delta->edits[edit].ordinal - ordinal);
	}
	return unedited_entries(index, ordinal, with_ids, ret, n, err);
}

const unsigned char *index_hashes(struct index *index, uint32_t nth)
{
	return block_get(index, &index->records, index->hashes_at + nth, index->texts_at, NULL);
}

int index_verify(struct index *index, struct err *err)
{
	int result = 0;

	for (uint64_t number = 1; number < index->end && result == 0; number++)
		if (!block_get(index, &index->records, number, index->end, err))
			result = -1;
	index_drop_buffers(index);
	return result;
}

bool index_unverified(const struct index *index, uint32_t ordinal,
		      const struct index_message *message)
{
	return message->flags & INDEX_UNVERIFIED && ordinal >= index->delta.verified;
}
