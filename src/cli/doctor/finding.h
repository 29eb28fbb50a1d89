/*
 * Findings of `valija doctor`. A check runs in a child process with a deadline and writes its
 * findings into a pipe, one packet each; what hangs (a mount, a name server, a server) costs that
 * check alone, and is a finding itself.
 */
#ifndef CLI_DOCTOR_FINDING_H
#define CLI_DOCTOR_FINDING_H

#include "config/config.h"

#include <stdbool.h>

enum severity { SEVERITY_OK, SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITIES };

/* Text ends with NUL. */
struct finding {
	enum severity severity;
	char check[16];
	char text[700];
	char mend[600]; /* a command or setting; "": nothing is to be done */
};

struct doctor {
	const struct config *config;
	int out; /* of a check: the pipe */
};

/* In a check: reports. mend: NULL: nothing is to be done. */
void find(const struct doctor *doctor, enum severity severity, const char *check, const char *mend,
	  const char *format, ...) __attribute__((format(printf, 5, 6)));

struct check {
	const char *name;
	void (*run)(const struct doctor *doctor);
	unsigned seconds;
};
/* Runs a check; take gets each finding. */
void check_run(const struct check *check, const struct config *config,
	       void (*take)(const struct finding *finding, void *context), void *context);

/* Runs a program and takes what it writes on both streams, up to size octets with the NUL. Returns
 * its exit code, 126: it could not be run or was killed. */
int check_program(char *const argv[], char *out, size_t size);

/* The checks, in their files. */
void check_names(const struct doctor *doctor);         /* names.c */
void check_listeners(const struct doctor *doctor);     /* reach.c */
void check_settings(const struct doctor *doctor);      /* settings.c */
void check_files(const struct doctor *doctor);         /* files.c: permissions */
void check_mail(const struct doctor *doctor);          /* files.c: mark, register, locks */
void check_disk(const struct doctor *doctor);          /* files.c */
void check_kernel(const struct doctor *doctor);        /* machine.c */
void check_clock(const struct doctor *doctor);         /* machine.c */
void check_databases(const struct doctor *doctor);     /* settings.c */
void check_configuration(const struct doctor *doctor); /* settings.c: valijad -t */

#endif
