/* See listing.h. */
#include "maildrop/rados/log/listing.h"

#include "base/descriptor.h"
#include "base/random.h"
#include "maildrop/index/format.h"
#include "maildrop/index/write.h"
#include "maildrop/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
	SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
	/* A base is made anew when the log tells of more changes than these, and a part of its
	 * messages: each login reads all of the delta. */
	CHANGES_MIN = 512,
	PART = 32,
	MESSAGE_OCTETS = 160, /* of a message in base and file, about */
};

struct drop_base {
	unsigned references;
	int fd;
	uint64_t id;
	uint32_t count;
	size_t of_messages, of_deletions; /* of the log, that it has */
	uint32_t *places;                 /* of its messages in the log, ascending */
	struct drop_listed *messages;
};

static bool is_live(const struct drop_message *message)
{
	return message->added && !message->deleted;
}

static void list(const struct drop_message *message, struct drop_listed *ret)
{
	memcpy(ret->id, message->id, DROP_ID);
	ret->octets = message->octets;
	ret->stored = message->stored;
	ret->flags = message->flags;
	ret->body_crc = message->body_crc;
}

static uint16_t index_flags(const struct drop_message *message)
{
	return (message->flags & DROP_WIRE_FORM ? INDEX_WIRE_FORM : 0) |
	       (message->id_size ? INDEX_OWN_ID : 0);
}

/* ---- bases ---- */

static void release_base(struct drop_base *base)
{
	if (!base || --base->references)
		return;
	close_fd(&base->fd);
	free(base->places);
	free(base->messages);
	free(base);
}

/* The name of a record is the id in hex digits. */
static void fill_record(const struct drop_log *log, const struct drop_message *message,
			struct index_message *ret)
{
	pop3_span id = drop_log_unique_id(log, message, ret->name);

	ret->octets = message->octets;
	ret->stored = message->stored;
	ret->flags = index_flags(message);
	ret->id_size = (uint8_t)id.size;
	memcpy(ret->id, id.data, id.size);
	if (message->id_size) /* else it is there */
		drop_id_text(message->id, ret->name);
	ret->name_size = DROP_ID_TEXT - 1;
}

static int add_live(struct drop_base *base, struct index_writer *writer, const struct drop_log *log)
{
	struct index_message record = {0};

	for (size_t i = 0; i < log->count; i++) {
		const struct drop_message *message = &log->messages[i];

		if (!is_live(message))
			continue;
		fill_record(log, message, &record);
		if (index_writer_add(writer, &record, DROP_ID_TEXT - 1) < 0)
			return -1;
		list(message, &base->messages[base->count]);
		base->places[base->count++] = (uint32_t)i;
	}
	return 0;
}

static int write_base(struct drop_base *base, const struct drop_log *log)
{
	struct index_stamp stamps[INDEX_DIRECTORIES] = {{0}};
	struct index_writer writer;
	int result;

	if (index_writer_init(&writer, &maildrop_kernel, base->fd, base->id, (uint32_t)log->live) <
	    0)
		return -1;
	result = add_live(base, &writer, log);
	if (result == 0)
		result = index_writer_finish(&writer, stamps);
	index_writer_abort(&writer);
	return result;
}

static struct drop_base *make_base(const struct drop_log *log)
{
	struct drop_base *base;

	if (log->live > INDEX_COUNT_MAX) {
		errno = EFBIG;
		return NULL;
	}
	base = calloc(1, sizeof(*base));
	if (!base)
		return NULL;
	base->references = 1;
	base->of_messages = log->count;
	base->of_deletions = log->deletion_count;
	base->messages = malloc((log->live + 1) * sizeof(*base->messages));
	base->places = malloc((log->live + 1) * sizeof(*base->places));
	base->fd = maildrop_kernel.memory_file("valija-base");
	if (base->fd >= 0 && base->messages && base->places &&
	    random_octets(&base->id, sizeof(base->id)) == 0 && write_base(base, log) == 0 &&
	    fcntl(base->fd, F_ADD_SEALS, SEALS) == 0)
		return base;
	release_base(base);
	return NULL;
}

/* The log tells of so little since the base that a delta of it is cheaper than another base. */
static bool serves(const struct drop_base *base, const struct drop_log *log)
{
	size_t changes;

	if (!base)
		return false;
	changes = log->count - base->of_messages + log->deletion_count - base->of_deletions;
	return changes <= CHANGES_MIN + base->count / PART &&
	       base->count + changes <= INDEX_COUNT_MAX;
}

/* ---- deltas ---- */

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Messages of the base that were deleted since. */
static int take_removed(struct drop_listing *listing, const struct drop_log *log,
			struct index_batch *batch)
{
	const struct drop_base *base = listing->base;
	size_t deletions = log->deletion_count - base->of_deletions;

	listing->removed = malloc((deletions + 1) * sizeof(*listing->removed));
	if (!listing->removed)
		return -1;
	for (size_t i = base->of_deletions; i < log->deletion_count; i++) {
		const uint32_t *place = bsearch(&log->deletions[i], base->places, base->count,
						sizeof(*place), compare);
		const struct drop_message *message = &log->messages[log->deletions[i]];
		struct index_change change = {.kind = CHANGE_GONE,
					      .flags = index_flags(message),
					      .octets = message->octets,
					      .stored = message->stored};

		if (!place) /* it came after the base, and went */
			continue;
		change.ordinal = (uint32_t)(place - base->places);
		listing->removed[listing->removed_count++] = change.ordinal;
		index_batch_add(batch, &change);
	}
	qsort(listing->removed, listing->removed_count, sizeof(*listing->removed), compare);
	return 0;
}

/* Messages that came since the base, and are live. */
static int take_added(struct drop_listing *listing, const struct drop_log *log,
		      struct index_batch *batch)
{
	const struct drop_base *base = listing->base;

	listing->added = malloc((log->count - base->of_messages + 1) * sizeof(*listing->added));
	if (!listing->added)
		return -1;
	for (size_t i = base->of_messages; i < log->count; i++) {
		const struct drop_message *message = &log->messages[i];
		char name[DROP_ID_TEXT], buf[DROP_ID_TEXT];
		struct index_change change = {.kind = CHANGE_ADD,
					      .ordinal =
						      base->count + (uint32_t)listing->added_count,
					      .flags = index_flags(message),
					      .octets = message->octets,
					      .stored = message->stored};

		if (!is_live(message))
			continue;
		drop_id_text(message->id, name);
		change.name = (pop3_span){name, DROP_ID_TEXT - 1};
		change.id = drop_log_unique_id(log, message, buf);
		list(message, &listing->added[listing->added_count++]);
		index_batch_add(batch, &change);
	}
	return 0;
}

static int write_delta(struct drop_listing *listing, struct index_batch *batch)
{
	unsigned char header[INDEX_DELTA_HEADER];
	int64_t size = 0;

	index_delta_header_encode(listing->base->id, header);
	listing->delta_fd = maildrop_kernel.memory_file("valija-delta");
	if (listing->delta_fd < 0 ||
	    maildrop_pwrite(&maildrop_kernel, listing->delta_fd, header, sizeof(header), 0) < 0)
		return -1;
	if (batch->size || batch->failed)
		size = index_batch_write(batch, &maildrop_kernel, listing->delta_fd,
					 listing->base->id, sizeof(header));
	listing->delta_size = sizeof(header) + (uint64_t)size;
	return size < 0 ? -1 : fcntl(listing->delta_fd, F_ADD_SEALS, SEALS);
}

static struct drop_listing *make_listing(struct drop_base *base, const struct drop_log *log)
{
	struct drop_listing *listing = calloc(1, sizeof(*listing));
	struct index_batch batch = {0};
	int result = -1;

	if (!listing)
		return NULL;
	*listing = (struct drop_listing){.base_fd = base->fd,
					 .delta_fd = -1,
					 .octets = log->octets,
					 .count = (uint32_t)log->live,
					 .references = 1,
					 .base = base,
					 .log_size = log->size};
	base->references++;
	if (take_removed(listing, log, &batch) == 0 && take_added(listing, log, &batch) == 0)
		result = write_delta(listing, &batch);
	index_batch_finish(&batch);
	if (result == 0)
		return listing;
	drop_listing_release(listing);
	return NULL;
}

/* ---- listings ---- */

void drop_listing_release(struct drop_listing *listing)
{
	if (!listing || --listing->references)
		return;
	release_base(listing->base);
	close_fd(&listing->delta_fd);
	free(listing->removed);
	free(listing->added);
	free(listing);
}

void drop_listings_forget(struct drop_listings *listings)
{
	drop_listing_release(listings->last);
	release_base(listings->base);
	*listings = (struct drop_listings){NULL, NULL};
}

struct drop_listing *drop_listings_take(struct drop_listings *listings, const struct drop_log *log)
{
	if (!listings->last || listings->last->log_size != log->size) {
		drop_listing_release(listings->last);
		listings->last = NULL;
		if (!serves(listings->base, log)) {
			release_base(listings->base);
			listings->base = make_base(log);
		}
		if (listings->base)
			listings->last = make_listing(listings->base, log);
	}
	if (listings->last)
		listings->last->references++;
	return listings->last;
}

size_t drop_listings_octets(const struct drop_listings *listings)
{
	const struct drop_listing *last = listings->last;

	return (listings->base ? listings->base->count * (size_t)MESSAGE_OCTETS : 0) +
	       (last ? last->delta_size + last->added_count * sizeof(*last->added) : 0);
}

const struct drop_listed *drop_listing_find(const struct drop_listing *listing, uint32_t number)
{
	uint32_t ordinal = index_ordinal(listing->removed, listing->removed_count, number);

	return ordinal < listing->base->count ? &listing->base->messages[ordinal]
					      : &listing->added[ordinal - listing->base->count];
}
