/*
 * The kind of the maildrops in a mail root, written down in it beside the mark: ".valija-store", a
 * line "maildir" or "mbox". A root without it has Maildirs. Written by `valija init` and `valija
 * mark`; read where the root is opened, through its descriptor, so that a login never chooses.
 * Format: docs/maildrop-format.md.
 */
#ifndef MAILDROP_MAIL_STORE_H
#define MAILDROP_MAIL_STORE_H

#include "base/err.h"
#include "maildrop/syscalls.h"

#define MAIL_STORE_NAME ".valija-store"

/* The kind (enum store_kind) that is written in the root. -1: none that counts: a regular file of
 * root or of the root's owner, with a known word. */
int mail_store_read(const struct maildrop_syscalls *sys, int root_fd);
/* Writes it, on the disk when 0 is returned. -1 with err. */
int mail_store_write(int root_fd, int kind, struct err *err);
/*
 * The kind of what is in a root: mboxes are files that begin with a line "From ", Maildirs are
 * folders. Where there is nothing: mboxes if the folder is one of group mail (the group may write
 * there, and files get it), else Maildirs. -1 with err: there are both, or it cannot be read.
 */
int mail_store_guess(int root_fd, struct err *err);
/* "maildir", "mbox"; -1: another word. */
int mail_store_of_word(const char *word);
const char *mail_store_word(int kind);

#endif
