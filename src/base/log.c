/* See log.h. Any process and thread; arguments may be hostile text. */
#include "base/log.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char name[32];
	enum log_level level;
	bool journal, pipe;
	void (*output)(enum log_level level, const char *text, size_t size);
	void (*json)(const char *text, size_t size);
	atomic_ulong lost; /* lines that did not fit into the pipe and were not reported yet */
} logger = {.name = "valija", .level = LOG_LEVEL_INFO};

void log_open(const char *name, enum log_level level)
{
	snprintf(logger.name, sizeof(logger.name), "%s", name);
	logger.level = level;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_open_pipe(enum log_level level)
{
	logger.level = level;
	logger.pipe = true;
}

void log_set_output(void (*output)(enum log_level level, const char *text, size_t size))
{
	logger.output = output;
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

const char *log_label(enum log_level level)
{
	static const char *const labels[] = {"error: ", "warning: ", "", "debug: "};

	return labels[level];
}

int log_priority(enum log_level level)
{
	static const int priorities[] = {3, 4, 6, 7};

	return priorities[level];
}

enum { PIPE_HEAD = 4, PIPE_LINE_MAX = LOG_EVENT_MAX + PIPE_HEAD };

/* Of the one thread that gathers. Up to PIPE_BUF octets are written as a whole or not at all. */
static struct {
	char text[PIPE_BUF];
	size_t used;
	unsigned lines;
	void (*started)(void *context);
	void *context;
} gathered;
static _Thread_local bool gathers;

static_assert(PIPE_BUF >= PIPE_LINE_MAX, "a line fits");

static size_t pipe_line(char mark, const char *text, size_t size, char *ret)
{
	ret[0] = '<';
	ret[1] = mark;
	ret[2] = '>';
	memcpy(ret + 3, text, size);
	ret[3 + size] = '\n';
	return size + 4;
}

static char mark_of(enum log_level level)
{
	return (char)('0' + (int)level);
}

static bool write_pipe(char mark, const char *text, size_t size)
{
	char line[PIPE_LINE_MAX];
	size_t used = pipe_line(mark, text, size, line);

	return write(STDERR_FILENO, line, used) == (ssize_t)used;
}

/* A thread that reports lost lines takes the whole count, and gives it back, which is false, if
 * that line does not fit either. */
static bool report_lost(void)
{
	unsigned long lost = 0;
	char words[80];
	int n;

	if (atomic_load_explicit(&logger.lost, memory_order_relaxed))
		lost = atomic_exchange(&logger.lost, 0);
	if (!lost)
		return true;
	n = snprintf(words, sizeof(words), "%lu lines of this process lost: the log was full",
		     lost);
	if (write_pipe(mark_of(LOG_LEVEL_WARNING), words, (size_t)n))
		return true;
	atomic_fetch_add(&logger.lost, lost);
	return false;
}

void log_flush(void)
{
	int saved = errno;

	if (!gathers || !gathered.used)
		return;
	if (!report_lost() ||
	    write(STDERR_FILENO, gathered.text, gathered.used) != (ssize_t)gathered.used)
		atomic_fetch_add(&logger.lost, gathered.lines);
	gathered.used = gathered.lines = 0;
	errno = saved;
}

void log_gather(void (*started)(void *context), void *context)
{
	log_flush();
	gathered.started = started;
	gathered.context = context;
	gathers = started != NULL;
}

static void gather(char mark, const char *text, size_t size)
{
	if (sizeof(gathered.text) - gathered.used < size + PIPE_HEAD)
		log_flush();
	if (!gathered.used)
		gathered.started(gathered.context);
	gathered.used += pipe_line(mark, text, size, gathered.text + gathered.used);
	gathered.lines++;
}

static void to_pipe(char mark, bool at_once, const char *text, size_t size)
{
	if (gathers && !at_once) {
		gather(mark, text, size);
		return;
	}
	log_flush();
	if (!report_lost() || !write_pipe(mark, text, size))
		atomic_fetch_add(&logger.lost, 1);
}

static void to_standard_error(enum log_level level, const char *text, size_t size)
{
	char line[LOG_LINE_MAX + 80];
	int head = 0;
	size_t used;

	if (logger.journal)
		head = snprintf(line, sizeof(line), "<%d>", log_priority(level));
	head += snprintf(line + head, sizeof(line) - (size_t)head, "%s[%d]: %s", logger.name,
			 (int)getpid(), log_label(level));
	used = (size_t)head;
	memcpy(line + used, text, size);
	used += size;
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, used);
}

void log_line(enum log_level level, const char *text, size_t size)
{
	int saved = errno;

	if (level > logger.level)
		return;
	if (size > LOG_LINE_MAX)
		size = LOG_LINE_MAX;
	if (logger.pipe)
		to_pipe(mark_of(level), level < LOG_LEVEL_INFO, text, size);
	else if (logger.output)
		logger.output(level, text, size);
	else
		to_standard_error(level, text, size);
	errno = saved;
}

void log_set_json(void (*output)(const char *text, size_t size))
{
	logger.json = output;
}

void log_json(const char *text, size_t size)
{
	int saved = errno;

	if (logger.pipe && size <= LOG_EVENT_MAX)
		to_pipe('e', false, text, size);
	else if (logger.json)
		logger.json(text, size);
	errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
	char raw[LOG_LINE_MAX], text[LOG_LINE_MAX + 1];
	int saved = errno;
	va_list ap;

	if (level > logger.level)
		return;
	va_start(ap, format);
	vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	errno = saved;
	log_line(level, text, text_escape(text, LOG_LINE_MAX, (pop3_span){raw, strlen(raw)}));
}
