/*
 * The order in which costly logins (slow password hashes) get a worker. Fair by network: the
 * networks take turns, and one network has a bounded number of hashes under way. Bounded: what is
 * over the bound is refused at once, never judged. No I/O; on auth's loop.
 */
#ifndef SERVER_AUTH_QUEUE_H
#define SERVER_AUTH_QUEUE_H

#include "base/table.h"

#include <stdbool.h>
#include <stdint.h>

enum queue_class {
	QUEUE_PROVEN, /* this user logged in from this network before */
	QUEUE_CALM,
	QUEUE_FAILED, /* the network has fresh failures */
	QUEUE_CLASSES
};

enum {
	QUEUE_PER_NETWORK = 2, /* hashes of one network at a time; loopback: no such bound */
};

struct queue_source;

/* Embedded in what waits; its members are queue.c's alone. */
struct queue_entry {
	struct queue_entry *next, **at; /* at NULL: it does not wait */
	struct queue_source *source;    /* NULL: neither waits nor runs */
	enum queue_class class;
};

/* The networks of a class with entries that wait, in the order of their turns. */
struct queue_ring {
	struct queue_source *head, **tail;
};

struct queue {
	struct table sources;
	struct queue_ring rings[QUEUE_CLASSES];
	uint32_t waiting, running, taken;
	uint32_t max, threads;
};

/* max: entries that may wait; the last quarter is for QUEUE_PROVEN. threads: entries that may
 * run. */
void queue_init(struct queue *queue, uint32_t max, uint32_t threads);
/* network: canonical, see limits_network; loopback: of a host's own users. Returns -1: the queue is
 * full, or there is no memory. */
int queue_add(struct queue *queue, struct queue_entry *entry, const uint8_t network[16],
	      bool loopback, enum queue_class class);
/* The entry that runs next; NULL: none may run now. QUEUE_PROVEN comes first and QUEUE_FAILED last,
 * but one turn in eight begins at QUEUE_CALM and one in 32 at QUEUE_FAILED, so that none waits for
 * ever. */
struct queue_entry *queue_take(struct queue *queue);
bool queue_waits(const struct queue_entry *entry);
/* entry waits no more, or has run. Of one that does neither: nothing. */
void queue_leave(struct queue *queue, struct queue_entry *entry);

#endif
