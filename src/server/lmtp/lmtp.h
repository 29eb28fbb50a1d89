/*
 * The front of LMTP: a process of its own, so that a broken POP3 front sees no incoming mail. It
 * asks auth for each recipient's keepers and hands each message to them. Unprivileged, without
 * files; everything from clients is hostile.
 */
#ifndef SERVER_LMTP_LMTP_H
#define SERVER_LMTP_LMTP_H

#include "server/child.h"

extern const struct child_role lmtp_role;

#endif
