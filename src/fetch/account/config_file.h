/*
 * valija-fetch.conf: accounts in sections, settings in the words of the command line. Parsed with
 * libconfuse, which config_file.c and config/parse.c include, nobody else: the fetcher shares
 * no key with valija.conf. Every complaint names file and line or the account.
 */
#ifndef FETCH_ACCOUNT_CONFIG_FILE_H
#define FETCH_ACCOUNT_CONFIG_FILE_H

#include "fetch/account/account.h"
#include "fetch/account/provider.h"

struct fetch_config {
	struct fetch_oauth *oauth; /* accounts point into it */
	unsigned oauth_count;
	struct fetch_account *accounts;
	unsigned count;
	unsigned jobs;                /* 0: not set */
	char metrics[FETCH_PATH_MAX]; /* "": none */
	char state[FETCH_PATH_MAX];   /* "": the default place */
};

/* The default place: $XDG_CONFIG_HOME/valija/fetch.conf or ~/.config/valija/fetch.conf. */
int fetch_config_place(char *buf, size_t size, struct err *err);
int fetch_config_read(const char *file, struct fetch_config *ret, struct err *err);
void fetch_config_finish(struct fetch_config *config);
/* The folder of the file, made if it is missing, one level at a time. */
int fetch_config_folder(const char *file, struct err *err);
/* Writes a commented file; never overwrites one. */
int fetch_config_init(const char *file, struct err *err);

#endif
