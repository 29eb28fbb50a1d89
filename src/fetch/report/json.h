/* JSON events of a run, one object a line on standard output; nothing without --json. */
#ifndef FETCH_REPORT_JSON_H
#define FETCH_REPORT_JSON_H

#include "fetch/report/report.h"

void report_json_plan(const struct report *report);
void report_json_text(const struct report *report, const char *event, const char *text);
void report_json_summary(const struct report *report, const struct report_totals *totals);
/* Of the doctor. level: ok, note, fault; setting: NULL: none answers it. */
void report_json_finding(const struct report *report, const char *level, const char *check,
			 const char *text, const char *setting);
void report_json_step(const struct report *report, const char *name, int64_t milliseconds);
struct report_message {
	uint32_t number; /* from 1 */
	uint64_t octets;
	const char *action, *reason;
	const char *unique_id; /* NULL: it has none */
};

/* One message of --dry-run. */
void report_json_message(const struct report *report, const struct report_message *message);

#endif
