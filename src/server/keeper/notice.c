/* See notice.h. */
#include "server/keeper/notice.h"

#include "base/random.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const unsigned steps[] = {95, 80}; /* per cent */

static bool is_over(uint64_t used, uint64_t most, unsigned percent)
{
	uint64_t limit = most / 100 * percent + (most % 100 * percent + 99) / 100;

	return most && used >= limit;
}

/* The highest step that the delivery passed; 0: none. */
static unsigned passed(const struct maildrop_quota *quota, const struct maildrop_usage *before,
		       const struct maildrop_usage *after)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		bool was = is_over(before->messages, quota->max_messages, steps[i]) ||
			   is_over(before->octets, quota->max_octets, steps[i]);
		bool is = is_over(after->messages, quota->max_messages, steps[i]) ||
			  is_over(after->octets, quota->max_octets, steps[i]);

		if (is)
			return was ? 0 : steps[i];
	}
	return 0;
}

static void write_allowed(FILE *out, const struct maildrop_quota *quota)
{
	if (quota->max_messages)
		fprintf(out, "%" PRIu64 " messages", quota->max_messages);
	if (quota->max_messages && quota->max_octets)
		fputs(" and ", out);
	if (quota->max_octets)
		fprintf(out, "%" PRIu64 " KiB", quota->max_octets / 1024);
}

static void write_notice(FILE *out, unsigned percent, const struct maildrop_quota *quota,
			 const struct maildrop_usage *usage, const char *address,
			 const char *host_name)
{
	char date[64];
	unsigned char id[12];
	char hex[2 * sizeof(id) + 1];
	time_t now = time(NULL);
	struct tm tm;

	if (random_octets(id, sizeof(id)) < 0)
		memset(id, 0, sizeof(id));
	hex_encode(id, sizeof(id), hex);
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	fprintf(out,
		"From: Mail system <postmaster@%s>\r\nTo: <%s>\r\n"
		"Subject: Your mailbox is %u %% full\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n"
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=us-ascii\r\n\r\n",
		host_name, address, percent, date, hex, host_name);
	fprintf(out,
		"Your mailbox on %s holds %" PRIu64 " messages with %" PRIu64 " KiB.\r\n"
		"Allowed are ",
		host_name, usage->messages, usage->octets / 1024);
	write_allowed(out, quota);
	fputs(".\r\n\r\nWhen it is full, new mail is put off or refused. Collect your mail, and "
	      "let "
	      "your mail\r\nprogram delete it on the server.\r\n",
	      out);
}

size_t notice_if_passed(const struct maildrop_quota *quota, const struct maildrop_usage *before,
			const struct maildrop_usage *after, const char *address,
			const char *host_name, char ret[NOTICE_MAX], unsigned *ret_percent)
{
	unsigned percent = passed(quota, before, after);
	FILE *out = percent ? fmemopen(ret, NOTICE_MAX, "w") : NULL;
	long size;

	if (!out)
		return 0;
	write_notice(out, percent, quota, after, address, host_name);
	fflush(out);
	size = ftell(out);
	fclose(out);
	*ret_percent = percent;
	return size > 0 && (size_t)size < NOTICE_MAX ? (size_t)size : 0;
}
