/* See arena.h. Keepers make and write arenas, fronts read them; each in the one thread of its loop.
 */
#include "sys/arena.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_SIZE ((size_t)ARENA_SLOTS * ARENA_SLOT_SIZE)

_Static_assert(ARENA_SLOTS == 32, "free slots are bits of a uint32_t");

struct arena {
	char *memory;
	uint32_t free; /* reader: a bit for each slot */
	unsigned references;
};

static struct arena *map(int fd, int protection)
{
	struct arena *arena = malloc(sizeof(*arena));
	void *memory = arena ? mmap(NULL, ARENA_SIZE, protection, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (memory == MAP_FAILED) {
		free(arena);
		return NULL;
	}
	*arena = (struct arena){.memory = memory, .free = UINT32_MAX, .references = 1};
	return arena;
}

struct arena *arena_create(int *ret_fd)
{
	int fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct arena *arena = NULL;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)ARENA_SIZE) == 0)
		arena = map(fd, PROT_READ | PROT_WRITE);
	/* from here on others can map it for reading only */
	if (arena && fcntl(fd, F_ADD_SEALS,
			   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
		arena_release(arena);
		arena = NULL;
	}
	if (arena)
		*ret_fd = fd;
	else
		close(fd);
	return arena;
}

char *arena_slot(struct arena *arena, uint32_t number)
{
	if (!arena || number >= ARENA_SLOTS)
		return NULL;
	return arena->memory + (size_t)number * ARENA_SLOT_SIZE;
}

struct arena *arena_open(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	/* beyond the end of a truncated file, reading a mapping raises SIGBUS */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    lseek(fd, 0, SEEK_END) != (off_t)ARENA_SIZE) /* a front may not make fstat() */
		return NULL;
	return map(fd, PROT_READ);
}

/* Takes the lowest free slot: its memory may still be in the processor's cache, and slots that are
 * never taken cost no memory. */
struct arena_lease arena_take(struct arena *arena)
{
	struct arena_lease lease = {0};

	if (!arena || !arena->free)
		return lease;
	lease.arena = arena;
	lease.number = (uint32_t)__builtin_ctz(arena->free);
	arena->free &= ~(1u << lease.number);
	arena->references++;
	return lease;
}

const char *arena_octets(const struct arena_lease *lease)
{
	return arena_slot(lease->arena, lease->number);
}

void arena_return(struct arena_lease *lease)
{
	if (!lease->arena)
		return;
	lease->arena->free |= 1u << lease->number;
	arena_release(lease->arena);
	lease->arena = NULL;
}

void arena_release(struct arena *arena)
{
	if (!arena || --arena->references)
		return;
	munmap(arena->memory, ARENA_SIZE);
	free(arena);
}
