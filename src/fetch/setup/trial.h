/* A login for trial: the server of an account answers, takes the secret and says what is there. */
#ifndef FETCH_SETUP_TRIAL_H
#define FETCH_SETUP_TRIAL_H

#include "base/secret.h"
#include "fetch/account/account.h"

struct trial {
	char mechanism[32];
	uint32_t messages;
	uint64_t octets;
};

/*
 * secret NULL: nothing is sent but greeting, TLS and the question for capabilities: the host can be
 * reached and its certificate is good. Else logs in and asks how much mail waits; nothing is
 * collected or changed. The session is that of a child, confined as `valija fetch` is.
 */
int trial_run(const struct fetch_account *account, int state_dir, const struct secret *secret,
	      struct trial *ret, struct err *err);

#endif
