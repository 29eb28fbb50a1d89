/*
 * Collecting, see transfer.h. RETRs go out in bunches ahead of their answers; a message streams
 * from the socket into the sink and never lies in memory. A batch becomes durable as one: sink
 * settled, journal written, sink published; only then is a message ours and may be deleted. DELEs
 * wait for the bunch that is due anyway, QUIT follows the last of them.
 */
#include "fetch/transfer.h"

#include "base/text.h"
#include "fetch/digest.h"
#include "fetch/head.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define WINDOW_COMMANDS 1000
#define WINDOW_OCTETS_MIN (4u << 20)
#define WINDOW_OCTETS_MAX (64u << 20)
#define BATCH_OCTETS (32u << 20)
#define BATCH_MS 5000

struct staged_message {
	uint32_t number, entry, doubt;
	uint64_t octets, head_hash;
	int64_t time;
	bool partial;
	bool completes; /* its headers were delivered before */
};

struct work {
	struct transfer *t;
	uint32_t next_fetch;  /* index of the next message to look at */
	uint32_t next_delete; /* same */
	uint32_t flying;      /* RETR and TOP unanswered */
	uint64_t flying_octets;
	uint64_t window;
	int64_t began;
	uint64_t received;

	/* the message that is being received */
	bool receiving, dropped;
	uint32_t number;
	uint64_t octets;
	struct head_hash head;
	struct digest digest; /* of a message without unique id */
	uint32_t extra;       /* octets that we put in front */

	struct staged_message batch[SINK_BATCH_MAX];
	unsigned batched;
	uint64_t batch_octets;
	int64_t batch_since;
};

static struct message *message_of(struct work *w, uint32_t number)
{
	return &w->t->messages[number - 1];
}

static bool is_fetch(const struct message *message)
{
	return message->action == PLAN_FETCH || message->action == PLAN_PARTIAL;
}

/* What may be asked for ahead: twice what the path holds at the rate seen so far. */
static void size_window(struct work *w)
{
	int64_t elapsed = wire_now() - w->began;
	uint64_t path;

	if (elapsed < 100)
		return;
	path = w->received / (uint64_t)elapsed * (uint64_t)(w->t->round_trip_ms + 1) * 2;
	w->window = path < WINDOW_OCTETS_MIN   ? WINDOW_OCTETS_MIN
		    : path > WINDOW_OCTETS_MAX ? WINDOW_OCTETS_MAX
					       : path;
}

static int send_fetch(struct work *w, uint32_t index, struct err *err)
{
	struct message *message = &w->t->messages[index];
	bool partial = message->action == PLAN_PARTIAL;
	int rc = dialog_send(w->t->dialog, partial ? POP3_TOP : POP3_RETR, index + 1, 0,
			     (pop3_span){0}, err);

	if (rc == 0) {
		w->flying++;
		w->flying_octets += partial ? 0 : message->size;
	}
	return rc;
}

/* Half a window of answers is waited for before the next bunch goes out: few, full packets. */
static int queue_fetches(struct work *w, struct err *err)
{
	uint32_t limit = w->t->pipelining ? WINDOW_COMMANDS : 1;

	size_window(w);
	if (w->flying && (w->flying > limit / 2 || w->flying_octets > w->window / 2))
		return 0;
	for (; w->next_fetch < w->t->count; w->next_fetch++) {
		int rc;

		if (!is_fetch(&w->t->messages[w->next_fetch]))
			continue;
		if (w->flying >= limit || (w->flying && w->flying_octets >= w->window))
			return 0;
		rc = send_fetch(w, w->next_fetch, err);
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	return 0;
}

static bool deletable(const struct work *w, const struct message *message)
{
	if (!message->ours || message->failed)
		return false;
	return message->action == PLAN_DELETE ||
	       (is_fetch(message) && w->t->account->policy == FETCH_DELETE);
}

/* 1: all that can be deleted now are sent. */
static int queue_deletes(struct work *w, struct err *err)
{
	for (; w->next_delete < w->t->count; w->next_delete++) {
		struct message *message = &w->t->messages[w->next_delete];
		int rc;

		if (is_fetch(message) && !message->ours && !message->failed)
			return 0; /* not yet here; those behind it wait for it */
		if (!deletable(w, message))
			continue;
		if (!w->t->pipelining && pop3_client_unanswered(&w->t->dialog->client))
			return 0;
		rc = dialog_send(w->t->dialog, POP3_DELE, w->next_delete + 1, 0, (pop3_span){0},
				 err);
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	return 1;
}

/* The whole message is here: its headers alone are of no more use. Not worth failing for. */
static void remove_partial(struct work *w, const struct staged_message *s)
{
	char id[SINK_ID_SIZE];
	struct err err = {0};

	if (!s->completes || w->t->account->sink != FETCH_MAILDIR)
		return;
	sink_message_id(w->t->key,
			journal_identity(w->t->journal, journal_at(w->t->journal, s->entry)), true,
			id);
	if (sink_maildir_remove(w->t->sink, id, &err) < 0)
		report_warning(w->t->report, "%s", err.text);
}

static int note_seen(struct work *w, const struct staged_message *s, uint32_t entry,
		     struct err *err)
{
	struct seen *seen = journal_at(w->t->journal, entry);

	seen->state = s->partial ? SEEN_PARTIAL : SEEN_WHOLE;
	seen->announced = message_of(w, s->number)->size;
	seen->octets = s->octets;
	seen->head_hash = s->head_hash;
	seen->time = s->time;
	seen->absent = 0;
	seen->remove = !s->partial && w->t->account->policy == FETCH_DELETE;
	seen->renamed = entry != s->entry; /* delivered under the other's id */
	return journal_write_seen(w->t->journal, entry, err);
}

/* Unblocks a batch: from here on these messages are ours. */
static int finish_batch(struct work *w, struct err *err)
{
	struct transfer *t = w->t;

	if (w->batched == 0)
		return 0;
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
		struct message *message = message_of(w, w->batch[i].number);

		remove_partial(w, &w->batch[i]);
		message->ours = !w->batch[i].partial;
		message->failed = w->batch[i].partial; /* not to be deleted, not waited for */
		t->totals.collected++;
		t->totals.partial += w->batch[i].partial;
	}
	w->batched = 0;
	w->batch_octets = 0;
	t->dialog->wire.rate_since = 0; /* the time the disk took is not the server's */
	return 0;
}

static int fail_message(struct work *w, const struct err *why)
{
	struct message *message = message_of(w, w->number);

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
			 message_of(w, w->number)->size, w->t->account->store_crlf ? "\r\n" : "\n");

	w->extra = (uint32_t)n + (w->t->account->store_crlf ? 0 : 1);
	return w->t->sink->ops->write(w->t->sink, (pop3_span){line, (size_t)n}, err);
}

static void sink_trouble(struct work *w, enum sink_result result, struct err *err, int *ret)
{
	if (result == SINK_BROKEN) {
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
	struct message *message = message_of(w, event->number);
	char id[SINK_ID_SIZE], number[24], words[160];
	enum sink_result result;
	struct err why = {0};
	int rc = 0;

	w->flying--;
	w->flying_octets -= message->action == PLAN_PARTIAL ? 0 : message->size;
	w->number = event->number;
	if (!event->ok) {
		err_set(&why, EX_DATAERR, "the server said: %s",
			dialog_words(event, words, sizeof(words)));
		return fail_message(w, &why);
	}
	w->receiving = true;
	w->dropped = false;
	w->octets = w->extra = 0;
	head_hash_init(&w->head);
	if (message->entry != JOURNAL_NONE) {
		sink_message_id(
			w->t->key,
			journal_identity(w->t->journal, journal_at(w->t->journal, message->entry)),
			message->action == PLAN_PARTIAL, id);
	} else {
		snprintf(number, sizeof(number), "n%u", event->number);
		sink_id(w->t->key, span_of(number), id);
		digest_init(&w->digest);
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
	if (w->octets > w->t->account->limits.message_refused)
		return err_set(err, EX_PROTOCOL,
			       "message %u goes on beyond %" PRIu64 " octets: not believed",
			       w->number, w->t->account->limits.message_refused);
	if (w->dropped)
		return 0;
	head_hash_feed(&w->head, text);
	if (message_of(w, w->number)->entry == JOURNAL_NONE)
		digest_add(&w->digest, text);
	result = w->t->sink->ops->write(w->t->sink, text, &why);
	if (result != SINK_OK)
		sink_trouble(w, result, &why, &rc);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/*
 * A message without a usable unique id is told by its contents: the digest, and which of the equal
 * ones it is in this listing. JOURNAL_NONE: no memory.
 */
static uint32_t entry_by_contents(struct work *w)
{
	char identity[JOURNAL_IDENTITY_MAX];

	identity[0] = 'c';
	digest_text(&w->digest, identity + 1);
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

static int stage(struct work *w, struct message *message, uint64_t octets, struct err *err)
{
	struct sink_message sunk = {.octets = octets + w->extra, .time = time(NULL)};
	enum sink_result result;
	struct err why = {0};
	int rc = 0;

	sink_message_id(w->t->key,
			journal_identity(w->t->journal, journal_at(w->t->journal, message->entry)),
			message->action == PLAN_PARTIAL, sunk.id);
	result = w->t->sink->ops->end(w->t->sink, &sunk, &why);
	if (result != SINK_OK) {
		sink_trouble(w, result, &why, &rc);
		if (rc < 0 && err)
			*err = why;
		return rc;
	}
	if (w->batched == 0)
		w->batch_since = wire_now();
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
	if (w->batched == SINK_BATCH_MAX || w->batch_octets >= BATCH_OCTETS ||
	    wire_now() - w->batch_since >= BATCH_MS)
		return finish_batch(w, err);
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

static int end_message(struct work *w, const struct pop3_client_event *event, struct err *err)
{
	struct message *message = message_of(w, w->number);

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
	}
	return stage(w, message, event->octets, err);
}

static int take_event(struct work *w, const struct pop3_client_event *event, struct err *err)
{
	bool fetch = event->command == POP3_RETR || event->command == POP3_TOP;

	if (fetch && event->type == POP3_CLIENT_REPLY)
		return begin_message(w, event, err);
	if (fetch && event->type == POP3_CLIENT_BODY)
		return take_body(w, event->text, err);
	if (fetch && event->type == POP3_CLIENT_END)
		return end_message(w, event, err);
	if (event->command == POP3_DELE && event->type == POP3_CLIENT_REPLY) {
		if (event->ok) {
			message_of(w, event->number)->action = PLAN_DELETE;
			w->t->totals.deleted++;
		} else {
			message_of(w, event->number)->failed = true;
		}
	}
	return 0;
}

/* The decision to delete what stays in no other way is written down first: that these vanish from
 * the listing must not look like the server's loss. */
static int note_removals(struct work *w, struct err *err)
{
	struct transfer *t = w->t;

	for (uint32_t i = 0; i < t->count; i++) {
		struct message *message = &t->messages[i];

		if (message->action == PLAN_DELETE &&
		    !journal_at(t->journal, message->entry)->remove &&
		    journal_write_remove(t->journal, message->entry, err) < 0)
			return -1;
	}
	return journal_commit(t->journal, err);
}

static int collect(struct work *w, struct err *err)
{
	struct pop3_client_event event;
	bool bunch;

	for (;;) {
		uint32_t before = w->flying;

		if (queue_fetches(w, err) < 0)
			return -1;
		bunch = w->flying != before;
		if (w->flying == 0 && !w->receiving)
			return finish_batch(w, err);
		if (bunch && w->t->pipelining && queue_deletes(w, err) < 0)
			return -1;
		do {
			if (dialog_next(w->t->dialog, &event, err) < 0 ||
			    take_event(w, &event, err) < 0)
				return -1;
		} while (w->receiving);
	}
}

/* The rest of the DELEs, and QUIT behind them. */
static int say_goodbye(struct work *w, struct err *err)
{
	struct transfer *t = w->t;
	struct pop3_client_event event;
	bool quit = false, last;
	char words[160];

	do {
		int all = quit ? 1 : queue_deletes(w, err);

		if (all < 0)
			return -1;
		if (all == 1 && !quit &&
		    (t->pipelining || !pop3_client_unanswered(&t->dialog->client))) {
			int rc = dialog_send(t->dialog, POP3_QUIT, 0, 0, (pop3_span){0}, err);

			if (rc < 0)
				return -1;
			quit = rc == 0;
		}
		if (dialog_next(t->dialog, &event, err) < 0 || take_event(w, &event, err) < 0)
			return -1;
		last = event.command == POP3_QUIT && event.type == POP3_CLIENT_REPLY;
	} while (!last);
	t->dialog->closed = true;
	if (event.ok || t->totals.deleted == 0)
		return 0;
	return err_set(err, EX_TEMPFAIL,
		       "the server did not confirm the deletions (it said: %s); they are tried "
		       "again next time",
		       dialog_words(&event, words, sizeof(words)));
}

/* Confirmed deletions are forgotten. Only a saving: not flushed. */
static int forget_deleted(struct work *w, struct err *err)
{
	struct transfer *t = w->t;

	for (uint32_t i = 0; i < t->count; i++) {
		struct message *message = &t->messages[i];

		if (message->action != PLAN_DELETE || !message->ours || message->failed)
			continue;
		if (journal_write_gone(t->journal, message->entry, err) < 0 ||
		    (message->doubt != JOURNAL_NONE &&
		     journal_write_gone(t->journal, message->doubt, err) < 0))
			return -1;
	}
	return journal_commit(t->journal, err);
}

int transfer_run(struct transfer *t, struct err *err)
{
	struct work *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return err_sys(err, EX_OSERR, errno, "memory");
	w->t = t;
	w->window = WINDOW_OCTETS_MIN;
	w->began = wire_now();
	rc = note_removals(w, err);
	if (rc == 0)
		rc = collect(w, err);
	if (rc < 0) {
		t->trouble_under_pipelining =
			t->pipelining && pop3_client_unanswered(&t->dialog->client) > 1;
		t->sink->ops->drop(t->sink);
		/* what is complete stays ours, whatever became of the connection */
		if (t->dialog->closed && w->batched)
			finish_batch(w, NULL);
	} else {
		rc = say_goodbye(w, err);
		if (rc == 0)
			rc = forget_deleted(w, err);
		if (rc < 0)
			err_prefix(err, "at the end of the session");
	}
	free(w);
	return rc;
}

int transfer_quit(struct transfer *t, struct err *err)
{
	struct pop3_client_event event;

	if (dialog_ask(t->dialog, POP3_QUIT, (pop3_span){0}, &event, err) < 0)
		return -1;
	t->dialog->closed = true;
	return 0;
}
