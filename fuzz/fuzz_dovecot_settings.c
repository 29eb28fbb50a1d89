/*
 * Dovecot's configuration, and the files of queries and directories that it names, which are all
 * the input itself: `valija import dovecot --config`. Checked: what comes out is text, and a secret
 * is only where secrets belong.
 */
#include "cli/import/settings/settings.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each named file has the same text. */
static char *read_input(void *context, const char *path, size_t *ret_size)
{
	const pop3_span *input = context;
	char *copy = calloc(1, input->size + 1);

	(void)path;
	if (copy && input->size)
		memcpy(copy, input->data, input->size);
	*ret_size = input->size;
	return copy;
}

static void check(const struct settings *settings)
{
	unsigned line = 0;
	const char *file = "";

	assert(strlen(settings->text) == settings->size);
	for (size_t i = 0; i < settings->note_count; i++) {
		const struct settings_note *note = &settings->notes[i];

		assert(*note->text && *note->file && !strpbrk(note->setting, "\r\n\033"));
		assert(strcmp(file, note->file) != 0 || line <= note->line);
		line = note->line;
		file = note->file;
	}
	for (size_t i = 0; i < settings->secret_count; i++)
		assert(!strchr(settings->secrets[i].name, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span input = {(const char *)data, size};
	struct settings_source source = {
		.name = "dovecot.txt", .read = read_input, .context = &input};
	struct dovecot_conf conf;
	struct settings settings = {0};
	struct err err = {0};

	if (dovecot_conf_parse(input, source.name, &conf, &err) == 0) {
		if (settings_translate(&conf, &source, &settings, &err) == 0)
			check(&settings);
		settings_finish(&settings);
	} else {
		assert(err.text[0]);
	}
	dovecot_conf_finish(&conf);
	return 0;
}
