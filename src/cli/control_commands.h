/*
 * The part that the files of `valija`'s commands to a running server share: arguments, and the
 * functions of the table in control.c. Each runs one command over a link that is open, prints, and
 * returns 0, or -1 with err; *ret_code is what the program ends with then (EX_OK at first).
 */
#ifndef CLI_CONTROL_COMMANDS_H
#define CLI_CONTROL_COMMANDS_H

#include "cli/control_link.h"

struct control_arguments {
	const char *name; /* of the command */
	const char *config, *socket, *target;
	bool json, wait, once;
	unsigned seconds; /* that the answer may take */
};

typedef int control_run(struct control_link *link, const struct control_arguments *arguments,
			int *ret_code, struct err *err);

control_run control_who, control_kick;                        /* who.c */
control_run control_reload, control_drain, control_log_level; /* steer.c */
control_run control_upgrade;                                  /* upgrade.c */
control_run control_show;                                     /* show.c */
control_run control_stats;                                    /* stats.c */
control_run control_explain;                                  /* explain.c */
control_run control_top;                                      /* top.c */

/* ---- printing: print.c ---- */

/* A field as a string of JSON; "-" is null. */
void print_json_text(const char *field);
/* , "NAME": VALUE */
void print_json_member(const char *name, const char *field);
/* Seconds of 1970 for people; "-" for 0. */
const char *print_time(unsigned long long seconds, char buf[32]);

#endif
