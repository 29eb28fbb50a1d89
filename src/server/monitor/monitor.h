/*
 * The monitor: opens files and sockets, starts, restarts and drains the other processes; it never
 * reads from a network and never opens a message. It stays root when started as root, so it is kept
 * small: monitor.c (signals, reload, stop), generation.c, members.c and slot.c (children), demand.c
 * and owners.c (keepers on demand), health.c (children that hang), briefing.c and files.c (what
 * children get), locations.c (the register of maildrops), root_watch.c (where the mail folder is),
 * listeners.c (sockets), log_pipe.c, logbook.c and log_sink.c (the log), upgrade.c, state.c,
 * handover.c and adopt.c (another program goes on). check.c and running.c are `valijad -t`.
 */
#ifndef SERVER_MONITOR_MONITOR_H
#define SERVER_MONITOR_MONITOR_H

#include "base/err.h"

/* Runs until SIGTERM or SIGINT. name: argv[0]. Returns a code of sysexits.h. */
int monitor_run(const char *name, const char *config_file);
/* The same in a process that was a monitor before, of which state_fd has the state (upgrade.h). */
int monitor_resume(const char *name, const char *config_file, int state_fd);
/* `valijad -t`: tries what a start does. Prints "FILE: good", or what is wrong. Returns an exit
 * code. state_fd: of the monitor that would become this program; -1: none. */
int monitor_check(const char *config_file, int state_fd);

#endif
