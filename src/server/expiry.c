/* See expiry.h. */
#include "server/expiry.h"

#include <stdio.h>
#include <time.h>

#define DAY (24 * 3600)
#define SOON (14 * DAY)

static void print_day(int64_t seconds, char *buf, size_t size)
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm) || !strftime(buf, size, "%Y-%m-%d", &tm))
		snprintf(buf, size, "a day out of range");
}

/* Writes the fault in the dates of a certificate. Returns 0: there is none. */
static int describe(struct tls_dates dates, int64_t now, char *buf, size_t size)
{
	int64_t soon = (dates.last - dates.first) / 4;
	char day[32];

	if (soon > SOON)
		soon = SOON;
	print_day(now < dates.first ? dates.first : dates.last, day, sizeof(day));
	if (now < dates.first)
		return snprintf(buf, size,
				"is not valid before %s: mail programs refuse it until then; is "
				"the clock right?",
				day);
	if (now > dates.last)
		return snprintf(buf, size, "expired on %s: mail programs refuse it; renew it", day);
	if (dates.last - now < soon)
		return snprintf(buf, size, "expires on %s, in %lld days: renew it before", day,
				(long long)((dates.last - now) / DAY));
	return 0;
}

void expiry_warn(const struct config *config, const struct tls_server *tls, int64_t now,
		 void (*warn)(const char *text))
{
	char fault[160], line[2 * CONFIG_PATH_MAX + 256];

	for (uint32_t i = 0; tls && i < config->certificate_count; i++) {
		const struct config_certificate *c = &config->certificates[i];

		if (!describe(tls_server_dates(tls, i), now, fault, sizeof(fault)))
			continue;
		snprintf(line, sizeof(line), "%s:%u: the certificate %s %s", config->file, c->line,
			 c->certificate, fault);
		warn(line);
	}
}
