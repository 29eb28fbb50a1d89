/*
 * See mbox.h and maildrop.h: QUIT's deletions, and the sweep that carries them out. They hold when
 * the DEL records are on the disk; the mailbox is rewritten later, in place, from the first deleted
 * message on, behind a journal.
 */
#include "maildrop/mbox/commit.h"

#include "maildrop/mbox/current.h"
#include "maildrop/mbox/journal.h"
#include "maildrop/mbox/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#define SWEEP_LOCK_MS 2000 /* a login may wait for the sweep */

static int collect(struct mbox *m, const uint32_t *numbers, uint32_t count,
		   struct index_batch *batch)
{
	struct index *index = &m->index.index;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t ordinal = index_delta_ordinal(&index->delta, numbers[i]);
		struct index_message message;
		struct mbox_entry entry;

		errno = EIO;
		if (index_read(index, ordinal, &message, NULL) < 0 ||
		    mbox_entry_decode(&message, &entry) < 0)
			return -1;
		mbox_index_add_del(batch, &message, ordinal);
	}
	return 0;
}

static int append_durably(struct mbox *m, struct index_batch *batch)
{
	uint64_t before = m->index.index.delta.size;
	int saved;

	if (mbox_index_append(&m->place, &m->index, batch) < 0)
		return -1;
	if (m->place.sys->fdatasync(m->index.delta_fd) == 0)
		return 0;
	saved = errno;
	/* not known to be on the disk: it must not count for the next session either */
	(void)m->place.sys->ftruncate(m->index.delta_fd, (off_t)before);
	errno = saved;
	return -1;
}

enum maildrop_status mbox_commit(struct maildrop *maildrop, const uint32_t *numbers, uint32_t count,
				 struct err *err)
{
	struct mbox *m = (struct mbox *)maildrop;
	struct index_batch batch = {0};
	int result;

	if (m->index.memory) {
		err_set(err, EX_TEMPFAIL,
			"mailbox %s: nothing was deleted, because its index cannot be written "
			"(make "
			"room in its state folder)",
			m->place.home);
		return MAILDROP_TEMP;
	}
	if (!mbox_session_held(&m->place)) {
		err_set(err, EX_TEMPFAIL,
			"mailbox %s: its lock file was removed during the session; nothing was "
			"deleted",
			m->place.home);
		return MAILDROP_TEMP;
	}
	result = collect(m, numbers, count, &batch);
	if (result == 0)
		result = append_durably(m, &batch);
	index_batch_finish(&batch);
	if (result == 0)
		return MAILDROP_OK;
	m->refused = true;
	(void)mbox_failed(&m->place, errno, m->place.names[MBOX_DELTA],
			  "deletions cannot be recorded", err);
	return MAILDROP_TEMP;
}

/* ---- the sweep ---- */

/* To where they are now: each is as much nearer to the beginning as was cut before it. Returns the
 * size of the file, which was size before. */
static uint64_t move_entries(struct mbox_table *table, uint64_t size)
{
	uint64_t cut = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct mbox_entry *entry = &table->entries[i];
		uint64_t end = i + 1 < table->count ? table->entries[i + 1].start : size;

		if (entry->deleted)
			cut += end - entry->start;
		else
			entry->start -= cut;
	}
	return size - cut;
}

static enum maildrop_status cut_current(struct mbox *m, struct err *err)
{
	struct index_stamp stamps[INDEX_DIRECTORIES];
	struct mbox_table table = {0};
	enum maildrop_status status = MAILDROP_TEMP;
	bool cut = false;
	struct stat st;
	uint64_t size;

	if (m->place.sys->fstat(m->place.lock.fd, &st) < 0)
		return mbox_failed(&m->place, errno, NULL, "cannot be read", err);
	/* a program without locks may have written since */
	if (m->index.memory || mbox_changed(&m->index.index, &st) != MBOX_SAME)
		err_set(err, EX_TEMPFAIL, "mailbox %s: changed while it was locked", m->place.home);
	else if (mbox_table_load(&table, &m->index.index, err) == 0)
		status = mbox_journal_cut(&m->place, &table, &st, &cut, err);
	size = (uint64_t)st.st_size;
	if (cut && m->place.sys->fstat(m->place.lock.fd, &st) == 0) {
		/* what such a program has appended by now is not in the table: the next session
		 * finds that the file grew */
		st.st_size = (off_t)move_entries(&table, size);
		mbox_stamp(&st, stamps);
		if (mbox_index_replace(&m->place, &m->index, &table, true, stamps) < 0)
			status = mbox_failed(&m->place, errno, m->place.names[MBOX_BASE],
					     "cannot be written", err);
		(void)mbox_journal_remove(&m->place);
	}
	mbox_table_finish(&table);
	return status;
}

static enum maildrop_status cut_locked(struct mbox *m, struct err *err)
{
	bool carried_out;
	enum maildrop_status status;

	if (m->place.lock.reading || m->place.lock.incomplete) {
		err_set(err, EX_TEMPFAIL,
			"mailbox %s: deleted messages stay in the file, because it cannot be "
			"written to or %s.lock cannot be made",
			m->place.home, m->place.lock.name);
		return MAILDROP_TEMP;
	}
	status = mbox_bring_current(&m->place, &m->index, &carried_out, err);
	if (status == MAILDROP_OK && m->index.index.delta.pending_count)
		status = cut_current(m, err);
	return status;
}

bool mbox_sweep(struct maildrop *maildrop, const atomic_bool *hurry)
{
	struct mbox *m = (struct mbox *)maildrop;
	unsigned usual = m->place.lock.wait_ms;
	enum maildrop_status status;
	struct err err = {0};

	if (!m->index.open || m->index.memory || m->refused ||
	    m->index.index.delta.pending_count == 0 ||
	    (hurry && atomic_load_explicit(hurry, memory_order_relaxed)) ||
	    !mbox_session_held(&m->place))
		return false;
	m->place.lock.wait_ms = usual < SWEEP_LOCK_MS ? usual : SWEEP_LOCK_MS;
	status = mbox_place_lock(&m->place, &err);
	m->place.lock.wait_ms = usual;
	if (status == MAILDROP_OK) {
		status = cut_locked(m, &err);
		mbox_place_unlock(&m->place);
	}
	if (status < 0)
		mbox_note(&m->place, &err);
	return false;
}
