/* One account, collected once: lock, recover, connect, log in, carry out the policy, report. The
 * outcome is what a caller that collects again and again decides by. */
#ifndef FETCH_RUN_H
#define FETCH_RUN_H

#include "fetch/account/account.h"
#include "fetch/syscalls.h"
#include "fetch/account/options.h"
#include "fetch/report/report.h"

#include <pop3/server.h>

struct fetch_outcome {
	int code;               /* as fetch_run returns it */
	enum pop3_code refusal; /* the response code of a refused greeting or login */
	bool network;           /* the way to the server failed, for now */
	bool consent;           /* the token is not accepted: a person has to consent again */
	uint32_t login_delay;   /* seconds between two logins that the server announced; 0: none */
	struct report_totals totals;
	char text[sizeof(((struct err *)NULL)->text)]; /* of the error; "": none */
};

/* Returns a code of sysexits.h; errors are reported already. files: fetch_files_real. ret: NULL, or
 * filled in any case. */
int fetch_run(const struct fetch_account *account, const struct fetch_options *options,
	      const struct fetch_files *files, struct fetch_outcome *ret);

#endif
