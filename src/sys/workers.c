/*
 * See workers.h. In auth and keepers, after the sandbox is entered, and in the monitor. The mutex
 * guards the queue, the lanes' lists and the shares. `pending` of a lane belongs to the loop's
 * thread: a lane that is idle there is used by no worker and may be freed.
 */
#include "sys/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

enum { STACK_SIZE = 2 * 1024 * 1024 };

struct job_queue {
	struct job *head, **tail;
};

struct workers {
	struct loop *loop;
	struct loop_watch watch;
	pthread_mutex_t mutex;
	pthread_cond_t wanted;
	struct job_queue ready, done;
	unsigned waiting; /* ready, or in a lane behind another, or held by its share */
	unsigned running;
	unsigned idle; /* threads without work */
	bool waking;   /* one of them was signalled and does not run yet */
	unsigned queue_max;
	unsigned thread_count;
	int nice;
	bool stopping;
	int event_fd;
	pthread_t threads[];
};

static void queue_init(struct job_queue *queue)
{
	queue->head = NULL;
	queue->tail = &queue->head;
}

static void queue_put(struct job_queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->tail = job;
	queue->tail = &job->next;
}

static struct job *queue_take(struct job_queue *queue)
{
	struct job *job = queue->head;

	if (job) {
		queue->head = job->next;
		if (!queue->head)
			queue->tail = &queue->head;
	}
	return job;
}

/* Wakes one thread at a time; that thread wakes the next if more jobs wait. So one or two warm
 * threads do all short jobs, and each long job still gets a thread. Called with the mutex. */
static void wake_one(struct workers *workers)
{
	if (!workers->idle || workers->waking)
		return;
	workers->waking = true;
	pthread_cond_signal(&workers->wanted);
}

static void put_ready(struct workers *workers, struct job *job)
{
	queue_put(&workers->ready, job);
	wake_one(workers);
}

/* The lane's next job goes to the end of the queue, so that no lane keeps a thread to itself.
 * Called with the mutex. */
static void next_of_lane(struct workers *workers, struct job_lane *lane)
{
	struct job *next = lane->head;

	if (!next) {
		lane->busy = false;
		return;
	}
	lane->head = next->next;
	if (!lane->head)
		lane->tail = NULL;
	put_ready(workers, next);
}

/* ---- shares; all with the mutex ---- */

static bool share_is_full(const struct workers *workers, const struct job_share *share)
{
	unsigned free = workers->thread_count - (workers->running - share->running);
	unsigned kept = free < 8 ? 1 : free / 4;

	return share->running && share->running + kept >= free;
}

static void hold(struct job_share *share, struct job *job)
{
	job->next = NULL;
	if (share->tail)
		share->tail->next = job;
	else
		share->head = job;
	share->tail = job;
}

/* One that ended makes room for one that is held. */
static void release_held(struct workers *workers, struct job_share *share)
{
	struct job *job = share->head;

	if (!job || share_is_full(workers, share))
		return;
	share->head = job->next;
	if (!share->head)
		share->tail = NULL;
	put_ready(workers, job);
}

/* The next job that may run. */
static struct job *take_ready(struct workers *workers)
{
	struct job *job;

	while ((job = queue_take(&workers->ready)) && job->share &&
	       share_is_full(workers, job->share))
		hold(job->share, job);
	return job;
}

static void begin_job(struct workers *workers, struct job *job)
{
	workers->waiting--;
	workers->running++;
	if (job->share)
		job->share->running++;
	if (job->lane)
		job->lane->doing = job->what;
}

static void end_job(struct workers *workers, struct job *job)
{
	workers->running--;
	if (job->share) {
		job->share->running--;
		release_held(workers, job->share);
		release_held(workers,
			     job->share); /* other shares may use fewer threads than before */
	}
	if (job->lane) {
		job->lane->doing = NULL;
		next_of_lane(workers, job->lane);
	}
}

/* ---- threads ---- */

static void *work(void *arg)
{
	struct workers *workers = arg;

	/* of this thread only, as Linux has it; a thread that cannot is as good as the loop */
	if (workers->nice)
		(void)setpriority(PRIO_PROCESS, 0, workers->nice);
	pthread_mutex_lock(&workers->mutex);
	for (;;) {
		struct job *job = take_ready(workers);
		bool first;

		if (!job) {
			if (workers->stopping && !workers->waiting)
				break;
			workers->idle++;
			pthread_cond_wait(&workers->wanted, &workers->mutex);
			workers->idle--;
			workers->waking = false;
			continue;
		}
		begin_job(workers, job);
		if (workers->ready.head)
			wake_one(workers);
		pthread_mutex_unlock(&workers->mutex);
		job->run(job);
		pthread_mutex_lock(&workers->mutex);
		end_job(workers, job);
		first = !workers->done.head;
		queue_put(&workers->done, job);
		/* one wake-up for all jobs that end before the loop takes them */
		if (first) {
			pthread_mutex_unlock(&workers->mutex);
			eventfd_write(workers->event_fd, 1);
			pthread_mutex_lock(&workers->mutex);
		}
		if (workers->stopping && !workers->waiting)
			pthread_cond_broadcast(&workers->wanted);
	}
	pthread_mutex_unlock(&workers->mutex);
	return NULL;
}

static void run_done(struct workers *workers)
{
	struct job *job;

	pthread_mutex_lock(&workers->mutex);
	job = workers->done.head;
	queue_init(&workers->done);
	pthread_mutex_unlock(&workers->mutex);
	while (job) {
		struct job *next = job->next;

		if (job->lane) {
			job->lane->pending--;
			job->lane->finished++;
		}
		job->done(job);
		job = next;
	}
}

static void done_ready(struct loop_watch *watch, int what)
{
	struct workers *workers = watch->context;
	eventfd_t count;

	(void)what;
	eventfd_read(workers->event_fd, &count);
	run_done(workers);
}

/* The loop handles signals: worker threads block them all. */
static int start_threads(struct workers *workers, unsigned threads)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int errnum = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	while (workers->thread_count < threads && !errnum) {
		errnum = pthread_create(&workers->threads[workers->thread_count], &attr, work,
					workers);
		workers->thread_count += !errnum;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errnum;
}

struct workers *workers_create(struct loop *loop, unsigned threads, int nice, unsigned queue_max,
			       struct err *err)
{
	struct workers *workers = calloc(1, sizeof(*workers) + threads * sizeof(pthread_t));
	int errnum;

	if (!workers) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	workers->loop = loop;
	workers->queue_max = queue_max;
	workers->nice = nice;
	queue_init(&workers->ready);
	queue_init(&workers->done);
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_cond_init(&workers->wanted, NULL);
	workers->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	errnum = workers->event_fd < 0 ? errno : 0;
	loop_watch_init(&workers->watch, loop, workers->event_fd, done_ready, workers);
	if (!errnum && loop_watch_want(&workers->watch, LOOP_READ) < 0)
		errnum = errno;
	if (!errnum)
		errnum = start_threads(workers, threads);
	if (errnum) {
		err_sys(err, EX_OSERR, errnum, "cannot start worker threads");
		workers_destroy(workers);
		return NULL;
	}
	return workers;
}

void workers_destroy(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->mutex);
	workers->stopping = true;
	pthread_cond_broadcast(&workers->wanted);
	pthread_mutex_unlock(&workers->mutex);
	for (unsigned i = 0; i < workers->thread_count; i++)
		pthread_join(workers->threads[i], NULL);
	run_done(workers);
	loop_watch_finish(&workers->watch);
	if (workers->event_fd >= 0)
		close(workers->event_fd);
	pthread_cond_destroy(&workers->wanted);
	pthread_mutex_destroy(&workers->mutex);
	free(workers);
}

void job_lane_init(struct job_lane *lane)
{
	*lane = (struct job_lane){0};
}

bool job_lane_idle(const struct job_lane *lane)
{
	return lane->pending == 0;
}

const char *job_lane_doing(struct workers *workers, const struct job_lane *lane)
{
	const char *doing;

	pthread_mutex_lock(&workers->mutex);
	doing = lane->doing;
	pthread_mutex_unlock(&workers->mutex);
	return doing;
}

void job_share_init(struct job_share *share)
{
	*share = (struct job_share){0};
}

int workers_add(struct workers *workers, struct job *job, bool force)
{
	struct job_lane *lane = job->lane;
	int result = -1;

	pthread_mutex_lock(&workers->mutex);
	if (workers->stopping || (workers->waiting >= workers->queue_max && !(force && lane)))
		goto out;
	workers->waiting++;
	if (lane)
		lane->pending++;
	if (lane && lane->busy) {
		job->next = NULL;
		if (lane->tail)
			lane->tail->next = job;
		else
			lane->head = job;
		lane->tail = job;
	} else {
		if (lane)
			lane->busy = true;
		put_ready(workers, job);
	}
	result = 0;
out:
	pthread_mutex_unlock(&workers->mutex);
	return result;
}
