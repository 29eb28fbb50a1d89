/* See compare.h: both folders are read; duplicates and what is gone are found. In a keeper's worker
 * or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/update/compare.h"

#include "base/array.h"
#include "maildrop/maildir/files/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTEMPTS 5
/* Longer than a step of the kernel's clock for files (HZ=100). */
#define CLOCK_STEP_NS 11000000L

struct looking {
	struct maildir_comparison *c;
	enum index_directory directory;
};

static int note_double(struct maildir_comparison *c, uint32_t at, enum index_directory directory,
		       pop3_span name, uint64_t inode)
{
	struct maildir_duplicate *grown =
		array_grow(c->duplicates, c->duplicate_count, &c->duplicate_room, sizeof(*grown));

	if (!grown)
		return -1;
	c->duplicates = grown;
	if (c->text_room - c->text_size <= name.size) {
		size_t room = (c->text_room + name.size + 512) * 2;
		char *more = realloc(c->text, room);

		if (!more)
			return -1;
		c->text = more;
		c->text_room = room;
	}
	c->duplicates[c->duplicate_count++] =
		(struct maildir_duplicate){at, directory, c->text_size, inode};
	memcpy(c->text + c->text_size, name.data, name.size);
	c->text[c->text_size + name.size] = '\0';
	c->text_size += name.size + 1;
	return 0;
}

static int set_place(struct maildir_comparison *c, uint32_t at, enum index_directory directory,
		     pop3_span name, uint64_t inode)
{
	struct model_message *m = &c->model.messages[at];
	pop3_span old = maildir_model_name(&c->model, at);
	enum index_directory was = index_directory_of(m->flags);

	if (old.size != name.size || memcmp(old.data, name.data, name.size) != 0) {
		if (maildir_model_rename(&c->model, at, name) < 0)
			return -1;
		m->marks |= MODEL_MOVED;
	}
	if (was != directory) {
		m->flags ^= INDEX_IN_NEW;
		m->marks |= MODEL_MOVED;
	}
	/* another file under the name: what we counted was not this one */
	if (m->inode != inode) {
		m->inode = inode;
		m->marks |= MODEL_MOVED | MODEL_MEASURE;
	}
	return 0;
}

static int take_fresh(struct maildir_comparison *c, enum index_directory directory, pop3_span name,
		      const struct maildir_name *parsed, uint32_t hash, uint64_t inode)
{
	uint32_t at = maildir_model_add(&c->model, (pop3_span){0}, name, parsed->unique_size);
	struct model_message *m;

	if (at == MODEL_NONE || maildir_model_link(&c->model, at, hash) < 0)
		return -1;
	m = &c->model.messages[at];
	m->inode = inode;
	m->seconds = parsed->seconds;
	m->marks = MODEL_FRESH | MODEL_SEEN | MODEL_MEASURE;
	m->flags = directory == INDEX_NEW ? INDEX_IN_NEW : 0;
	if (!index_id_valid((pop3_span){name.data, parsed->unique_size}))
		m->marks |= MODEL_ODD;
	/* on the wire a message never has fewer octets than in the store */
	if (parsed->has_stored && parsed->has_octets && parsed->octets >= parsed->stored) {
		m->marks |= MODEL_CLAIMED;
		m->stored = parsed->stored;
		m->octets = parsed->octets;
	}
	return 0;
}

/* Is this entry that file? Filesystems whose listings number files in their own way are asked once
 * more. */
static bool same_file(struct maildir_comparison *c, enum index_directory directory, pop3_span name,
		      uint64_t listed, uint64_t inode)
{
	int fd;
	struct stat st;

	if (listed == inode)
		return true;
	fd = maildir_directory(c->place, directory);
	return fd >= 0 && c->place->sys->fstatat(fd, name.data, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == inode;
}

static int take_entry(void *context, pop3_span name, uint64_t inode)
{
	struct looking *looking = context;
	struct maildir_comparison *c = looking->c;
	struct maildir_model *model = &c->model;
	uint32_t at, hash, found = MODEL_NONE;
	struct maildir_name parsed;
	pop3_span unique;

	maildir_name_parse(name, &parsed);
	unique = (pop3_span){name.data, parsed.unique_size};
	hash = maildir_model_hash(model, unique);
	for (at = maildir_model_find(model, unique, hash, MODEL_NONE); at != MODEL_NONE;
	     at = maildir_model_find(model, unique, hash, at)) {
		if (model->messages[at].marks & MODEL_DELETED) {
			/* deleted by its owner, not unlinked yet; a restored file is another inode
			 */
			if (same_file(c, looking->directory, name, inode,
				      model->messages[at].inode))
				return 0;
		} else if (!(model->messages[at].marks & MODEL_DEAD)) {
			found = at;
		}
	}
	if (found == MODEL_NONE)
		return take_fresh(c, looking->directory, name, &parsed, hash, inode);
	/* new/ has what the index knows in cur/: only cur/ tells whether that is one file or two */
	if (looking->directory == INDEX_NEW && !(model->messages[found].flags & INDEX_IN_NEW))
		c->scan[INDEX_CUR] = true;
	if (same_file(c, looking->directory, name, inode, model->messages[found].inode))
		inode = model->messages[found].inode;
	/* another file may have taken the name, or stand beside the one that is known */
	if (model->messages[found].marks & MODEL_SEEN || model->messages[found].inode != inode)
		return note_double(c, found, looking->directory, name, inode);
	model->messages[found].marks |= MODEL_SEEN;
	return set_place(c, found, looking->directory, name, inode);
}

/* Begins anew: what an unsettled look has found is forgotten, names excepted. */
static void forget(struct maildir_comparison *c)
{
	for (uint32_t i = 0; i < c->model.count; i++) {
		struct model_message *m = &c->model.messages[i];

		if (m->marks & MODEL_FRESH)
			m->marks = MODEL_DEAD;
		m->marks &= (uint16_t)~MODEL_SEEN;
	}
	c->duplicate_count = c->text_size = 0;
}

static bool older(const struct index_stamp *stamp, const struct timespec *clock)
{
	return stamp->seconds < clock->tv_sec ||
	       (stamp->seconds == clock->tv_sec && (long)stamp->nanoseconds < clock->tv_nsec);
}

/* A message that is not where it was may be in the other directory, moved by a mail reader or back
 * by a power cut. */
static bool missing(const struct maildir_comparison *c, enum index_directory directory)
{
	for (uint32_t i = 0; i < c->model.indexed; i++) {
		const struct model_message *m = &c->model.messages[i];
		enum index_directory d = index_directory_of(m->flags);

		if (!(m->marks & (MODEL_DEAD | MODEL_SEEN)) && d == directory)
			return true;
	}
	return false;
}

static enum maildrop_status look_at(struct maildir_comparison *c, enum index_directory d,
				    const struct timespec *clock, struct err *err)
{
	struct looking looking = {c, d};

	c->scan[d] = true;
	if (maildir_stamp(c->place, d, &c->stamps[d]) < 0 ||
	    maildir_scan(c->place, maildir_directory_names[d], take_entry, &looking) < 0)
		return maildir_failed(c->place, errno, maildir_directory_names[d], "cannot be read",
				      err);
	c->stamps[d].scanned = clock->tv_sec;
	c->stamps[d].trust = older(&c->stamps[d], clock) ? TRUST_SURE : TRUST_NONE;
	return MAILDROP_OK;
}

/* new/ before cur/: a message that moves meanwhile is met twice rather than not at all. */
static enum maildrop_status look(struct maildir_comparison *c, const struct timespec *clock,
				 struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;
	bool looked_at_new = c->scan[INDEX_NEW];

	if (looked_at_new)
		status = look_at(c, INDEX_NEW, clock, err);
	if (looked_at_new && missing(c, INDEX_NEW))
		c->scan[INDEX_CUR] = true;
	/* cur/ has to be read as well: the comparison begins anew, with the base loaded */
	if (status == MAILDROP_OK && c->scan[INDEX_CUR] && !c->new_only)
		status = look_at(c, INDEX_CUR, clock, err);
	if (status == MAILDROP_OK && !looked_at_new && missing(c, INDEX_CUR))
		status = look_at(c, INDEX_NEW, clock, err);
	return status;
}

/* Did nothing change while it was read? A listing may leave out a file that was renamed meanwhile.
 */
static bool unchanged(const struct maildir_comparison *c, const struct timespec *clock)
{
	bool has_clock = clock->tv_sec || clock->tv_nsec;

	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_stamp now;

		if (!c->scan[d])
			continue;
		if (maildir_stamp(c->place, d, &now) < 0 ||
		    !maildir_stamp_equal(&now, &c->stamps[d]))
			return false;
		/* a change in the clock's step of the stamp would leave the same time */
		if (has_clock && c->stamps[d].trust != TRUST_SURE)
			return false;
	}
	return true;
}

enum maildrop_status maildir_compare_scan(struct maildir_comparison *c, struct err *err)
{
	for (int attempt = 0; attempt < ATTEMPTS && !c->settled; attempt++) {
		enum maildrop_status status;
		struct timespec clock = {0};

		if (attempt) {
			nanosleep(&(struct timespec){.tv_nsec = CLOCK_STEP_NS}, NULL);
			forget(c);
		}
		/* a filesystem that cannot be written to has no clock for us: no stamp is trusted
		 */
		(void)maildir_clock(c->place, &clock);
		status = look(c, &clock, err);
		if (status < 0)
			return status;
		c->settled = unchanged(c, &clock);
	}
	return MAILDROP_OK;
}

/* Two files for one unique part: one of them gets a name of its own, in its place. The name is
 * flushed before anybody sees its id, or can delete the message by it. */
static int rename_double(struct maildir_comparison *c, const struct maildir_duplicate *d)
{
	const char *name = c->text + d->name, *rest;
	char fresh[MAILDIR_FRESH_NAME_MAX + INDEX_NAME_MAX + 1];
	int directory = maildir_directory(c->place, d->directory), n;
	struct maildir_name parsed;

	maildir_name_parse((pop3_span){name, strlen(name)}, &parsed);
	rest = name + parsed.unique_size;
	n = maildir_fresh_name(parsed.seconds, 0, c->place->settings->host_name, fresh);
	if (n < 0 || directory < 0)
		return -1;
	snprintf(fresh + n, sizeof(fresh) - (size_t)n, "%s", rest);
	if (strlen(fresh) > INDEX_NAME_MAX)
		fresh[n] = '\0';
	if (c->place->sys->renameat2(directory, name, directory, fresh, 0) < 0 ||
	    c->place->sys->fsync(directory) < 0)
		return -1;
	maildir_name_parse((pop3_span){fresh, strlen(fresh)}, &parsed);
	return take_fresh(c, d->directory, (pop3_span){fresh, strlen(fresh)}, &parsed,
			  maildir_model_hash(&c->model, (pop3_span){fresh, parsed.unique_size}),
			  d->inode);
}

static int settle_double(struct maildir_comparison *c, const struct maildir_duplicate *d)
{
	struct model_message *m = &c->model.messages[d->message];
	pop3_span first = maildir_model_name(&c->model, d->message);
	char first_name[INDEX_NAME_MAX + 1];
	int first_in = maildir_directory(c->place, index_directory_of(m->flags));
	int second_in = maildir_directory(c->place, d->directory);
	const char *name = c->text + d->name;
	struct stat one, two;

	if (!(m->marks & MODEL_SEEN)) {
		m->marks |= MODEL_SEEN;
		return set_place(c, d->message, d->directory, (pop3_span){name, strlen(name)},
				 d->inode);
	}
	memcpy(first_name, first.data, first.size);
	first_name[first.size] = '\0';
	if (c->place->sys->fstatat(second_in, name, &two, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* it was renamed while we read: the first one is its new name */
	if (c->place->sys->fstatat(first_in, first_name, &one, AT_SYMLINK_NOFOLLOW) < 0)
		return set_place(c, d->message, d->directory, (pop3_span){name, strlen(name)},
				 two.st_ino);
	if (one.st_ino == two.st_ino && one.st_dev == two.st_dev) {
		/* one file under two names, as a move that was cut short leaves it */
		if (c->place->sys->unlinkat(second_in, name, 0) < 0)
			c->left_out = true;
		return 0;
	}
	if (rename_double(c, d) < 0) {
		if (errno == ENOMEM)
			return -1;
		c->left_out = true;
	}
	return 0;
}

enum maildrop_status maildir_compare_settle(struct maildir_comparison *c, struct err *err)
{
	for (size_t i = 0; i < c->duplicate_count; i++)
		if (settle_double(c, &c->duplicates[i]) < 0)
			return maildir_failed(c->place, errno, NULL, "cannot be indexed", err);
	if (!c->settled) {
		/* entries may have been missed: keep what is known, and look again next time */
		c->left_out = true;
		return MAILDROP_OK;
	}
	for (uint32_t i = 0; i < c->model.indexed; i++) {
		struct model_message *m = &c->model.messages[i];
		enum index_directory d = index_directory_of(m->flags);

		if (!(m->marks & (MODEL_DEAD | MODEL_SEEN)) && c->scan[d])
			m->marks |= MODEL_DEAD;
	}
	return MAILDROP_OK;
}

void maildir_compare_finish(struct maildir_comparison *c)
{
	maildir_model_finish(&c->model);
	if (c->has_uidl)
		maildir_uidl_finish(&c->uidl);
	index_batch_finish(&c->unknown);
	free(c->order);
	free(c->duplicates);
	free(c->text);
}
