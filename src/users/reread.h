/*
 * The reading again of a file that changed, by one thread at a time: a small file is read by the
 * thread that noticed, a large one by a thread of its own, since a look-up would wait for half a
 * second where there are a million lines. In auth and on the command line. Used within users only.
 */
#ifndef USERS_REREAD_H
#define USERS_REREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Reads the file; st: the state of it that was noticed. */
typedef void reread_file(void *context, const struct stat *st);

struct reread {
	reread_file *read;
	void *context;
	atomic_bool reading;
	struct stat changed;      /* what a thread of its own reads for; of whoever set reading */
	pthread_mutex_t starting; /* over thread, has_thread */
	pthread_t thread;         /* the last such thread */
	bool has_thread;
};

void reread_init(struct reread *reread, reread_file *read, void *context);
void reread_finish(struct reread *reread); /* waits for a thread that reads */
/* Begins a reading, unless one is under way: then the others go on with what is known. */
void reread_begin(struct reread *reread, const struct stat *st);

#endif
