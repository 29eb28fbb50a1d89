/* See index.h. In a keeper's worker or a command of a person, with the rights of the mail's owner.
 */
#include "maildrop/mbox/index.h"

#include "base/descriptor.h"
#include "base/random.h"
#include "maildrop/mbox/ids.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

void mbox_index_init(struct mbox_index *index)
{
	*index = (struct mbox_index){.base_fd = -1, .delta_fd = -1};
}

void mbox_index_close(struct mbox_index *index)
{
	if (index->open)
		index_close(&index->index);
	close_fd(&index->base_fd);
	close_fd(&index->delta_fd);
	mbox_index_init(index);
}

static int open_pair(const struct mbox_place *place, struct mbox_index *index, struct err *err)
{
	int result = index_open(&index->index, place->sys, index->base_fd, index->delta_fd,
				UINT64_MAX, err);

	index->open = result == 0;
	if (index->open && (index_check_size(&index->index, err) < 0 ||
			    (!index->index.delta.flushed && index_verify(&index->index, err) < 0)))
		result = -1;
	if (result < 0)
		mbox_index_close(index);
	return result;
}

int mbox_index_open(const struct mbox_place *place, struct mbox_index *index, struct err *err)
{
	mbox_index_init(index);
	index->base_fd =
		place->sys->openat(place->state, place->names[MBOX_BASE], O_RDONLY | FILE_FLAGS, 0);
	if (index->base_fd >= 0)
		index->delta_fd = place->sys->openat(place->state, place->names[MBOX_DELTA],
						     O_RDWR | FILE_FLAGS, 0);
	if (index->delta_fd >= 0)
		return open_pair(place, index, err);
	err_sys(err, EX_TEMPFAIL, errno, "the index cannot be opened");
	mbox_index_close(index);
	return -1;
}

int mbox_index_append(const struct mbox_place *place, struct mbox_index *index,
		      struct index_batch *batch)
{
	struct index_delta *delta = &index->index.delta;
	uint64_t before = delta->size;
	int saved;

	if (batch->size == 0 && !batch->failed)
		return 0;
	if (index->memory) {
		errno = EROFS;
		return -1;
	}
	/* what a crash left behind the last whole group */
	if (!delta->whole && place->sys->ftruncate(index->delta_fd, (off_t)before) < 0)
		return -1;
	delta->whole = false;
	if (index_batch_write(batch, place->sys, index->delta_fd, delta->id, before) >= 0) {
		errno = EIO;
		if (index_delta_take(delta, batch->data, batch->size) == 0) {
			delta->whole = true;
			return 0;
		}
	}
	saved = errno;
	delta->size = before;
	delta->whole = place->sys->ftruncate(index->delta_fd, (off_t)before) == 0;
	errno = saved;
	return -1;
}

/* ---- a new one ---- */

static int write_base(const struct mbox_place *place, int fd, uint64_t id,
		      const struct mbox_table *table, const struct mbox_ids *ids, bool cut,
		      const struct index_stamp stamps[INDEX_DIRECTORIES])
{
	struct index_message message;
	struct index_writer writer;
	uint32_t count = 0;
	int result = 0;

	if (table->count > INDEX_COUNT_MAX) {
		errno = EFBIG;
		return -1;
	}
	for (size_t i = 0; i < table->count; i++)
		count += !(cut && table->entries[i].deleted);
	if (index_writer_init(&writer, place->sys, fd, id, count) < 0)
		return -1;
	for (size_t i = 0; i < table->count && result == 0; i++) {
		if (cut && table->entries[i].deleted)
			continue;
		mbox_ids_encode(ids, &table->entries[i], &message);
		result = index_writer_add(&writer, &message, MBOX_UNIQUE);
	}
	if (result == 0)
		result = index_writer_finish(&writer, stamps);
	index_writer_abort(&writer);
	return result;
}

/* With all that is known of the message, so that it is found again when the base is lost. */
void mbox_index_add_del(struct index_batch *batch, const struct index_message *message,
			uint32_t ordinal)
{
	index_batch_add(batch, &(struct index_change){.kind = CHANGE_DEL,
						      .ordinal = ordinal,
						      .octets = message->octets,
						      .stored = message->stored,
						      .inode = message->inode,
						      .name = {message->name, message->name_size}});
}

/* With the DELs that are pending, and a note that all of it is on the disk: it is written after the
 * base, so a delta that is whole and has its name says that of the base, too. */
static int write_delta(const struct mbox_place *place, int fd, uint64_t id,
		       const struct mbox_table *table, bool cut)
{
	unsigned char header[INDEX_DELTA_HEADER];
	struct index_batch batch = {0};
	int result;

	index_delta_header_encode(id, header);
	result = maildrop_pwrite(place->sys, fd, header, sizeof(header), 0);
	for (size_t i = 0; i < table->count && !cut; i++) {
		struct index_message message;

		if (!table->entries[i].deleted)
			continue;
		mbox_entry_encode(&table->entries[i], &message);
		mbox_index_add_del(&batch, &message, (uint32_t)i);
	}
	index_batch_add(&batch, &(struct index_change){.kind = CHANGE_FLUSHED});
	if (result == 0 && index_batch_write(&batch, place->sys, fd, id, sizeof(header)) < 0)
		result = -1;
	index_batch_finish(&batch);
	return result;
}

static int make_file(const struct mbox_place *place, enum mbox_file which)
{
	char name[MBOX_NAME_SIZE + 8];

	snprintf(name, sizeof(name), "%s" MBOX_NEW_SUFFIX, place->names[which]);
	return place->sys->openat(place->state, name, O_RDWR | O_CREAT | O_TRUNC | FILE_FLAGS,
				  0600);
}

static int put_in_place(const struct mbox_place *place, enum mbox_file which)
{
	char name[MBOX_NAME_SIZE + 8];

	snprintf(name, sizeof(name), "%s" MBOX_NEW_SUFFIX, place->names[which]);
	return place->sys->renameat2(place->state, name, place->state, place->names[which], 0);
}

static int write_pair(const struct mbox_place *place, struct mbox_index *ret,
		      const struct mbox_table *table, bool cut,
		      const struct index_stamp stamps[INDEX_DIRECTORIES])
{
	struct mbox_ids ids;
	int result, saved;
	uint64_t id;

	if (ret->base_fd < 0 || ret->delta_fd < 0 || random_octets(&id, sizeof(id)) < 0)
		return -1;
	result = mbox_ids_load(&ids, place, table->entries, table->count);
	if (result == 0)
		result = write_base(place, ret->base_fd, id, table, &ids, cut, stamps);
	saved = errno;
	mbox_ids_finish(&ids);
	errno = saved;
	return result < 0 ? -1 : write_delta(place, ret->delta_fd, id, table, cut);
}

static int replace_files(const struct mbox_place *place, struct mbox_index *ret,
			 const struct mbox_table *table, bool cut,
			 const struct index_stamp stamps[INDEX_DIRECTORIES])
{
	ret->base_fd = make_file(place, MBOX_BASE);
	ret->delta_fd = ret->base_fd < 0 ? -1 : make_file(place, MBOX_DELTA);
	if (write_pair(place, ret, table, cut, stamps) < 0 || place->sys->fsync(ret->base_fd) < 0 ||
	    place->sys->fsync(ret->delta_fd) < 0)
		return -1;
	/* in between they do not belong together: mbox_index_salvage takes both then */
	if (put_in_place(place, MBOX_BASE) < 0 || put_in_place(place, MBOX_DELTA) < 0)
		return -1;
	return place->sys->fsync(place->state);
}

static bool no_files(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EROFS;
}

static int use_new(const struct mbox_place *place, struct mbox_index *index,
		   const struct mbox_index *new)
{
	mbox_index_close(index);
	*index = *new;
	errno = EIO;
	if (open_pair(place, index, NULL) < 0)
		return -1;
	index->memory = new->memory;
	return 0;
}

int mbox_index_memory(const struct mbox_place *place, struct mbox_index *index,
		      const struct mbox_table *table, bool cut,
		      const struct index_stamp stamps[INDEX_DIRECTORIES])
{
	struct mbox_index new;

	mbox_index_init(&new);
	new.memory = true;
	new.base_fd = place->sys->memory_file("valija-base");
	new.delta_fd = place->sys->memory_file("valija-delta");
	if (write_pair(place, &new, table, cut, stamps) == 0)
		return use_new(place, index, &new);
	mbox_index_close(&new);
	return -1;
}

int mbox_index_replace(const struct mbox_place *place, struct mbox_index *index,
		       const struct mbox_table *table, bool cut,
		       const struct index_stamp stamps[INDEX_DIRECTORIES])
{
	struct mbox_index new;
	int saved;

	mbox_index_init(&new);
	if (replace_files(place, &new, table, cut, stamps) < 0) {
		saved = errno;
		mbox_index_close(&new);
		errno = saved;
		return no_files(errno) ? mbox_index_memory(place, index, table, cut, stamps) : -1;
	}
	return use_new(place, index, &new);
}

/* ---- stamps ---- */

void mbox_stamp(const struct stat *st, struct index_stamp ret[INDEX_DIRECTORIES])
{
	ret[0] = (struct index_stamp){.inode = st->st_ino,
				      .seconds = st->st_ctim.tv_sec,
				      .nanoseconds = (uint32_t)st->st_ctim.tv_nsec,
				      .trust = TRUST_SURE};
	ret[1] = (struct index_stamp){.inode = (uint64_t)st->st_size,
				      .seconds = st->st_mtim.tv_sec,
				      .nanoseconds = (uint32_t)st->st_mtim.tv_nsec,
				      .trust = TRUST_SURE};
}

uint64_t mbox_covered(const struct index *index)
{
	return index->delta.stamps[1].inode;
}

enum mbox_change mbox_changed(const struct index *index, const struct stat *st)
{
	const struct index_stamp *old = index->delta.stamps;
	struct index_stamp now[INDEX_DIRECTORIES];

	mbox_stamp(st, now);
	if (old[0].trust != TRUST_SURE || old[0].inode != now[0].inode)
		return MBOX_OTHER;
	if (now[1].inode > old[1].inode)
		return MBOX_GROWN;
	return now[1].inode == old[1].inode && old[0].seconds == now[0].seconds &&
			       old[0].nanoseconds == now[0].nanoseconds
		       ? MBOX_SAME
		       : MBOX_OTHER;
}

int mbox_index_distrust(const struct mbox_place *place, struct mbox_index *index)
{
	struct index_batch batch = {0};
	struct index_change change = {.kind = CHANGE_STAMP, .stamp = index->index.delta.stamps[0]};
	int result;

	change.stamp.trust = TRUST_NONE;
	index_batch_add(&batch, &change);
	result = mbox_index_append(place, index, &batch);
	index_batch_finish(&batch);
	return result;
}

/* ---- parts of an index ---- */

/* Is there a base that can be read? */
static bool load_base(const struct mbox_place *place, struct mbox_table *table)
{
	int fd =
		place->sys->openat(place->state, place->names[MBOX_BASE], O_RDONLY | FILE_FLAGS, 0);
	struct index index;
	bool loaded = false;

	if (fd < 0)
		return false;
	if (index_open_base(&index, place->sys, fd, NULL) == 0) {
		/* a base that is damaged is no base: its sizes could be anything */
		loaded = index_verify(&index, NULL) == 0 &&
			 mbox_table_load(table, &index, NULL) == 0;
		if (!loaded)
			mbox_table_finish(table);
		index_close(&index);
	}
	close(fd);
	return loaded;
}

static int load_del(struct mbox_table *table, const struct index_change *change)
{
	struct index_message message = {
		.octets = change->octets, .stored = change->stored, .inode = change->inode};
	struct mbox_entry entry;

	message.name_size = (uint8_t)change->name.size;
	memcpy(message.name, change->name.data, change->name.size);
	if (mbox_entry_decode(&message, &entry) < 0)
		return 0; /* of no mbox */
	for (size_t i = 0; i < table->count; i++) {
		if (memcmp(table->entries[i].id, entry.id, MBOX_ID) == 0) {
			table->entries[i].deleted = true;
			return 0;
		}
	}
	entry.deleted = true;
	return mbox_table_add(table, &entry);
}

static int load_dels(const struct mbox_place *place, struct mbox_table *table, int fd)
{
	struct index_delta delta;
	int result = 0;

	index_delta_init(&delta, NULL);
	if (index_delta_scan(&delta, place->sys, fd, UINT64_MAX, NULL) < 0 || !delta.whole)
		(void)index_delta_salvage(&delta, place->sys, fd);
	for (size_t i = 0; i < delta.pending_count && result == 0; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(place->sys, fd, delta.pending[i], buf, &change, NULL) == 0)
			result = load_del(table, &change);
	}
	index_delta_finish(&delta);
	return result;
}

int mbox_index_salvage(const struct mbox_place *place, struct mbox_table *table)
{
	int result = 0, fd;

	table->partial = !load_base(place, table);
	fd = place->sys->openat(place->state, place->names[MBOX_DELTA], O_RDONLY | FILE_FLAGS, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	result = load_dels(place, table, fd);
	close(fd);
	return result;
}
