/* See log.h. Any process and thread; arguments may be hostile text. */
#include "base/log.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char name[32];
	enum log_level level;
	bool journal;
} logger = {.name = "valija", .level = LOG_LEVEL_INFO};

void log_open(const char *name, enum log_level level)
{
	snprintf(logger.name, sizeof(logger.name), "%s", name);
	logger.level = level;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

void log_write(enum log_level level, const char *format, ...)
{
	static const char *const labels[] = {"error: ", "warning: ", "", "debug: "};
	static const int priorities[] = {3, 4, 6, 7};
	char raw[LOG_LINE_MAX], line[LOG_LINE_MAX + 80];
	int saved = errno, head = 0;
	size_t used;
	va_list ap;

	if (level > logger.level)
		return;
	va_start(ap, format);
	vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	if (logger.journal)
		head = snprintf(line, sizeof(line), "<%d>", priorities[level]);
	head += snprintf(line + head, sizeof(line) - (size_t)head, "%s[%d]: %s", logger.name,
			 (int)getpid(), labels[level]);
	used = (size_t)head + text_escape(line + head, sizeof(line) - 1 - (size_t)head,
					  (pop3_span){raw, strlen(raw)});
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, used);
	errno = saved;
}
