/*
 * The journal of deletions beside a maildrop, valija-deleted (docs/maildrop-format.md): a line for
 * each message that somebody deleted. Keepers append to it, without a flush; commands read it. Its
 * owner may have put anything in its place, so nothing in it is believed without a check. With the
 * rights of the maildrop's owner, in any thread.
 */
#ifndef MAILDROP_DELETED_H
#define MAILDROP_DELETED_H

#include "base/err.h"
#include "maildrop/syscalls.h"

#include <pop3/client.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define DELETED_FILE "valija-deleted"
#define DELETED_OLD DELETED_FILE ".1" /* what was written before it */

enum {
	DELETED_LABEL_MAX = 32,
	DELETED_ROTATED = 1 << 20,   /* octets after which another file is begun */
	DELETED_FILE_MAX = 32 << 20, /* a longer one is read no further */
	DELETED_LINE_MAX = 320,      /* with line feed and NUL */
};

enum deleted_what {
	DELETED_BY_SESSION, /* QUIT */
	DELETED_RESTORED,   /* it was kept, and was brought back: by says by whom */
	DELETED_EXPIRED,    /* too old: retention.delete_after */
	DELETED_KINDS
};

/* A session that deletes. */
struct deleted_by {
	uint64_t front, session;           /* as in the log; front 0: nobody knows */
	uint8_t address[16];               /* IPv4 mapped; all zero: nobody knows */
	char label[DELETED_LABEL_MAX + 1]; /* of an app password; "": none */
};

struct deleted {
	enum deleted_what what;
	uint64_t time; /* seconds */
	struct deleted_by by;
	uint64_t stored, inode;
	char id[POP3_UNIQUE_ID_MAX + 1];
};

/* Words for a person; buf has DELETED_TEXT_MAX octets. "-": nobody knows. */
enum { DELETED_TEXT_MAX = 64 };
const char *deleted_session(const struct deleted_by *by, char *buf);
const char *deleted_address(const struct deleted_by *by, char *buf);
const char *deleted_word(enum deleted_what what);

/* Writes a line with its line feed, and a NUL; returns its size without that. */
size_t deleted_print(const struct deleted *deleted, char buf[DELETED_LINE_MAX]);
/* line: without its line feed. -1: it is none. */
int deleted_parse(pop3_span line, struct deleted *ret);

/*
 * Appends lines to the journal in the folder dir. begins: the first lines of a session; a long
 * journal is put aside before them. The caller holds the lock of the maildrop's log. -1 with errno:
 * some of them may be there.
 */
int deleted_append(const struct maildrop_syscalls *sys, int dir, pop3_span lines, bool begins);
/* Calls each with each line, the oldest first; there may be none. what is not a line is passed
 * over. -1 with err: cannot be read. */
int deleted_each(const struct maildrop_syscalls *sys, int dir,
		 void (*each)(void *context, const struct deleted *deleted), void *context,
		 struct err *err);

#endif
