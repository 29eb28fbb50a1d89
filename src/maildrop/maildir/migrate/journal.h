/*
 * The journal of a maildrop that moves here: the unique ids that were ever copied, and the names of
 * their files. It is data: without it messages would be copied again. One line each, "CHECKSUM WORD
 * …"; the checksum (CRC-32C, 8 hex digits) is of what stands behind the blank. The text is parsed
 * here without I/O. For the files of this folder.
 */
#ifndef MAILDROP_MAILDIR_MIGRATE_JOURNAL_H
#define MAILDROP_MAILDIR_MIGRATE_JOURNAL_H

#include "base/err.h"
#include "maildrop/index/format.h"

#include <pop3/client.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	JOURNAL_SOURCE_MAX = 512,
	JOURNAL_UNIQUE_MAX = 200,
	JOURNAL_LINE_MAX = 16 + JOURNAL_SOURCE_MAX + JOURNAL_UNIQUE_MAX + POP3_UNIQUE_ID_MAX,
};

enum journal_word {
	JOURNAL_SOURCE, /* the first line: where the messages come from */
	JOURNAL_COPIED, /* id, unique part of its file */
	JOURNAL_GONE,   /* id: it went there before the switch */
	JOURNAL_WORDS
};

struct journal_line {
	enum journal_word word;
	pop3_span source, id, unique; /* those that the word has */
};

/* Writes a line with its end. Returns its size. */
size_t migrate_journal_print(const struct journal_line *line, char buf[JOURNAL_LINE_MAX]);
/*
 * Calls take with each line. *ret_good: octets of the text up to which lines are whole: what a
 * crash left behind them is nothing. -1 with err: a whole line stands behind one that is not, the
 * first is none of a source, or take failed.
 */
int migrate_journal_parse(pop3_span text,
			  int (*take)(void *context, const struct journal_line *line),
			  void *context, size_t *ret_good, struct err *err);

#endif
