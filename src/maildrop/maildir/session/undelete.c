/*
 * See undelete.h. With the session's lock and the log's held, and the rights of the mail's owner:
 *
 * 1. Deletions whose files may still be there are carried out and retired, as a sweep does it.
 * 2. A new base is written, on the disk, with no DEL behind it: a kept file has the unique part and
 *    the inode of its DEL, and none that is found in a damaged log, or after a power cut, may name
 * it.
 * 3. Files are renamed from valija-kept to cur/, which is flushed behind each: a later one that is
 * on the disk without an earlier one would give cur/ the time of both.
 * 4. The index is made current: it finds them as messages that are new, with the ids of their names
 *    or of valija-uidl, which are those that they had.
 *
 * A crash leaves each message where it was or in cur/, and what is in cur/ the next login finds.
 * The same call again brings back the rest.
 */
#include "maildrop/maildir/session/undelete.h"

#include "base/array.h"
#include "maildrop/kept.h"
#include "maildrop/maildir/session/sweep_files.h"
#include "maildrop/maildir/session/sweep_journal.h"
#include "maildrop/maildir/update/compact.h"
#include "maildrop/maildir/update/uidl.h"
#include "maildrop/maildir/update/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct found {
	uint64_t time, inode;
	char entry[KEPT_ENTRY_MAX + 1];
	char id[POP3_UNIQUE_ID_MAX + 1];
};

struct undeleting {
	struct maildir *m;
	struct maildir_log *log;
	struct undelete *undelete;
	struct maildir_model model; /* of what is in the maildrop */
	struct maildir_uidl ids;
	struct found *found; /* what is kept and wanted */
	size_t count, room;
	uint64_t messages, octets; /* in the maildrop */
	int kept;
	bool moved;
};

static int compare_items(const void *a, const void *b)
{
	return strcmp(((const struct undelete_item *)a)->id, ((const struct undelete_item *)b)->id);
}

/* The first item with that id; all of them stand in a row. */
static struct undelete_item *first_item(const struct undeleting *u, const char *id)
{
	struct undelete_item wanted, *items = u->undelete->items, *item;

	snprintf(wanted.id, sizeof(wanted.id), "%s", id);
	item = u->undelete->count
		       ? bsearch(&wanted, items, u->undelete->count, sizeof(wanted), compare_items)
		       : NULL;
	while (item && item > items && strcmp(item[-1].id, id) == 0)
		item--;
	return item;
}

static bool in_row(const struct undeleting *u, const struct undelete_item *item, const char *id)
{
	return item && item < u->undelete->items + u->undelete->count && strcmp(item->id, id) == 0;
}

static void id_of(struct undeleting *u, pop3_span name, char ret[POP3_UNIQUE_ID_MAX + 1])
{
	pop3_span unique = {name.data, maildir_name_unique(name)};
	pop3_span id = maildir_uidl_find(&u->ids, unique);

	if (id.size)
		memcpy(ret, id.data, id.size);
	ret[id.size ? (int)id.size : maildir_unique_id(unique, 0, ret)] = '\0';
}

/* ---- what is kept ---- */

static int take_kept(void *context, const struct kept *kept)
{
	struct undeleting *u = context;
	char id[POP3_UNIQUE_ID_MAX + 1];
	struct found *grown;

	id_of(u, kept->name, id);
	if (!first_item(u, id))
		return 0;
	grown = array_grow(u->found, u->count, &u->room, sizeof(*grown));
	if (!grown)
		return -1;
	u->found = grown;
	grown[u->count].time = kept->time;
	grown[u->count].inode = kept->inode;
	memcpy(grown[u->count].entry, kept->entry.data, kept->entry.size + 1);
	memcpy(grown[u->count++].id, id, sizeof(id));
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct found *one = a, *other = b;

	if (one->time != other->time)
		return one->time > other->time ? -1 : 1;
	return strcmp(one->entry, other->entry);
}

/* ---- what is there ---- */

static void note_there(struct undeleting *u)
{
	for (uint32_t i = 0; i < u->model.count; i++) {
		char id[POP3_UNIQUE_ID_MAX + 1];
		pop3_span span = maildir_model_id(&u->model, i);
		struct undelete_item *item;

		if (u->model.messages[i].marks & MODEL_DEAD)
			continue;
		memcpy(id, span.data, span.size);
		id[span.size] = '\0';
		for (item = first_item(u, id); in_row(u, item, id); item++)
			item->outcome = UNDELETE_THERE;
	}
}

/* ---- one message ---- */

/* Nothing but a file that is the owner's alone: 1, 0; -1 with errno: it cannot be looked at. */
static int is_message(const struct undeleting *u, const struct found *found, struct stat *ret)
{
	if (u->m->place.sys->fstatat(u->kept, found->entry, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	return S_ISREG(ret->st_mode) && (ret->st_nlink == 1 || ret->st_uid == geteuid());
}

static bool has_room(const struct undeleting *u, uint64_t size)
{
	const struct undelete *undelete = u->undelete;

	return (!undelete->max_messages || u->messages < undelete->max_messages) &&
	       (!undelete->max_octets ||
		(u->octets <= undelete->max_octets && size <= undelete->max_octets - u->octets));
}

static int rename_back(struct undeleting *u, const char *entry, pop3_span name)
{
	const struct maildrop_syscalls *sys = u->m->place.sys;
	int cur = maildir_directory(&u->m->place, INDEX_CUR), result;
	bool bare = !memchr(name.data, ':', name.size) && name.size + 3 <= INDEX_NAME_MAX;
	char to[INDEX_NAME_MAX + 1];

	snprintf(to, sizeof(to), "%.*s%s", (int)name.size, name.data, bare ? ":2," : "");
	if (cur < 0)
		return -1;
	result = sys->renameat2(u->kept, entry, cur, to, RENAME_NOREPLACE);
	if (result < 0 && (errno == EINVAL || errno == ENOSYS)) {
		struct stat st;

		if (sys->fstatat(cur, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			errno = EEXIST;
			return -1;
		}
		result = sys->renameat2(u->kept, entry, cur, to, 0);
	}
	return result;
}

static int bring_back(struct undeleting *u, const struct found *found, struct undelete_item *item)
{
	pop3_span unique;
	struct kept kept;
	struct stat st;
	uint32_t at;
	int message;

	if (kept_parse(found->entry, &kept) < 0)
		return 0;
	unique = (pop3_span){kept.name.data, maildir_name_unique(kept.name)};
	item->outcome = UNDELETE_NO_MESSAGE;
	message = is_message(u, found, &st);
	if (message <= 0)
		return message;
	item->outcome = UNDELETE_THERE;
	at = maildir_model_find(&u->model, unique, maildir_model_hash(&u->model, unique),
				MODEL_NONE);
	if (at != MODEL_NONE && u->model.messages[at].inode == st.st_ino) /* a move cut in two */
		return u->m->place.sys->unlinkat(u->kept, found->entry, 0);
	if (at != MODEL_NONE)
		return 0;
	item->outcome = UNDELETE_OVER_QUOTA;
	if (!has_room(u, (uint64_t)st.st_size))
		return 0;
	if (rename_back(u, found->entry, kept.name) < 0) {
		item->outcome = UNDELETE_THERE;
		return errno == EEXIST ? 0 : -1;
	}
	u->moved = true;
	if (u->m->place.sys->fsync(maildir_directory(&u->m->place, INDEX_CUR)) < 0)
		return -1;
	u->messages++;
	u->octets += (uint64_t)st.st_size;
	item->outcome = UNDELETE_BACK;
	item->stored = (uint64_t)st.st_size;
	item->inode = st.st_ino;
	return 0;
}

static int bring_all(struct undeleting *u)
{
	if (u->count)
		qsort(u->found, u->count, sizeof(*u->found), newest_first);
	for (size_t i = 0; i < u->count; i++) {
		const struct found *found = &u->found[i];
		struct undelete_item *item = first_item(u, found->id);

		for (; in_row(u, item, found->id); item++) {
			if (item->outcome == UNDELETE_BACK ||
			    (item->inode && item->inode != found->inode))
				continue;
			if (bring_back(u, found, item) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- all of it ---- */

static void write_lines(const struct undeleting *u)
{
	const struct maildir_place *place = &u->m->place;
	time_t now = time(NULL);

	for (size_t i = 0; i < u->undelete->count; i++) {
		const struct undelete_item *item = &u->undelete->items[i];
		struct deleted line = {.what = DELETED_RESTORED,
				       .time = now > 0 ? (uint64_t)now : 0,
				       .by = u->undelete->by,
				       .stored = item->stored,
				       .inode = item->inode};
		char text[DELETED_LINE_MAX];

		if (item->outcome != UNDELETE_BACK)
			continue;
		memcpy(line.id, item->id, sizeof(line.id));
		if (deleted_append(place->sys, place->dir,
				   (pop3_span){text, deleted_print(&line, text)}, false) < 0)
			maildir_note_no_journal(place, errno);
	}
}

static enum maildrop_status prepare(struct undeleting *u, struct err *err)
{
	struct maildir_log *log = u->log;
	/* whatever the folders' times say: a second name of what is there is removed */
	enum maildrop_status status = maildir_update(log, TARGET_SESSION, true, err);

	if (status < 0)
		return status;
	if (log->index.index.delta.pending_count) {
		err_set(err, EX_TEMPFAIL,
			"maildrop %s: files of deleted messages cannot be removed or kept, so "
			"nothing is brought back: see valijad's log",
			u->m->place.home);
		return MAILDROP_TEMP;
	}
	if (maildir_compact(log) < 0 || maildir_model_init(&u->model) < 0)
		return maildir_failed(&u->m->place, errno, BASE_NAME, "cannot be written", err);
	if (maildir_model_load(&u->model, &log->index.index, 0, false, err) < 0)
		return MAILDROP_TEMP;
	u->messages = log->index.index.delta.count;
	u->octets = log->index.index.delta.stored;
	if (maildir_uidl_load(&u->ids, &u->m->place) < 0)
		return maildir_failed(&u->m->place, errno, UIDL_NAME, "cannot be read", err);
	return MAILDROP_OK;
}

static enum maildrop_status carry_out(struct undeleting *u, struct err *err)
{
	const struct maildir_place *place = &u->m->place;

	note_there(u);
	/* one that is there may have been moved by a process that died before it flushed that */
	if (place->sys->fsync(maildir_directory(&u->m->place, INDEX_CUR)) < 0)
		return maildir_failed(place, errno, "cur", "cannot be flushed", err);
	u->kept = kept_open(place->sys, place->dir, false);
	if (u->kept < 0 && errno == ENOENT)
		return MAILDROP_OK; /* nothing is kept */
	if (u->kept < 0 || kept_each(place->sys, place->dir, take_kept, u) < 0 || bring_all(u) < 0)
		return maildir_failed(place, errno, KEPT_FOLDER, "cannot be worked on", err);
	if (!u->moved)
		return MAILDROP_OK;
	if (place->sys->fsync(u->kept) < 0)
		return maildir_failed(place, errno, KEPT_FOLDER, "cannot be flushed", err);
	write_lines(u);
	return maildir_update(u->log, TARGET_SESSION, true, err);
}

enum maildrop_status maildir_undelete(struct maildrop *maildrop, struct undelete *undelete,
				      struct err *err)
{
	struct maildir *m = (struct maildir *)maildrop;
	struct undeleting u = {.m = m, .undelete = undelete, .kept = -1};
	enum maildrop_status status;
	struct maildir_log log;

	if (m->index.memory) {
		err_set(err, EX_TEMPFAIL, "maildrop %s: its filesystem cannot be written to",
			m->place.home);
		return MAILDROP_TEMP;
	}
	for (size_t i = 0; i < undelete->count; i++)
		undelete->items[i].outcome = UNDELETE_NOT_KEPT;
	if (undelete->count)
		qsort(undelete->items, undelete->count, sizeof(*undelete->items), compare_items);
	if (m->index.index.delta.pending_count) {
		maildir_sweep_journal(m);
		maildir_sweep_deleted(m);
	}
	if (maildir_log_begin(&m->place, true, &log) < 0)
		return maildir_failed(&m->place, errno, LOCK_NAME, "cannot be locked", err);
	u.log = &log;
	status = prepare(&u, err);
	if (status == MAILDROP_OK)
		status = carry_out(&u, err);
	maildir_log_end(&log);
	if (u.kept >= 0)
		close(u.kept);
	maildir_model_finish(&u.model);
	maildir_uidl_finish(&u.ids);
	free(u.found);
	return status;
}
