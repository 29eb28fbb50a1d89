/* A Maildir gets the messages of a server that had them in another form, with their unique ids and
 * their order. For bring.c. */
#ifndef MAILDROP_MAILDIR_ADOPT_RECEIVE_H
#define MAILDROP_MAILDIR_ADOPT_RECEIVE_H

#include "maildrop/maildir/bring.h"
#include "maildrop/maildir/files/place.h"

/*
 * Copies the messages. All of them are on the disk in a folder beside cur before the ids are
 * written, and the ids before the first message is in cur: a call that was cut off can be repeated,
 * and no message ever has another id. Messages that are there already stay. dry_run: nothing is
 * written, each message is opened. ADOPT_OURS: it has them already. MAILDROP_IN_USE: a session has
 * the maildrop.
 */
enum maildrop_status maildir_receive_all(struct maildir_place *place,
					 const struct mail_origin *origin,
					 const struct maildir_incoming *incoming, bool dry_run,
					 struct adopt_report *ret, struct err *err);
/* Removes what was copied, where no session was since: otherwise UNDO_USED. */
enum maildrop_status maildir_receive_undo(struct maildir_place *place, enum origin_server server,
					  bool dry_run, struct undo_report *ret, struct err *err);

#endif
