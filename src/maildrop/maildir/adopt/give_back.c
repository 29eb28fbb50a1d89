/* See give_back.h. In `valija import`, with the rights of the mail's owner. */
#include "maildrop/maildir/adopt/give_back.h"

#include "base/array.h"
#include "base/random.h"
#include "base/text.h"
#include "maildrop/kept.h"
#include "maildrop/maildir/adopt/id_list.h"
#include "maildrop/maildir/adopt/uidlist_give.h"
#include "maildrop/maildir/adopt/uidlist_lock.h"
#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/files/scan.h"
#include "maildrop/maildir/update/update.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define LIST "dovecot-uidlist"
#define LIST_NEW "dovecot-uidlist.valija" /* no name that Dovecot uses */
#define FRESH_LIST_MAX 80

struct giving_back {
	struct maildir_place *place;
	const struct mail_origin *origin;
	int control;
	bool dry_run;
	struct undo_report *report;
	struct maildir_log log; /* held, with an index in memory */
	struct uidlist_message *messages;
	uint32_t count;
	char *text;                     /* of the messages */
	enum index_directory directory; /* that is read */
	struct leftover *leftovers;
	size_t leftover_count, leftover_room;
};

/* ---- our messages ---- */

/* A file of a message that was deleted here, and whose removal ended early. */
struct leftover {
	enum index_directory directory;
	char name[INDEX_NAME_MAX + 1];
};

static int take_leftover(void *context, pop3_span name, uint64_t inode)
{
	struct giving_back *g = context;
	const struct index *index = &g->log.index.index;

	for (uint32_t i = 0; i < index->delta.pending_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;
		struct leftover *grown;

		if (index_delta_read(g->place->sys, g->log.index.delta_fd, index->delta.pending[i],
				     buf, &change, NULL) < 0)
			return -1;
		if (change.inode != inode || change.name.size > name.size ||
		    memcmp(change.name.data, name.data, change.name.size) != 0)
			continue;
		grown = array_grow(g->leftovers, g->leftover_count, &g->leftover_room,
				   sizeof(*grown));
		if (!grown)
			return -1;
		g->leftovers = grown;
		grown[g->leftover_count].directory = g->directory;
		return span_copy(name, grown[g->leftover_count].name, sizeof(grown->name)) < 0
			       ? -1
			       : (g->leftover_count++, 0);
	}
	return 0;
}

/* As a sweep does it. */
static int remove_leftover(const struct giving_back *g, const struct leftover *leftover, int kept)
{
	const struct maildrop_syscalls *sys = g->place->sys;
	int folder = maildir_directory(g->place, leftover->directory);
	struct stat st;

	if (folder < 0)
		return -1;
	if (kept >= 0 && sys->fstatat(folder, leftover->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return kept_move(sys, kept, folder, leftover->name, (uint64_t)st.st_size,
				 (uint64_t)time(NULL));
	return sys->unlinkat(folder, leftover->name, 0);
}

static int remove_leftovers(const struct giving_back *g)
{
	const struct maildrop_syscalls *sys = g->place->sys;
	bool keeps = g->place->settings->retention.keep_seconds && g->leftover_count;
	int kept = keeps ? kept_open(sys, g->place->dir, true) : -1;
	int result = keeps && kept < 0 ? -1 : 0;

	for (size_t i = 0; result == 0 && i < g->leftover_count; i++)
		result = remove_leftover(g, &g->leftovers[i], kept);
	if (kept >= 0 && result == 0)
		result = sys->fsync(kept);
	for (int d = 0; d < INDEX_DIRECTORIES && result == 0 && g->leftover_count; d++)
		result = sys->fsync(maildir_directory(g->place, (enum index_directory)d));
	if (kept >= 0)
		close(kept);
	return result;
}

/* Deletions that a QUIT announced end first: Dovecot would show such a message again. */
static enum maildrop_status finish_deletions(struct giving_back *g, struct err *err)
{
	for (int d = 0; d < INDEX_DIRECTORIES && g->log.index.index.delta.pending_count; d++) {
		g->directory = (enum index_directory)d;
		if (maildir_scan(g->place, maildir_directory_names[d], take_leftover, g) < 0)
			return maildir_failed(g->place, errno, maildir_directory_names[d],
					      "cannot be read", err);
	}
	if (!g->dry_run && remove_leftovers(g) < 0)
		return maildir_failed(g->place, errno, NULL,
				      "still has the file of a deleted message, which cannot be "
				      "removed",
				      err);
	return MAILDROP_OK;
}

static int take_message(struct giving_back *g, uint32_t ordinal, size_t *size, struct err *err)
{
	struct uidlist_message *m = &g->messages[g->count];
	struct index_message message;
	const char *colon;

	if (index_read(&g->log.index.index, ordinal, &message, err) < 0)
		return -1;
	colon = memchr(message.name, ':', message.name_size);
	m->id = (pop3_span){g->text + *size, message.id_size};
	memcpy(g->text + *size, message.id, message.id_size);
	*size += message.id_size;
	m->file = (pop3_span){g->text + *size,
			      colon ? (size_t)(colon - message.name) : message.name_size};
	memcpy(g->text + *size, message.name, m->file.size);
	*size += m->file.size;
	g->count++;
	return 0;
}

static enum maildrop_status take_messages(struct giving_back *g, struct err *err)
{
	struct index *index = &g->log.index.index;
	uint32_t end = index->header.count + index->delta.added;
	size_t size = 0;

	g->messages = calloc((size_t)index->delta.count + 1, sizeof(*g->messages));
	g->text = malloc((size_t)index->delta.count * (POP3_UNIQUE_ID_MAX + INDEX_NAME_MAX) + 1);
	if (!g->messages || !g->text)
		return maildir_failed(g->place, ENOMEM, NULL, "cannot be read", err);
	for (uint32_t ordinal = 0; ordinal < end && g->count < index->delta.count; ordinal++) {
		if (index_delta_removed(&index->delta, ordinal))
			continue;
		if (take_message(g, ordinal, &size, err) < 0) {
			err_prefix(err, "maildrop %s", g->place->home);
			return MAILDROP_TEMP;
		}
	}
	g->report->messages += g->count;
	return MAILDROP_OK;
}

/* As a session would show them now; nothing of ours is written. */
static enum maildrop_status read_messages(struct giving_back *g, struct err *err)
{
	enum maildrop_status status;

	if (maildir_log_begin(g->place, true, &g->log) < 0)
		return maildir_failed(g->place, errno, LOCK_NAME, "cannot be locked", err);
	status = maildir_update(&g->log, TARGET_MEMORY, true, err);
	if (status == MAILDROP_OK)
		status = finish_deletions(g, err);
	return status == MAILDROP_OK ? take_messages(g, err) : status;
}

/* ---- Dovecot's list ---- */

/* For a maildrop that Dovecot never had. */
static int fresh_list(const struct giving_back *g, char **ret, size_t *ret_size)
{
	struct timespec now;
	uint64_t id[2];
	int n;

	*ret = malloc(FRESH_LIST_MAX);
	if (!*ret || random_octets(id, sizeof(id)) < 0)
		return -1;
	g->place->sys->clock_gettime(CLOCK_REALTIME, &now);
	n = snprintf(*ret, FRESH_LIST_MAX, "3 V%" PRIu32 " N1 G%016" PRIx64 "%016" PRIx64 "\n",
		     (uint32_t)now.tv_sec, id[0], id[1]);
	*ret_size = (size_t)n;
	return 0;
}

static int read_list(const struct giving_back *g, char **ret, size_t *ret_size, struct err *err)
{
	struct err local = {0};

	if (id_list_text(g->place, g->control, LIST, ret, ret_size, &local) == 0)
		return 0;
	if (local.errnum == ENOENT && !*ret && g->origin)
		err_set(&local, EX_NOINPUT,
			LIST ": the list from which ids were brought is not there: give the --from "
			     "of the import");
	else if (local.errnum == ENOENT && !*ret) {
		if (fresh_list(g, ret, ret_size) == 0)
			return 0;
		err_sys(&local, EX_TEMPFAIL, errno, LIST);
	}
	if (err)
		*err = local;
	return -1;
}

/* With the rights of the list that is there. */
static int make_new(const struct giving_back *g)
{
	const struct maildrop_syscalls *sys = g->place->sys;
	int fd = sys->openat(g->control, LIST_NEW, O_WRONLY | O_CREAT | O_TRUNC | FILE_FLAGS, 0600);
	struct stat st;
	mode_t mode;

	if (fd < 0 || sys->fstatat(g->control, LIST, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fd;
	mode = st.st_mode & 0666;
	if (fchown(fd, (uid_t)-1, st.st_gid) < 0)
		mode &= 0600;
	if (fchmod(fd, mode) == 0)
		return fd;
	close(fd);
	return -1;
}

static int write_list(const struct giving_back *g, const struct uidlist_given *given)
{
	const struct maildrop_syscalls *sys = g->place->sys;
	int fd = make_new(g), result = -1, saved;

	if (fd >= 0)
		result = maildrop_pwrite(sys, fd, given->text, given->size, 0);
	if (result == 0)
		result = sys->fsync(fd);
	if (result == 0)
		result = sys->renameat2(g->control, LIST_NEW, g->control, LIST, 0);
	if (result == 0)
		result = sys->fsync(g->control);
	saved = errno;
	if (fd >= 0)
		close(fd);
	if (result < 0)
		(void)sys->unlinkat(g->control, LIST_NEW, 0);
	errno = saved;
	return result;
}

static void count(struct giving_back *g, const struct uidlist_given *given)
{
	struct undo_report *report = g->report;
	char shown[65];

	report->saved += given->saved;
	report->added += given->added;
	report->again += given->lost;
	report->reordered = report->reordered || given->reordered;
	if (!given->lost)
		return;
	text_escape(shown, sizeof(shown) - 1, g->messages[given->first_lost].file);
	snprintf(report->why, sizeof(report->why),
		 "%s: Dovecot cannot have two files of one name, or a line feed in a name", shown);
}

static enum maildrop_status give_list(struct giving_back *g, pop3_span list, struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;
	struct uidlist_given given = {0};

	if (uidlist_give(list, g->origin, g->messages, g->count, &given, err) < 0) {
		err_prefix(err, "maildrop %s: " LIST, g->place->home);
		return MAILDROP_PERM;
	}
	if (given.text && !g->dry_run && write_list(g, &given) < 0)
		status = maildir_failed(g->place, errno, LIST, "cannot be written", err);
	else
		count(g, &given);
	free(given.text);
	return status;
}

static enum maildrop_status give_ids(struct giving_back *g, struct err *err)
{
	enum maildrop_status status = MAILDROP_TEMP;
	char *text = NULL;
	size_t size = 0;

	if (!g->count)
		return MAILDROP_OK;
	if (!g->dry_run && uidlist_lock(g->place, g->control, err) < 0) {
		err_prefix(err, "maildrop %s", g->place->home);
		return MAILDROP_TEMP;
	}
	if (read_list(g, &text, &size, err) < 0)
		err_prefix(err, "maildrop %s", g->place->home);
	else
		status = give_list(g, (pop3_span){text, size}, err);
	free(text);
	if (!g->dry_run && uidlist_unlock(g->place, g->control) < 0 && status == MAILDROP_OK)
		return maildir_failed(g->place, errno, LIST ".lock", "cannot be removed", err);
	return status;
}

/* ---- our files ---- */

/*
 * Called again where this ended early, undo finds either an index, which alone has all ids and the
 * order, or no base, and then there is nothing to give any more. The lock goes last: without it the
 * maildrop is not ours.
 */
static enum maildrop_status remove_ours(const struct giving_back *g, struct err *err)
{
	static const char *const names[] = {DELTA_NAME NEW_SUFFIX,
					    BASE_NAME NEW_SUFFIX,
					    UIDL_NAME NEW_SUFFIX,
					    UIDL_NAME,
					    BASE_NAME,
					    DELTA_NAME,
					    LOCK_NAME};
	const struct maildir_place *place = g->place;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (place->sys->unlinkat(place->dir, names[i], 0) < 0 && errno != ENOENT)
			return maildir_failed(place, errno, names[i], "cannot be removed", err);
	if (place->sys->fsync(place->dir) < 0)
		return maildir_failed(place, errno, NULL, "cannot be flushed", err);
	return MAILDROP_OK;
}

/* ---- all of it ---- */

/* A lock file that was lost is made again: sessions and deliveries look for it. */
static enum maildrop_status lock(struct giving_back *g, struct err *err)
{
	struct maildir_place *place = g->place;

	if (!maildir_place_has_lock(place) && errno == ENOENT && !g->dry_run)
		place->lock = place->sys->openat(place->dir, LOCK_NAME,
						 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (place->lock < 0 && (errno != ENOENT || !g->dry_run))
		return maildir_failed(place, errno, LOCK_NAME, "cannot be opened", err);
	if (maildir_lock(place, LOCK_SESSION, false) == 0)
		return MAILDROP_OK;
	if (errno != EAGAIN)
		return maildir_failed(place, errno, LOCK_NAME, "cannot be locked", err);
	err_set(err, EX_TEMPFAIL,
		"maildrop %s: a session has it: stop valijad, and call this again", place->home);
	return MAILDROP_IN_USE;
}

/* Without a base and brought ids nothing was shown here, or undo ended early. */
static int has_ids(const struct maildir_place *place)
{
	int has = maildir_has(place, place->dir, BASE_NAME);

	return has ? has : maildir_has(place, place->dir, UIDL_NAME);
}

static enum maildrop_status give(struct giving_back *g, struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;
	int has = has_ids(g->place);

	if (has < 0)
		return maildir_failed(g->place, errno, NULL, "cannot be read", err);
	if (has)
		status = read_messages(g, err);
	if (status == MAILDROP_OK && has)
		status = give_ids(g, err);
	return status == MAILDROP_OK && !g->dry_run ? remove_ours(g, err) : status;
}

enum maildrop_status maildir_give_back(struct maildir_place *place, int control,
				       const struct mail_origin *origin, bool dry_run,
				       struct undo_report *ret, struct err *err)
{
	struct giving_back g = {.place = place,
				.origin = origin,
				.control = control,
				.dry_run = dry_run,
				.report = ret,
				.log = {.index = {.base_fd = -1, .delta_fd = -1}}};
	enum maildrop_status status = lock(&g, err);

	if (status < 0)
		return status;
	status = give(&g, err);
	if (g.log.place)
		maildir_log_end(&g.log);
	maildir_unlock(place, LOCK_SESSION);
	free(g.leftovers);
	free(g.messages);
	free(g.text);
	return status;
}
