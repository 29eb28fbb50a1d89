/*
 * A line of the control protocol (docs/control.md): "1 who", "1 who TARGET", "1 reload" …, and the
 * one table of commands: who is asked for what, one after another. No I/O, no memory. Every octet
 * of a line is hostile.
 */
#ifndef SERVER_CONTROL_COMMAND_H
#define SERVER_CONTROL_COMMAND_H

#include "ipc/messages.h"

enum { COMMAND_LINE_MAX = IPC_TEXT_MAX + 32, COMMAND_STEPS_MAX = 3 };

enum command_target { TARGET_NONE, TARGET_MAY, TARGET_MUST };

enum step_kind {
	STEP_OVER,      /* there is no further step */
	STEP_WHO,       /* all auth processes, one after another; what: enum ipc_who_act */
	STEP_AUTH,      /* the same; what: enum ipc_topic */
	STEP_FLUSH,     /* the same; it forgets what databases said */
	STEP_PENALTIES, /* the newest auth process */
	STEP_TRACE,     /* the same; then its fronts write, until the time is over */
	STEP_MONITOR,   /* the monitor; what: enum ipc_topic */
	STEP_BAN,       /* the monitor: its list of bans; what: enum command_bans */
	STEP_HERE,      /* control itself; what: enum figures_topic */
	STEP_LOGINS,    /* the same: logins, from its recorder, as long as the caller stays */
	STEP_EXPLAIN,   /* the same: its recorder; the step makes the end of the answer, too */
};

/* The lines of all its steps are the answer to a command. */
struct command_row {
	const char *name; /* words, with blanks between them */
	enum command_target target;
	const char *target_missing; /* of TARGET_MUST: the words of the error */
	struct {
		enum step_kind kind;
		uint32_t what;
	} steps[COMMAND_STEPS_MAX + 1];
};

enum command_bans { BANS_COMMAND, BANS_LIST /* whatever the line says */ };

struct command {
	const struct command_row *row;
	struct ipc_ban ban; /* of STEP_BAN */
	pop3_span target;   /* in the line; empty: none */
};

/* line is without its LF. Returns NULL, or the reason why it is no command. */
const char *command_parse(pop3_span line, struct command *ret);

#endif
