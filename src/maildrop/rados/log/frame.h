/*
 * The frames of a maildrop's log in RADOS (docs/rados-format.md): pure functions between structs
 * and little-endian octets. The decoder checks every field: the object may have been written by
 * anyone who has the pool's key. No I/O, no allocation.
 */
#ifndef MAILDROP_RADOS_LOG_FRAME_H
#define MAILDROP_RADOS_LOG_FRAME_H

#include <pop3/client.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	DROP_ID = 16,      /* octets of a message's id, which is random */
	DROP_ID_TEXT = 33, /* as hex digits, with a NUL */
	DROP_FRAME_HEAD = 24,
	DROP_FRAME_ADD = 56, /* without a unique id */
	DROP_FRAME_MAX = DROP_FRAME_ADD + POP3_UNIQUE_ID_MAX,
};

enum drop_kind {
	DROP_ADD = 1,
	DROP_DEL = 2,
	/* others are of a later version: skipped, and kept */
};

enum drop_flags {
	DROP_WIRE_FORM = 1, /* the stored form is the wire form, and no line begins with "." */
			    /* other bits have a meaning for later versions */
};

struct drop_frame {
	enum drop_kind kind; /* or another number up to 255 */
	unsigned char id[DROP_ID];
	/* ADD */
	uint64_t octets, stored; /* on the wire; in the body's objects */
	uint64_t arrived;        /* seconds since 1970, by the writer's clock */
	uint32_t flags, body_crc;
	pop3_span unique_id; /* size 0: the id in hex digits */
};

/* Returns octets written, at most DROP_FRAME_MAX. Only ADD and DEL. */
size_t drop_frame_encode(const struct drop_frame *frame, unsigned char *out);
/* Returns octets taken; 0: damaged, or not whole. The span points into in. */
size_t drop_frame_decode(pop3_span in, struct drop_frame *ret);

#endif
