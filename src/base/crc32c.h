/* CRC-32C (Castagnoli, RFC 3720 B.4), with the processor's instruction where it has one. Any
 * process and thread. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from crc (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
