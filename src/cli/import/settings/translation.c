/* See translation.h. */
#include "cli/import/settings/translation.h"

#include "base/array.h"
#include "base/secret.h"
#include "base/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

/* ---- taking ---- */

bool has_name(const char *names, const char *name)
{
	size_t n = strlen(name);

	while (n && *names) {
		size_t size = strcspn(names, "|");

		if (size == n && strncmp(names, name, n) == 0)
			return true;
		names += size + (names[size] == '|');
	}
	return false;
}

setting take(struct translation *t, const char *section, const char *keys)
{
	setting found = NULL;

	for (size_t i = 0; i < t->conf->count; i++) {
		struct dovecot_setting *one = &t->conf->settings[i];

		if (strcmp(one->section, section) != 0 || !has_name(keys, one->key))
			continue;
		one->taken = true;
		found = one;
	}
	return found;
}

setting take_in(struct translation *t, unsigned block, const char *keys)
{
	setting found = NULL;

	for (size_t i = 0; block && i < t->conf->count; i++) {
		struct dovecot_setting *one = &t->conf->settings[i];

		if (one->block != block || !has_name(keys, one->key))
			continue;
		one->taken = true;
		found = one;
	}
	return found;
}

setting take_pop3(struct translation *t, const char *keys)
{
	setting common = take(t, "", keys), own = take(t, "protocol pop3", keys);

	return own ? own : common;
}

void take_block(struct translation *t, unsigned block)
{
	const char *section = NULL;
	size_t n = 0;

	for (size_t i = 0; block && i < t->conf->count; i++) {
		struct dovecot_setting *one = &t->conf->settings[i];

		if (!section && one->block == block) {
			section = one->section;
			n = strlen(section);
		}
		if (!section)
			continue;
		if (one->block != block &&
		    (strncmp(one->section, section, n) != 0 || one->section[n] != '/'))
			break;
		one->taken = true;
	}
}

const char *value_of(setting taken)
{
	return taken ? taken->value : "";
}

bool is_yes(setting taken)
{
	return strcasecmp(value_of(taken), "yes") == 0 || strcasecmp(value_of(taken), "y") == 0 ||
	       strcmp(value_of(taken), "1") == 0 || strcasecmp(value_of(taken), "true") == 0;
}

bool is_no(setting taken)
{
	return strcasecmp(value_of(taken), "no") == 0 || strcmp(value_of(taken), "0") == 0 ||
	       strcasecmp(value_of(taken), "false") == 0;
}

bool is_hidden(setting taken)
{
	return strncmp(value_of(taken), "# hidden", strlen("# hidden")) == 0;
}

/* ---- putting ---- */

void put_quoted(FILE *out, const char *value)
{
	fputc('"', out);
	for (; *value; value++) {
		if (strchr("\"\\$", *value))
			fputc('\\', out);
		fputc((unsigned char)*value < ' ' ? ' ' : *value, out);
	}
	fputc('"', out);
}

void put(struct translation *t, enum part part, const char *name, const char *value)
{
	fprintf(t->parts[part], "%s = ", name);
	put_quoted(t->parts[part], value);
	fputc('\n', t->parts[part]);
}

void put_plain(struct translation *t, enum part part, const char *name, const char *value)
{
	fprintf(t->parts[part], "%s = %s\n", name, value);
}

void put_list(FILE *out, const char *words)
{
	char word[CONFIG_PATH_MAX];
	const char *between = "";

	fputc('{', out);
	while (*(words += strspn(words, " ,\t"))) {
		size_t n = strcspn(words, " ,\t");

		snprintf(word, sizeof(word), "%.*s", (int)n, words);
		fputs(between, out);
		put_quoted(out, word);
		between = ", ";
		words += n;
	}
	fputc('}', out);
}

bool time_text(const char *value, char *ret, size_t size)
{
	size_t digits = strspn(value, "0123456789");
	const char *unit = value + digits + strspn(value + digits, " ");
	char letter = (char)tolower((unsigned char)*unit);

	if (!digits || digits > 9 || (letter && !strchr("smhd", letter)))
		return false;
	if (strncasecmp(unit, "ms", 2) == 0 || strncasecmp(unit, "milli", 5) == 0)
		snprintf(ret, size, "%.*sms", (int)digits, value);
	else
		snprintf(ret, size, "%.*s%c", (int)digits, value, letter ? letter : 's');
	return true;
}

void secret(struct translation *t, const char *name, const char *text)
{
	struct settings *ret = t->ret;
	struct settings_secret *grown =
		array_grow(ret->secrets, ret->secret_count, &ret->secret_room, sizeof(*grown));

	if (!grown) {
		t->failed = true;
		return;
	}
	ret->secrets = grown;
	grown[ret->secret_count] = (struct settings_secret){strdup(name), strdup(text)};
	t->failed |= !grown[ret->secret_count].name || !grown[ret->secret_count].text;
	ret->secret_count++;
}

/* ---- notes ---- */

static void add_note(struct translation *t, struct settings_note made)
{
	struct settings *ret = t->ret;
	struct settings_note *grown =
		array_grow(ret->notes, ret->note_count, &ret->note_room, sizeof(*grown));

	made.number = ret->note_count;
	ret->notes = grown ? grown : ret->notes;
	if (grown && made.file && made.setting && made.text) {
		grown[ret->note_count++] = made;
		return;
	}
	free(made.file);
	free(made.setting);
	free(made.text);
	t->failed = true;
}

static char *text_of(const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	return strdup(text);
}

/* A text of a file, as it can be shown on a terminal. */
static char *shown(const char *section, const char *key)
{
	char text[4 * 256 + 1];
	size_t size = 0;

	size = text_show(text, 512, span_of(section));
	if (size && *key)
		text[size++] = '/';
	size += text_show(text + size, 500, span_of(key));
	text[size] = '\0';
	return strdup(text);
}

void note(struct translation *t, setting about, enum settings_kind kind, const char *format, ...)
{
	struct settings_note made = {.kind = kind, .line = about->line};
	va_list args;

	va_start(args, format);
	made.text = text_of(format, args);
	va_end(args);
	made.file = strdup(t->name);
	made.setting = shown(about->section, about->key);
	add_note(t, made);
}

void note_nowhere(struct translation *t, const char *subject, enum settings_kind kind,
		  const char *format, ...)
{
	struct settings_note made = {.kind = kind};
	va_list args;

	va_start(args, format);
	made.text = text_of(format, args);
	va_end(args);
	made.file = strdup(t->name);
	made.setting = shown(subject, "");
	add_note(t, made);
}
