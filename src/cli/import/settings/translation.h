/* The work on one translation: settings are taken from Dovecot's configuration, and put into parts
 * of valija.conf. Notes never show a value, which may be a password. */
#ifndef CLI_IMPORT_SETTINGS_TRANSLATION_H
#define CLI_IMPORT_SETTINGS_TRANSLATION_H

#include "cli/import/settings/settings.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdio.h>

#define SETTINGS_FILL_IN "/FILL-IN" /* a path that a person has to write */

/* In the order in which they are written. */
enum part {
	PART_TOP,
	PART_POP3,
	PART_POP3S,
	PART_LMTP,
	PART_SASL,
	PART_QUOTA,
	PART_LOGIN,
	PART_LIMITS,
	PART_OWN, /* sections with a name of their own, whole */
	PART_COUNT
};

typedef const struct dovecot_setting *setting;

/* Where the users are, by the passdb and userdb sections. */
struct sources {
	char file[CONFIG_PATH_MAX];       /* of passwords, that becomes the users file; "": none */
	const char *home;                 /* Dovecot's text: the same for all users; NULL: none */
	char home_text[CONFIG_PATH_MAX];  /* of home, mostly */
	char home_guess[CONFIG_PATH_MAX]; /* above the homes in a database; "": not known */
	bool system;                      /* users of the machine */
	bool system_logins;               /* and their passwords */
	bool database;                    /* sql or ldap */
	bool homes_in_file;               /* the userdb is a passwd-file */
	bool homes_used;                  /* the mail is below them */
};

struct translation {
	struct dovecot_conf *conf;
	const struct settings_source *source;
	const char *name; /* of the file that is worked on, for notes */
	struct settings *ret;
	struct sources users;
	char system_maildir[CONFIG_PATH_MAX]; /* of the database of the system's users */
	FILE *parts[PART_COUNT];
	char *texts[PART_COUNT];
	size_t sizes[PART_COUNT];
	bool failed; /* out of memory */
};

/* Whether a list "name|other name" has it. */
bool has_name(const char *names, const char *name);

/* ---- taking: keys are "name" or "name|other name"; the last one counts; NULL: none ---- */

setting take(struct translation *t, const char *section, const char *keys);
setting take_in(struct translation *t, unsigned block, const char *keys);
/* The setting of the POP3 server: of its own section, else the common one. */
setting take_pop3(struct translation *t, const char *keys);
/* All settings of a block, those of sections in it, too. */
void take_block(struct translation *t, unsigned block);
/* The value; "" for NULL. */
const char *value_of(setting taken);
bool is_yes(setting taken);
bool is_no(setting taken);
bool is_hidden(setting taken); /* doveconf shows no secret */

/* ---- putting ---- */

void put(struct translation *t, enum part part, const char *name, const char *value);
/* The same for a value that is a list, a number or a word of valija.conf already. */
void put_plain(struct translation *t, enum part part, const char *name, const char *value);
/* A text in quotes of valija.conf. */
void put_quoted(FILE *out, const char *value);
/* "192.0.2.0/24, 10.0.0.1" as a list of valija.conf. */
void put_list(FILE *out, const char *words);
/* "2 secs", "1 min" as valija.conf writes it. False: it is no time. */
bool time_text(const char *value, char *ret, size_t size);
void secret(struct translation *t, const char *name, const char *text);

/* ---- notes ---- */

void note(struct translation *t, setting about, enum settings_kind kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* On what stands in no line. */
void note_nowhere(struct translation *t, const char *subject, enum settings_kind kind,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- the subjects, in the order in which they are called ---- */

void find_users(struct translation *t);       /* users.c */
void translate_mail(struct translation *t);   /* mail.c */
void translate_users(struct translation *t);  /* users.c */
void translate_listen(struct translation *t); /* listen.c */
void translate_tls(struct translation *t);    /* tls.c */
void translate_rules(struct translation *t);  /* rules.c: logins, limits, quota */
void translate_rest(struct translation *t);   /* rest.c: all that was not taken */
/* named_file.c: a file of settings of its own that a section names, for sql.c and ldap.c. work
 * takes and puts what it knows; the rest is noted. */
void translate_named_file(struct translation *t, const char *file,
			  void (*work)(struct translation *inner, void *context), void *context);
/* A section of sql or ldap: file is the one that its args name, NULL: its settings are in the
 * blocks. users.c calls them, once for each database. */
void translate_sql(struct translation *t, const char *database, const char *file,
		   const unsigned blocks[2]);
void translate_ldap(struct translation *t, const char *database, const char *file,
		    const unsigned blocks[2]);

#endif
