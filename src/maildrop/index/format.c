/* See format.h. In keepers, fronts and `valija deliver`. Pure: every octet may be hostile. */
#include "maildrop/index/format.h"

#include "base/crc32c.h"
#include "base/little_endian.h"

#include <assert.h>
#include <string.h>

#define VERSION 1u
#define VERSION_MAX 255u        /* a larger number in a file is damage */
#define FRAME_MAGIC 0x4d524656u /* "VFRM" */
#define FRAME_MORE 1u
#define FRAME_FIRST 2u

static const char base_magic[8] = "VALIJA-B", delta_magic[8] = "VALIJA-D";

uint64_t index_record_blocks(uint32_t count)
{
	return ((uint64_t)count + INDEX_BLOCK_RECORDS - 1) / INDEX_BLOCK_RECORDS;
}

uint64_t index_hash_blocks(uint32_t count)
{
	return ((uint64_t)count + INDEX_BLOCK_HASHES - 1) / INDEX_BLOCK_HASHES;
}

uint32_t index_hash(pop3_span unique)
{
	return crc32c(0, unique.data, unique.size);
}

/* The block's place is part of its checksum: a good block elsewhere is a bad one here. */
static uint32_t block_crc(const unsigned char *block, uint64_t id, uint64_t number)
{
	unsigned char place[16];

	le_put64(place, id);
	le_put64(place + 8, number);
	return crc32c(crc32c(0, place, sizeof(place)), block, INDEX_PAYLOAD);
}

void index_block_seal(unsigned char block[INDEX_BLOCK], uint64_t id, uint64_t number)
{
	le_put32(block + INDEX_PAYLOAD, block_crc(block, id, number));
}

bool index_block_good(const unsigned char block[INDEX_BLOCK], uint64_t id, uint64_t number)
{
	return le_get32(block + INDEX_PAYLOAD) == block_crc(block, id, number);
}

#define STAMP_SIZE 32

static void stamp_encode(const struct index_stamp *stamp, unsigned char *p)
{
	le_put64(p, stamp->inode);
	le_put64(p + 8, (uint64_t)stamp->seconds);
	le_put32(p + 16, stamp->nanoseconds);
	le_put32(p + 20, stamp->trust);
	le_put64(p + 24, (uint64_t)stamp->scanned);
}

static int stamp_decode(const unsigned char *p, struct index_stamp *ret)
{
	uint64_t trust = le_get32(p + 20);

	if (trust > TRUST_SURE)
		return -1;
	ret->inode = le_get64(p);
	ret->seconds = (int64_t)le_get64(p + 8);
	ret->nanoseconds = le_get32(p + 16);
	ret->trust = (uint8_t)trust;
	ret->scanned = (int64_t)le_get64(p + 24);
	return 0;
}

void index_header_encode(const struct index_header *header, unsigned char block[INDEX_BLOCK])
{
	memset(block, 0, INDEX_BLOCK);
	memcpy(block, base_magic, 8);
	le_put32(block + 8, VERSION);
	le_put32(block + 12, INDEX_BLOCK);
	le_put64(block + 16, header->id);
	le_put32(block + 24, header->count);
	le_put32(block + 28, header->text_blocks);
	le_put64(block + 32, header->octets);
	le_put64(block + 40, header->stored);
	le_put32(block + 48, header->verified);
	le_put32(block + 52, header->in_new);
	le_put32(block + 56, header->own_ids);
	le_put32(block + 60, header->unverified_end);
	for (int i = 0; i < INDEX_DIRECTORIES; i++)
		stamp_encode(&header->stamps[i], block + 64 + i * STAMP_SIZE);
	index_block_seal(block, header->id, 0);
}

/*
 * Magic and version stand in the same place in all versions, and nothing else does: not even a
 * checksum says whether a later version is damaged.
 */
static int check_version(const unsigned char *p, const char magic[8])
{
	uint32_t version = le_get32(p + 8);

	if (memcmp(p, magic, 8) != 0 || version < VERSION || version > VERSION_MAX)
		return -1;
	return version == VERSION ? 0 : INDEX_NEWER;
}

int index_header_decode(const unsigned char block[INDEX_BLOCK], struct index_header *ret)
{
	struct index_header h = {0};
	int version = check_version(block, base_magic);

	if (version < 0)
		return version;
	if (le_get32(block + 12) != INDEX_BLOCK)
		return -1;
	h.id = le_get64(block + 16);
	if (!index_block_good(block, h.id, 0))
		return -1;
	h.count = le_get32(block + 24);
	h.text_blocks = le_get32(block + 28);
	h.octets = le_get64(block + 32);
	h.stored = le_get64(block + 40);
	h.verified = le_get32(block + 48);
	h.in_new = le_get32(block + 52);
	h.own_ids = le_get32(block + 56);
	h.unverified_end = le_get32(block + 60);
	for (int i = 0; i < INDEX_DIRECTORIES; i++)
		if (stamp_decode(block + 64 + i * STAMP_SIZE, &h.stamps[i]) < 0)
			return -1;
	if (h.count > INDEX_COUNT_MAX || h.verified > INDEX_COUNT_MAX || h.in_new > h.count ||
	    h.unverified_end > h.count || h.own_ids > h.count ||
	    h.text_blocks > UINT32_MAX / INDEX_BLOCK || h.octets > INT64_MAX ||
	    h.stored > INT64_MAX)
		return -1;
	*ret = h;
	return 0;
}

void index_record_encode(const struct index_record *record, unsigned char out[INDEX_RECORD])
{
	le_put64(out, record->octets);
	le_put64(out + 8, record->stored);
	le_put64(out + 16, record->inode);
	le_put32(out + 24, record->text);
	out[28] = record->id_size;
	out[29] = record->name_size;
	le_put16(out + 30, record->flags);
}

static bool sizes_valid(uint8_t id_size, uint8_t name_size, uint16_t flags)
{
	if (id_size == 0 || id_size > POP3_UNIQUE_ID_MAX || name_size == 0)
		return false;
	return !(flags & INDEX_WAS_NEW) && (flags & INDEX_OWN_ID || id_size <= name_size);
}

int index_record_decode(const unsigned char in[INDEX_RECORD], struct index_record *ret)
{
	struct index_record r = {
		.octets = le_get64(in),
		.stored = le_get64(in + 8),
		.inode = le_get64(in + 16),
		.text = le_get32(in + 24),
		.id_size = in[28],
		.name_size = in[29],
		.flags = le_get16(in + 30),
	};

	if (!sizes_valid(r.id_size, r.name_size, r.flags))
		return -1;
	*ret = r;
	return 0;
}

void index_delta_header_encode(uint64_t id, unsigned char out[INDEX_DELTA_HEADER])
{
	memset(out, 0, INDEX_DELTA_HEADER);
	memcpy(out, delta_magic, 8);
	le_put32(out + 8, VERSION);
	le_put64(out + 16, id);
	le_put32(out + 28, crc32c(0, out, 28));
}

int index_delta_header_decode(const unsigned char in[INDEX_DELTA_HEADER], uint64_t *ret_id)
{
	int version = check_version(in, delta_magic);

	if (version < 0)
		return version;
	if (le_get32(in + 28) != crc32c(0, in, 28))
		return -1;
	*ret_id = le_get64(in + 16);
	return 0;
}

/* A frame's header: magic, size, flags, CRC of all but itself and of the frame's place. */
static uint32_t frame_crc(const unsigned char *frame, uint32_t size, uint64_t id, uint64_t position)
{
	unsigned char place[16];
	uint32_t crc;

	le_put64(place, id);
	le_put64(place + 8, position);
	crc = crc32c(crc32c(0, place, sizeof(place)), frame, 12);
	return crc32c(crc, frame + INDEX_FRAME_HEADER, size);
}

void index_frame_seal(unsigned char *frame, const struct index_frame *fields, uint64_t id,
		      uint64_t position)
{
	assert(fields->size > 0 && fields->size <= INDEX_FRAME_MAX - INDEX_FRAME_HEADER);
	le_put32(frame, FRAME_MAGIC);
	le_put32(frame + 4, fields->size);
	le_put32(frame + 8, (fields->more ? FRAME_MORE : 0) | (fields->first ? FRAME_FIRST : 0));
	le_put32(frame + 12, frame_crc(frame, fields->size, id, position));
}

int index_frame_decode(const unsigned char in[INDEX_FRAME_HEADER], struct index_frame *ret)
{
	uint64_t size = le_get32(in + 4), flags = le_get32(in + 8);

	if (le_get32(in) != FRAME_MAGIC || size == 0 || size % 8 != 0 ||
	    flags & ~(FRAME_MORE | FRAME_FIRST) || size > INDEX_FRAME_MAX - INDEX_FRAME_HEADER)
		return -1;
	ret->size = (uint32_t)size;
	ret->more = flags & FRAME_MORE;
	ret->first = flags & FRAME_FIRST;
	return 0;
}

bool index_frame_good(const unsigned char *frame, uint32_t size, uint64_t id, uint64_t position)
{
	return le_get32(frame + 12) == frame_crc(frame, size, id, position);
}

/*
 * A change: kind, id size, name size, 0, ordinal (4), flags (2), octets of the whole (2), 0 (4),
 * then eight-octet words by kind, then text, padded with zeros to eight octets. Kinds of later
 * versions have kind, ordinal and octets of the whole in the same places.
 */
#define CHANGE_HEADER 16
#define KIND_LAST CHANGE_FLUSHED

static int words_of(enum index_kind kind)
{
	switch (kind) {
	case CHANGE_UNKNOWN:
		break;
	case CHANGE_ADD:
	case CHANGE_DEL:
		return 3;
	case CHANGE_GONE:
		return 2;
	case CHANGE_NAME:
	case CHANGE_RETIRE:
		return 1;
	case CHANGE_SIZE:
		return 5;
	case CHANGE_STAMP:
		return STAMP_SIZE / 8;
	case CHANGE_VERIFIED:
	case CHANGE_FLUSHED:
		return 0;
	}
	return -1;
}

size_t index_change_encode(const struct index_change *change, unsigned char *out)
{
	const uint64_t words[] = {change->octets, change->stored, change->inode, change->old_octets,
				  change->old_stored};
	size_t at = CHANGE_HEADER, size;

	assert(change->id.size <= POP3_UNIQUE_ID_MAX && change->name.size <= INDEX_NAME_MAX);
	if (change->kind == CHANGE_UNKNOWN) {
		memcpy(out, change->record.data, change->record.size);
		le_put32(out + 4, change->ordinal);
		return change->record.size;
	}
	memset(out, 0, CHANGE_HEADER);
	out[0] = (unsigned char)change->kind;
	out[1] = (unsigned char)change->id.size;
	out[2] = (unsigned char)change->name.size;
	le_put32(out + 4, change->ordinal);
	le_put16(out + 8, change->kind == CHANGE_STAMP ? change->directory : change->flags);
	if (change->kind == CHANGE_STAMP)
		stamp_encode(&change->stamp, out + at);
	else if (change->kind == CHANGE_RETIRE)
		le_put64(out + at, change->position);
	else if (change->kind == CHANGE_NAME)
		le_put64(out + at, change->inode);
	else
		for (int i = 0; i < words_of(change->kind); i++)
			le_put64(out + at + 8 * (size_t)i, words[i]);
	at += 8 * (size_t)words_of(change->kind);
	if (change->id.size && (change->kind != CHANGE_ADD || change->flags & INDEX_OWN_ID)) {
		memcpy(out + at, change->id.data, change->id.size);
		at += change->id.size;
	}
	if (change->name.size)
		memcpy(out + at, change->name.data, change->name.size);
	at += change->name.size;
	size = (at + 7) & ~(size_t)7;
	memset(out + at, 0, size - at);
	le_put16(out + 10, size);
	return size;
}

/* Eight octets at a time: some octet below 0x21 or above 0x7E? Listings check a million ids. */
static bool has_odd(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (((v - ones * 0x21) & ~v) | (v + ones * (0x7f - 0x7e)) | v) & high;
}

bool index_id_valid(pop3_span id)
{
	size_t i = 0;

	if (id.size == 0 || id.size > POP3_UNIQUE_ID_MAX)
		return false;
	for (; i + 8 <= id.size; i += 8)
		if (has_odd(id.data + i))
			return false;
	if (id.size >= 8)
		return !has_odd(id.data + id.size - 8);
	for (; i < id.size; i++)
		if ((unsigned char)id.data[i] < 0x21 || (unsigned char)id.data[i] > 0x7e)
			return false;
	return true;
}

bool index_name_valid(pop3_span name)
{
	return name.size > 0 && name.size <= INDEX_NAME_MAX && name.data[0] != '.' &&
	       !memchr(name.data, '/', name.size) && !memchr(name.data, 0, name.size);
}

/* The text of a change by kind: which parts must be there. */
static bool text_valid(enum index_kind kind, uint16_t flags, pop3_span id, pop3_span name)
{
	if (kind == CHANGE_ADD)
		return sizes_valid((uint8_t)id.size, (uint8_t)name.size, flags) &&
		       index_id_valid(id) && index_name_valid(name);
	if (id.size)
		return false;
	if (kind == CHANGE_NAME || kind == CHANGE_DEL)
		return index_name_valid(name);
	return name.size == 0;
}

static bool flags_valid(enum index_kind kind, uint16_t flags)
{
	if (kind == CHANGE_STAMP)
		return flags < INDEX_DIRECTORIES;
	return kind == CHANGE_NAME || !(flags & INDEX_WAS_NEW);
}

static int unknown_decode(pop3_span in, size_t size, uint32_t ordinal, struct index_change *ret)
{
	if (in.data[0] == 0 || size < CHANGE_HEADER || size % 8 != 0)
		return -1;
	*ret = (struct index_change){
		.kind = CHANGE_UNKNOWN, .ordinal = ordinal, .record = {in.data, size}};
	return (int)size;
}

/* Written field by field, once: logins go through here for each change of the log. */
int index_change_decode(pop3_span in, struct index_change *ret)
{
	const unsigned char *p = (const unsigned char *)in.data;
	struct index_stamp stamp = {0};
	uint64_t words[5] = {0};
	enum index_kind kind;
	pop3_span id, name;
	uint16_t flags;
	size_t size, text;
	bool own, sized;
	int n;

	if (in.size < CHANGE_HEADER)
		return -1;
	kind = p[0];
	flags = le_get16(p + 8);
	size = le_get16(p + 10);
	own = kind != CHANGE_ADD || flags & INDEX_OWN_ID;
	text = p[2] + (own ? p[1] : 0u);
	if (size > in.size || size > INDEX_CHANGE_MAX)
		return -1;
	if (kind == 0 || kind > KIND_LAST)
		return unknown_decode(in, size, le_get32(p + 4), ret);
	n = words_of(kind);
	if (size != ((CHANGE_HEADER + 8 * (size_t)n + text + 7) & ~(size_t)7) ||
	    !flags_valid(kind, flags))
		return -1;
	if (kind == CHANGE_STAMP && stamp_decode(p + CHANGE_HEADER, &stamp) < 0)
		return -1;
	for (int i = 0; i < n && kind != CHANGE_STAMP; i++)
		words[i] = le_get64(p + CHANGE_HEADER + 8 * i);
	id = (pop3_span){in.data + CHANGE_HEADER + 8 * n, p[1]};
	name = (pop3_span){id.data + (own ? p[1] : 0), p[2]};
	if (!text_valid(kind, flags, id, name))
		return -1;
	sized = kind != CHANGE_NAME && kind != CHANGE_RETIRE;
	*ret = (struct index_change){
		.kind = kind,
		.ordinal = le_get32(p + 4),
		.flags = flags,
		.octets = sized ? words[0] : 0,
		.stored = words[1],
		.inode = kind == CHANGE_NAME ? words[0] : words[2],
		.old_octets = words[3],
		.old_stored = words[4],
		.id = id,
		.name = name,
		.directory = kind == CHANGE_STAMP ? flags : 0,
		.stamp = stamp,
		.position = kind == CHANGE_RETIRE ? words[0] : 0,
	};
	return (int)size;
}

uint32_t index_ordinal(const uint32_t *removed, size_t count, uint32_t number)
{
	size_t low = 0, high = count;

	/* removed[i] - i messages are left before removed[i], a number that never falls */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (removed[middle] - middle <= number - 1)
			low = middle + 1;
		else
			high = middle;
	}
	return number - 1 + (uint32_t)low;
}
