/*
 * What a session does once it is logged in: listing, the brake, new ids matched with old ones, the
 * plan; then the work, or only a list of it, or only a note of it.
 */
#ifndef FETCH_COLLECT_COLLECT_H
#define FETCH_COLLECT_COLLECT_H

#include "fetch/account/options.h"
#include "fetch/collect/transfer.h"

struct visit {
	struct transfer *transfer;
	const struct fetch_options *options;
	int64_t now;   /* seconds since 1970 */
	bool all_gone; /* every known message is, while unknown ones are there */
};

int visit_run(struct visit *visit, struct err *err);

#endif
