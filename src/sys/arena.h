/*
 * Memory that one process (a keeper) writes and one other (a front) reads, for octets that would be
 * copied twice on their way through a channel. It has slots of one size: the reader takes a free
 * one and names it when it asks for something, the writer fills it while it answers. The reader's
 * side is read-only, which the kernel's seals make sure of, and cannot shrink under it. A reader
 * that names slots wrongly spoils what it reads itself, nobody else's.
 */
#ifndef SYS_ARENA_H
#define SYS_ARENA_H

#include <stdint.h>

#define ARENA_SLOTS 32
#define ARENA_SLOT_SIZE 131072

struct arena;

/* Writer: makes one; *ret_fd is to be sent to the reader and closed. NULL: the kernel can't. */
struct arena *arena_create(int *ret_fd);
/* Writer: where to write. NULL: no such slot, or no arena (NULL). */
char *arena_slot(struct arena *arena, uint32_t number);

/* Reader: maps what the writer sent; fd stays the caller's. NULL: it is not one, or no memory. */
struct arena *arena_open(int fd);

/* A slot that the reader has taken; arena NULL: none. Keeps the arena. */
struct arena_lease {
	struct arena *arena;
	uint32_t number;
};
/* Reader: takes a free slot; without one (or an arena: NULL) the lease has none. */
struct arena_lease arena_take(struct arena *arena);
const char *arena_octets(const struct arena_lease *lease);
/* Reader: gives it back; nothing if it has none. */
void arena_give(struct arena_lease *lease);

/* Both: the arena ends with its last lease. NULL is none. */
void arena_release(struct arena *arena);

#endif
