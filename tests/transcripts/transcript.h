/*
 * A transcript: a dialogue that a newcomer can read, as a list of steps. README.md has the format.
 * For tests only: whatever is wrong with a file ends the program with file and line.
 */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind { STEP_SETTING, STEP_CLIENT, STEP_SERVER, STEP_EVENT, STEP_MARK, STEP_END };

struct buffer {
	char *data;
	size_t size, cap;
};

struct step {
	enum step_kind kind;
	int line;
	char *name;         /* of a setting */
	struct buffer text; /* with CRLF for C: and S:, without for the rest */
};

struct transcript {
	const char *path;
	struct step *steps; /* the last one is STEP_END */
	size_t count;
};

/* How input is cut and how much room output gets. */
struct cutting {
	const char *name;
	size_t fixed;  /* octets a slice; 0: pseudo-random */
	bool in_step;  /* the client waits for each answer */
	uint32_t seed; /* state */
};

void buffer_add(struct buffer *buffer, const void *data, size_t size);
void buffer_print(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Text with everything outside printable ASCII escaped. */
void buffer_quote(struct buffer *buffer, pop3_span text);
void buffer_free(struct buffer *buffer);

struct transcript transcript_read(const char *path);
void transcript_free(struct transcript *transcript);
/* Value of the first setting of that name, NUL-terminated; NULL: none. */
const char *transcript_setting(const struct transcript *transcript, const char *name);
/* Says what is wrong at a step and ends the program. */
_Noreturn void transcript_fail(const struct transcript *transcript, const struct step *step,
			       const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The size of the next slice, 1…available. */
size_t cutting_next(struct cutting *cutting, size_t available);

/* Plays one way of cutting and returns the log of all that happened (the caller frees it). With
 * in_step, each S: and E: is compared as well. */
struct buffer play_server(const struct transcript *transcript, struct cutting *cutting);
struct buffer play_client(const struct transcript *transcript, struct cutting *cutting);

#endif
