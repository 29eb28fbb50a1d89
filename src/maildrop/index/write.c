/* See write.h. In keepers and `valija deliver`. */
#include "maildrop/index/write.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUN_BLOCKS 32u

static int run_init(struct index_run *run, uint64_t first)
{
	run->data = malloc((size_t)RUN_BLOCKS * INDEX_BLOCK);
	run->first = first;
	return run->data ? 0 : -1;
}

static int run_flush(struct index_writer *w, struct index_run *run)
{
	int result = maildrop_pwrite(w->sys, w->fd, run->data, (size_t)run->count * INDEX_BLOCK,
				     run->first * INDEX_BLOCK);

	run->first += run->count;
	run->count = 0;
	return result;
}

/* Ends the block being filled, if there is anything in it. */
static int run_seal(struct index_writer *w, struct index_run *run)
{
	unsigned char *block = run->data + (size_t)run->count * INDEX_BLOCK;

	if (run->used == 0)
		return 0;
	memset(block + run->used, 0, INDEX_PAYLOAD - run->used);
	index_block_seal(block, w->header.id, run->first + run->count);
	run->used = 0;
	if (++run->count < RUN_BLOCKS)
		return 0;
	return run_flush(w, run);
}

/* Room for size octets that stay together in one block. */
static unsigned char *run_take(struct index_writer *w, struct index_run *run, uint32_t size)
{
	unsigned char *p;

	if (run->used + size > INDEX_PAYLOAD && run_seal(w, run) < 0)
		return NULL;
	p = run->data + (size_t)run->count * INDEX_BLOCK + run->used;
	run->used += size;
	return p;
}

int index_writer_init(struct index_writer *w, const struct maildrop_syscalls *sys, int fd,
		      uint64_t id, uint32_t count)
{
	uint64_t hashes = 1 + index_record_blocks(count), texts = hashes + index_hash_blocks(count);

	memset(w, 0, sizeof(*w));
	w->sys = sys;
	w->fd = fd;
	w->header.id = id;
	w->expected = count;
	if (count > INDEX_COUNT_MAX) {
		errno = EFBIG;
		return -1;
	}
	if (run_init(&w->records, 1) < 0 || run_init(&w->hashes, hashes) < 0 ||
	    run_init(&w->texts, texts) < 0) {
		index_writer_abort(w);
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

void index_writer_abort(struct index_writer *w)
{
	free(w->records.data);
	free(w->hashes.data);
	free(w->texts.data);
	w->records.data = w->hashes.data = w->texts.data = NULL;
}

int index_writer_add(struct index_writer *w, const struct index_message *m, uint8_t unique_size)
{
	uint32_t size = m->name_size + (m->flags & INDEX_OWN_ID ? m->id_size : 0u);
	uint64_t texts = 1 + index_record_blocks(w->expected) + index_hash_blocks(w->expected);
	uint32_t hash = index_hash((pop3_span){m->name, unique_size});
	unsigned char *text = run_take(w, &w->texts, size);
	uint64_t at =
		(w->texts.first + w->texts.count - texts) * INDEX_BLOCK + w->texts.used - size;
	unsigned char *record = run_take(w, &w->records, INDEX_RECORD);
	unsigned char *slot = run_take(w, &w->hashes, 4);

	if (!text || !record || !slot)
		return -1;
	if (at > UINT32_MAX || m->octets > INT64_MAX - w->header.octets ||
	    m->stored > INT64_MAX - w->header.stored) {
		errno = EFBIG;
		return -1;
	}
	if (m->flags & INDEX_OWN_ID) {
		memcpy(text, m->id, m->id_size);
		text += m->id_size;
	}
	memcpy(text, m->name, m->name_size);
	for (int i = 0; i < 4; i++)
		slot[i] = (unsigned char)(hash >> 8 * i);
	index_record_encode(&(struct index_record){.octets = m->octets,
						   .stored = m->stored,
						   .inode = m->inode,
						   .text = (uint32_t)at,
						   .id_size = m->id_size,
						   .name_size = m->name_size,
						   .flags = m->flags},
			    record);
	w->header.count++;
	if (m->flags & INDEX_UNVERIFIED)
		w->header.unverified_end = w->header.count;
	w->header.octets += m->octets;
	w->header.stored += m->stored;
	w->header.in_new += m->flags & INDEX_IN_NEW ? 1 : 0;
	w->header.own_ids += m->flags & INDEX_OWN_ID ? 1 : 0;
	return 0;
}

int index_writer_finish(struct index_writer *w, const struct index_stamp stamps[INDEX_DIRECTORIES])
{
	uint64_t texts = 1 + index_record_blocks(w->expected) + index_hash_blocks(w->expected);
	unsigned char block[INDEX_BLOCK];
	uint64_t text_blocks;

	assert(w->header.count == w->expected);
	if (run_seal(w, &w->records) < 0 || run_flush(w, &w->records) < 0 ||
	    run_seal(w, &w->hashes) < 0 || run_flush(w, &w->hashes) < 0 ||
	    run_seal(w, &w->texts) < 0 || run_flush(w, &w->texts) < 0)
		return -1;
	text_blocks = w->texts.first - texts;
	w->header.text_blocks = (uint32_t)text_blocks;
	memcpy(w->header.stamps, stamps, sizeof(w->header.stamps));
	index_header_encode(&w->header, block);
	return maildrop_pwrite(w->sys, w->fd, block, sizeof(block), 0);
}

/* With its header. No change is cut in two, and the longest one must fit. */
static bool frame_full(size_t size)
{
	return size > INDEX_FRAME_MAX - INDEX_CHANGE_MAX;
}

void index_batch_add(struct index_batch *batch, const struct index_change *change)
{
	if (batch->room - batch->size < INDEX_FRAME_HEADER + INDEX_CHANGE_MAX && !batch->failed) {
		size_t room = batch->room ? batch->room * 2 : 4 * INDEX_CHANGE_MAX;
		unsigned char *more = realloc(batch->data, room);

		batch->failed = !more;
		if (more) {
			batch->data = more;
			batch->room = room;
		}
	}
	if (batch->failed)
		return;
	if (batch->size == 0 || frame_full(batch->size - batch->frame)) {
		batch->frame = batch->size;
		batch->size += INDEX_FRAME_HEADER;
	}
	batch->size += index_change_encode(change, batch->data + batch->size);
}

void index_batch_finish(struct index_batch *batch)
{
	free(batch->data);
	memset(batch, 0, sizeof(*batch));
}

/* Of the frame that begins there, with its header: as index_batch_add filled it. */
static uint32_t frame_size(const struct index_batch *batch, size_t at)
{
	uint32_t size = INDEX_FRAME_HEADER;

	while (at + size < batch->size && !frame_full(size)) {
		const unsigned char *change = batch->data + at + size;

		size += change[10] | (uint32_t)change[11] << 8;
	}
	return size;
}

int64_t index_batch_write(struct index_batch *batch, const struct maildrop_syscalls *sys, int fd,
			  uint64_t id, uint64_t position)
{
	uint32_t size;

	if (batch->failed) {
		errno = ENOMEM;
		return -1;
	}
	for (size_t at = 0; at < batch->size; at += size) {
		size = frame_size(batch, at);
		index_frame_seal(batch->data + at,
				 &(struct index_frame){.size = size - INDEX_FRAME_HEADER,
						       .first = at == 0,
						       .more = at + size < batch->size},
				 id, position + at);
	}
	if (maildrop_pwrite(sys, fd, batch->data, batch->size, position) < 0)
		return -1;
	return (int64_t)batch->size;
}
