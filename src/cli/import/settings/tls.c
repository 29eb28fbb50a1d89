/* Certificates: ssl_cert of 2.3, ssl_server_cert_file of 2.4, those of names (local_name). */
#include "cli/import/settings/translation.h"

#include <string.h>

#define CERTIFICATE_KEYS "ssl_cert|ssl_cert_file|ssl_server_cert_file|cert_file"
#define KEY_KEYS "ssl_key|ssl_key_file|ssl_server_key_file|key_file"

/* "</path" of 2.3, "/path" of 2.4. */
static void put_path(struct translation *t, setting value, const char *name)
{
	const char *path = value_of(value);
	FILE *out = t->parts[PART_OWN];

	path += *path == '<';
	path += strspn(path, " ");
	fprintf(out, "\t%s = ", name);
	put_quoted(out, *path == '/' ? path : SETTINGS_FILL_IN);
	fputc('\n', out);
	if (!value)
		note_nowhere(t, "ssl", SETTINGS_TO_DO,
			     "a %s is not named: write it into the section tls", name);
	else if (is_hidden(value))
		note(t, value, SETTINGS_TO_DO,
		     "its file is hidden: give what `doveconf -n -P` prints, which shows it, or "
		     "write it into the section tls");
	else if (*path != '/')
		note(t, value, SETTINGS_TO_DO,
		     "a file with a whole path is needed: write it into the section tls");
}

static void put_certificate(struct translation *t, const char *name, setting certificate,
			    setting key)
{
	FILE *out = t->parts[PART_OWN];

	fputs("\ntls ", out);
	put_quoted(out, name);
	fputs(" {\n", out);
	put_path(t, certificate, "certificate");
	put_path(t, key, "key");
	fputs("}\n", out);
}

/* local_name NAME { }, also within `protocol pop3 { }`. */
static const char *local_name(const char *section)
{
	static const char word[] = "local_name ";

	if (strncmp(section, "protocol pop3/", strlen("protocol pop3/")) == 0)
		section += strlen("protocol pop3/");
	return strncmp(section, word, strlen(word)) == 0 && !strchr(section, '/')
		       ? section + strlen(word)
		       : NULL;
}

static void put_names(struct translation *t)
{
	for (size_t i = 0; i < t->conf->count; i++) {
		setting one = &t->conf->settings[i], certificate, key;
		const char *name = local_name(one->section);

		if (!name || *one->key)
			continue;
		certificate = take_in(t, one->block, CERTIFICATE_KEYS);
		key = take_in(t, one->block, KEY_KEYS);
		if (certificate || key)
			put_certificate(t, name, certificate, key);
	}
}

void translate_tls(struct translation *t)
{
	setting certificate = take_pop3(t, CERTIFICATE_KEYS), key = take_pop3(t, KEY_KEYS);
	setting in_filter = take(t, "ssl_server", CERTIFICATE_KEYS),
		key_in_filter = take(t, "ssl_server", KEY_KEYS);
	setting off = take_pop3(t, "ssl");

	certificate = certificate ? certificate : in_filter;
	key = key ? key : key_in_filter;
	if (!is_no(off)) {
		put_certificate(t, "default", certificate, key);
		put_names(t);
	}
}
