/*
 * See maildir.h and maildrop.h: what can wait until the session's reply is out: files of deleted
 * messages, a short new/, octets that were only claimed, the index's own upkeep.
 */
#include "maildrop/maildir/session/sweep.h"

#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/update/update.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define LONG_LOG (64 * 1024) /* octets of log that a close looks at for compaction */
#define ASSUMED_SECONDS 600  /* our own account of a directory is checked after that time */

static bool assumed_long(const struct index_delta *delta)
{
	time_t now = time(NULL);

	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		if (delta->stamps[d].trust == TRUST_ASSUMED &&
		    (now - delta->stamps[d].scanned > ASSUMED_SECONDS ||
		     delta->stamps[d].scanned - now > ASSUMED_SECONDS))
			return true;
	return false;
}

static int fill(void *context, struct index_writer *writer)
{
	struct index *index = context;
	uint32_t end = index->header.count + index->delta.added;

	for (uint32_t ordinal = 0; ordinal < end; ordinal++) {
		struct index_message message;
		struct maildir_name parsed;

		if (index_delta_removed(&index->delta, ordinal))
			continue;
		if (index_read(index, ordinal, &message, NULL) < 0)
			return -1;
		if (!index_unverified(index, ordinal, &message))
			message.flags &= (uint16_t)~INDEX_UNVERIFIED;
		maildir_name_parse((pop3_span){message.name, message.name_size}, &parsed);
		if (index_writer_add(writer, &message, parsed.unique_size) < 0)
			return -1;
	}
	return 0;
}

/* A new base that says what base and log say together. */
static int compact(struct maildir_log *log)
{
	struct index *index = &log->index.index;
	struct index_batch carried = {0};
	int result = -1;
	struct maildir_contents contents = {.count = index->delta.count,
					    .fill = fill,
					    .context = index,
					    .carried = &carried,
					    .durable = true};

	memcpy(contents.stamps, index->delta.stamps, sizeof(contents.stamps));
	for (size_t i = 0; i < index->delta.pending_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(index->sys, index->delta_fd, index->delta.pending[i], buf,
				     &change, NULL) < 0)
			goto out;
		change.ordinal = INDEX_NO_ORDINAL;
		index_batch_add(&carried, &change);
	}
	maildir_carry_unknown(log->place, &index->delta, index->delta_fd, &carried);
	result = maildir_log_replace(log, &contents);
out:
	index_batch_finish(&carried);
	return result;
}

void maildir_compact_if_long(struct maildir_log *log)
{
	if (log->index.open && maildir_log_long(log, 0))
		(void)compact(log);
}

/* A base that cannot be copied because of a bad place in it is built again. */
static void compact_or_rebuild(struct maildir_log *log)
{
	if (compact(log) == 0 || !log->index.open || index_verify(&log->index.index, NULL) == 0)
		return;
	maildir_index_close(&log->index);
	(void)maildir_update(log, TARGET_SESSION, true, NULL);
}

static void upkeep(struct maildir *m)
{
	struct maildir_log log;
	bool rare = true;

	if (maildir_log_begin(&m->place, true, &log) < 0)
		return;
	if (m->damaged)
		maildir_index_close(&log.index);
	if (!log.index.open || assumed_long(&log.index.index.delta))
		(void)maildir_update(&log, TARGET_SESSION, true, NULL);
	if (log.index.open && maildir_log_long(&log, 0))
		compact_or_rebuild(&log);
	else if (log.index.open && !log.index.index.delta.flushed)
		(void)maildir_log_flush(&log);
	else
		rare = false;
	maildir_log_end(&log);
	if (rare)
		maildir_sweep_tmp(m);
}

bool maildir_at_rest(const struct maildrop *maildrop)
{
	const struct maildir *m = (const struct maildir *)maildrop;
	const struct index_delta *delta = &m->index.index.delta;

	if (m->index.memory)
		return true;
	return !m->committed && !delta->pending_count && !delta->in_new && !m->damaged &&
	       delta->flushed && delta->verified >= delta->unverified_end &&
	       delta->size <= LONG_LOG && !assumed_long(delta);
}

void maildir_sweep(struct maildrop *maildrop, const atomic_bool *hurry)
{
	struct maildir *m = (struct maildir *)maildrop;
	const struct index_delta *delta = &m->index.index.delta;
	bool changed = m->committed;

	m->hurry = hurry;
	if (maildir_at_rest(maildrop))
		return;
	if (m->committed || delta->pending_count)
		maildir_sweep_deleted(m);
	if (delta->in_new)
		maildir_sweep_new(m);
	maildir_sweep_claims(m);
	changed = changed || delta->in_new || delta->size > LONG_LOG;
	if (maildir_hurried(m))
		return;
	if (changed || m->damaged || !delta->flushed || assumed_long(delta))
		upkeep(m);
}
