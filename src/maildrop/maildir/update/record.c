/* See record.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/update/record.h"

#include "maildrop/maildir/update/log.h"

#include <errno.h>
#include <sysexits.h>

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
	struct index_change change = {.ordinal = model->first + at,
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

/* The changes that make the index the same as the directories. */
static void difference(const struct maildir_comparison *c, const struct index_delta *delta,
		       struct index_batch *batch)
{
	uint32_t ordinal = c->model.first + c->model.indexed;

	for (uint32_t at = 0; at < c->model.indexed; at++) {
		const struct model_message *m = &c->model.messages[at];

		if (!(m->marks & MODEL_DEAD))
			changes_of(batch, &c->model, at);
		else if (!index_delta_removed(delta, c->model.first + at))
			index_batch_add(batch,
					&(struct index_change){.kind = CHANGE_GONE,
							       .ordinal = c->model.first + at,
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

/* Names lie in the order of the directory, not in that of delivery. Asking for many at once hides
 * most of the waiting for memory. */
#define AHEAD 32

static void ask_for(const struct maildir_model *model, const uint32_t *order, uint32_t n)
{
	volatile unsigned sink;
	unsigned sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += model->messages[order[i]].flags;
	for (uint32_t i = 0; i < n; i++)
		sum += (unsigned char)model->text[model->messages[order[i]].text];
	sink = sum;
	(void)sink;
}

static int fill(void *context, struct index_writer *writer)
{
	const struct maildir_comparison *c = context;

	for (uint32_t at = 0; at < c->model.indexed; at++)
		if (!(c->model.messages[at].marks & MODEL_DEAD) &&
		    fill_one(&c->model, at, writer) < 0)
			return -1;
	for (uint32_t i = 0; i < c->order_count; i++) {
		uint32_t left = c->order_count - i;

		if (i % AHEAD == 0)
			ask_for(&c->model, c->order + i, left < AHEAD ? left : AHEAD);
		if (fill_one(&c->model, c->order[i], writer) < 0)
			return -1;
	}
	return 0;
}

static enum maildrop_status rewrite(struct maildir_comparison *c, struct maildir_log *log,
				    enum maildir_target target, struct err *err)
{
	struct index_batch carried = c->unknown; /* and the pending DELs behind them */
	struct maildir_contents contents = {
		.count = c->order_count, .fill = fill, .context = c, .carried = &carried};
	int result;

	c->unknown = (struct index_batch){0};
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
		contents.stamps[d] = c->scan[d] || !log->index.open
					     ? c->stamps[d]
					     : log->index.index.delta.stamps[d];
	if (contents.count > INDEX_COUNT_MAX) {
		index_batch_finish(&carried);
		err_set(err, EX_TEMPFAIL, "maildrop %s: more than %u messages", c->place->home,
			INDEX_COUNT_MAX);
		return MAILDROP_TEMP;
	}
	result = (target == TARGET_MEMORY ? maildir_log_memory : maildir_log_replace)(log,
										      &contents);
	index_batch_finish(&carried);
	if (result < 0)
		return maildir_failed(c->place, errno, BASE_NAME, "cannot be written", err);
	return MAILDROP_OK;
}

enum maildrop_status maildir_record(struct maildir_comparison *c, struct maildir_log *log,
				    enum maildir_target target, struct err *err)
{
	struct index_batch batch = {0};
	enum maildrop_status status = MAILDROP_OK;

	/* what could not be read is looked for again */
	for (int d = 0; d < INDEX_DIRECTORIES && c->left_out; d++)
		c->stamps[d].trust = TRUST_NONE;
	if (!log->index.open || target == TARGET_MEMORY)
		return rewrite(c, log, target, err);
	difference(c, &log->index.index.delta, &batch);
	if (target == TARGET_SESSION && !c->new_only && maildir_log_long(log, batch.size))
		status = rewrite(c, log, target, err);
	else if (maildir_log_append(log, &batch) < 0)
		status = maildir_failed(c->place, errno, DELTA_NAME, "cannot be written", err);
	index_batch_finish(&batch);
	return status;
}
