/* Settings back into the file's own syntax: `valijad -n`, and the file that `valija init` makes. */
#include "config/keys.h"
#include "config/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

char *config_key_text(const struct config_key *key, const struct config *config,
		      const char *directory)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	config_key_print(key, config, directory, out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool differs(const struct config_key *key, const struct config *config,
		    const struct config *standard)
{
	/* the same text once relative: a default path is relative, ours is absolute */
	char *a = config_key_text(key, config, config->directory),
	     *b = config_key_text(key, standard, "");
	bool different = !a || !b || strcmp(a, b) != 0;

	free(a);
	free(b);
	return different;
}

static void print_certificates(const struct config *config, FILE *out)
{
	for (uint32_t i = 0; i < config->certificate_count; i++) {
		const struct config_certificate *entry = &config->certificates[i];
		struct config copy = {0};
		static const struct config_key path = {
			.name = "path",
			.kind = KEY_PATH,
			.offset = offsetof(struct config, roots[0].path)};

		fprintf(out, i ? "tls \"%u\" {\n" : "tls \"default\" {\n", (unsigned)i + 1);
		snprintf(copy.roots[0].path, sizeof(copy.roots[0].path), "%s", entry->certificate);
		fputs("\tcertificate = ", out);
		config_key_print(&path, &copy, config->directory, out);
		snprintf(copy.roots[0].path, sizeof(copy.roots[0].path), "%s", entry->key);
		fputs("\n\tkey = ", out);
		config_key_print(&path, &copy, config->directory, out);
		fputs("\n}\n", out);
	}
}

void config_print_changed(const struct config *config)
{
	struct config *standard = malloc(sizeof(*standard));
	const char *open = "";

	if (!standard)
		return;
	config_defaults(standard);
	for (size_t i = 0; i < config_key_count(); i++) {
		const struct config_key *key = config_key(i);

		if (!differs(key, config, standard))
			continue;
		if (strcmp(open, key->section) != 0) {
			fputs(*open ? "}\n" : "", stdout);
			open = key->section;
			printf("%s {\n", open);
		}
		printf("%s%s = ", *open ? "\t" : "", key->name);
		config_key_print(key, config, config->directory, stdout);
		putchar('\n');
	}
	fputs(*open ? "}\n" : "", stdout);
	config_rules_print(config, stdout);
	print_certificates(config, stdout);
	free(standard);
}

static void print_help(const char *help, const char *indent, FILE *out)
{
	while (*help) {
		size_t n = strcspn(help, "\n");

		fprintf(out, "%s# %.*s\n", indent, (int)n, help);
		help += n + (help[n] == '\n');
	}
}

static bool is_written(const struct config_key *key, const struct config *config)
{
	if (key->kind != KEY_LISTEN)
		return key->kind == KEY_HOST || strcmp(key->name, "mail") == 0 ||
		       strcmp(key->name, "users") == 0;
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == key->service)
			return true;
	return false;
}

static void print_key(const struct config_key *key, const struct config *config, FILE *out)
{
	const char *indent = *key->section ? "\t" : "";

	print_help(key->help, indent, out);
	fprintf(out, "%s%s%s = ", indent, is_written(key, config) ? "" : "#", key->name);
	config_key_print(key, config, config->directory, out);
	fputs("\n", out);
}

int config_write_file(const struct config *config, FILE *out, struct err *err)
{
	const char *open = "";

	fputs("# Valija's configuration; valija.conf(5) describes every setting. A line that "
	      "begins\n"
	      "# with #name shows a default. Check changes with `valijad -t -c FILE`, bring them\n"
	      "# into force with SIGHUP to valijad.\n\n",
	      out);
	for (size_t i = 0; i < config_key_count(); i++) {
		const struct config_key *key = config_key(i);

		if (strcmp(open, key->section) != 0) {
			fputs(*open ? "}\n" : "", out);
			if (strcmp(key->section, "lmtp") == 0 && config->certificate_count) {
				fputs("\n# The first is for clients that name none, or one that no "
				      "certificate has.\n",
				      out);
				print_certificates(config, out);
			}
			open = key->section;
			fprintf(out, "\n%s {\n", open);
		} else if (i > 0 && !*open)
			fputc('\n', out);
		print_key(key, config, out);
	}
	fputs("}\n", out);
	if (ferror(out) || fflush(out) != 0)
		return err_sys(err, EX_IOERR, errno, "writing the configuration");
	return 0;
}
