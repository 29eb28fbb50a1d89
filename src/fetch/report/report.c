/* Progress, warnings and errors for a person, on standard error; for every room, in each account's
 * process. Lines are written whole, so that several accounts do not mix; server text is escaped. */
#include "fetch/report/report.h"

#include "base/text.h"
#include "fetch/report/json.h"
#include "fetch/syscalls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	DRAW_MS = 100,
	BAR_WIDTH = 24,
};

/* "1.5 MB" */
static const char *size_text(uint64_t octets, char *buf, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double value = (double)octets;
	unsigned unit = 0;

	while (value >= 1000 && unit < 4) {
		value /= 1000;
		unit++;
	}
	snprintf(buf, size, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

static void left_text(const struct report *report, int64_t elapsed, char *buf, size_t size)
{
	uint64_t rest;
	double seconds;

	buf[0] = '\0';
	if (!report->done_octets || elapsed < 500 || report->done_octets >= report->total_octets)
		return;
	rest = report->total_octets - report->done_octets;
	seconds = (double)elapsed / 1000 * (double)rest / (double)report->done_octets;
	if (seconds < 3600 * 100)
		snprintf(buf, size, ", %d:%02d left", (int)seconds / 60, (int)seconds % 60);
}

static unsigned columns(void)
{
	struct winsize window = {0};

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_col < 20)
		return 80;
	return window.ws_col < 200 ? window.ws_col : 200;
}

/* The bar takes what the text leaves of the line: what is left to do is always to be seen. */
static void draw(struct report *report, int64_t now)
{
	char text[300], octets[24], all[24], rate[24], left[32], bar[BAR_WIDTH + 1];
	int64_t elapsed = now - report->started;
	uint64_t most = report->total_octets > report->done_octets ? report->total_octets
								   : report->done_octets;
	unsigned width = columns() - 1, name, room, filled;

	left_text(report, elapsed, left, sizeof(left));
	snprintf(text, sizeof(text), "%u/%u  %s of %s  %s/s%s", report->done, report->total,
		 size_text(report->done_octets, octets, sizeof(octets)),
		 size_text(report->total_octets, all, sizeof(all)),
		 size_text(elapsed > 0 ? report->done_octets * 1000 / (uint64_t)elapsed : 0, rate,
			   sizeof(rate)),
		 left);
	name = width > strlen(text) + 1 ? width - (unsigned)strlen(text) - 1 : 0;
	name = name < strlen(report->account) ? name : (unsigned)strlen(report->account);
	name = name < 40 ? name : 40;
	room = name ? width - (unsigned)strlen(text) - name - 1 : 0;
	room = room <= 3 ? 0 : room - 3 < BAR_WIDTH ? room - 3 : BAR_WIDTH; /* " [" and "]" */
	filled = most ? (unsigned)(report->done_octets * room / most) : room;
	memset(bar, '#', filled);
	memset(bar + filled, '-', room - filled);
	bar[room] = '\0';
	fprintf(stderr, "\r%.*s%s%s%s%s%.*s\033[K", (int)name, report->account, room ? " [" : "",
		bar, room ? "]" : "", name ? " " : "", (int)width, text);
	fflush(stderr);
	report->drawn = true;
	report->last_drawn = now;
}

void report_plan(struct report *report, uint32_t messages, uint64_t octets)
{
	report->total = messages;
	report->total_octets = octets;
	report->started = fetch_now();
	report_json_plan(report);
	if (report->bar && messages)
		draw(report, report->started);
}

void report_progress(struct report *report, uint32_t messages, uint64_t octets)
{
	int64_t now;

	report->done += messages;
	report->done_octets += octets;
	if (!report->bar)
		return;
	now = fetch_now();
	if (now - report->last_drawn >= DRAW_MS)
		draw(report, now);
}

void report_end_bar(struct report *report)
{
	if (!report->drawn)
		return;
	draw(report, fetch_now());
	fputc('\n', stderr);
	report->drawn = false;
}

static bool locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "UTF-8") || strcasestr(value, "UTF8");
	}
	return false;
}

const char *report_harmless(const char *text, char *buf, size_t size)
{
	size_t used = 0, left = strlen(text), n;
	bool utf8 = locale_is_utf8();

	for (; *text && used + 5 < size; text += n, left -= n) {
		unsigned char c = (unsigned char)*text;

		n = utf8 ? text_shown_size((pop3_span){text, left}) : 0;
		if (c >= 0x20 && c <= 0x7e)
			n = 1;
		if (n) {
			memcpy(buf + used, text, n);
			used += n;
			continue;
		}
		n = 1;
		used += (size_t)snprintf(buf + used, size - used, "\\x%02x", c);
	}
	buf[used] = '\0';
	return buf;
}

/* One line on standard error, with the account's name; whatever the text holds. */
static void print_line(struct report *report, const char *level, const char *text)
{
	char safe[1024];

	if (report->drawn)
		fputs("\r\033[K", stderr);
	fprintf(stderr, "valija fetch: %s: %s%s\n", report->account, level,
		report_harmless(text, safe, sizeof(safe)));
	report->drawn = false;
}

void report_warning(struct report *report, const char *format, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	report->warnings++;
	report_json_text(report, "warning", text);
	if (report->warnings <= 20)
		print_line(report, "", text);
	else if (report->warnings == 21)
		print_line(report, "", "more such warnings are not shown");
}

void report_info(struct report *report, const char *format, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	report_json_text(report, "info", text);
	if (report->verbose)
		print_line(report, "", text);
}

void report_error(struct report *report, const struct err *err)
{
	char text[700];

	report_end_bar(report);
	snprintf(text, sizeof(text), "%s: %s", report->server, err->text);
	report_json_text(report, "error", err->text);
	print_line(report, "error: ", text);
}

void report_consent(struct report *report, const struct err *err)
{
	char safe[1024];

	report_end_bar(report);
	report_json_text(report, "error", err->text);
	fprintf(stderr, "consent needed: valija fetch login %s",
		report_harmless(report->account, safe, sizeof(safe)));
	fprintf(stderr, " (%s)\n", report_harmless(err->text, safe, sizeof(safe)));
}

void report_summary(struct report *report, const struct report_totals *t)
{
	char octets[24], more[200] = "";
	size_t used = 0;

	report_end_bar(report);
	report_json_summary(report, t);
	if (!report->verbose || report->json)
		return;
	if (t->deleted)
		used += (size_t)snprintf(more + used, sizeof(more) - used, ", %u deleted there",
					 t->deleted);
	if (t->undeleted)
		used += (size_t)snprintf(more + used, sizeof(more) - used, ", %u NOT DELETED",
					 t->undeleted);
	if (t->partial)
		used += (size_t)snprintf(more + used, sizeof(more) - used, ", %u headers only",
					 t->partial);
	if (t->failed)
		used += (size_t)snprintf(more + used, sizeof(more) - used, ", %u FAILED",
					 t->failed);
	if (t->later)
		snprintf(more + used, sizeof(more) - used, ", %u left for later", t->later);
	if (t->collected)
		fprintf(stderr, "%s: %u collected (%s in %.1f s)%s\n", report->account,
			t->collected, size_text(t->octets, octets, sizeof(octets)),
			(double)t->milliseconds / 1000, more);
	else
		fprintf(stderr, "%s: nothing new%s\n", report->account, more);
}
