/* See adopt.h. In a keeper's worker or a command of a person, with the rights of the mail's owner.
 */
#include "maildrop/mbox/adopt/adopt.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/mbox/adopt/notes.h"
#include "maildrop/mbox/ids.h"
#include "maildrop/mbox/reader.h"
#include "maildrop/uidl_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX (1u << 20) /* longer headers are not read */

struct adopting {
	struct mbox_place *place;
	const struct mail_origin *origin;
	struct adopt_report *report;
	struct mbox_table table; /* with ids of our own */
	bool pseudo;             /* c-client's message is the first one in the file */
	struct mbox_message first;
	uint32_t uidvalidity;
	uint32_t *uids;       /* of Dovecot; 0: none */
	char *head;           /* headers of a message, HEAD_MAX octets */
	struct hash_map used; /* ids: how often */
	char *lines;
	size_t size, room;
};

/* ---- the messages ---- */

static void found_one(void *context, const struct mbox_message *message)
{
	struct adopting *a = context;

	if (message->pseudo) {
		a->pseudo = true;
		a->first = *message;
	}
	mbox_table_found(&a->table, message);
}

static int read_messages(struct adopting *a)
{
	const struct mbox_place *place = a->place;
	struct mbox_table nothing = {0};
	struct stat st;

	if (place->sys->fstat(place->lock.fd, &st) < 0)
		return -1;
	errno = ENOMEM;
	if (mbox_read_messages(place->sys, place->lock.fd, 0, (uint64_t)st.st_size, found_one, a) <
		    0 ||
	    a->table.failed || mbox_table_match(&a->table, &nothing) < 0)
		return -1;
	a->head = malloc(HEAD_MAX);
	a->uids = calloc(a->table.count + 1, sizeof(*a->uids));
	return a->head && a->uids ? 0 : -1;
}

/* The notes in headers that begin at that place. 1: they are too long to be read; -1 with errno. */
static int read_notes(struct adopting *a, uint64_t start, uint64_t size, bool first,
		      struct mbox_notes *ret)
{
	ssize_t n;

	if (size > HEAD_MAX) {
		memset(ret, 0, sizeof(*ret));
		return 1;
	}
	n = maildrop_pread(a->place->sys, a->place->lock.fd, a->head, (size_t)size, (off_t)start);
	if (n >= 0 && (uint64_t)n < size)
		errno = ESTALE;
	if (n < 0 || (uint64_t)n < size)
		return -1;
	mbox_notes_read((pop3_span){a->head, (size_t)size}, first, ret);
	return 0;
}

static int read_entry(struct adopting *a, size_t i, struct mbox_notes *ret)
{
	const struct mbox_entry *entry = &a->table.entries[i];

	return read_notes(a, entry->start + entry->from_size, entry->head, i == 0 && !a->pseudo,
			  ret);
}

/* ---- Dovecot's numbers ---- */

/* The number of the next message by its X-UID; 0: it does not count: it is lower than one before
 * it, or was never given. */
static uint32_t take_uid(uint32_t uid, uint32_t *prev, uint32_t *next)
{
	if (uid <= *prev || uid > *next)
		return 0;
	*next += uid == *next;
	*prev = uid;
	return uid;
}

/* Messages at the end of the file get the numbers that Dovecot gave, or would give, to them: it
 * writes X-UID when a session ends, and begins with these numbers the next time. */
static void number_rest(struct adopting *a, uint32_t next)
{
	size_t i = a->table.count;

	while (i && !a->uids[i - 1])
		i--;
	for (; i < a->table.count && next && next < UINT32_MAX; i++)
		a->uids[i] = next++;
}

static int number_messages(struct adopting *a)
{
	uint32_t prev = 0, next = 0;
	struct mbox_notes notes;
	int result;

	if (a->pseudo) {
		if (read_notes(a, a->first.start + a->first.from_size, a->first.head, true,
			       &notes) < 0)
			return -1;
		a->uidvalidity = notes.uidvalidity;
		next = notes.last_uid + 1;
	}
	for (size_t i = 0; i < a->table.count; i++) {
		result = read_entry(a, i, &notes);
		if (result < 0)
			return -1;
		if (notes.uidvalidity) {
			a->uidvalidity = notes.uidvalidity;
			next = notes.last_uid + 1;
		}
		if (a->uidvalidity)
			a->uids[i] = take_uid(notes.uid, &prev, &next);
	}
	if (a->uidvalidity)
		number_rest(a, next);
	return 0;
}

/* ---- ids ---- */

enum made { MADE, NEVER_SHOWN, NOT_KNOWN };

static enum made copy_id(pop3_span id, char ret[UIDL_TEXT_MAX])
{
	if (!id.data)
		return NEVER_SHOWN;
	return span_copy(id, ret, UIDL_TEXT_MAX) == 0 ? MADE : NOT_KNOWN;
}

static enum made dovecot_id(const struct adopting *a, size_t i, const struct mbox_notes *notes,
			    char ret[UIDL_TEXT_MAX])
{
	const pop3_span md5 = span_of(notes->dovecot_md5);
	const struct uidl_values values = {
		.uidvalidity = a->uidvalidity, .uid = a->uids[i], .guid = md5, .md5 = md5};

	if (!a->uidvalidity)
		return notes->uid ? NOT_KNOWN : NEVER_SHOWN;
	if (a->origin->reuse_xuidl && notes->xuidl.size)
		return copy_id(notes->xuidl, ret);
	if (!a->uids[i])
		return NOT_KNOWN;
	return uidl_format_expand(a->origin->format, &values, ret) ? MADE : NOT_KNOWN;
}

static enum made make_id(const struct adopting *a, size_t i, const struct mbox_notes *notes,
			 char ret[UIDL_TEXT_MAX])
{
	if (a->origin->server == ORIGIN_MBOX_DOVECOT)
		return dovecot_id(a, i, notes, ret);
	if (a->origin->server == ORIGIN_MBOX_POPA3D)
		return copy_id(span_of(notes->popa3d_id), ret);
	return copy_id(notes->xuidl, ret);
}

static void cannot(struct adopting *a, size_t i, const char *id, const char *why)
{
	char shown[81];

	if (a->report->again++)
		return;
	text_escape(shown, sizeof(shown) - 1, span_of(id));
	snprintf(a->report->why, sizeof(a->report->why), "message %zu: its id %.64s%s%s", i + 1,
		 shown, *shown ? " " : "", why);
}

static int keep_id(struct adopting *a, size_t i, pop3_span id)
{
	if (a->room - a->size < MBOX_IDS_LINE(id.size) + 1) {
		size_t room = a->room * 2;
		char *more = realloc(a->lines, room);

		if (!more)
			return -1;
		a->lines = more;
		a->room = room;
	}
	a->size += mbox_ids_line(a->lines + a->size, id, a->table.entries[i].id);
	a->report->brought++;
	return 0;
}

/* The number that Dovecot puts behind the id of a duplicate. */
static void rename_duplicate(struct adopting *a, char id[UIDL_TEXT_MAX])
{
	size_t size = strlen(id);
	uint64_t *times;

	while ((times = hash_map_find(&a->used, hash_octets(id, size))) != NULL) {
		int n = snprintf(id + size, UIDL_TEXT_MAX - size, "-%llu",
				 (unsigned long long)++*times);

		if (n < 0 || (size_t)n >= UIDL_TEXT_MAX - size)
			return;
		size += (size_t)n;
	}
}

/* An X-UIDL may be of the sender: it must not look like an id that we give to another message. */
static bool like_ours(const struct adopting *a, const struct mbox_notes *notes, const char *id)
{
	return strlen(id) == MBOX_UNIQUE && strspn(id, "0123456789abcdef") == MBOX_UNIQUE &&
	       span_equal(notes->xuidl, span_of(id)) &&
	       (a->origin->server != ORIGIN_MBOX_DOVECOT || a->origin->reuse_xuidl);
}

/* Ids of one mailbox must differ (RFC 1939): a client cannot have loaded both messages. */
static int name_one(struct adopting *a, size_t i, const struct mbox_notes *notes)
{
	char id[UIDL_TEXT_MAX] = "";
	uint64_t *times;
	pop3_span text;

	switch (make_id(a, i, notes, id)) {
	case MADE:
		break;
	case NEVER_SHOWN:
		a->report->fresh++;
		return 0;
	case NOT_KNOWN:
		cannot(a, i, "",
		       a->origin->server == ORIGIN_MBOX_DOVECOT
			       ? "cannot be told: its X-UID, or the X-IMAPbase of the first "
				 "message, is missing or out of order"
			       : "is too long");
		return 0;
	}
	if (a->origin->rename_duplicates)
		rename_duplicate(a, id);
	text = span_of(id);
	if (!index_id_valid(text) || like_ours(a, notes, id)) {
		cannot(a, i, id, "is empty, too long, or has octets or a form that cannot be kept");
		return 0;
	}
	times = hash_map_put(&a->used, hash_octets(text.data, text.size));
	if (!times)
		return -1;
	if (++*times > 1) {
		cannot(a, i, id, "is another message's, too");
		return 0;
	}
	return keep_id(a, i, text);
}

static int name_all(struct adopting *a)
{
	struct mbox_notes notes;
	int result;

	a->room = 65536;
	a->lines = malloc(a->room);
	hash_map_init(&a->used, 2 * a->table.count + 1);
	errno = ENOMEM;
	if (!a->lines)
		return -1;
	for (size_t i = 0; i < a->table.count; i++) {
		a->report->messages++;
		result = read_entry(a, i, &notes);
		if (result == 1)
			cannot(a, i, "", "is not looked for: its headers have more than 1 MiB");
		else if (result < 0 || name_one(a, i, &notes) < 0)
			return -1;
	}
	return 0;
}

/* ---- the file ---- */

static int write_ids(const struct adopting *a)
{
	char rule[ORIGIN_TEXT_MAX], first[ORIGIN_TEXT_MAX + 64], *text;
	int result, n, saved;

	mail_origin_print(a->origin, rule);
	n = snprintf(first, sizeof(first), MBOX_IDS_ORIGIN "%llu %s\n",
		     (unsigned long long)a->report->brought, rule);
	text = malloc((size_t)n + a->size);
	if (!text)
		return -1;
	memcpy(text, first, (size_t)n);
	memcpy(text + n, a->lines, a->size);
	result = mbox_ids_write(a->place, text, (size_t)n + a->size);
	saved = errno;
	free(text);
	errno = saved;
	return result;
}

static void finish(struct adopting *a)
{
	mbox_table_finish(&a->table);
	hash_map_finish(&a->used);
	free(a->uids);
	free(a->head);
	free(a->lines);
}

int mbox_has(const struct mbox_place *place, enum mbox_file which)
{
	struct stat st;

	if (place->state < 0)
		return 0;
	if (place->sys->fstatat(place->state, place->names[which], &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

int mbox_is_ours(const struct mbox_place *place)
{
	static const enum mbox_file files[] = {MBOX_BASE, MBOX_DELTA, MBOX_UIDL, MBOX_JOURNAL};
	int there = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files) && there == 0; i++)
		there = mbox_has(place, files[i]);
	return there;
}

static enum maildrop_status adopt(struct adopting *a, bool dry_run, struct err *err)
{
	if (read_messages(a) < 0)
		return mbox_failed(a->place, errno, NULL, "cannot be read", err);
	if (a->table.count == 0)
		return MAILDROP_OK;
	a->report->is = ADOPT_FOREIGN;
	if ((a->origin->server == ORIGIN_MBOX_DOVECOT && number_messages(a) < 0) || name_all(a) < 0)
		return mbox_failed(a->place, errno, NULL, "cannot be read", err);
	if (!dry_run && write_ids(a) < 0)
		return mbox_failed(a->place, errno, a->place->names[MBOX_UIDL], "cannot be written",
				   err);
	return MAILDROP_OK;
}

enum maildrop_status mbox_adopt(struct mbox_place *place, const struct mail_origin *origin,
				bool dry_run, struct adopt_report *ret, struct err *err)
{
	struct adopting a = {.place = place, .origin = origin, .report = ret};
	enum maildrop_status status;
	int ours = mbox_is_ours(place);

	*ret = (struct adopt_report){.is = ours ? ADOPT_OURS : ADOPT_PLAIN};
	if (ours < 0)
		return mbox_failed(place, errno, place->names[MBOX_UIDL], "cannot be read", err);
	if (ours)
		return MAILDROP_OK;
	status = adopt(&a, dry_run, err);
	finish(&a);
	return status;
}
