/* See adopt.h. In a keeper's worker, `valija deliver` or `valija import`, with the rights of the
 * mail's owner. */
#include "maildrop/maildir/adopt/adopt.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/maildir/adopt/by_name.h"
#include "maildrop/maildir/adopt/id_list.h"
#include "maildrop/maildir/adopt/ids_file.h"
#include "maildrop/maildir/adopt/keywords.h"
#include "maildrop/uidl_format.h"
#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/adopt/xuidl.h"
#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/files/scan.h"
#include "maildrop/maildir/update/uidl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>

/* A message whose file was found. */
struct found {
	uint32_t entry; /* of the list */
	uint32_t order; /* O; UINT32_MAX: none */
	uint32_t id;    /* place in the text of ids */
	uint16_t id_size;
	uint8_t directory;
	char *name; /* of the file; NULL: not needed */
};

struct adopting {
	struct maildir_place *place;
	const struct mail_origin *origin;
	struct adopt_report *report;
	struct id_list list;
	struct hash_map names; /* of files: entry + 1 */
	struct found *found;
	uint32_t count;
	enum index_directory directory; /* that is read */
	char *ids;
	size_t ids_size, ids_room;
	struct hash_map used; /* ids: how often */
	char hidden;          /* the letter of hidden messages; '\0': there are none */
	char *lines;          /* of hidden messages */
	size_t lines_size, lines_room;
};

/* ---- the other server's list ---- */

static int read_list(struct adopting *a, int control, struct err *err)
{
	const char *name = mail_origin_names[a->origin->server].list;

	if (id_list_read(&a->list, a->place, control, a->origin->server, err) < 0)
		return -1;
	a->report->bad = a->list.bad;
	hash_map_init(&a->names, a->list.count + 1u);
	hash_map_init(&a->used, 2u * a->list.count + 1u);
	a->found = calloc(a->list.count + 1u, sizeof(*a->found));
	for (uint32_t i = 0; a->found && i < a->list.count; i++) {
		pop3_span file = id_list_file(&a->list, i);
		uint64_t *at = hash_map_put(&a->names, hash_octets(file.data, file.size));

		if (!at)
			return err_sys(err, EX_TEMPFAIL, ENOMEM, "%s", name);
		*at = i + 1u;
	}
	return a->found ? 0 : err_sys(err, EX_TEMPFAIL, ENOMEM, "%s", name);
}

/* ---- the files ---- */

/* It stays there, for IMAP. */
static int hide(struct adopting *a, pop3_span name)
{
	pop3_span unique = {name.data, maildir_name_unique(name)};
	size_t want = UIDL_LINE_MAX(strlen(UIDL_HIDDEN), unique.size);

	if (a->lines_room - a->lines_size < want) {
		size_t room = a->lines_room * 2 + 16 * want;
		char *more = realloc(a->lines, room);

		if (!more)
			return -1;
		a->lines = more;
		a->lines_room = room;
	}
	a->lines_size +=
		maildir_uidl_line(a->lines + a->lines_size, SPAN_LITERAL(UIDL_HIDDEN), unique);
	a->report->hidden++;
	return 0;
}

static int take_file(void *context, pop3_span name, uint64_t inode)
{
	struct adopting *a = context;
	const char *colon = memchr(name.data, ':', name.size);
	pop3_span file = {name.data, colon ? (size_t)(colon - name.data) : name.size};
	uint64_t *at = hash_map_find(&a->names, hash_octets(file.data, file.size));
	struct found *found;

	(void)inode;
	if (a->hidden && keywords_has(name, a->hidden))
		return hide(a, name);
	a->report->messages++;
	if (!at || *at == 0) {
		a->report->fresh++;
		return 0;
	}
	found = &a->found[a->count++];
	*found = (struct found){.entry = (uint32_t)(*at - 1), .directory = (uint8_t)a->directory};
	found->order = id_list_order(&a->list, found->entry);
	*at = 0; /* a second file of that name is another message */
	if (!a->origin->reuse_xuidl)
		return 0;
	found->name = strndup(name.data, name.size);
	return found->name ? 0 : -1;
}

static int find_files(struct adopting *a)
{
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		a->directory = d;
		if (maildir_scan(a->place, maildir_directory_names[d], take_file, a) < 0 &&
		    errno != ENOENT)
			return -1;
	}
	return 0;
}

/* By the place in the list: of Dovecot's numbers, in whose order duplicates are counted, too; of
 * Courier's messages. */
static int by_entry(const void *left, const void *right)
{
	const struct found *x = left, *y = right;

	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Messages that have an order come first, then the others by number. */
static int by_order(const void *left, const void *right)
{
	const struct found *x = left, *y = right;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return by_entry(left, right);
}

/* ---- ids ---- */

/* The id as Dovecot's POP3 server gives it, but for duplicates. 0: none that fits. */
static size_t dovecot_id(struct adopting *a, const struct found *found, char ret[UIDL_TEXT_MAX])
{
	const struct uidlist_entry *e = &a->list.uidlist.entries[found->entry];
	const struct uidl_values values = {.uidvalidity = a->list.uidlist.uidvalidity,
					   .uid = e->uid,
					   .file = e->file,
					   .guid = e->guid.data ? e->guid : e->file};

	/* one that was saved; "P" alone: the name of the file */
	if (e->saved.data) {
		pop3_span id = e->saved.size ? e->saved : e->file;

		return span_copy(id, ret, UIDL_TEXT_MAX) == 0 ? id.size : 0;
	}
	if (a->origin->reuse_xuidl) {
		size_t size =
			xuidl_read(a->place, found->directory, found->name, ret, UIDL_TEXT_MAX);

		if (size)
			return size;
	}
	return uidl_format_expand(a->origin->format, &values, ret);
}

static size_t make_id(struct adopting *a, const struct found *found, char ret[UIDL_TEXT_MAX])
{
	if (a->origin->server == ORIGIN_COURIER)
		return sizelist_id(&a->list.sizelist.entries[found->entry], ret, UIDL_TEXT_MAX);
	return dovecot_id(a, found, ret);
}

static void cannot(struct adopting *a, const struct found *found, const char *id, const char *why)
{
	char shown[81], file[65];

	if (a->report->again++)
		return;
	text_escape(shown, sizeof(shown) - 1, span_of(id));
	text_escape(file, sizeof(file) - 1, id_list_file(&a->list, found->entry));
	snprintf(a->report->why, sizeof(a->report->why), "%.64s: its id %.64s %s", file, shown,
		 why);
}

/* -1: no memory. */
static int keep_id(struct adopting *a, struct found *found, const char *id, size_t size)
{
	if (a->ids_room - a->ids_size < size) {
		size_t room = a->ids_room ? a->ids_room * 2 : 65536;
		char *more = room > UINT32_MAX ? NULL : realloc(a->ids, room);

		if (!more)
			return -1;
		a->ids = more;
		a->ids_room = room;
	}
	memcpy(a->ids + a->ids_size, id, size);
	found->id = (uint32_t)a->ids_size;
	found->id_size = (uint16_t)size;
	a->ids_size += size;
	a->report->brought++;
	return 0;
}

/* The number that a duplicate gets behind its id. */
static void rename_duplicate(struct adopting *a, char id[UIDL_TEXT_MAX], size_t *size)
{
	uint64_t *times;

	while ((times = hash_map_find(&a->used, hash_octets(id, *size))) != NULL) {
		int n = snprintf(id + *size, UIDL_TEXT_MAX - *size, "-%llu",
				 (unsigned long long)++*times);

		if (n < 0 || (size_t)n >= UIDL_TEXT_MAX - *size)
			return;
		*size += (size_t)n;
	}
}

/* Ids of one maildrop must differ (RFC 1939): a client cannot have loaded both messages. */
static int name_one(struct adopting *a, struct found *found)
{
	char id[UIDL_TEXT_MAX];
	size_t size = make_id(a, found, id);
	uint64_t *times;

	if (size == 0) {
		cannot(a, found, "", "is empty or too long");
		return 0;
	}
	if (a->origin->rename_duplicates)
		rename_duplicate(a, id, &size);
	if (!index_id_valid((pop3_span){id, size})) {
		id[size < UIDL_TEXT_MAX ? size : UIDL_TEXT_MAX - 1] = '\0';
		cannot(a, found, id, "has more than 70 octets, or some that POP3 has not");
		return 0;
	}
	times = hash_map_put(&a->used, hash_octets(id, size));
	if (!times)
		return -1;
	if (++*times > 1) {
		cannot(a, found, id, "is another message's, too");
		return 0;
	}
	return keep_id(a, found, id, size);
}

static int name_all(struct adopting *a)
{
	qsort(a->found, a->count, sizeof(*a->found), by_entry);
	for (uint32_t i = 0; i < a->count; i++)
		if (name_one(a, &a->found[i]) < 0)
			return -1;
	qsort(a->found, a->count, sizeof(*a->found), by_order);
	return 0;
}

/* ---- valija-uidl ---- */

/* The lines of the file, in the order of the messages. NULL: no memory. */
static char *make_lines(const struct adopting *a, size_t *ret_size)
{
	size_t room = UIDL_ORIGIN_MAX + a->lines_size, size;
	char text[ORIGIN_TEXT_MAX], *lines;

	for (uint32_t i = 0; i < a->count; i++)
		room += UIDL_LINE_MAX(a->found[i].id_size,
				      id_list_file(&a->list, a->found[i].entry).size);
	lines = malloc(room);
	if (!lines)
		return NULL;
	mail_origin_print(a->origin, text);
	size = (size_t)snprintf(lines, room, UIDL_ORIGIN "%llu %s\n",
				(unsigned long long)a->report->brought, text);
	for (uint32_t i = 0; i < a->count; i++) {
		const struct found *found = &a->found[i];
		pop3_span file = id_list_file(&a->list, found->entry);

		file.size = maildir_name_unique(file);
		if (found->id_size)
			size += maildir_uidl_line(lines + size,
						  (pop3_span){a->ids + found->id, found->id_size},
						  file);
	}
	if (a->lines_size)
		memcpy(lines + size, a->lines, a->lines_size);
	*ret_size = size + a->lines_size;
	return lines;
}

static int write_ids(const struct adopting *a)
{
	size_t size = 0;
	char *lines = make_lines(a, &size);
	int result, saved;

	if (!lines) {
		errno = ENOMEM;
		return -1;
	}
	result = maildir_ids_replace(a->place, lines, size);
	saved = errno;
	free(lines);
	errno = saved;
	return result;
}

static void finish(struct adopting *a)
{
	for (uint32_t i = 0; a->found && i < a->count; i++)
		free(a->found[i].name);
	free(a->found);
	free(a->ids);
	free(a->lines);
	id_list_finish(&a->list);
	hash_map_finish(&a->names);
	hash_map_finish(&a->used);
}

static enum maildrop_status adopt_list(struct maildir_place *place, int control,
				       const struct mail_origin *origin, bool dry_run,
				       struct adopt_report *report, struct err *err)
{
	struct adopting a = {.place = place, .origin = origin, .report = report};
	enum maildrop_status status = MAILDROP_OK;

	if (read_list(&a, control, err) < 0 ||
	    (origin->hidden[0] &&
	     keywords_read(place, control, origin->hidden, &a.hidden, err) < 0)) {
		err_prefix(err, "maildrop %s", place->home);
		status = MAILDROP_PERM;
	} else if (find_files(&a) < 0 || name_all(&a) < 0) {
		status = maildir_failed(place, errno, NULL, "its messages cannot be read", err);
	} else if (!dry_run && write_ids(&a) < 0) {
		status = maildir_failed(place, errno, UIDL_NAME, "cannot be written", err);
	}
	finish(&a);
	return status;
}

static int count_entry(void *context, pop3_span name, uint64_t inode)
{
	struct adopt_report *report = context;

	(void)name, (void)inode;
	report->messages++;
	return 0;
}

/* Our own rule, from now on: noted, so that it is never asked again. */
static enum maildrop_status adopt_none(struct maildir_place *place,
				       const struct mail_origin *origin, bool dry_run,
				       struct adopt_report *report, struct err *err)
{
	char line[UIDL_ORIGIN_MAX], text[ORIGIN_TEXT_MAX];

	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		if (maildir_scan(place, maildir_directory_names[d], count_entry, report) < 0 &&
		    errno != ENOENT)
			return maildir_failed(place, errno, NULL, "cannot be read", err);
	report->again = report->messages;
	snprintf(report->why, sizeof(report->why), "all messages get new ids, as was asked for");
	mail_origin_print(origin, text);
	snprintf(line, sizeof(line), UIDL_ORIGIN "0 %s\n", text);
	if (dry_run || maildir_ids_replace(place, line, strlen(line)) == 0)
		return MAILDROP_OK;
	return maildir_failed(place, errno, UIDL_NAME, "cannot be written", err);
}

/* The Maildir has a list of another server than that whose ids are brought: a person decides. */
static enum maildrop_status refuse(const struct maildir_place *place,
				   const struct mail_origin *origin, unsigned lists,
				   struct err *err)
{
	char demand[ORIGIN_DEMAND_MAX];

	mail_origin_demand(lists, demand);
	err_set(err, EX_CONFIG,
		"maildrop %s: %s, or valija import none, for its user (--user): it has no %s",
		place->home, demand, mail_origin_names[origin->server].list);
	return MAILDROP_PERM;
}

static enum maildrop_status adopt(struct maildir_place *place, int control,
				  const struct mail_origin *origin, bool dry_run,
				  struct adopt_report *ret, struct err *err)
{
	if (maildir_whose(place, control, &ret->is, &ret->lists) < 0)
		return maildir_failed(place, errno, NULL, "cannot be read", err);
	/* a person says that its ids are of the names, whatever other servers left there */
	if (ret->is != ADOPT_OURS && mail_origin_is_of_names(origin->server))
		return maildir_adopt_names(place, origin, dry_run, ret, err);
	if (ret->is != ADOPT_FOREIGN)
		return MAILDROP_OK;
	if (mail_origin_is_of_mboxes(origin->server)) {
		err_set(err, EX_CONFIG,
			"maildrop %s: %s of the mail folder says %s, but it is a Maildir",
			place->home, ORIGIN_FILE, mail_origin_names[origin->server].word);
		return MAILDROP_PERM;
	}
	if (origin->server == ORIGIN_NONE)
		return adopt_none(place, origin, dry_run, ret, err);
	if (!(ret->lists & ORIGIN_HAS(origin->server)))
		return refuse(place, origin, ret->lists, err);
	return adopt_list(place, control, origin, dry_run, ret, err);
}

enum maildrop_status maildir_adopt(struct maildir_place *place, int control,
				   const struct mail_origin *origin, bool dry_run,
				   struct adopt_report *ret, struct err *err)
{
	enum maildrop_status status;
	int held;

	*ret = (struct adopt_report){.is = ADOPT_PLAIN};
	/* against others that adopt it now; a filesystem that has no such lock does without */
	while ((held = dry_run ? -1 : place->sys->flock(place->dir, LOCK_EX)) < 0 && !dry_run &&
	       errno == EINTR)
		;
	status = adopt(place, control, origin, dry_run, ret, err);
	if (held == 0)
		(void)place->sys->flock(place->dir, LOCK_UN);
	return status;
}
