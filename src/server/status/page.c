/* See page.h. The charts are drawn here, as SVG in the page; what they show stands as text beside
 * each, for those who do not see them. */
#include "server/status/page.h"

#include "build-config.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
	WIDE = 600, /* of a chart, in its own units */
	HIGH = 90,
};

static const char head[] =
	"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n<title>Valija: status</title>\n"
	"<style>\n"
	":root{--back:#fbfbf9;--text:#1b1f24;--dim:#4d5661;--line:#d5d8dc;--card:#fff;"
	"--mark:#0b5cad;--fill:#0b5cad22;--good:#14683a;--bad:#a61b1b}\n"
	"@media(prefers-color-scheme:dark){:root{--back:#14171a;--text:#e8eaed;--dim:#b0b8c1;"
	"--line:#3a4047;--card:#1d2125;--mark:#7db8f5;--fill:#7db8f533;--good:#7ad19b;"
	"--bad:#ff9b94}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;max-width:66rem;padding:1rem;background:var(--back);"
	"color:var(--text);font:1rem/1.5 system-ui,sans-serif}\n"
	"h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:1.5rem 0 .5rem}\n"
	"h3{font-size:1rem;margin:0;font-weight:600}\n"
	"p{margin:.3rem 0}.dim{color:var(--dim)}.good{color:var(--good)}.bad{color:var(--bad)}\n"
	".state{font-weight:600;font-size:1.1rem}\n"
	".grid{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,"
	"19rem),1fr))}\n"
	".card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;"
	"padding:.75rem}\n"
	"svg{display:block;width:100%;height:auto;margin-top:.4rem}\n"
	"table{border-collapse:collapse;width:100%;background:var(--card)}\n"
	"caption{text-align:left;color:var(--dim);padding:.3rem 0}\n"
	"th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);"
	"font-weight:400;vertical-align:top}\n"
	"thead th{font-weight:600}\n"
	"td{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
	"td.bad{white-space:normal}\n"
	"thead th:not(:first-child){text-align:right}\n"
	"a{color:var(--mark)}\n"
	"</style>\n</head>\n<body>\n<main>\n";

/* ---- numbers and times ---- */

/* "1 234 567": groups of three, with spaces that do not break. */
static void put_number(FILE *out, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);

	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			fputs("&#8239;", out);
		fputc(digits[i], out);
	}
}

static void put_octets(FILE *out, uint64_t octets)
{
	static const char *const units[] = {"octets", "KB", "MB", "GB", "TB"};
	double value = (double)octets;
	size_t unit = 0;

	for (; value >= 1000 && unit < 4; unit++)
		value /= 1000;
	fprintf(out, unit ? "%.1f&nbsp;%s" : "%.0f&nbsp;%s", value, units[unit]);
}

static void put_micros(FILE *out, uint64_t micros)
{
	if (micros < 1000)
		fprintf(out, "%" PRIu64 "&nbsp;µs", micros);
	else if (micros < 1000000)
		fprintf(out, "%.1f&nbsp;ms", (double)micros / 1000);
	else
		fprintf(out, "%.1f&nbsp;s", (double)micros / 1000000);
}

/* day: without the time of the day. */
static void put_time(FILE *out, uint64_t seconds, bool day)
{
	time_t when = (time_t)seconds;
	struct tm tm;
	char text[64];

	if (!gmtime_r(&when, &tm) ||
	    !(day ? strftime(text, sizeof(text), "%Y-%m-%d", &tm)
		  : strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm)))
		snprintf(text, sizeof(text), "?");
	fputs(text, out);
}

static void put_span(FILE *out, uint64_t seconds)
{
	if (seconds >= 2 * 86400)
		fprintf(out, "%" PRIu64 " days", seconds / 86400);
	else if (seconds >= 2 * 3600)
		fprintf(out, "%" PRIu64 " hours", seconds / 3600);
	else
		fprintf(out, "%" PRIu64 " minutes", seconds / 60);
}

static uint64_t gauge(uint64_t value)
{
	return (int64_t)value > 0 ? value : 0;
}

/* ---- charts ---- */

struct chart {
	const char *title, *unit;
	uint64_t (*value)(const struct sample *sample);
	bool is_time;
};

static uint64_t sessions(const struct sample *s)
{
	return s->sessions;
}

static uint64_t logins(const struct sample *s)
{
	return s->logins;
}

static uint64_t failures(const struct sample *s)
{
	return s->failures;
}

static uint64_t deliveries(const struct sample *s)
{
	return s->deliveries;
}

static uint64_t p99(const struct sample *s)
{
	return s->p99;
}

static const struct chart charts[] = {
	{"Sessions", "", sessions, false},
	{"Logins", "in five minutes", logins, false},
	{"Failed logins", "in five minutes", failures, false},
	{"Deliveries", "in five minutes", deliveries, false},
	{"Time until a login has its answer", "for 99 of 100", p99, true},
};

static uint64_t most(const struct samples *samples, const struct chart *chart)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < samples_count(samples); i++)
		if (chart->value(samples_get(samples, i)) > most)
			most = chart->value(samples_get(samples, i));
	return most;
}

static void put_value(FILE *out, const struct chart *chart, uint64_t value)
{
	if (chart->is_time)
		put_micros(out, value);
	else
		put_number(out, value);
}

/* The place of a sample: the right end is now, the left one a day ago. */
static double place(const struct sample *sample, uint64_t now)
{
	uint64_t age = now > sample->time ? now - sample->time : 0;
	double day = (double)SAMPLES * SAMPLE_SECONDS;

	return (double)age > day ? 0 : WIDE * (1 - (double)age / day);
}

static void put_points(const struct text_source *source, const struct chart *chart, uint64_t top,
		       FILE *out)
{
	unsigned count = samples_count(source->samples);

	for (unsigned i = 0; i < count; i++) {
		const struct sample *sample = samples_get(source->samples, i);

		fprintf(out, "%s%.1f,%.1f", i ? " " : "", place(sample, source->now),
			HIGH - (HIGH - 4) * (double)chart->value(sample) / (double)top);
	}
}

static void put_picture(const struct text_source *source, const struct chart *chart, FILE *out)
{
	uint64_t top = most(source->samples, chart);
	unsigned count = samples_count(source->samples);

	fprintf(out,
		"<svg viewBox=\"0 0 %d %d\" aria-hidden=\"true\" preserveAspectRatio=\"none\">"
		"<path d=\"M0 %d.5H%d\" stroke=\"var(--line)\" fill=\"none\"/>",
		WIDE, HIGH + 1, HIGH, WIDE);
	for (int hour = 6; hour < 24; hour += 6)
		fprintf(out, "<path d=\"M%d 0V%d\" stroke=\"var(--line)\" fill=\"none\"/>",
			WIDE * hour / 24, HIGH);
	if (count > 0) {
		fprintf(out, "<polygon fill=\"var(--fill)\" points=\"%.1f,%d ",
			place(samples_get(source->samples, 0), source->now), HIGH);
		put_points(source, chart, top ? top : 1, out);
		fprintf(out,
			" %.1f,%d\"/><polyline fill=\"none\" stroke=\"var(--mark)\" "
			"stroke-width=\"2\" vector-effect=\"non-scaling-stroke\" points=\"",
			place(samples_get(source->samples, count - 1), source->now), HIGH);
		put_points(source, chart, top ? top : 1, out);
		fputs("\"/>", out);
	}
	fputs("</svg>\n", out);
}

static void put_chart(const struct text_source *source, const struct chart *chart, FILE *out)
{
	unsigned count = samples_count(source->samples);

	fprintf(out, "<section class=\"card\"><h3>%s</h3>\n<p class=\"dim\">", chart->title);
	if (*chart->unit)
		fprintf(out, "%s: ", chart->unit);
	if (count) {
		fputs("now ", out);
		put_value(out, chart, chart->value(samples_get(source->samples, count - 1)));
		fputs(", at most ", out);
		put_value(out, chart, most(source->samples, chart));
	} else {
		fputs("the first sample comes within five minutes", out);
	}
	fputs("</p>\n", out);
	put_picture(source, chart, out);
	fputs("</section>\n", out);
}

/* ---- tables ---- */

static void begin_table(FILE *out, const char *caption, const char *columns)
{
	fprintf(out,
		"<table><caption>%s</caption>\n<thead><tr>%s</tr></thead>\n"
		"<tbody>\n",
		caption, columns);
}

static void end_table(FILE *out)
{
	fputs("</tbody></table>\n", out);
}

static void begin_row(FILE *out, const char *title)
{
	fprintf(out, "<tr><th scope=\"row\">%s</th><td>", title);
}

static void end_row(FILE *out)
{
	fputs("</td></tr>\n", out);
}

static void number_row(FILE *out, const char *title, uint64_t value)
{
	begin_row(out, title);
	put_number(out, value);
	end_row(out);
}

static void put_figures(const struct text_source *source, FILE *out)
{
	const struct totals *t = source->totals;
	uint64_t failed = totals_sum(t, COUNTER_LOGIN_FAILURES);

	fputs("<h2>Now</h2>\n", out);
	begin_table(out, "What is open",
		    "<th scope=\"col\">What</th><th scope=\"col\">Number</th>");
	number_row(out, "Connections", gauge(totals_sum(t, COUNTER_CONNECTIONS_NOW)));
	number_row(out, "Sessions", gauge(totals_sum(t, COUNTER_SESSIONS_NOW)));
	number_row(out, "Users with a session", gauge(totals_slot(t, COUNTER_USERS)));
	number_row(out, "Logins that wait", gauge(totals_slot(t, COUNTER_AUTH_QUEUE)));
	number_row(out, "Jobs of keepers", gauge(totals_slot(t, COUNTER_KEEPER_JOBS)));
	end_table(out);
	fputs("<h2>Since the start</h2>\n", out);
	begin_table(out, "Sums", "<th scope=\"col\">What</th><th scope=\"col\">Number</th>");
	number_row(out, "Connections", totals_sum(t, COUNTER_CONNECTIONS));
	number_row(out, "Logins", totals_sum(t, COUNTER_LOGINS) - failed);
	number_row(out, "Logins that failed", failed);
	number_row(out, "Messages read (RETR)", totals_slot(t, COUNTER_COMMANDS + COUNTER_RETR));
	begin_row(out, "Of these");
	put_octets(out, totals_slot(t, COUNTER_RETR_OCTETS));
	end_row(out);
	number_row(out, "Messages deleted", totals_slot(t, COUNTER_DELETED));
	number_row(out, "Deliveries", totals_slot(t, COUNTER_DELIVERIES + REASON_OK));
	number_row(out, "Deliveries put off or refused",
		   totals_sum(t, COUNTER_DELIVERIES) -
			   totals_slot(t, COUNTER_DELIVERIES + REASON_OK));
	end_table(out);
}

static void put_steps(const struct text_source *source, FILE *out)
{
	static const char *const names[STEPS_COUNT] = {
		[STEP_CREDENTIALS] = "The client sends its first credentials",
		[STEP_VERDICT] = "They are judged",
		[STEP_MAILDROP] = "The maildrop is opened",
		[STEP_ANSWER] = "The whole answer",
	};
	uint64_t buckets[HISTOGRAM_BUCKETS];

	fputs("<h2>How long a login takes</h2>\n", out);
	begin_table(out, "Since the start: half of all logins, and 99 of 100, took less",
		    "<th scope=\"col\">Step</th><th scope=\"col\">Half</th>"
		    "<th scope=\"col\">99 of 100</th>");
	for (unsigned i = 0; i < STEPS_COUNT; i++) {
		totals_buckets(source->totals, COUNTER_LOGIN_STEPS + i * HISTOGRAM_SLOTS, buckets);
		begin_row(out, names[i]);
		put_micros(out, totals_quantile(buckets, 500));
		fputs("</td><td>", out);
		put_micros(out, totals_quantile(buckets, 990));
		end_row(out);
	}
	end_table(out);
}

static void put_processes(const struct text_source *source, FILE *out)
{
	const struct totals *t = source->totals;

	fputs("<h2>Processes</h2>\n", out);
	begin_table(out, "Processes by their role",
		    "<th scope=\"col\">Role</th><th scope=\"col\">Now</th>"
		    "<th scope=\"col\">Started</th><th scope=\"col\">Failed</th>");
	for (unsigned role = 0; role < ROLE_COUNT; role++) {
		if (!t->slots[role][COUNTER_STARTS])
			continue;
		begin_row(out, ipc_role_name((enum ipc_role)role));
		put_number(out, gauge(t->slots[role][COUNTER_PROCESSES]));
		fputs("</td><td>", out);
		put_number(out, t->slots[role][COUNTER_STARTS]);
		fputs("</td><td>", out);
		put_number(out, t->slots[role][COUNTER_FAILURES]);
		end_row(out);
	}
	end_table(out);
}

static void put_certificates(const struct text_source *source, FILE *out)
{
	uint32_t count = source->config->certificate_count;

	if (!count)
		return;
	fputs("<h2>Certificates</h2>\n", out);
	begin_table(out, "In the order of the configuration",
		    "<th scope=\"col\">Certificate</th><th scope=\"col\">Expires</th>");
	for (uint32_t i = 0; i < count; i++) {
		uint64_t end = totals_slot(source->totals, COUNTER_CERTIFICATE_END + i);
		bool soon = end < source->now + 14 * 86400;

		fprintf(out, "<tr><th scope=\"row\">%u</th><td%s>", i + 1,
			soon ? " class=\"bad\"" : "");
		put_time(out, end, true);
		if (soon)
			fputs(" (soon, or over: renew it)", out);
		end_row(out);
	}
	end_table(out);
}

static void put_state(const struct text_source *source, FILE *out)
{
	const char *why = text_not_ready(source->totals);
	uint64_t started = totals_slot(source->totals, COUNTER_START_TIME);

	fputs("<h1>Valija</h1>\n", out);
	if (why)
		fprintf(out, "<p class=\"state bad\">Not ready: %s.</p>\n", why);
	else
		fputs("<p class=\"state good\">Ready.</p>\n", out);
	fputs("<p class=\"dim\">Version " VALIJA_VERSION ", runs for ", out);
	put_span(out, source->now > started ? source->now - started : 0);
	fprintf(out, ", configuration %" PRIu64 ". Figures of ",
		totals_slot(source->totals, COUNTER_GENERATION));
	put_time(out, source->now, false);
	fputs("; load the page again for newer ones.</p>\n", out);
}

void page_write(const struct text_source *source, FILE *out)
{
	fputs(head, out);
	put_state(source, out);
	fputs("<h2>The last 24 hours</h2>\n<p class=\"dim\">Left: a day ago; right: now; a line "
	      "each "
	      "six hours.</p>\n<div class=\"grid\">\n",
	      out);
	for (size_t i = 0; i < sizeof(charts) / sizeof(charts[0]); i++)
		put_chart(source, &charts[i], out);
	fputs("</div>\n", out);
	put_figures(source, out);
	put_steps(source, out);
	put_processes(source, out);
	put_certificates(source, out);
	fputs("</main>\n<footer>\n<p class=\"dim\">For programs: <a "
	      "href=\"/metrics\">/metrics</a>, "
	      "<a href=\"/status.json\">/status.json</a>.</p>\n</footer>\n</body>\n</html>\n",
	      out);
}
