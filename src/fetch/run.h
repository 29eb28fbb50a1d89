/* One account, collected once: lock, recover, connect, log in, carry out the policy, report. */
#ifndef FETCH_RUN_H
#define FETCH_RUN_H

#include "fetch/account/account.h"
#include "fetch/syscalls.h"
#include "fetch/account/options.h"

/* Returns a code of sysexits.h; errors are reported already. files: fetch_files_real. */
int fetch_run(const struct fetch_account *account, const struct fetch_options *options,
	      const struct fetch_files *files);

#endif
