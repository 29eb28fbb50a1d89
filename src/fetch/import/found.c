/* See found.h. */
#include "fetch/import/found.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void import_finish(struct import *im)
{
	for (unsigned i = 0; i < im->count; i++)
		free(im->accounts[i].ids);
	free(im->accounts);
	free(im->remarks);
	*im = (struct import){0};
}

static bool grow(void **buffer, size_t *capacity, size_t need)
{
	size_t size = *capacity ? *capacity : 4096;
	void *fresh;

	while (size < need)
		size *= 2;
	if (size == *capacity)
		return true;
	fresh = realloc(*buffer, size);
	if (!fresh)
		return false;
	*buffer = fresh;
	*capacity = size;
	return true;
}

static void add_remark(struct import *im, const char *line)
{
	void *buffer = im->remarks;
	char safe[1200];
	size_t n;

	if (++im->remark_count > IMPORT_REMARKS_MAX)
		return;
	if (im->remark_count == IMPORT_REMARKS_MAX)
		line = "more such remarks are not shown";
	n = text_escape(safe, sizeof(safe) - 2, span_of(line));
	safe[n++] = '\n';
	if (!grow(&buffer, &im->remarks_capacity, im->remarks_size + n + 1)) {
		im->failed = true;
		return;
	}
	im->remarks = buffer;
	memcpy(im->remarks + im->remarks_size, safe, n);
	im->remarks_size += n;
	im->remarks[im->remarks_size] = '\0';
}

void import_remark(struct import *im, const char *format, ...)
{
	char text[600], line[1000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%.300s:%u: %s", im->file, im->line, text);
	add_remark(im, line);
}

void import_say(struct import *im, const char *format, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	add_remark(im, text);
}

struct import_account *import_add(struct import *im)
{
	struct import_account *accounts;

	if (im->count == IMPORT_ACCOUNTS_MAX) {
		if (!im->failed)
			import_remark(im, "more than %d accounts", IMPORT_ACCOUNTS_MAX);
		im->failed = true;
		return NULL;
	}
	accounts = reallocarray(im->accounts, im->count + 1, sizeof(*accounts));
	if (!accounts) {
		im->failed = true;
		return NULL;
	}
	im->accounts = accounts;
	accounts += im->count++;
	*accounts = (struct import_account){0};
	fetch_account_defaults(&accounts->account);
	return accounts;
}

void import_id(struct import *im, struct import_account *to, pop3_span id, enum import_kind kind)
{
	void *buffer = to->ids;

	if (!id.size || memchr(id.data, '\0', id.size) || memchr(id.data, '\r', id.size)) {
		import_remark(im, "no unique id can be read");
		return;
	}
	if (im->id_count == IMPORT_IDS_MAX ||
	    !grow(&buffer, &to->ids_capacity, to->ids_size + id.size + 2)) {
		if (!im->failed)
			import_remark(im, "too many unique ids; the rest is missing");
		im->failed = true;
		return;
	}
	to->ids = buffer;
	to->ids[to->ids_size++] = (char)kind;
	memcpy(to->ids + to->ids_size, id.data, id.size);
	to->ids_size += id.size;
	to->ids[to->ids_size++] = '\0';
	to->id_count++;
	im->id_count++;
}

bool import_text(struct import *im, char *to, size_t size, pop3_span text, const char *what)
{
	char copy[FETCH_COMMAND_MAX];
	struct err err = {0};

	if (span_copy(text, copy, sizeof(copy)) < 0 || strlen(copy) != text.size ||
	    fetch_text(to, size, copy, what, &err) < 0) {
		import_remark(im, "%s cannot be used: %s", what,
			      err.text[0] ? err.text : "too long");
		return false;
	}
	return true;
}

bool import_port(struct import *im, struct fetch_account *account, pop3_span text)
{
	uint64_t port;

	if (span_equal(text, SPAN_LITERAL("pop3")) || span_equal(text, SPAN_LITERAL("pop3s"))) {
		account->port = text.size == 4 ? 110 : 995;
		return true;
	}
	if (span_number(text, 65535, &port) < 0 || port == 0) {
		import_remark(im, "\"%.*s\" is no port", (int)(text.size < 60 ? text.size : 60),
			      text.data);
		return false;
	}
	account->port = (uint16_t)port;
	return true;
}

void import_place(struct import *im, struct import_account *to, const char *prefix, pop3_span text)
{
	char given[FETCH_COMMAND_MAX], place[2 * FETCH_COMMAND_MAX];
	const char *home = getenv("HOME"), *behind = given;
	struct err err = {0};

	if (!import_text(im, given, sizeof(given), text, "the destination"))
		return;
	if (strcmp(prefix, "command:") != 0 && home) {
		if (strncmp(given, "~/", 2) == 0)
			behind = given + 2;
		else if (strncmp(given, "$HOME/", 6) == 0)
			behind = given + 6;
	}
	if (behind != given)
		snprintf(place, sizeof(place), "%s%.500s/%s", prefix, home, behind);
	else
		snprintf(place, sizeof(place), "%s%s", prefix, given);
	if (fetch_account_sink(&to->account, place, &err) < 0)
		import_remark(im, "the destination cannot be used: %s", err.text);
	else
		to->place = true;
}

void import_secret_here(struct import *im, struct import_account *to)
{
	snprintf(to->secret_at, sizeof(to->secret_at), "%.900s:%u", im->file, im->line);
}

bool import_line(struct import *im, pop3_span *text, pop3_span *ret)
{
	const char *end;
	size_t n;

	if (!text->size)
		return false;
	end = memchr(text->data, '\n', text->size);
	n = end ? (size_t)(end - text->data) : text->size;
	*ret = (pop3_span){text->data, n};
	n += end ? 1 : 0;
	text->data += n;
	text->size -= n;
	if (ret->size && ret->data[ret->size - 1] == '\r')
		ret->size--;
	im->line++;
	return true;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

pop3_span import_trim(pop3_span text)
{
	while (text.size && blank(*text.data))
		text.data++, text.size--;
	while (text.size && blank(text.data[text.size - 1]))
		text.size--;
	return text;
}
