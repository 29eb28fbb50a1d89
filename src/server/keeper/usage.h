/* Whether a maildrop is over its quota: for LMTP, and for auth, which answers an MTA before that
 * takes a message. On the keeper's loop. */
#ifndef SERVER_KEEPER_USAGE_H
#define SERVER_KEEPER_USAGE_H

#include "server/keeper/place.h"

/* Whether mail of size octets more (0: not known) is beyond quota. */
bool keeper_over_quota(const struct maildrop_quota *quota, const struct maildrop_usage *usage,
		       uint64_t size);
/* The reason of a refusal for it: of one that passes, or for good, as the site has it. */
enum reason keeper_over_quota_reason(const struct keeper *keeper);
/* A question of auth. */
void keeper_usage(struct peer *auth, const struct ipc_usage *message);

#endif
