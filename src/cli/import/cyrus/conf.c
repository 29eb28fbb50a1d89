/* See conf.h. With the rights of the caller. */
#include "cli/import/cyrus/conf.h"

#include "base/array.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#define DEFAULT_FILE "/etc/imapd.conf"
#define OF_POP3 "pop3_"

enum {
	DEPTH_MAX = 8,
	LINES_MAX = 100000,
};

static int read_file(struct cyrus_conf *conf, const char *file, unsigned depth, struct err *err);

static char *trim(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	return text;
}

static int add(struct cyrus_conf *conf, const char *key, const char *value, struct err *err)
{
	struct cyrus_option *grown =
		array_grow(conf->options, conf->count, &conf->room, sizeof(*grown));
	struct cyrus_option *option;

	if (!grown)
		return err_set(err, EX_OSERR, "out of memory");
	conf->options = grown;
	option = &grown[conf->count++];
	*option = (struct cyrus_option){strdup(key), strdup(value)};
	if (!option->key || !option->value)
		return err_set(err, EX_OSERR, "out of memory");
	for (char *p = option->key; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

/* "key: value", "@include: file", "# comment" */
static int take_line(struct cyrus_conf *conf, char *line, unsigned depth, struct err *err)
{
	char *value;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return 0;
	value = strchr(line, ':');
	if (!value)
		return err_set(err, EX_DATAERR, "there is no colon behind the option's name");
	*value++ = '\0';
	value = trim(value);
	if (strcasecmp(trim(line), "@include") != 0)
		return add(conf, trim(line), value, err);
	if (depth == DEPTH_MAX)
		return err_set(err, EX_DATAERR, "files include each other too deep");
	return read_file(conf, value, depth + 1, err);
}

/* A line that ends with a backslash goes on in the next one. */
static bool goes_on(char *line, ssize_t *size)
{
	while (*size > 0 && (line[*size - 1] == '\n' || line[*size - 1] == '\r'))
		line[--*size] = '\0';
	if (*size == 0 || line[*size - 1] != '\\')
		return false;
	line[--*size] = '\0';
	return true;
}

static int read_lines(struct cyrus_conf *conf, FILE *in, unsigned *ret_line, unsigned depth,
		      struct err *err)
{
	char *line = NULL, *whole = NULL;
	size_t room = 0, whole_size = 0;
	ssize_t size;
	int rc = 0;

	while (rc == 0 && (size = getline(&line, &room, in)) >= 0 && *ret_line < LINES_MAX) {
		bool more = goes_on(line, &size);
		char *grown = realloc(whole, whole_size + (size_t)size + 1);

		++*ret_line;
		if (!grown) {
			rc = err_set(err, EX_OSERR, "out of memory");
			break;
		}
		whole = grown;
		memcpy(whole + whole_size, line, (size_t)size + 1);
		whole_size += (size_t)size;
		if (more)
			continue;
		rc = take_line(conf, whole, depth, err);
		whole_size = 0;
	}
	if (rc == 0 && whole_size) /* the last line wants to go on */
		rc = take_line(conf, whole, depth, err);
	free(line);
	free(whole);
	return rc;
}

static int read_file(struct cyrus_conf *conf, const char *file, unsigned depth, struct err *err)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	unsigned line = 0;
	int rc;

	if (!in)
		return err_sys(err, EX_NOINPUT, errno, "%s", file);
	rc = read_lines(conf, in, &line, depth, err);
	if (in != stdin)
		fclose(in);
	return rc < 0 ? err_prefix(err, "%s:%u", file, line) : 0;
}

int cyrus_conf_read(const char *file, struct cyrus_conf *ret, struct err *err)
{
	*ret = (struct cyrus_conf){0};
	if (read_file(ret, file ? file : DEFAULT_FILE, 0, err) == 0)
		return 0;
	return file ? -1 : err_prefix(err, "Cyrus's settings (--config FILE)");
}

void cyrus_conf_finish(struct cyrus_conf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		free(conf->options[i].key);
		free(conf->options[i].value);
	}
	free(conf->options);
	*conf = (struct cyrus_conf){0};
}

static const char *find(const struct cyrus_conf *conf, const char *key)
{
	for (size_t i = conf->count; i > 0; i--)
		if (strcmp(conf->options[i - 1].key, key) == 0)
			return conf->options[i - 1].value;
	return NULL;
}

const char *cyrus_conf_get(const struct cyrus_conf *conf, const char *key)
{
	char own[128];
	const char *value;

	snprintf(own, sizeof(own), OF_POP3 "%s", key);
	value = find(conf, own);
	return value ? value : find(conf, key);
}

bool cyrus_conf_is(const struct cyrus_conf *conf, const char *key, bool otherwise)
{
	static const char *const yes[] = {"1", "yes", "t", "true", "on"};
	const char *value = cyrus_conf_get(conf, key);

	for (size_t i = 0; value && i < sizeof(yes) / sizeof(*yes); i++)
		if (strcasecmp(value, yes[i]) == 0)
			return true;
	return !value && otherwise;
}
