/* The commands "ban add", "ban force", "ban del" and "ban list" of the control protocol
 * (docs/control.md), and a page of the monitor's as its lines. No I/O. Every octet of a line is
 * hostile. */
#ifndef SERVER_CONTROL_BAN_H
#define SERVER_CONTROL_BAN_H

#include "ipc/messages.h"

/* line: what stands behind "ban ". Fills in what the person says, and why, a part of the line.
 * Returns NULL, or the reason why it is no command. */
const char *ban_parse(pop3_span line, struct ipc_ban *ret, pop3_span *ret_why);
/* The rows of a page as lines, in memory of their own. NULL: there is none left. The last network
 * goes into ask, so that the next page begins behind it. */
char *ban_render(const struct ipc_ban_page *page, struct ipc_ban *ask, size_t *ret_size);
/* Rows of auth's as lines: "penalty", network, failures, seconds since the last one, milliseconds
 * that the next one waits. NULL: no memory. */
char *penalties_render(const struct ipc_penalty_page *page, size_t *ret_size);
/* The words for a person in front of an answer that is no page; NULL: it is one. */
const char *ban_refusal(const struct ipc_ban_page *page);

#endif
