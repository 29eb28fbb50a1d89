/*
 * Connections of an MTA that asks who may send mail: lines of Dovecot's auth protocol (version 1)
 * become exchanges (sasl_exchange.h). The greeting is sent before the client says anything: some
 * clients wait for it. On mta's loop; what comes is hostile, but for what a believed peer says of
 * its own client: the address and whether there is TLS.
 */
#ifndef SERVER_MTA_SASL_H
#define SERVER_MTA_SASL_H

#include "server/mta/root.h"

void sasl_session_start(struct front_frame *frame, int *fd, const struct accepted *from);
void sasl_session_end_idle(struct front_frame *frame, struct client *client);
bool sasl_session_may_give_way(const struct client *client);
void sasl_session_give_way(struct client *client);

#endif
