/*
 * Postfix's policy service, asked before a message is taken: mail for a recipient whose mailbox is
 * full is refused, by the code and the words of LMTP; of everything else, and of all that is
 * doubtful, Postfix decides itself ("DUNNO"). On mta's loop; what comes is hostile.
 */
#ifndef SERVER_MTA_POLICY_H
#define SERVER_MTA_POLICY_H

#include "server/mta/root.h"

/* The deadlines of mta that questions use. */
void policy_init(struct mta *mta);
void policy_session_start(struct front_frame *frame, int *fd, const struct accepted *from);

#endif
