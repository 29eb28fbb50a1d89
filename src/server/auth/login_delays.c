/* See login_delays.h. Sets of eight entries, as those of proven.c; names were judged before. */
#include "server/auth/login_delays.h"

#include "base/table.h"
#include "users/names.h"

#include <stdlib.h>
#include <sysexits.h>

enum { WAYS = 8 };

struct login_time {
	uint64_t hash;
	uint64_t last; /* milliseconds + 1; 0: free */
};

struct login_delays {
	size_t sets; /* power of two */
	struct login_time times[];
};

int login_delays_create(uint32_t users, struct login_delays **ret, struct err *err)
{
	struct login_delays *delays;
	size_t sets = 1;

	while (sets * WAYS < users)
		sets *= 2;
	delays = calloc(1, sizeof(*delays) + sets * WAYS * sizeof(delays->times[0]));
	if (!delays)
		return err_set(err, EX_OSERR, "out of memory");
	delays->sets = sets;
	*ret = delays;
	return 0;
}

void login_delays_destroy(struct login_delays *delays)
{
	free(delays);
}

/* The place of the user in its set; else the free or oldest one, with *ret_found false. */
static size_t find(const struct login_delays *delays, pop3_span name, uint64_t *ret_hash,
		   bool *ret_found)
{
	char key[USER_NAME_MAX];
	size_t first, oldest;

	name = user_name_key(name, key);
	*ret_hash = hash_octets(name.data, name.size);
	first = oldest = (*ret_hash & (delays->sets - 1)) * WAYS;
	*ret_found = true;
	for (size_t i = first; i < first + WAYS; i++) {
		if (delays->times[i].last && delays->times[i].hash == *ret_hash)
			return i;
		if (delays->times[i].last < delays->times[oldest].last)
			oldest = i;
	}
	*ret_found = false;
	return oldest;
}

void login_delays_put(struct login_delays *delays, pop3_span name, uint64_t now)
{
	uint64_t hash;
	bool found;
	size_t at = find(delays, name, &hash, &found);

	delays->times[at] = (struct login_time){.hash = hash, .last = now + 1};
}

bool login_delays_has(const struct login_delays *delays, pop3_span name, uint32_t seconds,
		      uint64_t now)
{
	uint64_t hash;
	bool found;
	size_t at = find(delays, name, &hash, &found);

	return found && now < delays->times[at].last - 1 + seconds * 1000ull;
}

void login_delays_forget(struct login_delays *delays, pop3_span name)
{
	uint64_t hash;
	bool found;
	size_t at = find(delays, name, &hash, &found);

	if (found)
		delays->times[at].last = 0;
}
