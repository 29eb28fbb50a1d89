/*
 * The log: one line an event on standard error, "NAME[PID]: level: text" (with syslog priorities as
 * "<3>" when systemd's journal reads it). Any process and thread: a line is one write(2), errno is
 * kept. Lines are capped at LOG_LINE_MAX octets and control characters, ESC and octets outside
 * ASCII are escaped as \xHH, so text from outside cannot forge or hide a line. Secrets have a type
 * of their own (secret.h) that does not compile as an argument.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#define LOG_LINE_MAX 1024

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* name is copied. Lines above level are dropped. */
void log_open(const char *name, enum log_level level);
void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
