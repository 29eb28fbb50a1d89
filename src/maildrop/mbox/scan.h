/*
 * Finds the messages of an mbox, octet by octet as stored: where each begins and ends, what it is
 * on the wire, the digest of its headers. A message ends before an empty line and a "From " line
 * with a plausible date, or where its Content-Length says, if such a line (or the end of the file)
 * is there. The result does not depend on how the octets are cut into pieces. No I/O of its own, no
 * allocation; every octet is hostile.
 */
#ifndef MAILDROP_MBOX_SCAN_H
#define MAILDROP_MBOX_SCAN_H

#include "base/digest.h"

#include <pop3/message.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MBOX_DIGEST 16u /* octets of SHA-256 that are kept */

struct mbox_message {
	uint64_t start; /* of its "From " line in the file */
	uint64_t head;  /* octets of its headers, with the empty line behind them */
	uint64_t
		stored; /* octets behind the "From " line, without the empty line before the next */
	uint64_t octets;    /* on the wire, without hidden headers */
	uint32_t from_size; /* octets of its "From " line */
	bool hides;         /* has hidden headers */
	bool pseudo;        /* c-client's message of its own, which is nobody's mail */
	unsigned char digest[MBOX_DIGEST]; /* of the headers that no program changes */
};

/* First octet behind a message. */
static inline uint64_t mbox_message_end(const struct mbox_message *m)
{
	return m->start + m->from_size + m->stored;
}

struct mbox_scan_user {
	void *context;
	void (*found)(void *context, const struct mbox_message *message);
	/* Octets of the file from there on: how many, up to n; fewer only at its end (or where it
	 * cannot be read). */
	size_t (*peek)(void *context, uint64_t offset, char *buf, size_t n);
};

enum mbox_scan_state {
	MBOX_SCAN_BEGIN,     /* of the file: empty lines, then a "From " line */
	MBOX_SCAN_FROM,      /* a "From " line, which is known to be one */
	MBOX_SCAN_HEAD,      /* a line of the headers begins */
	MBOX_SCAN_HEAD_LINE, /* inside of one */
	MBOX_SCAN_BODY,
	MBOX_SCAN_BODY_LENGTH, /* up to what a Content-Length says */
	MBOX_SCAN_LENGTH_END,
	MBOX_SCAN_NO_MBOX, /* the file does not begin with a "From " line */
};

/* Embedded by the caller. */
struct mbox_scan {
	struct mbox_scan_user user;
	enum mbox_scan_state state;
	uint64_t at; /* offset in the file of the next octet */
	/* of the message that is being read */
	struct mbox_message message;
	uint64_t body, length_end;
	uint64_t length; /* of its Content-Length */
	bool has_length, hidden_line, digested_line, folder_data, x_imap;
	struct pop3_counter counter;
	struct digest digest;
};

/* offset: where the scan begins: 0, or a "From " line. */
void mbox_scan_init(struct mbox_scan *scan, const struct mbox_scan_user *user, uint64_t offset);
/*
 * Takes the octets that follow at scan->at; last: the file ends with them. Returns how many it has
 * taken; the others come again, with more behind them: give it at least 2 * MBOX_LOOK, or last.
 * Afterwards scan->state is MBOX_SCAN_NO_MBOX if that is no mbox.
 */
size_t mbox_scan_feed(struct mbox_scan *scan, pop3_span octets, bool last);

#endif
