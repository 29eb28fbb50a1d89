/*
 * A generation at an upgrade (upgrade.h): its processes and files are handed to the program that
 * the monitor becomes, and adopted there. An adopted generation is served as before, though its
 * processes are of another version: it has its own program and its own configuration, sealed as its
 * processes know it, of which the monitor knows what the state says. Runs in the monitor, as root
 * when that is root; what processes send is hostile, in either version.
 */
#ifndef SERVER_MONITOR_ADOPT_H
#define SERVER_MONITOR_ADOPT_H

#include "server/monitor/generation.h"
#include "server/monitor/handover.h"

#include <stdbool.h>

/* Whether nothing is under way that a handover has no place for: packets that wait to be sent, jobs
 * for the register. What is to be flushed is flushed by asking. */
bool adopt_is_quiet(struct generation *generation);
/* Its processes are not read, or are again. */
void adopt_hold(struct generation *generation, bool hold);
void adopt_hand_on(struct generation *generation, struct handover *ret);
/* The generation of the next records. NULL: there is no memory. *ret_serving: it does not drain. */
struct generation *adopt_generation(struct generation_owner *owner, struct handover_reader *reader,
				    bool *ret_serving, struct err *err);

#endif
