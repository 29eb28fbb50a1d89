/* See dovecot_conf.h. */
#include "cli/import/dovecot_conf.h"

#include "base/array.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	TEXT_MAX = 16 << 20,
	LINE_MAX_OCTETS = 65536,
	DEPTH_MAX = 16,
	SECTION_MAX = 1024,
};

/* The sections that are open, as one text. */
struct reader {
	struct dovecot_conf *conf;
	char section[SECTION_MAX];
	size_t ends[DEPTH_MAX];         /* octets of section before each one that is open */
	unsigned blocks[DEPTH_MAX + 1]; /* the lines that opened them, from [1] on */
	unsigned depth;
	unsigned line, read; /* where what is worked on begins; lines read */
};

static char *trim(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	return text;
}

static char *unquote(char *text)
{
	size_t n = strlen(text);

	if (n < 2 || text[0] != text[n - 1] || (text[0] != '"' && text[0] != '\''))
		return text;
	text[n - 1] = '\0';
	return text + 1;
}

static int add(struct reader *reader, const char *key, const char *value)
{
	struct dovecot_conf *conf = reader->conf;
	struct dovecot_setting *grown = array_grow(conf->settings, conf->count, &conf->room,
						   sizeof(*grown)),
			       *setting;

	if (!grown)
		return -1;
	conf->settings = grown;
	setting = &grown[conf->count];
	*setting = (struct dovecot_setting){
		strdup(reader->section),       strdup(key), strdup(value), reader->line,
		reader->blocks[reader->depth], false};
	conf->count++;
	return setting->section && setting->key && setting->value ? 0 : -1;
}

static int open_section(struct reader *reader, const char *name, struct err *err)
{
	size_t size = strlen(reader->section);
	int n = snprintf(reader->section + size, SECTION_MAX - size, "%s%s", size ? "/" : "", name);

	if (reader->depth == DEPTH_MAX || n < 0 || (size_t)n >= SECTION_MAX - size)
		return err_set(err, EX_DATAERR, "sections are nested too deep");
	reader->ends[reader->depth++] = size;
	reader->blocks[reader->depth] = reader->line;
	return add(reader, "", "") < 0 ? err_set(err, EX_OSERR, "out of memory") : 0;
}

/* "# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf" */
static void take_version(struct dovecot_conf *conf, const char *line)
{
	const char *at = line + strspn(line, "# ");

	if (!conf->version[0] && !conf->count && isdigit((unsigned char)*at))
		snprintf(conf->version, sizeof(conf->version), "%.*s", (int)strcspn(at, " :"), at);
}

/* Whether the first word has its "=" behind it. */
static bool is_setting(const char *line)
{
	line += strcspn(line, " \t=");
	return line[strspn(line, " \t")] == '=';
}

static int take_line(struct reader *reader, char *line, struct err *err)
{
	char *equals;
	size_t n;

	line = trim(line);
	n = strlen(line);
	if (*line == '#') {
		take_version(reader->conf, line);
		return 0;
	}
	if (n == 0)
		return 0;
	if (strcmp(line, "}") == 0) {
		if (reader->depth == 0)
			return err_set(err, EX_DATAERR, "a section ends that did not begin");
		reader->section[reader->ends[--reader->depth]] = '\0';
		return 0;
	}
	if (*line == '!')
		return err_set(err, EX_DATAERR,
			       "it includes other files: give what `doveconf -n` prints, which has "
			       "them in it");
	equals = strchr(line, '=');
	/* a name of a section may have an "=" in it */
	if (line[n - 1] == '{' && (!equals || !is_setting(line))) {
		line[n - 1] = '\0';
		return open_section(reader, trim(line), err);
	}
	if (!equals)
		return err_set(err, EX_DATAERR,
			       "\"%.60s\" is no setting: give what `doveconf -n` prints", line);
	*equals = '\0';
	if (add(reader, trim(line), unquote(trim(equals + 1))) < 0)
		return err_set(err, EX_OSERR, "out of memory");
	return 0;
}

/* Takes a line off text, with those that a backslash joins to it. */
static int next_line(struct reader *reader, pop3_span *text, char *line, struct err *err)
{
	size_t size = 0;
	bool more = true;

	reader->line = reader->read + 1;
	while (more && text->size) {
		pop3_span part = span_take_until(text, '\n');

		reader->read++;
		if (part.size && memchr(part.data, '\0', part.size))
			return err_set(err, EX_DATAERR, "the line has an octet NUL: it is no text");
		if (part.size + size + 2 > LINE_MAX_OCTETS)
			return err_set(err, EX_DATAERR, "the line has more than %d octets",
				       LINE_MAX_OCTETS - 2);
		more = part.size && part.data[part.size - 1] == '\\';
		part.size -= more;
		if (part.size)
			memcpy(line + size, part.data, part.size);
		size += part.size;
		if (more)
			line[size++] = ' ';
	}
	line[size] = '\0';
	return 0;
}

int dovecot_conf_parse(pop3_span text, const char *name, struct dovecot_conf *ret, struct err *err)
{
	struct reader reader = {.conf = ret};
	char *line = malloc(LINE_MAX_OCTETS);
	int rc = line ? 0 : err_set(err, EX_OSERR, "out of memory");

	*ret = (struct dovecot_conf){0};
	if (rc == 0 && text_skip_mark(&text) < 0)
		rc = err_set(err, EX_DATAERR, "%s: %s", name, text_utf16_words);
	while (rc == 0 && text.size) {
		rc = next_line(&reader, &text, line, err);
		if (rc == 0)
			rc = take_line(&reader, line, err);
		if (rc < 0)
			err_prefix(err, "%s:%u", name, reader.line);
	}
	if (rc == 0 && reader.depth)
		rc = err_set(err, EX_DATAERR, "%s: it ends within a section", name);
	free(line);
	return rc;
}

static int read_stream(FILE *file, const char *name, struct dovecot_conf *ret, struct err *err)
{
	char *text = NULL, *grown;
	size_t size = 0, room = 0;
	int rc = 0;

	while (rc == 0 && !feof(file) && !ferror(file)) {
		room = room ? room * 2 : LINE_MAX_OCTETS;
		grown = room > TEXT_MAX ? NULL : realloc(text, room);
		if (!grown)
			rc = err_set(err, EX_DATAERR, "%s: it is larger than %d octets", name,
				     TEXT_MAX);
		else
			size += fread(grown + size, 1, room - size, file);
		text = grown ? grown : text;
	}
	if (rc == 0 && ferror(file))
		rc = err_sys(err, EX_NOINPUT, errno, "%s", name);
	if (rc == 0)
		rc = dovecot_conf_parse((pop3_span){text, size}, name, ret, err);
	free(text);
	return rc;
}

static int run_doveconf(struct dovecot_conf *ret, struct err *err)
{
	FILE *pipe = popen("doveconf -n 2>/dev/null", "re");
	int rc, status;

	if (!pipe)
		return err_sys(err, EX_OSERR, errno, "doveconf -n");
	rc = read_stream(pipe, "doveconf -n", ret, err);
	status = pclose(pipe);
	if (rc == 0 && status != 0)
		rc = err_set(err, EX_NOINPUT,
			     "doveconf -n, run here, fails: on the machine of Dovecot run doveconf "
			     "-n >dovecot.txt, then give --config dovecot.txt");
	return rc;
}

int dovecot_conf_read(const char *file, struct dovecot_conf *ret, struct err *err)
{
	FILE *in;
	int rc;

	*ret = (struct dovecot_conf){0};
	if (!file)
		return run_doveconf(ret, err);
	if (strcmp(file, "-") == 0)
		return read_stream(stdin, "standard input", ret, err);
	in = fopen(file, "re");
	if (!in)
		return err_sys(err, EX_NOINPUT, errno, "%s", file);
	rc = read_stream(in, file, ret, err);
	fclose(in);
	return rc;
}

void dovecot_conf_finish(struct dovecot_conf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		free(conf->settings[i].section);
		free(conf->settings[i].key);
		free(conf->settings[i].value);
	}
	free(conf->settings);
	*conf = (struct dovecot_conf){0};
}

const char *dovecot_conf_get(const struct dovecot_conf *conf, const char *section, const char *key)
{
	const char *found = NULL;

	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->settings[i].section, section) == 0 &&
		    strcmp(conf->settings[i].key, key) == 0)
			found = conf->settings[i].value;
	return found;
}

const char *dovecot_conf_pop3(const struct dovecot_conf *conf, const char *key)
{
	const char *own = dovecot_conf_get(conf, "protocol pop3", key);

	return own ? own : dovecot_conf_get(conf, "", key);
}
