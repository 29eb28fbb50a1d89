/* See login_app_private.h. An app password is judged before any database is asked about the main
 * one, and before any slow hash: it costs a digest. */
#include "users/login_app_private.h"

#include "base/text.h"

#include <stdio.h>
#include <time.h>

bool login_app_matches(struct login *login)
{
	if (!login->app_tried) {
		login->app_tried = true;
		login_settle_name(login);
		login->app_matched =
			login->service->apps &&
			app_passwords_match(
				login->service->apps,
				(pop3_span){login->claimed, login->claimed_size},
				(pop3_span){login->password.bytes, login->password.size},
				&login->app);
	}
	return login->app_matched;
}

enum login_verdict login_app_verdict(struct login *login)
{
	char how[LOGIN_WHY_MAX];

	if (login->app.expires && login->app.expires <= (uint64_t)time(NULL)) {
		snprintf(how, sizeof(how), "the app password %s has expired", login->app.label);
		return login_over(login, LOGIN_DENIED, how);
	}
	if (!login_look_up(login))
		return login_no_entry(login);
	if (!login->may_log_in) {
		if (login_asks_again(login))
			return LOGIN_ASK;
		snprintf(how, sizeof(how),
			 "the app password %s is right, but no such user may log in",
			 login->app.label);
		return login_over(login, LOGIN_DENIED, how);
	}
	snprintf(how, sizeof(how), "app password %s", login->app.label);
	return login_proven(login, how);
}
