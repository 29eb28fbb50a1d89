/*
 * Commands of the LMTP machine, for lmtp.c alone.
 */
#ifndef LMTP_VERBS_PRIVATE_H
#define LMTP_VERBS_PRIVATE_H

#include "lmtp/lmtp.h"

/* Works on the complete line in server->line. Returns an event, or queues a reply, or both. */
enum lmtp_event_type lmtp_run_line(struct lmtp_server *server, struct lmtp_event *event);

#endif
