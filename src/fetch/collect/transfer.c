/*
 * The pipeline of one session, for collect.c, in the confined process. RETRs go out in bunches
 * ahead of their answers, which receive.c takes. DELEs wait for the bunch that is due anyway, QUIT
 * follows the last of them.
 */
#include "fetch/collect/receive.h"
#include "fetch/collect/suspects.h"
#include "fetch/interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

enum {
	WINDOW_COMMANDS = 1000,
	WINDOW_OCTETS_MIN = 4u << 20,
	WINDOW_OCTETS_MAX = 64u << 20,
};

static bool is_fetch(const struct message *message)
{
	return message->action == PLAN_FETCH || message->action == PLAN_PARTIAL;
}

/* Octets that may be requested ahead: twice what the path holds at the rate measured so far. */
static void size_window(struct work *w)
{
	int64_t elapsed = fetch_now() - w->began;
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
	const struct message *message;

	size_window(w);
	if (w->flying && (w->flying > limit / 2 || w->flying_octets > w->window / 2))
		return 0;
	for (; (message = suspects_at(w, &w->next_fetch)); w->next_fetch.index++) {
		int rc;

		if (!is_fetch(message))
			continue;
		if (w->flying >= limit || (w->flying && w->flying_octets >= w->window))
			return 0;
		rc = send_fetch(w, w->next_fetch.index, err);
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
	struct message *message;

	for (; (message = suspects_at(w, &w->next_delete)); w->next_delete.index++) {
		int rc;

		if (is_fetch(message) && !message->ours && !message->failed)
			return 0; /* not yet here; those behind it wait for it */
		if (!deletable(w, message))
			continue;
		if (!w->t->pipelining && pop3_client_unanswered(&w->t->dialog->client))
			return 0;
		rc = dialog_send(w->t->dialog, POP3_DELE, w->next_delete.index + 1, 0,
				 (pop3_span){0}, err);
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	return 1;
}

static void take_deletion(struct work *w, const struct pop3_client_event *event)
{
	char words[160];

	if (event->ok) {
		work_message(w, event->number)->action = PLAN_DELETE;
		w->t->totals.deleted++;
		return;
	}
	work_message(w, event->number)->failed = true;
	w->t->totals.undeleted++;
	report_warning(w->t->report,
		       "message %u is collected, but the server did not delete it (its answer: %s)",
		       event->number, dialog_words(event, words, sizeof(words)));
}

static int take_event(struct work *w, const struct pop3_client_event *event, struct err *err)
{
	if (event->command == POP3_RETR || event->command == POP3_TOP)
		return receive_event(w, event, err);
	if (event->command == POP3_DELE && event->type == POP3_CLIENT_REPLY)
		take_deletion(w, event);
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
			return receive_finish_batch(w, err);
		if (bunch && w->t->pipelining && queue_deletes(w, err) < 0)
			return -1;
		do {
			/* much may have been received: nothing more is begun of it */
			if (fetch_interrupt_check(err) < 0 ||
			    dialog_next(w->t->dialog, &event, err) < 0 ||
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
		       "the server did not confirm the deletions (its answer: %s); they are tried "
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
	w->began = fetch_now();
	rc = note_removals(w, err);
	if (rc == 0)
		rc = collect(w, err);
	if (!w->sink_broken)
		notice_deliver(&w->notice, t);
	if (rc < 0) {
		t->trouble_under_pipelining = t->pipelining && !w->sink_broken &&
					      pop3_client_unanswered(&t->dialog->client) > 1;
		t->sink->ops->drop(t->sink);
		/* complete messages are delivered, even if the rest failed */
		if (!w->batch_failed)
			receive_finish_batch(w, NULL);
		if (err)
			suspects_note(w, err);
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
