/*
 * Dovecot's settings as a valija.conf: what has a counterpart is written as that, and for each
 * other setting a note says what becomes of it. Files that the settings name (users, queries) are
 * read through the caller.
 */
#ifndef CLI_IMPORT_SETTINGS_SETTINGS_H
#define CLI_IMPORT_SETTINGS_SETTINGS_H

#include "base/err.h"
#include "cli/import/dovecot_conf.h"

#include <stddef.h>

enum settings_kind {
	SETTINGS_KEPT, /* nothing is lost */
	SETTINGS_TO_DO /* a person has to do, or to decide, something */
};

struct settings_note {
	char *file;    /* where the setting stands, with its line; 0: it stands nowhere */
	unsigned line; /* from 1 */
	char *setting; /* "service pop3-login/inet_listener pop3/haproxy" */
	char *text;
	enum settings_kind kind;
	size_t number; /* in the order in which they were made */
};

/* A text for a file of its own beside valija.conf. */
struct settings_secret {
	char *name, *text;
};

struct settings {
	char *text; /* of valija.conf */
	size_t size;
	struct settings_note *notes; /* by file and line */
	size_t note_count, note_room;
	struct settings_secret *secrets;
	size_t secret_count, secret_room;
	char *folder;   /* of the mail, for `valija mark`; NULL: not known */
	bool mboxes;    /* in it */
	bool own_users; /* the users file is one beside valija.conf, which may be empty */
};

struct settings_source {
	const char *name; /* of the text, for notes */
	/* The text of a file as a block of the heap with a NUL behind it; NULL: it cannot be read.
	 */
	char *(*read)(void *context, const char *path, size_t *ret_size);
	void *context;
};

/* Settings of conf are marked as taken. -1 with err: out of memory; settings_finish must be called
 * then, too. */
int settings_translate(struct dovecot_conf *conf, const struct settings_source *source,
		       struct settings *ret, struct err *err);
void settings_finish(struct settings *settings);
/* Reads the file that name is, "-" for standard input, and prints notes and result; not dry_run:
 * writes the result as config_file, which must not be there, and its secrets beside it. Returns an
 * exit code, or -1 with err. */
int settings_bring(const char *name, const char *config_file, bool dry_run, struct err *err);

#endif
