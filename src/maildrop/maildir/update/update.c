/* See update.h. In a keeper's worker or `valija deliver`; for quotas without a session. */
#include "maildrop/maildir/update/update.h"

#include "maildrop/guard.h"
#include "maildrop/maildir/files/prove.h"
#include "maildrop/maildir/update/compare.h"
#include "maildrop/maildir/update/fresh.h"
#include "maildrop/maildir/update/identity.h"
#include "maildrop/maildir/update/order.h"
#include "maildrop/maildir/update/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS 5 /* for a file that another program renames meanwhile */
#define OWN_SMALL 256
#define OWN_QUICK_NS 50000

enum maildir_freshness maildir_current(const struct maildir_place *place,
				       const struct index_delta *delta, enum index_directory which)
{
	struct index_stamp now;

	if (maildir_stamp(place, which, &now) < 0)
		return MAILDIR_UNREADABLE;
	if (delta->stamps[which].trust == TRUST_NONE ||
	    !maildir_stamp_equal(&delta->stamps[which], &now))
		return MAILDIR_STALE;
	return MAILDIR_CURRENT;
}

/* The file may be there and well: only this process, or only now, cannot open it. */
static bool passing_trouble(int errnum)
{
	return errnum != ENOENT && errnum != ENOTDIR && errnum != ELOOP && errnum != EACCES;
}

/* The index cannot be trusted: sizes and ids are taken from a base that can be read, deletions from
 * a log that can be read. */
static enum maildrop_status load_remains(struct maildir_comparison *c, struct err *err)
{
	const struct maildrop_syscalls *sys = c->place->sys;
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
	int base = sys->openat(c->place->dir, BASE_NAME, flags, 0);
	bool known = base >= 0 || !passing_trouble(errno);
	int delta = sys->openat(c->place->dir, DELTA_NAME, flags, 0);
	enum maildrop_status status = MAILDROP_OK;
	struct index_delta deleted;
	struct index index;

	/* without its deletions a message that was deleted would be there again */
	if (!known || (delta < 0 && passing_trouble(errno)))
		status = maildir_failed(c->place, errno, DELTA_NAME, "cannot be opened", err);
	if (status == MAILDROP_OK && base >= 0 && index_open_base(&index, sys, base, NULL) == 0) {
		if (maildir_model_load(&c->model, &index, 0, true, err) < 0)
			status = MAILDROP_TEMP;
		index_close(&index);
	}
	index_delta_init(&deleted, NULL);
	if (delta >= 0 && status == MAILDROP_OK) {
		errno = 0;
		index_delta_salvage(&deleted, sys, delta);
		if (errno == ENOMEM)
			status = maildir_failed(c->place, errno, DELTA_NAME, "cannot be read", err);
		else if (maildir_model_load_deleted(&c->model, &deleted, sys, delta, err) < 0)
			status = MAILDROP_TEMP;
		maildir_carry_unknown(c->place, &deleted, delta, &c->unknown);
	}
	index_delta_finish(&deleted);
	if (base >= 0)
		close(base);
	if (delta >= 0)
		close(delta);
	return status;
}

/* Messages of the index that are in the model and in the maildrop. */
static uint32_t loaded(const struct maildir_model *model)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < model->indexed; i++)
		n += model->messages[i].marks & (MODEL_DEAD | MODEL_DELETED) ? 0 : 1;
	return n;
}

/* A maildrop that has no index yet is in good order. */
static void note_damage(const struct maildir_place *place)
{
	static const char anew[] = "; it is made anew";
	struct maildir_index x;
	struct stat st;
	struct err err;
	char text[sizeof(err.text) + sizeof(anew)];

	if (!place->settings->note_index ||
	    (place->sys->fstatat(place->dir, BASE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	     place->sys->fstatat(place->dir, DELTA_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0))
		return;
	if (maildir_index_open(place, false, &x, &err) == 0) {
		maildir_index_close(&x);
		err_set(&err, 0, "maildrop %s: the index has a bad place", place->home);
	}
	snprintf(text, sizeof(text), "%s%s", err.text, anew);
	place->settings->note_index(place->settings->note_context, text);
}

/* There is no base, and no file of unique ids: were there any? */
static enum maildrop_status prove(struct maildir_comparison *c, struct err *err)
{
	const struct maildrop_syscalls *sys = c->place->sys;
	struct stat st;

	if (sys->fstatat(c->place->dir, BASE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    sys->fstatat(c->place->dir, UIDL_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return MAILDROP_OK;
	return maildir_prove(c->place, GUARD_FILES, "", err);
}

static enum maildrop_status load(struct maildir_comparison *c, struct maildir_log *log,
				 struct err *err)
{
	struct index *index = &log->index.index;

	if (maildir_model_init(&c->model) < 0)
		return maildir_failed(c->place, errno, NULL, "cannot be indexed", err);
	if (!log->index.open) {
		note_damage(c->place);
		return load_remains(c, err);
	}
	if (maildir_model_load(&c->model, index, c->new_only ? index->header.count : 0, false,
			       NULL) == 0 &&
	    maildir_model_load_deleted(&c->model, &index->delta, c->place->sys, index->delta_fd,
				       NULL) == 0) {
		c->not_loaded = c->new_only ? index->delta.count - loaded(&c->model) : 0;
		maildir_carry_unknown(c->place, &index->delta, index->delta_fd, &c->unknown);
		return MAILDROP_OK;
	}
	/* the index is damaged: it is built again, from the parts that can be read */
	note_damage(c->place);
	maildir_index_close(&log->index);
	maildir_model_finish(&c->model);
	c->new_only = false;
	c->scan[INDEX_NEW] = c->scan[INDEX_CUR] = true;
	if (maildir_model_init(&c->model) < 0)
		return maildir_failed(c->place, errno, NULL, "cannot be indexed", err);
	return load_remains(c, err);
}

enum meeting {
	MEETING_UNKNOWN = -1, /* the base cannot be read */
	MEETING_NONE,
	MEETING_POSSIBLE, /* a hash of the base is equal */
};

/* May a fresh message have the name or id of one of the base, which was not loaded? */
static enum meeting meets_base(const struct maildir_comparison *c, struct index *index)
{
	struct index_search search = {0};
	int result = 0;

	for (uint32_t i = 0; i < c->order_count; i++) {
		pop3_span unique = maildir_model_unique(&c->model, c->order[i]);
		pop3_span id = maildir_model_id(&c->model, c->order[i]);

		index_search_add(&search, unique);
		if (c->model.messages[c->order[i]].flags & INDEX_OWN_ID)
			index_search_add(&search, id);
	}
	if (c->order_count)
		result = index_search(index, &search);
	index_search_finish(&search);
	if (result < 0)
		return MEETING_UNKNOWN;
	return result ? MEETING_POSSIBLE : MEETING_NONE;
}

/*
 * All steps. *ret_again: all steps are to be done again, with the base loaded and both directories
 * read: what is in new/ alone cannot tell, or a file was renamed before it was measured. last: a
 * message of such a file is left out until the next look.
 */
static enum maildrop_status compare(struct maildir_comparison *c, struct maildir_log *log,
				    enum maildir_target target, bool last, bool *ret_again,
				    struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;

	if (log->index.open)
		maildir_identity_begin(c, &log->index.index.delta);
	else
		status = prove(c, err);
	if (status == MAILDROP_OK)
		status = load(c, log, err);
	if (status == MAILDROP_OK)
		status = maildir_compare_scan(c, err);
	if (status == MAILDROP_OK && c->new_only && c->scan[INDEX_CUR]) {
		*ret_again = true;
		return status;
	}
	if (status == MAILDROP_OK)
		status = maildir_compare_settle(c, err);
	if (status == MAILDROP_OK)
		status = maildir_fresh_hide(c, err);
	if (status == MAILDROP_OK)
		status = maildir_fresh_measure(c, err);
	if (status == MAILDROP_OK && c->moved && !last) {
		*ret_again = true;
		return status;
	}
	if (status == MAILDROP_OK)
		status = maildir_identity_judge(c, err);
	if (status == MAILDROP_OK)
		status = maildir_order(c, err);
	if (status == MAILDROP_OK)
		status = maildir_fresh_name_ids(c, target != TARGET_MEMORY, err);
	if (status == MAILDROP_OK && c->new_only &&
	    meets_base(c, &log->index.index) != MEETING_NONE) {
		*ret_again = true;
		return status;
	}
	if (status == MAILDROP_OK)
		status = maildir_record(c, log, target, err);
	return status;
}

/* New mail of another program in a large maildrop: the base need not be loaded for it, if the base
 * has no message in new/ and each of its ids is the beginning of a name. */
static bool new_only_suffices(const struct maildir_comparison *c, const struct maildir_log *log,
			      enum maildir_target target)
{
	const struct index_header *header = &log->index.index.header;

	return log->index.open && target != TARGET_MEMORY && !c->scan[INDEX_CUR] &&
	       header->in_new == 0 && header->own_ids == 0;
}

enum maildrop_status maildir_update(struct maildir_log *log, enum maildir_target target,
				    bool rescan, struct err *err)
{
	struct maildir_comparison c = {.place = log->place};
	enum maildrop_status status = MAILDROP_OK;
	bool again = true;

	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		enum maildir_freshness current =
			log->index.open && !rescan
				? maildir_current(log->place, &log->index.index.delta, d)
				: MAILDIR_STALE;

		if (current == MAILDIR_UNREADABLE)
			return maildir_failed(log->place, errno, maildir_directory_names[d],
					      "cannot be read", err);
		c.scan[d] = current != MAILDIR_CURRENT;
	}
	if (!c.scan[INDEX_NEW] && !c.scan[INDEX_CUR] && target != TARGET_MEMORY)
		return MAILDROP_OK;
	c.new_only = new_only_suffices(&c, log, target);
	for (int attempt = 1; again; attempt++) {
		again = false;
		status = compare(&c, log, target, attempt >= ATTEMPTS, &again, err);
		maildir_compare_finish(&c);
		c = (struct maildir_comparison){.place = log->place, .scan = {true, true}};
	}
	return status;
}

static uint64_t monotonic_ns(const struct maildir_log *log)
{
	struct timespec now;

	log->place->sys->clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void maildir_own_begin(struct maildir_own *own, struct maildir_log *log, enum maildir_own_of which)
{
	*own = (struct maildir_own){.log = log, .which = which};
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		own->current[d] =
			(which == OWN_BOTH || d == INDEX_NEW) &&
			maildir_current(log->place, &log->index.index.delta, d) == MAILDIR_CURRENT;
	own->began = monotonic_ns(log);
}

bool maildir_own_quick(const struct maildir_own *own)
{
	return monotonic_ns(own->log) - own->began < OWN_QUICK_NS;
}

void maildir_own_forget(struct maildir_own *own, enum index_directory which, uint32_t left)
{
	if (left <= OWN_SMALL)
		own->current[which] = false;
}

/* The directory's new time as assumed, if we may assume it and it tells the change. */
static bool assume(const struct maildir_own *own, enum index_directory d, struct index_stamp *ret)
{
	const struct index_stamp *old = &own->log->index.index.delta.stamps[d];

	if (!own->current[d] || maildir_stamp(own->log->place, d, ret) < 0 ||
	    maildir_stamp_equal(ret, old))
		return false;
	ret->trust = TRUST_ASSUMED;
	ret->scanned = old->scanned;
	return true;
}

void maildir_own_end(const struct maildir_own *own, struct index_batch *batch)
{
	const struct index_delta *delta = &own->log->index.index.delta;

	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_change change = {.kind = CHANGE_STAMP, .directory = d};

		if (assume(own, d, &change.stamp)) {
			index_batch_add(batch, &change);
		} else if (own->which == OWN_NEW && d == INDEX_NEW &&
			   delta->stamps[d].trust != TRUST_NONE) {
			/* a power cut may take back the file and leave the time that the index
			 * knows */
			change.stamp = delta->stamps[d];
			change.stamp.trust = TRUST_NONE;
			index_batch_add(batch, &change);
		}
	}
}
