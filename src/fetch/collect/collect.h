/*
 * The session of one account after login: listing, the brake, new unique ids matched with known
 * ones, the plan; then the transfer, or only a list of it (dry run), or only journal entries (mark
 * seen). Called by run.c in the confined process; the listing is the server's, and hostile.
 */
#ifndef FETCH_COLLECT_COLLECT_H
#define FETCH_COLLECT_COLLECT_H

#include "fetch/account/options.h"
#include "fetch/collect/transfer.h"

struct collect {
	struct transfer *transfer;
	const struct fetch_options *options;
	int64_t now;   /* seconds since 1970 */
	bool all_gone; /* no known message is listed, but unknown ones are */
};

/* Lists, plans and collects; ends the session with QUIT when it succeeds. */
int collect_run(struct collect *collect, struct err *err);

#endif
