/*
 * Trace lines of final delivery: Return-Path, Delivered-To, Received (RFC 5321 section 4.4).
 * Rendered into the caller's buffer. Texts come from outside; each is filtered and has a limit, so
 * that LMTP_HEADERS_MAX octets are always enough.
 */
#include "lmtp/headers.h"

#include "base/text.h"
#include "lmtp/address.h"

#include <assert.h>
#include <string.h>

enum {
	NAME_MAX_OCTETS = 255, /* of host names */
	SHORT_MAX = 72,        /* octets of addresses, protocols, ids */
};

struct writer {
	char *out;
	size_t size, cap;
};

static void put_octet(struct writer *writer, char c)
{
	if (writer->size < writer->cap)
		writer->out[writer->size++] = c;
}

static void put(struct writer *writer, const char *text)
{
	for (; *text; text++)
		put_octet(writer, *text);
}

/* Text from outside: no control character gets through, nothing is longer than max. */
static void put_foreign(struct writer *writer, pop3_span text, size_t max)
{
	for (size_t i = 0; i < text.size && i < max; i++) {
		unsigned char c = (unsigned char)text.data[i];

		put_octet(writer, c < 0x20 || c == 0x7F ? '?' : text.data[i]);
	}
}

static void put_digits(struct writer *writer, int64_t number, int width)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) != 0 && n < (int)sizeof(digits));
	while (width-- > n)
		put_octet(writer, '0');
	while (n > 0)
		put_octet(writer, digits[--n]);
}

struct civil {
	int64_t year;
	int64_t month; /* 0… */
	int64_t day;   /* 1… */
};

/* Days since 1970-01-01 as a date of the Gregorian calendar: years of 400 are counted from
 * 0000-03-01, so that leap days come last. */
static struct civil civil_of(int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t day_of_era = shifted - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t march_month = (5 * day_of_year + 2) / 153;
	struct civil civil = {year_of_era + era * 400, (march_month + 2) % 12,
			      day_of_year - (153 * march_month + 2) / 5 + 1};

	if (civil.month < 2)
		civil.year++;
	return civil;
}

static void put_date(struct writer *writer, int64_t time)
{
	static const char days[][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct civil civil;
	int64_t second;

	/* years 1970 to 9999: four digits, nothing negative */
	if (time < 0)
		time = 0;
	if (time > INT64_C(253402300799))
		time = INT64_C(253402300799);
	second = time % 86400;
	civil = civil_of(time / 86400);
	put(writer, days[time / 86400 % 7]);
	put(writer, ", ");
	put_digits(writer, civil.day, 1);
	put_octet(writer, ' ');
	put(writer, months[civil.month]);
	put_octet(writer, ' ');
	put_digits(writer, civil.year, 4);
	put_octet(writer, ' ');
	put_digits(writer, second / 3600, 2);
	put_octet(writer, ':');
	put_digits(writer, second / 60 % 60, 2);
	put_octet(writer, ':');
	put_digits(writer, second % 60, 2);
	put(writer, " +0000");
}

size_t lmtp_date(int64_t time, char *out)
{
	struct writer writer = {out, 0, LMTP_DATE_MAX - 1};

	put_date(&writer, time);
	out[writer.size] = '\0';
	return writer.size;
}

static void put_peer(struct writer *writer, const struct lmtp_trace *trace)
{
	bool ipv6 = trace->peer_address.size &&
		    memchr(trace->peer_address.data, ':', trace->peer_address.size);

	if (trace->peer_name.size == 0)
		return;
	put(writer, "from ");
	put_foreign(writer, trace->peer_name, NAME_MAX_OCTETS);
	if (trace->peer_address.size) {
		put(writer, ipv6 ? " ([IPv6:" : " ([");
		put_foreign(writer, trace->peer_address, SHORT_MAX);
		put(writer, "])");
	}
	put(writer, "\r\n\t");
}

size_t lmtp_headers_render(const struct lmtp_trace *trace, char *out, size_t cap)
{
	struct writer writer = {out, 0, cap};

	assert(cap >= LMTP_HEADERS_MAX);
	put(&writer, "Return-Path: <");
	put_foreign(&writer, trace->sender, LMTP_SENDER_MAX);
	put(&writer, ">\r\n");
	if (trace->recipient.size) {
		put(&writer, "Delivered-To: ");
		put_foreign(&writer, trace->recipient, LMTP_ADDRESS_MAX);
		put(&writer, "\r\n");
	}
	put(&writer, "Received: ");
	put_peer(&writer, trace);
	put(&writer, "by ");
	put_foreign(&writer, trace->host_name, NAME_MAX_OCTETS);
	put(&writer, " with ");
	put_foreign(&writer, trace->protocol, SHORT_MAX);
	if (trace->id.size) {
		put(&writer, " id ");
		put_foreign(&writer, trace->id, SHORT_MAX);
	}
	put(&writer, ";\r\n\t");
	put_date(&writer, trace->time);
	put(&writer, "\r\n");
	return writer.size;
}
