/* The steps of one session after login, for run.c; the struct and its transfer stay the caller's.
 * In the confined process; a listing that looks wrong stops the run before anything is deleted. */
#include "fetch/collect/collect.h"

#include "fetch/collect/rematch.h"
#include "fetch/report/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	BRAKE_FEW = 5, /* fewer collected messages prove nothing */
	SAMPLE = 20,   /* unknown messages compared with known ones before they count as new */
};

static bool all_have_ids(const struct transfer *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->messages[i].entry == JOURNAL_NONE)
			return false;
	return true;
}

/* Messages that are no longer listed become absent in the journal; listed ones are present again.
 */
static int note_absent(struct collect *c, struct err *err)
{
	struct journal *journal = c->transfer->journal;
	bool ids = all_have_ids(c->transfer);

	for (uint32_t i = 0; i < journal_count(journal); i++) {
		struct seen *seen = journal_at(journal, i);
		bool absent = journal_is_unlisted_kind(journal, seen) ? ids : !seen->listed;

		if (seen->state == SEEN_UNKNOWN || absent == (seen->absent != 0))
			continue;
		seen->absent = absent ? c->now : 0;
		if (journal_write_absent(journal, i, err) < 0)
			return -1;
	}
	return journal_commit(journal, err);
}

/* A server such as Gmail's shows a message until it was collected, and then no more. */
static bool hides_collected(const struct transfer *t)
{
	const char *hides = journal_recall(t->journal, "hides-collected");

	return hides && strcmp(hides, "yes") == 0;
}

/* Messages that --mark-seen passed over were never read: no headers show whether they are back
 * under other ids. */
static bool marked_are_missing(struct journal *journal)
{
	for (uint32_t i = 0; i < journal_count(journal); i++) {
		const struct seen *seen = journal_at(journal, i);

		if (seen->state == SEEN_MARKED && !seen->listed && !seen->absent)
			return true;
	}
	return false;
}

/*
 * Most known messages are gone, and unknown ones are there. If the headers of all unknown ones can
 * be read and none is a known one's, nothing can come twice: they are new, and the others were
 * removed by their owner, in webmail or by another program. 1: so it is; 0: it cannot be told; -1:
 * err.
 */
static int all_are_new(struct collect *c, const struct plan_brake *brake, struct err *err)
{
	uint32_t refused = 0;
	int64_t matched;

	if (!brake->fresh || marked_are_missing(c->transfer->journal))
		return 0;
	matched = rematch_sample(c->transfer, UINT32_MAX, &refused, err);
	if (matched < 0)
		return -1;
	if (matched || refused)
		return 0;
	report_info(c->transfer->report,
		    "%u of the %u messages known on the server were removed there; none of the %u "
		    "unknown ones is one of them",
		    brake->missing, brake->known, brake->fresh);
	return 1;
}

/* A mailbox that is too small for the brake: what has the headers and the size of a message that is
 * gone is that message. */
static int find_renewed(struct collect *c, struct err *err)
{
	struct transfer *t = c->transfer;
	uint32_t refused = 0;
	int64_t matched;

	if (c->options->dry_run)
		return 0;
	matched = rematch(t, &refused, err);
	if (matched > 0)
		report_info(t->report, "%" PRId64 " messages found again under new unique ids",
			    matched);
	t->renewed = refused > 0;
	return matched < 0 ? -1 : 0;
}

static int brake(struct collect *c, struct err *err)
{
	struct transfer *t = c->transfer;
	struct plan_brake brake;
	uint32_t refused;
	int rc;

	plan_brake(t->journal, t->messages, t->count, &brake);
	if (!brake.stop)
		return brake.renewed && !c->options->accept_new_uidls ? find_renewed(c, err) : 0;
	if (c->options->accept_new_uidls) {
		c->all_gone = brake.missing == brake.known && brake.fresh > 0;
		return 0;
	}
	if (hides_collected(t)) {
		int64_t matched = brake.fresh ? rematch_sample(t, SAMPLE, &refused, err) : 0;

		if (matched <= 0)
			return matched < 0 ? -1 : 0;
	}
	rc = all_are_new(c, &brake, err);
	if (rc)
		return rc < 0 ? -1 : 0;
	/* Messages are missing but not replaced by unknown ones: reported once, then taken as the
	 * owner's doing. */
	if (!brake.many_unknown && !c->options->dry_run && note_absent(c, err) < 0)
		return -1;
	return err_set(err, EX_UNAVAILABLE,
		       "%u of the %u messages known on the server are gone, and %u unknown ones "
		       "are there: it may have been moved, or be broken. Nothing was collected or "
		       "deleted. If this is right (some servers hide what was collected), run once "
		       "with --accept-new-uidls",
		       brake.missing, brake.known, brake.fresh);
}

static int accept_new(struct collect *c, struct err *err)
{
	uint32_t refused;
	int64_t matched = rematch(c->transfer, &refused, err);

	if (matched < 0)
		return -1;
	report_info(c->transfer->report, "%" PRId64 " messages found again under new unique ids",
		    matched);
	/* everything is gone, nothing came back under another id, and that is right: so it is with
	 * this server */
	if (c->all_gone && matched == 0)
		return journal_remember(c->transfer->journal, "hides-collected", "yes", err);
	return 0;
}

struct follow {
	struct transfer *t;
	uint32_t known, removed;
};

static bool is_removed(void *context, const struct seen *seen)
{
	struct follow *follow = context;
	char id[DELIVERY_ID_SIZE];

	if (seen->state != SEEN_WHOLE || seen->renamed)
		return false;
	transfer_delivery_id(follow->t, seen, false, id);
	return !sink_maildir_has(follow->t->sink, id);
}

/*
 * A Maildir that lost most of what was delivered into it may not be mounted, or be the wrong one:
 * the server's copies are the only ones then.
 */
static int check_follow(struct collect *c, struct follow *follow, struct err *err)
{
	if (sink_maildir_scan(follow->t->sink, err) < 0)
		return -1;
	for (uint32_t i = 0; i < follow->t->count; i++) {
		const struct message *message = &follow->t->messages[i];
		const struct seen *seen;

		if (message->entry == JOURNAL_NONE)
			continue;
		seen = journal_at(follow->t->journal, message->entry);
		if (seen->state != SEEN_WHOLE || seen->renamed)
			continue;
		follow->known++;
		follow->removed += is_removed(follow, seen);
	}
	if (c->options->accept_removals || follow->known < BRAKE_FEW ||
	    follow->removed * 2 <= follow->known)
		return 0;
	return err_set(err, EX_UNAVAILABLE,
		       "%u of %u collected messages are no longer in the Maildir: is it the right "
		       "one? Nothing was collected or deleted. If they were removed, run once with "
		       "--accept-removals",
		       follow->removed, follow->known);
}

static void list_message(struct transfer *t, uint32_t index)
{
	static const char *const words[] = {"keep", "fetch", "headers", "delete"};
	const struct message *m = &t->messages[index];
	const char *unique_id = NULL;

	if (m->entry != JOURNAL_NONE)
		unique_id = journal_identity(t->journal, journal_at(t->journal, m->entry)).data + 1;
	if (t->report->json)
		report_json_message(
			t->report,
			&(struct report_message){index + 1, m->size, words[m->action],
						 plan_reason_text((enum plan_reason)m->reason),
						 unique_id});
	else
		printf("%-7s %5u %10" PRIu64 "  %-40s  %s\n", words[m->action], index + 1, m->size,
		       unique_id ? unique_id : "-", plan_reason_text((enum plan_reason)m->reason));
}

static int dry_run(struct collect *c, const struct plan_totals *totals, struct err *err)
{
	struct transfer *t = c->transfer;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct message *m = &t->messages[i];

		/* messages that just stay are listed only with -v */
		if (m->action != PLAN_NOTHING || c->options->verbose || t->report->json ||
		    m->reason == REASON_RUN_LIMIT)
			list_message(t, i);
	}
	if (!t->report->json)
		printf("%s: %u to fetch (%" PRIu64 " octets), %u to delete, %u to keep, %u later\n",
		       t->report->account, totals->fetch, totals->fetch_octets,
		       t->account->policy == FETCH_DELETE ? totals->remove + totals->fetch
							  : totals->remove,
		       totals->known, totals->later);
	t->dry = true;
	return transfer_quit(t, err);
}

/* since: when its days begin, in seconds; 0: it is never deleted. */
static int mark(struct collect *c, const struct message *message, int64_t since, struct err *err)
{
	struct seen *seen = journal_at(c->transfer->journal, message->entry);

	seen->state = SEEN_MARKED;
	seen->announced = message->size;
	seen->time = since * 1000000;
	seen->deaths = 0;
	return journal_write_seen(c->transfer->journal, message->entry, err);
}

/* --leave-out: one message is passed over for good, as --mark-seen does with all. */
static int leave_out(struct collect *c, struct err *err)
{
	struct transfer *t = c->transfer;
	char id[UNIQUE_ID_TEXT_MAX];

	for (uint32_t i = 0; i < t->count; i++) {
		const struct message *message = &t->messages[i];

		if (message->entry == JOURNAL_NONE ||
		    strcmp(transfer_unique_id(t, message, id), c->options->leave_out) != 0)
			continue;
		if (journal_at(t->journal, message->entry)->state != SEEN_UNKNOWN)
			return 0;
		if (mark(c, message, 0, err) < 0)
			return -1;
		return c->options->dry_run ? 0 : journal_commit(t->journal, err);
	}
	return err_set(err, EX_USAGE,
		       "--leave-out: the server lists no message with the unique id %.80s "
		       "(--dry-run shows them)",
		       c->options->leave_out);
}

/* Each of them in each run: a person has to decide. */
static void report_left_out(struct transfer *t)
{
	char id[UNIQUE_ID_TEXT_MAX];

	for (uint32_t i = 0; i < t->count; i++) {
		const struct message *message = &t->messages[i];

		if (message->reason != REASON_DEADLY)
			continue;
		transfer_unique_id(t, message, id);
		t->totals.failed++;
		report_warning(t->report,
			       "message %u (%" PRIu64 " octets) is left out: sessions broke at it "
			       "again and again; --whole %s tries it again%s%s%s",
			       i + 1, message->size, id[0] ? id : "all",
			       id[0] ? ", --leave-out " : "", id,
			       id[0] ? " passes it over for good" : "");
	}
}

static int mark_seen(struct collect *c, struct err *err)
{
	struct transfer *t = c->transfer;
	uint32_t marked = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct message *message = &t->messages[i];

		if (message->entry == JOURNAL_NONE ||
		    journal_at(t->journal, message->entry)->state != SEEN_UNKNOWN)
			continue;
		if (mark(c, message, c->now, err) < 0)
			return -1;
		marked++;
	}
	if (journal_commit(t->journal, err) < 0)
		return -1;
	report_info(t->report, "%u messages marked as seen, nothing was collected", marked);
	return transfer_quit(t, err);
}

static int check_unique_ids(struct collect *c, struct err *err)
{
	const struct transfer *t = c->transfer;

	if (!t->no_unique_ids || t->count == 0 || t->account->policy == FETCH_DELETE)
		return 0;
	return err_set(err, EX_UNAVAILABLE,
		       "the server has no unique ids (UIDL), so collected messages cannot be "
		       "recognized: only the policy \"delete\" works with it");
}

int collect_run(struct collect *c, struct err *err)
{
	struct transfer *t = c->transfer;
	struct follow follow = {.t = t};
	struct plan_settings settings = {.account = t->account,
					 .now = c->now,
					 .whole = c->options->whole,
					 .retry_refused = c->options->retry_refused,
					 .context = &follow};
	struct plan_totals totals;

	if (transfer_list(t, err) < 0 || check_unique_ids(c, err) < 0)
		return -1;
	if (!c->options->mark_seen && brake(c, err) < 0)
		return -1;
	if (c->options->accept_new_uidls && !c->options->dry_run && accept_new(c, err) < 0)
		return -1;
	if (c->options->mark_seen)
		return mark_seen(c, err);
	if (c->options->leave_out && leave_out(c, err) < 0)
		return -1;
	if (t->account->policy == FETCH_FOLLOW) {
		if (check_follow(c, &follow, err) < 0)
			return -1;
		settings.removed = is_removed;
	}
	plan_make(&settings, t->journal, t->messages, t->count, &totals);
	if (c->options->dry_run)
		return dry_run(c, &totals, err);
	if (note_absent(c, err) < 0)
		return -1;
	if (totals.left_out)
		report_left_out(t);
	t->last_rank = totals.last_rank;
	report_plan(t->report, totals.fetch, totals.fetch_octets);
	t->totals.later = totals.later;
	return transfer_run(t, err);
}
