/* See migrate.h: opening, and copies of messages. */
#include "maildrop/maildir/migrate/migrate.h"

#include "base/text.h"
#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/migrate/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* ---- opening ---- */

static enum maildrop_status take(struct migration *m, enum maildir_lock which, const char *busy,
				 struct err *err)
{
	if (maildir_lock(&m->place, which, false) == 0)
		return MAILDROP_OK;
	if (errno != EAGAIN)
		return migrate_failed(m, LOCK_NAME, "cannot be locked", err);
	err_set(err, EX_TEMPFAIL, "maildrop %s: %s", m->place.home, busy);
	return MAILDROP_IN_USE;
}

/* A maildrop of nobody gets its lock file here; one that another server filled is for `valija
 * import`. */
static enum maildrop_status lock(struct migration *m, struct err *err)
{
	struct maildir_place *place = &m->place;
	char demand[ORIGIN_DEMAND_MAX];
	enum adopt_is is;
	unsigned lists;

	if (maildir_whose(place, place->dir, &is, &lists) < 0)
		return migrate_failed(m, NULL, "cannot be read", err);
	if (is == ADOPT_FOREIGN) {
		mail_origin_demand(lists, demand);
		err_set(err, EX_CONFIG, "maildrop %s: %s", place->home, demand);
		return MAILDROP_PERM;
	}
	if (m->look)
		return MAILDROP_OK;
	if (!maildir_place_has_lock(place) && errno == ENOENT)
		place->lock = place->sys->openat(place->dir, LOCK_NAME,
						 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (place->lock < 0)
		return migrate_failed(m, LOCK_NAME, "cannot be opened", err);
	return take(m, LOCK_MIGRATE, "another call of this command has it", err);
}

/* After the switch sessions may go on. */
static enum maildrop_status lock_session(struct migration *m, struct err *err)
{
	struct stat st;

	m->switched =
		m->place.sys->fstatat(m->place.dir, RECORD_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (m->switched)
		m->switched_at = st.st_mtime;
	else if (errno != ENOENT)
		return migrate_failed(m, RECORD_NAME, "cannot be looked at", err);
	return m->switched || m->look ? MAILDROP_OK
				      : take(m, LOCK_SESSION, "a session has it", err);
}

static bool wanted_time(const struct migration *m, struct timespec *ret)
{
	struct stat st;

	if (m->copies_dir < 0 ||
	    m->place.sys->fstatat(m->copies_dir, WANTED_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*ret = st.st_mtim;
	return true;
}

static enum maildrop_status open_copies(struct migration *m, struct err *err)
{
	const struct maildrop_syscalls *sys = m->place.sys;
	int fd;

	if (!m->look && sys->mkdirat(m->place.dir, COPIES_NAME, 0700) < 0 && errno != EEXIST)
		return migrate_failed(m, COPIES_NAME, "cannot be made", err);
	m->copies_dir = sys->openat(m->place.dir, COPIES_NAME,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (m->copies_dir < 0)
		return m->look && errno == ENOENT
			       ? MAILDROP_OK
			       : migrate_failed(m, COPIES_NAME, "cannot be opened", err);
	if (m->look)
		return MAILDROP_OK;
	fd = sys->openat(m->copies_dir, WANTED_NAME, O_RDWR | O_CREAT | MIGRATE_FLAGS, 0600);
	if (fd < 0)
		return migrate_failed(m, COPIES_NAME, "cannot be written to", err);
	close(fd);
	(void)wanted_time(m, &m->wanted_at);
	return MAILDROP_OK;
}

static enum maildrop_status begin(struct migration *m, const struct maildrop_settings *settings,
				  int folder, const char *home, const char *source, struct err *err)
{
	if (maildir_place_init(&m->place, settings, home) < 0) {
		err_set(err, EX_OSERR, "out of memory");
		return MAILDROP_TEMP;
	}
	m->place.dir = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (m->place.dir < 0)
		return migrate_failed(m, NULL, "cannot be opened", err);
	if (span_copy(span_of(source), m->source, sizeof(m->source)) < 0) {
		err_set(err, EX_DATAERR, "maildrop %s: the name at the other server is too long",
			home);
		return MAILDROP_PERM;
	}
	return MAILDROP_OK;
}

enum maildrop_status migration_open(const struct maildrop_settings *settings, int folder,
				    const char *home, const char *source, bool look,
				    struct migration **ret, struct err *err)
{
	struct migration *m = calloc(1, sizeof(*m));
	enum maildrop_status status;

	if (!m) {
		err_set(err, EX_OSERR, "out of memory");
		return MAILDROP_TEMP;
	}
	m->look = look;
	m->copies_dir = m->begun = m->place.dir = m->place.lock = -1;
	m->place.directories[0] = m->place.directories[1] = -1;
	hash_map_init(&m->ids, INDEX_COUNT_MAX);
	hash_map_init(&m->uniques, INDEX_COUNT_MAX);
	status = begin(m, settings, folder, home, source, err);
	if (status == MAILDROP_OK)
		status = lock(m, err);
	if (status == MAILDROP_OK)
		status = lock_session(m, err);
	if (status == MAILDROP_OK)
		status = open_copies(m, err);
	if (status == MAILDROP_OK)
		status = migrate_load(m, err);
	if (status == MAILDROP_OK && !look)
		status = migrate_remove_gone(m, err);
	if (status == MAILDROP_OK)
		*ret = m;
	else
		migration_close(m);
	return status;
}

void migration_close(struct migration *m)
{
	if (!m)
		return;
	if (m->begun >= 0)
		close(m->begun);
	if (m->copies_dir >= 0)
		close(m->copies_dir);
	for (size_t i = 0; i < m->count; i++) {
		free(m->copies[i].id);
		free(m->copies[i].file);
	}
	free(m->copies);
	free(m->lines);
	if (m->has_known)
		maildir_uidl_finish(&m->known);
	hash_map_finish(&m->ids);
	hash_map_finish(&m->uniques);
	maildir_place_close(&m->place);
	free(m);
}

/* ---- questions ---- */

void migration_totals(const struct migration *m, struct migration_totals *ret)
{
	*ret = (struct migration_totals){
		.octets = m->octets, .has_switched = m->switched, .switched_at = m->switched_at};
	for (size_t i = 0; i < m->count; i++) {
		ret->gone += m->copies[i].gone;
		ret->copied +=
			!m->copies[i].gone && (m->switched || m->copies[i].at != COPY_NOWHERE);
	}
}

bool migration_wants(const struct migration *m, pop3_span id)
{
	const struct copy *copy = migrate_find(m, id);

	if (m->has_known)
		return !copy && !maildir_uidl_reserved(&m->known, id);
	/* one that went, and is there again, is shown to clients again, too */
	return !copy || copy->gone || copy->at == COPY_NOWHERE;
}

bool migration_has(const struct migration *m, pop3_span id)
{
	const struct copy *copy = migrate_find(m, id);

	return copy ? !copy->gone : m->has_known && maildir_uidl_reserved(&m->known, id);
}

bool migration_wanted(const struct migration *m)
{
	struct timespec now;

	return wanted_time(m, &now) &&
	       (now.tv_sec != m->wanted_at.tv_sec || now.tv_nsec != m->wanted_at.tv_nsec);
}

/* ---- copies ---- */

enum maildrop_status migration_begin(struct migration *m, pop3_span id, struct err *err)
{
	if (m->begun >= 0)
		close(m->begun);
	m->begun = -1;
	if (span_copy(id, m->id, sizeof(m->id)) < 0 || !index_id_valid(id)) {
		err_set(err, EX_DATAERR, "not a unique id");
		return MAILDROP_PERM;
	}
	m->begun = m->place.sys->openat(m->copies_dir, BEGUN_NAME,
					O_RDWR | O_CREAT | O_TRUNC | MIGRATE_FLAGS, 0600);
	if (m->begun < 0)
		return migrate_failed(m, COPIES_NAME, "cannot be written to", err);
	m->begun_size = 0;
	pop3_counter_init(&m->counter);
	return MAILDROP_OK;
}

enum maildrop_status migration_add(struct migration *m, pop3_span octets, struct err *err)
{
	pop3_counter_feed(&m->counter, octets);
	if (maildrop_pwrite(m->place.sys, m->begun, octets.data, octets.size,
			    (off_t)m->begun_size) < 0)
		return migrate_failed(m, COPIES_NAME, "cannot be written to", err);
	m->begun_size += octets.size;
	m->octets += octets.size;
	return MAILDROP_OK;
}

static char *new_name(const struct migration *m)
{
	char unique[MAILDIR_FRESH_NAME_MAX], *name;
	struct timespec now;

	m->place.sys->clock_gettime(CLOCK_REALTIME, &now);
	if (maildir_fresh_name((uint64_t)now.tv_sec, (uint32_t)(now.tv_nsec / 1000),
			       m->place.settings->host_name, unique) < 0 ||
	    asprintf(&name, "%s,S=%" PRIu64 ",W=%" PRIu64 ":2,", unique, m->counter.stored,
		     m->counter.octets) < 0)
		return NULL;
	return name;
}

enum maildrop_status migration_end(struct migration *m, struct err *err)
{
	const struct maildrop_syscalls *sys = m->place.sys;
	pop3_span unique;
	char *name;

	pop3_counter_finish(&m->counter);
	name = new_name(m);
	if (!name || sys->fsync(m->begun) < 0 ||
	    sys->renameat2(m->copies_dir, BEGUN_NAME, m->copies_dir, name, 0) < 0) {
		free(name);
		return migrate_failed(m, COPIES_NAME, "cannot be written to", err);
	}
	close(m->begun);
	m->begun = -1;
	unique = (pop3_span){name, maildir_name_unique(span_of(name))};
	if (migrate_note(m, &(struct journal_line){.word = JOURNAL_COPIED,
						   .id = span_of(m->id),
						   .unique = unique}) < 0)
		free(name);
	else if (migrate_enter(m, span_of(m->id), unique, name, COPY_BESIDE) == 0)
		return MAILDROP_OK;
	errno = ENOMEM;
	return migrate_failed(m, NULL, "cannot be written to", err);
}

enum maildrop_status migration_flush(struct migration *m, struct err *err)
{
	if (m->lines_size && m->place.sys->fsync(m->copies_dir) < 0)
		return migrate_failed(m, COPIES_NAME, "cannot be flushed", err);
	if (migrate_write_notes(m) < 0)
		return migrate_failed(m, JOURNAL_NAME, "cannot be written to", err);
	return MAILDROP_OK;
}
