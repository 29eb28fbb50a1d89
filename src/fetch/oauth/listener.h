/*
 * Waits for a provider's answer that a browser brings to 127.0.0.1, or a person pastes. For
 * browser.c, in the process of a person's command. Any program of this machine may connect: only an
 * answer with our state counts.
 */
#ifndef FETCH_OAUTH_LISTENER_H
#define FETCH_OAUTH_LISTENER_H

#include "base/err.h"
#include "fetch/oauth/redirect.h"

#include <stdint.h>

/* A listening socket on a port of 127.0.0.1 that the kernel chooses; -1. */
int listener_open(uint16_t *ret_port, struct err *err);
/* fd: of listener_open, or -1: pasted only. REDIRECT_CODE, REDIRECT_ERROR; -1: nothing came in
 * time. */
int listener_wait(int fd, const char *state, int64_t ms, struct redirect *ret, struct err *err);

#endif
