/* Known messages found again under new unique ids, for collect.c in the confined process; entries
 * stay the journal's. Sizes and headers come from the server, and are hostile. */
#include "fetch/collect/rematch.h"

#include "fetch/collect/head.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

enum { AHEAD = 200 }; /* TOPs unanswered */

/* A known message that is no longer listed. */
struct lost {
	uint64_t head_hash;
	uint32_t entry; /* JOURNAL_NONE once it is found again */
};

struct rematch {
	struct transfer *t;
	struct lost *lost;
	uint32_t lost_count;
	uint32_t next; /* message to ask for */
	struct head_hash head;
	int64_t matched;
	uint32_t sample; /* only ask, of at most so many; 0: take over what matches */
	uint32_t asked, refused;
};

static int compare(const void *a, const void *b)
{
	const struct lost *x = a, *y = b;

	return x->head_hash < y->head_hash ? -1 : x->head_hash > y->head_hash;
}

/* Messages marked by --mark-seen were never read: no headers are known to compare with. */
static int gather(struct rematch *r, struct err *err)
{
	struct journal *journal = r->t->journal;

	r->lost = calloc(journal_count(journal) + 1u, sizeof(*r->lost));
	if (!r->lost)
		return err_sys(err, EX_OSERR, errno, "memory");
	for (uint32_t i = 0; i < journal_count(journal); i++) {
		const struct seen *seen = journal_at(journal, i);

		if (!seen->listed && (seen->state == SEEN_WHOLE || seen->state == SEEN_PARTIAL))
			r->lost[r->lost_count++] = (struct lost){seen->head_hash, i};
	}
	qsort(r->lost, r->lost_count, sizeof(*r->lost), compare);
	return 0;
}

static struct lost *find(struct rematch *r, uint64_t hash, uint64_t size)
{
	uint32_t low = 0, high = r->lost_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (r->lost[middle].head_hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < r->lost_count && r->lost[low].head_hash == hash; low++) {
		const struct seen *seen;

		if (r->lost[low].entry == JOURNAL_NONE)
			continue;
		if (r->sample) /* a server that moved may count octets in another way */
			return &r->lost[low];
		seen = journal_at(r->t->journal, r->lost[low].entry);
		if (seen->announced == size || seen->octets == size)
			return &r->lost[low];
	}
	return NULL;
}

static int take_over(struct transfer *t, const struct message *message, uint32_t lost,
		     struct err *err)
{
	struct seen *fresh = journal_at(t->journal, message->entry);
	const struct seen *old = journal_at(t->journal, lost);

	fresh->state = old->state;
	fresh->octets = old->octets;
	fresh->time = old->time;
	fresh->head_hash = old->head_hash;
	fresh->remove = old->remove;
	fresh->announced = message->size;
	fresh->renamed = true;
	if (journal_write_seen(t->journal, message->entry, err) < 0)
		return -1;
	return journal_write_gone(t->journal, lost, err);
}

int rematch_received(struct transfer *t, const struct message *message, uint64_t octets,
		     uint64_t head_hash, struct err *err)
{
	for (uint32_t i = 0; i < journal_count(t->journal); i++) {
		const struct seen *seen = journal_at(t->journal, i);

		if (!seen->listed && seen->state == SEEN_WHOLE && seen->octets == octets &&
		    seen->head_hash == head_hash)
			return take_over(t, message, i, err) < 0 ? -1 : 1;
	}
	return 0;
}

static bool is_fresh(const struct rematch *r, const struct message *message)
{
	return message->listed && message->entry != JOURNAL_NONE &&
	       journal_at(r->t->journal, message->entry)->state == SEEN_UNKNOWN;
}

static int ask(struct rematch *r, struct err *err)
{
	uint32_t limit = r->t->pipelining ? AHEAD : 1;

	for (; r->next < r->t->count; r->next++) {
		int rc;

		if (!is_fresh(r, &r->t->messages[r->next]))
			continue;
		if (r->sample && r->asked == r->sample)
			return 0;
		if (pop3_client_unanswered(&r->t->dialog->client) >= limit)
			return 0;
		rc = dialog_send(r->t->dialog, POP3_TOP, r->next + 1, 0, (pop3_span){0}, err);
		if (rc)
			return rc < 0 ? -1 : 0;
		r->asked++;
	}
	return 0;
}

static int take(struct rematch *r, const struct pop3_client_event *event, struct err *err)
{
	const struct message *message = &r->t->messages[event->number - 1];
	struct lost *lost;

	if (event->type == POP3_CLIENT_REPLY && !event->ok)
		r->refused++;
	else if (event->type == POP3_CLIENT_REPLY)
		head_hash_init(&r->head);
	else if (event->type == POP3_CLIENT_BODY)
		head_hash_feed(&r->head, event->text);
	if (event->type != POP3_CLIENT_END)
		return 0;
	lost = find(r, head_hash_value(&r->head), message->size);
	if (!lost)
		return 0;
	r->matched++;
	if (r->sample)
		return 0;
	if (take_over(r->t, message, lost->entry, err) < 0)
		return -1;
	lost->entry = JOURNAL_NONE;
	return 0;
}

static int64_t compare_all(struct transfer *transfer, uint32_t sample, uint32_t *ret_refused,
			   struct err *err)
{
	struct rematch r = {.t = transfer, .sample = sample};
	struct pop3_client_event event;
	int rc = gather(&r, err);

	while (rc == 0 && r.lost_count) {
		rc = ask(&r, err);
		if (rc < 0 || pop3_client_unanswered(&transfer->dialog->client) == 0)
			break;
		rc = dialog_next(transfer->dialog, &event, err);
		if (rc == 0)
			rc = take(&r, &event, err);
	}
	free(r.lost);
	*ret_refused = r.refused;
	return rc < 0 ? -1 : r.matched;
}

int64_t rematch(struct transfer *transfer, uint32_t *ret_refused, struct err *err)
{
	int64_t matched = compare_all(transfer, 0, ret_refused, err);

	return matched < 0 || journal_commit(transfer->journal, err) < 0 ? -1 : matched;
}

int64_t rematch_sample(struct transfer *transfer, uint32_t sample, uint32_t *ret_refused,
		       struct err *err)
{
	return compare_all(transfer, sample, ret_refused, err);
}
