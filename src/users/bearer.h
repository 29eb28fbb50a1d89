/*
 * The octets of the mechanisms OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's,
 * older): the client's response with a name and a token, and the challenge that tells it why the
 * token was refused. Pure: no allocation, no I/O; thread-safe. Whether the token is good is a
 * database's matter.
 */
#ifndef USERS_BEARER_H
#define USERS_BEARER_H

#include "users/names.h"

#include <pop3/span.h>

enum bearer_mechanism { BEARER_OAUTHBEARER, BEARER_XOAUTH2 };

enum bearer_result {
	BEARER_OK,
	BEARER_NONE, /* well-formed, without a token: the challenge tells where one is to be had */
	BEARER_BAD,
};

struct bearer {
	char user[USER_NAME_MAX + 1]; /* not judged; "": the token says who it is (OAUTHBEARER) */
	pop3_span token;              /* in the response: letters, digits, "-._~+/", then "=" */
};

/* Reads the client's response. *ret: filled in if BEARER_OK, untouched otherwise. */
enum bearer_result bearer_read(enum bearer_mechanism mechanism, pop3_span response,
			       struct bearer *ret);

/* Writes the challenge (JSON, before base64) for a token that was refused; whatever the client
 * answers, the login has failed. scope, config_url (OAUTHBEARER: the provider's
 * openid-configuration): "": left out. Returns its size, without the NUL behind it; -1: no room. */
int bearer_challenge(enum bearer_mechanism mechanism, const char *scope, const char *config_url,
		     char *buf, size_t size);

#endif
