/* The keys of a SCRAM exchange: stored ones, derived ones, and for unknown users keys that cannot
 * be told from real ones. See login_attempt_private.h. */
#include "users/login_scram_private.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "users/scheme_kinds.h"

#include <stdio.h>
#include <string.h>

/*
 * Makes salt and count for a name, so that they do not show whether the user exists or how the
 * password is stored. Their key stays while the site's first SCRAM entry stays (if it changed at a
 * restart, only the salts of unknown users would change); without such an entry it is this
 * process's own.
 */
static void derived_salt(struct login *login, const struct scram_hash *hash,
			 struct scram_keys *keys)
{
	char first[USER_SECRET_MAX + 1], name[USER_NAME_MAX + 24];
	unsigned char mac[32];
	const void *key = login->service->fake_key;
	size_t key_size = sizeof(login->service->fake_key);
	struct scram_keys like = {.iterations = SCRAM_ITERATIONS, .salt_size = 16};
	pop3_span payload;
	int n;

	if (users_first_secret(login->service->users, hash->name, first, sizeof(first)) == 0) {
		scheme_kind(first, &payload);
		(void)scram_parse(hash, payload, &like);
		key = first;
		key_size = strlen(first);
	}
	n = snprintf(name, sizeof(name), "%s %.*s", hash->name, (int)login->claimed_size,
		     login->claimed);
	(void)user_name_key((pop3_span){name, (size_t)n}, name); /* as users are looked up */
	hmac_of(DIGEST_SHA_256, key, key_size, name, (size_t)n, mac);
	keys->iterations = like.iterations;
	keys->salt_size = like.salt_size < sizeof(mac) ? like.salt_size : sizeof(mac);
	memcpy(keys->salt, mac, keys->salt_size);
	wipe(first, sizeof(first));
	wipe(&like, sizeof(like));
}

static void fake_keys(struct login *login, const struct scram_hash *hash, struct scram_keys *keys)
{
	char usual[USER_SECRET_MAX + 1];
	pop3_span payload;

	login->known = false;
	derived_salt(login, hash, keys);
	/* where most passwords are in clear text, keys are computed for each login */
	if (users_usual_secret(login->service->users, usual, sizeof(usual)) == 0 &&
	    scheme_kind(usual, &payload) == SCHEME_KIND_PLAIN) {
		secret_set(&login->password, payload);
		(void)scram_derive(hash, &login->password, keys);
	}
	wipe(usual, sizeof(usual));
	(void)random_octets(keys->stored_key, sizeof(keys->stored_key));
	(void)random_octets(keys->server_key, sizeof(keys->server_key));
}

void login_on_scram(void *argument, const struct scram_hash *hash, pop3_span authid,
		    pop3_span authzid, struct scram_keys *ret)
{
	struct login *login = argument;
	enum scheme_kind wanted =
		hash->size == 20 ? SCHEME_KIND_SCRAM_SHA_1 : SCHEME_KIND_SCRAM_SHA_256;
	enum scheme_kind kind = SCHEME_KIND_UNKNOWN;
	pop3_span payload = {"", 0};

	login_claim(login, authid);
	login->other_authzid = authzid.size && !user_name_same(authzid, authid);
	if (login_look_up(login) && login->known)
		kind = scheme_kind(login->user.secret, &payload);
	if (kind == wanted && scram_parse(hash, payload, ret) == 0)
		return;
	if (kind == SCHEME_KIND_PLAIN) {
		derived_salt(login, hash, ret);
		if (secret_set(&login->password, payload) == 0 &&
		    scram_derive(hash, &login->password, ret) == 0)
			return;
	}
	fake_keys(login, hash, ret);
}
