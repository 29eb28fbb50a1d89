/*
 * For the parts of `valija init --with MTA`, one an MTA. Before anything is changed, what was there
 * is written to a file beside valija.conf, and flushed; --undo reads it and removes it last. So a
 * run that is cut leaves a file from which everything can be taken back.
 */
#ifndef CLI_WITH_H
#define CLI_WITH_H

#include "config/config.h"

enum with_mode { WITH_SHOW, WITH_APPLY, WITH_UNDO };

struct with {
	struct config config;
	enum with_mode mode;
	const char *folder;              /* of Postfix's main.cf; NULL: its own */
	const char *tried;               /* user who is sent a message; NULL: none is sent */
	char saved[2 * CONFIG_PATH_MAX]; /* the file of what was there before */
};

/* Runs a program; what it writes goes to buf, without the last line end. -1 with err: it is not
 * there, or failed. package: that it comes from. */
int with_run(const char *const *argv, const char *package, char *buf, size_t size, struct err *err);
/* Runs a program with input as its standard input; what it writes goes where our output goes. -1 as
 * above. */
int with_give(const char *const *argv, const char *package, const char *input, struct err *err);
/* The first socket of a service; NULL: none. */
const struct config_listener *with_listener(const struct config *config,
					    enum config_service service);
/* Keeps text, for --undo, and flushes it: before anything is changed. -1 if there is one. */
int with_save(const struct with *with, const char *text, size_t size, struct err *err);
/* The text that was kept, ended by NUL; the caller frees it. NULL with err. */
char *with_saved(const struct with *with, struct err *err);
/* All was taken back. */
int with_forget(const struct with *with, struct err *err);

#endif
