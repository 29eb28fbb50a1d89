/*
 * Databases of users: `database "NAME" { driver = … }` sections. Which settings there are, and for
 * which drivers, is one table (database.c); their values stand as text in struct config, one pool
 * for all sections. No secret stands there: it is in a file or a service credential that the
 * monitor reads. Used wherever struct config is.
 */
#ifndef CONFIG_DATABASE_H
#define CONFIG_DATABASE_H

#include "config/config.h"

#include <stddef.h>

enum database_kind {
	DATABASE_TEXT,
	DATABASE_LIST,    /* of texts */
	DATABASE_PATH,    /* made absolute */
	DATABASE_MAIL,    /* the same, with or without placeholders */
	DATABASE_SECRET,  /* the path of a file that the monitor reads; "credential:NAME": of the
			     service manager's. The lookup process gets what is in it */
	DATABASE_SECONDS, /* s m h d */
	DATABASE_NUMBER,
	DATABASE_BOOL,
	DATABASE_CHOICE,
};

struct database_key {
	const char *name;
	uint32_t drivers; /* set of 1 << enum config_driver */
	enum database_kind kind;
	const char *standard; /* NULL: has to be set; "": none */
	const char *choices;  /* DATABASE_CHOICE: "one two" */
	uint64_t min, max;    /* of numbers and times */
	const char *help;
};

size_t config_database_key_count(void);
const struct database_key *config_database_key(size_t index);
const char *config_driver_name(enum config_driver driver);

/* The value of a setting of that name, or its default; "" if there is none. Aborts if the driver
 * has no such setting. */
const char *config_database_text(const struct config *config,
				 const struct config_database *database, const char *name);
/* Value number index of a list; NULL: there are fewer, or no such setting. Of another setting, its
 * value number 0 is what the file says. */
const char *config_database_item(const struct config *config,
				 const struct config_database *database, const char *name,
				 size_t index);
/* Of DATABASE_SECONDS (seconds), DATABASE_NUMBER, DATABASE_BOOL (0, 1), DATABASE_CHOICE (its
 * place). */
uint64_t config_database_number(const struct config *config, const struct config_database *database,
				const char *name);

/* The location of users without a home: returns the place of its mail root in config->roots (0
 * where the section has no setting mail), and in *ret what is below that, with placeholders ("":
 * the name). database NULL: the users file. ret lives as long as config. */
uint32_t config_database_mail(const struct config *config, const struct config_database *database,
			      const char **ret);

/* Whether the database could have a user of that name: see `domains`. */
bool config_database_could_have(const struct config *config, const struct config_database *database,
				pop3_span name);

/* Whether it judges the tokens of logins: driver oauth, unless it has grants only. */
bool config_database_judges_tokens(const struct config *config,
				   const struct config_database *database);
/* Whether the database judges passwords itself: it is asked with the password. Others give the
 * stored secret. */
bool config_database_verifies(const struct config *config, const struct config_database *database);

/* The program that asks it is valija-lookup-NAME: the driver's name, or that of SQL's client
 * library. NULL: `connect` names none, which the parser refuses. */
const char *config_database_program(const struct config *config,
				    const struct config_database *database);

/* ---- for the parser ---- */

/* Begins a section. Returns 0, or -1 with err (without file and line), as all that follow. */
int config_database_begin(struct config *config, const char *title, uint32_t line, struct err *err);
/* Adds a value to the last section; driver comes first. */
int config_database_set(struct config *config, const char *name, const char *value,
			struct err *err);
/* Checks that the mail of each database is in a folder of the setting mail. */
int config_database_check_mail(const struct config *config, struct err *err);
/* Checks that the section is whole. */
int config_database_end(struct config *config, struct err *err);

#endif
