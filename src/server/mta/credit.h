/* Requests at auth: mta may have a bounded number unanswered, and a bounded number of exchanges.
 * Connections that find none free wait. On mta's loop. */
#ifndef SERVER_MTA_CREDIT_H
#define SERVER_MTA_CREDIT_H

#include "server/mta/root.h"

/* False: the caller's connection is woken when there is one. */
bool mta_has_credit(struct mta *mta);
/* Wakes connections that wait for a request or an exchange that is free now. */
void mta_go_on(struct mta *mta);
/* Wakes all connections. */
void mta_wake_all(struct mta *mta);

#endif
