/* Reports as lines of JSON on standard output (libjansson), for report.c, collect.c and fetch.c.
 * Text that is not UTF-8 is escaped first, so that every line is valid JSON. */
#include "fetch/report/json.h"

#include "base/text.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flushes each line, so that lines of several processes (--jobs) do not mix: one write(2), as long
 * as a line fits into the buffer of stdout. */
static void emit(const struct report *report, const char *event, json_t *object)
{
	char *text;

	if (!object)
		return;
	json_object_set_new(object, "event", json_string(event));
	json_object_set_new(object, "account", json_string(report->account));
	text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	if (text) {
		printf("%s\n", text);
		fflush(stdout);
	}
	free(text);
	json_decref(object);
}

static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	char safe[1024];

	if (value)
		return value;
	text_escape(safe, sizeof(safe) - 1, span_of(text));
	return json_string(safe);
}

void report_json_plan(const struct report *report)
{
	if (report->json)
		emit(report, "plan",
		     json_pack("{s:I, s:I}", "messages", (json_int_t)report->total, "octets",
			       (json_int_t)report->total_octets));
}

void report_json_text(const struct report *report, const char *event, const char *text)
{
	if (report->json)
		emit(report, event,
		     json_pack("{s:o, s:s}", "text", text_value(text), "server", report->server));
}

void report_json_summary(const struct report *report, const struct report_totals *t)
{
	if (!report->json)
		return;
	emit(report, "summary",
	     json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "refused",
		       (json_int_t)t->refused, "collected", (json_int_t)t->collected, "partial",
		       (json_int_t)t->partial, "deleted", (json_int_t)t->deleted, "undeleted",
		       (json_int_t)t->undeleted, "failed", (json_int_t)t->failed, "later",
		       (json_int_t)t->later, "octets", (json_int_t)t->octets, "milliseconds",
		       (json_int_t)t->milliseconds));
}

void report_json_message(const struct report *report, const struct report_message *message)
{
	if (!report->json)
		return;
	emit(report, "message",
	     json_pack("{s:I, s:I, s:s, s:s, s:o}", "number", (json_int_t)message->number, "octets",
		       (json_int_t)message->octets, "action", message->action, "reason",
		       message->reason, "unique_id",
		       message->unique_id ? json_string(message->unique_id) : json_null()));
}

void report_json_finding(const struct report *report, const char *level, const char *check,
			 const char *text, const char *setting)
{
	emit(report, "finding",
	     json_pack("{s:s, s:s, s:o, s:o, s:s}", "level", level, "check", check, "text",
		       text_value(text), "setting", setting ? json_string(setting) : json_null(),
		       "server", report->server));
}

void report_json_step(const struct report *report, const char *name, int64_t milliseconds)
{
	emit(report, "step",
	     json_pack("{s:s, s:I}", "step", name, "milliseconds", (json_int_t)milliseconds));
}
