/* Finds the POP3 server of an address: the table of providers, SRV and MX records, autoconfig. */
#ifndef FETCH_SETUP_FIND_H
#define FETCH_SETUP_FIND_H

#include "base/err.h"
#include "fetch/setup/found.h"

#include <stdbool.h>

struct find {
	const char *address;    /* "anna@example.org" */
	const char *autoconfig; /* the page to read; NULL: those where it usually is */
	bool no_lookup;         /* the network is not asked */
};

/* 1: found; 0: nothing is known; -1: the provider is known, and has no POP3. */
int find_server(const struct find *find, struct found *ret, struct err *err);

#endif
