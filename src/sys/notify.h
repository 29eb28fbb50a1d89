/*
 * Messages to a service manager that speaks systemd's protocol (sd_notify(3)): one datagram a
 * message, to the socket that $NOTIFY_SOCKET names. Without a service manager nothing happens. In
 * the monitor and in the parent of valija fetch --watch; nothing here allocates or blocks.
 */
#ifndef SYS_NOTIFY_H
#define SYS_NOTIFY_H

#include <stdint.h>

/* Sends assignments, one a line, such as "READY=1\nSTATUS=serving". Returns 0 when they were sent,
 * 1 when nobody asked for them, and -1 with errno when the socket cannot be reached. */
int notify_send(const char *assignments);
/* The same with RELOADING=1 and the time that Type=notify-reload wants with it. */
int notify_reloading(void);
/* Milliseconds within which the service manager wants WATCHDOG=1 again and again; 0: it does not.
 */
uint64_t notify_watchdog_ms(void);

#endif
