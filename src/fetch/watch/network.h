/* The kernel's news of addresses (rtnetlink): a machine that comes back to a network. */
#ifndef FETCH_WATCH_NETWORK_H
#define FETCH_WATCH_NETWORK_H

#include "base/err.h"

#include <stdbool.h>

/* A non-blocking descriptor that is readable when addresses came or went. -1. */
int watch_network_open(struct err *err);
/* Takes all news. True: an address that can be used came; also when news were lost. */
bool watch_network_came(int fd);

#endif
