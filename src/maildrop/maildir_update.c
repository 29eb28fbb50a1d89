/* See maildir_update.h. Session's keeper thread; quota's and usage's without a session. */
#include "maildrop/maildir_update.h"

#include "maildrop/maildir_compare.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

int maildir_current(const struct maildir_place *place, const struct index_delta *delta,
		    enum index_directory which)
{
	struct index_stamp now;

	if (maildir_stamp(place, which, &now) < 0)
		return -1;
	return delta->stamps[which].trust != TRUST_NONE &&
	       maildir_stamp_equal(&delta->stamps[which], &now);
}

/* When there is no index to trust: what a base can still tell of sizes and ids, and what a delta
 * can still tell of deletions. */
static enum maildrop_status load_remains(struct maildir_comparison *c, struct err *err)
{
	const struct maildrop_syscalls *sys = c->place->sys;
	int base = sys->openat(c->place->dir, BASE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
	int delta = sys->openat(c->place->dir, DELTA_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
	enum maildrop_status status = MAILDROP_OK;
	struct index_delta deleted;
	struct index index;

	if (base >= 0 && index_open_base(&index, sys, base, NULL) == 0) {
		if (maildir_model_load(&c->model, &index, true, err) < 0)
			status = MAILDROP_TEMP;
		index_close(&index);
	}
	index_delta_init(&deleted, NULL);
	if (delta >= 0 && status == MAILDROP_OK) {
		index_delta_salvage(&deleted, sys, delta);
		if (maildir_model_load_deleted(&c->model, &deleted, sys, delta, err) < 0)
			status = MAILDROP_TEMP;
	}
	index_delta_finish(&deleted);
	if (base >= 0)
		close(base);
	if (delta >= 0)
		close(delta);
	return status;
}

static enum maildrop_status load(struct maildir_comparison *c, struct maildir_log *log,
				 struct err *err)
{
	struct index *index = &log->index.index;

	if (maildir_model_init(&c->model) < 0)
		return maildir_failed(c->place, errno, NULL, "cannot be indexed", err);
	if (!log->index.open)
		return load_remains(c, err);
	if (maildir_model_load(&c->model, index, false, err) < 0 ||
	    maildir_model_load_deleted(&c->model, &index->delta, c->place->sys, index->delta_fd,
				       err) < 0)
		return MAILDROP_TEMP;
	return MAILDROP_OK;
}

static void add_of(struct index_batch *batch, const struct maildir_model *model, uint32_t at,
		   uint32_t ordinal)
{
	const struct model_message *m = &model->messages[at];

	index_batch_add(batch, &(struct index_change){.kind = CHANGE_ADD,
						      .ordinal = ordinal,
						      .flags = m->flags,
						      .octets = m->octets,
						      .stored = m->stored,
						      .inode = m->inode,
						      .id = maildir_model_id(model, at),
						      .name = maildir_model_name(model, at)});
}

static void changes_of(struct index_batch *batch, const struct maildir_model *model, uint32_t at)
{
	const struct model_message *m = &model->messages[at];
	struct index_change change = {.ordinal = at,
				      .flags = m->flags,
				      .octets = m->octets,
				      .stored = m->stored,
				      .inode = m->inode,
				      .old_octets = m->old_octets,
				      .old_stored = m->old_stored};

	if (m->marks & MODEL_MOVED) {
		change.kind = CHANGE_NAME;
		change.name = maildir_model_name(model, at);
		change.flags |= m->old_flags & INDEX_IN_NEW ? INDEX_WAS_NEW : 0;
		index_batch_add(batch, &change);
	}
	change.flags = m->flags;
	change.name = (pop3_span){0};
	if (m->marks & MODEL_RESIZED) {
		change.kind = CHANGE_SIZE;
		index_batch_add(batch, &change);
	}
}

/* What has to be said, so that the index is as the directories are. */
static void difference(const struct maildir_comparison *c, const struct index_delta *delta,
		       struct index_batch *batch)
{
	uint32_t ordinal = c->model.indexed;

	for (uint32_t at = 0; at < c->model.indexed; at++) {
		const struct model_message *m = &c->model.messages[at];

		if (!(m->marks & MODEL_DEAD))
			changes_of(batch, &c->model, at);
		else if (!index_delta_removed(delta, at))
			index_batch_add(batch, &(struct index_change){.kind = CHANGE_GONE,
								      .ordinal = at,
								      .flags = m->old_flags,
								      .octets = m->old_octets,
								      .stored = m->old_stored});
	}
	for (uint32_t i = 0; i < c->order_count; i++)
		add_of(batch, &c->model, c->order[i], ordinal++);
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		if (c->scan[d])
			index_batch_add(batch, &(struct index_change){.kind = CHANGE_STAMP,
								      .directory = d,
								      .stamp = c->stamps[d]});
}

static int fill_one(const struct maildir_model *model, uint32_t at, struct index_writer *writer)
{
	struct index_message message;

	maildir_model_message(model, at, &message);
	return index_writer_add(writer, &message, model->messages[at].unique_size);
}

static int fill(void *context, struct index_writer *writer)
{
	const struct maildir_comparison *c = context;

	for (uint32_t at = 0; at < c->model.indexed; at++)
		if (!(c->model.messages[at].marks & MODEL_DEAD) &&
		    fill_one(&c->model, at, writer) < 0)
			return -1;
	for (uint32_t i = 0; i < c->order_count; i++)
		if (fill_one(&c->model, c->order[i], writer) < 0)
			return -1;
	return 0;
}

static enum maildrop_status rewrite(struct maildir_comparison *c, struct maildir_log *log,
				    struct err *err)
{
	struct index_batch carried = {0};
	struct maildir_contents contents = {
		.count = c->order_count, .fill = fill, .context = c, .carried = &carried};
	int result;

	for (uint32_t at = 0; at < c->model.count; at++) {
		const struct model_message *m = &c->model.messages[at];

		if (at < c->model.indexed && !(m->marks & MODEL_DEAD))
			contents.count++;
		if (m->marks & MODEL_DELETED)
			index_batch_add(
				&carried,
				&(struct index_change){.kind = CHANGE_DEL,
						       .ordinal = INDEX_NO_ORDINAL,
						       .inode = m->inode,
						       .name = maildir_model_name(&c->model, at)});
	}
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		contents.stamps[d] = c->scan[d] ? c->stamps[d] : log->index.index.delta.stamps[d];
	if (contents.count > INDEX_COUNT_MAX) {
		err_set(err, EX_TEMPFAIL, "maildrop %s: more than %u messages", c->place->home,
			INDEX_COUNT_MAX);
		return MAILDROP_TEMP;
	}
	result = maildir_log_replace(log, &contents);
	index_batch_finish(&carried);
	if (result < 0)
		return maildir_failed(c->place, errno, BASE_NAME, "cannot be written", err);
	return MAILDROP_OK;
}

static enum maildrop_status record(struct maildir_comparison *c, struct maildir_log *log,
				   bool session, struct err *err)
{
	struct index_batch batch = {0};
	enum maildrop_status status = MAILDROP_OK;

	/* what could not be read is looked for again */
	for (int d = 0; d < INDEX_DIRECTORIES && c->left_out; d++)
		c->stamps[d].trust = TRUST_NONE;
	if (!log->index.open)
		return rewrite(c, log, err);
	difference(c, &log->index.index.delta, &batch);
	if (session && maildir_log_long(log, batch.size))
		status = rewrite(c, log, err);
	else if (maildir_log_append(log, &batch) < 0)
		status = maildir_failed(c->place, errno, DELTA_NAME, "cannot be written", err);
	index_batch_finish(&batch);
	return status;
}

enum maildrop_status maildir_update(struct maildir_log *log, bool session, bool rescan,
				    struct err *err)
{
	struct maildir_comparison c = {.place = log->place};
	enum maildrop_status status = MAILDROP_OK;

	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		int current = log->index.open && !rescan
				      ? maildir_current(log->place, &log->index.index.delta, d)
				      : 0;

		if (current < 0)
			return maildir_failed(log->place, errno, maildir_directory_names[d],
					      "cannot be read", err);
		c.scan[d] = !current;
	}
	if (!c.scan[INDEX_NEW] && !c.scan[INDEX_CUR])
		return MAILDROP_OK;
	status = load(&c, log, err);
	if (status == MAILDROP_OK)
		status = maildir_compare_scan(&c, err);
	if (status == MAILDROP_OK)
		status = maildir_compare_settle(&c, err);
	if (status == MAILDROP_OK)
		status = maildir_compare_measure(&c, err);
	if (status == MAILDROP_OK)
		status = maildir_compare_order(&c, err);
	if (status == MAILDROP_OK)
		status = maildir_compare_name(&c, err);
	if (status == MAILDROP_OK)
		status = record(&c, log, session, err);
	maildir_compare_finish(&c);
	return status;
}

void maildir_own_begin(struct maildir_own *own, struct maildir_log *log)
{
	own->log = log;
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		own->current[d] = maildir_current(log->place, &log->index.index.delta, d) > 0;
}

void maildir_own_end(const struct maildir_own *own, struct index_batch *batch)
{
	const struct index_delta *delta = &own->log->index.index.delta;

	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_change change = {.kind = CHANGE_STAMP, .directory = d};

		if (!own->current[d] || maildir_stamp(own->log->place, d, &change.stamp) < 0 ||
		    maildir_stamp_equal(&change.stamp, &delta->stamps[d]))
			continue;
		change.stamp.trust = TRUST_ASSUMED;
		change.stamp.scanned = delta->stamps[d].scanned;
		index_batch_add(batch, &change);
	}
}
