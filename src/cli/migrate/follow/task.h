/* Work of the other processes of the service: the list of all users whose mail moves, and a round
 * of one of them. They read the configuration and the users anew. For the files of this folder. */
#ifndef CLI_MIGRATE_FOLLOW_TASK_H
#define CLI_MIGRATE_FOLLOW_TASK_H

#include "cli/migrate/move.h"
#include "config/config.h"

enum task_list {
	TASK_MOVES = 'M',    /* this user: the name, NUL, the section */
	TASK_TROUBLE = 'T',  /* the name, NUL, why that user's entry cannot be used */
	TASK_UNLISTED = 'E', /* why users are missing */
	TASK_LISTED = 'A',   /* that were all */
};

/* For helper_start. argument: struct migrate_options. */
void task_list(const void *argument, int out);

enum task_outcome {
	TASK_NONE,   /* the mail of no such user moves */
	TASK_WAITS,  /* for a login, which the password is learned from */
	TASK_WRONG,  /* somebody has to mend something here: why */
	TASK_PLAYED, /* round says what became of it */
};

struct task_report {
	enum task_outcome outcome;
	struct writer_report round;
	bool unasked;     /* nobody could tell whether sessions are open: why */
	char section[64]; /* "": it is not known */
	char why[640];
};

struct task {
	const struct migrate_options *options;
	const char *name;
};

/* The same; argument: struct task. Sends the report, of kind 'R'. */
void task_round(const void *argument, int out);

#endif
