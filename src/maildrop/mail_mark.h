/*
 * The mark of a mail root: a small file in it with a random id. An empty mount point has none, so
 * it tells the filesystem of the mail from the folder beneath. Written by `valija init`, `valija
 * mark` and the monitor of an upgrade; read by whoever makes maildrops, through the descriptor of
 * the root. Format: docs/maildrop-format.md.
 */
#ifndef MAILDROP_MAIL_MARK_H
#define MAILDROP_MAIL_MARK_H

#include "base/err.h"
#include "maildrop/syscalls.h"

#include <stdbool.h>

#define MAIL_MARK_NAME ".valija-root"
#define MAIL_MARK_SIZE 33 /* octets of an id, with its NUL */

/* The mark of the root. -1: it has none that counts: a regular file of root or of the root's owner,
 * of the right form. */
int mail_mark_read(const struct maildrop_syscalls *sys, int root_fd, char ret[MAIL_MARK_SIZE]);
/* Gives the root a mark, on the disk when 0 is returned, in place of one that does not count. One
 * that counts stays. */
int mail_mark_write(int root_fd, char ret[MAIL_MARK_SIZE], struct err *err);
/* Is that an id? Only hexadecimal digits, MAIL_MARK_SIZE - 1 of them. */
bool mail_mark_valid(const char *id, size_t size);
/* Has a maildrop with a lock file, which only this software makes, been found in the root? Looks
 * at a few thousand folders, three levels deep; symbolic links are not followed. */
bool mail_mark_earned(int root_fd);

#endif
