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

/* What came from a file is shown as a terminal can have it. */
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

/* ---- all of it ---- */

static const char *const titles[PART_COUNT] = {
	[PART_POP3] = "pop3",    [PART_POP3S] = "pop3s", [PART_LMTP] = "lmtp",
	[PART_SASL] = "sasl",    [PART_QUOTA] = "quota", [PART_LOGIN] = "login",
	[PART_LIMITS] = "limits"};

static void write_part(const struct translation *t, enum part part, FILE *out)
{
	const char *text = t->texts[part];

	if (!t->sizes[part])
		return;
	if (titles[part])
		fprintf(out, "\n%s {\n", titles[part]);
	while (*text) {
		size_t n = strcspn(text, "\n");

		fprintf(out, "%s%.*s\n", titles[part] && n ? "\t" : "", (int)n, text);
		text += n + (text[n] == '\n');
	}
	if (titles[part])
		fputs("}\n", out);
}

static int by_place(const void *left, const void *right)
{
	const struct settings_note *x = left, *y = right;
	int files = strcmp(x->file, y->file);

	if (files)
		return files;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static void write_text(struct translation *t)
{
	struct settings *ret = t->ret;
	FILE *out = open_memstream(&ret->text, &ret->size);

	if (!out) {
		t->failed = true;
		return;
	}
	fputs("# Valija's configuration, made of Dovecot's by `valija import dovecot`. "
	      "valija.conf(5)\n"
	      "# describes every setting; what is not here has its default.\n",
	      out);
	for (size_t i = 0; i < ret->note_count; i++)
		if (ret->notes[i].kind == SETTINGS_TO_DO)
			fprintf(out, "# To do: %s: %s\n", ret->notes[i].setting,
				ret->notes[i].text);
	fputc('\n', out);
	for (int i = 0; i < PART_COUNT; i++)
		write_part(t, (enum part)i, out);
	t->failed |= fclose(out) != 0 || !ret->text;
}

static void translate(struct translation *t)
{
	find_users(t);
	translate_mail(t);
	translate_users(t);
	translate_listen(t);
	translate_tls(t);
	translate_rules(t);
	translate_rest(t);
}

int settings_translate(struct dovecot_conf *conf, const struct settings_source *source,
		       struct settings *ret, struct err *err)
{
	struct translation t = {.conf = conf, .source = source, .name = source->name, .ret = ret};

	*ret = (struct settings){0};
	for (int i = 0; i < PART_COUNT; i++) {
		t.parts[i] = open_memstream(&t.texts[i], &t.sizes[i]);
		t.failed |= !t.parts[i];
	}
	if (!t.failed)
		translate(&t);
	for (int i = 0; i < PART_COUNT; i++)
		t.failed |= !t.parts[i] || fclose(t.parts[i]) != 0 || !t.texts[i];
	if (!t.failed && ret->note_count)
		qsort(ret->notes, ret->note_count, sizeof(*ret->notes), by_place);
	if (!t.failed)
		write_text(&t);
	for (int i = 0; i < PART_COUNT; i++)
		free(t.texts[i]);
	return t.failed ? err_set(err, EX_OSERR, "out of memory") : 0;
}

void settings_finish(struct settings *settings)
{
	for (size_t i = 0; i < settings->note_count; i++) {
		free(settings->notes[i].file);
		free(settings->notes[i].setting);
		free(settings->notes[i].text);
	}
	for (size_t i = 0; i < settings->secret_count; i++) {
		struct settings_secret *one = &settings->secrets[i];

		if (one->text)
			wipe(one->text, strlen(one->text));
		free(one->name);
		free(one->text);
	}
	free(settings->notes);
	free(settings->secrets);
	free(settings->text);
	free(settings->folder);
	*settings = (struct settings){0};
}
