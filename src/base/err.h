/*
 * A failure, in place: a code for programs (sysexits), errno if a system call failed, a text for
 * people. Nothing to free. Functions that take `struct err *` fill it only when they fail; NULL is
 * allowed. Any process and thread; no I/O.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

struct err {
	int code;   /* EX_… of sysexits.h, 0: not set */
	int errnum; /* errno, 0: no system call */
	char text[376];
};

/* Sets *err (may be NULL). Returns -1, so that callers can write `return err_set(…)`. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, and adds ": " and the text for errnum. */
int err_sys(struct err *err, int code, int errnum, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts text in front of err's: "prefix: text". Returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
