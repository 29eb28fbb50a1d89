/* See stats.h and control_commands.h. */
#include "cli/stats.h"

#include "base/histogram.h"
#include "cli/control_commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static struct stats_value *new_value(struct stats *stats)
{
	struct stats_value *values;
	size_t room = stats->room ? 2 * stats->room : 64;

	if (stats->count == stats->room) {
		values = realloc(stats->values, room * sizeof(*values));
		if (!values)
			return NULL;
		stats->values = values;
		stats->room = room;
	}
	return memset(&stats->values[stats->count++], 0, sizeof(*values));
}

static void take_buckets(struct stats_value *value, const char *text)
{
	char *end;

	for (size_t i = 0; i < STATS_BUCKETS && *text; i++) {
		value->buckets[i] = strtoull(text, &end, 10);
		value->count += value->buckets[i];
		text = *end == ',' ? end + 1 : end;
	}
}

static int take_line(struct stats *stats, const struct control_link *link, struct err *err)
{
	bool histogram = control_link_is(link, "histogram", 6);
	bool counter = control_link_is(link, "counter", 4);
	struct stats_value *value;

	if (!histogram && !counter && !control_link_is(link, "gauge", 4))
		return 0;
	value = new_value(stats);
	if (!value)
		return err_set(err, EX_OSERR, "no memory");
	value->name = strdup(link->fields[1]);
	value->labels = strdup(link->fields[2]);
	if (!value->name || !value->labels)
		return err_set(err, EX_OSERR, "no memory");
	value->histogram = histogram;
	value->rises = counter;
	value->value = strtoll(link->fields[histogram ? 4 : 3], NULL, 10);
	if (histogram) {
		snprintf(value->unit, sizeof(value->unit), "%s", link->fields[3]);
		take_buckets(value, link->fields[5]);
	}
	return 0;
}

int stats_read(struct stats *stats, struct control_link *link, struct err *err)
{
	int rc = control_link_ask(link, "stats", NULL, err);

	*stats = (struct stats){.count = 0};
	while (rc == 0 && (rc = control_link_next(link, err)) > 0)
		rc = take_line(stats, link, err);
	return rc;
}

void stats_free(struct stats *stats)
{
	for (size_t i = 0; i < stats->count; i++) {
		free(stats->values[i].name);
		free(stats->values[i].labels);
	}
	free(stats->values);
	*stats = (struct stats){.count = 0};
}

const struct stats_value *stats_find(const struct stats *stats, const char *name,
				     const char *labels)
{
	for (size_t i = 0; i < stats->count; i++)
		if (strcmp(stats->values[i].name, name) == 0 &&
		    strcmp(stats->values[i].labels, labels) == 0)
			return &stats->values[i];
	return NULL;
}

/* Whether labels, "a=b,c=d", have that one. */
static bool has_label(const char *labels, const char *label)
{
	size_t size = strlen(label);

	while (labels) {
		if (strncmp(labels, label, size) == 0 && strchr(",", labels[size]))
			return true;
		labels = strchr(labels, ',');
		labels = labels ? labels + 1 : NULL;
	}
	return false;
}

long long stats_sum(const struct stats *stats, const char *name, const char *label)
{
	long long sum = 0;

	for (size_t i = 0; i < stats->count; i++)
		if (strcmp(stats->values[i].name, name) == 0 &&
		    (!label || !*label || has_label(stats->values[i].labels, label)))
			sum += stats->values[i].value;
	return sum;
}

/* ---- valija stats ---- */

static void print_value(const struct stats_value *value)
{
	bool labels = strcmp(value->labels, "-") != 0;
	char name[256];

	snprintf(name, sizeof(name), "%s%s%s%s", value->name, labels ? "{" : "",
		 labels ? value->labels : "", labels ? "}" : "");
	if (!value->histogram) {
		printf("%-64s %lld\n", name, value->value);
		return;
	}
	printf("%-64s %" PRIu64 "  p50 %" PRIu64 " %s  p99 %" PRIu64 " %s\n", name, value->count,
	       histogram_quantile(value->buckets, STATS_BUCKETS, 500), value->unit,
	       histogram_quantile(value->buckets, STATS_BUCKETS, 990), value->unit);
}

/* "a=b,c=d" as an object. */
static void print_labels(const char *labels)
{
	char copy[512], *rest = copy, *label, *is;
	bool first = true;

	snprintf(copy, sizeof(copy), "%s", labels);
	putchar('{');
	while ((label = strtok_r(rest, ",", &rest))) {
		is = strchr(label, '=');
		if (!is)
			continue;
		*is = '\0';
		printf("%s\"%s\": ", first ? "" : ", ", label);
		print_json_text(is + 1);
		first = false;
	}
	putchar('}');
}

static void print_json(const struct stats_value *value, bool first)
{
	static const unsigned quantiles[] = {500, 900, 990};

	printf("%s\n  {\"name\": \"%s\", \"kind\": \"%s\", \"labels\": ", first ? "" : ",",
	       value->name,
	       value->histogram ? "histogram"
	       : value->rises   ? "counter"
				: "gauge");
	print_labels(value->labels);
	if (!value->histogram) {
		printf(", \"value\": %lld}", value->value);
		return;
	}
	printf(", \"unit\": \"%s\", \"count\": %" PRIu64 ", \"sum\": %lld", value->unit,
	       value->count, value->value);
	for (size_t i = 0; i < 3; i++)
		printf(", \"p%u\": %" PRIu64, quantiles[i] / 10,
		       histogram_quantile(value->buckets, STATS_BUCKETS, quantiles[i]));
	putchar('}');
}

int control_stats(struct control_link *link, const struct control_arguments *arguments,
		  int *ret_code, struct err *err)
{
	struct stats stats;
	int rc = stats_read(&stats, link, err);

	(void)ret_code;
	if (rc == 0 && arguments->json)
		fputs("{\"format\": 1, \"stats\": [", stdout);
	for (size_t i = 0; rc == 0 && i < stats.count; i++)
		if (arguments->json)
			print_json(&stats.values[i], i == 0);
		else
			print_value(&stats.values[i]);
	if (rc == 0 && arguments->json)
		puts("\n]}");
	stats_free(&stats);
	return rc;
}
