/*
 * The log: one line an event. Any process and thread; errno is kept. Lines are capped at
 * LOG_LINE_MAX octets, and control characters, ESC and octets outside ASCII are escaped as \xHH, so
 * text from outside cannot forge or hide a line. Secrets have a type of their own (secret.h) that
 * does not compile as an argument.
 *
 * Where lines go: a command writes them to standard error, "NAME[PID]: level: text" (with syslog
 * priorities as "<3>" when systemd's journal reads it). A child of valijad writes them into a pipe
 * that only the monitor reads ("<LEVEL>text"; the monitor adds name and pid): a line that does not
 * fit is dropped and counted, and the next line that fits comes with the count. Its loop's thread
 * may gather lines and write them together (log_gather). The monitor has a
 * function that takes them (log_set_output).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

#define LOG_LINE_MAX 1024
#define LOG_EVENT_MAX (3 * LOG_LINE_MAX)

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_COUNT
};

/* name is copied. Lines above level are dropped. */
void log_open(const char *name, enum log_level level);
/* Standard error is a pipe to the monitor, of this process alone and non-blocking. */
void log_open_pipe(enum log_level level);
/*
 * From now on what this thread writes into the pipe is gathered, but errors and warnings, which
 * take along what was gathered. started is called when the first line is in: it sees to log_flush,
 * which writes them all. started NULL: no more.
 */
void log_gather(void (*started)(void *context), void *context);
void log_flush(void);
/* text: escaped, size octets, without a line break. Called by any thread. */
void log_set_output(void (*output)(enum log_level level, const char *text, size_t size));
void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for text that has no octets outside 0x20–0x7E, which stays as it is. */
void log_line(enum log_level level, const char *text, size_t size);
/* An event in JSON, for a child of valijad: printable ASCII, at most LOG_EVENT_MAX octets. It goes
 * the way of lines ("<e>text"), and is lost as they are. */
void log_json(const char *text, size_t size);
/* In the monitor: who takes them; NULL: nobody. */
void log_set_json(void (*output)(const char *text, size_t size));
/* The label of a level in front of a line's text: "error: ", "". */
const char *log_label(enum log_level level);
/* The priority of a level in syslog and for systemd's journal: 3 for errors. */
int log_priority(enum log_level level);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
