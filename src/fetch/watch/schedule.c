/* See schedule.h. In the parent of --watch; the outcome was made by an account's own process and
 * may be anything. */
#include "fetch/watch/schedule.h"

#include <sysexits.h>

enum { MINUTE = 60, HOUR = 3600 };

/* Behind the first failure: the interval, not less and not more than these; then doubled up to the
 * ceiling, or to the interval if that is longer. Seconds. */
static const struct {
	uint32_t least, most, ceiling;
	const char *text;
} rules[WATCH_RESULTS] = {
	[WATCH_NEVER] = {0, UINT32_MAX, 0, "not collected yet"},
	[WATCH_GOOD] = {0, UINT32_MAX, 0, "ok"},
	[WATCH_PARTLY] = {0, UINT32_MAX, 0, "messages were left out"},
	[WATCH_NETWORK] = {0, 30, 15 * MINUTE, "no connection"},
	[WATCH_IN_USE] = {0, MINUTE, 30 * MINUTE, "in use by another program"},
	[WATCH_TOO_SOON] = {MINUTE, UINT32_MAX, 2 * HOUR, "the server wants a longer interval"},
	[WATCH_TEMPORARY] = {0, UINT32_MAX, HOUR, "not now"},
	[WATCH_LOGIN] = {5 * MINUTE, UINT32_MAX, 6 * HOUR, "login refused"},
	[WATCH_CONSENT] = {5 * MINUTE, UINT32_MAX, 6 * HOUR, "consent needed"},
	[WATCH_BROKEN] = {MINUTE, UINT32_MAX, HOUR, "needs a person"},
};

static enum watch_result by_refusal(enum pop3_code refusal)
{
	switch (refusal) {
	case POP3_CODE_IN_USE:
		return WATCH_IN_USE;
	case POP3_CODE_LOGIN_DELAY:
		return WATCH_TOO_SOON;
	case POP3_CODE_SYS_TEMP:
		return WATCH_TEMPORARY;
	case POP3_CODE_NONE:
	case POP3_CODE_AUTH:
	case POP3_CODE_SYS_PERM:
	case POP3_CODE_UTF8:
	case POP3_CODE_COUNT:
		break;
	}
	return WATCH_BROKEN;
}

enum watch_result watch_result_of(const struct fetch_outcome *outcome)
{
	enum watch_result refusal = by_refusal(outcome->refusal);

	if (outcome->code == EX_OK)
		return WATCH_GOOD;
	if (outcome->consent)
		return WATCH_CONSENT;
	if (refusal != WATCH_BROKEN)
		return refusal;
	if (outcome->network)
		return WATCH_NETWORK;
	if (outcome->code == EX_NOPERM)
		return WATCH_LOGIN;
	if (outcome->code == EX_DATAERR && !outcome->text[0])
		return WATCH_PARTLY;
	return outcome->code == EX_TEMPFAIL ? WATCH_TEMPORARY : WATCH_BROKEN;
}

uint64_t watch_pause(const struct watch_timing *timing, uint32_t random)
{
	uint64_t pause = timing->interval, least = (uint64_t)timing->login_delay * 1000;
	uint64_t ceiling = rules[timing->result].ceiling;
	unsigned doublings = timing->failures > 1 ? timing->failures - 1 : 0;

	if (pause < rules[timing->result].least)
		pause = rules[timing->result].least;
	if (pause > rules[timing->result].most)
		pause = rules[timing->result].most;
	if (ceiling < timing->interval)
		ceiling = timing->interval;
	for (; doublings && pause < ceiling; doublings--)
		pause *= 2;
	pause = (pause < ceiling ? pause : ceiling) * 1000;
	if (pause < least)
		pause = least;
	/* by up to a tenth: later where the server named the time, else in either direction */
	if (pause - pause / 10 < least)
		return pause + pause / 10 * random / UINT32_MAX;
	return pause - pause / 10 + pause / 5 * random / UINT32_MAX;
}

const char *watch_result_text(enum watch_result result)
{
	return rules[result].text;
}
