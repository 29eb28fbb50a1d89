/* See uidlist_give.h. */
#include "maildrop/maildir/adopt/uidlist_give.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/maildir/adopt/uidlist.h"
#include "maildrop/uidl_format.h"

#include <pop3/client.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define NUMBER_MAX 32 /* octets of " O4294967295", or of a number in front of a line */
#define UID_MAX (UINT32_MAX - 1)

struct giving {
	const struct mail_origin *origin;
	struct uidlist list;
	struct uidlist_message *messages;
	uint32_t count;
	struct hash_map files;  /* of messages: place + 1 */
	pop3_span header, rest; /* first line; last line, if no line feed ends it */
	uint64_t next;          /* number of the next message */
	struct uidlist_given given;
};

static int no_memory(struct err *err)
{
	return err_set(err, EX_OSERR, "out of memory");
}

/* ---- the list ---- */

/* Dovecot's N, and what its lines have: it adds some without raising N. */
static void find_next(struct giving *g)
{
	pop3_span header = g->header, rest = g->rest;
	uint64_t number;

	g->next = 1;
	while (header.size) {
		pop3_span word = span_take_until(&header, ' ');

		if (word.size > 1 && word.data[0] == 'N' &&
		    span_number((pop3_span){word.data + 1, word.size - 1}, UINT32_MAX, &number) ==
			    0)
			g->next = number > g->next ? number : g->next;
	}
	if (g->list.count && g->list.entries[g->list.count - 1].uid >= g->next)
		g->next = g->list.entries[g->list.count - 1].uid + 1ull;
	if (span_number(span_take_until(&rest, ' '), UINT32_MAX, &number) == 0 && number >= g->next)
		g->next = number + 1;
}

/* Dovecot begins a new list, with other numbers and without saved ids, where one is not like that.
 */
static int check_list(const struct giving *g, struct err *err)
{
	if (g->list.version != 3)
		return err_set(err, EX_DATAERR,
			       "it is of version 1, which has no saved ids: let a session of "
			       "Dovecot 2 write it anew, and call this again");
	if (g->list.bad)
		return err_set(err, EX_DATAERR,
			       "%" PRIu32
			       " lines make no sense, so Dovecot would throw it away: let "
			       "a session of Dovecot put it in order, and call this again",
			       g->list.bad);
	for (uint32_t i = 1; i < g->list.count; i++)
		if (g->list.entries[i].uid <= g->list.entries[i - 1].uid)
			return err_set(err, EX_DATAERR,
				       "number %" PRIu32 " stands behind %" PRIu32
				       ", so Dovecot would throw it away: let a session of "
				       "Dovecot put it in order, and call this again",
				       g->list.entries[i].uid, g->list.entries[i - 1].uid);
	return 0;
}

static int read_list(struct giving *g, pop3_span text, struct err *err)
{
	const char *end = text.size ? memrchr(text.data, '\n', text.size) : NULL;
	size_t whole = end ? (size_t)(end - text.data) + 1 : 0;

	/* a line that a crash has cut is none for Dovecot, too; its number may be in use */
	g->rest = (pop3_span){text.data + whole, text.size - whole};
	text.size = whole;
	if (uidlist_parse(text, &g->list, err) < 0)
		return -1;
	g->header = span_take_until(&text, '\n');
	if (check_list(g, err) < 0)
		return -1;
	find_next(g);
	return 0;
}

/* ---- messages ---- */

static void lose(struct giving *g, uint32_t at)
{
	g->messages[at].lost = true;
	if (g->given.lost++ == 0)
		g->given.first_lost = at;
}

/* Dovecot leaves files with a line feed out, and gives the second file of a name another one. */
static int name_messages(struct giving *g)
{
	hash_map_init(&g->files, g->count + 1u);
	for (uint32_t i = 0; i < g->count; i++) {
		struct uidlist_message *m = &g->messages[i];
		uint64_t *at = hash_map_put(&g->files, hash_octets(m->file.data, m->file.size));

		if (!at)
			return -1;
		m->uid = m->order = 0;
		m->lost = false;
		assert(m->id.size <= POP3_UNIQUE_ID_MAX);
		if (*at || memchr(m->file.data, '\n', m->file.size))
			lose(g, i);
		else
			*at = i + 1u;
	}
	return 0;
}

static struct uidlist_message *message_of(const struct giving *g, const struct uidlist_entry *e)
{
	uint64_t *at = hash_map_find(&g->files, hash_octets(e->file.data, e->file.size));

	return at && *at ? &g->messages[*at - 1] : NULL;
}

/* Numbers of the messages: those of the list, then new ones in our order. */
static int number_messages(struct giving *g, struct err *err)
{
	for (uint32_t i = 0; i < g->list.count; i++) {
		struct uidlist_message *m = message_of(g, &g->list.entries[i]);

		if (m) {
			m->uid = g->list.entries[i].uid;
			m->order = g->list.entries[i].order;
		}
	}
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->messages[i].uid || g->messages[i].lost)
			continue;
		if (g->next > UID_MAX)
			return err_set(err, EX_DATAERR, "it has no numbers left");
		g->messages[i].uid = (uint32_t)g->next++;
		g->given.added++;
	}
	return 0;
}

/* Dovecot: those with an order first, then the others by number. */
static void find_order(struct giving *g)
{
	uint64_t last_order = 0, last_uid = 0;

	for (uint32_t i = 0; i < g->count; i++) {
		const struct uidlist_message *m = &g->messages[i];
		uint64_t order = m->order ? m->order : UINT64_MAX;

		if (m->lost)
			continue;
		if (order < last_order || (order == last_order && m->uid <= last_uid))
			g->given.reordered = true;
		last_order = order;
		last_uid = m->uid;
	}
	for (uint32_t i = 0; g->given.reordered && i < g->count; i++)
		g->messages[i].order = i + 1;
}

/* The id that Dovecot shows by its rule, and its octets. 0: not known. */
static size_t by_rule(const struct giving *g, const struct uidlist_entry *e,
		      char ret[UIDL_TEXT_MAX])
{
	const struct uidl_values values = {.uidvalidity = g->list.uidvalidity,
					   .uid = e->uid,
					   .file = e->file,
					   .guid = e->guid.data ? e->guid : e->file};

	/* with these an id depends on more than its line */
	if (!g->origin || g->origin->rename_duplicates || g->origin->reuse_xuidl)
		return 0;
	return uidl_format_expand(g->origin->format, &values, ret);
}

static bool shows(const struct giving *g, const struct uidlist_entry *e, pop3_span id)
{
	char text[UIDL_TEXT_MAX];
	pop3_span shown = {text, 0};

	if (e->saved.data)
		shown = e->saved.size ? e->saved : e->file;
	else
		shown.size = by_rule(g, e, text);
	return shown.size == id.size && memcmp(shown.data, id.data, id.size) == 0;
}

/* ---- the new text ---- */

static void put(struct uidlist_given *out, const char *data, size_t size)
{
	memcpy(out->text + out->size, data, size);
	out->size += size;
}

static void put_number(struct uidlist_given *out, const char *before, uint64_t number)
{
	char text[NUMBER_MAX];
	int n = snprintf(text, sizeof(text), "%s%" PRIu64, before, number);

	put(out, text, (size_t)n);
}

static void put_header(struct giving *g)
{
	pop3_span header = g->header;
	bool has_next = false;

	for (bool first = true; header.size; first = false) {
		pop3_span word = span_take_until(&header, ' ');

		if (!first)
			put(&g->given, " ", 1);
		if (word.size && word.data[0] == 'N') {
			put_number(&g->given, "N", g->next);
			has_next = true;
		} else {
			put(&g->given, word.data, word.size);
		}
	}
	if (!has_next)
		put_number(&g->given, " N", g->next);
	put(&g->given, "\n", 1);
}

static void put_fields(struct giving *g, const struct uidlist_message *m, bool saves)
{
	if (g->given.reordered)
		put_number(&g->given, " O", m->order);
	if (saves) {
		put(&g->given, " P", 2);
		put(&g->given, m->id.data, m->id.size);
		g->given.saved++;
	}
}

static void put_line(struct giving *g, const struct uidlist_entry *e)
{
	const struct uidlist_message *m = message_of(g, e);
	bool saves = m && !shows(g, e, m->id);
	pop3_span line = e->line;

	if (!m || (!saves && !g->given.reordered)) {
		put(&g->given, line.data, line.size);
		put(&g->given, "\n", 1);
		return;
	}
	put_number(&g->given, "", e->uid);
	put_fields(g, m, saves);
	(void)span_take_until(&line, ' ');
	while (line.size && line.data[0] != ':') {
		pop3_span word = span_take_until(&line, ' ');

		if (!word.size || (saves && word.data[0] == 'P') ||
		    (g->given.reordered && word.data[0] == 'O'))
			continue;
		put(&g->given, " ", 1);
		put(&g->given, word.data, word.size);
	}
	put(&g->given, " ", 1);
	put(&g->given, line.data, line.size);
	put(&g->given, "\n", 1);
}

static void put_new_lines(struct giving *g)
{
	uint64_t first = g->next - g->given.added;

	for (uint32_t i = 0; i < g->count; i++) {
		const struct uidlist_message *m = &g->messages[i];

		if (m->lost || m->uid < first)
			continue;
		put_number(&g->given, "", m->uid);
		put_fields(g, m, true);
		put(&g->given, " :", 2);
		put(&g->given, m->file.data, m->file.size);
		put(&g->given, "\n", 1);
	}
}

static size_t room_of(const struct giving *g, size_t text)
{
	size_t room = text + NUMBER_MAX + g->list.count * (2u * NUMBER_MAX + POP3_UNIQUE_ID_MAX);

	for (uint32_t i = 0; i < g->count; i++)
		room += g->messages[i].file.size + 2u * NUMBER_MAX + POP3_UNIQUE_ID_MAX;
	return room;
}

static int write_text(struct giving *g, size_t size, struct err *err)
{
	g->given.text = malloc(room_of(g, size));
	if (!g->given.text)
		return no_memory(err);
	put_header(g);
	for (uint32_t i = 0; i < g->list.count; i++)
		put_line(g, &g->list.entries[i]);
	put_new_lines(g);
	if (g->given.saved || g->given.reordered)
		return 0;
	free(g->given.text);
	g->given.text = NULL;
	g->given.size = 0;
	return 0;
}

int uidlist_give(pop3_span text, const struct mail_origin *origin, struct uidlist_message *messages,
		 uint32_t count, struct uidlist_given *ret, struct err *err)
{
	struct giving g = {.origin = origin, .messages = messages, .count = count};
	int result = read_list(&g, text, err);

	if (result == 0 && name_messages(&g) < 0)
		result = no_memory(err);
	if (result == 0)
		result = number_messages(&g, err);
	if (result == 0) {
		find_order(&g);
		result = write_text(&g, text.size, err);
	}
	if (result == 0)
		*ret = g.given;
	hash_map_finish(&g.files);
	uidlist_finish(&g.list);
	return result;
}
