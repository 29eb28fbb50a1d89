/*
 * See sweep.h. In a keeper's worker: what can wait until the session's reply is out: files of
 * deleted messages, a short new/, octets that were only claimed, the index's own upkeep.
 */
#include "maildrop/maildir/session/sweep.h"

#include "maildrop/kept.h"
#include "maildrop/maildir/session/expire.h"
#include "maildrop/maildir/session/sweep_claims.h"
#include "maildrop/maildir/session/sweep_files.h"
#include "maildrop/maildir/session/sweep_journal.h"
#include "maildrop/maildir/update/compact.h"
#include "maildrop/maildir/update/update.h"
#include "maildrop/upkeep.h"

#include <errno.h>
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

/* A base that cannot be copied because of a bad place in it is built again. */
static void compact_or_rebuild(struct maildir_log *log)
{
	if (maildir_compact(log) == 0 || !log->index.open ||
	    index_verify(&log->index.index, NULL) == 0)
		return;
	maildir_index_close(&log->index);
	(void)maildir_update(log, TARGET_SESSION, true, NULL);
}

static void upkeep(struct maildir *m)
{
	struct maildir_log log;
	bool did_upkeep = true;

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
		did_upkeep = false;
	maildir_log_end(&log);
	if (did_upkeep)
		maildir_sweep_tmp(m);
}

/* Whether work is due that comes with time: expiry, and removal of kept messages. */
static bool is_due(const struct maildir *m)
{
	struct maildrop_upkeep *upkeep = m->place.settings->retention.upkeep;

	return upkeep && maildrop_upkeep_due(upkeep, m->place.home, time(NULL));
}

/* Kept messages that are too old or too many. */
static void trim_kept(struct maildir *m)
{
	const struct maildrop_retention *retention = &m->place.settings->retention;
	uint64_t now = (uint64_t)time(NULL), octets = retention->keep_octets;

	if (kept_trim(m->place.sys, m->place.dir,
		      now > retention->keep_seconds ? now - retention->keep_seconds : 0,
		      octets ? octets : UINT64_MAX) < 0)
		maildir_note_no_upkeep(&m->place, errno);
}

/* Messages that are too old: nobody has a session any more. */
static void delete_old(struct maildir *m)
{
	struct err err = {0};
	enum maildrop_status status;

	do {
		status = maildir_expire(&m->head, false, NULL, NULL, &err);
		if (!m->journaled)
			maildir_sweep_journal(m);
		if (!m->unlinked && m->committed)
			maildir_sweep_deleted(m);
		m->journaled = m->unlinked = true;
	} while (status == MAILDROP_WAIT && !maildir_hurried(m));
	if (status < 0 && status != MAILDROP_WAIT && m->place.settings->note)
		m->place.settings->note(m->place.settings->note_context, err.text);
}

static void keep_up(struct maildir *m)
{
	struct maildrop_upkeep *upkeep = m->place.settings->retention.upkeep;
	struct maildir_log log;

	if (is_due(m) && m->place.settings->retention.delete_seconds)
		delete_old(m);
	if (m->place.settings->retention.keep_seconds &&
	    maildir_log_begin(&m->place, true, &log) == 0) {
		trim_kept(m);
		maildir_log_end(&log);
	}
	if (upkeep && !maildir_hurried(m))
		maildrop_upkeep_done(upkeep, m->place.home, time(NULL));
}

bool maildir_at_rest(const struct maildrop *maildrop)
{
	const struct maildir *m = (const struct maildir *)maildrop;
	const struct index_delta *delta = &m->index.index.delta;

	if (m->index.memory)
		return true;
	return !m->committed && !delta->pending_count && !delta->in_new && !m->damaged &&
	       delta->flushed && delta->verified >= delta->unverified_end &&
	       delta->size <= LONG_LOG && !assumed_long(delta) && !is_due(m);
}

bool maildir_sweep(struct maildrop *maildrop, const atomic_bool *hurry)
{
	struct maildir *m = (struct maildir *)maildrop;
	const struct index_delta *delta = &m->index.index.delta;
	bool changed, unlinked = m->unlinked;

	m->hurry = hurry;
	if (maildir_at_rest(maildrop))
		return false;
	/* whoever waits, for nobody else knows whose deletions these are */
	if (!m->journaled && (m->committed || delta->pending_count))
		maildir_sweep_journal(m);
	m->journaled = true;
	if (!m->unlinked && (m->committed || delta->pending_count))
		maildir_sweep_deleted(m);
	/* m->kept: some were put there */
	m->unlinked = true;
	if (!unlinked && (m->kept >= 0 || is_due(m)) && !maildir_hurried(m))
		keep_up(m);
	changed = m->committed;
	if (delta->in_new && maildir_sweep_new(m) && !maildir_hurried(m))
		return true;
	if (maildir_sweep_claims(m) && !maildir_hurried(m))
		return true;
	changed = changed || delta->in_new || delta->size > LONG_LOG;
	/* the login that waits gets a damaged index otherwise, and its session ends as this one */
	if (maildir_hurried(m) && !m->damaged)
		return false;
	if (changed || m->damaged || !delta->flushed || assumed_long(delta))
		upkeep(m);
	return false;
}
