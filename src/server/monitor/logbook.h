/*
 * The log of valijad: lines of all processes, each with the name and pid that the monitor knows, go
 * to the monitor's standard error or elsewhere (log_sink.h). Runs in the monitor, as root when that
 * is root, on its loop; one thread of its own writes.
 *
 * No process waits for the log. A child writes into a pipe of its own, non-blocking (base/log.h);
 * what it writes is hostile: only a level in its fixed place is believed, everything else is text
 * of that child, one line at a time. The monitor puts lines into a bounded buffer, which the thread
 * writes. While the buffer is nearly full, pipes are not read, so that a child that floods the log
 * loses its own lines, not those of others. Lost lines are counted, and the count is logged.
 *
 * Why a thread: standard error may be a pipe, a terminal or a file on a disk that hangs, shared
 * with other programs. O_NONBLOCK would change it for them too, and has no effect on a file.
 */
#ifndef SERVER_MONITOR_LOGBOOK_H
#define SERVER_MONITOR_LOGBOOK_H

#include "base/err.h"
#include "base/log.h"
#include "server/monitor/log_sink.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

/* The log, and beside it the file or socket of events, a JSON object a line (docs/events.md): a
 * book each, with a thread of its own. */
enum logbook { LOGBOOK_LOG, LOGBOOK_EVENTS, LOGBOOKS };

/* From here on what the monitor itself logs goes through the buffer. */
int logbook_open(const char *name, struct err *err);
/* Lines that come from now on go there, after those that came before; the sink is taken. */
void logbook_use(struct log_sink *sink);
/* The same of events; a sink of kind NONE: they go nowhere. */
void logbook_use_events(struct log_sink *sink);
/* The log's file was renamed: opens one of its name again. */
void logbook_reopen(void);
/* Gives the thread a second to write what is left. */
void logbook_close(void);

/* One line: text is size octets, printable. who: "front0[123]". */
void logbook_add(enum log_level level, const char *who, const char *text, size_t size);
/* One event: the members of its object, and the brace behind them, size octets, checked. What finds
 * no room is lost and counted; nobody waits. */
void logbook_add_event(const char *who, const char *members, size_t size);
/* Many lines come now, from this thread: the other one is woken up behind the last of them. */
void logbook_bulk(bool begins);
/* Whether lines of children may be added now: there is room, and some is left for the monitor. */
bool logbook_has_room(void);

#endif
