/* See logbook.h. The mutex guards everything of a struct book but what is said to be the thread's.
 */
#include "server/monitor/logbook.h"

#include "server/record.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER = 512 * 1024,   /* octets; there are two: one is filled while the other is written */
	KEPT_FREE = 64 * 1024, /* for the monitor's own lines */
	RESIDENT =
		64 * 1024, /* a buffer that held more is given back; no page of memory is larger */
	STACK_SIZE = 64 * 1024,
	LAST_WAIT = 1,  /* seconds for what is left at the end */
	HEAD_MAX = 128, /* octets in front of a line's text */
};

struct page {
	char *octets;
	size_t used;
	unsigned long lines;
};

struct book {
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
};

#define BOOK                                                                            \
	{                                                                               \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}
static struct book books[LOGBOOKS] = {[LOGBOOK_LOG] = BOOK, [LOGBOOK_EVENTS] = BOOK};
static struct book *const log_book = &books[LOGBOOK_LOG];
static _Thread_local struct book *mine; /* of a thread that writes */

/* ---- the thread ---- */

static size_t put_object(char *head, const char *who);
static size_t put_head(struct book *book, char *head, enum log_level level, const char *who);

/* Whether there is something else to do than to wait for syslog. */
static bool give_up(void)
{
	bool other;

	pthread_mutex_lock(&mine->mutex);
	other = mine->stopping || mine->has_next;
	pthread_mutex_unlock(&mine->mutex);
	return other;
}

static size_t put_lost(char *line, size_t size, unsigned long lost)
{
	size_t used;

	pthread_mutex_lock(&mine->mutex);
	used = put_head(mine, line, LOG_LEVEL_WARNING, mine->name);
	pthread_mutex_unlock(&mine->mutex);
	return used + (size_t)snprintf(line + used, size - used,
				       "%lu lines lost: the log was not read, or could not be "
				       "written\n",
				       lost);
}

static size_t put_lost_events(char *line, size_t size, unsigned long lost)
{
	size_t used = put_object(line, mine->name);

	return used + (size_t)snprintf(line + used, size - used,
				       "\"event\":\"lost\",\"lines\":%lu}\n", lost);
}

/* Tried after others could be written, and again later if it cannot be written itself, so that no
 * lost line is left out of the count. */
static void report_lost(unsigned long lost)
{
	char line[HEAD_MAX + 96];
	size_t used;

	used = mine == log_book ? put_lost(line, sizeof(line), lost)
				: put_lost_events(line, sizeof(line), lost);
	if (log_sink_write(&mine->sink, line, used, give_up) != 0)
		return;
	pthread_mutex_lock(&mine->mutex);
	mine->lost -= lost;
	pthread_mutex_unlock(&mine->mutex);
}

/* The old file goes on. The error is in it, and on standard error for who looks there first. */
static void reopen(void)
{
	struct err err;

	if (log_sink_reopen(&mine->sink, &err) == 0)
		return;
	dprintf(STDERR_FILENO, "%s: error: %s; the old file is written on\n", mine->name, err.text);
	log_error("%s; the old file is written on", err.text);
}

/* Work of the writer, taken out of the book under its mutex. */
struct turn {
	struct page page, first; /* first: the part of page for the sink that was */
	struct log_sink next;
	bool has_next, reopen;
};

static bool wait_for_work(struct turn *turn)
{
	while (!mine->filling.used && !mine->has_next && !mine->reopen) {
		if (mine->stopping)
			return false;
		pthread_cond_wait(&mine->changed, &mine->mutex);
	}
	turn->page = mine->filling;
	turn->first = mine->has_next ? mine->first : mine->filling;
	turn->has_next = mine->has_next;
	turn->next = mine->next;
	turn->reopen = mine->reopen;
	mine->filling = (struct page){.octets = mine->writing.octets};
	mine->writing = turn->page;
	mine->has_next = mine->reopen = false;
	return true;
}

static void write_lines(const char *octets, size_t size, unsigned long lines)
{
	unsigned long lost, all_lost;

	if (!size)
		return;
	lost = log_sink_write(&mine->sink, octets, size, give_up);
	pthread_mutex_lock(&mine->mutex);
	mine->lost += lost;
	all_lost = mine->lost;
	pthread_mutex_unlock(&mine->mutex);
	if (all_lost && lines > lost)
		report_lost(all_lost);
}

static void do_turn(struct turn *turn)
{
	const struct page *page = &turn->page, *first = &turn->first;

	write_lines(page->octets, first->used, first->lines);
	if (turn->has_next) {
		log_sink_close(&mine->sink);
		mine->sink = turn->next;
		write_lines(page->octets + first->used, page->used - first->used,
			    page->lines - first->lines);
	} else if (turn->reopen) {
		reopen();
	}
}

/* A site that had one busy second is no larger for ever. */
static void give_back(const struct page *page)
{
	if (page->used > RESIDENT)
		(void)madvise(page->octets, BUFFER, MADV_DONTNEED);
}

static void *write_pages(void *book)
{
	struct turn turn;

	mine = book;
	pthread_mutex_lock(&mine->mutex);
	while (wait_for_work(&turn)) {
		pthread_mutex_unlock(&mine->mutex);
		do_turn(&turn);
		give_back(&turn.page);
		pthread_mutex_lock(&mine->mutex);
	}
	mine->stopped = true;
	pthread_cond_broadcast(&mine->changed);
	pthread_mutex_unlock(&mine->mutex);
	return NULL;
}

/* ---- lines ---- */

/* "2026-11-28T11:32:00+0100 ", made once a second. */
static const char *stamp(struct book *book)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now == book->stamp_second)
		return book->stamp;
	book->stamp_second = now;
	if (!localtime_r(&now, &tm) ||
	    !strftime(book->stamp, sizeof(book->stamp), "%Y-%m-%dT%H:%M:%S%z ", &tm))
		book->stamp[0] = '\0';
	return book->stamp;
}

/* Text that does not fit is cut. Returns the new end. */
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

static size_t put_head(struct book *book, char *head, enum log_level level, const char *who)
{
	enum { FACILITY_MAIL = 2 << 3 };
	size_t used = 0;

	switch (book->form) {
	case LOG_FORM_TIME:
		used = put(head, 0, stamp(book));
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

/* Adds a line to a book: its head, then its text. */
static void add_locked(struct book *book, const char *head, size_t n, const char *text, size_t size)
{
	struct page *page = &book->filling;

	if (page->used + n + size + 1 > BUFFER) {
		book->lost++;
		return;
	}
	memcpy(page->octets + page->used, head, n);
	page->used += n;
	memcpy(page->octets + page->used, text, size);
	page->used += size;
	page->octets[page->used++] = '\n';
	page->lines++;
}

static void add(struct book *book, enum log_level level, const char *who, const char *text,
		size_t size)
{
	char head[HEAD_MAX];
	bool first;
	size_t n;

	pthread_mutex_lock(&book->mutex);
	first = !book->filling.used;
	n = book == log_book ? put_head(book, head, level, who) : put_object(head, who);
	add_locked(book, head, n, text, size);
	first = first && !book->bulk;
	pthread_mutex_unlock(&book->mutex);
	if (first) /* behind the unlock: else the thread would wake up to wait for the mutex */
		pthread_cond_broadcast(&book->changed);
}

void logbook_add(enum log_level level, const char *who, const char *text, size_t size)
{
	add(log_book, level, who, text, size);
}

void logbook_add_event(const char *who, const char *members, size_t size)
{
	if (books[LOGBOOK_EVENTS].open)
		add(&books[LOGBOOK_EVENTS], LOG_LEVEL_INFO, who, members, size);
}

/* {"v":1,"time":"2026-11-28T11:32:00.123Z","process":"front0[123]", — the members of a child's
 * event follow, and the brace that closes. */
static size_t put_object(char *head, const char *who)
{
	struct timespec now;
	struct tm tm = {.tm_mday = 1, .tm_year = 70};
	char day[32];
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!gmtime_r(&now.tv_sec, &tm) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		day[0] = '\0';
	used = (size_t)snprintf(head, HEAD_MAX,
				"{\"v\":1,\"time\":\"%s.%03ldZ\",\"process\":\"%s\",", day,
				now.tv_nsec / 1000000, who);
	return used < HEAD_MAX ? used : HEAD_MAX - 1;
}

static void bulk(struct book *book, bool begins)
{
	bool wake;

	pthread_mutex_lock(&book->mutex);
	book->bulk = begins;
	wake = !begins && book->filling.used;
	pthread_mutex_unlock(&book->mutex);
	if (wake)
		pthread_cond_broadcast(&book->changed);
}

void logbook_bulk(bool begins)
{
	for (unsigned i = 0; i < LOGBOOKS; i++)
		bulk(&books[i], begins);
}

bool logbook_has_room(void)
{
	bool room;

	pthread_mutex_lock(&log_book->mutex);
	room = log_book->filling.used < BUFFER - KEPT_FREE;
	pthread_mutex_unlock(&log_book->mutex);
	return room;
}

static void use(struct book *book, struct log_sink *sink)
{
	pthread_mutex_lock(&book->mutex);
	if (book->has_next)
		log_sink_close(&book->next);
	else
		book->first = book->filling;
	book->next = *sink;
	book->form = sink->form;
	book->has_next = true;
	pthread_cond_broadcast(&book->changed);
	pthread_mutex_unlock(&book->mutex);
	log_sink_init(sink);
}

static void reopen_later(struct book *book)
{
	pthread_mutex_lock(&book->mutex);
	book->reopen = true;
	pthread_cond_broadcast(&book->changed);
	pthread_mutex_unlock(&book->mutex);
}

void logbook_reopen(void)
{
	for (unsigned i = 0; i < LOGBOOKS; i++)
		if (books[i].open)
			reopen_later(&books[i]);
}

static void own_line(enum log_level level, const char *text, size_t size)
{
	logbook_add(level, log_book->name, text, size);
}

/* ---- begin, end ---- */

static void free_pages(struct book *book)
{
	free(book->filling.octets);
	free(book->writing.octets);
	book->filling = book->writing = (struct page){NULL, 0, 0};
}

/* Signals are the loop's. */
static int start_thread(struct book *book)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&book->thread, &attributes, write_pages, book);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return rc;
}

static int open_book(struct book *book, const char *name, struct err *err)
{
	snprintf(book->name, sizeof(book->name), "%s", name);
	book->form = book->sink.form;
	book->has_next = book->reopen = book->stopping = book->stopped = false;
	book->lost = 0;
	book->filling = (struct page){.octets = aligned_alloc(RESIDENT, BUFFER)};
	book->writing = (struct page){.octets = aligned_alloc(RESIDENT, BUFFER)};
	if (!book->filling.octets || !book->writing.octets || start_thread(book) != 0) {
		free_pages(book);
		return err_set(err, EX_OSERR, "cannot start the log: out of memory");
	}
	book->open = true;
	return 0;
}

int logbook_open(const char *name, struct err *err)
{
	char who[64];

	snprintf(who, sizeof(who), "%s[%d]", name, (int)getpid());
	log_sink_init(&log_book->sink);
	signal(SIGPIPE, SIG_IGN);
	if (open_book(log_book, who, err) < 0)
		return -1;
	log_set_output(own_line);
	return 0;
}

void logbook_use(struct log_sink *sink)
{
	use(log_book, sink);
}

static void own_event(const char *text, size_t size)
{
	char members[LOG_EVENT_MAX + 1];

	if (size > LOG_EVENT_MAX)
		return;
	memcpy(members, text, size);
	members[size] = '}';
	logbook_add_event(log_book->name, members, size + 1);
}

/* The book of events has a thread from the first time on that they go anywhere. */
void logbook_use_events(struct log_sink *sink)
{
	struct book *book = &books[LOGBOOK_EVENTS];
	struct err err;

	if (!book->open && sink->kind == LOG_SINK_NONE)
		return;
	if (!book->open) {
		log_sink_none(&book->sink);
		log_set_json(own_event);
		if (open_book(book, log_book->name, &err) < 0) {
			log_error("no events: %s", err.text);
			log_sink_close(sink);
			return;
		}
	}
	record_set_events(sink->kind != LOG_SINK_NONE);
	use(book, sink);
	log_sink_none(sink);
}

static void close_book(struct book *book)
{
	struct timespec until;
	bool stopped;

	if (!book->open)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LAST_WAIT;
	pthread_mutex_lock(&book->mutex);
	book->stopping = true;
	pthread_cond_broadcast(&book->changed);
	while (!book->stopped && pthread_cond_timedwait(&book->changed, &book->mutex, &until) == 0)
		;
	stopped = book->stopped;
	pthread_mutex_unlock(&book->mutex);
	book->open = false;
	if (!stopped) /* it waits for the reader: the end of the process ends it */
		return;
	pthread_join(book->thread, NULL);
	log_sink_close(&book->sink);
	free_pages(book);
}

void logbook_close(void)
{
	record_set_events(false);
	log_set_json(NULL);
	close_book(&books[LOGBOOK_EVENTS]);
	log_set_output(NULL);
	close_book(log_book);
}
