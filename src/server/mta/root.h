/* The root struct of mta; made and filled in by mta.c. */
#ifndef SERVER_MTA_ROOT_H
#define SERVER_MTA_ROOT_H

#include "server/front_frame.h"

struct mta {
	struct front_frame frame; /* first: frame_root */
	struct peer *auth;        /* NULL: it is being started */
	struct table exchanges;   /* key: the number of its session at auth */
	uint64_t last_number;
	unsigned unanswered;  /* requests at auth that use a credit */
	size_t exchanges_max; /* at a time; auth takes no more of one process */
	bool starved;         /* a connection waits for a credit, or an exchange */
	bool offered;         /* mechanisms are known */
	char mechanisms[IPC_TEXT_MAX + 1];
	uint32_t last_connection;
	struct ipc_uids peers;  /* who is believed */
	struct table questions; /* of question.c; key: the number at auth */
	struct loop_deadlines answer, idle, client, map, policy;
};

#endif
