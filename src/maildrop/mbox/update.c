/* See update.h. In a keeper's worker or a command of a person, with the rights of the mail's owner.
 */
#include "maildrop/mbox/update.h"

#include "base/random.h"
#include "maildrop/mbox/ids.h"
#include "maildrop/mbox/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SAMPLES 64          /* boundaries that have to stand in a file that grew */
#define HEAD_MAX (1u << 20) /* longer headers are not read for that */

/* ---- does a message stand where it stood? ---- */

struct look {
	struct mbox_message message;
	unsigned found;
};

static void found_one(void *context, const struct mbox_message *message)
{
	struct look *look = context;

	look->message = *message;
	look->found++;
}

static size_t peek_nothing(void *context, uint64_t offset, char *buf, size_t n)
{
	(void)context, (void)offset, (void)buf, (void)n;
	return 0;
}

bool mbox_entry_stands(const struct mbox_place *place, const struct mbox_entry *e)
{
	struct look look = {.found = 0};
	struct mbox_scan_user user = {&look, found_one, peek_nothing};
	size_t size = (size_t)e->head + e->from_size;
	struct mbox_scan scan;
	char *buf;
	bool whole;

	if (e->head > HEAD_MAX || !(buf = malloc(size)))
		return e->head > HEAD_MAX;
	whole = maildrop_pread(place->sys, place->lock.fd, buf, size, (off_t)e->start) ==
		(ssize_t)size;
	if (whole) {
		mbox_scan_init(&scan, &user, e->start);
		scan.state = MBOX_SCAN_FROM;
		(void)mbox_scan_feed(&scan, (pop3_span){buf, size}, true);
	}
	free(buf);
	return whole && look.found == 1 && look.message.head == e->head &&
	       look.message.from_size == e->from_size &&
	       memcmp(look.message.digest, e->digest, MBOX_DIGEST) == 0;
}

static int read_entry(struct mbox_index *index, uint32_t ordinal, struct mbox_entry *ret)
{
	struct index_message message;

	if (index_read(&index->index, ordinal, &message, NULL) < 0)
		return -1;
	return mbox_entry_decode(&message, ret);
}

static bool samples_stand(const struct mbox_place *place, struct mbox_index *index, uint32_t count)
{
	uint32_t picks[SAMPLES];
	struct mbox_entry entry;

	if (random_octets(picks, sizeof(picks)) < 0)
		return false;
	for (int i = 0; i < SAMPLES && (uint32_t)i < count; i++)
		if (read_entry(index, picks[i] % count, &entry) < 0 ||
		    !mbox_entry_stands(place, &entry))
			return false;
	return true;
}

/* ---- a file that grew ---- */

/* Is one of these ids in use, as far as can be told quickly? Two of them may be the same, too. */
static bool ids_in_use(struct mbox_index *index, const struct mbox_table *grown, size_t first)
{
	uint32_t end = index->index.header.count + index->index.delta.added;
	struct index_search search = {0};
	struct index_message message;
	bool used = false;
	int found;

	for (size_t i = first; i < grown->count && !used; i++) {
		mbox_entry_encode(&grown->entries[i], &message);
		index_search_add(&search, (pop3_span){message.name, MBOX_UNIQUE});
		for (size_t k = first; k < i && !used; k++)
			used = memcmp(grown->entries[k].id, grown->entries[i].id, MBOX_ID) == 0;
	}
	for (uint32_t ordinal = index->index.header.count; ordinal < end && !used; ordinal++) {
		struct mbox_entry entry;

		used = read_entry(index, ordinal, &entry) < 0;
		for (size_t i = first; i < grown->count && !used; i++)
			used = memcmp(grown->entries[i].id, entry.id, MBOX_ID) == 0;
	}
	found = used ? 1 : index_search(&index->index, &search);
	index_search_finish(&search);
	return found != 0;
}

#define GROWN_MAX 512 /* more new messages than that: ids are compared as in a scan of all */

static void add_one(struct index_batch *batch, const struct mbox_ids *ids,
		    const struct mbox_entry *entry, uint32_t ordinal)
{
	struct index_message message;

	mbox_ids_encode(ids, entry, &message);
	index_batch_add(batch, &(struct index_change){.kind = CHANGE_ADD,
						      .ordinal = ordinal,
						      .flags = message.flags,
						      .octets = message.octets,
						      .stored = message.stored,
						      .inode = message.inode,
						      .id = {message.id, message.id_size},
						      .name = {message.name, message.name_size}});
}

static int add_grown(const struct mbox_place *place, struct mbox_index *index,
		     struct mbox_table *grown, size_t first, const struct stat *st)
{
	uint32_t ordinal = index->index.header.count + index->index.delta.added;
	struct index_stamp stamps[INDEX_DIRECTORIES];
	struct index_batch batch = {0};
	struct mbox_ids ids;
	int result = mbox_ids_load(&ids, place, grown->entries + first, grown->count - first);

	for (size_t i = first; i < grown->count && result == 0; i++)
		add_one(&batch, &ids, &grown->entries[i], ordinal++);
	mbox_ids_finish(&ids);
	mbox_stamp(st, stamps);
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		index_batch_add(&batch, &(struct index_change){.kind = CHANGE_STAMP,
							       .directory = d,
							       .stamp = stamps[d]});
	if (result == 0)
		result = mbox_index_append(place, index, &batch);
	index_batch_finish(&batch);
	return result;
}

static bool same_message(const struct mbox_entry *a, const struct mbox_entry *b)
{
	return a->start == b->start && a->head == b->head && a->stored == b->stored &&
	       a->octets == b->octets && a->hides == b->hides &&
	       memcmp(a->digest, b->digest, MBOX_DIGEST) == 0;
}

/* Scans from the last message that is known, which has to be what it was. */
static int scan_grown(const struct mbox_place *place, struct mbox_index *index, uint32_t count,
		      const struct stat *st, struct mbox_table *grown)
{
	struct mbox_entry last;

	if (read_entry(index, count - 1, &last) < 0 || !mbox_entry_stands(place, &last) ||
	    !samples_stand(place, index, count) ||
	    mbox_read_messages(place->sys, place->lock.fd, last.start, (uint64_t)st->st_size,
			       mbox_table_found, grown) < 0 ||
	    grown->failed || grown->count == 0 || !same_message(&grown->entries[0], &last))
		return -1;
	for (size_t i = 1; i < grown->count; i++)
		memcpy(grown->entries[i].id, grown->entries[i].digest, MBOX_ID);
	return 0;
}

/* false: it has to be scanned from its beginning. */
static bool take_growth(const struct mbox_place *place, struct mbox_index *index,
			const struct stat *st)
{
	uint32_t count = index->index.header.count + index->index.delta.added;
	struct mbox_table grown = {0};
	bool taken = false;

	if (count == 0 || index->memory || index->index.delta.size > (4u << 20))
		return false;
	if (scan_grown(place, index, count, st, &grown) == 0 && grown.count <= GROWN_MAX &&
	    !ids_in_use(index, &grown, 1))
		taken = add_grown(place, index, &grown, 1, st) == 0;
	mbox_table_finish(&grown);
	return taken;
}

/* ---- any other change ---- */

/* The messages in the index, or those that can be salvaged of it; cut: without the deleted ones. */
static int load_known(const struct mbox_place *place, struct mbox_index *index, bool cut,
		      struct mbox_table *known)
{
	size_t kept = 0;

	if (!index->open || mbox_table_load(known, &index->index, NULL) < 0) {
		mbox_table_finish(known);
		if (mbox_index_salvage(place, known) < 0)
			return -1;
	}
	for (size_t i = 0; cut && i < known->count; i++)
		if (!known->entries[i].deleted)
			known->entries[kept++] = known->entries[i];
	if (cut)
		known->count = kept;
	return 0;
}

static enum maildrop_status scan_all(struct mbox_place *place, struct mbox_index *index, bool cut,
				     const struct stat *st, struct err *err)
{
	struct mbox_table table = {0}, known = {0};
	struct index_stamp stamps[INDEX_DIRECTORIES];
	enum maildrop_status status = MAILDROP_OK;

	mbox_stamp(st, stamps);
	errno = ENOMEM;
	if (mbox_read_messages(place->sys, place->lock.fd, 0, (uint64_t)st->st_size,
			       mbox_table_found, &table) < 0 ||
	    table.failed)
		status = mbox_failed(place, errno, NULL, "cannot be read", err);
	else if (load_known(place, index, cut, &known) < 0 || mbox_table_match(&table, &known) < 0)
		status = mbox_failed(place, errno, place->names[MBOX_DELTA], "cannot be read", err);
	else if (mbox_index_replace(place, index, &table, false, stamps) < 0)
		status = mbox_failed(place, errno, place->names[MBOX_BASE], "cannot be written",
				     err);
	mbox_table_finish(&table);
	mbox_table_finish(&known);
	return status;
}

enum maildrop_status mbox_update(struct mbox_place *place, struct mbox_index *index, bool cut,
				 struct err *err)
{
	struct stat st;

	if (place->sys->fstat(place->lock.fd, &st) < 0)
		return mbox_failed(place, errno, NULL, "cannot be read", err);
	if (index->open && !cut) {
		switch (mbox_changed(&index->index, &st)) {
		case MBOX_SAME:
			return MAILDROP_OK;
		case MBOX_GROWN:
			if (take_growth(place, index, &st))
				return MAILDROP_OK;
			break;
		case MBOX_OTHER:
			break;
		}
	}
	return scan_all(place, index, cut, &st, err);
}
