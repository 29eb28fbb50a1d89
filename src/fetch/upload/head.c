/* See head.h. */
#include "fetch/upload/head.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static pop3_span take_line(pop3_span *rest)
{
	pop3_span line = *rest;
	const char *end = memchr(rest->data, '\n', rest->size);
	size_t n = end ? (size_t)(end - rest->data) : rest->size;

	line.size = n;
	if (n && line.data[n - 1] == '\r')
		line.size--;
	n += end ? 1 : 0;
	rest->data += n;
	rest->size -= n;
	return line;
}

/* Keeps the last HEAD_FIELD_MAX octets. */
static void append(char *buf, size_t *used, pop3_span text)
{
	size_t over;

	if (text.size > HEAD_FIELD_MAX) {
		text.data += text.size - HEAD_FIELD_MAX;
		text.size = HEAD_FIELD_MAX;
	}
	over = *used + text.size > HEAD_FIELD_MAX ? *used + text.size - HEAD_FIELD_MAX : 0;
	memmove(buf, buf + over, *used - over);
	memcpy(buf + *used - over, text.data, text.size);
	*used += text.size - over;
}

static bool is_field(pop3_span line, const char *name)
{
	size_t n = strlen(name);

	return line.size > n && line.data[n] == ':' &&
	       span_equal_nocase((pop3_span){line.data, n}, span_of(name));
}

size_t head_field(pop3_span head, const char *name, char ret[HEAD_FIELD_MAX + 1])
{
	size_t used = 0, n = strlen(name) + 1;
	bool found = false;

	while (head.size) {
		pop3_span line = take_line(&head);

		if (!line.size)
			break;
		if (found && line.data[0] != ' ' && line.data[0] != '\t')
			break;
		if (found) {
			append(ret, &used, line);
		} else if (is_field(line, name)) {
			found = true;
			append(ret, &used, (pop3_span){line.data + n, line.size - n});
		}
	}
	ret[used] = '\0';
	return strlen(ret) == used ? used : 0;
}

/* Blanks and comments. */
static const char *skip(const char *at)
{
	for (; *at; at++) {
		if (*at == '(') {
			const char *end = strchr(at, ')');

			if (!end)
				return at + strlen(at);
			at = end;
		} else if (*at != ' ' && *at != '\t' && *at != ',') {
			break;
		}
	}
	return at;
}

/* One to max digits. */
static int number(const char **at, unsigned max)
{
	int value = 0;
	unsigned n = 0;

	for (; n < max && (*at)[n] >= '0' && (*at)[n] <= '9'; n++)
		value = value * 10 + ((*at)[n] - '0');
	*at += n;
	return n ? value : -1;
}

static int month(const char **at)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++) {
		if (strncasecmp(*at, names + (size_t)i * 3, 3) == 0) {
			*at += 3;
			return i;
		}
	}
	return -1;
}

static int take_time(const char **at, struct tm *tm)
{
	tm->tm_hour = number(at, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || *(*at)++ != ':')
		return -1;
	tm->tm_min = number(at, 2);
	if (tm->tm_min < 0 || tm->tm_min > 59)
		return -1;
	if (**at == ':') {
		++*at;
		tm->tm_sec = number(at, 2);
	}
	return tm->tm_sec < 0 || tm->tm_sec > 60 ? -1 : 0;
}

/* "+0100" in seconds; names, of which only those of UTC mean something today, are 0. */
static int zone(const char *at)
{
	int sign = *at == '-' ? -1 : 1, value;

	if (*at != '+' && *at != '-')
		return 0;
	at++;
	value = number(&at, 4);
	return value < 0 ? 0 : sign * (value / 100 * 3600 + value % 100 * 60);
}

int64_t head_parse_date(const char *text)
{
	struct tm tm = {0};
	const char *at = skip(text);
	time_t seconds;

	while ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z') /* the day of the week */
		at++;
	at = skip(at);
	tm.tm_mday = number(&at, 2);
	at = skip(at);
	tm.tm_mon = month(&at);
	at = skip(at);
	tm.tm_year = number(&at, 4);
	at = skip(at);
	if (tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_mon < 0 || tm.tm_year < 0 ||
	    take_time(&at, &tm) < 0)
		return 0;
	if (tm.tm_year < 100) /* RFC 5322 section 4.3 */
		tm.tm_year += tm.tm_year < 50 ? 2000 : 1900;
	tm.tm_year -= 1900;
	seconds = timegm(&tm) - zone(skip(at));
	return seconds > 0 ? seconds : 0;
}

int64_t head_date(pop3_span head, int64_t now)
{
	char field[HEAD_FIELD_MAX + 1];
	const char *at;
	int64_t date = 0;

	if (head_field(head, "Received", field) && (at = strrchr(field, ';')) != NULL)
		date = head_parse_date(at + 1);
	if (!date && head_field(head, "Date", field))
		date = head_parse_date(field);
	return date <= now ? date : 0;
}

size_t head_message_id(pop3_span head, char ret[HEAD_FIELD_MAX + 1])
{
	char field[HEAD_FIELD_MAX + 1];
	size_t n;

	if (!head_field(head, "Message-ID", field))
		return 0;
	n = strcspn(field, "<");
	if (!field[n])
		return 0;
	memmove(field, field + n + 1, strlen(field + n + 1) + 1);
	n = strcspn(field, ">");
	if (field[n] != '>')
		return 0;
	for (size_t i = 0; i < n; i++)
		if (field[i] < 0x21 || field[i] > 0x7e || strchr("\"(){}<", field[i]))
			return 0;
	memcpy(ret, field, n);
	ret[n] = '\0';
	return n;
}

void head_imap_date(int64_t seconds, char ret[40])
{
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t time = (time_t)seconds;
	struct tm tm;

	gmtime_r(&time, &tm);
	snprintf(ret, 40, "%2d-%s-%04d %02d:%02d:%02d +0000", tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
