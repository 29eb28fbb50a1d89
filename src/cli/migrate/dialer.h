/*
 * The process that dials: a program of its own with nothing of its parent's memory, confined as the
 * server's connector is. It reaches the one server that its order names, and no file but a
 * resolver's. See link.h. For the files of this folder.
 */
#ifndef CLI_MIGRATE_DIALER_H
#define CLI_MIGRATE_DIALER_H

#include "base/err.h"
#include "config/config.h"

#include <pop3/span.h>

#include <sys/types.h>

struct dialer_order {
	const struct config_remote *section;
	const char *path;  /* "SECTION/USER", for the log */
	const char *login; /* the name there */
	pop3_span secret;
};

/* Starts it; channel, the end of a pair of sockets, stays the caller's. Returns its pid, -1 with
 * err. */
pid_t dialer_start(const struct dialer_order *order, int channel, struct err *err);
/* The main of that process. Returns its exit code. */
int dialer_main(void);

#endif
