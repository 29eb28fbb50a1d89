/*
 * A hash table of 64-bit keys, intrusive: the caller's structs embed the node and own the memory.
 * Keys may be chosen by an attacker: the hash has a random key of its own in each process.
 * Grows by doubling; without memory for that it gets slower and still works. Several nodes may have
 * one key (table_next). Any process; one thread a table.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_node {
	struct table_node *next;
	uint64_t key;
};

struct table {
	struct table_node **buckets;
	size_t mask, count;
	struct table_node *single; /* the one bucket of a table that has not grown */
};

#define CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void table_init(struct table *table);
void table_finish(struct table *table); /* the nodes stay the caller's */
void table_add(struct table *table, struct table_node *node, uint64_t key);
void table_remove(struct table *table, struct table_node *node);
struct table_node *table_find(const struct table *table, uint64_t key);
struct table_node *table_next(const struct table_node *node); /* with the same key */
/* Calls visit for every node; visit may remove the node it is given. */
void table_each(struct table *table, void (*visit)(struct table_node *node, void *context),
		void *context);
/* Calls visit for the nodes of one bucket, a few; visit removes none. cursor: 0 at first, then what
 * the call before returned; 0: that was the last bucket. A node that is in the table from the first
 * call to the last is visited exactly once, also when the table grows between two calls. */
uint64_t table_scan(const struct table *table, uint64_t cursor,
		    void (*visit)(struct table_node *node, void *context), void *context);
/* Of text from outside, as the key of a table: another value in each process. Not for secrets. */
uint64_t hash_octets(const void *data, size_t size);
/* The same value in all processes and for ever, so not for tables: strangers can make values that
 * collide. */
uint64_t hash_everywhere(const void *data, size_t size);

#endif
