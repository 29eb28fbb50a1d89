/* See settings.h. The subjects are called in their order; then what they put and noted becomes one
 * text. */
#include "cli/import/settings/settings.h"

#include "base/secret.h"
#include "cli/import/settings/translation.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

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
