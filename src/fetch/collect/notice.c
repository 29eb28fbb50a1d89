/* See notice.h. In the confined process, through the sink like any message; it is not journalled: a
 * crash may repeat it or leave it out, the warnings on standard error and the Maildir of refused
 * messages have the same. */
#include "fetch/collect/notice.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct text {
	size_t used;
	char octets[8192];
};

void notice_add(struct notice *notice, uint32_t number, const char *words)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "message %u: %.500s\n", number, words);

	notice->count++;
	if (n < 0 || (size_t)n >= sizeof(notice->list) - notice->used)
		return;
	memcpy(notice->list + notice->used, line, (size_t)n + 1);
	notice->used += (size_t)n;
}

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->octets) - text->used;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text->octets + text->used, room, format, ap);
	va_end(ap);
	text->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void compose(const struct notice *notice, const struct transfer *t, const char *id,
		    struct text *text)
{
	char when[64];
	time_t now = time(NULL);
	struct tm tm;
	bool whole = strchr(t->account->user, '@') != NULL; /* the user's name is an address */

	strftime(when, sizeof(when), "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
	add(text, "From: valija fetch <MAILER-DAEMON@localhost>\nTo: <%s%s%s>\n", t->account->user,
	    whole ? "" : "@", whole ? "" : t->account->host);
	add(text, "Date: %s\nMessage-ID: <%s.refused@valija-fetch.localhost>\n", when, id);
	add(text, "Subject: %u message%s could not be delivered here\n", notice->count,
	    notice->count == 1 ? "" : "s");
	add(text, "Auto-Submitted: auto-generated\nMIME-Version: 1.0\n"
		  "Content-Type: text/plain; charset=us-ascii\n\n");
	add(text,
	    "valija fetch collected mail of the account \"%s\". The destination refused\n"
	    "%u of the messages for good. They were kept on the machine that collects, as they\n"
	    "came, and were not deleted on the server. \"valija fetch --retry-refused\" tries "
	    "them\n"
	    "once more.\n\n%s",
	    t->account->name, notice->count, notice->list);
}

/* In the line ends that the sink is given for mail. */
static enum sink_result write_text(struct transfer *t, const struct text *text, struct err *err)
{
	enum sink_result result = SINK_OK;
	size_t at = 0;

	while (at < text->used && result == SINK_OK) {
		const char *end = memchr(text->octets + at, '\n', text->used - at);
		size_t n = end ? (size_t)(end - text->octets) - at : text->used - at;

		result = t->sink->ops->write(t->sink, (pop3_span){text->octets + at, n}, err);
		if (result == SINK_OK)
			result = t->sink->ops->write(
				t->sink, span_of(t->account->store_crlf ? "\r\n" : "\n"), err);
		at += n + 1;
	}
	return result;
}

void notice_deliver(const struct notice *notice, struct transfer *t)
{
	struct sink_message message = {.time = (int64_t)time(NULL) * 1000000};
	struct text text = {0};
	struct err err = {0};
	enum sink_result result;
	char name[40];

	if (!notice->count)
		return;
	snprintf(name, sizeof(name), "notice %" PRId64, message.time);
	delivery_id(t->key, span_of(name), message.id);
	compose(notice, t, message.id, &text);
	message.octets = text.used;
	result = t->sink->ops->begin(t->sink, message.id, &err);
	if (result == SINK_OK)
		result = write_text(t, &text, &err);
	if (result == SINK_OK)
		result = t->sink->ops->end(t->sink, &message, &err);
	if (result == SINK_OK)
		result = t->sink->ops->settle(t->sink, &err);
	if (result == SINK_OK)
		result = t->sink->ops->publish(t->sink, &err);
	if (result == SINK_OK)
		return;
	t->sink->ops->drop(t->sink);
	report_warning(t->report, "the notice of %u refused messages was not delivered: %s",
		       notice->count, err.text);
}
