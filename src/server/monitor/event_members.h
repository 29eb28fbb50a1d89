/*
 * The members of a JSON object as a child writes them ("event":"login","seconds":3): whether they
 * are that and nothing more. In the monitor; no I/O, no memory. Every octet is hostile.
 */
#ifndef SERVER_MONITOR_EVENT_MEMBERS_H
#define SERVER_MONITOR_EVENT_MEMBERS_H

#include <pop3/span.h>

#include <stdbool.h>

/* Names and values as server/record_form.c makes them: strings of printable ASCII, and numbers,
 * beginning with "event". The object's head of the monitor's own (v, time, process) is none of its
 * names. */
bool event_members_valid(pop3_span members);

#endif
