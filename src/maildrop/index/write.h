/*
 * Writes a base: block by block, the header last, so that a file without a good header is no base.
 * And collects changes for the delta. Keepers only. Descriptors are the caller's.
 */
#ifndef MAILDROP_INDEX_WRITE_H
#define MAILDROP_INDEX_WRITE_H

#include "maildrop/index/index.h"

#include <stddef.h>

/* A run of blocks on its way to the file. */
struct index_run {
	unsigned char *data;
	uint64_t first; /* block number of data in the file */
	uint32_t count; /* whole blocks; the next one is being filled */
	uint32_t used;  /* octets of the block being filled */
};

struct index_writer {
	const struct maildrop_syscalls *sys;
	int fd;
	struct index_header header;
	uint32_t expected;
	struct index_run records, hashes, texts;
};

/* count: how many messages will be added. -1 with errno. */
int index_writer_init(struct index_writer *writer, const struct maildrop_syscalls *sys, int fd,
		      uint64_t id, uint32_t count);
/* unique_size: of the name's beginning that is its unique part. */
int index_writer_add(struct index_writer *writer, const struct index_message *message,
		     uint8_t unique_size);
int index_writer_finish(struct index_writer *writer,
			const struct index_stamp stamps[INDEX_DIRECTORIES]);
void index_writer_abort(struct index_writer *writer); /* frees; also after finish */

/* Changes on their way to the delta, in frames whose headers are filled in when they are written.
 */
struct index_batch {
	unsigned char *data;
	size_t size, room;
	size_t frame; /* where the last one begins */
	bool failed;  /* memory was short: index_batch_write fails */
};

void index_batch_add(struct index_batch *batch, const struct index_change *change);
/* As one group of frames, whole or not at all, at the offset position. Returns octets, -1 with
 * errno; then octets may be there that are no group. */
int64_t index_batch_write(struct index_batch *batch, const struct maildrop_syscalls *sys, int fd,
			  uint64_t id, uint64_t position);
void index_batch_finish(struct index_batch *batch);

#endif
