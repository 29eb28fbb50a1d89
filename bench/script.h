/*
 * The steps of a connection of the load generator: "login,stat,quit",
 * "login,list,gate,retr,gate,quit". Parsed once from the command line, then read only.
 */
#ifndef BENCH_SCRIPT_H
#define BENCH_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

enum step {
	STEP_LOGIN,    /* USER, PASS; -ERR is an error */
	STEP_BADLOGIN, /* USER, a wrong PASS; +OK is an error */
	STEP_STAT,
	STEP_LIST, /* all; the sizes are kept and must add up to STAT's octets */
	STEP_UIDL, /* all; as many as STAT said */
	STEP_RETR, /* every message, in the window, again and again until laps or time are over;
		      octets compared with LIST's */
	STEP_DELE, /* every message, in the window */
	STEP_NOOP,
	STEP_RSET,
	STEP_QUIT,
	STEP_CLOSE, /* close without QUIT */
	STEP_GATE,  /* wait until all connections are here and the caller says go on */
	STEP_STALL, /* ask for the window's messages, never read again; then a gate */
	STEP_DRIP,  /* the same, reading one octet a second */
	STEP_COUNT
};

#define SCRIPT_MAX 32

struct script {
	uint8_t step[SCRIPT_MAX];
	uint8_t count;
	bool gated; /* has a gate: every connection runs it once */
};

extern const char *const step_names[STEP_COUNT];

/* Dies with a message when text is no script. */
void script_parse(struct script *script, const char *text);

#endif
