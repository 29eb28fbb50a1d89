/* The user's units that collect (dist/systemd/user): a timer each ten minutes, or a daemon. */
#ifndef FETCH_SETUP_UNIT_H
#define FETCH_SETUP_UNIT_H

#include "base/err.h"

#define UNIT_TIMER "valija-fetch.timer"
#define UNIT_DAEMON "valija-fetch-watch.service"

/* Switches a unit on, and the other one off, by systemctl. */
int unit_enable(const char *unit, struct err *err);

#endif
