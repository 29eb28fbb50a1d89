/* See figures.h. A page is written by its process: what stands in it may be a lie of that process
 * about what its role counts (server/totals.h). */
#include "server/control/figures.h"

#include "base/text.h"
#include "server/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct writer {
	const struct control *control;
	const struct totals *totals;
	FILE *out;
	uint64_t count; /* of lines */
};

static void put_name(const struct writer *w, const char *text)
{
	char escaped[4 * CONFIG_NAME_MAX];
	pop3_span span = span_of(text);

	if (span.size > CONFIG_NAME_MAX)
		span.size = CONFIG_NAME_MAX;
	fwrite(escaped, 1, lines_escape(escaped, span), w->out);
}

/* ---- counters ---- */

static bool is_histogram(const struct counter_row *row)
{
	return row->kind == MICROS || row->kind == MILLIS;
}

static void put_label(const struct writer *w, enum counter_labels set, unsigned value,
		      unsigned role)
{
	const struct config *config = w->control->frame.child->config;
	const char *name = counters_label_value(set, value);

	fprintf(w->out, "%s=", counters_label_name(set));
	if (set == SET_PROCESS)
		fputs(ipc_role_name((enum ipc_role)role), w->out);
	else if (set == SET_DATABASE && value < config->database_count)
		put_name(w, config->databases[value].name);
	else if (name)
		put_name(w, name);
	else
		fprintf(w->out, "%u", value);
}

static void put_head(struct writer *w, const struct counter_row *row, unsigned n, unsigned role)
{
	static const char *const kinds[] = {[COUNTER] = "counter",
					    [GAUGE] = "gauge",
					    [PEAK] = "gauge",
					    [MICROS] = "histogram",
					    [MILLIS] = "histogram"};

	fprintf(w->out, "%s\t%s\t", kinds[row->kind], row->name);
	for (unsigned l = 0; l < COUNTER_LABELS_MAX && row->labels[l] != SET_NONE; l++) {
		fputs(l ? "," : "", w->out);
		put_label(w, row->labels[l], counters_label_at(row, l, n), role);
	}
	fputs(row->labels[0] == SET_NONE ? "-\t" : "\t", w->out);
	w->count++;
}

static void put_histogram(struct writer *w, const struct counter_row *row, unsigned n)
{
	size_t slot = row->slot + (size_t)n * HISTOGRAM_SLOTS;
	uint64_t count = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += totals_of(w->totals, row, slot + i);
	if (!count)
		return;
	put_head(w, row, n, 0);
	fprintf(w->out, "%s\t%" PRIu64 "\t", row->kind == MICROS ? "us" : "ms",
		totals_of(w->totals, row, slot + HISTOGRAM_SUM));
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		fprintf(w->out, "%s%" PRIu64, i ? "," : "", totals_of(w->totals, row, slot + i));
	fputc('\n', w->out);
}

static void put_value(struct writer *w, const struct counter_row *row, unsigned n, unsigned role,
		      uint64_t value)
{
	put_head(w, row, n, role);
	if (row->kind == COUNTER)
		fprintf(w->out, "%" PRIu64 "\n", value);
	else
		fprintf(w->out, "%" PRId64 "\n", (int64_t)value);
}

/* Labels without a count are left out; rows without labels are not. */
static void put_row(struct writer *w, const struct counter_row *row)
{
	if (row->labels[0] == SET_PROCESS) {
		for (unsigned role = 0; role < ROLE_COUNT; role++)
			if (w->totals->slots[role][COUNTER_STARTS])
				put_value(w, row, 0, role, w->totals->slots[role][row->slot]);
		return;
	}
	for (unsigned n = 0; n < row->slots / (is_histogram(row) ? HISTOGRAM_SLOTS : 1); n++) {
		uint64_t value = totals_of(w->totals, row, row->slot + n);

		if (is_histogram(row))
			put_histogram(w, row, n);
		else if (value || row->labels[0] == SET_NONE)
			put_value(w, row, n, 0, value);
	}
}

static void put_stats(struct writer *w)
{
	for (size_t i = 0; i < counters_row_count(); i++)
		put_row(w, counters_row(i));
}

/* ---- certificates ---- */

/* As the fronts of this process's generation serve it: its fronts alone know the file by this
 * place. */
static uint64_t end_of(const struct control *control, uint32_t certificate)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < control->pages.count; i++) {
		const struct counters_page *page = control->pages.list[i].page;
		uint64_t value = atomic_load_explicit(
			&page->slots[COUNTER_CERTIFICATE_END + certificate], memory_order_relaxed);

		if (control->pages.list[i].role == ROLE_FRONT && value > end &&
		    page->generation == control->frame.child->generation)
			end = value;
	}
	return end;
}

static void put_certificates(struct writer *w)
{
	const struct config *config = w->control->frame.child->config;

	for (uint32_t i = 0; i < config->certificate_count; i++) {
		fprintf(w->out, "certificate\t%u\t", (unsigned)i + 1);
		put_name(w, config->certificates[i].certificate);
		fprintf(w->out, "\t%" PRIu64 "\n", end_of(w->control, i));
		w->count++;
	}
}

static void (*const topics[FIGURES_TOPICS])(struct writer *w) = {
	[FIGURES_STATS] = put_stats,
	[FIGURES_CERTIFICATES] = put_certificates,
};

char *figures_lines(const struct control *control, enum figures_topic topic, size_t *ret_size,
		    uint64_t *ret_count)
{
	struct totals *totals = totals_of_pages(&control->pages);
	struct writer w = {.control = control, .totals = totals};
	char *text = NULL;

	if (totals)
		w.out = open_memstream(&text, ret_size);
	if (w.out) {
		topics[topic](&w);
		if (fclose(w.out) != 0) {
			free(text);
			text = NULL;
		}
	}
	free(totals);
	*ret_count = w.count;
	return text;
}
