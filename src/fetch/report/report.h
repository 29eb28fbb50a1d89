/*
 * Reports of a run to a person or a script: progress bar on a terminal, warnings and errors
 * on standard error, JSON events on standard output. Text from the server is escaped before it gets
 * here, or here at the latest. Quiet when nobody watches and nothing is wrong.
 */
#ifndef FETCH_REPORT_REPORT_H
#define FETCH_REPORT_REPORT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
	const char *account;
	const char *server;
	bool bar;                    /* standard error is a terminal */
	bool json;                   /* events on standard output */
	bool verbose;                /* reports successes, too */
	bool drawn;                  /* a bar is on the current line */
	int64_t started, last_drawn; /* ms */
	uint32_t total, done;
	uint64_t total_octets, done_octets;
	unsigned warnings;
};

struct report_totals {
	uint32_t collected, partial, deleted, undeleted, failed, later;
	uint32_t refused; /* by the destination, for good; failed counts them, too */
	uint64_t octets;
	int64_t milliseconds;
};

void report_plan(struct report *report, uint32_t messages, uint64_t octets);
/* Octets and messages received since the last call. */
void report_progress(struct report *report, uint32_t messages, uint64_t octets);
void report_end_bar(struct report *report);
void report_warning(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void report_info(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Printable ASCII, and UTF-8 where the locale has it; the rest as \xHH (a backslash stays: it may
 * be an escape already). */
const char *report_harmless(const char *text, char *buf, size_t size);
void report_error(struct report *report, const struct err *err);
/* A person has to consent anew: one line that says so, and by what command. */
void report_consent(struct report *report, const struct err *err);
void report_summary(struct report *report, const struct report_totals *totals);

#endif
