/* See sweep_journal.h. In a keeper's worker, with the rights of the mail's owner: behind the answer
 * to QUIT, so that a deletion costs its client nothing. Nothing is flushed: a machine that stops
 * takes the newest lines with it. */
#include "maildrop/maildir/session/sweep_journal.h"

#include "base/array.h"
#include "maildrop/maildir/update/uidl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PORTION 256               /* lines that are written at once */
#define SESSION_LINES (64 * 1024) /* of one session: what it deletes beyond is in the log alone */

/* A line that is there. */
struct known {
	uint64_t inode;
	char id[POP3_UNIQUE_ID_MAX + 1];
};

static struct deleted_by by_of(const struct maildir *m)
{
	return m->by ? *m->by : (struct deleted_by){0};
}

static int compare_known(const void *a, const void *b)
{
	const struct known *one = a, *other = b;

	if (one->inode != other->inode)
		return one->inode < other->inode ? -1 : 1;
	return strcmp(one->id, other->id);
}

struct writing {
	struct maildir *m;
	struct maildir_log *log;
	uint64_t time;
	char *lines;
	size_t size, count; /* octets and lines of this portion */
	size_t written;     /* lines before it */
	struct known *known;
	size_t known_count, known_room;
	bool knows, has_ids, failed;
	struct maildir_uidl ids;
};

/* It was brought back: its next deletion has another line. */
static void unlearn(struct writing *w, const struct deleted *deleted)
{
	for (size_t i = w->known_count; i-- > 0;)
		if (w->known[i].inode == deleted->inode && strcmp(w->known[i].id, deleted->id) == 0)
			w->known[i] = w->known[--w->known_count];
}

static void learn(void *context, const struct deleted *deleted)
{
	struct writing *w = context;
	struct known *grown;

	if (deleted->what == DELETED_RESTORED) {
		unlearn(w, deleted);
		return;
	}
	grown = array_grow(w->known, w->known_count, &w->known_room, sizeof(*grown));
	if (!grown) {
		w->failed = true;
		return;
	}
	w->known = grown;
	grown[w->known_count].inode = deleted->inode;
	memcpy(grown[w->known_count++].id, deleted->id, sizeof(deleted->id));
}

/* Has the process that died written its line? */
static bool is_known(struct writing *w, const struct deleted *deleted)
{
	struct known this = {.inode = deleted->inode};

	memcpy(this.id, deleted->id, sizeof(this.id));
	if (!w->knows) {
		struct err ignored;

		w->knows = true;
		if (deleted_each(w->m->place.sys, w->m->place.dir, learn, w, &ignored) < 0)
			w->failed = true;
		if (w->known_count)
			qsort(w->known, w->known_count, sizeof(this), compare_known);
	}
	return w->known_count &&
	       bsearch(&this, w->known, w->known_count, sizeof(this), compare_known);
}

/* Of a message whose record is in no index any more. */
static void find_id(struct writing *w, pop3_span unique, char ret[POP3_UNIQUE_ID_MAX + 1])
{
	pop3_span id = {0};

	if (!w->has_ids && maildir_uidl_load(&w->ids, &w->m->place) == 0)
		w->has_ids = true;
	if (w->has_ids)
		id = maildir_uidl_find(&w->ids, unique);
	if (id.size)
		memcpy(ret, id.data, id.size);
	ret[id.size ? (int)id.size : maildir_unique_id(unique, 0, ret)] = '\0';
}

static void take_id(struct writing *w, const struct index_change *change, struct deleted *ret)
{
	struct index *index = &w->log->index.index;
	struct index_message message;

	if (change->ordinal == INDEX_NO_ORDINAL ||
	    index_read(index, change->ordinal, &message, NULL) < 0) {
		find_id(w, change->name, ret->id);
		return;
	}
	memcpy(ret->id, message.id, message.id_size);
	ret->id[message.id_size] = '\0';
}

static void put(struct writing *w, const struct deleted *deleted)
{
	w->size += deleted_print(deleted, w->lines + w->size);
	w->count++;
}

static void put_change(struct writing *w, uint64_t position)
{
	const struct maildir *m = w->m;
	const struct index *index = &w->log->index.index;
	unsigned char buf[INDEX_CHANGE_MAX];
	struct deleted deleted = {.what = DELETED_BY_SESSION, .time = w->time};
	struct index_change change;
	bool ours = m->committed && m->commit_id == index->header.id && position >= m->commit_from;

	if (index_delta_read(m->place.sys, index->delta_fd, position, buf, &change, NULL) < 0)
		return;
	deleted.stored = change.stored;
	deleted.inode = change.inode;
	take_id(w, &change, &deleted);
	if (ours && m->expired)
		deleted.what = DELETED_EXPIRED;
	else if (ours)
		deleted.by = by_of(m);
	else if (is_known(w, &deleted))
		return;
	put(w, &deleted);
}

static int flush(struct writing *w)
{
	const struct maildir_place *place = &w->m->place;
	int result = 0;

	if (w->count)
		result = deleted_append(place->sys, place->dir, (pop3_span){w->lines, w->size},
					w->written == 0);
	w->written += w->count;
	w->count = w->size = 0;
	return result;
}

static bool begin(struct writing *w, struct maildir *m)
{
	time_t now = time(NULL);

	*w = (struct writing){.m = m, .time = now > 0 ? (uint64_t)now : 0};
	w->lines = malloc((size_t)PORTION * DELETED_LINE_MAX);
	return w->lines != NULL;
}

static void end(struct writing *w, int result)
{
	if (result < 0)
		maildir_note_no_journal(&w->m->place, errno);
	free(w->lines);
	free(w->known);
	if (w->has_ids)
		maildir_uidl_finish(&w->ids);
}

void maildir_sweep_journal(struct maildir *m)
{
	struct maildir_log log;
	struct writing w;
	size_t done = 0;
	bool more = begin(&w, m);
	int result = 0;

	/* deliveries get the log between portions */
	while (more && maildir_log_begin(&m->place, true, &log) == 0) {
		const struct index_delta *delta = &log.index.index.delta;

		w.log = &log;
		more = log.index.open;
		while (more && done < delta->pending_count && w.count < PORTION && !w.failed)
			put_change(&w, delta->pending[done++]);
		result = flush(&w);
		more = more && result == 0 && !w.failed && done < delta->pending_count &&
		       w.written < SESSION_LINES;
		maildir_log_end(&log);
	}
	end(&w, result);
}

void maildir_journal_now(struct maildir *m, const uint32_t *numbers, uint32_t count)
{
	struct writing w;
	int result = begin(&w, m) ? 0 : -1;

	for (uint32_t i = 0; i < count && result == 0 && w.written < SESSION_LINES; i++) {
		uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, numbers[i]);
		struct deleted deleted = {
			.what = DELETED_BY_SESSION, .time = w.time, .by = by_of(m)};
		struct index_message message;

		if (index_read(&m->index.index, ordinal, &message, NULL) < 0)
			continue;
		deleted.stored = message.stored;
		deleted.inode = message.inode;
		memcpy(deleted.id, message.id, message.id_size);
		put(&w, &deleted);
		if (w.count == PORTION)
			result = flush(&w);
	}
	if (result == 0)
		result = flush(&w);
	end(&w, result);
}
