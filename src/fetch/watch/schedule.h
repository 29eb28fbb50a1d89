/*
 * When an account is collected next, by how its last run ended. Pure; for watch.c. Each account has
 * a pause of its own, so that trouble with one server costs the others nothing.
 */
#ifndef FETCH_WATCH_SCHEDULE_H
#define FETCH_WATCH_SCHEDULE_H

#include "fetch/run.h"

#include <stdint.h>

enum watch_result {
	WATCH_NEVER,     /* not collected yet */
	WATCH_GOOD,      /* all that could be had is here */
	WATCH_PARTLY,    /* messages were left out, the others are here */
	WATCH_NETWORK,   /* no way to the server: tried again as soon as an address comes */
	WATCH_IN_USE,    /* another program holds the maildrop */
	WATCH_TOO_SOON,  /* [LOGIN-DELAY] */
	WATCH_TEMPORARY, /* the server or the destination cannot now */
	WATCH_LOGIN,     /* wrong password: servers ban those who go on trying */
	WATCH_CONSENT,   /* the token is not accepted: a person has to log in */
	WATCH_BROKEN,    /* settings, files, protocol: a person has to look */
	WATCH_RESULTS
};

struct watch_timing {
	enum watch_result result;
	unsigned failures;    /* in a row, this one among them; 0 behind a good run */
	uint32_t interval;    /* seconds */
	uint32_t login_delay; /* seconds between two logins, as the server announced; 0: none */
};

enum watch_result watch_result_of(const struct fetch_outcome *outcome);
/*
 * Milliseconds until the next run: the interval, or behind failures a time that doubles up to a
 * ceiling; never less than login_delay. random: 0 to UINT32_MAX, spreads it by a tenth.
 */
uint64_t watch_pause(const struct watch_timing *timing, uint32_t random);
/* In words for a person: "ok", "no network" … */
const char *watch_result_text(enum watch_result result);

#endif
