/* Reports of the parent of --watch: lines for a person, the memory, the metrics, the service
 * manager's line. See watch_private.h. */
#include "fetch/watch/watch_private.h"

#include "fetch/watch/metrics.h"
#include "sys/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SAVE_MS = 1000 }; /* news are written down so much later, together */

void watch_say(const char *format, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fprintf(stderr, "valija fetch: %s\n", text);
}

void watch_save_soon(struct watch *w)
{
	if (!w->saving)
		loop_timer_set(&w->save, SAVE_MS);
	w->saving = true;
}

static void tell_manager(const struct watch *w)
{
	unsigned running = 0, failing = 0, consent = 0;
	char text[200];

	for (unsigned i = 0; i < w->count; i++) {
		running += w->accounts[i].run.pid > 0;
		failing += w->accounts[i].record.failures > 0;
		consent += w->accounts[i].record.result == WATCH_CONSENT;
	}
	snprintf(text, sizeof(text),
		 "STATUS=%u accounts: %u collected now, %u failing, %u need consent", w->count,
		 running, failing, consent);
	notify_send(text);
}

void watch_save(struct watch *w)
{
	struct watch_memory memory = {.written = time(NULL)};
	const char *metrics = w->metrics ? w->metrics : w->config.metrics;
	struct err err = {0};

	w->saving = false;
	memory.records = calloc(w->count + 1, sizeof(*memory.records));
	if (!memory.records)
		return;
	for (unsigned i = 0; i < w->count; i++) {
		if (!w->accounts[i].settings)
			continue;
		memory.records[memory.count] = w->accounts[i].record;
		memory.records[memory.count++].running = w->accounts[i].run.pid > 0;
	}
	if (watch_memory_save(w->dir, &memory, &err) < 0)
		watch_say("%s", err.text);
	if (metrics[0] && watch_metrics_write(metrics, &memory, &err) < 0)
		watch_say("%s", err.text);
	watch_memory_finish(&memory);
	tell_manager(w);
}

void watch_save_fired(struct loop_timer *timer)
{
	watch_save(timer->context);
}
