/* Reads transcripts: see transcript.h and README.md. */
#include "transcript.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
	if (buffer->size + size + 1 > buffer->cap) {
		buffer->cap = (buffer->size + size + 1) * 2;
		buffer->data = realloc(buffer->data, buffer->cap);
		if (buffer->data == NULL)
			abort();
	}
	if (size != 0)
		memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
	buffer->data[buffer->size] = '\0';
}

void buffer_print(struct buffer *buffer, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buffer_add(buffer, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void buffer_quote(struct buffer *buffer, pop3_span text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '\r')
			buffer_print(buffer, "\\r");
		else if (c == '\n')
			buffer_print(buffer, "\\n");
		else if (c < 0x20 || c > 0x7e || c == '\\')
			buffer_print(buffer, "\\x%02x", c);
		else
			buffer_add(buffer, &c, 1);
	}
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){NULL, 0, 0};
}

void transcript_fail(const struct transcript *transcript, const struct step *step,
		     const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", transcript->path, step->line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

size_t cutting_next(struct cutting *cutting, size_t available)
{
	size_t n = cutting->fixed;

	if (n == 0) {
		cutting->seed = cutting->seed * 1664525 + 1013904223;
		n = 1 + (cutting->seed >> 16) % 23;
	}
	return n < available ? n : available;
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* One escape behind a backslash; returns how many characters of s it is, 0: none such. */
static size_t add_escape(struct buffer *text, const char *s)
{
	static const char names[] = "rn0t\\{", values[] = "\r\n\0\t\\{";
	const char *at = *s != '\0' ? strchr(names, *s) : NULL;

	if (at != NULL) {
		buffer_add(text, &values[at - names], 1);
		return 1;
	}
	if (s[0] == 'x' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
		char c = (char)(hex(s[1]) * 16 + hex(s[2]));

		buffer_add(text, &c, 1);
		return 3;
	}
	return 0;
}

static void unescape(const struct transcript *transcript, const struct step *step, const char *s,
		     const char *end, struct buffer *text);

/* {TEXT*COUNT}: TEXT so many times. s is behind the brace; returns what is behind the other. */
static const char *add_repeated(const struct transcript *transcript, const struct step *step,
				const char *s, struct buffer *text)
{
	const char *close = strchr(s, '}');
	const char *star = close;
	struct buffer once = {NULL, 0, 0};

	while (star != NULL && star > s && *star != '*')
		star--;
	if (star == NULL || *star != '*')
		transcript_fail(transcript, step, "{TEXT*COUNT} is not complete");
	unescape(transcript, step, s, star, &once);
	for (long n = atol(star + 1); n > 0; n--)
		buffer_add(text, once.data, once.size);
	buffer_free(&once);
	return close + 1;
}

static void unescape(const struct transcript *transcript, const struct step *step, const char *s,
		     const char *end, struct buffer *text)
{
	buffer_add(text, "", 0);
	while (s < end) {
		/* events are written with the escapes that they are logged with */
		if (*s == '\\' && step->kind != STEP_EVENT) {
			size_t n = add_escape(text, s + 1);

			if (n == 0)
				transcript_fail(transcript, step, "unknown escape \\%c", s[1]);
			s += n + 1;
		} else if (*s == '{') {
			s = add_repeated(transcript, step, s + 1, text);
		} else {
			buffer_add(text, s++, 1);
		}
	}
}

/* "C: text", "C- text" (no line end is added), "E: text", "-- text --", "name: value" */
static void read_step(const struct transcript *transcript, struct step *step, const char *s)
{
	size_t n = strlen(s);
	const char *end = s + n;
	bool said = n >= 2 && strchr("CSE", s[0]) != NULL && strchr(":-", s[1]) != NULL &&
		    (n == 2 || s[2] == ' ');

	if (said) {
		step->kind = s[0] == 'C' ? STEP_CLIENT : s[0] == 'S' ? STEP_SERVER : STEP_EVENT;
		unescape(transcript, step, n > 3 ? s + 3 : end, end, &step->text);
		if (s[1] == ':' && step->kind != STEP_EVENT)
			buffer_add(&step->text, "\r\n", 2);
	} else if (n > 6 && strncmp(s, "-- ", 3) == 0 && strcmp(end - 3, " --") == 0) {
		step->kind = STEP_MARK;
		buffer_add(&step->text, s + 3, n - 6);
	} else {
		const char *colon = strchr(s, ':');

		if (colon == NULL)
			transcript_fail(transcript, step, "what is this line?");
		step->kind = STEP_SETTING;
		step->name = strndup(s, (size_t)(colon - s));
		unescape(transcript, step, colon[1] == ' ' ? colon + 2 : colon + 1, end,
			 &step->text);
	}
}

struct transcript transcript_read(const char *path)
{
	struct transcript transcript = {.path = path};
	FILE *file = fopen(path, "r");
	char line[8192];
	int number = 0;

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	transcript.steps = calloc(1, sizeof(*transcript.steps));
	while (fgets(line, sizeof(line), file) != NULL) {
		struct step *step = &transcript.steps[transcript.count];

		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		step->line = number;
		read_step(&transcript, step, line);
		transcript.count++;
		transcript.steps = realloc(transcript.steps,
					   (transcript.count + 1) * sizeof(*transcript.steps));
		if (transcript.steps == NULL)
			abort();
		transcript.steps[transcript.count] = (struct step){.kind = STEP_END};
	}
	fclose(file);
	transcript.steps[transcript.count].kind = STEP_END;
	transcript.steps[transcript.count++].line = number;
	return transcript;
}

void transcript_free(struct transcript *transcript)
{
	for (size_t i = 0; i < transcript->count; i++) {
		free(transcript->steps[i].name);
		buffer_free(&transcript->steps[i].text);
	}
	free(transcript->steps);
}

const char *transcript_setting(const struct transcript *transcript, const char *name)
{
	for (size_t i = 0; i < transcript->count; i++) {
		const struct step *step = &transcript->steps[i];

		if (step->kind == STEP_SETTING && strcmp(step->name, name) == 0)
			return step->text.data;
	}
	return NULL;
}
