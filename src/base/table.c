/* See table.h. Any process; one thread a table. */
#include "base/table.h"

#include "base/random.h"
#include "base/siphash.h"

#include <stdlib.h>

/* The key of all tables of this process: written once, before main. */
static struct siphash_key hash_key;

__attribute__((constructor)) static void make_key(void)
{
	unsigned char octets[SIPHASH_KEY_SIZE];

	if (random_octets(octets, sizeof(octets)) < 0)
		abort(); /* it never fails once the kernel's pool is ready */
	hash_key = siphash_key_of(octets);
}

static struct table_node **bucket(const struct table *table, uint64_t key)
{
	return &table->buckets[siphash_number(&hash_key, key) & table->mask];
}

void table_init(struct table *table)
{
	table->buckets = NULL;
	table->single = NULL;
	table->mask = 0;
	table->count = 0;
}

void table_finish(struct table *table)
{
	free(table->buckets);
	table_init(table);
}

static void grow(struct table *table)
{
	size_t size = table->buckets ? (table->mask + 1) * 2 : 16;
	struct table_node **fresh = calloc(size, sizeof(struct table_node *)),
			  **old = table->buckets;
	size_t old_size = old ? table->mask + 1 : 1;

	if (!fresh)
		return;
	table->buckets = fresh;
	table->mask = size - 1;
	for (size_t i = 0; i < old_size; i++) {
		struct table_node *node = old ? old[i] : table->single, *next;

		for (; node; node = next) {
			struct table_node **at = bucket(table, node->key);

			next = node->next;
			node->next = *at;
			*at = node;
		}
	}
	table->single = NULL;
	free(old);
}

void table_add(struct table *table, struct table_node *node, uint64_t key)
{
	struct table_node **at;

	if (!table->buckets || table->count > table->mask)
		grow(table);
	at = table->buckets ? bucket(table, key) : &table->single;
	node->key = key;
	node->next = *at;
	*at = node;
	table->count++;
}

void table_remove(struct table *table, struct table_node *node)
{
	struct table_node **at = table->buckets ? bucket(table, node->key) : &table->single;

	for (; *at; at = &(*at)->next) {
		if (*at != node)
			continue;
		*at = node->next;
		node->next = NULL;
		table->count--;
		return;
	}
}

static struct table_node *with_key(struct table_node *node, uint64_t key)
{
	while (node && node->key != key)
		node = node->next;
	return node;
}

struct table_node *table_find(const struct table *table, uint64_t key)
{
	return with_key(table->buckets ? *bucket(table, key) : table->single, key);
}

struct table_node *table_next(const struct table_node *node)
{
	return with_key(node->next, node->key);
}

void table_each(struct table *table, void (*visit)(struct table_node *, void *), void *context)
{
	size_t size = table->buckets ? table->mask + 1 : 1;

	for (size_t i = 0; i < size; i++) {
		struct table_node *node = table->buckets ? table->buckets[i] : table->single, *next;

		for (; node; node = next) {
			next = node->next;
			visit(node, context);
		}
	}
}

static uint64_t reversed(uint64_t n)
{
	uint64_t r = 0;

	for (int i = 0; i < 64; i++, n >>= 1)
		r = r << 1 | (n & 1);
	return r;
}

/* The cursor counts with its highest bit as the lowest: a bucket's nodes go, when the table has
 * doubled, to two buckets that follow each other in that order, so what is behind the cursor stays
 * behind it. */
uint64_t table_scan(const struct table *table, uint64_t cursor,
		    void (*visit)(struct table_node *, void *), void *context)
{
	struct table_node *node =
		table->buckets ? table->buckets[cursor & table->mask] : table->single;

	for (; node; node = node->next)
		visit(node, context);
	return reversed(reversed(cursor | ~(uint64_t)table->mask) + 1);
}

uint64_t hash_octets(const void *data, size_t size)
{
	return siphash(&hash_key, data, size);
}

uint64_t hash_everywhere(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325u;

	while (size--)
		h = (h ^ *p++) * 0x100000001b3u;
	return h ^ h >> 32;
}
