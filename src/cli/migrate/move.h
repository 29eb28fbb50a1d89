/*
 * A user whose mail moves here, and what all of them share: for the files of this folder. Runs with
 * the rights of the command's caller, usually root.
 */
#ifndef CLI_MIGRATE_MOVE_H
#define CLI_MIGRATE_MOVE_H

#include "cli/maker.h"
#include "cli/migrate/passwords.h"
#include "cli/migrate/writer.h"

struct migrate_options {
	const char *config_file; /* NULL: the usual one */
	bool dry_run, undo, delete_there, accept, stopped;
	uint64_t rate, wait_seconds;
};

/* A call of the command. */
struct migrate {
	struct migrate_options options;
	struct config config;
	struct maker maker;
	struct writer_report *report; /* shared with the writers */
	struct passwords *passwords;  /* NULL: none was asked for */
	struct err unasked; /* of a round: why nobody can tell whether sessions are open */
	int private_fd;     /* that no writer gets; -1: none */
	struct user *users; /* of the call: no writer gets their secrets; NULL: none */
	size_t user_count;
	int nameless;      /* sessions of which nobody knows whose they are, as of asked_at */
	uint64_t asked_at; /* migrate_now_ms; 0: never */
};

/* A user whose mail moves. */
struct move {
	const struct user *user;
	const struct config_remote *section;
	char login[256], source[512], path[512];
	uid_t uid;
	gid_t gid;
};

/* Reads the configuration and opens the mail folders. -1 with err: migrate_finish must be called
 * then, too. */
int migrate_init(struct migrate *m, struct err *err);
void migrate_finish(struct migrate *m);
uint64_t migrate_now_ms(void); /* monotonic */

/* user has the field migrate, and must live as long as the move. -1 with err. */
int move_find(struct migrate *m, const struct user *user, struct move *ret, struct err *err);
/* 1: the maildrop is there; 0: it is not, and was not made; -1 with err. */
int move_make_maildrop(struct migrate *m, const struct move *move, struct err *err);
/* The folder of the maildrop, as its owner: root may not reach it on another machine's filesystem.
 * -1 with err; errnum ENOENT: it is not there. */
int move_open_folder(const struct migrate *m, const struct move *move, struct err *err);

#endif
