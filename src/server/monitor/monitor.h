/*
 * The monitor: binds, opens, starts, restarts and drains the others; never reads from a network,
 * never opens a message. Stays root when started as root, so it is kept small.
 *
 * monitor.c: signals, reading the configuration. generation.h: the processes of one configuration.
 * slot.h: the place of one process. files.h: what was opened for children; briefing.h: what each is
 * given. listeners.h: sockets. ../certificates.h: PEM files.
 */
#ifndef SERVER_MONITOR_MONITOR_H
#define SERVER_MONITOR_MONITOR_H

#include "base/err.h"

/* Runs until SIGTERM or SIGINT. Returns a sysexits code. */
int monitor_run(const char *config_file);
/* valijad -t: everything that a start would check, without starting. */
int monitor_check(const char *config_file);

#endif
