/* Functions for drivers, to read a question and to write an answer; see driver.h. In worker
 * threads. */
#include "lookup/driver.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

const char *lookup_text(const struct lookup_database *database, const char *name)
{
	return config_database_text(database->config, database->settings, name);
}

const char *lookup_item(const struct lookup_database *database, const char *name, size_t index)
{
	return config_database_item(database->config, database->settings, name, index);
}

uint64_t lookup_number(const struct lookup_database *database, const char *name)
{
	return config_database_number(database->config, database->settings, name);
}

const char *lookup_secret(const struct lookup_database *database, const char *name)
{
	const char *at = database->secrets, *end = at + database->secrets_size;

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return "";
}

void lookup_field(struct lookup_answer *answer, const char *name, const char *value, size_t size)
{
	size_t names = strlen(name) + 1;

	if (!value || answer->status == LOOKUP_BAD_ENTRY)
		return;
	if (memchr(value, 0, size)) {
		lookup_bad(answer, "the field %s holds a NUL", name);
		return;
	}
	if (names + size + 1 > sizeof(answer->fields) - answer->size) {
		lookup_bad(answer, "its fields have more than %zu octets", sizeof(answer->fields));
		return;
	}
	memcpy(answer->fields + answer->size, name, names);
	memcpy(answer->fields + answer->size + names, value, size);
	answer->fields[answer->size + names + size] = '\0';
	answer->size += names + size + 1;
}

void lookup_down(struct lookup_answer *answer, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	answer->status = LOOKUP_DOWN;
	answer->size = 0;
	vsnprintf(answer->why, sizeof(answer->why), format, ap);
	va_end(ap);
}

void lookup_bad(struct lookup_answer *answer, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	answer->status = LOOKUP_BAD_ENTRY;
	answer->size = 0;
	vsnprintf(answer->why, sizeof(answer->why), format, ap);
	va_end(ap);
}

unsigned lookup_time_left(const struct lookup_question *question)
{
	struct timespec now;
	uint64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return ms < question->deadline ? (unsigned)(question->deadline - ms) : 0;
}

/* A pipe that nobody reads is no fault of the database. */
static bool flush(struct lookup_listing *listing)
{
	const struct lookup_question question = {.deadline = listing->deadline};

	if (listing->fd < 0)
		return false;
	if (lookup_time_left(&question) == 0)
		lookup_down(&listing->answer, "the list takes too long");
	else if (write_all(listing->fd, listing->buf, listing->size) == 0)
		return listing->size = 0, true;
	close_fd(&listing->fd);
	return false;
}

bool lookup_list(struct lookup_listing *listing, const char *name, size_t size)
{
	if (size == 0 || size > 255 || memchr(name, 0, size)) {
		listing->bad++;
		return true;
	}
	if (size + 1 > sizeof(listing->buf) - listing->size && !flush(listing))
		return false;
	memcpy(listing->buf + listing->size, name, size);
	listing->buf[listing->size + size] = '\0';
	listing->size += size + 1;
	return true;
}

void lookup_list_end(struct lookup_listing *listing)
{
	if (listing->answer.status != LOOKUP_DOWN)
		(void)flush(listing);
	close_fd(&listing->fd);
}

/* The value of a placeholder. False: there is none of that name. */
static bool placeholder(pop3_span word, const struct lookup_question *question, unsigned name,
			pop3_span *ret)
{
	pop3_span user = span_of(question->names[name]);
	const char *at = user.size ? memrchr(user.data, '@', user.size) : NULL;

	if (span_equal(word, SPAN_LITERAL("user")))
		*ret = user;
	else if (span_equal(word, SPAN_LITERAL("local")))
		*ret = (pop3_span){user.data, at ? (size_t)(at - user.data) : user.size};
	else if (span_equal(word, SPAN_LITERAL("domain")))
		*ret = at ? (pop3_span){at + 1, user.size - (size_t)(at + 1 - user.data)}
			  : SPAN_LITERAL("");
	else if (span_equal(word, SPAN_LITERAL("address")))
		*ret = span_of(question->address);
	else if (span_equal(word, SPAN_LITERAL("service")))
		*ret = span_of(question->service);
	else
		return false;
	return true;
}

static int put(pop3_span value, char *buf, size_t size)
{
	if (value.size >= size)
		return -1;
	memcpy(buf, value.data, value.size);
	return (int)value.size;
}

/* Takes the placeholder, or the text before the next one, from the front of *text. Returns its size
 * in buf, or -1: no room; -2: an unknown placeholder. */
static int expand_next(const char **text, const struct lookup_question *question, unsigned name,
		       int (*escape)(pop3_span value, char *buf, size_t size), char *buf,
		       size_t size)
{
	const char *at = *text, *end;
	size_t n = strcspn(at, "{");
	pop3_span value;

	if (n == 0 && at[1] == '{') {
		*text += 2;
		return put((pop3_span){at, 1}, buf, size);
	}
	if (n > 0) {
		*text += n;
		return put((pop3_span){at, n}, buf, size);
	}
	end = strchr(at, '}');
	if (!end ||
	    !placeholder((pop3_span){at + 1, (size_t)(end - at - 1)}, question, name, &value))
		return -2;
	*text = end + 1;
	return (escape ? escape : put)(value, buf, size);
}

int lookup_expand(const char *text, const struct lookup_question *question, unsigned name,
		  int (*escape)(pop3_span value, char *buf, size_t size), char *buf, size_t size,
		  struct err *err)
{
	size_t used = 0;

	while (*text) {
		const char *at = text;
		int n = expand_next(&text, question, name, escape, buf + used, size - used);

		if (n == -2)
			return err_set(err, EX_CONFIG,
				       "\"%.20s\": known are {user}, {local}, {domain}, {address}, "
				       "{service}; \"{{\" is a brace",
				       at);
		if (n < 0)
			return err_set(err, EX_DATAERR, "the name makes it too long");
		used += (size_t)n;
	}
	buf[used] = '\0';
	return (int)used;
}
