/*
 * A driver of a database of users: the part of a lookup program (valija-lookup-NAME) that knows a
 * client library. The role (role.c) takes questions of auth and asks the driver in worker threads;
 * a driver blocks, keeps its own deadlines, and trusts nothing that the database says. One program
 * has one driver; one process of it has one database.
 */
#ifndef LOOKUP_DRIVER_H
#define LOOKUP_DRIVER_H

#include "base/err.h"
#include "config/database.h"
#include "ipc/messages.h"
#include "sys/sandbox.h"

#include <pop3/span.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* The database of this process, and its secrets; lives as long as the process. */
struct lookup_database {
	const struct config *config;
	const struct config_database *settings;
	const char *secrets; /* name NUL value NUL …; secret_size octets */
	size_t secrets_size;
};

/* A setting (config/database.h), and the content of a DATABASE_SECRET setting without its line end;
 * "": none. */
const char *lookup_text(const struct lookup_database *database, const char *name);
const char *lookup_item(const struct lookup_database *database, const char *name, size_t index);
uint64_t lookup_number(const struct lookup_database *database, const char *name);
const char *lookup_secret(const struct lookup_database *database, const char *name);

/* enum lookup_purpose, enum lookup_kind, enum lookup_status: ipc/messages.h */

struct lookup_question {
	enum lookup_kind kind;
	enum lookup_purpose purpose;
	/* spellings of one name, best first; of LOOKUP_PASSWORD and LOOKUP_TOKEN one. Each is valid
	 * (user_name_valid), in the client's spelling. LOOKUP_TOKEN: may be empty, then the token
	 * says who it is */
	const char *names[IPC_LOOKUP_NAMES_MAX];
	unsigned name_count;
	pop3_span secret;    /* of all but LOOKUP_FIND; a NUL follows, and none
				is in it; wiped by the role afterwards */
	const char *service; /* "pop3", "lmtp", "smtp" … */
	bool tls;            /* of the client's connection */
	char address[46];    /* of the client, as text; "": none */
	uint64_t deadline;   /* CLOCK_MONOTONIC, milliseconds: an answer after it is dropped */
};

/* A driver fills in status, and what belongs to it:
 * FOUND: matched, fields (lookup_field), ttl and expires if the database knows them;
 * DOWN: why. BAD_ENTRY: why (two rows, a field too long …). UNKNOWN, WRONG, REFUSED: nothing. */
struct lookup_answer {
	enum lookup_status status;
	unsigned matched; /* which of names */
	uint32_t ttl;     /* seconds that the answer is good for; 0: the site's time */
	uint64_t expires; /* seconds of 1970; a token; 0: never */
	bool finished;    /* this process can ask nothing any more: the role ends it, and the
			     monitor starts another one */
	char why[256];    /* for the log, without secrets */
	size_t size;
	char fields[IPC_ANSWER_MAX]; /* name NUL value NUL … */
};

/* Adds a field: password, home, maildir, uid, gid, quota_messages, quota_octets, nologin,
 * allow_networks, login_delay, remote, external, alias (a recipient's target, any number), user
 * (the name as the database spells it), or a name of Dovecot's for one of these; auth judges names
 * and values. value: size octets; NULL: the field is not set. Too long, or with a NUL inside: the
 * answer becomes BAD_ENTRY.
 */
void lookup_field(struct lookup_answer *answer, const char *name, const char *value, size_t size);
/* The database cannot be asked. Formats why. */
void lookup_down(struct lookup_answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The entry of this user is not one. */
void lookup_bad(struct lookup_answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Milliseconds until the deadline; 0: it is over. */
unsigned lookup_time_left(const struct lookup_question *question);

/* Writes text with its placeholders {user}, {local}, {domain}, {address}, {service} filled in;
 * {address} is the client's. escape writes one value (NULL: as it is), as the language of text
 * wants it, and returns its size or -1. "{{" is "{". Returns the size, or -1 with err: no room, or
 * an unknown placeholder. */
int lookup_expand(const char *text, const struct lookup_question *question, unsigned name,
		  int (*escape)(pop3_span value, char *buf, size_t size), char *buf, size_t size,
		  struct err *err);

/* All users, for `valija user list`: names go to a pipe, in any order. */
struct lookup_listing {
	int fd;
	uint64_t deadline;           /* as that of a question */
	struct lookup_answer answer; /* DOWN: why not all of them are there */
	uint64_t bad;                /* names that are none */
	size_t size;
	char buf[4096];
};
/* A user's name, of size octets; one that can be none is counted. False: nobody reads any more, or
 * the deadline is over. */
bool lookup_list(struct lookup_listing *listing, const char *name, size_t size);
/* Writes what is left. */
void lookup_list_end(struct lookup_listing *listing);

/* The driver of this program. */
struct lookup_driver {
	enum config_driver driver;
	/* Checks the settings, loads what the library loads lazily, and opens the files and folders
	 * that it needs later by descriptor or by sandbox_add_path. Does not connect: a database
	 * that is down stops no start. Before the sandbox is entered, with the rights of the
	 * process's user to be (root: before they are given up). */
	int (*open)(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		    struct err *err);
	/* In a worker thread. *connection is of this thread alone, NULL at first. */
	void (*ask)(void *state, void **connection, const struct lookup_question *question,
		    struct lookup_answer *answer);
	/* In a worker thread, may be NULL: a user logged in on that day (days since 1970). */
	void (*note)(void *state, void **connection, const char *name, uint32_t day);
	/* In a worker thread. NULL: its users cannot be listed. */
	void (*list)(void *state, void **connection, struct lookup_listing *listing);
};
extern const struct lookup_driver lookup_driver;

#endif
