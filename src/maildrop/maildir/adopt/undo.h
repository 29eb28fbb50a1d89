/* Undo of an adoption (adopt.h): a Maildir becomes the other server's again. For bring.c. */
#ifndef MAILDROP_MAILDIR_ADOPT_UNDO_H
#define MAILDROP_MAILDIR_ADOPT_UNDO_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/maildir/files/place.h"

/*
 * Takes back what maildir_adopt wrote, where no session and no delivery of ours was since. Where
 * one was, and server is Dovecot, Dovecot's list in the folder control gets our ids (give_back.h),
 * also that of a maildrop that was always ours; for other servers nothing is done. *ret is set in
 * any case.
 */
enum maildrop_status maildir_adopt_undo(struct maildir_place *place, int control,
					enum origin_server server, bool dry_run,
					struct undo_report *ret, struct err *err);

#endif
