/*
 * Notices to users whose mailbox is nearly full: a message in it, when a delivery makes it pass 80
 * and 95 % of the quota. Nothing is remembered: who deletes, and fills it again, gets another. On a
 * keeper's loop.
 */
#ifndef SERVER_KEEPER_NOTICE_H
#define SERVER_KEEPER_NOTICE_H

#include "maildrop/maildrop.h"

#include <stddef.h>

enum { NOTICE_MAX = 2048 };

/* before, after: a delivery to that maildrop. address: of the user. Returns the octets of the
 * notice in ret, which says *ret_percent; 0: there is none. */
size_t notice_if_passed(const struct maildrop_quota *quota, const struct maildrop_usage *before,
			const struct maildrop_usage *after, const char *address,
			const char *host_name, char ret[NOTICE_MAX], unsigned *ret_percent);

#endif
