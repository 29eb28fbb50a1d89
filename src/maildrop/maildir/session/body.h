/*
 * One message of a session, opened.
 */
#ifndef MAILDROP_MAILDIR_SESSION_BODY_H
#define MAILDROP_MAILDIR_SESSION_BODY_H

#include "maildrop/maildir/session/session.h"

enum maildrop_status maildir_body(struct maildrop *maildrop, uint32_t number,
				  struct maildrop_body *ret, struct err *err);
enum maildrop_status maildir_body_now(struct maildrop *maildrop, uint32_t number,
				      struct maildrop_body *ret);

/* Its octets are not those that the index has: it is counted anew for the next session. */
bool maildir_body_wrong(struct maildrop *maildrop, uint32_t number, struct err *err);

#endif
