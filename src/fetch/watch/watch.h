/*
 * `valija fetch --watch`: collects accounts again and again, each at its interval, until SIGTERM or
 * SIGINT. One parent, which reads no mail and no network, and a process a run. For fetch.c.
 */
#ifndef FETCH_WATCH_WATCH_H
#define FETCH_WATCH_WATCH_H

#include "fetch/account/config_file.h"
#include "fetch/account/options.h"

/* The source of the accounts, at the start and at each SIGHUP. */
struct watch_source {
	/* Fills ret with the accounts to collect; the caller finishes it. */
	int (*read)(void *context, struct fetch_config *ret, struct err *err);
	void *context;
};

/* Returns a code of sysexits.h, EX_OK behind a signal. */
int fetch_watch(const struct watch_source *source, const struct fetch_options *options);
/* `valija fetch status`: state is the state folder, NULL: the default one. names: none are all. */
int fetch_watch_status(const char *state, bool json, char *const *names, int count);

#endif
