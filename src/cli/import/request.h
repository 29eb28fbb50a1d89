/* A call of `valija import`: what was asked for, and what was done. For the files of this folder.
 */
#ifndef CLI_IMPORT_REQUEST_H
#define CLI_IMPORT_REQUEST_H

#include "cli/import/people.h"
#include "maildrop/mail_origin.h"

#include <stdio.h>

/* Counted by the processes that work as owners. */
struct import_totals {
	uint64_t users;    /* whose ids are brought, or taken back */
	uint64_t ours;     /* users whose maildrops were ours already */
	uint64_t plain;    /* users without mail of the other server */
	uint64_t messages; /* of `users` */
	uint64_t brought, fresh, again, hidden;
	uint64_t troubled; /* users with messages that are loaded again */
	uint64_t failed;   /* users */
	uint64_t other;    /* users whose mail is of another kind than that server's */
};

struct import_request {
	const char *config_file, *from, *ids;
	const char *settings_file; /* --config: of the other server */
	bool dry_run, undo;
	struct name_list named; /* users */
	struct mail_origin origin;
	struct config config;
	struct people people;
	struct import_totals *totals; /* shared with those processes */
	size_t first, end;            /* of people: of one owner, in one mail folder */
	char lists[CONFIG_ROOTS_MAX][ORIGIN_LISTS_MAX]; /* of mail folders: where lists are, if not
							   in the Maildirs */
	struct cyrus_import *cyrus;                     /* of Cyrus; otherwise NULL */
	int state;                                      /* of mboxes: that owner's state folder */
};

static inline bool import_of_mboxes(const struct import_request *request)
{
	return mail_origin_is_of_mboxes(request->origin.server);
}

/* Of the arguments. 0; 1: help is wanted; -1: they are not understood. */
int import_request_parse(int argc, char **argv, struct import_request *ret);
/* Frees what was parsed. */
void import_request_finish(struct import_request *request);
/* Writes how the command is called. Returns status. */
int import_usage(FILE *out, int status);

#endif
