/* The decision for each listed message, for collect.c; arrays stay the caller's. Pure; the listing
 * is the server's. */
#include "fetch/collect/plan.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	BRAKE_FEW = 5, /* fewer known messages prove nothing */
	DAY = 86400,
};

static bool asked_for(const struct plan_settings *s, const struct journal *journal,
		      const struct seen *seen)
{
	pop3_span identity = journal_identity(journal, seen);

	if (!s->whole)
		return false;
	if (strcmp(s->whole, "all") == 0)
		return true;
	return span_equal(span_of(s->whole), (pop3_span){identity.data + 1, identity.size - 1});
}

uint32_t plan_suspect(struct journal *journal, const struct message *message, bool make)
{
	char identity[32];

	if (message->entry != JOURNAL_NONE)
		return message->entry;
	if (message->doubt != JOURNAL_NONE)
		return message->doubt;
	if (!message->size)
		return JOURNAL_NONE;
	snprintf(identity, sizeof(identity), "n%" PRIu64, message->size);
	return make ? journal_intern(journal, span_of(identity))
		    : journal_find(journal, span_of(identity));
}

/* A message that is to be fetched, but broke sessions, or is announced larger than is believed. */
static void rank(const struct plan_settings *s, struct journal *journal, struct message *message)
{
	uint32_t entry = plan_suspect(journal, message, false);
	const struct seen *seen = entry == JOURNAL_NONE ? NULL : journal_at(journal, entry);

	if (message->action == PLAN_FETCH && message->size > s->account->limits.message_refused)
		message->rank = 1;
	if (!seen || seen->deaths < PLAN_LAST_DEATHS)
		return;
	message->rank = 2;
	if (seen->deaths >= PLAN_LEFT_OUT_DEATHS && !asked_for(s, journal, seen)) {
		message->action = PLAN_NOTHING;
		message->reason = REASON_DEADLY;
	}
}

/*
 * A unique id that is known, on a message of another size: the server guesses sizes, or it uses ids
 * again for other messages. It is read again to find out, rather than deleted unread.
 */
static bool same_message(const struct seen *seen, const struct message *message)
{
	return !message->size || !seen->announced || seen->announced == message->size ||
	       seen->octets == message->size;
}

static void decide_new(const struct plan_settings *s, struct message *message)
{
	uint64_t limit = s->account->limits.message_octets;

	message->action = PLAN_FETCH;
	message->reason = message->entry == JOURNAL_NONE ? REASON_NO_ID : REASON_NEW;
	if (limit && message->size > limit) {
		message->action = PLAN_PARTIAL;
		message->reason = REASON_LARGE;
	}
}

static bool kept_its_days(const struct plan_settings *s, const struct seen *seen)
{
	return s->account->policy == FETCH_KEEP_DAYS &&
	       s->now - seen->time / 1000000 >= (int64_t)s->account->keep_days * DAY;
}

static void take_for_deletion(struct message *message)
{
	message->ours = true;
	message->reason = REASON_EXPIRED;
	message->action = PLAN_DELETE;
}

static void decide_known(const struct plan_settings *s, const struct seen *seen,
			 struct message *message, uint32_t newer)
{
	enum plan_reason reason = REASON_SEEN;

	switch (s->account->policy) {
	case FETCH_KEEP:
		break;
	case FETCH_DELETE:
		reason = REASON_DELIVERED;
		break;
	case FETCH_KEEP_DAYS:
		if (kept_its_days(s, seen))
			reason = REASON_EXPIRED;
		break;
	case FETCH_KEEP_NEWEST:
		if (newer >= s->account->keep_newest)
			reason = REASON_OLD;
		break;
	case FETCH_FOLLOW:
		if (s->removed && s->removed(s->context, seen))
			reason = REASON_REMOVED;
		break;
	}
	message->ours = true;
	message->reason = reason;
	message->action = reason == REASON_SEEN ? PLAN_NOTHING : PLAN_DELETE;
}

static void decide(const struct plan_settings *s, struct journal *journal, struct message *message,
		   uint32_t newer)
{
	const struct seen *seen;

	message->action = PLAN_NOTHING;
	message->ours = false;
	message->rank = 0;
	if (!message->listed) {
		message->reason = REASON_NOT_LISTED;
		return;
	}
	if (message->entry == JOURNAL_NONE) {
		decide_new(s, message);
		return;
	}
	seen = journal_at(journal, message->entry);
	if (seen->state == SEEN_UNKNOWN) {
		decide_new(s, message);
	} else if (seen->state == SEEN_MARKED) {
		message->reason = REASON_MARKED;
		/* its days count from the day of the mark, or of the import */
		if (seen->time && same_message(seen, message) && kept_its_days(s, seen))
			take_for_deletion(message);
	} else if (seen->state == SEEN_REFUSED) {
		message->reason = s->retry_refused ? REASON_REFUSED_AGAIN : REASON_REFUSED;
		message->action = s->retry_refused ? PLAN_FETCH : PLAN_NOTHING;
	} else if (!same_message(seen, message)) {
		message->doubt = message->entry;
		message->entry = JOURNAL_NONE;
		message->action = PLAN_FETCH;
		message->reason = REASON_DOUBT;
	} else if (seen->state == SEEN_PARTIAL) {
		message->reason = REASON_SEEN; /* never deleted while only its head is here */
		if (asked_for(s, journal, seen)) {
			message->action = PLAN_FETCH;
			message->reason = REASON_WHOLE;
		}
	} else {
		decide_known(s, seen, message, newer);
	}
}

static bool over_run_limit(const struct fetch_limits *limits, const struct plan_totals *totals,
			   uint64_t size)
{
	if (limits->run_messages && totals->fetch >= limits->run_messages)
		return true;
	/* the first one always goes: a message above the limit would never come otherwise */
	return limits->run_octets && totals->fetch &&
	       totals->fetch_octets + size > limits->run_octets;
}

void plan_make(const struct plan_settings *s, struct journal *journal, struct message *messages,
	       uint32_t count, struct plan_totals *ret)
{
	struct plan_totals totals = {0};

	for (uint32_t i = 0; i < count; i++) {
		struct message *message = &messages[i];

		decide(s, journal, message, count - 1 - i);
		if (message->action == PLAN_FETCH || message->action == PLAN_PARTIAL)
			rank(s, journal, message);
		if (message->action == PLAN_FETCH || message->action == PLAN_PARTIAL) {
			if (over_run_limit(&s->account->limits, &totals, message->size)) {
				message->action = PLAN_NOTHING;
				message->reason = REASON_RUN_LIMIT;
				totals.later++;
				continue;
			}
			totals.fetch++;
			totals.fetch_octets += message->action == PLAN_FETCH ? message->size : 0;
		} else if (message->action == PLAN_DELETE) {
			totals.remove++;
		} else if (message->reason == REASON_DEADLY) {
			totals.left_out++;
		} else {
			totals.known++;
		}
		if (message->action != PLAN_NOTHING && message->rank > totals.last_rank)
			totals.last_rank = message->rank;
	}
	*ret = totals;
}

const char *plan_reason_text(enum plan_reason reason)
{
	switch (reason) {
	case REASON_NEW:
		return "new";
	case REASON_SEEN:
		return "collected before, kept on the server";
	case REASON_MARKED:
		return "passed over by --mark-seen, or collected by another program";
	case REASON_REFUSED:
		return "refused by the destination before";
	case REASON_REFUSED_AGAIN:
		return "refused by the destination before, tried again";
	case REASON_DELIVERED:
		return "collected before";
	case REASON_EXPIRED:
		return "kept for its days";
	case REASON_OLD:
		return "not among the newest that are kept";
	case REASON_REMOVED:
		return "removed from the Maildir";
	case REASON_LARGE:
		return "larger than the limit, headers only";
	case REASON_WHOLE:
		return "its headers are here, now wanted whole";
	case REASON_RUN_LIMIT:
		return "comes with a later run";
	case REASON_NO_ID:
		return "has no unique id of its own";
	case REASON_DOUBT:
		return "known, but of another size than before";
	case REASON_NOT_LISTED:
		return "not in the server's LIST";
	case REASON_DEADLY:
		return "sessions broke at it, left out";
	}
	return "";
}

void plan_brake(struct journal *journal, const struct message *messages, uint32_t count,
		struct plan_brake *ret)
{
	struct plan_brake brake = {0};
	uint32_t present;

	for (uint32_t i = 0; i < journal_count(journal); i++) {
		const struct seen *seen = journal_at(journal, i);

		if (seen->state == SEEN_UNKNOWN || seen->remove ||
		    journal_is_unlisted_kind(journal, seen))
			continue;
		brake.known++;
		if (!seen->listed) {
			brake.missing++;
			brake.just_missing += seen->absent == 0;
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		if (messages[i].entry == JOURNAL_NONE ||
		    journal_at(journal, messages[i].entry)->state == SEEN_UNKNOWN)
			brake.fresh++;
	}
	present = brake.known - brake.missing + brake.just_missing; /* last time */
	/* A few unknown messages in an emptied maildrop are new mail; about as many as are missing
	 * are known ones under changed ids. */
	brake.many_unknown = brake.known >= BRAKE_FEW && brake.missing * 2 > brake.known &&
			     brake.fresh >= BRAKE_FEW && brake.fresh * 4 >= brake.missing;
	brake.stop =
		brake.many_unknown || (present >= BRAKE_FEW && brake.just_missing * 2 > present);
	brake.renewed = !brake.stop && brake.fresh && brake.just_missing * 2 > present;
	*ret = brake;
}
