/* The command line of `valija fetch setup`; for setup.c. */
#ifndef FETCH_SETUP_ARGUMENTS_H
#define FETCH_SETUP_ARGUMENTS_H

#include "base/err.h"
#include "fetch/account/account.h"
#include "fetch/oauth/login.h"

/* Texts are argv's. */
struct setup_arguments {
	const char *address;
	const char *config, *state, *name;
	const char *server;     /* a URL, or a host */
	const char *autoconfig; /* a page */
	const char *user, *to, *policy, *auth, *ca;
	const char *secret_key, *secret; /* "password-file" and its value; NULL: none given */
	enum fetch_password_source source;
	const char *oauth, *client_id, *client_file;
	struct oauth_login login;
	bool no_lookup, no_test, yes, timer, watch, no_timer, help;
};

int setup_arguments_parse(int argc, char **argv, struct setup_arguments *ret, struct err *err);
void setup_usage(bool mistake);

#endif
