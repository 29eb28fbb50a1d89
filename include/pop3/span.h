/*
 * A run of octets that another party owns: pointer and length, not NUL-terminated.
 *
 * Each function that takes or returns a span documents its owner and how long its octets stay. A
 * span of size 0 may have any pointer, NULL included.
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
