/* `valija fetch doctor`: what a server does otherwise than it says, and the setting that answers
 * it. */
#ifndef FETCH_DOCTOR_DOCTOR_H
#define FETCH_DOCTOR_DOCTOR_H

#include "fetch/account/options.h"

/*
 * Looks at the account's server: deletes nothing, reads bodies only with options->bodies. login:
 * also behind the login. Confines the process. Returns EX_OK, EX_DATAERR when something is wrong,
 * or the code of what kept it from looking.
 */
int doctor_run(const struct fetch_account *account, const struct fetch_options *options,
	       bool login);

#endif
