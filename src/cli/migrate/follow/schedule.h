/*
 * The order in which users have their turn: those that logged in first, then those of a pass
 * through all. A user that has to wait does so without the others, for longer each time; a server
 * that is not reached, or refuses logins, makes all of its users wait. No I/O and no clock: now is
 * given, in milliseconds. In the service of `valija migrate --follow`.
 */
#ifndef CLI_MIGRATE_FOLLOW_SCHEDULE_H
#define CLI_MIGRATE_FOLLOW_SCHEDULE_H

#include "base/table.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum { SCHEDULE_USERS_MAX = 1 << 20 };

struct schedule_section; /* a server */

struct schedule_user {
	struct table_node node; /* key: of the name */
	struct schedule_section *section;
	size_t place;         /* in its queue, from 1; 0: in none */
	uint64_t due, number; /* the order in it */
	uint64_t ended;       /* when the last round did; 0: there was none */
	uint64_t pause;       /* 0: none yet */
	uint64_t said;        /* of the last complaint (schedule_is_new) */
	uint32_t pass;        /* that queued it */
	bool urgent, running, here, logged_in, tried_again, counted;
	char name[]; /* as it was given */
};

/* The outcome of a round, as far as the next turn depends on it. */
enum schedule_verdict {
	SCHEDULE_GONE,   /* the mail of no such user moves: forgotten */
	SCHEDULE_HERE,   /* the next pass looks for late mail */
	SCHEDULE_AGAIN,  /* when the maildrop is free */
	SCHEDULE_CUT,    /* the session there was not had, or ended */
	SCHEDULE_DENIED, /* it refuses the login */
	SCHEDULE_WAITS,  /* for a login, of which its password is learned */
	SCHEDULE_LATER,  /* somebody has to mend something: a login, or the next pass */
};

struct schedule;

struct schedule *schedule_create(void); /* NULL: no memory */
void schedule_destroy(struct schedule *schedule);

/* A login of that user. section, here and below: where the mail comes from; "": it is not known. */
void schedule_login(struct schedule *schedule, pop3_span name, pop3_span section, uint64_t now);
/* A pass begins; each user that was listed; all have been: users that are known from their logins
 * alone are queued behind them. */
void schedule_pass_begin(struct schedule *schedule);
void schedule_listed(struct schedule *schedule, pop3_span name, pop3_span section, uint64_t now);
void schedule_pass_listed(struct schedule *schedule, uint64_t now);
/* Each user of the pass had its turn. */
bool schedule_pass_over(const struct schedule *schedule);

/* Takes the user whose turn it is; running until schedule_ended. all: users of a pass, too. NULL:
 * it is nobody's. */
struct schedule_user *schedule_next(struct schedule *schedule, uint64_t now, bool all);
/* Milliseconds until it may be somebody's turn; UINT64_MAX: nobody is queued. */
uint64_t schedule_wait(const struct schedule *schedule, uint64_t now, bool all);
/* reached: the server let that user in.
 * Frees the user if it is GONE. Returns how often in a row that server was not reached, or refused
 * the login, this round included; 0: it was not this round's trouble. */
unsigned schedule_ended(struct schedule *schedule, struct schedule_user *user,
			enum schedule_verdict verdict, pop3_span section, bool reached,
			uint64_t now);
/* Whether a complaint about a user, or a server, is another one than the last; NULL: none. */
bool schedule_is_new(struct schedule_user *user, const char *complaint);
bool schedule_section_is_new(struct schedule_user *user, const char *complaint);
/* A round of the user has come to where it waits for the longest time. */
bool schedule_waits_longest(const struct schedule_user *user);
/* That user, made if it is not known. NULL: there are too many, or no memory. */
struct schedule_user *schedule_user(struct schedule *schedule, pop3_span name);
size_t schedule_count(const struct schedule *schedule); /* of users */

#endif
