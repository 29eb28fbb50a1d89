/* `valija fetch status`: what the memory of --watch says, for a person or as JSON. A process of its
 * own, as the user; it changes nothing. */
#include "fetch/watch/watch.h"

#include "fetch/journal/state.h"
#include "fetch/watch/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Behind the codes of sysexits.h, as a run ends with it. */
enum { CONSENT = 79 };

static const char *span_text(int64_t seconds, char *buf, size_t size)
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (seconds >= 2 * units[i].seconds || units[i].seconds == 1) {
			snprintf(buf, size, "%" PRId64 " %s", seconds / units[i].seconds,
				 units[i].unit);
			break;
		}
	}
	return buf;
}

static const char *ago(int64_t time, int64_t now, char *buf, size_t size)
{
	char text[32];

	if (!time)
		snprintf(buf, size, "never");
	else
		snprintf(buf, size, "%s ago",
			 span_text(now > time ? now - time : 0, text, sizeof(text)));
	return buf;
}

static const char *next(const struct watch_record *r, bool watching, int64_t now, char *buf,
			size_t size)
{
	char text[32];

	if (!watching)
		snprintf(buf, size, "-");
	else if (r->running)
		snprintf(buf, size, "now");
	else
		snprintf(buf, size, "in %s",
			 span_text(r->next_run > now ? r->next_run - now : 0, text, sizeof(text)));
	return buf;
}

/* The failures of an account, and what to do. */
static void print_trouble(const struct watch_record *r)
{
	if (r->failures > 1)
		printf("    %u times in a row; the pause grows with each\n", r->failures);
	if (r->text[0])
		printf("    %s\n", r->text);
	if (r->result == WATCH_CONSENT)
		printf("    consent needed: valija fetch login %s\n", r->name);
}

static void print_record(const struct watch_record *r, bool watching, int64_t now)
{
	char run[48], good[48], then[48];

	printf("%-20s %-13s %-13s %-11s %9" PRIu64 "  %s\n", r->name,
	       ago(r->last_run, now, run, sizeof(run)),
	       ago(r->last_success, now, good, sizeof(good)),
	       next(r, watching, now, then, sizeof(then)), r->messages,
	       watch_result_text(r->result));
	print_trouble(r);
}

static void print_table(const struct watch_memory *memory, bool watching)
{
	int64_t now = time(NULL);

	if (!watching)
		printf("valija fetch --watch is not running; this is from its last time\n");
	printf("%-20s %-13s %-13s %-11s %9s  %s\n", "ACCOUNT", "LAST RUN", "LAST GOOD", "NEXT RUN",
	       "MESSAGES", "RESULT");
	for (unsigned i = 0; i < memory->count; i++)
		print_record(&memory->records[i], watching, now);
}

/* Only the named ones, in the memory's order. */
static int keep_named(struct watch_memory *memory, char *const *names, int count, struct err *err)
{
	unsigned kept = 0;

	for (int n = 0; n < count; n++)
		if (!watch_memory_find(memory, names[n]))
			return err_set(err, EX_USAGE, "\"%.80s\" is not watched", names[n]);
	for (unsigned i = 0; i < memory->count; i++) {
		bool named = count == 0;

		for (int n = 0; n < count; n++)
			named = named || strcmp(memory->records[i].name, names[n]) == 0;
		if (named)
			memory->records[kept++] = memory->records[i];
	}
	memory->count = kept;
	return 0;
}

static int code_of(const struct watch_memory *memory, bool watching)
{
	int code = watching ? EX_OK : EX_UNAVAILABLE;

	for (unsigned i = 0; i < memory->count; i++) {
		if (memory->records[i].result == WATCH_CONSENT)
			return CONSENT;
		if (memory->records[i].failures && code == EX_OK)
			code = EX_TEMPFAIL;
	}
	return code;
}

static int show(int dir, bool json, char *const *names, int count, struct err *err)
{
	struct watch_memory memory;
	int watching = watch_locked(dir, err), code;

	if (watching < 0)
		return -1;
	if (watch_memory_load(dir, &memory, err) < 0)
		return -1;
	if (keep_named(&memory, names, count, err) < 0) {
		watch_memory_finish(&memory);
		return -1;
	}
	code = code_of(&memory, watching);
	if (json) {
		char *text = watch_memory_json(&memory, watching);

		if (text)
			puts(text);
		free(text);
	} else {
		print_table(&memory, watching);
	}
	watch_memory_finish(&memory);
	return code;
}

int fetch_watch_status(const char *state, bool json, char *const *names, int count)
{
	struct err err = {0};
	int dir = state_open(&fetch_files_real, state, &err), code;

	code = dir < 0 ? -1 : show(dir, json, names, count, &err);
	if (dir >= 0)
		close(dir);
	if (code >= 0)
		return code;
	fprintf(stderr, "valija fetch status: %s\n", err.text);
	return err.code ? err.code : EX_SOFTWARE;
}
