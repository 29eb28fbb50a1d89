/* See migrate.h: the switch, what comes after it, and its undo. Each step leaves what a later call
 * goes on from: docs/moving-in.md has the table. */
#include "maildrop/maildir/migrate/migrate.h"

#include "base/text.h"
#include "maildrop/maildir/migrate/state.h"
#include "maildrop/maildir/update/uidl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { GONE_MANY = 10 }; /* copies of which none is left: somebody looks first */

/* ---- copies whose messages went ---- */

/* Which copies that server has still. -1: it has a message that was not copied. */
static int mark_kept(struct migration *m, const pop3_span *ids, uint32_t count)
{
	for (size_t i = 0; i < m->count; i++)
		m->copies[i].kept = false;
	for (uint32_t i = 0; i < count; i++) {
		struct copy *copy = migrate_find(m, ids[i]);

		if (!copy || copy->gone || copy->at == COPY_NOWHERE || copy->kept)
			return -1;
		copy->kept = true;
	}
	return 0;
}

static enum maildrop_status drop_others(struct migration *m, bool any_kept, bool accept,
					struct err *err)
{
	uint64_t gone = 0;

	for (size_t i = 0; i < m->count; i++)
		gone += !m->copies[i].kept && m->copies[i].at != COPY_NOWHERE;
	if (gone > GONE_MANY && !any_kept && !accept) {
		err_set(err, EX_DATAERR,
			"maildrop %s: none of the %" PRIu64
			" messages that were copied is on the other server any more: if their "
			"owner deleted them all there, --accept-deleted removes the copies; if it "
			"lost them, or changed its unique ids, mend that first",
			m->place.home, gone);
		return MAILDROP_PERM;
	}
	for (size_t i = 0; i < m->count; i++) {
		struct copy *copy = &m->copies[i];

		if (copy->kept || copy->gone)
			continue;
		if (migrate_note(m, &(struct journal_line){.word = JOURNAL_GONE,
							   .id = span_of(copy->id)}) < 0) {
			errno = ENOMEM;
			return migrate_failed(m, JOURNAL_NAME, "cannot be written to", err);
		}
		copy->gone = true;
	}
	if (migrate_write_notes(m) < 0)
		return migrate_failed(m, JOURNAL_NAME, "cannot be written to", err);
	return migrate_remove_gone(m, err);
}

/* ---- unique ids ---- */

static int add_line(struct maildir_uidl *uidl, size_t *room, const struct copy *copy)
{
	size_t want = UIDL_LINE_MAX(strlen(copy->id), strlen(copy->unique));

	if (*room - uidl->lines_size < want) {
		size_t more = *room * 2 + 64 * want;
		char *grown = realloc(uidl->lines, more);

		if (!grown)
			return -1;
		uidl->lines = grown;
		*room = more;
	}
	uidl->lines_size += maildir_uidl_line(uidl->lines + uidl->lines_size, span_of(copy->id),
					      span_of(copy->unique));
	return 0;
}

/* order: the ids of all, in the order of that server; NULL: of those that are beside, as they were
 * copied. */
static int make_lines(const struct migration *m, const pop3_span *order, uint32_t count,
		      struct maildir_uidl *uidl)
{
	size_t room = UIDL_ORIGIN_MAX;

	uidl->lines = malloc(room);
	if (!uidl->lines)
		return -1;
	uidl->lines_size = 0;
	if (order)
		uidl->lines_size =
			(size_t)snprintf(uidl->lines, room, UIDL_ORIGIN "%" PRIu32 " remote %.*s\n",
					 count, (int)strcspn(m->source, " "), m->source);
	for (uint32_t i = 0; order && i < count; i++)
		if (add_line(uidl, &room, migrate_find(m, order[i])) < 0)
			return -1;
	for (size_t i = 0; !order && i < m->count; i++)
		if (m->copies[i].at == COPY_BESIDE && add_line(uidl, &room, &m->copies[i]) < 0)
			return -1;
	return 0;
}

/* Under the lock of the log: deliveries write to the file as well. */
static enum maildrop_status write_ids(struct migration *m, const pop3_span *order, uint32_t count,
				      struct err *err)
{
	struct maildir_uidl uidl;
	int result, saved;

	if (maildir_lock(&m->place, LOCK_LOG, true) < 0)
		return migrate_failed(m, LOCK_NAME, "cannot be locked", err);
	result = maildir_uidl_load(&uidl, &m->place);
	if (result == 0) {
		result = make_lines(m, order, count, &uidl);
		if (result == 0)
			result = maildir_uidl_save(&uidl, &m->place);
		saved = errno;
		maildir_uidl_finish(&uidl);
		errno = saved;
	}
	saved = errno;
	maildir_unlock(&m->place, LOCK_LOG);
	errno = saved;
	return result < 0 ? migrate_failed(m, UIDL_NAME, "cannot be written to", err) : MAILDROP_OK;
}

/* ---- the copies are shown ---- */

/* New mail has no flags in its name. */
static int show_one(struct migration *m, struct copy *copy, int to, enum index_directory which)
{
	char *name = strdup(copy->file);
	int result;

	if (!name)
		return -1;
	if (which == INDEX_NEW)
		name[strcspn(name, ":")] = '\0';
	result = m->place.sys->renameat2(m->copies_dir, copy->file, to, name, 0);
	free(copy->file);
	copy->file = name;
	if (result < 0)
		return -1;
	copy->at = COPY_SHOWN;
	copy->folder = (uint8_t)which;
	return 0;
}

static enum maildrop_status show(struct migration *m, enum index_directory which, struct err *err)
{
	int to = maildir_directory(&m->place, which);

	for (size_t i = 0; i < m->count; i++)
		if (m->copies[i].at == COPY_BESIDE &&
		    (to < 0 || show_one(m, &m->copies[i], to, which) < 0))
			return migrate_failed(m, maildir_directory_names[which],
					      "cannot be written to", err);
	if (m->place.sys->fsync(to) < 0 || m->place.sys->fsync(m->copies_dir) < 0)
		return migrate_failed(m, maildir_directory_names[which], "cannot be flushed", err);
	return MAILDROP_OK;
}

/* From here on a session that is opened before the record is there shows nothing of what is here.
 */
static enum maildrop_status begin_switch(const struct migration *m, struct err *err)
{
	const struct maildrop_syscalls *sys = m->place.sys;
	int fd = sys->openat(m->copies_dir, SWITCHING_NAME, O_WRONLY | O_CREAT | MIGRATE_FLAGS,
			     0600);

	if (fd < 0)
		return migrate_failed(m, COPIES_NAME, "cannot be written to", err);
	close(fd);
	return sys->fsync(m->copies_dir) == 0
		       ? MAILDROP_OK
		       : migrate_failed(m, COPIES_NAME, "cannot be flushed", err);
}

/* Nothing is in it but our own notes; left where it is not empty. */
static void remove_folder(struct migration *m)
{
	const struct maildrop_syscalls *sys = m->place.sys;

	(void)sys->unlinkat(m->copies_dir, BEGUN_NAME, 0);
	(void)sys->unlinkat(m->copies_dir, WANTED_NAME, 0);
	(void)sys->unlinkat(m->copies_dir, SWITCHING_NAME, 0);
	(void)sys->unlinkat(m->place.dir, COPIES_NAME, AT_REMOVEDIR);
}

static enum maildrop_status write_record(struct migration *m, uint32_t count, struct err *err)
{
	const struct maildrop_syscalls *sys = m->place.sys;
	char text[JOURNAL_SOURCE_MAX + 64];
	struct timespec now;
	int fd, result, n;

	sys->clock_gettime(CLOCK_REALTIME, &now);
	n = snprintf(text, sizeof(text), "switched %lld %" PRIu32 " %s\n", (long long)now.tv_sec,
		     count, m->source);
	fd = sys->openat(m->place.dir, RECORD_NAME NEW_SUFFIX,
			 O_WRONLY | O_CREAT | O_TRUNC | MIGRATE_FLAGS, 0600);
	if (fd < 0)
		return migrate_failed(m, RECORD_NAME, "cannot be written", err);
	result = maildrop_pwrite(sys, fd, text, (size_t)n, 0);
	if (result == 0)
		result = sys->fsync(fd);
	if (result == 0)
		result = sys->renameat2(m->place.dir, RECORD_NAME NEW_SUFFIX, m->place.dir,
					RECORD_NAME, 0);
	if (result == 0)
		result = sys->fsync(m->place.dir);
	close(fd);
	return result < 0 ? migrate_failed(m, RECORD_NAME, "cannot be written", err) : MAILDROP_OK;
}

enum maildrop_status migration_switch(struct migration *m, const pop3_span *ids, uint32_t count,
				      bool accept, struct err *err)
{
	enum maildrop_status status = migration_flush(m, err);

	if (status == MAILDROP_OK && mark_kept(m, ids, count) < 0) {
		err_set(err, EX_SOFTWARE, "maildrop %s: not all messages were copied",
			m->place.home);
		return MAILDROP_TEMP;
	}
	if (status == MAILDROP_OK)
		status = drop_others(m, count > 0, accept, err);
	if (status == MAILDROP_OK)
		status = begin_switch(m, err);
	if (status == MAILDROP_OK)
		status = write_ids(m, ids, count, err);
	if (status == MAILDROP_OK)
		status = show(m, INDEX_CUR, err);
	if (status == MAILDROP_OK)
		status = write_record(m, count, err);
	if (status != MAILDROP_OK)
		return status;
	m->switched = true;
	remove_folder(m);
	return MAILDROP_OK;
}

enum maildrop_status migration_publish(struct migration *m, struct err *err)
{
	enum maildrop_status status = migration_flush(m, err);
	bool any = false;

	for (size_t i = 0; i < m->count; i++)
		any |= m->copies[i].at == COPY_BESIDE;
	if (status == MAILDROP_OK && any)
		status = write_ids(m, NULL, 0, err);
	if (status == MAILDROP_OK && any)
		status = show(m, INDEX_NEW, err);
	if (status == MAILDROP_OK)
		remove_folder(m);
	return status;
}

enum maildrop_status migration_undo(struct migration *m, struct err *err)
{
	const struct maildrop_syscalls *sys = m->place.sys;

	if (m->switched) {
		err_set(err, EX_UNAVAILABLE,
			"maildrop %s: the mail is here since the switch (%s): what came, and was "
			"deleted, since then is not on the other server",
			m->place.home, RECORD_NAME);
		return MAILDROP_PERM;
	}
	for (size_t i = 0; i < m->count; i++)
		if (m->copies[i].at != COPY_NOWHERE && migrate_remove_file(m, &m->copies[i]) < 0)
			return migrate_failed(m, NULL, "cannot be written to", err);
	if ((sys->unlinkat(m->place.dir, JOURNAL_NAME, 0) < 0 && errno != ENOENT) ||
	    sys->fsync(m->place.dir) < 0)
		return migrate_failed(m, JOURNAL_NAME, "cannot be removed", err);
	remove_folder(m);
	return MAILDROP_OK;
}
