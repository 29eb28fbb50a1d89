/* The root struct of an LMTP front; made and filled in by lmtp.c. */
#ifndef SERVER_LMTP_ROOT_H
#define SERVER_LMTP_ROOT_H

#include "lmtp/lmtp.h"
#include "server/front_frame.h"

struct lmtp_front {
	struct front_frame frame; /* first: frame_root */
	struct peer *auth;
	struct peer **keepers; /* places; NULL: free */
	uint32_t keeper_room;
	bool left_tidily; /* of the keeper that is gone now: it had no recipient, and gets none */
	uint64_t spooled, spool_max; /* octets of messages in memory now */
	struct loop_deadlines idle;
	struct lmtp_server_settings settings;
	char scratch[CONN_SCRATCH];
};

#endif
