/*
 * The report of auth on its users, databases and connections, in pages of lines for the process
 * control: the truth of the moment, a few hundred things at most in a turn. On auth's loop.
 */
#ifndef SERVER_AUTH_REPORT_H
#define SERVER_AUTH_REPORT_H

#include "ipc/messages.h"

struct peer;

/* Answers with one page. The person's uid or gid must be one of those that the monitor named. */
void auth_report(struct peer *control, const struct ipc_ask *ask);

#endif
