/*
 * A run of octets that belongs to somebody else: pointer and length, not NUL-terminated.
 * Who owns the octets, and for how long they stay, is said by each function that takes or gives
 * one.
 */
#ifndef POP3_SPAN_H
#define POP3_SPAN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pop3_span {
	const char *data;
	size_t size;
} pop3_span;

#ifdef __cplusplus
}
#endif

#endif
