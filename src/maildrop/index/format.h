/*
 * The octets of the index: base blocks and records, delta frames and changes (the format is in
 * docs/maildrop-format.md). Pure functions between structs and little-endian octets; decoders check
 * every field, for any user may have written the file. No I/O, no allocation.
 */
#ifndef MAILDROP_INDEX_FORMAT_H
#define MAILDROP_INDEX_FORMAT_H

#include <pop3/client.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define INDEX_BLOCK 4096u
#define INDEX_PAYLOAD (INDEX_BLOCK - 4) /* the last four octets are the block's CRC-32C */
#define INDEX_RECORD 32u
#define INDEX_BLOCK_RECORDS (INDEX_PAYLOAD / INDEX_RECORD)
#define INDEX_BLOCK_HASHES (INDEX_PAYLOAD / 4)
#define INDEX_COUNT_MAX (1u << 24)
#define INDEX_NAME_MAX 255
#define INDEX_TEXT_MAX (POP3_UNIQUE_ID_MAX + INDEX_NAME_MAX)
#define INDEX_NO_ORDINAL UINT32_MAX
/* Returned instead of -1: no damage, but a later version of the format, which must stay as it is.
 */
#define INDEX_NEWER (-2)

enum index_directory { INDEX_NEW, INDEX_CUR, INDEX_DIRECTORIES };

/* Trust in a directory's time as a sign that its contents are the same. */
enum index_trust {
	TRUST_NONE,    /* changed too shortly before it was read: look again */
	TRUST_ASSUMED, /* only our own changes since it was read, as far as we know */
	TRUST_SURE,    /* read when the filesystem's clock had already passed it */
};

struct index_stamp {
	uint64_t inode;
	int64_t seconds; /* the directory's ctime */
	uint32_t nanoseconds;
	uint8_t trust;
	int64_t scanned; /* the filesystem's clock when all its entries were last read */
};

struct index_header {
	uint64_t id; /* random; the delta that belongs to this base carries it too */
	uint32_t count;
	uint32_t text_blocks;
	uint64_t octets, stored;  /* totals */
	uint32_t in_new, own_ids; /* how many records carry that flag */
	uint32_t verified; /* records below have counted octets in spite of INDEX_UNVERIFIED */
	uint32_t unverified_end; /* no record from here on has INDEX_UNVERIFIED */
	struct index_stamp stamps[INDEX_DIRECTORIES];
};

enum index_flags {
	INDEX_IN_NEW = 1,     /* in new/, else in cur/ */
	INDEX_UNVERIFIED = 2, /* octets are a claim of the file's name: count before serving */
	INDEX_WIRE_FORM = 4,  /* stored form is the wire form and no line begins with "." */
	INDEX_OWN_ID = 8,     /* the unique id is not the beginning of the name: text holds both */
	INDEX_WAS_NEW = 16,   /* of a NAME change: was in new/ before */
	/* other bits have a meaning for later versions: kept, and never looked at */
};

/* The folder that a message with these flags is in. */
static inline enum index_directory index_directory_of(uint16_t flags)
{
	return flags & INDEX_IN_NEW ? INDEX_NEW : INDEX_CUR;
}

struct index_record {
	uint64_t octets, stored, inode;
	uint32_t text; /* in the text part, counted in octets of whole blocks */
	uint8_t id_size, name_size;
	uint16_t flags;
};

enum index_kind {
	CHANGE_UNKNOWN,  /* any kind of a later version: skipped, but kept */
	CHANGE_ADD,      /* a message; its ordinal is the next one */
	CHANGE_DEL,      /* deleted by its owner: data */
	CHANGE_GONE,     /* vanished by other hands */
	CHANGE_NAME,     /* has another name, directory or inode now */
	CHANGE_SIZE,     /* has other sizes or flags than was thought */
	CHANGE_STAMP,    /* a directory's time */
	CHANGE_RETIRE,   /* the files of all DELs before `position` are gone for good */
	CHANGE_VERIFIED, /* octets of all messages below `ordinal` were counted */
	CHANGE_FLUSHED,  /* base, delta and their names are on the disk */
};

struct index_change {
	enum index_kind kind;
	uint32_t ordinal;
	uint16_t flags;
	uint64_t octets, stored, inode;  /* ADD, DEL, GONE (as counted till then), NAME: inode */
	uint64_t old_octets, old_stored; /* SIZE */
	pop3_span id, name;              /* ADD; NAME: name; DEL: name = unique part */
	enum index_directory directory;  /* STAMP */
	struct index_stamp stamp;
	uint64_t position; /* RETIRE */
	pop3_span record;  /* UNKNOWN: all its octets */
};

#define INDEX_CHANGE_MAX 384u /* octets of one change */

#define INDEX_DELTA_HEADER 32u
#define INDEX_FRAME_HEADER 16u
#define INDEX_FRAME_MAX 32768u /* with its header */

struct index_frame {
	uint32_t size; /* of the changes in it */
	bool first;    /* begins a group of frames, which counts whole or not at all */
	bool more;     /* the next frame belongs to the same group */
};

/* Block 0 of the base, CRC included. decode: -1 damaged, INDEX_NEWER. */
void index_header_encode(const struct index_header *header, unsigned char block[INDEX_BLOCK]);
int index_header_decode(const unsigned char block[INDEX_BLOCK], struct index_header *ret);
/* Parts of the base behind block 0: records, then a hash of each unique part, then texts. */
uint64_t index_record_blocks(uint32_t count);
uint64_t index_hash_blocks(uint32_t count);
/* Of a unique part: finds a message by its name without reading all names. Not secret, not strong:
 * two names with one hash are possible, so a finder compares the names too. */
uint32_t index_hash(pop3_span unique);

void index_block_seal(unsigned char block[INDEX_BLOCK], uint64_t id, uint64_t number);
bool index_block_good(const unsigned char block[INDEX_BLOCK], uint64_t id, uint64_t number);

void index_record_encode(const struct index_record *record, unsigned char out[INDEX_RECORD]);
int index_record_decode(const unsigned char in[INDEX_RECORD], struct index_record *ret);

/* decode: -1 damaged, INDEX_NEWER. */
void index_delta_header_encode(uint64_t id, unsigned char out[INDEX_DELTA_HEADER]);
int index_delta_header_decode(const unsigned char in[INDEX_DELTA_HEADER], uint64_t *ret_id);

/* The frame's header for the payload behind it; position is the frame's in the file. */
void index_frame_seal(unsigned char *frame, const struct index_frame *fields, uint64_t id,
		      uint64_t position);
/* Only the fields. -1: no frame. */
int index_frame_decode(const unsigned char in[INDEX_FRAME_HEADER], struct index_frame *ret);
bool index_frame_good(const unsigned char *frame, uint32_t size, uint64_t id, uint64_t position);

/* Returns octets written, at most INDEX_CHANGE_MAX. An UNKNOWN one is written as it was read, but
 * for its ordinal. */
size_t index_change_encode(const struct index_change *change, unsigned char *out);
/* Returns octets taken, or -1. Spans point into in. */
int index_change_decode(pop3_span in, struct index_change *ret);

bool index_id_valid(pop3_span id);
bool index_name_valid(pop3_span name); /* 1-255 octets, no "/", no NUL, not beginning with "." */

/* Message number (from 1) → ordinal, where those ordinals are removed: sorted, each once. */
uint32_t index_ordinal(const uint32_t *removed, size_t count, uint32_t number);

#endif
