/*
 * The log of a maildrop in RADOS: octets that anyone with the pool's key may have written. What is
 * read of it does not depend on how it is fed; totals are those of its messages; and what it is
 * made into by a compaction says the same.
 */
#include "base/crc32c.h"
#include "maildrop/rados/log/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_totals(const struct drop_log *log)
{
	uint64_t live = 0, octets = 0, stored = 0, size = 0;

	for (size_t i = 0; i < log->count; i++) {
		const struct drop_message *message = &log->messages[i];
		char buf[DROP_ID_TEXT];

		assert(drop_log_find(log, message->id) == message);
		assert(message->added || message->deleted);
		assert(drop_log_unique_id(log, message, buf).size <= POP3_UNIQUE_ID_MAX);
		if (!message->added || message->deleted)
			continue;
		live++;
		octets += message->octets;
		stored += message->stored;
		size += DROP_FRAME_ADD + message->id_size;
	}
	assert(live == log->live && octets == log->octets && stored == log->stored &&
	       size == log->live_size);
}

/* One frame at a time. */
static void check_steps(const struct drop_log *whole, const char *data, size_t size)
{
	struct drop_frame frame;
	struct drop_log log;
	size_t n;

	drop_log_init(&log);
	for (; size && (n = drop_frame_decode((pop3_span){data, size}, &frame)) != 0;
	     data += n, size -= n)
		assert(drop_log_feed(&log, (pop3_span){data, n}, NULL) == 0);
	assert(log.size == whole->size && log.count == whole->count && log.live == whole->live);
	drop_log_finish(&log);
}

static void check_compaction(struct drop_log *log)
{
	unsigned char *octets;
	struct drop_log again;
	size_t size;

	for (size_t i = 0; i < log->count; i++)
		log->messages[i].gone = log->messages[i].deleted && log->messages[i].id[0] & 1;
	if (drop_log_compact(log, &octets, &size) < 0) {
		assert(log->unknown);
		return;
	}
	drop_log_init(&again);
	assert(drop_log_feed(&again, (pop3_span){(const char *)octets, size}, NULL) == 0);
	assert(again.live == log->live && again.octets == log->octets &&
	       again.stored == log->stored);
	for (size_t i = 0; i < log->count; i++) {
		const struct drop_message *message = &log->messages[i],
					  *same = drop_log_find(&again, message->id);

		assert(!same == (message->deleted && message->gone));
		assert(!same ||
		       (same->deleted == message->deleted && same->octets == message->octets));
	}
	drop_log_finish(&again);
	free(octets);
}

static void check(const char *data, size_t size)
{
	struct drop_log log;

	drop_log_init(&log);
	(void)drop_log_feed(&log, (pop3_span){data, size}, NULL);
	assert(log.size <= size);
	check_totals(&log);
	check_steps(&log, data, size);
	check_compaction(&log);
	drop_log_finish(&log);
}

/* Frames get the checksums that they should have: no fuzzer finds those. */
static void seal(char *data, size_t size)
{
	while (size >= DROP_FRAME_HEAD) {
		size_t n = (unsigned char)data[0] | (size_t)(unsigned char)data[1] << 8;
		uint32_t crc;

		if (n < DROP_FRAME_HEAD || n > size)
			return;
		memset(data + 4, 0, 4);
		crc = crc32c(0, data, n);
		for (int i = 0; i < 4; i++)
			data[4 + i] = (char)(crc >> 8 * i);
		data += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *sealed = malloc(size + 1);

	assert(sealed);
	check((const char *)data, size);
	if (size)
		memcpy(sealed, data, size);
	seal(sealed, size);
	check(sealed, size);
	free(sealed);
	return 0;
}
