/* See measure.h. What is read belongs to a user who may change it meanwhile. */
#include "maildrop/maildir/files/measure.h"

#include <pop3/message.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER (64 * 1024)
#define THREADS_MAX 4
#define JOBS_A_THREAD 64 /* fewer are not worth a thread */

int maildir_open_message(struct maildir_place *place, enum index_directory which, const char *name,
			 struct stat *ret)
{
	int directory = maildir_directory(place, which);
	int fd, errnum = 0;

	if (directory < 0)
		return -1;
	/* O_NONBLOCK: a FIFO that took the name must not stop us */
	fd = place->sys->openat(directory, name,
				O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0) {
		if (errno == ELOOP || errno == ENXIO)
			errno = ENOTSUP;
		return -1;
	}
	if (place->sys->fstat(fd, ret) < 0)
		errnum = errno;
	else if (!S_ISREG(ret->st_mode))
		errnum = ENOTSUP;
	else if (ret->st_nlink > 1 && ret->st_uid != geteuid())
		errnum = EMLINK;
	if (!errnum)
		return fd;
	close(fd);
	errno = errnum;
	return -1;
}

/* size: where the end is believed to be, so that it needs no read of its own. */
static int measure_with(const struct maildir_place *place, int fd, char *buf, uint64_t size,
			struct maildir_measured *ret)
{
	struct pop3_counter counter;
	uint64_t at = 0;

	pop3_counter_init(&counter);
	for (;;) {
		ssize_t n = place->sys->pread(fd, buf, BUFFER, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		pop3_counter_feed(&counter, (pop3_span){buf, (size_t)n});
		at += (uint64_t)n;
		if (n == 0 || (n < BUFFER && at >= size))
			break;
	}
	pop3_counter_finish(&counter);
	ret->octets = counter.octets;
	ret->stored = counter.stored;
	ret->wire_form = counter.wire_form && !counter.dots;
	return 0;
}

int maildir_measure_fd(const struct maildir_place *place, int fd, struct maildir_measured *ret)
{
	char *buf = malloc(BUFFER);
	int result = -1, saved;

	if (buf)
		result = measure_with(place, fd, buf, UINT64_MAX, ret);
	saved = errno;

	free(buf);
	errno = saved;
	return result;
}

struct work {
	struct maildir_place *place;
	struct maildir_measure_job *jobs;
	size_t count;
	atomic_size_t next;
};

static int try_job(struct work *work, struct maildir_measure_job *job, char *buf)
{
	struct stat st;
	int fd = maildir_open_message(work->place, job->directory, job->name, &st);
	int errnum = 0;

	if (fd < 0)
		return errno;
	if (measure_with(work->place, fd, buf, (uint64_t)st.st_size, &job->result) < 0)
		errnum = errno;
	job->result.inode = st.st_ino;
	close(fd);
	return errnum;
}

static void measure_job(struct work *work, struct maildir_measure_job *job, char *buf)
{
	int errnum = try_job(work, job, buf);

	/* what looks like trouble of the disk gets a second chance: a message that cannot be read
	 * has to be left out */
	if (errnum && errnum != ENOENT && errnum != ENOTSUP && errnum != EMLINK)
		errnum = try_job(work, job, buf);
	job->result.errnum = errnum;
}

static void *measure_thread(void *argument)
{
	struct work *work = argument;
	char *buf = malloc(BUFFER);
	size_t i;

	/* a thread without a buffer leaves the work to the others */
	if (!buf)
		return NULL;
	while ((i = atomic_fetch_add(&work->next, 1)) < work->count)
		measure_job(work, &work->jobs[i], buf);
	free(buf);
	return work;
}

int maildir_measure(struct maildir_place *place, struct maildir_measure_job *jobs, size_t n)
{
	struct work work = {.place = place, .jobs = jobs, .count = n};
	pthread_t threads[THREADS_MAX - 1];
	size_t started = 0;
	int result = 0;

	/* opened here, once: threads find them open */
	for (int i = 0; i < INDEX_DIRECTORIES; i++)
		if (maildir_directory(place, i) < 0)
			return -1;
	while (started < THREADS_MAX - 1 && n / JOBS_A_THREAD > started + 1 &&
	       pthread_create(&threads[started], NULL, measure_thread, &work) == 0)
		started++;
	if (!measure_thread(&work))
		result = -1;
	while (started)
		pthread_join(threads[--started], NULL);
	if (result < 0 && atomic_load(&work.next) >= n)
		result = 0;
	if (result < 0)
		errno = ENOMEM;
	return result;
}
