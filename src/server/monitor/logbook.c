/* See logbook.h. The mutex guards everything of struct book but what is said to be the thread's. */
#include "server/monitor/logbook.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER = 512 * 1024,   /* octets; there are two: one is filled while the other is written */
	KEPT_FREE = 64 * 1024, /* for the monitor's own lines */
	STACK_SIZE = 64 * 1024,
	LAST_WAIT = 1,  /* seconds for what is left at the end */
	HEAD_MAX = 128, /* octets in front of a line's text */
};

struct page {
	char *octets;
	size_t used;
	unsigned long lines;
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	pthread_t thread;
	struct page filling;
	struct page writing; /* the thread's */
	unsigned long lost;
	bool open, journal, stopping, stopped;
	char name[64];
	char stamp[48]; /* of stamp_second */
	time_t stamp_second;
} book = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- the thread ---- */

/* Waits as long as the reader of standard error does not read. Returns false: it is gone, or the
 * disk is full. */
static bool write_all(const char *octets, size_t size)
{
	while (size) {
		ssize_t n = write(STDERR_FILENO, octets, size);

		if (n > 0) {
			octets += n;
			size -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) { /* made non-blocking by another program */
			struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};

			poll(&wait, 1, 1000);
		} else if (n == 0 || errno != EINTR) {
			return false;
		}
	}
	return true;
}

static void add_locked(enum log_level level, const char *who, const char *text, size_t size);

static void report_lost(void)
{
	char words[96];
	unsigned long lost = book.lost;
	int n = snprintf(words, sizeof(words),
			 "%lu lines lost: the log was not read, or could not be written", lost);

	book.lost = 0;
	add_locked(LOG_LEVEL_WARNING, book.name, words, (size_t)n);
}

/* Lines are reported lost only after others could be written, so that a log that cannot be written
 * at all is not tried again and again. */
static void *write_pages(void *unused)
{
	pthread_mutex_lock(&book.mutex);
	for (;;) {
		struct page page = book.filling;
		bool good;

		if (!page.used && book.stopping)
			break;
		if (!page.used) {
			pthread_cond_wait(&book.changed, &book.mutex);
			continue;
		}
		book.filling = (struct page){.octets = book.writing.octets};
		book.writing = page;
		pthread_mutex_unlock(&book.mutex);
		good = write_all(page.octets, page.used);
		pthread_mutex_lock(&book.mutex);
		if (!good)
			book.lost += page.lines;
		else if (book.lost && book.filling.used < BUFFER - KEPT_FREE)
			report_lost();
	}
	book.stopped = true;
	pthread_cond_broadcast(&book.changed);
	pthread_mutex_unlock(&book.mutex);
	return unused;
}

/* ---- lines ---- */

/* "2026-11-28T11:32:00+0100 ", made once a second. */
static const char *stamp(void)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now == book.stamp_second)
		return book.stamp;
	book.stamp_second = now;
	if (!localtime_r(&now, &tm) ||
	    !strftime(book.stamp, sizeof(book.stamp), "%Y-%m-%dT%H:%M:%S%z ", &tm))
		book.stamp[0] = '\0';
	return book.stamp;
}

static void add_locked(enum log_level level, const char *who, const char *text, size_t size)
{
	char head[HEAD_MAX];
	struct page *page = &book.filling;
	int n;

	if (book.journal)
		n = snprintf(head, sizeof(head), "<%d>%s: %s", log_priority(level), who,
			     log_label(level));
	else
		n = snprintf(head, sizeof(head), "%s%s: %s", stamp(), who, log_label(level));
	if (n >= (int)sizeof(head))
		n = (int)sizeof(head) - 1;
	if (page->used + (size_t)n + size + 1 > BUFFER) {
		book.lost++;
		return;
	}
	memcpy(page->octets + page->used, head, (size_t)n);
	page->used += (size_t)n;
	memcpy(page->octets + page->used, text, size);
	page->used += size;
	page->octets[page->used++] = '\n';
	page->lines++;
}

void logbook_add(enum log_level level, const char *who, const char *text, size_t size)
{
	bool first;

	pthread_mutex_lock(&book.mutex);
	first = !book.filling.used;
	add_locked(level, who, text, size);
	if (first)
		pthread_cond_broadcast(&book.changed);
	pthread_mutex_unlock(&book.mutex);
}

bool logbook_has_room(void)
{
	bool room;

	pthread_mutex_lock(&book.mutex);
	room = book.filling.used < BUFFER - KEPT_FREE;
	pthread_mutex_unlock(&book.mutex);
	return room;
}

static void own_line(enum log_level level, const char *text, size_t size)
{
	logbook_add(level, book.name, text, size);
}

/* ---- begin, end ---- */

static void free_pages(void)
{
	free(book.filling.octets);
	free(book.writing.octets);
	book.filling = book.writing = (struct page){NULL, 0, 0};
}

/* Signals are the loop's. */
static int start_thread(void)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&book.thread, &attributes, write_pages, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return rc;
}

int logbook_open(const char *name, struct err *err)
{
	snprintf(book.name, sizeof(book.name), "%s[%d]", name, (int)getpid());
	book.journal = getenv("JOURNAL_STREAM") != NULL;
	book.stopping = book.stopped = false;
	book.lost = 0;
	book.filling = (struct page){.octets = malloc(BUFFER)};
	book.writing = (struct page){.octets = malloc(BUFFER)};
	signal(SIGPIPE, SIG_IGN);
	if (!book.filling.octets || !book.writing.octets || start_thread() != 0) {
		free_pages();
		return err_set(err, EX_OSERR, "cannot start the log: out of memory");
	}
	book.open = true;
	log_set_output(own_line);
	return 0;
}

void logbook_close(void)
{
	struct timespec until;
	bool stopped;

	if (!book.open)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LAST_WAIT;
	pthread_mutex_lock(&book.mutex);
	book.stopping = true;
	pthread_cond_broadcast(&book.changed);
	while (!book.stopped && pthread_cond_timedwait(&book.changed, &book.mutex, &until) == 0)
		;
	stopped = book.stopped;
	pthread_mutex_unlock(&book.mutex);
	log_set_output(NULL);
	book.open = false;
	if (!stopped) /* it waits for the reader: the end of the process ends it */
		return;
	pthread_join(book.thread, NULL);
	free_pages();
}
