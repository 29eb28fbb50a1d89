/* See metrics.h. In the parent of --watch, as the user; names of accounts are the user's own. */
#include "fetch/watch/metrics.h"

#include "fetch/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct metric {
	const char *name, *type, *help;
	uint64_t (*value)(const struct watch_record *record);
};

static uint64_t last_success(const struct watch_record *r)
{
	return (uint64_t)r->last_success;
}

static uint64_t last_run(const struct watch_record *r)
{
	return (uint64_t)r->last_run;
}

static uint64_t messages(const struct watch_record *r)
{
	return r->messages;
}

static uint64_t octets(const struct watch_record *r)
{
	return r->octets;
}

static uint64_t runs(const struct watch_record *r)
{
	return r->runs;
}

static uint64_t failed(const struct watch_record *r)
{
	return r->failed;
}

static uint64_t in_a_row(const struct watch_record *r)
{
	return r->failures;
}

static uint64_t consent(const struct watch_record *r)
{
	return r->result == WATCH_CONSENT;
}

static const struct metric metrics[] = {
	{"last_success_timestamp_seconds", "gauge",
	 "When the last run that collected all ended; 0: never.", last_success},
	{"last_run_timestamp_seconds", "gauge", "When the last run ended; 0: never.", last_run},
	{"messages_total", "counter", "Messages collected.", messages},
	{"octets_total", "counter", "Octets of messages collected.", octets},
	{"runs_total", "counter", "Runs.", runs},
	{"failures_total", "counter", "Runs that failed or left something out.", failed},
	{"failures_in_a_row", "gauge", "Runs that failed since the last good one.", in_a_row},
	{"consent_needed", "gauge", "1: a person has to log in again.", consent},
};

static void put_label(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		fputc(*text, out); /* names have no control characters */
	}
}

char *watch_metrics_text(const struct watch_memory *memory)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool bad;

	if (!out)
		return NULL;
	for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
		fprintf(out, "# HELP valija_fetch_%s %s\n# TYPE valija_fetch_%s %s\n",
			metrics[m].name, metrics[m].help, metrics[m].name, metrics[m].type);
		for (unsigned i = 0; i < memory->count; i++) {
			fprintf(out, "valija_fetch_%s{account=\"", metrics[m].name);
			put_label(out, memory->records[i].name);
			fprintf(out, "\"} %" PRIu64 "\n", metrics[m].value(&memory->records[i]));
		}
	}
	bad = ferror(out) != 0;
	if (fclose(out) != 0 || bad) {
		free(text);
		return NULL;
	}
	return text;
}

int watch_metrics_write(const char *path, const struct watch_memory *memory, struct err *err)
{
	char *text = watch_metrics_text(memory);
	int rc;

	if (!text)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	/* collectors read *.prom, not *.prom.new; for another user's exporter */
	rc = fetch_replace(&fetch_files_real, AT_FDCWD, path, text, 0644);
	free(text);
	return rc == 0 ? 0 : err_sys(err, EX_CANTCREAT, errno, "cannot write the metrics %s", path);
}
