/* See log.h. Any process and thread; arguments may be hostile text. */
#include "base/log.h"

#include "base/text.h"

#include <errno.h>
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

/* The line is smaller than PIPE_BUF, so it is written as a whole or not at all. */
static bool write_pipe(enum log_level level, const char *text, size_t size)
{
	char line[LOG_LINE_MAX + 8];
	size_t used = 3;

	line[0] = '<';
	line[1] = (char)('0' + (int)level);
	line[2] = '>';

	memcpy(line + used, text, size);
	used += size;
	line[used++] = '\n';
	return write(STDERR_FILENO, line, used) == (ssize_t)used;
}

/* Reports lost lines first. A thread that reports them takes the whole count, and gives it back
 * if that line does not fit either. */
static void to_pipe(enum log_level level, const char *text, size_t size)
{
	unsigned long lost = 0;
	char words[80];
	int n;

	if (atomic_load_explicit(&logger.lost, memory_order_relaxed))
		lost = atomic_exchange(&logger.lost, 0);
	if (lost) {
		n = snprintf(words, sizeof(words),
			     "%lu lines of this process lost: the log was full", lost);
		if (!write_pipe(LOG_LEVEL_WARNING, words, (size_t)n)) {
			atomic_fetch_add(&logger.lost, lost + 1);
			return;
		}
	}
	if (!write_pipe(level, text, size))
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
		to_pipe(level, text, size);
	else if (logger.output)
		logger.output(level, text, size);
	else
		to_standard_error(level, text, size);
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
