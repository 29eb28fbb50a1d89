/*
 * The monitor: opens files and sockets, starts, restarts and drains the other processes; it never
 * reads from a network and never opens a message. It stays root when started as root, so it is kept
 * small: monitor.c (signals, reload, stop), generation.c, members.c and slot.c (children), demand.c
 * and owners.c (keepers on demand), health.c (children that hang), briefing.c and files.c (what
 * children get), locations.c (the register of maildrops), root_watch.c (where the mail folder is),
 * listeners.c (sockets), log_pipe.c, logbook.c and log_sink.c (the log). check.c and running.c are
 * `valijad -t`.
 */
#ifndef SERVER_MONITOR_MONITOR_H
#define SERVER_MONITOR_MONITOR_H

#include "base/err.h"

/* Runs until SIGTERM or SIGINT. Returns a code of sysexits.h. */
int monitor_run(const char *config_file);
/* `valijad -t`: tries what a start does. Prints "FILE: good", or what is wrong. Returns an exit
 * code. */
int monitor_check(const char *config_file);

#endif
