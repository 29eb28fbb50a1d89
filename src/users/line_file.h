/*
 * A file of lines that each have a checksum in front, in a folder of its own: the process logins
 * (server/logins) appends and rewrites, commands append and read. What a power cut, a full disk or
 * an intruder left behind is passed over, and the next line begins on its own. The file belongs to
 * a process that may be an intruder's: nothing in it is believed without a check, and it is opened
 * as what another user could have put there. What appends or rewrites holds a lock on the file.
 * Blocks on the disk; one thread a call. For the files of this folder.
 */
#ifndef USERS_LINE_FILE_H
#define USERS_LINE_FILE_H

#include "base/err.h"
#include "users/names.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum { LINE_FILE_LINE_MAX = 2048 }; /* octets of a line with its end */

struct line_file {
	const char *name; /* in its folder */
	const char *what; /* "the file of last logins" */
	uint64_t max;     /* octets of it */
};

/* ---- lines ---- */

/* Where a line's words go, behind the room for its checksum. */
char *line_words(char *buf);
/* Writes the name, of which no octet is a blank. Returns its end. */
char *line_put_name(char *to, const char *name);
/* Puts the checksum in front of what is in buf up to end, and a line end and NUL behind it. Returns
 * the size of the line. */
size_t line_finish(char *buf, char *end);
/* The words of a line without its end. -1: its checksum is another one. */
int line_begin(pop3_span line, pop3_span *ret);
/* Takes what is in front of the next blank. */
pop3_span line_take_word(pop3_span *rest);
/* What line_put_name has written. -1: it is none. */
int line_take_name(pop3_span word, char name[USER_NAME_MAX + 1]);

/* ---- the file ---- */

/* Appends whole lines. make: a file that is not there is made; else nothing is done. sync: they are
 * on the disk when 0 is returned. first: the line that a new file begins with; may be empty.
 * ret_size: of the file, afterwards; may be NULL. */
struct line_append {
	pop3_span lines, first;
	bool make, sync;
};
int line_file_append(const struct line_file *file, int folder_fd, const struct line_append *append,
		     uint64_t *ret_size, struct err *err);
/* Calls visit for each line that has an end, in order, without it. No file: for none. */
typedef void line_visit(void *context, pop3_span line);
int line_file_each(const struct line_file *file, int folder_fd, line_visit *visit, void *context,
		   struct err *err);
/* Shows each line with its number, from 1, to note, then leaves those that keep wants. note: -1:
 * nothing is done. At any moment either the old file or the new one is there, whole. Nothing is
 * done if there is none. */
struct line_sieve {
	int (*note)(void *context, pop3_span line, uint64_t number);
	bool (*keep)(void *context, pop3_span line, uint64_t number);
	void *context;
};
int line_file_rewrite(const struct line_file *file, int folder_fd, const struct line_sieve *sieve,
		      uint64_t *ret_size, struct err *err);

#endif
