/*
 * The line that the service manager shows of a valijad that serves ("systemctl status"), from the
 * counters of its processes: how many sessions there are, logins a second, when the first
 * certificate ends. Runs in the monitor. Counters are a child's: a lie in them is a wrong figure in
 * that line, no more.
 */
#ifndef SERVER_MONITOR_STATUS_LINE_H
#define SERVER_MONITOR_STATUS_LINE_H

#include "server/monitor/pages.h"

#include <stddef.h>
#include <stdint.h>

struct status_line {
	uint64_t logins, since; /* those at the last line, and its time; 0: there was none */
};

/* Writes "3 sessions, 0.5 logins a second, first certificate until 2027-02-01". now: milliseconds
 * that never go back. */
void status_line_write(struct status_line *line, const struct pages *pages, uint64_t now, char *buf,
		       size_t size);

#endif
