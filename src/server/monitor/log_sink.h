/*
 * The destination of the log (log_to): standard error, a file, or syslog's socket. Opened by the
 * monitor, on its loop and as root when that is root; written by the thread of logbook.c alone,
 * which may wait here: for a reader of standard error, for syslog. Nothing is logged here.
 */
#ifndef SERVER_MONITOR_LOG_SINK_H
#define SERVER_MONITOR_LOG_SINK_H

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

/* The beginning of a line. */
enum log_form {
	LOG_FORM_TIME,    /* the time: standard error, files */
	LOG_FORM_JOURNAL, /* "<3>": standard error that systemd reads */
	LOG_FORM_SYSLOG,  /* "<19>": a priority of facility mail */
};

enum log_sink_kind { LOG_SINK_STDERR, LOG_SINK_FILE, LOG_SINK_SYSLOG, LOG_SINK_NONE };

struct log_sink {
	enum log_sink_kind kind;
	enum log_form form;
	int fd;    /* -1: syslog is not there now */
	bool torn; /* the last line was written in part */
	bool down; /* syslog was not there for the last line, and was waited for */
	char path[2 * CONFIG_PATH_MAX];
};

/* Standard error. Closing it closes nothing. */
void log_sink_init(struct log_sink *sink);
/* Opens the sink that log_to names. A syslog that is not there is no error. */
int log_sink_open(struct log_sink *sink, const struct config *config, struct err *err);
/* The same of the sink that log_events names: a file, or a socket that gets a datagram a line. */
int log_sink_open_events(struct log_sink *sink, const struct config *config, struct err *err);
/* Lines go nowhere. */
void log_sink_none(struct log_sink *sink);
/* A file by its name again; the sink stays as it is when that fails. */
int log_sink_reopen(struct log_sink *sink, struct err *err);
void log_sink_close(struct log_sink *sink);
/* Writes whole lines, size octets of them, and returns how many are lost. give_up is asked while
 * it waits for syslog. */
unsigned long log_sink_write(struct log_sink *sink, const char *lines, size_t size,
			     bool (*give_up)(void));
/* For `valijad -t`: whether it could be opened. Leaves no file that was not there. warn: of a
 * syslog that is not there. */
int log_sink_check(const struct config *config, void (*warn)(const char *text), struct err *err);

#endif
