/*
 * A sink opened for an account of the test's own, with a state folder of its own, for the unit
 * tests of the sinks that hand mail on. Header only; a test program includes it once.
 *
 * place_begin and place_end are setup and teardown; the test sets place.account, then place_open
 * and place_deliver.
 */
#ifndef TESTS_SINK_TEST_H
#define TESTS_SINK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "fetch/sink/sink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define PLACE_ID "0123456789abcdef0123456789abcdef"

static struct {
	char path[64];
	int state;
	struct fetch_account account;
	struct sink *sink;
	struct err err;
	uint32_t number; /* of the last message, the end of its id */
	bool output_apart;
} place;

static inline int place_begin(void **state)
{
	char folder[80];

	(void)state;
	memset(&place, 0, sizeof(place));
	strcpy(place.path, "/tmp/valija-place-XXXXXX");
	assert_non_null(mkdtemp(place.path));
	snprintf(folder, sizeof(folder), "%s/state", place.path);
	assert_int_equal(mkdir(folder, 0700), 0);
	place.state = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place.state >= 0);
	fetch_account_defaults(&place.account);
	snprintf(place.account.name, sizeof(place.account.name), "anna");
	snprintf(place.account.user, sizeof(place.account.user), "anna@example.org");
	return 0;
}

static inline void place_close(void)
{
	if (place.sink)
		place.sink->ops->destroy(place.sink);
	place.sink = NULL;
}

static inline int place_end(void **state)
{
	char command[120];

	(void)state;
	place_close();
	close(place.state);
	snprintf(command, sizeof(command), "rm -rf '%s'", place.path);
	return system(command);
}

static inline void place_target(enum fetch_sink_type type, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline void place_target(enum fetch_sink_type type, const char *format, ...)
{
	va_list ap;

	place.account.sink = type;
	va_start(ap, format);
	vsnprintf(place.account.target, sizeof(place.account.target), format, ap);
	va_end(ap);
}

static inline int place_try_open(void)
{
	struct sink_settings settings = {.files = &fetch_files_real,
					 .account = &place.account,
					 .key = SPAN_LITERAL("key"),
					 .state_dir = place.state,
					 .output_apart = place.output_apart};

	place.err = (struct err){0};
	return sink_open(&settings, NULL, &place.sink, &place.err);
}

static inline void place_open(void)
{
	if (place_try_open() < 0)
		fail_msg("%s", place.err.text);
}

/* What end says to this message, whose id is PLACE_ID but for the last digit. */
static inline enum sink_result place_deliver(const char *text)
{
	struct sink_message message = {.id = PLACE_ID, .octets = strlen(text)};

	message.time = 1700000000000000;
	message.id[31] = "0123456789abcdef"[place.number++ % 16];
	place.err = (struct err){0};
	assert_int_equal(place.sink->ops->begin(place.sink, message.id, &place.err), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, span_of(text), &place.err), SINK_OK);
	return place.sink->ops->end(place.sink, &message, &place.err);
}

static inline const char *place_read(const char *name)
{
	static char text[65536];
	char path[480];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place.path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "(there is none)";
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static inline void place_write(const char *name, const char *text)
{
	char path[480];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place.path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline bool place_has(const char *name)
{
	char path[480];

	snprintf(path, sizeof(path), "%s/%s", place.path, name);
	return access(path, F_OK) == 0;
}

/* The name of the one folder below state/refused. */
static inline const char *place_refused(const char *below)
{
	static char found[400];
	char path[120];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/state/refused", place.path);
	folder = opendir(path);
	found[0] = '\0';
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			snprintf(found, sizeof(found), "state/refused/%s/%s", entry->d_name, below);
	if (folder)
		closedir(folder);
	return found;
}

static inline void place_expect(enum sink_result result, enum sink_result wanted, int code,
				const char *text)
{
	if (result != wanted)
		fail_msg("%d, not %d: %s", result, wanted, place.err.text);
	if (wanted == SINK_OK)
		return;
	assert_string_equal(place.err.text, text);
	assert_int_equal(place.err.code, code);
}

#endif
