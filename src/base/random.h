/*
 * Random octets of the kernel, good enough for keys. Any process and thread, in and out of the
 * sandbox; no descriptor is needed.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

/* Fills all of buf. -1 with errno: the kernel has none (a filter, or before Linux 3.17). */
int random_octets(void *buf, size_t size);

#endif
