/* The command line of `valija fetch`: settings of the run, and of an account given as a URL. */
#ifndef FETCH_ACCOUNT_OPTIONS_H
#define FETCH_ACCOUNT_OPTIONS_H

#include "fetch/account/account.h"

struct sandbox_program;
struct tls_client_memory;

struct fetch_options {
	const char *config; /* -c; NULL: the default place */
	const char *state;  /* --state; NULL: the default place */
	const char *record;
	const char *whole, *leave_out;
	bool mark_seen, dry_run, accept_new_uidls;
	bool bodies; /* of the doctor */
	bool accept_removals;
	bool retry_refused;                    /* messages that the destination refused for good */
	bool now;                              /* although the destination asked to wait */
	bool several;                          /* accounts at once: no bars */
	const struct sandbox_program *program; /* of the run's sandbox; NULL: it is made there */
	struct tls_client_memory *memory;      /* of the account's connections; NULL: none */
	bool watch;
	const char *metrics;
	bool json, verbose, quiet, init, help;
	unsigned jobs;
	int first;             /* index in argv of the first account or URL */
	bool account_settings; /* settings of an account were given on the command line */
	bool tls_given;
};

/*
 * Parses argv. Settings of an account go into account, which holds defaults or an account of the
 * configuration file; a URL among the arguments is left to the caller.
 */
int fetch_options_parse(int argc, char **argv, struct fetch_options *options,
			struct fetch_account *account, struct err *err);
/* "10M": K, M, G are powers of 1024. */
int fetch_size(const char *text, uint64_t *ret);
/* "90", "90s", "5m", "1h", "1d" in seconds: 1 s to 30 days. */
int fetch_interval(const char *text, uint32_t *ret);
void fetch_usage(void);

#endif
