/*
 * Memory that a keeper shares with one front, for messages on their way out: the keeper writes a
 * batch into a slot, the front reads it there, and nothing is copied through a channel. The front
 * decides which slot is free and names it when it asks; a keeper writes only while it answers.
 * The front's side is read-only, which the kernel's seals make sure of, and cannot shrink under its
 * reader. A front that names slots wrongly spoils its own sessions' messages, nobody else's.
 */
#ifndef SERVER_ARENA_H
#define SERVER_ARENA_H

#include <stdint.h>

#define ARENA_SLOTS 32
#define ARENA_SLOT_SIZE 131072

struct arena;

/* Keeper: makes one, *ret_fd is to be sent to the front and closed. NULL: the kernel can't, bodies
 * go through the channel. */
struct arena *arena_create(int *ret_fd);
/* Keeper: where to write. NULL: no such slot. */
char *arena_slot(struct arena *arena, uint32_t number);

/* Front: maps what a keeper sent; fd stays the caller's. NULL: it is not one, or no memory. */
struct arena *arena_open(int fd);

/* A slot that the front has taken; arena NULL: none. Keeps the arena. */
struct arena_lease {
	struct arena *arena;
	uint32_t number;
};
/* Front: takes a free slot; without one (or an arena: NULL) the lease has none. */
struct arena_lease arena_take(struct arena *arena);
const char *arena_octets(const struct arena_lease *lease);
/* Front: gives it back; nothing if it has none. */
void arena_give(struct arena_lease *lease);

/* Both: the arena ends with its last lease. NULL is none. */
void arena_release(struct arena *arena);

#endif
