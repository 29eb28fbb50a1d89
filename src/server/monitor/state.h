/*
 * The state of the monitor as a handover (handover.h) has it: written before the monitor becomes
 * another program, taken over afterwards. Runs in the monitor, as root when that is root;
 * state_check also in the trial of a new program.
 */
#ifndef SERVER_MONITOR_STATE_H
#define SERVER_MONITOR_STATE_H

#include "server/monitor/handover.h"

#include <stdbool.h>
#include <sys/types.h>

struct listeners;
struct monitor;

/* Whether all is in it that is under way: nothing waits to be sent, no job is done for a child. */
bool state_is_whole(struct monitor *m);
/* Children are not read, or are again. */
void state_hold(struct monitor *m, bool hold);
/* secrets: with the ticket keys. */
void state_write(const struct monitor *m, bool secrets, struct handover *ret);
/* Opens the state of the process pid, which runs with this one's rights. Returns 0, or -1 with
 * err. */
int state_open(int fd, pid_t pid, struct handover_reader *ret, struct err *err);
/* Of a trial: takes over the listeners alone; listeners_try knows then what need not be tried. */
void state_adopt_listeners(struct listeners *listeners, struct handover_reader *reader);
/* Takes over everything but the generations: the loop has to be there for those. */
void state_adopt(struct monitor *m, struct handover_reader *reader);
/* Then those. -1: there is no memory. */
int state_adopt_generations(struct monitor *m, struct handover_reader *reader, struct err *err);

#endif
