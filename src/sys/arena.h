/*
 * Memory that one process (a keeper) writes and one other (a front) reads, for octets that a
 * channel would copy twice. It has slots of one size: the reader takes a free one and puts its
 * number into a request, the writer fills it before it answers. The kernel's seals make the
 * reader's side read-only and keep its size. A reader that sends a wrong number spoils its own
 * slots only: an arena has one reader.
 */
#ifndef SYS_ARENA_H
#define SYS_ARENA_H

#include <stdint.h>

#define ARENA_SLOTS 32
#define ARENA_SLOT_SIZE 131072

struct arena;

/* Writer: makes one; *ret_fd is to be sent to the reader and closed. NULL: no memory, or a kernel
 * without sealing. */
struct arena *arena_create(int *ret_fd);
/* Writer: the memory of a slot. NULL: no such slot, or no arena (NULL). */
char *arena_slot(struct arena *arena, uint32_t number);

/* Reader: maps what the writer sent; fd stays the caller's. NULL: not an arena, or no memory. */
struct arena *arena_open(int fd);

/* A slot that the reader has taken; arena NULL: none. Keeps the arena. */
struct arena_lease {
	struct arena *arena;
	uint32_t number;
};
/* Reader: takes a free slot; without one (or an arena: NULL) the lease has none. */
struct arena_lease arena_take(struct arena *arena);
const char *arena_octets(const struct arena_lease *lease);
/* Reader: the slot is free again. A lease without one may be returned, too. */
void arena_return(struct arena_lease *lease);

/* Both: the arena ends with its last lease. NULL is none. */
void arena_release(struct arena *arena);

#endif
