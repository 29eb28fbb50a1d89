/* See status_line.h. */
#include "server/monitor/status_line.h"

#include <stdio.h>
#include <time.h>

static uint64_t value(const struct page *page, size_t slot)
{
	return atomic_load_explicit(&page->memory->slots[slot], memory_order_relaxed);
}

/* The sum of every step-th of the slots from first to last. */
static uint64_t sum(const struct pages *pages, size_t first, size_t last, size_t step)
{
	uint64_t all = 0;

	for (const struct page *page = pages->first; page; page = page->next)
		for (size_t slot = first; slot <= last && page->role == ROLE_FRONT; slot += step)
			all += value(page, slot);
	return all;
}

/* Seconds since 1970; 0: there is none. A certificate's end is the latest that a front has seen: it
 * was renewed. */
static uint64_t first_end(const struct pages *pages)
{
	uint64_t first = 0;

	for (size_t slot = COUNTER_CERTIFICATE_END; slot <= COUNTER_CERTIFICATE_END_LAST; slot++) {
		uint64_t end = 0;

		for (const struct page *page = pages->first; page; page = page->next)
			if (page->role == ROLE_FRONT && value(page, slot) > end)
				end = value(page, slot);
		if (end && (!first || end < first))
			first = end;
	}
	return first;
}

static void write_end(const struct pages *pages, char *buf, size_t size)
{
	time_t end = (time_t)first_end(pages);
	struct tm tm;

	if (!end || !gmtime_r(&end, &tm) ||
	    !strftime(buf, size, ", first certificate until %Y-%m-%d", &tm))
		buf[0] = '\0';
}

void status_line_write(struct status_line *line, const struct pages *pages, uint64_t now, char *buf,
		       size_t size)
{
	uint64_t sessions = sum(pages, COUNTER_SESSIONS_NOW, COUNTER_SESSIONS_NOW_LAST, 1);
	uint64_t logins =
		sum(pages, COUNTER_LOGINS + RESULT_OK, COUNTER_LOGINS_LAST, RESULTS_COUNT);
	uint64_t ms = now - line->since;
	double rate = line->since && ms && logins > line->logins
			      ? (double)(logins - line->logins) * 1000 / (double)ms
			      : 0;
	char end[64];

	write_end(pages, end, sizeof(end));
	snprintf(buf, size, "%llu session%s, %.1f logins a second%s", (unsigned long long)sessions,
		 sessions == 1 ? "" : "s", rate, end);
	line->logins = logins;
	line->since = now;
}
