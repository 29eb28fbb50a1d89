/* Messages at which sessions break, for transfer.c, in the confined process; entries
 * are the journal's. A server that hangs up at one message must not keep those behind it from being
 * collected: plan.c takes it last after its second death, and leaves it out after its third. */
#include "fetch/collect/suspects.h"

#include "fetch/interrupt.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct message *suspects_at(const struct work *w, struct cursor *cursor)
{
	for (; cursor->rank <= w->t->last_rank; cursor->rank++, cursor->index = 0)
		for (; cursor->index < w->t->count; cursor->index++)
			if (w->t->messages[cursor->index].rank == cursor->rank)
				return &w->t->messages[cursor->index];
	return NULL;
}

/* Answers come in the order of the plan: the message that was under way, or the one that was due.
 */
static struct message *under_way(struct work *w)
{
	struct cursor cursor = {0};
	struct message *message;

	if (w->receiving)
		return work_message(w, w->number);
	if (!w->flying)
		return NULL;
	if (w->number)
		cursor = (struct cursor){work_message(w, w->number)->rank, w->number};
	for (; (message = suspects_at(w, &cursor)); cursor.index++)
		if (message->action == PLAN_FETCH || message->action == PLAN_PARTIAL)
			return message;
	return NULL;
}

static const char *next_time(unsigned deaths)
{
	if (deaths < PLAN_LAST_DEATHS)
		return "";
	return deaths < PLAN_LEFT_OUT_DEATHS ? " (not for the first time: it is taken last now)"
					     : " (again: it is left out now)";
}

void suspects_note(struct work *w, struct err *err)
{
	struct transfer *t = w->t;
	bool broke = (t->dialog->closed || w->endless) && !fetch_interrupted();
	struct message *message = broke ? under_way(w) : NULL;
	char id[UNIQUE_ID_TEXT_MAX];
	const char *next = "";
	uint32_t entry;

	if (!message)
		return;
	transfer_unique_id(t, message, id);
	entry = plan_suspect(t->journal, message, true);
	/* that the session broke is the error to report, not that this cannot be noted */
	if (entry != JOURNAL_NONE &&
	    journal_write_death(t->journal, entry, time(NULL), NULL) == 0 &&
	    journal_commit(t->journal, NULL) == 0)
		next = next_time(journal_at(t->journal, entry)->deaths);
	err_prefix(err, "the session broke at message %u%s%.80s%s%s",
		   (uint32_t)(message - t->messages) + 1, id[0] ? ", unique id " : "", id,
		   id[0] ? "" : ", which has no unique id", next);
}
