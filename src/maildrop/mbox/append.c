/* See append.h. With the rights of the mail's owner or of the caller; the message is hostile. */
#include "maildrop/mbox/append.h"

#include "base/text.h"
#include "maildrop/mbox/from.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER ((size_t)65536)

struct writer {
	const struct mbox_append *append;
	off_t at; /* in the mailbox: where the octets held here belong */
	size_t used;
	bool line_start;  /* only ">" have come in this line, or nothing */
	unsigned matched; /* octets of "From " that are held back */
	bool held_cr;
	char last; /* octet of the message that was put */
	char in[BUFFER], out[BUFFER];
};

static int flush(struct writer *w)
{
	const struct mbox_append *a = w->append;

	if (w->used && mbox_put(a->calls, a->fd, w->out, w->used, w->at) < 0)
		return -1;
	w->at += (off_t)w->used;
	w->used = 0;
	return 0;
}

static int put(struct writer *w, const char *data, size_t size)
{
	while (size) {
		size_t n = BUFFER - w->used;

		if (n == 0 && flush(w) < 0)
			return -1;
		n = BUFFER - w->used < size ? BUFFER - w->used : size;
		memcpy(w->out + w->used, data, n);
		w->used += n;
		data += n;
		size -= n;
	}
	return 0;
}

static int release(struct writer *w)
{
	unsigned n = w->matched;

	w->matched = 0;
	return put(w, "From ", n);
}

/* The beginning of a line that has come: nothing or ">"s, then a part of "From ", then anything. */
static int quote_octet(struct writer *w, char c)
{
	bool arrows = w->line_start && w->matched == 0;

	if (w->line_start && c == "From "[w->matched]) {
		if (++w->matched < 5)
			return 0;
		w->line_start = false;
		w->last = ' ';
		return put(w, ">", 1) < 0 ? -1 : release(w);
	}
	if (release(w) < 0)
		return -1;
	w->line_start = c == '\n' || (arrows && c == '>');
	w->last = c;
	return put(w, &c, 1);
}

static int take_octet(struct writer *w, char c)
{
	if (w->held_cr) {
		w->held_cr = false;
		/* behind a CR it stays, or that CR would be taken for a part of the line end */
		if ((c != '\n' || w->last == '\r') && quote_octet(w, '\r') < 0)
			return -1;
	}
	if (c == '\r' && w->append->from_crlf) {
		w->held_cr = true;
		return 0;
	}
	return quote_octet(w, c);
}

static int copy_message(struct writer *w)
{
	const struct mbox_append *a = w->append;
	off_t at = 0;
	ssize_t n;

	for (size_t i = 0; i < a->headers.size; i++)
		if (take_octet(w, a->headers.data[i]) < 0)
			return -1;
	while ((n = maildrop_pread(a->calls->sys, a->message_fd, w->in, BUFFER, at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (take_octet(w, w->in[i]) < 0)
				return -1;
		at += n;
	}
	if (n < 0 || (w->held_cr && quote_octet(w, '\r') < 0))
		return -1;
	/* its last line may have no end */
	if ((w->last != '\n' || w->matched) && (release(w) < 0 || put(w, "\n", 1) < 0))
		return -1;
	return put(w, "\n", 1) < 0 ? -1 : flush(w);
}

/* Another program may have left its last message without the empty line behind it. */
static int separate(struct writer *w)
{
	const struct mbox_append *a = w->append;
	char begin[MBOX_LOOK + 2], last[2] = {'\n', '\n'};
	size_t empty = 0;
	ssize_t n;

	if (w->at == 0)
		return 0;
	n = maildrop_pread(a->calls->sys, a->fd, begin, sizeof(begin), 0);
	if (n < 0)
		return -1;
	while (empty < (size_t)n && strchr("\r\n", begin[empty]) && begin[empty])
		empty++;
	if (empty < (size_t)n && !mbox_from_line((pop3_span){begin + empty, (size_t)n - empty})) {
		errno = EBADMSG;
		return -1;
	}
	n = w->at == 1 ? 1 : 2;
	if (maildrop_pread(a->calls->sys, a->fd, last + 2 - n, (size_t)n, w->at - n) != n)
		return -1;
	if (last[1] != '\n' && put(w, "\n", 1) < 0)
		return -1;
	return last[0] == '\n' && last[1] == '\n' ? 0 : put(w, "\n", 1);
}

/* A sender is one word here: other programs look for the date behind it. */
static int put_from(struct writer *w)
{
	const struct mbox_append *a = w->append;
	pop3_span sender = a->sender.size ? a->sender : SPAN_LITERAL("MAILER-DAEMON");
	char date[40];
	struct tm tm;

	gmtime_r(&a->time, &tm);
	strftime(date, sizeof(date), " %a %b %e %H:%M:%S %Y\n", &tm);
	if (put(w, "From ", 5) < 0)
		return -1;
	for (size_t i = 0; i < sender.size && i < 320; i++) {
		char c = sender.data[i];

		if (put(w, c > ' ' && c < 0x7f ? &c : "-", 1) < 0)
			return -1;
	}
	return put(w, date, strlen(date));
}

int mbox_append(const struct mbox_append *a, bool *ret_torn)
{
	struct writer *w = malloc(sizeof(*w));
	int result = -1, saved;
	struct stat st;

	*ret_torn = false;
	if (!w)
		return -1;
	w->append = a;
	w->used = 0;
	w->line_start = true;
	w->matched = 0;
	w->held_cr = false;
	w->last = '\n';
	if (a->calls->sys->fstat(a->fd, &st) < 0)
		goto out;
	w->at = st.st_size;
	if (separate(w) < 0)
		goto out;
	if (put_from(w) == 0 && copy_message(w) == 0) {
		result = 0;
		goto out;
	}
	saved = errno;
	*ret_torn = a->calls->sys->ftruncate(a->fd, st.st_size) < 0;
	errno = *ret_torn ? errno : saved;
out:
	saved = errno;
	free(w);
	errno = saved;
	return result;
}
