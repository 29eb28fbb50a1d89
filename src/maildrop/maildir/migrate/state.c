/* See state.h. With the rights of the mail's owner. */
#include "maildrop/maildir/migrate/state.h"

#include "base/array.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/files/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_MAX ((off_t)1 << 30)

enum maildrop_status migrate_failed(const struct migration *m, const char *what, const char *doing,
				    struct err *err)
{
	return maildir_failed(&m->place, errno, what, doing, err);
}

/* ---- the list of copies ---- */

static uint64_t hash(pop3_span text)
{
	return hash_octets(text.data, text.size);
}

struct copy *migrate_find(const struct migration *m, pop3_span id)
{
	const uint64_t *at = hash_map_find(&m->ids, hash(id));

	/* two ids with one hash: the second is as good as not copied, and entering it fails */
	return at && *at && span_equal(span_of(m->copies[*at - 1].id), id) ? &m->copies[*at - 1]
									   : NULL;
}

static struct copy *find_unique(const struct migration *m, pop3_span unique)
{
	const uint64_t *at = hash_map_find(&m->uniques, hash(unique));

	return at && *at && span_equal(span_of(m->copies[*at - 1].unique), unique)
		       ? &m->copies[*at - 1]
		       : NULL;
}

/* An id and a unique part in one block. */
static int set_texts(struct copy *copy, pop3_span id, pop3_span unique)
{
	char *block = malloc(id.size + unique.size + 2);

	if (!block)
		return -1;
	memcpy(block, id.data, id.size);
	block[id.size] = '\0';
	if (unique.size)
		memcpy(block + id.size + 1, unique.data, unique.size);
	block[id.size + 1 + unique.size] = '\0';
	free(copy->id);
	copy->id = block;
	copy->unique = block + id.size + 1;
	return 0;
}

static struct copy *add_copy(struct migration *m, pop3_span id)
{
	uint64_t *at = hash_map_put(&m->ids, hash(id));
	struct copy *grown;

	if (!at || *at)
		return NULL;
	grown = array_grow(m->copies, m->count, &m->room, sizeof(*grown));
	if (!grown)
		return NULL;
	m->copies = grown;
	grown[m->count] = (struct copy){.at = COPY_NOWHERE};
	*at = ++m->count;
	return &grown[m->count - 1];
}

int migrate_enter(struct migration *m, pop3_span id, pop3_span unique, char *file, enum copy_at at)
{
	struct copy *copy = migrate_find(m, id);
	uint64_t *place;

	if (!copy)
		copy = add_copy(m, id);
	if (!copy || set_texts(copy, id, unique) < 0) {
		free(file);
		return -1;
	}
	free(copy->file);
	copy->file = file;
	copy->at = (uint8_t)at;
	copy->gone = false;
	if (!unique.size)
		return 0;
	place = hash_map_put(&m->uniques, hash(unique));
	if (place)
		*place = (uint64_t)(copy - m->copies) + 1;
	return place ? 0 : -1;
}

/* ---- the journal ---- */

int migrate_note(struct migration *m, const struct journal_line *line)
{
	if (m->lines_room - m->lines_size < JOURNAL_LINE_MAX) {
		size_t room = m->lines_room * 2 + 16 * JOURNAL_LINE_MAX;
		char *grown = realloc(m->lines, room);

		if (!grown)
			return -1;
		m->lines = grown;
		m->lines_room = room;
	}
	m->lines_size += migrate_journal_print(line, m->lines + m->lines_size);
	return 0;
}

/* What a crash left behind the good lines is cut off first. */
static int append(struct migration *m, int fd)
{
	const struct maildrop_syscalls *sys = m->place.sys;

	if (sys->ftruncate(fd, (off_t)m->journal_size) < 0 ||
	    maildrop_pwrite(sys, fd, m->lines, m->lines_size, (off_t)m->journal_size) < 0 ||
	    sys->fsync(fd) < 0)
		return -1;
	return m->journal_size ? 0 : sys->fsync(m->place.dir);
}

int migrate_write_notes(struct migration *m)
{
	const struct maildrop_syscalls *sys = m->place.sys;
	const struct journal_line source = {.word = JOURNAL_SOURCE, .source = span_of(m->source)};
	char first[JOURNAL_LINE_MAX];
	size_t size = m->journal_size ? 0 : migrate_journal_print(&source, first);
	int fd, result, saved;

	if (!m->lines_size)
		return 0;
	fd = sys->openat(m->place.dir, JOURNAL_NAME, O_RDWR | O_CREAT | MIGRATE_FLAGS, 0600);
	if (fd < 0)
		return -1;
	/* the first line alone says nothing, so it needs no flush of its own */
	result = size ? sys->ftruncate(fd, 0) : 0;
	if (result == 0 && size)
		result = maildrop_pwrite(sys, fd, first, size, 0);
	if (result == 0 && size) {
		m->journal_size = size;
		result = sys->fsync(m->place.dir);
	}
	if (result == 0)
		result = append(m, fd);
	saved = errno;
	if (result == 0) {
		m->journal_size += m->lines_size;
		m->lines_size = 0;
	} else { /* what could not be flushed may read well, and not be on the disk */
		(void)sys->ftruncate(fd, (off_t)m->journal_size);
	}
	close(fd);
	errno = saved;
	return result;
}

static int take_line(void *context, const struct journal_line *line)
{
	struct migration *m = context;
	struct copy *copy;

	if (line->word == JOURNAL_SOURCE) {
		if (!m->source[0])
			return span_copy(line->source, m->source, sizeof(m->source));
		if (!span_equal(line->source, span_of(m->source)))
			m->source[0] = '\0'; /* told by its caller */
		return 0;
	}
	if (line->word == JOURNAL_COPIED)
		return migrate_enter(m, line->id, line->unique, NULL, COPY_NOWHERE);
	copy = migrate_find(m, line->id);
	if (copy)
		copy->gone = true;
	return 0;
}

/* The file's text; NULL with *ret_size 0 and errno 0: there is none. */
static char *read_file(const struct migration *m, const char *name, size_t *ret_size)
{
	const struct maildrop_syscalls *sys = m->place.sys;
	int fd = sys->openat(m->place.dir, name, O_RDONLY | MIGRATE_FLAGS, 0);
	char *text = NULL;
	struct stat st;
	ssize_t n = -1;
	int saved;

	*ret_size = 0;
	if (fd < 0) {
		errno = errno == ENOENT ? 0 : errno;
		return NULL;
	}
	if (sys->fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX) {
		text = malloc((size_t)st.st_size + 1);
		if (text)
			n = maildrop_pread(sys, fd, text, (size_t)st.st_size, 0);
	} else {
		errno = EFBIG;
	}
	saved = errno;
	close(fd);
	errno = saved;
	if (n < 0) {
		free(text);
		return NULL;
	}
	*ret_size = (size_t)n;
	return text;
}

static enum maildrop_status load_journal(struct migration *m, struct err *err)
{
	char source[sizeof(m->source)], *text;
	size_t size, good = 0;
	int rc;

	memcpy(source, m->source, sizeof(source));
	text = read_file(m, JOURNAL_NAME, &size);
	if (!text)
		return errno ? migrate_failed(m, JOURNAL_NAME, "cannot be read", err) : MAILDROP_OK;
	rc = migrate_journal_parse((pop3_span){text, size}, take_line, m, &good, err);
	free(text);
	if (rc < 0) {
		err_prefix(err, "maildrop %s: %s", m->place.home, JOURNAL_NAME);
		return MAILDROP_TEMP;
	}
	m->journal_size = good;
	if (!m->source[0]) {
		err_set(err, EX_CONFIG,
			"maildrop %s: %s is of another source than \"%s\": its messages were "
			"copied from elsewhere; if that was the same mail under another name, give "
			"the section, or remote_user, back its old name; if not, take the copies "
			"back first (valija migrate --undo)",
			m->place.home, JOURNAL_NAME, source);
		return MAILDROP_PERM;
	}
	return MAILDROP_OK;
}

/* ---- the files ---- */

struct scanning {
	struct migration *m;
	enum copy_at at;
	enum index_directory folder;
};

static int take_file(void *context, pop3_span name, uint64_t inode)
{
	struct scanning *scanning = context;
	struct migration *m = scanning->m;
	pop3_span unique = {name.data, maildir_name_unique(name)};
	struct copy *copy = find_unique(m, unique);

	(void)inode;
	if (!copy && scanning->at == COPY_BESIDE && !m->look)
		return m->place.sys->unlinkat(m->copies_dir, name.data, 0);
	if (!copy)
		return 0;
	free(copy->file);
	copy->file = strndup(name.data, name.size);
	copy->at = (uint8_t)scanning->at;
	copy->folder = (uint8_t)scanning->folder;
	return copy->file ? 0 : -1;
}

static int scan(struct migration *m, const char *folder, enum copy_at at,
		enum index_directory which)
{
	struct scanning scanning = {m, at, which};

	return maildir_scan(&m->place, folder, take_file, &scanning) < 0 && errno != ENOENT ? -1
											    : 0;
}

/* A switch that was cut off has shown some: they are found there. */
static int find_shown(struct migration *m)
{
	bool any = false;

	for (size_t i = 0; i < m->count && !any; i++)
		any = m->copies[i].at == COPY_NOWHERE;
	for (int d = 0; any && d < INDEX_DIRECTORIES; d++)
		if (scan(m, maildir_directory_names[d], COPY_SHOWN, d) < 0)
			return -1;
	return 0;
}

/* ---- copies whose messages went ---- */

static int folder_of(struct migration *m, const struct copy *copy)
{
	return copy->at == COPY_BESIDE ? m->copies_dir : maildir_directory(&m->place, copy->folder);
}

int migrate_remove_file(struct migration *m, struct copy *copy)
{
	int folder = folder_of(m, copy);

	if (folder < 0 || (m->place.sys->unlinkat(folder, copy->file, 0) < 0 && errno != ENOENT))
		return -1;
	copy->at = COPY_NOWHERE;
	return 0;
}

enum maildrop_status migrate_remove_gone(struct migration *m, struct err *err)
{
	bool shown[INDEX_DIRECTORIES] = {false};

	for (size_t i = 0; i < m->count && !m->switched; i++) {
		struct copy *copy = &m->copies[i];

		if (!copy->gone || copy->at == COPY_NOWHERE)
			continue;
		if (copy->at == COPY_SHOWN)
			shown[copy->folder] = true;
		if (migrate_remove_file(m, copy) < 0)
			return migrate_failed(m, NULL, "cannot be written to", err);
	}
	/* the id may be copied again: the old file must not come back */
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		if (shown[d] && m->place.sys->fsync(maildir_directory(&m->place, d)) < 0)
			return migrate_failed(m, maildir_directory_names[d], "cannot be flushed",
					      err);
	return MAILDROP_OK;
}

enum maildrop_status migrate_load(struct migration *m, struct err *err)
{
	enum maildrop_status status = load_journal(m, err);

	if (status != MAILDROP_OK)
		return status;
	if (m->copies_dir >= 0 && scan(m, COPIES_NAME, COPY_BESIDE, INDEX_CUR) < 0)
		return migrate_failed(m, COPIES_NAME, "cannot be read", err);
	if (!m->switched && find_shown(m) < 0)
		return migrate_failed(m, NULL, "cannot be read", err);
	/* the journal may have been lost: those ids are data as well */
	if (m->switched && maildir_uidl_load(&m->known, &m->place) < 0)
		return migrate_failed(m, UIDL_NAME, "cannot be read", err);
	m->has_known = m->switched;
	return MAILDROP_OK;
}
