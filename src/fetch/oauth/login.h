/* `valija fetch login`: a person's consent, and the tokens that it brings. */
#ifndef FETCH_OAUTH_LOGIN_H
#define FETCH_OAUTH_LOGIN_H

#include "base/err.h"
#include "fetch/account/account.h"
#include "fetch/syscalls.h"

enum oauth_flow { OAUTH_FLOW_ANY, OAUTH_FLOW_DEVICE, OAUTH_FLOW_BROWSER };

struct oauth_login {
	enum oauth_flow flow;
	bool no_browser; /* is started by us */
};

/* Prints what the person has to do. The tokens are kept when it returns 0. */
int oauth_login(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
		const struct oauth_login *how, struct err *err);

#endif
