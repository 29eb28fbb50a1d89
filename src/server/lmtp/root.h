/* The root struct of an LMTP front; made and filled in by lmtp.c. */
#ifndef SERVER_LMTP_ROOT_H
#define SERVER_LMTP_ROOT_H

#include "lmtp/lmtp.h"
#include "server/front_frame.h"
#include "server/lmtp/spool.h"

enum { LMTP_KEEPERS_MAX = 64 };

struct lmtp_front {
	struct front_frame frame; /* first: frame_root */
	struct peer *auth;
	struct peer *keepers[LMTP_KEEPERS_MAX]; /* places; NULL: free */
	struct spool spool;                     /* of messages in memory */
	struct loop_deadlines idle;
	struct lmtp_server_settings settings;
	char scratch[CONN_SCRATCH];
};

#endif
