/* See logbook.h. The mutex guards everything of struct book but what is said to be the thread's. */
#include "server/monitor/logbook.h"

#include <errno.h>
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
	struct page writing;  /* the thread's */
	struct log_sink sink; /* the thread's */
	struct log_sink next; /* if has_next: what the thread goes on with, behind the first */
	struct page first;    /* octets and lines of filling */
	enum log_form form;   /* of the lines in filling */
	unsigned long lost;
	bool open, has_next, reopen, stopping, stopped;
	bool bulk; /* more lines come: the thread is woken up behind them */
	char name[64];
	char stamp[48]; /* of stamp_second */
	time_t stamp_second;
} book = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- the thread ---- */

static size_t put_head(char *head, enum log_level level, const char *who);

/* Whether there is something else to do than to wait for syslog. */
static bool give_up(void)
{
	bool other;

	pthread_mutex_lock(&book.mutex);
	other = book.stopping || book.has_next;
	pthread_mutex_unlock(&book.mutex);
	return other;
}

/* Tried after others could be written, and again later if it cannot be written itself, so that no
 * lost line is left out of the count. */
static void report_lost(unsigned long lost)
{
	char line[HEAD_MAX + 96];
	size_t used;

	pthread_mutex_lock(&book.mutex);
	used = put_head(line, LOG_LEVEL_WARNING, book.name);
	pthread_mutex_unlock(&book.mutex);
	used += (size_t)snprintf(line + used, sizeof(line) - used,
				 "%lu lines lost: the log was not read, or could not be written\n",
				 lost);
	if (log_sink_write(&book.sink, line, used, give_up) != 0)
		return;
	pthread_mutex_lock(&book.mutex);
	book.lost -= lost;
	pthread_mutex_unlock(&book.mutex);
}

/* The old file goes on. The error is in it, and on standard error for who looks there first. */
static void reopen(void)
{
	struct err err;

	if (log_sink_reopen(&book.sink, &err) == 0)
		return;
	dprintf(STDERR_FILENO, "%s: error: %s; the old file is written on\n", book.name, err.text);
	log_error("%s; the old file is written on", err.text);
}

/* What is to be done, taken out of the book under its mutex. */
struct turn {
	struct page page, first; /* first: the part of page for the sink that was */
	struct log_sink next;
	bool has_next, reopen;
};

static bool wait_for_work(struct turn *turn)
{
	while (!book.filling.used && !book.has_next && !book.reopen) {
		if (book.stopping)
			return false;
		pthread_cond_wait(&book.changed, &book.mutex);
	}
	turn->page = book.filling;
	turn->first = book.has_next ? book.first : book.filling;
	turn->has_next = book.has_next;
	turn->next = book.next;
	turn->reopen = book.reopen;
	book.filling = (struct page){.octets = book.writing.octets};
	book.writing = turn->page;
	book.has_next = book.reopen = false;
	return true;
}

static void write_lines(const char *octets, size_t size, unsigned long lines)
{
	unsigned long lost, all_lost;

	if (!size)
		return;
	lost = log_sink_write(&book.sink, octets, size, give_up);
	pthread_mutex_lock(&book.mutex);
	book.lost += lost;
	all_lost = book.lost;
	pthread_mutex_unlock(&book.mutex);
	if (all_lost && lines > lost)
		report_lost(all_lost);
}

static void do_turn(struct turn *turn)
{
	const struct page *page = &turn->page, *first = &turn->first;

	write_lines(page->octets, first->used, first->lines);
	if (turn->has_next) {
		log_sink_close(&book.sink);
		book.sink = turn->next;
		write_lines(page->octets + first->used, page->used - first->used,
			    page->lines - first->lines);
	} else if (turn->reopen) {
		reopen();
	}
}

static void *write_pages(void *unused)
{
	struct turn turn;

	pthread_mutex_lock(&book.mutex);
	while (wait_for_work(&turn)) {
		pthread_mutex_unlock(&book.mutex);
		do_turn(&turn);
		pthread_mutex_lock(&book.mutex);
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

/* What does not fit is cut. Returns the new end. */
static size_t put(char *head, size_t used, const char *text)
{
	size_t n = strlen(text);

	if (n > HEAD_MAX - used)
		n = HEAD_MAX - used;
	memcpy(head + used, text, n);
	return used + n;
}

/* "<22>": without snprintf, which would be most of what a line costs. */
static size_t put_priority(char *head, int priority)
{
	char text[] = "<00>";

	text[1] = (char)('0' + priority / 10);
	text[2] = (char)('0' + priority % 10);
	if (priority >= 10)
		return put(head, 0, text);
	text[1] = '<';
	return put(head, 0, text + 1);
}

static size_t put_head(char *head, enum log_level level, const char *who)
{
	enum { FACILITY_MAIL = 2 << 3 };
	size_t used = 0;

	switch (book.form) {
	case LOG_FORM_TIME:
		used = put(head, 0, stamp());
		break;
	case LOG_FORM_JOURNAL:
		used = put_priority(head, log_priority(level));
		break;
	case LOG_FORM_SYSLOG:
		used = put_priority(head, FACILITY_MAIL | log_priority(level));
		break;
	}
	used = put(head, used, who);
	used = put(head, used, ": ");
	return put(head, used, log_label(level));
}

static void add_locked(enum log_level level, const char *who, const char *text, size_t size)
{
	char head[HEAD_MAX];
	struct page *page = &book.filling;
	size_t n = put_head(head, level, who);

	if (page->used + n + size + 1 > BUFFER) {
		book.lost++;
		return;
	}
	memcpy(page->octets + page->used, head, n);
	page->used += n;
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
	first = first && !book.bulk;
	pthread_mutex_unlock(&book.mutex);
	if (first) /* behind the unlock: else the thread would wake up to wait for the mutex */
		pthread_cond_broadcast(&book.changed);
}

void logbook_bulk(bool begins)
{
	bool wake;

	pthread_mutex_lock(&book.mutex);
	book.bulk = begins;
	wake = !begins && book.filling.used;
	pthread_mutex_unlock(&book.mutex);
	if (wake)
		pthread_cond_broadcast(&book.changed);
}

bool logbook_has_room(void)
{
	bool room;

	pthread_mutex_lock(&book.mutex);
	room = book.filling.used < BUFFER - KEPT_FREE;
	pthread_mutex_unlock(&book.mutex);
	return room;
}

void logbook_use(struct log_sink *sink)
{
	pthread_mutex_lock(&book.mutex);
	if (book.has_next)
		log_sink_close(&book.next);
	else
		book.first = book.filling;
	book.next = *sink;
	book.form = sink->form;
	book.has_next = true;
	pthread_cond_broadcast(&book.changed);
	pthread_mutex_unlock(&book.mutex);
	log_sink_init(sink);
}

void logbook_reopen(void)
{
	pthread_mutex_lock(&book.mutex);
	book.reopen = true;
	pthread_cond_broadcast(&book.changed);
	pthread_mutex_unlock(&book.mutex);
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
	log_sink_init(&book.sink);
	book.form = book.sink.form;
	book.has_next = book.reopen = book.stopping = book.stopped = false;
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
	log_sink_close(&book.sink);
	free_pages();
}
