/*
 * The process mta of valijad: an MTA asks it who may send mail (sasl.h), whose mail is taken
 * here (map.h), and whether there is room for it (policy.h). It has the sockets, and passes each
 * question on to auth; it keeps no secret, and nothing that it says opens a maildrop. Unprivileged,
 * without files.
 */
#ifndef SERVER_MTA_MTA_H
#define SERVER_MTA_MTA_H

#include "server/child.h"

extern const struct child_role mta_role;

#endif
