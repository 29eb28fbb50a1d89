/* See table.h. Pure but for reading an index; names in an index may be hostile. */
#include "maildrop/mbox/table.h"

#include "base/array.h"
#include "base/text.h"
#include "maildrop/mbox/from.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static struct mbox_entry *add(struct mbox_table *t)
{
	struct mbox_entry *grown = array_grow(t->entries, t->count, &t->room, sizeof(*grown));

	if (!grown) {
		t->failed = true;
		return NULL;
	}
	t->entries = grown;
	return &t->entries[t->count++];
}

int mbox_table_add(struct mbox_table *t, const struct mbox_entry *entry)
{
	struct mbox_entry *added = add(t);

	if (!added)
		return -1;
	*added = *entry;
	return 0;
}

void mbox_table_found(void *context, const struct mbox_message *m)
{
	struct mbox_table *t = context;
	struct mbox_entry *entry;

	if (m->pseudo || t->failed)
		return;
	if (m->head > UINT32_MAX) {
		t->failed = true;
		errno = EFBIG;
		return;
	}
	entry = add(t);
	if (!entry)
		return;
	*entry = (struct mbox_entry){.start = m->start,
				     .stored = m->stored,
				     .octets = m->octets,
				     .head = (uint32_t)m->head,
				     .from_size = (uint16_t)m->from_size,
				     .hides = m->hides};
	memcpy(entry->digest, m->digest, MBOX_DIGEST);
}

void mbox_table_finish(struct mbox_table *t)
{
	free(t->entries);
	*t = (struct mbox_table){0};
}

/* ---- ids in use ---- */

struct id_set {
	const unsigned char **slots;
	size_t mask;
};

static size_t hash_of(const unsigned char id[MBOX_ID])
{
	uint64_t hash;

	memcpy(&hash, id, sizeof(hash)); /* a digest: any part of it will do */
	return (size_t)hash;
}

static bool id_used(const struct id_set *set, const unsigned char id[MBOX_ID])
{
	for (size_t at = hash_of(id) & set->mask; set->slots[at]; at = (at + 1) & set->mask)
		if (memcmp(set->slots[at], id, MBOX_ID) == 0)
			return true;
	return false;
}

static void use_id(struct id_set *set, const unsigned char id[MBOX_ID])
{
	size_t at = hash_of(id) & set->mask;

	while (set->slots[at])
		at = (at + 1) & set->mask;
	set->slots[at] = id;
}

static int id_set_init(struct id_set *set, size_t count)
{
	size_t room = 64;

	while (room < count * 2)
		room *= 2;
	set->mask = room - 1;
	set->slots = calloc(room, sizeof(*set->slots));
	return set->slots ? 0 : -1;
}

/* The n-th id for messages of that digest: 1 is the digest itself. */
static void nth_id(const unsigned char digest[MBOX_DIGEST], uint32_t n, unsigned char ret[MBOX_ID])
{
	unsigned char octets[DIGEST_MAX], number[4];
	struct digest d;

	memcpy(ret, digest, MBOX_ID);
	if (n == 1)
		return;
	for (int i = 0; i < 4; i++)
		number[i] = (unsigned char)(n >> 8 * i);
	digest_init(&d, DIGEST_SHA_256);
	digest_add(&d, digest, MBOX_DIGEST);
	digest_add(&d, number, sizeof(number));
	digest_finish(&d, octets);
	memcpy(ret, octets, MBOX_ID);
}

/* ---- matching ---- */

static int by_digest(const struct mbox_entry *a, const struct mbox_entry *b)
{
	return memcmp(a->digest, b->digest, MBOX_DIGEST);
}

/* The size of the body as stored: headers may have been changed. */
static int by_key(const struct mbox_entry *a, const struct mbox_entry *b)
{
	uint64_t one = a->stored - a->head, other = b->stored - b->head;
	int order = by_digest(a, b);

	return order ? order : (one > other) - (one < other);
}

static int compare(const struct mbox_entry *one, const struct mbox_entry *other)
{
	int order = by_key(one, other);

	return order ? order : (one->start > other->start) - (one->start < other->start);
}

/* An entry with the beginning of its digest, which nearly always decides: most comparisons look at
 * no entry. */
struct ordered {
	uint64_t prefix;
	struct mbox_entry *entry;
};

static struct ordered ordered(struct mbox_entry *entry)
{
	struct ordered ret = {.entry = entry};

	for (size_t i = 0; i < sizeof(ret.prefix); i++)
		ret.prefix = ret.prefix << 8 | entry->digest[i];
	return ret;
}

static int compare_ordered(const void *a, const void *b)
{
	const struct ordered *one = a, *other = b;

	if (one->prefix != other->prefix)
		return one->prefix < other->prefix ? -1 : 1;
	return compare(one->entry, other->entry);
}

static struct mbox_entry **sorted(const struct mbox_table *t)
{
	struct mbox_entry **list = calloc(t->count + 1, sizeof(struct mbox_entry *));
	struct ordered *order = list ? calloc(t->count + 1, sizeof(*order)) : NULL;

	if (!order) {
		free(list);
		return NULL;
	}
	for (size_t i = 0; i < t->count; i++)
		order[i] = ordered(&t->entries[i]);
	qsort(order, t->count, sizeof(*order), compare_ordered);
	for (size_t i = 0; i < t->count; i++)
		list[i] = order[i].entry;
	free(order);
	return list;
}

static void same_as(struct mbox_entry *entry, const struct mbox_entry *known)
{
	memcpy(entry->id, known->id, MBOX_ID);
	entry->deleted = known->deleted;
	entry->has_id = true;
}

/*
 * Messages that nothing tells apart, here and as they were known. Where some are gone, those that
 * their owner has deleted are taken to be gone first: what is wrong then is a message too many, not
 * one too few.
 */
static void match_group(struct mbox_entry **here, size_t count, struct mbox_entry **known,
			size_t known_count, bool partial)
{
	bool fewer = count < known_count;
	size_t at = 0;

	if (partial && (count > 1 || known_count > 1))
		return; /* which of them it was cannot be told */
	for (size_t i = 0; i < known_count && at < count; i++)
		if (!fewer || !known[i]->deleted)
			same_as(here[at++], known[i]);
	for (size_t i = 0; fewer && i < known_count && at < count; i++)
		if (known[i]->deleted)
			same_as(here[at++], known[i]);
}

static size_t group_end(struct mbox_entry **list, size_t count, size_t at,
			const struct mbox_entry *first)
{
	while (at < count && by_key(list[at], first) == 0)
		at++;
	return at;
}

static void match_all(struct mbox_entry **here, size_t count, struct mbox_entry **known,
		      size_t known_count, bool partial)
{
	size_t at = 0, known_at = 0;

	while (at < count && known_at < known_count) {
		int order = by_key(here[at], known[known_at]);
		size_t end, known_end;

		if (order < 0) {
			at++;
		} else if (order > 0) {
			known_at++;
		} else {
			end = group_end(here, count, at, here[at]);
			known_end = group_end(known, known_count, known_at, here[at]);
			match_group(here + at, end - at, known + known_at, known_end - known_at,
				    partial);
			at = end;
			known_at = known_end;
		}
	}
}

/* In the order of digests, so that of a thousand twins each does not try a thousand ids. */
static void name_new(struct mbox_entry **here, size_t count, struct id_set *set)
{
	uint32_t n = 1;

	for (size_t i = 0; i < count; i++) {
		if (i && by_digest(here[i], here[i - 1]) != 0)
			n = 1;
		if (here[i]->has_id)
			continue;
		do
			nth_id(here[i]->digest, n++, here[i]->id);
		while (id_used(set, here[i]->id));
		here[i]->has_id = true;
		use_id(set, here[i]->id);
	}
}

int mbox_table_match(struct mbox_table *t, const struct mbox_table *known)
{
	struct mbox_entry **here = sorted(t), **before = sorted(known);
	struct id_set set = {0};
	int result = -1;

	if (here && before && id_set_init(&set, t->count + known->count) == 0) {
		match_all(here, t->count, before, known->count, known->partial);
		/* also of those that are gone: another message must not look like them */
		for (size_t i = 0; i < known->count; i++)
			if (!id_used(&set, known->entries[i].id))
				use_id(&set, known->entries[i].id);
		name_new(here, t->count, &set);
		result = 0;
	}
	free(set.slots);
	free(before);
	free(here);
	return result;
}

/* ---- records of an index ---- */

void mbox_entry_encode(const struct mbox_entry *e, struct index_message *ret)
{
	char digest[2 * MBOX_DIGEST + 1] = "";
	int n;

	memset(ret, 0, sizeof(*ret));
	ret->octets = e->octets;
	ret->stored = e->stored;
	ret->inode = e->start;
	hex_encode(e->id, MBOX_ID, ret->name);
	memcpy(ret->id, ret->name, MBOX_UNIQUE);
	ret->id_size = MBOX_UNIQUE;
	if (memcmp(e->id, e->digest, MBOX_ID) != 0)
		hex_encode(e->digest, MBOX_DIGEST, digest);
	n = snprintf(ret->name + MBOX_UNIQUE, sizeof(ret->name) - MBOX_UNIQUE, ":%s,%u,%u%s",
		     digest, e->head, (unsigned)e->from_size, e->hides ? ",h" : "");
	ret->name_size = (uint8_t)(MBOX_UNIQUE + n);
}

static int decode_hex(const char *text, unsigned char *ret, size_t n)
{
	/* one more than the digit's value; 0: it is none */
	static const unsigned char digits[256] = {
		['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
		['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
		['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	};

	for (size_t i = 0; i < n; i++) {
		unsigned high = digits[(unsigned char)text[2 * i]];
		unsigned low = high ? digits[(unsigned char)text[2 * i + 1]] : 0;

		if (!low)
			return -1;
		ret[i] = (unsigned char)((high - 1) << 4 | (low - 1));
	}
	return 0;
}

static int take_number(const char **at, uint64_t max, uint64_t *ret)
{
	size_t digits;

	if (**at != ',')
		return -1;
	digits = strspn(++*at, "0123456789");
	if (span_number((pop3_span){*at, digits}, max, ret) < 0)
		return -1;
	*at += digits;
	return 0;
}

int mbox_entry_decode(const struct index_message *m, struct mbox_entry *ret)
{
	struct mbox_entry e = {
		.start = m->inode, .stored = m->stored, .octets = m->octets, .has_id = true};
	const char *at = m->name + MBOX_UNIQUE + 1;
	uint64_t head, from_size;

	if (m->name_size < MBOX_UNIQUE + 1 || m->name[MBOX_UNIQUE] != ':' ||
	    decode_hex(m->name, e.id, MBOX_ID) < 0)
		return -1;
	memcpy(e.digest, e.id, MBOX_DIGEST);
	if (*at != ',') {
		if (decode_hex(at, e.digest, MBOX_DIGEST) < 0)
			return -1;
		at += 2 * MBOX_DIGEST;
	}
	if (take_number(&at, UINT32_MAX, &head) < 0 ||
	    take_number(&at, MBOX_LOOK, &from_size) < 0 || head > e.stored || from_size == 0 ||
	    e.start > INT64_MAX / 2 || e.stored > INT64_MAX / 2)
		return -1;
	e.head = (uint32_t)head;
	e.from_size = (uint16_t)from_size;
	e.hides = *at == ',';
	*ret = e;
	return 0;
}

bool mbox_entry_is(const struct mbox_entry *e, const struct mbox_message *m)
{
	return m->start == e->start && m->from_size == e->from_size && m->head == e->head &&
	       m->stored == e->stored && m->octets == e->octets &&
	       memcmp(m->digest, e->digest, MBOX_DIGEST) == 0;
}

static int damaged(struct err *err)
{
	return err_set(err, EX_TEMPFAIL, "a record of the index is no message of an mbox");
}

/* DELs whose messages may still be in the file. */
static int mark_deleted(struct mbox_table *t, struct index *index, struct err *err)
{
	for (size_t i = 0; i < index->delta.pending_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(index->sys, index->delta_fd, index->delta.pending[i], buf,
				     &change, err) < 0)
			return -1;
		if (change.ordinal < t->count)
			t->entries[change.ordinal].deleted = true;
	}
	return 0;
}

int mbox_table_load(struct mbox_table *t, struct index *index, struct err *err)
{
	uint32_t end = index->header.count + index->delta.added;

	for (uint32_t ordinal = 0; ordinal < end; ordinal++) {
		struct index_message message;
		struct mbox_entry *entry;

		if (index_read(index, ordinal, &message, err) < 0)
			return -1;
		entry = add(t);
		if (!entry)
			return err_sys(err, EX_TEMPFAIL, ENOMEM, "the index cannot be read");
		if (mbox_entry_decode(&message, entry) < 0)
			return damaged(err);
	}
	return mark_deleted(t, index, err);
}
