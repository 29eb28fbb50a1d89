/*
 * The keys of a SCRAM exchange: stored ones, derived ones, and for strangers keys that cannot be
 * told from real ones. A stranger is whoever cannot log in with this mechanism: an unknown or
 * locked name, an entry in another scheme. Every name takes the same steps here; the differences
 * are choices among results. See login_attempt_private.h.
 */
#include "users/login_scram_private.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "users/derived.h"
#include "users/scheme_kinds.h"

#include <stdio.h>
#include <string.h>

/*
 * Makes salt and count for a name, so that they do not show whether the user exists or how the
 * password is stored. Their key stays while the site's first SCRAM entry stays (if it changed at a
 * restart, only the salts of strangers would change); without such an entry it is this process's
 * own. first: that entry's stored form, "" when there is none.
 */
static void derived_salt(const struct login *login, const struct scram_hash *hash,
			 const char *first, struct scram_keys *keys)
{
	char name[USER_NAME_MAX + 24];
	unsigned char mac[32];
	struct scram_keys like = {.iterations = SCRAM_ITERATIONS, .salt_size = 16};
	pop3_span payload;
	int n;

	scheme_kind(first, &payload);
	(void)scram_parse(hash, payload, &like);
	n = snprintf(name, sizeof(name), "%s %.*s", hash->name, (int)login->claimed_size,
		     login->claimed);
	(void)user_name_key((pop3_span){name, (size_t)n}, name); /* as users are looked up */
	if (*first)
		hmac_of(DIGEST_SHA_256, first, strlen(first), name, (size_t)n, mac);
	else
		hmac_of(DIGEST_SHA_256, login->service->fake_key, sizeof(login->service->fake_key),
			name, (size_t)n, mac);
	keys->iterations = like.iterations;
	keys->salt_size = like.salt_size < sizeof(mac) ? like.salt_size : sizeof(mac);
	memcpy(keys->salt, mac, keys->salt_size);
	wipe(&like, sizeof(like));
}

/* Fills in the keys that belong to salt and secret, from memory or by PBKDF2. On the loop, where
 * there is no time for PBKDF2, the step is left to a worker: see login_step_fast. */
static void derive(struct login *login, const struct scram_hash *hash, pop3_span secret,
		   struct scram_keys *keys)
{
	char name[USER_NAME_MAX + 1];
	struct derived *memory = login->service->derived;
	struct derived_of of = {
		hash,
		{login->network, login->network_size},
		user_name_key((pop3_span){login->claimed, login->claimed_size}, name),
		secret,
		keys};

	if (derived_get(memory, &of, keys))
		return;
	if (login->fast) {
		login->needs_worker = true;
		return;
	}
	if (secret_set(&login->password, secret) == 0 &&
	    scram_derive(hash, &login->password, keys) == 0)
		derived_put(memory, &of, keys);
}

/* Keys for salts of names that have none of their own are derived for each login, where the entry
 * is a password in clear text; for a stranger so in as many cases out of a hundred as there are
 * such entries among those that SCRAM can use. *ret: the secret to derive from; false: none. */
static bool to_derive(struct login *login, enum scheme_kind kind, enum scheme_kind wanted,
		      pop3_span own, char *fake, size_t size, pop3_span *ret)
{
	pop3_span payload = {"", 0};
	bool derives =
		users_stranger_secret(login->service->users,
				      (pop3_span){login->claimed, login->claimed_size},
				      1u << SCHEME_KIND_PLAIN | 1u << wanted, fake, size) == 0 &&
		scheme_kind(fake, &payload) == SCHEME_KIND_PLAIN;

	*ret = kind == SCHEME_KIND_PLAIN ? own : payload;
	return kind == SCHEME_KIND_PLAIN || (kind != wanted && derives);
}

void login_on_scram(void *argument, const struct scram_hash *hash, pop3_span authid,
		    pop3_span authzid, struct scram_keys *ret)
{
	struct login *login = argument;
	enum scheme_kind wanted =
		hash->size == 20 ? SCHEME_KIND_SCRAM_SHA_1 : SCHEME_KIND_SCRAM_SHA_256;
	enum scheme_kind kind = SCHEME_KIND_UNKNOWN;
	char first[USER_SECRET_MAX + 1] = "", fake[USER_SECRET_MAX + 1] = "";
	pop3_span own = {"", 0}, secret, stored;
	struct scram_keys made = {0}, parsed = {0};

	login_claim(login, authid);
	login->other_authzid = authzid.size && !user_name_same(authzid, authid);
	if (login_look_up(login) && login->known)
		kind = scheme_kind(login->user.secret, &own);
	(void)users_first_secret(login->service->users, hash->name, first, sizeof(first));
	derived_salt(login, hash, first, &made);
	(void)random_octets(made.stored_key, sizeof(made.stored_key));
	(void)random_octets(made.server_key, sizeof(made.server_key));
	scheme_kind(first, &stored);
	if (scram_parse(hash, kind == wanted ? own : stored, &parsed) < 0 && kind == wanted)
		kind = SCHEME_KIND_UNKNOWN; /* damaged */
	login->known = kind == wanted || kind == SCHEME_KIND_PLAIN;
	if (to_derive(login, kind, wanted, own, fake, sizeof(fake), &secret)) {
		derive(login, hash, secret, &made);
		if (!login->known) { /* nobody's password is right, not even the one derived from */
			(void)random_octets(made.stored_key, sizeof(made.stored_key));
			(void)random_octets(made.server_key, sizeof(made.server_key));
		}
	}
	*ret = kind == wanted ? parsed : made;
	wipe(&made, sizeof(made));
	wipe(&parsed, sizeof(parsed));
	wipe(first, sizeof(first));
	wipe(fake, sizeof(fake));
}
