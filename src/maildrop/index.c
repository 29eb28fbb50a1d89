/* See index.h. */
#include "maildrop/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WINDOW_BLOCKS 4u /* read at once when the reading goes on in sequence */

static int damaged(struct err *err)
{
	return err_set(err, EX_TEMPFAIL, "the index is damaged");
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

	memset(index, 0, sizeof(*index));
	index->sys = sys;
	index->base_fd = base_fd;
	index->delta_fd = -1;
	n = read_blocks(index, block, 0, 1);
	if (n < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	if (n != 1 || index_header_decode(block, &index->header) < 0)
		return damaged(err);
	index_delta_init(&index->delta, &index->header);
	return 0;
}

int index_open(struct index *index, const struct maildrop_syscalls *sys, int base_fd, int delta_fd,
	       uint64_t limit, struct err *err)
{
	if (index_open_base(index, sys, base_fd, err) < 0)
		return -1;
	index->delta_fd = delta_fd;
	if (index_delta_scan(&index->delta, sys, delta_fd, limit, err) == 0)
		return 0;
	index_delta_finish(&index->delta);
	return -1;
}

void index_rest(struct index *index)
{
	free(index->records.data);
	free(index->texts.data);
	memset(&index->records, 0, sizeof(index->records));
	memset(&index->texts, 0, sizeof(index->texts));
}

void index_close(struct index *index)
{
	index_rest(index);
	index_delta_finish(&index->delta);
}

/*
 * A checked block, which is not beyond `end`. One block is read for a look-up somewhere, several
 * when the block follows the one before.
 */
static const unsigned char *block_get(struct index *index, struct index_window *window,
				      uint64_t number, uint64_t end, struct err *err)
{
	bool sequence = window->count && number == window->first + window->count;
	uint32_t want = sequence ? WINDOW_BLOCKS : 1;
	ssize_t n;

	if (number >= end) {
		damaged(err);
		return NULL;
	}
	if (number >= window->first && number < window->first + window->count)
		return window->data + (number - window->first) * INDEX_BLOCK;
	if (want > end - number)
		want = (uint32_t)(end - number);
	if (want > window->room) {
		unsigned char *more = realloc(window->data, (size_t)want * INDEX_BLOCK);

		if (!more) {
			err_sys(err, EX_TEMPFAIL, errno, "index");
			return NULL;
		}
		window->data = more;
		window->room = want;
	}
	window->count = 0;
	n = read_blocks(index, window->data, number, want);
	if (n < 0)
		err_sys(err, EX_TEMPFAIL, errno, "the index cannot be read");
	else if (n < want)
		damaged(err);
	if (n < want)
		return NULL;
	for (uint32_t i = 0; i < want; i++) {
		if (!index_block_good(window->data + (size_t)i * INDEX_BLOCK, index->header.id,
				      number + i)) {
			damaged(err);
			return NULL;
		}
	}
	window->first = number;
	window->count = want;
	return window->data;
}

static void take_text(struct index_message *message, const char *text, bool own_id)
{
	memcpy(message->id, text, message->id_size);
	if (own_id)
		text += message->id_size;
	memcpy(message->name, text, message->name_size);
	message->name[message->name_size] = '\0';
}

static int read_base(struct index *index, uint32_t ordinal, struct index_message *ret,
		     struct err *err)
{
	uint64_t records_end = 1 + index_record_blocks(index->header.count);
	uint64_t texts = records_end + index_hash_blocks(index->header.count);
	uint64_t number = 1 + ordinal / INDEX_BLOCK_RECORDS;
	const unsigned char *block = block_get(index, &index->records, number, records_end, err);
	struct index_record r;
	uint32_t at, size;
	bool own;

	if (!block)
		return -1;
	block += ordinal % INDEX_BLOCK_RECORDS * INDEX_RECORD;
	if (index_record_decode(block, &r) < 0)
		return damaged(err);
	own = r.flags & INDEX_OWN_ID;
	at = r.text % INDEX_BLOCK;
	size = r.name_size + (own ? r.id_size : 0u);
	if (at + size > INDEX_PAYLOAD)
		return damaged(err);
	block = block_get(index, &index->texts, texts + r.text / INDEX_BLOCK,
			  texts + index->header.text_blocks, err);
	if (!block)
		return -1;
	ret->octets = r.octets;
	ret->stored = r.stored;
	ret->inode = r.inode;
	ret->flags = r.flags;
	ret->id_size = r.id_size;
	ret->name_size = r.name_size;
	take_text(ret, (const char *)block + at, own);
	if (!index_id_valid((pop3_span){ret->id, ret->id_size}) ||
	    !index_name_valid((pop3_span){ret->name, ret->name_size}))
		return damaged(err);
	return 0;
}

static int read_added(struct index *index, uint32_t nth, struct index_message *ret, struct err *err)
{
	unsigned char buf[INDEX_CHANGE_MAX];
	struct index_change change;

	if (index_delta_read(index->sys, index->delta_fd, index->delta.adds[nth], buf, &change,
			     err) < 0)
		return -1;
	if (change.kind != CHANGE_ADD)
		return damaged(err);
	ret->octets = change.octets;
	ret->stored = change.stored;
	ret->inode = change.inode;
	ret->flags = change.flags;
	ret->id_size = (uint8_t)change.id.size;
	ret->name_size = (uint8_t)change.name.size;
	memcpy(ret->id, change.id.data, change.id.size);
	memcpy(ret->name, change.name.data, change.name.size);
	ret->name[change.name.size] = '\0';
	return 0;
}

#define FLAGS_OF_SIZE (INDEX_UNVERIFIED | INDEX_WIRE_FORM)

static int apply_edits(struct index *index, uint32_t ordinal, struct index_message *message,
		       struct err *err)
{
	const struct index_delta *delta = &index->delta;

	for (size_t i = index_delta_edit(delta, ordinal);
	     i < delta->edit_count && delta->edits[i].ordinal == ordinal; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(index->sys, index->delta_fd, delta->edits[i].position, buf,
				     &change, err) < 0)
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
	int result;

	if (ordinal < index->header.count)
		result = read_base(index, ordinal, ret, err);
	else if (ordinal - index->header.count < index->delta.added)
		result = read_added(index, ordinal - index->header.count, ret, err);
	else
		result = damaged(err);
	if (result < 0 || index->delta.edit_count == 0)
		return result;
	return apply_edits(index, ordinal, ret, err);
}

int index_verify(struct index *index, struct err *err)
{
	uint64_t end = 1 + index_record_blocks(index->header.count) +
		       index_hash_blocks(index->header.count) + index->header.text_blocks;
	int result = 0;

	for (uint64_t number = 1; number < end && result == 0; number++)
		if (!block_get(index, &index->records, number, end, err))
			result = -1;
	index_rest(index);
	return result;
}

bool index_unverified(const struct index *index, uint32_t ordinal,
		      const struct index_message *message)
{
	return message->flags & INDEX_UNVERIFIED && ordinal >= index->delta.verified;
}
