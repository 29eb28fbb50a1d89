/* See proven.h. */
#include "server/auth/proven.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/secret.h"
#include "server/auth/recent.h"
#include "server/counters.h"
#include "users/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct proven {
	struct hmac keyed; /* with the key taken in; copied for each pair */
	struct recent *pairs;
};

int proven_create(uint32_t pairs, struct proven **ret, struct err *err)
{
	unsigned char key[32];
	struct proven *proven = calloc(1, sizeof(*proven));

	if (!proven || recent_create(pairs, &proven->pairs, err) < 0) {
		free(proven);
		return err_set(err, EX_OSERR, "out of memory");
	}
	if (random_octets(key, sizeof(key)) < 0) {
		proven_destroy(proven);
		return err_sys(err, EX_OSERR, errno, "no random octets");
	}
	hmac_init(&proven->keyed, DIGEST_SHA_256, key, sizeof(key));
	wipe(key, sizeof(key));
	*ret = proven;
	return 0;
}

void proven_destroy(struct proven *proven)
{
	if (!proven)
		return;
	recent_destroy(proven->pairs);
	wipe(&proven->keyed, sizeof(proven->keyed));
	free(proven);
}

static uint64_t hash_of(const struct proven *proven, pop3_span name, const uint8_t network[16])
{
	struct hmac hmac = proven->keyed;
	unsigned char mac[32];
	char key[USER_NAME_MAX];
	uint64_t hash;

	hmac_add(&hmac, network, 16);
	name = user_name_key(name, key);
	hmac_add(&hmac, name.data, name.size);
	hmac_finish(&hmac, mac);
	memcpy(&hash, mac, sizeof(hash));
	return hash;
}

void proven_put(struct proven *proven, pop3_span name, const uint8_t network[16], uint64_t now)
{
	if (name.size > USER_NAME_MAX)
		return;
	if (recent_put(proven->pairs, hash_of(proven, name, network), now))
		counters_add(COUNTER_REMEMBERED, 1);
}

bool proven_has(const struct proven *proven, pop3_span name, const uint8_t network[16],
		uint64_t now)
{
	uint64_t last;

	return name.size > 0 && name.size <= USER_NAME_MAX &&
	       recent_get(proven->pairs, hash_of(proven, name, network), &last) &&
	       now - last < PROVEN_SECONDS;
}
