/* The root struct of an LMTP front; made and filled in by lmtp.c. */
#ifndef SERVER_LMTP_ROOT_H
#define SERVER_LMTP_ROOT_H

#include "lmtp/lmtp.h"
#include "server/front_frame.h"
#include "server/lmtp/spool.h"
#include "server/lmtp/stock.h"
#include "sys/workers.h"

struct lmtp_front {
	struct front_frame frame; /* first: frame_root */
	struct peer *auth;
	struct peer **keepers; /* places; NULL: free */
	uint32_t keeper_room;
	bool left_tidily; /* of the keeper that is gone now: it had no recipient, and gets none */
	struct spool memory, disk; /* room for messages in memory, and in files of the spool */
	struct stock stock;
	struct workers *workers; /* write to those files */
	struct loop_deadlines idle;
	struct lmtp_server_settings settings;
	char scratch[CONN_SCRATCH];
};

#endif
