/* JSON events of a run, one object a line on standard output; nothing without --json. */
#ifndef FETCH_REPORT_JSON_H
#define FETCH_REPORT_JSON_H

#include "fetch/report/report.h"

#include "fetch/collect/plan.h"

bool report_json_available(void);
void report_json_plan(const struct report *report);
void report_json_text(const struct report *report, const char *event, const char *text);
void report_json_summary(const struct report *report, const struct report_totals *totals);
/* A line of --dry-run. unique_id: NULL if it has none. */
void report_json_message(const struct report *report, uint32_t number,
			 const struct message *message, const char *unique_id);

#endif
