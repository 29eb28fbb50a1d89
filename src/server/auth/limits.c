/* See limits.h. */
#include "server/auth/limits.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBERED_MS (10u * 60 * 1000)

enum {
	NARROWER = 7, /* octets of a /56 */
	WIDEST = 6,   /* … and of a /48 */
	PENALTY_MOST = 1 << 30,
	SHARE = 4, /* each wider network may have so many times as much */
};

/* A /56 or /48 of IPv6: whoever has one has all addresses of it. There while one of its members
 * is. */
struct limit_block {
	struct table_node node;
	struct limit_block *wider; /* of a /56: its /48 */
	uint8_t prefix[8];         /* the last octet is the number of those that count */
	uint32_t members, connections, failures;
	uint64_t last_failure;
};

struct limit_address {
	struct table_node node;
	struct limit_block *block; /* NULL: no IPv6, or loopback */
	uint8_t address[16];
	bool local; /* of this machine: what a proxy calls loopback is not */
	uint32_t connections, failures, given_up;
	uint64_t last_failure; /* or login that was given up */
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
	limits->changes = 0;
	table_init(&limits->addresses);
	table_init(&limits->blocks);
	table_init(&limits->users);
}

static bool is_loopback(const uint8_t address[16])
{
	static const uint8_t six[16] = {[15] = 1}; /* of IPv6 the /64 is kept */

	if (memcmp(address, v4_mapped, sizeof(v4_mapped)) == 0)
		return address[12] == 127;
	return memcmp(address, six, 8) == 0;
}

static void leave_block(struct limits *limits, struct limit_block *block)
{
	while (block && --block->members == 0) {
		struct limit_block *wider = block->wider;

		table_remove(&limits->blocks, &block->node);
		free(block);
		block = wider;
	}
}

/* The block of the first size octets of address, with one member more; made with the wider one that
 * it is in. */
static struct limit_block *join_block(struct limits *limits, const uint8_t address[16],
				      uint8_t size)
{
	uint8_t prefix[8] = {[7] = size};
	struct limit_block *block, *wider = NULL;
	uint64_t key;

	memcpy(prefix, address, size);
	key = hash_octets(prefix, sizeof(prefix));
	for (struct table_node *node = table_find(&limits->blocks, key); node;
	     node = table_next(node)) {
		block = CONTAINER(node, struct limit_block, node);
		if (memcmp(block->prefix, prefix, sizeof(prefix)) == 0) {
			block->members++;
			return block;
		}
	}
	if (size > WIDEST && !(wider = join_block(limits, address, WIDEST)))
		return NULL;
	block = calloc(1, sizeof(*block));
	if (!block) {
		leave_block(limits, wider);
		return NULL;
	}
	memcpy(block->prefix, prefix, sizeof(prefix));
	block->wider = wider;
	block->members = 1;
	table_add(&limits->blocks, &block->node, key);
	return block;
}

static struct limit_address *find_address(struct limits *limits, const uint8_t address[16],
					  bool local)
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
		if (entry->local == local && memcmp(entry->address, whole, sizeof(whole)) == 0)
			return entry;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	memcpy(entry->address, whole, sizeof(whole));
	entry->local = local;
	if (memcmp(whole, v4_mapped, sizeof(v4_mapped)) != 0 && !is_loopback(whole) &&
	    !(entry->block = join_block(limits, whole, NARROWER))) {
		free(entry);
		return NULL;
	}
	table_add(&limits->addresses, &entry->node, key);
	return entry;
}

static void release_address(struct limits *limits, struct limit_address *entry)
{
	if (entry->connections || entry->failures || entry->given_up)
		return;
	table_remove(&limits->addresses, &entry->node);
	leave_block(limits, entry->block);
	free(entry);
}

static bool is_full(const struct limit_address *entry, uint32_t most)
{
	uint64_t share = most;

	if (!most)
		return false;
	if (entry->connections >= most)
		return true;
	for (const struct limit_block *block = entry->block; block; block = block->wider)
		if (block->connections >= (share *= SHARE))
			return true;
	return false;
}

struct limit_address *limits_connect(struct limits *limits, const uint8_t address[16], bool local,
				     bool forced, enum reason *ret_why)
{
	struct limit_address *entry = find_address(limits, address, local && is_loopback(address));
	uint32_t most = limits->config->max_connections_per_address;

	*ret_why = REASON_OK;
	if (!entry)
		*ret_why = REASON_MEMORY;
	else if (!forced && limits->config->max_connections &&
		 limits->connections >= limits->config->max_connections)
		*ret_why = REASON_CONNECTIONS;
	else if (!forced && is_full(entry, most))
		*ret_why = REASON_ADDRESS_CONNECTIONS;
	if (*ret_why) {
		if (entry)
			release_address(limits, entry);
		return NULL;
	}
	entry->connections++;
	for (struct limit_block *block = entry->block; block; block = block->wider)
		block->connections++;
	limits->connections++;
	return entry;
}

void limits_disconnect(struct limits *limits, struct limit_address *address)
{
	address->connections--;
	for (struct limit_block *block = address->block; block; block = block->wider)
		block->connections--;
	limits->connections--;
	release_address(limits, address);
}

const uint8_t *limits_network(const struct limit_address *address)
{
	return address->address;
}

bool limits_is_loopback(const struct limit_address *address)
{
	return address->local;
}

bool limits_has_failures(const struct limit_address *address, uint64_t now)
{
	return address->failures && now - address->last_failure <= REMEMBERED_MS;
}

static void forget_old(struct limit_address *address, uint64_t now)
{
	if (now - address->last_failure > REMEMBERED_MS)
		address->failures = address->given_up = 0;
}

bool limits_given_up(struct limits *limits, struct limit_address *address, uint32_t n, uint64_t now)
{
	if (address->local)
		return n > 1;
	forget_old(address, now);
	address->last_failure = now;
	address->given_up++;
	limits->changes++;
	return n > 1 || address->given_up > 1;
}

/* The milliseconds that the n-th failure waits, from 1. */
static uint32_t delay_of(const struct limits *limits, uint32_t n)
{
	uint64_t delay = limits->config->failure_delay_ms,
		 most = limits->config->failure_delay_max_ms;

	while (--n > 0 && delay < most)
		delay *= 2;
	return (uint32_t)(delay < most ? delay : most);
}

uint32_t limits_failed(struct limits *limits, struct limit_address *address, uint32_t n,
		       uint64_t now)
{
	uint32_t share = 1;

	if (!address->local) {
		forget_old(address, now);
		limits->changes++;
		address->failures++;
		address->last_failure = now;
		if (address->failures > n)
			n = address->failures;
		for (struct limit_block *block = address->block; block; block = block->wider) {
			share *= SHARE;
			if (now - block->last_failure > REMEMBERED_MS)
				block->failures = 0;
			block->last_failure = now;
			if (++block->failures / share > n)
				n = block->failures / share;
		}
	}
	return delay_of(limits, n);
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

pop3_span limits_user_name(const struct limit_user *user)
{
	return (pop3_span){user->name, user->size};
}

struct user_visit {
	limits_visit *visit;
	void *context;
};

static void visit_user(struct table_node *node, void *context)
{
	const struct limit_user *user = CONTAINER(node, struct limit_user, node);
	const struct user_visit *visit = context;

	visit->visit(visit->context, (pop3_span){user->name, user->size}, user->sessions);
}

uint64_t limits_scan_users(const struct limits *limits, uint64_t cursor, limits_visit *visit,
			   void *context)
{
	struct user_visit own = {visit, context};

	return table_scan(&limits->users, cursor, visit_user, &own);
}

void limits_logout(struct limits *limits, struct limit_user *user)
{
	if (--user->sessions)
		return;
	table_remove(&limits->users, &user->node);
	free(user);
}

/* ---- penalties of other processes ---- */

struct visit {
	const struct limits *limits;
	uint64_t now;
	void (*visit)(const struct ipc_penalty *row, void *context);
	void *context;
};

static void visit_address(struct table_node *node, void *context)
{
	const struct limit_address *entry = CONTAINER(node, struct limit_address, node);
	const struct visit *visit = context;
	struct ipc_penalty row = {
		.last = entry->last_failure,
		.failures = entry->failures,
		.given_up = entry->given_up,
		.octets = is_loopback(entry->address) && !entry->local ? IPC_PENALTY_NAMED : 0,
		.delay = delay_of(visit->limits, entry->failures + 1)};

	if ((!row.failures && !row.given_up) || visit->now - row.last > REMEMBERED_MS)
		return;
	memcpy(row.address, entry->address, sizeof(row.address));
	visit->visit(&row, visit->context);
}

static void visit_block(struct table_node *node, void *context)
{
	const struct limit_block *block = CONTAINER(node, struct limit_block, node);
	const struct visit *visit = context;
	struct ipc_penalty row = {.last = block->last_failure,
				  .failures = block->failures,
				  .octets = block->wider ? NARROWER : WIDEST};

	if (!row.failures || visit->now - row.last > REMEMBERED_MS)
		return;
	memcpy(row.address, block->prefix, row.octets);
	visit->visit(&row, visit->context);
}

void limits_penalties(struct limits *limits, uint64_t now,
		      void (*visit)(const struct ipc_penalty *row, void *context), void *context)
{
	struct visit all = {limits, now, visit, context};

	table_each(&limits->addresses, visit_address, &all);
	table_each(&limits->blocks, visit_block, &all);
}

uint64_t limits_penalties_from(struct limits *limits, uint64_t now, uint64_t cursor,
			       void (*visit)(const struct ipc_penalty *row, void *context),
			       void *context)
{
	struct visit some = {limits, now, visit, context};

	return table_scan(&limits->addresses, cursor, visit_address, &some);
}

static uint32_t greater(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* A wider network is there only with one of its addresses. */
static bool take_block(struct limits *limits, const struct ipc_penalty *row, uint64_t now)
{
	uint8_t prefix[8] = {[7] = (uint8_t)row->octets};
	struct table_node *node;

	if (row->octets != NARROWER && row->octets != WIDEST)
		return false;
	memcpy(prefix, row->address, row->octets);
	for (node = table_find(&limits->blocks, hash_octets(prefix, sizeof(prefix))); node;
	     node = table_next(node)) {
		struct limit_block *block = CONTAINER(node, struct limit_block, node);

		if (memcmp(block->prefix, prefix, sizeof(prefix)) != 0)
			continue;
		if (now - block->last_failure > REMEMBERED_MS)
			block->failures = 0;
		block->failures = greater(block->failures, row->failures);
		if (row->last > block->last_failure)
			block->last_failure = row->last;
		return true;
	}
	return false;
}

bool limits_take_penalty(struct limits *limits, const struct ipc_penalty *row, uint64_t now)
{
	struct limit_address *entry;

	if (row->last > now || now - row->last > REMEMBERED_MS || row->failures > PENALTY_MOST ||
	    row->given_up > PENALTY_MOST || (!row->failures && !row->given_up))
		return false;
	if (row->octets > IPC_PENALTY_NAMED)
		return take_block(limits, row, now);
	/* this machine's own has none; what a proxy calls loopback has */
	if (is_loopback(row->address) != (row->octets == IPC_PENALTY_NAMED))
		return false;
	entry = find_address(limits, row->address, false);
	if (!entry)
		return false;
	forget_old(entry, now);
	entry->failures = greater(entry->failures, row->failures);
	entry->given_up = greater(entry->given_up, row->given_up);
	if (row->last > entry->last_failure)
		entry->last_failure = row->last;
	return true;
}

struct sweep {
	struct limits *limits;
	uint64_t now;
};

static void sweep_one(struct table_node *node, void *context)
{
	struct limit_address *entry = CONTAINER(node, struct limit_address, node);
	struct sweep *sweep = context;

	forget_old(entry, sweep->now);
	release_address(sweep->limits, entry);
}

void limits_sweep(struct limits *limits, uint64_t now)
{
	struct sweep sweep = {limits, now};

	table_each(&limits->addresses, sweep_one, &sweep);
}
