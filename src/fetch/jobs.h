/* Several accounts, a process each, at most so many at once. */
#ifndef FETCH_JOBS_H
#define FETCH_JOBS_H

#include "fetch/run.h"

/* Returns EX_OK or the code of the first account, in their order, that failed. */
int fetch_jobs(const struct fetch_account *const *accounts, unsigned count, unsigned jobs,
	       const struct fetch_options *options);

#endif
