/* See limits.h. */
#include "server/auth/limits.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBERED_MS (10u * 60 * 1000)

struct limit_address {
	struct table_node node;
	uint8_t address[16];
	uint32_t connections, failures;
	uint64_t last_failure;
};

struct limit_user {
	struct table_node node;
	uint32_t sessions;
	uint32_t size;
	char name[];
};

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void limits_init(struct limits *limits, const struct config *config)
{
	limits->config = config;
	limits->connections = 0;
	table_init(&limits->addresses);
	table_init(&limits->users);
}

static struct limit_address *find_address(struct limits *limits, const uint8_t address[16])
{
	uint8_t whole[16];
	struct table_node *node;
	struct limit_address *entry;
	uint64_t key;

	memcpy(whole, address, sizeof(whole));
	if (memcmp(whole, v4_mapped, sizeof(v4_mapped)) != 0)
		memset(whole + 8, 0, 8);
	key = hash_octets(whole, sizeof(whole));
	for (node = table_find(&limits->addresses, key); node; node = table_next(node)) {
		entry = CONTAINER(node, struct limit_address, node);
		if (memcmp(entry->address, whole, sizeof(whole)) == 0)
			return entry;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	memcpy(entry->address, whole, sizeof(whole));
	table_add(&limits->addresses, &entry->node, key);
	return entry;
}

static void release_address(struct limits *limits, struct limit_address *entry)
{
	if (entry->connections || entry->failures)
		return;
	table_remove(&limits->addresses, &entry->node);
	free(entry);
}

struct limit_address *limits_connect(struct limits *limits, const uint8_t address[16], bool forced,
				     enum reason *ret_why)
{
	struct limit_address *entry = find_address(limits, address);
	uint32_t most = limits->config->max_connections_per_address;

	*ret_why = REASON_OK;
	if (!entry)
		*ret_why = REASON_MEMORY;
	else if (!forced && limits->config->max_connections &&
		 limits->connections >= limits->config->max_connections)
		*ret_why = REASON_CONNECTIONS;
	else if (!forced && most && entry->connections >= most)
		*ret_why = REASON_ADDRESS_CONNECTIONS;
	if (*ret_why) {
		if (entry)
			release_address(limits, entry);
		return NULL;
	}
	entry->connections++;
	limits->connections++;
	return entry;
}

void limits_disconnect(struct limits *limits, struct limit_address *address)
{
	address->connections--;
	limits->connections--;
	release_address(limits, address);
}

static bool is_loopback(const uint8_t address[16])
{
	static const uint8_t six[16] = {[15] = 1}; /* of IPv6 the /64 is kept */

	if (memcmp(address, v4_mapped, sizeof(v4_mapped)) == 0)
		return address[12] == 127;
	return memcmp(address, six, 8) == 0;
}

uint32_t limits_failed(struct limits *limits, struct limit_address *address, uint32_t n,
		       uint64_t now)
{
	uint64_t delay = limits->config->failure_delay_ms,
		 most = limits->config->failure_delay_max_ms;

	if (!is_loopback(address->address)) {
		if (now - address->last_failure > REMEMBERED_MS)
			address->failures = 0;
		address->failures++;
		address->last_failure = now;
		if (address->failures > n)
			n = address->failures;
	}
	while (--n > 0 && delay < most)
		delay *= 2;
	return (uint32_t)(delay < most ? delay : most);
}

struct limit_user *limits_login(struct limits *limits, pop3_span name)
{
	uint64_t key = hash_octets(name.data, name.size);
	struct limit_user *user = NULL;

	for (struct table_node *node = table_find(&limits->users, key); node;
	     node = table_next(node)) {
		user = CONTAINER(node, struct limit_user, node);
		if (user->size == name.size && memcmp(user->name, name.data, name.size) == 0)
			break;
		user = NULL;
	}
	if (!user) {
		user = calloc(1, sizeof(*user) + name.size);
		if (!user)
			return NULL;
		user->size = (uint32_t)name.size;
		memcpy(user->name, name.data, name.size);
		table_add(&limits->users, &user->node, key);
	}
	if (limits->config->max_sessions_per_user &&
	    user->sessions >= limits->config->max_sessions_per_user)
		return NULL;
	user->sessions++;
	return user;
}

void limits_logout(struct limits *limits, struct limit_user *user)
{
	if (--user->sessions)
		return;
	table_remove(&limits->users, &user->node);
	free(user);
}

struct sweep {
	struct limits *limits;
	uint64_t now;
};

static void sweep_one(struct table_node *node, void *context)
{
	struct limit_address *entry = CONTAINER(node, struct limit_address, node);
	struct sweep *sweep = context;

	if (sweep->now - entry->last_failure > REMEMBERED_MS)
		entry->failures = 0;
	release_address(sweep->limits, entry);
}

void limits_sweep(struct limits *limits, uint64_t now)
{
	struct sweep sweep = {limits, now};

	table_each(&limits->addresses, sweep_one, &sweep);
}
