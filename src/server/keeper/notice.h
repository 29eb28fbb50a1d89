/*
 * Notices to users whose mailbox is nearly full: a message in it, when a delivery makes it pass 80
 * and 95 % of the quota. Nothing is remembered: who deletes, and fills it again, gets another. In a
 * worker of the keeper, in the lane of the maildrop.
 */
#ifndef SERVER_KEEPER_NOTICE_H
#define SERVER_KEEPER_NOTICE_H

#include "maildrop/maildrop.h"

/* before, after: a delivery to that maildrop. address: of the user. The notice itself counts for no
 * quota of this call. A failure is logged, and costs nothing else. */
void notice_if_passed(const struct maildrop_settings *settings, int mail_fd, const char *path,
		      const struct maildrop_quota *quota, const struct maildrop_usage *before,
		      const struct maildrop_usage *after, const char *address,
		      const char *host_name);

#endif
