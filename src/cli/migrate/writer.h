/*
 * The process that writes: with the rights of the mail's owner, without network. It asks the dialer
 * (link.h) for what is not here yet, and throttles. For the files of this folder.
 */
#ifndef CLI_MIGRATE_WRITER_H
#define CLI_MIGRATE_WRITER_H

#include "maildrop/maildrop.h"

#include <stdbool.h>
#include <stdint.h>

enum writer_outcome {
	WRITER_DIED,     /* it wrote no report */
	WRITER_SWITCHED, /* the mail is here, the late mail too */
	WRITER_COPIED,   /* all is here, but sessions are open: no switch */
	WRITER_LOOKED,   /* of a dry run */
	WRITER_REFUSED,  /* some messages cannot be had: no switch */
	WRITER_YIELDED,  /* a client wants the maildrop */
	WRITER_BUSY,     /* a session has it, here or there */
	WRITER_CUT,      /* the other server was not reached, or its session ended */
	WRITER_FAILED,   /* a person has to mend it */
};

/* Shared with the process that started it. */
struct writer_report {
	enum writer_outcome outcome;
	bool denied;       /* of FAILED: the other server refuses the login */
	bool now;          /* the switch was in this call */
	uint64_t messages; /* that the other server has */
	uint64_t octets;   /* of them, as it guesses */
	uint64_t again;    /* of them, whose unique ids there no client may get */
	uint64_t before;   /* of them, copied before */
	uint64_t copied;   /* now; of a dry run: that would be */
	uint64_t refused;  /* that cannot be had */
	uint64_t deleted;  /* there, now */
	char why[512];
};

enum { WRITER_LOOK_MS = 100 }; /* how often it is seen whether a client waits */

struct writer_job {
	const struct maildrop_settings *settings;
	int folder; /* the maildrop; -1: it is not there (of a dry run) */
	const char *home, *source;
	int channel; /* to the dialer; its SO_RCVTIMEO is WRITER_LOOK_MS */
	int control; /* to the starter: 'L' when the maildrop is locked; it answers 'S' (no session
			is open: switch) or 'C' */
	bool dry_run, delete_there, accept;
	uint64_t rate; /* octets a second; 0: as fast as can be */
};

void writer_run(const struct writer_job *job, struct writer_report *report);
/* Removes the copies, before the switch. *ret_copies: how many there are. */
enum maildrop_status writer_undo(const struct maildrop_settings *settings, int folder,
				 const char *home, const char *source, bool dry_run,
				 uint64_t *ret_copies, struct err *err);

#endif
