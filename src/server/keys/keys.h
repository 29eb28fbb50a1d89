/*
 * The process that has the private keys of the site: it signs for TLS handshakes of POP3 fronts,
 * and does nothing else. Unprivileged, without network and files; the requests are hostile.
 */
#ifndef SERVER_KEYS_KEYS_H
#define SERVER_KEYS_KEYS_H

#include "server/child.h"

extern const struct child_role keys_role;

#endif
