/*
 * See maildir.h and maildrop.h: QUIT's deletions. They hold when the DEL records are on the disk;
 * the files go later (sweep.c). Where the log cannot grow, the files go at once.
 */
#include "maildrop/maildir/session/commit.h"

#include "maildrop/maildir/session/remove.h"
#include "maildrop/maildir/session/sweep_journal.h"
#include "maildrop/maildir/update/update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static pop3_span unique_of(const struct index_message *message)
{
	pop3_span name = {message->name, message->name_size};

	return (pop3_span){message->name, maildir_name_unique(name)};
}

static void del(struct index_batch *batch, const struct index_message *message, uint32_t ordinal)
{
	index_batch_add(batch, &(struct index_change){.kind = CHANGE_DEL,
						      .ordinal = ordinal,
						      .flags = message->flags,
						      .octets = message->octets,
						      .stored = message->stored,
						      .inode = message->inode,
						      .name = unique_of(message)});
}

/* The same file may have been taken for gone and found again during the session. */
static int del_found_again(struct maildir *m, struct maildir_log *log,
			   const struct index_message *message, struct index_batch *batch)
{
	struct index *now = &log->index.index;
	uint32_t first = m->index.index.delta.base_count + m->index.index.delta.added;
	uint32_t end = now->header.count + now->delta.added;
	pop3_span unique = unique_of(message);

	for (uint32_t ordinal = first; ordinal < end; ordinal++) {
		struct index_message other;
		pop3_span name;

		if (index_delta_removed(&now->delta, ordinal))
			continue;
		if (index_read(now, ordinal, &other, NULL) < 0)
			return -1;
		name = unique_of(&other);
		if (name.size == unique.size && other.inode == message->inode &&
		    memcmp(name.data, unique.data, name.size) == 0)
			del(batch, &other, ordinal);
	}
	return 0;
}

/* The file that the session knew is deleted; if another one has its name since, that one stays. */
static void del_known(struct index_batch *batch, const struct index_message *known,
		      const struct index_message *now, uint32_t ordinal)
{
	if (known->inode == now->inode)
		del(batch, now, ordinal);
	else
		del(batch, known, INDEX_NO_ORDINAL);
}

/* The log still belongs to the session's base: ordinals are the same. */
static int collect_same(struct maildir *m, struct maildir_log *log, const uint32_t *numbers,
			uint32_t count, struct index_batch *batch)
{
	struct index *now = &log->index.index;
	bool edited = now->delta.edit_count != m->index.index.delta.edit_count;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, numbers[i]);
		struct index_message message, before;
		const struct index_message *known = edited ? &before : &message;

		if (index_read(now, ordinal, &message, NULL) < 0)
			return -1;
		if (edited && index_read(&m->index.index, ordinal, &before, NULL) < 0)
			return -1;
		if (!index_delta_removed(&now->delta, ordinal)) {
			del_known(batch, known, &message, ordinal);
			continue;
		}
		del(batch, known, INDEX_NO_ORDINAL);
		if (del_found_again(m, log, known, batch) < 0)
			return -1;
	}
	return 0;
}

/* The index was removed or rebuilt during the session: messages are found by their names. */
static int collect_other(struct maildir *m, struct maildir_log *log, const uint32_t *numbers,
			 uint32_t count, struct index_batch *batch)
{
	struct maildir_model model;
	int result = maildir_model_init(&model);

	if (result == 0)
		result = maildir_model_load(&model, &log->index.index, 0, false, NULL);
	for (uint32_t i = 0; i < count && result == 0; i++) {
		uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, numbers[i]);
		struct index_message message, other;
		pop3_span unique;
		uint32_t at;

		result = index_read(&m->index.index, ordinal, &message, NULL);
		if (result < 0)
			break;
		unique = unique_of(&message);
		at = maildir_model_find(&model, unique, maildir_model_hash(&model, unique),
					MODEL_NONE);
		if (at == MODEL_NONE) {
			del(batch, &message, INDEX_NO_ORDINAL);
			continue;
		}
		maildir_model_message(&model, at, &other);
		other.flags = model.messages[at].old_flags;
		del_known(batch, &message, &other, at);
	}
	maildir_model_finish(&model);
	return result;
}

/* On the disk: the records, and the name of the file that holds them. */
static int flush_log(const struct maildir *m, const struct maildir_log *log)
{
	if (m->place.sys->fdatasync(log->index.delta_fd) < 0)
		return -1;
	return log->index.index.delta.flushed ? 0 : m->place.sys->fsync(m->place.dir);
}

static bool no_room(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG;
}

static int unlink_one(struct maildir *m, uint32_t number, bool touched[INDEX_DIRECTORIES])
{
	uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, number);
	struct index_message message;
	struct maildir_found found;

	if (index_read(&m->index.index, ordinal, &message, NULL) < 0)
		return -1;
	found.directory = index_directory_of(message.flags);
	memcpy(found.name, message.name, sizeof(found.name));
	if (!maildir_same_file(&m->place, found.directory, found.name, message.inode) &&
	    maildir_locator_find(&m->locator, &m->place, unique_of(&message), message.inode,
				 &found) < 0)
		return errno == ENOENT ? 0 : -1; /* it is gone already */
	if (maildir_remove(m, found.directory, found.name, message.stored) < 0)
		return -1;
	touched[found.directory] = true;
	return 0;
}

static enum maildrop_status unlink_now(struct maildir *m, const uint32_t *numbers, uint32_t count,
				       struct err *err)
{
	bool touched[INDEX_DIRECTORIES] = {false, false};
	int result = 0;

	for (uint32_t i = 0; i < count && result == 0; i++)
		result = unlink_one(m, numbers[i], touched);
	if (result == 0)
		result = maildir_remove_flush(m);
	for (int d = 0; d < INDEX_DIRECTORIES && result == 0; d++)
		if (touched[d])
			result = m->place.sys->fsync(maildir_directory(&m->place, d));
	if (result < 0)
		return maildir_failed(&m->place, errno, NULL, "messages cannot be deleted", err);
	maildir_journal_now(m, numbers, count);
	return MAILDROP_OK;
}

static enum maildrop_status commit_logged(struct maildir *m, struct maildir_log *log,
					  const uint32_t *numbers, uint32_t count, struct err *err)
{
	bool same = log->index.index.header.id == m->index.index.header.id;
	uint64_t before = log->index.index.delta.size;
	struct index_batch batch = {0};
	enum maildrop_status status = MAILDROP_OK;
	int result;

	errno = EIO;
	result = (same ? collect_same : collect_other)(m, log, numbers, count, &batch);
	m->damaged = m->damaged || result < 0; /* the sweep builds it again */
	if (result == 0)
		result = maildir_log_append(log, &batch);
	if (result == 0 && flush_log(m, log) < 0) {
		result = -1;
		/* not known to be on the disk: it must not count for the next session either */
		(void)m->place.sys->ftruncate(log->index.delta_fd, (off_t)before);
	}
	index_batch_finish(&batch);
	if (result == 0) {
		m->committed = true;
		m->commit_id = log->index.index.header.id;
		m->commit_from = before;
	} else if (no_room(errno)) {
		status = unlink_now(m, numbers, count, err);
	} else {
		status = maildir_failed(&m->place, errno, DELTA_NAME,
					"deletions cannot be recorded", err);
	}
	return status < 0 ? MAILDROP_TEMP : MAILDROP_OK;
}

void maildir_attribute(struct maildrop *maildrop, const struct deleted_by *by)
{
	struct maildir *m = (struct maildir *)maildrop;

	if (!m->by)
		m->by = malloc(sizeof(*m->by)); /* without memory the journal has no name */
	if (m->by)
		*m->by = *by;
}

enum maildrop_status maildir_commit(struct maildrop *maildrop, const uint32_t *numbers,
				    uint32_t count, struct err *err)
{
	struct maildir *m = (struct maildir *)maildrop;
	enum maildrop_status status = MAILDROP_OK;
	struct maildir_log log;

	if (!maildir_lock_held(&m->place)) {
		err_set(err, EX_TEMPFAIL,
			"maildrop %s: its lock file was removed during the session; nothing was "
			"deleted",
			m->place.home);
		return MAILDROP_TEMP;
	}
	if (m->index.memory)
		return unlink_now(m, numbers, count, err) < 0 ? MAILDROP_TEMP : MAILDROP_OK;
	if (maildir_log_begin(&m->place, true, &log) < 0) {
		maildir_failed(&m->place, errno, LOCK_NAME, "cannot be locked", err);
		return MAILDROP_TEMP;
	}
	if (!log.index.open) {
		status = maildir_update(&log, TARGET_SESSION, true, err);
		if (status == MAILDROP_FULL)
			status = unlink_now(m, numbers, count, err);
		else if (status == MAILDROP_OK)
			status = commit_logged(m, &log, numbers, count, err);
	} else {
		status = commit_logged(m, &log, numbers, count, err);
	}
	maildir_log_end(&log);
	return status < 0 ? MAILDROP_TEMP : MAILDROP_OK;
}
