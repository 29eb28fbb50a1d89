/* Puts an account into the configuration file; what is there stays as it is. */
#ifndef FETCH_SETUP_WRITE_H
#define FETCH_SETUP_WRITE_H

#include "base/err.h"
#include "fetch/account/config_file.h"

#include <stdbool.h>
#include <stddef.h>

enum { WRITE_TEXT_MAX = 16384 };

/* The text of sections, put together. */
struct section_text {
	size_t used;
	bool full;
	char text[WRITE_TEXT_MAX];
};

void section_open(struct section_text *text, const char *kind, const char *name);
/* Nothing if value is empty or NULL. */
void section_set(struct section_text *text, const char *key, const char *value);
/* The same for a path, which is written whole: a timer or a daemon starts in another folder. */
void section_set_path(struct section_text *text, const char *key, const char *path);
/* The same for a destination, which may hold one: "maildir:DIR", "mbox:FILE". */
void section_set_place(struct section_text *text, const char *key, const char *place);
void section_close(struct section_text *text);

/* The configuration as it would be: the file, if it is there, and the text behind it. */
int draft_config(const char *file, const struct section_text *text, struct fetch_config *ret,
		 struct err *err);
/*
 * Appends the text to the file, or makes it (0600, with its folders). The whole is read as a
 * configuration before it takes the file's place; flushed and renamed, so that the old or the new
 * one is there.
 */
int write_config(const char *file, const struct section_text *text, struct err *err);

#endif
