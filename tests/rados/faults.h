/*
 * A layer between the engine and librados, by the linker's --wrap: the n-th operation from a moment
 * on fails, or times out before it was carried out, or after, or is carried out later than that.
 * Threads of librados call back.
 */
#ifndef TESTS_RADOS_FAULTS_H
#define TESTS_RADOS_FAULTS_H

#include <stdbool.h>

enum fault {
	FAULT_NONE,
	FAULT_FAILS,  /* -EIO, and nothing was done */
	FAULT_BEFORE, /* -ETIMEDOUT, and nothing was done */
	FAULT_AFTER,  /* -ETIMEDOUT, and all of it was done */
	FAULT_LATE,   /* -ETIMEDOUT, and it is done when faults_release is called */
	FAULT_FULL,   /* -ENOSPC of what writes, and nothing was done */
	FAULTS
};

/* Of the operations from now on: the first-th and many - 1 behind it. first 0: none. */
void faults_set(enum fault fault, unsigned first, unsigned many);
/* Operations since faults_set. */
unsigned faults_count(void);
/* Carries out what was late. */
void faults_release(void);
/* Called before the n-th operation since faults_set is sent; NULL: nothing. */
void faults_at(unsigned n, void (*call)(void *context), void *context);

#endif
