/* See login_delays.h. Names were judged before. */
#include "server/auth/login_delays.h"

#include "base/table.h"
#include "users/names.h"

static uint64_t hash_of(pop3_span name)
{
	char key[USER_NAME_MAX];

	name = user_name_key(name, key);
	return hash_octets(name.data, name.size);
}

void login_delays_put(struct recent *delays, pop3_span name, uint64_t now)
{
	(void)recent_put(delays, hash_of(name), now);
}

bool login_delays_has(const struct recent *delays, pop3_span name, uint32_t seconds, uint64_t now)
{
	uint64_t last;

	return recent_get(delays, hash_of(name), &last) && now < last + seconds * 1000ull;
}

void login_delays_forget(struct recent *delays, pop3_span name)
{
	recent_forget(delays, hash_of(name));
}
