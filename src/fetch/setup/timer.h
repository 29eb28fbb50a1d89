/* The user's timer that collects every ten minutes (dist/systemd/user). */
#ifndef FETCH_SETUP_TIMER_H
#define FETCH_SETUP_TIMER_H

#include "base/err.h"

/* Switches it on, by systemctl. */
int timer_enable(struct err *err);

#endif
