/* See reread.h. */
#include "users/reread.h"

#include <signal.h>
#include <sys/resource.h>

enum {
	LARGE = 1 << 20,     /* octets */
	LOWER_PRIORITY = 15, /* of a thread of its own: logins wait for nothing in it */
};

void reread_init(struct reread *reread, reread_file *read, void *context)
{
	*reread = (struct reread){.read = read, .context = context};
	pthread_mutex_init(&reread->starting, NULL);
}

void reread_finish(struct reread *reread)
{
	if (reread->has_thread)
		pthread_join(reread->thread, NULL);
	pthread_mutex_destroy(&reread->starting);
}

static void *run(void *context)
{
	struct reread *reread = context;

	(void)setpriority(PRIO_PROCESS, 0, LOWER_PRIORITY); /* Linux: of this thread alone */
	reread->read(reread->context, &reread->changed);
	atomic_store(&reread->reading, false);
	return NULL;
}

/* Returns false: there is no thread. */
static bool start(struct reread *reread, const struct stat *st)
{
	sigset_t all, before;
	bool begun;

	reread->changed = *st;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&reread->starting);
	if (reread->has_thread) /* it has ended */
		pthread_join(reread->thread, NULL);
	begun = reread->has_thread = pthread_create(&reread->thread, NULL, run, reread) == 0;
	pthread_mutex_unlock(&reread->starting);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return begun;
}

void reread_begin(struct reread *reread, const struct stat *st)
{
	if (atomic_exchange(&reread->reading, true))
		return;
	if (st->st_size > LARGE && start(reread, st))
		return;
	reread->read(reread->context, st);
	atomic_store(&reread->reading, false);
}
