/*
 * A file of one line in a mail root that says something of its mail: the mark, the kind of its
 * maildrops, the origin of their ids. It counts if it is a regular file of root or of the root's
 * owner. The writer may be root in a folder of somebody else: names are never followed as links,
 * and what is removed or renamed is that folder's own, which its owner could do, too.
 */
#ifndef MAILDROP_MAIL_LINE_H
#define MAILDROP_MAIL_LINE_H

#include "maildrop/syscalls.h"

enum { MAIL_LINE_MAX = 320 }; /* octets, with the NUL or line feed behind them */

/* Results below 0 of mail_line_read. */
enum {
	MAIL_LINE_FAILED = -1, /* errno; ENOENT: there is none */
	MAIL_LINE_NOT_OURS = -2,
	MAIL_LINE_NO_LINE = -3, /* without its end, or longer than asked for */
};
/* Reads the line into ret, of size octets, MAIL_LINE_MAX at most, and puts a NUL behind it. Returns
 * its octets, or a result below 0. */
ssize_t mail_line_read(const struct maildrop_syscalls *sys, int root_fd, const char *name,
		       char *ret, size_t size);

/* Results below 0 of mail_line_write, with errno. */
enum {
	MAIL_LINE_NOT_MADE = -1,
	MAIL_LINE_NOT_WRITTEN = -2, /* what was there before is there still */
	MAIL_LINE_NOT_KEPT = -3,    /* it is there; a power cut may take it away */
};
/* Writes the file, readable for all whatever the umask, in the place of an earlier one; on the disk
 * when 0 is returned. line: without line feed, shorter than MAIL_LINE_MAX. */
int mail_line_write(int root_fd, const char *name, const char *line);

#endif
