/* See array.h. Any process and thread. */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>

void *array_grow(void *array, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : ARRAY_FIRST;
	void *grown;

	if (count < *room)
		return array;
	if (more < *room || more > SIZE_MAX / size)
		return NULL;
	grown = realloc(array, more * size);
	if (grown)
		*room = more;
	return grown;
}
