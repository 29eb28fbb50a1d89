/*
 * Messages as they arrive, for transfer.c, in the confined process; each is hostile. It streams
 * from the socket into the sink and never lies in memory. A batch becomes durable as one: sink
 * settled, journal written, sink published; only then is a message ours and may be deleted.
 */
#include "fetch/collect/receive.h"

#include "base/text.h"
#include "fetch/collect/rematch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	BATCH_OCTETS = 32u << 20,
	BATCH_MS = 5000,
};

/* The whole message is here: its headers alone are of no more use. Not worth failing for. */
static void remove_partial(struct work *w, const struct staged_message *s)
{
	char id[DELIVERY_ID_SIZE];
	struct err err = {0};

	if (!s->completes || w->t->account->sink != FETCH_MAILDIR)
		return;
	transfer_delivery_id(w->t, journal_at(w->t->journal, s->entry), true, id);
	if (sink_maildir_remove(w->t->sink, id, &err) < 0)
		report_warning(w->t->report, "%s", err.text);
}

static int note_seen(struct work *w, const struct staged_message *s, uint32_t entry,
		     struct err *err)
{
	struct seen *seen = journal_at(w->t->journal, entry);

	seen->state = s->partial ? SEEN_PARTIAL : SEEN_WHOLE;
	seen->announced = work_message(w, s->number)->size;
	seen->octets = s->octets;
	seen->head_hash = s->head_hash;
	seen->time = s->time;
	seen->absent = 0;
	seen->sending = false;
	seen->remove = !s->partial && w->t->account->policy == FETCH_DELETE;
	seen->renamed = entry != s->entry; /* delivered under the other's id */
	return journal_write_seen(w->t->journal, entry, err);
}

int receive_finish_batch(struct work *w, struct err *err)
{
	struct transfer *t = w->t;

	if (w->batched == 0)
		return 0;
	w->batch_failed = true; /* until it has not: a flush that failed is never tried again */
	if (t->sink->ops->settle(t->sink, err) != SINK_OK)
		return -1;
	for (unsigned i = 0; i < w->batched; i++) {
		const struct staged_message *s = &w->batch[i];

		if (note_seen(w, s, s->entry, err) < 0 ||
		    (s->doubt != JOURNAL_NONE && note_seen(w, s, s->doubt, err) < 0))
			return -1;
	}
	if (journal_commit(t->journal, err) < 0 || t->sink->ops->publish(t->sink, err) != SINK_OK)
		return -1;
	for (unsigned i = 0; i < w->batched; i++) {
		struct message *message = work_message(w, w->batch[i].number);

		remove_partial(w, &w->batch[i]);
		message->ours = !w->batch[i].partial;
		message->failed = w->batch[i].partial; /* not to be deleted, not waited for */
		t->totals.collected++;
		t->totals.partial += w->batch[i].partial;
	}
	w->batched = 0;
	w->batch_octets = 0;
	w->batch_failed = false;
	t->dialog->wire.rate_since = 0; /* the time the disk took is not the server's */
	return 0;
}

static int fail_message(struct work *w, const struct err *why)
{
	struct message *message = work_message(w, w->number);

	message->failed = true;
	w->t->totals.failed++;
	report_warning(w->t->report, "message %u was not collected: %s", w->number, why->text);
	return 0;
}

/* For the person who finds it, and for --whole. */
static int write_partial_mark(struct work *w, struct err *err)
{
	char line[120];
	int n = snprintf(line, sizeof(line),
			 "X-Valija-Partial: headers only; the message has %" PRIu64 " octets%s",
			 work_message(w, w->number)->size,
			 w->t->account->store_crlf ? "\r\n" : "\n");

	w->extra = (uint32_t)n + (w->t->account->store_crlf ? 0 : 1);
	return w->t->sink->ops->write(w->t->sink, (pop3_span){line, (size_t)n}, err);
}

static void sink_trouble(struct work *w, enum sink_result result, struct err *err, int *ret)
{
	if (result == SINK_BROKEN || result == SINK_LATER) {
		w->sink_broken = w->t->sink->broken = true;
		w->t->sink->later = result == SINK_LATER;
		*ret = -1;
		return;
	}
	w->t->sink->ops->drop(w->t->sink);
	w->dropped = true;
	fail_message(w, err);
	*ret = 0;
}

static int begin_message(struct work *w, const struct pop3_client_event *event, struct err *err)
{
	struct message *message = work_message(w, event->number);
	char id[DELIVERY_ID_SIZE], number[24], words[160];
	enum sink_result result;
	struct err why = {0};
	int rc = 0;

	w->flying--;
	w->flying_octets -= message->action == PLAN_PARTIAL ? 0 : message->size;
	w->number = event->number;
	if (!event->ok) {
		err_set(&why, EX_DATAERR, "the server's answer: %s",
			dialog_words(event, words, sizeof(words)));
		return fail_message(w, &why);
	}
	w->receiving = true;
	w->dropped = false;
	w->octets = w->extra = 0;
	head_hash_init(&w->head);
	if (message->entry != JOURNAL_NONE) {
		transfer_delivery_id(w->t, journal_at(w->t->journal, message->entry),
				     message->action == PLAN_PARTIAL, id);
	} else {
		snprintf(number, sizeof(number), "n%u", event->number);
		delivery_id(w->t->key, span_of(number), id);
		digest_init(&w->digest, DIGEST_SHA_256);
	}
	result = w->t->sink->ops->begin(w->t->sink, id, &why);
	if (result == SINK_OK && message->action == PLAN_PARTIAL)
		result = (enum sink_result)write_partial_mark(w, &why);
	if (result != SINK_OK)
		sink_trouble(w, result, &why, &rc);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

static int take_body(struct work *w, pop3_span text, struct err *err)
{
	enum sink_result result;
	struct err why = {0};
	int rc = 0;

	w->octets += text.size;
	w->received += text.size;
	report_progress(w->t->report, 0, text.size);
	if (w->octets > w->t->account->limits.message_refused) {
		w->endless = true;
		return err_set(err, EX_PROTOCOL,
			       "it goes on beyond %" PRIu64 " octets: not believed (refuse-size)",
			       w->t->account->limits.message_refused);
	}
	if (w->dropped)
		return 0;
	head_hash_feed(&w->head, text);
	if (work_message(w, w->number)->entry == JOURNAL_NONE)
		digest_add(&w->digest, text.data, text.size);
	result = w->t->sink->ops->write(w->t->sink, text, &why);
	if (result != SINK_OK)
		sink_trouble(w, result, &why, &rc);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/*
 * A message without a usable unique id is identified by its contents: the digest, and which of the
 * equal ones it is in this listing. JOURNAL_NONE: no memory.
 */
static uint32_t entry_by_contents(struct work *w)
{
	char identity[JOURNAL_IDENTITY_MAX];

	identity[0] = 'c';
	digest_finish_name(&w->digest, identity + 1);
	for (unsigned nth = 1; nth < 1000000; nth++) {
		struct seen *seen;
		uint32_t entry;

		snprintf(identity + 33, sizeof(identity) - 33, ".%u", nth);
		entry = journal_intern(w->t->journal, span_of(identity));
		if (entry == JOURNAL_NONE)
			return entry;
		seen = journal_at(w->t->journal, entry);
		if (!seen->listed) {
			seen->listed = true;
			return entry;
		}
	}
	return JOURNAL_NONE;
}

static void check_size(struct work *w, const struct message *message, uint64_t octets)
{
	if (message->action == PLAN_FETCH && message->size && message->size != octets)
		report_info(w->t->report,
			    "message %u: the server announced %" PRIu64 " octets, it has %" PRIu64,
			    w->number, message->size, octets);
}

/* Names are sorted by time: messages of one second keep their order. */
static int64_t next_time(struct work *w)
{
	struct timespec now;
	int64_t time;

	clock_gettime(CLOCK_REALTIME, &now);
	time = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	w->last_time = time > w->last_time ? time : w->last_time + 1;
	return w->last_time;
}

/* The destination will never take it: it is kept aside, stays on the server, and is not sent again
 * unless a person wants it. */
static int note_refused(struct work *w, struct message *message, const struct sink_message *sunk,
			const struct err *why, struct err *err)
{
	struct seen *seen = journal_at(w->t->journal, message->entry);

	w->t->sink->ops->drop(w->t->sink);
	seen->state = SEEN_REFUSED;
	seen->announced = message->size;
	seen->octets = sunk->octets;
	seen->head_hash = head_hash_value(&w->head);
	seen->time = sunk->time;
	seen->absent = 0;
	seen->sending = seen->remove = seen->renamed = false;
	message->failed = true;
	w->t->totals.failed++;
	w->t->totals.refused++;
	notice_add(&w->notice, w->number, why->text);
	report_warning(w->t->report, "the destination refused message %u for good: %s", w->number,
		       why->text);
	if (journal_write_seen(w->t->journal, message->entry, err) < 0)
		return -1;
	return journal_commit(w->t->journal, err);
}

/* The message was on its way when an earlier run was cut. */
static enum sink_answer ask(struct work *w, const struct sink_message *sunk, struct err *err)
{
	static const char *const words[] = {"has it", "does not have it", "cannot be asked"};
	enum sink_answer answer = w->t->sink->ops->ask(w->t->sink, sunk, err);

	if (answer != SINK_NO_ANSWER)
		report_info(w->t->report,
			    "message %u was on its way when a run was cut: the destination %s",
			    w->number, words[answer]);
	return answer;
}

/*
 * Hands the message over. For a sink that can be asked, *sending* is on the disk first; where an
 * earlier run was cut behind that, the destination is asked, once.
 */
static enum sink_result hand_over(struct work *w, const struct sink_message *sunk, uint32_t entry,
				  struct err *err)
{
	const struct sink_ops *ops = w->t->sink->ops;
	struct seen *seen = journal_at(w->t->journal, entry);
	enum sink_answer answer = SINK_ABSENT;

	if (ops->ask && seen->sending) {
		answer = ask(w, sunk, err);
	} else if (ops->ask) {
		if (journal_write_sending(w->t->journal, entry, sunk->time / 1000000, err) < 0 ||
		    journal_commit(w->t->journal, err) < 0)
			return SINK_BROKEN;
	}
	if (answer == SINK_NO_ANSWER)
		return w->t->sink->later ? SINK_LATER : SINK_BROKEN;
	if (answer == SINK_THERE) {
		ops->drop(w->t->sink);
		return SINK_OK;
	}
	return ops->end(w->t->sink, sunk, err);
}

static int stage(struct work *w, struct message *message, uint64_t octets, struct err *err)
{
	struct sink_message sunk = {.octets = octets + w->extra, .time = next_time(w)};
	enum sink_result result;
	struct err why = {0};
	int rc = 0;

	transfer_delivery_id(w->t, journal_at(w->t->journal, message->entry),
			     message->action == PLAN_PARTIAL, sunk.id);
	result = hand_over(w, &sunk, message->entry, &why);
	if (result == SINK_REFUSED)
		return note_refused(w, message, &sunk, &why, err);
	if (result != SINK_OK) {
		sink_trouble(w, result, &why, &rc);
		if (rc < 0 && err)
			*err = why;
		return rc;
	}
	if (w->batched == 0)
		w->batch_since = fetch_now();
	w->batch[w->batched++] = (struct staged_message){
		.number = w->number,
		.entry = message->entry,
		.doubt = message->doubt,
		.octets = sunk.octets,
		.head_hash = head_hash_value(&w->head),
		.time = sunk.time,
		.partial = message->action == PLAN_PARTIAL,
		.completes = journal_at(w->t->journal, message->entry)->state == SEEN_PARTIAL};
	w->batch_octets += octets;
	w->t->totals.octets += octets;
	if (w->batched >= w->t->sink->batch || w->batch_octets >= BATCH_OCTETS ||
	    fetch_now() - w->batch_since >= BATCH_MS)
		return receive_finish_batch(w, err);
	return 0;
}

/* It was collected before. */
static int pass_over(struct work *w, struct message *message)
{
	w->t->sink->ops->drop(w->t->sink);
	message->ours = journal_at(w->t->journal, message->entry)->state == SEEN_WHOLE;
	message->failed = !message->ours;
	return 0;
}

static bool is_same_after_all(const struct work *w, const struct message *message, uint64_t octets)
{
	const struct seen *seen = journal_at(w->t->journal, message->doubt);

	return seen->octets == octets && seen->head_hash == head_hash_value(&w->head);
}

static bool is_unknown(const struct work *w, const struct message *message)
{
	return message->action == PLAN_FETCH &&
	       journal_at(w->t->journal, message->entry)->state == SEEN_UNKNOWN;
}

static int end_message(struct work *w, const struct pop3_client_event *event, struct err *err)
{
	struct message *message = work_message(w, w->number);

	w->receiving = false;
	report_progress(w->t->report, 1, 0);
	if (w->dropped)
		return 0;
	check_size(w, message, event->octets);
	if (message->doubt != JOURNAL_NONE && is_same_after_all(w, message, event->octets)) {
		message->entry = message->doubt;
		message->doubt = JOURNAL_NONE;
		journal_at(w->t->journal, message->entry)->announced = message->size;
		if (journal_write_seen(w->t->journal, message->entry, err) < 0)
			return -1;
		return pass_over(w, message);
	}
	if (message->entry == JOURNAL_NONE) {
		message->entry = entry_by_contents(w);
		if (message->entry == JOURNAL_NONE)
			return err_sys(err, EX_OSERR, ENOMEM, "message %u", w->number);
		if (journal_at(w->t->journal, message->entry)->state != SEEN_UNKNOWN)
			return pass_over(w, message);
	} else if (w->t->renewed) {
		int known = is_unknown(w, message)
				    ? rematch_received(w->t, message, event->octets,
						       head_hash_value(&w->head), err)
				    : 0;

		if (known)
			return known < 0 ? -1 : pass_over(w, message);
	}
	return stage(w, message, event->octets, err);
}

int receive_event(struct work *w, const struct pop3_client_event *event, struct err *err)
{
	if (event->type == POP3_CLIENT_REPLY)
		return begin_message(w, event, err);
	if (event->type == POP3_CLIENT_BODY)
		return take_body(w, event->text, err);
	return event->type == POP3_CLIENT_END ? end_message(w, event, err) : 0;
}
