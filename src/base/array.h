/* The one rule by which lists in memory grow: by doubling, from ARRAY_FIRST on. Any process. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

enum { ARRAY_FIRST = 16 }; /* items of a list's first allocation */

/*
 * Room for one more item behind count: array itself while count < *room, else a larger block in its
 * place, with *room raised. size: octets of an item. NULL: out of memory; array and *room are as
 * before. The caller owns the block and frees it.
 */
void *array_grow(void *array, size_t count, size_t *room, size_t size);

#endif
