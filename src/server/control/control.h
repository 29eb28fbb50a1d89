/*
 * The process control of valijad: takes the commands of people from a Unix socket (client.h), asks
 * the auth processes of all generations, and passes on what they answer. It acts itself on nothing:
 * with each question goes the uid that the kernel names, and auth judges it. Unprivileged, without
 * files, without network.
 */
#ifndef SERVER_CONTROL_CONTROL_H
#define SERVER_CONTROL_CONTROL_H

#include "server/child.h"

extern const struct child_role control_role;

#endif
