/* See text.h. */
#include "server/status/text.h"

#include "build-config.h"

#include <inttypes.h>
#include <string.h>

struct writer {
	const struct text_source *source;
	FILE *out;
	bool open_metrics;
};

/* ---- labels ---- */

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
}

static void put_label(const struct writer *w, enum counter_labels set, unsigned value,
		      unsigned role, bool first)
{
	const char *name = counters_label_value(set, value);

	fprintf(w->out, "%s%s=\"", first ? "" : ",", counters_label_name(set));
	if (set == SET_PROCESS)
		fputs(ipc_role_name((enum ipc_role)role), w->out);
	else if (set == SET_DATABASE)
		put_escaped(w->out, w->source->config->databases[value].name);
	else if (name)
		put_escaped(w->out, name);
	else
		fprintf(w->out, "%u", value);
	fputc('"', w->out);
}

/* le: of a bucket; NULL: none. */
static void put_labels(const struct writer *w, const struct counter_row *row, unsigned n,
		       unsigned role, const char *le)
{
	bool any = false;

	for (unsigned l = 0; l < COUNTER_LABELS_MAX && row->labels[l] != SET_NONE; l++) {
		if (!any)
			fputc('{', w->out);
		put_label(w, row->labels[l], counters_label_at(row, l, n), role, !any);
		any = true;
	}
	if (le)
		fprintf(w->out, "%sle=\"%s\"", any ? "," : "{", le);
	if (any || le)
		fputc('}', w->out);
}

/* ---- values ---- */

static unsigned slots_of(const struct counter_row *row)
{
	return row->kind == MICROS || row->kind == MILLIS ? HISTOGRAM_SLOTS : 1;
}

/* Seconds of micro- or milliseconds, exact and without zeros at the end. */
static const char *seconds(enum counter_kind kind, uint64_t value, char buf[40])
{
	uint64_t one = kind == MICROS ? 1000000 : 1000;
	int digits = kind == MICROS ? 6 : 3;
	size_t n = (size_t)snprintf(buf, 40, "%" PRIu64 ".%0*" PRIu64, value / one, digits,
				    value % one);

	while (n > 2 && buf[n - 1] == '0' && buf[n - 2] != '.')
		buf[--n] = '\0';
	return buf;
}

static uint64_t value_at(const struct writer *w, const struct counter_row *row, size_t slot,
			 unsigned role)
{
	if (row->labels[0] == SET_PROCESS)
		return w->source->totals->slots[role][slot];
	return totals_of(w->source->totals, row, slot);
}

static void put_histogram(const struct writer *w, const struct counter_row *row, unsigned n)
{
	size_t slot = row->slot + n * HISTOGRAM_SLOTS;
	uint64_t count = 0;
	char text[40];

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		bool last = i == HISTOGRAM_BUCKETS - 1;

		count += value_at(w, row, slot + i, 0);
		fprintf(w->out, "%s_bucket", row->name);
		put_labels(w, row, n, 0, last ? "+Inf" : seconds(row->kind, 1ull << i, text));
		fprintf(w->out, " %" PRIu64 "\n", count);
	}
	fprintf(w->out, "%s_sum", row->name);
	put_labels(w, row, n, 0, NULL);
	fprintf(w->out, " %s\n",
		seconds(row->kind, value_at(w, row, slot + HISTOGRAM_SUM, 0), text));
	fprintf(w->out, "%s_count", row->name);
	put_labels(w, row, n, 0, NULL);
	fprintf(w->out, " %" PRIu64 "\n", count);
}

static void put_value(const struct writer *w, const struct counter_row *row, unsigned n,
		      unsigned role)
{
	uint64_t value = value_at(w, row, row->slot + n, role);

	fprintf(w->out, "%s%s", row->name, row->kind == COUNTER ? "_total" : "");
	put_labels(w, row, n, role, NULL);
	if (row->kind == COUNTER)
		fprintf(w->out, " %" PRIu64 "\n", value);
	else
		fprintf(w->out, " %" PRId64 "\n", (int64_t)value);
}

/* ---- rows ---- */

static bool has_label(const struct counter_row *row, enum counter_labels set)
{
	for (unsigned l = 0; l < COUNTER_LABELS_MAX; l++)
		if (row->labels[l] == set)
			return true;
	return false;
}

static bool has_any(const struct writer *w, const struct counter_row *row, unsigned n)
{
	for (unsigned i = 0; i < slots_of(row); i++)
		if (value_at(w, row, row->slot + n * slots_of(row) + i, 0))
			return true;
	return false;
}

static bool is_served(const struct config *config, unsigned service)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == service)
			return true;
	return false;
}

/* Values that no site has are left out, and those of long lists that never happened. */
static bool is_shown(const struct writer *w, const struct counter_row *row, unsigned n)
{
	const struct config *config = w->source->config;

	if (has_label(row, SET_DATABASE))
		return n < config->database_count;
	if (has_label(row, SET_CERTIFICATE))
		return n < config->certificate_count;
	if (row->labels[0] == SET_SERVICE && row->labels[1] == SET_NONE && slots_of(row) == 1)
		return is_served(config, n) || has_any(w, row, n);
	if (has_label(row, SET_REASON) || has_label(row, SET_SERVICE))
		return has_any(w, row, n);
	return true;
}

static void put_head(const struct writer *w, const struct counter_row *row)
{
	bool total = row->kind == COUNTER && !w->open_metrics;
	const char *type = row->kind == COUNTER                         ? "counter"
			   : row->kind == MICROS || row->kind == MILLIS ? "histogram"
									: "gauge";

	fprintf(w->out, "# HELP %s%s ", row->name, total ? "_total" : "");
	put_escaped(w->out, row->help);
	fprintf(w->out, "\n# TYPE %s%s %s\n", row->name, total ? "_total" : "", type);
}

static void put_row(const struct writer *w, const struct counter_row *row)
{
	unsigned n = row->slots / slots_of(row);

	put_head(w, row);
	if (row->labels[0] == SET_PROCESS) {
		for (unsigned role = 0; role < ROLE_COUNT; role++)
			if (w->source->totals->slots[role][COUNTER_STARTS])
				put_value(w, row, 0, role);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!is_shown(w, row, i))
			continue;
		if (slots_of(row) > 1)
			put_histogram(w, row, i);
		else
			put_value(w, row, i, 0);
	}
}

void text_metrics(const struct text_source *source, bool open_metrics, FILE *out)
{
	struct writer w = {source, out, open_metrics};

	fprintf(out,
		"# HELP valija_build_info The version of valijad.\n"
		"# TYPE valija_build_info gauge\n"
		"valija_build_info{version=\"" VALIJA_VERSION "\"} 1\n"
		"# HELP valija_counters_pages_ignored Processes whose counters cannot be read.\n"
		"# TYPE valija_counters_pages_ignored gauge\n"
		"valija_counters_pages_ignored %" PRIu32 "\n",
		source->totals->ignored);
	for (size_t i = 0; i < counters_row_count(); i++)
		put_row(&w, counters_row(i));
	if (open_metrics)
		fputs("# EOF\n", out);
}

/* ---- other answers ---- */

static bool runs(const struct totals *totals, enum ipc_role role)
{
	return (int64_t)totals->slots[role][COUNTER_PROCESSES] > 0;
}

const char *text_not_ready(const struct totals *totals)
{
	if (totals_slot(totals, COUNTER_DRAINED))
		return "drained: no new sessions are taken, by command of an operator";
	if (!runs(totals, ROLE_AUTH))
		return "auth is not there: nobody can log in";
	if (!runs(totals, ROLE_KEEPER))
		return "no keeper is there: no maildrop can be opened";
	if (!runs(totals, ROLE_FRONT) && !runs(totals, ROLE_LMTP))
		return "no front is there: no connection is taken";
	return NULL;
}

void text_json(const struct text_source *source, FILE *out)
{
	const struct totals *t = source->totals;
	uint64_t answers[HISTOGRAM_BUCKETS];
	const char *why = text_not_ready(t);

	totals_buckets(t, COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS, answers);
	fprintf(out,
		"{\"format\":1,\"version\":\"" VALIJA_VERSION "\",\"now\":%" PRIu64
		",\"started\":%" PRIu64 ",\"generation\":%" PRIu64 ",\"ready\":%s",
		source->now, totals_slot(t, COUNTER_START_TIME), totals_slot(t, COUNTER_GENERATION),
		why ? "false" : "true");
	fprintf(out,
		",\"connections\":%" PRId64 ",\"sessions\":%" PRId64 ",\"users\":%" PRId64
		",\"logins\":%" PRIu64 ",\"login_failures\":%" PRIu64 ",\"deliveries\":%" PRIu64
		",\"login_p50_us\":%" PRIu64 ",\"login_p99_us\":%" PRIu64,
		(int64_t)totals_sum(t, COUNTER_CONNECTIONS_NOW),
		(int64_t)totals_sum(t, COUNTER_SESSIONS_NOW),
		(int64_t)totals_slot(t, COUNTER_USERS),
		totals_sum(t, COUNTER_LOGINS) - totals_sum(t, COUNTER_LOGIN_FAILURES),
		totals_sum(t, COUNTER_LOGIN_FAILURES),
		totals_slot(t, COUNTER_DELIVERIES + REASON_OK), totals_quantile(answers, 500),
		totals_quantile(answers, 990));
	fputs(",\"samples\":[", out);
	for (unsigned i = 0; i < samples_count(source->samples); i++) {
		const struct sample *s = samples_get(source->samples, i);

		fprintf(out,
			"%s{\"time\":%" PRIu64 ",\"sessions\":%" PRIu64 ",\"logins\":%" PRIu64
			",\"failures\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"p99_us\":%" PRIu64
			"}",
			i ? "," : "", s->time, s->sessions, s->logins, s->failures, s->deliveries,
			s->p99);
	}
	fputs("]}\n", out);
}
