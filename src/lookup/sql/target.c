/* See target.h. */
#include "lookup/sql/target.h"

#include "base/text.h"

#include <string.h>
#include <sysexits.h>

static const char *const kinds[] = {
	[SQL_POSTGRESQL] = "postgresql:", [SQL_MYSQL] = "mysql:", [SQL_SQLITE] = "sqlite:"};

#define FORM "host=HOST port=NUMBER dbname=NAME user=NAME"

static int parse_port(const char *text, unsigned *ret, struct err *err)
{
	uint64_t number;

	if (span_number(span_of(text), 65535, &number) < 0 || number == 0)
		return err_set(err, EX_CONFIG, "port=%s is no port", text);
	*ret = (unsigned)number;
	return 0;
}

/* One port for all hosts, or one for each. */
static int set_ports(struct sql_target *target, char *list, struct err *err)
{
	unsigned n = 0;

	for (char *part; (part = strsep(&list, ",")); n++)
		if (n == SQL_HOSTS_MAX || parse_port(part, &target->ports[n], err) < 0)
			return n == SQL_HOSTS_MAX ? err_set(err, EX_CONFIG, "too many ports") : -1;
	for (unsigned i = 1; n == 1 && i < SQL_HOSTS_MAX; i++)
		target->ports[i] = target->ports[0];
	if (n > 1 && n != target->host_count)
		return err_set(err, EX_CONFIG, "port names %u ports for %u hosts", n,
			       target->host_count);
	return 0;
}

static int set_hosts(struct sql_target *target, char *list, struct err *err)
{
	target->host_count = 0;
	for (char *part; (part = strsep(&list, ","));) {
		if (target->host_count == SQL_HOSTS_MAX || !*part)
			return err_set(err, EX_CONFIG, "host names 1 to %d hosts, with commas",
				       SQL_HOSTS_MAX);
		target->hosts[target->host_count++] = part;
	}
	return 0;
}

static int refuse_password(struct err *err)
{
	return err_set(err, EX_CONFIG,
		       "a password does not belong there, since many processes read it: write it "
		       "alone into a file of mode 600 and set password_file to its path");
}

static int set_word(struct sql_target *target, char *word, char **ports, struct err *err)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	if (strcmp(word, "password") == 0 || strcmp(word, "passwd") == 0)
		return refuse_password(err);
	if (!value || !*value)
		return err_set(err, EX_CONFIG, "\"%s\" is not understood: write " FORM, word);
	if (strcmp(word, "host") == 0)
		return set_hosts(target, value, err);
	if (strcmp(word, "port") == 0)
		*ports = value;
	else if (strcmp(word, "dbname") == 0)
		target->database = value;
	else if (strcmp(word, "user") == 0)
		target->user = value;
	else
		return err_set(err, EX_CONFIG,
			       "%s is not known there: write " FORM
			       "; TLS and time limits have settings of their own",
			       word);
	return 0;
}

static int set_path(struct sql_target *target, struct err *err)
{
	if (target->text[0] != '/')
		return err_set(err, EX_CONFIG, "write the whole path: sqlite:/path/to/file");
	target->database = target->text;
	return 0;
}

/* "postgresql://user:password@host/name", which libraries know, too */
static int refuse_url(const char *text, struct err *err)
{
	const char *at = strchr(text, '@'), *colon = strchr(text + 2, ':');

	if (at && colon && colon < at)
		return refuse_password(err);
	return err_set(err, EX_CONFIG, "URLs are not understood: write " FORM);
}

int sql_target_parse(const char *connect, struct sql_target *ret, struct err *err)
{
	struct sql_target *target = ret;
	unsigned kind = 0;
	char *words, *ports = NULL;

	while (kind < 3 && strncmp(connect, kinds[kind], strlen(kinds[kind])) != 0)
		kind++;
	if (kind == 3)
		return err_set(err, EX_CONFIG,
			       "it begins with postgresql:, mysql: (MariaDB, too) or sqlite:");
	connect += strlen(kinds[kind]);
	*target = (struct sql_target){.dialect = (enum sql_dialect)kind,
				      .hosts = {""},
				      .host_count = 1,
				      .database = "",
				      .user = ""};
	if (span_copy(span_of(connect), target->text, sizeof(target->text)) < 0)
		return err_set(err, EX_CONFIG, "more than %zu octets", sizeof(target->text) - 1);
	if (kind == SQL_SQLITE)
		return set_path(target, err);
	if (strncmp(connect, "//", 2) == 0)
		return refuse_url(connect, err);
	words = target->text;
	for (char *word; (word = strsep(&words, " \t"));)
		if (*word && set_word(target, word, &ports, err) < 0)
			return -1;
	if (ports && set_ports(target, ports, err) < 0)
		return -1;
	if (!*target->database)
		return err_set(err, EX_CONFIG, "it names no database: write " FORM);
	return 0;
}

bool sql_target_is_local(const struct sql_target *target, unsigned index)
{
	const char *host = target->hosts[index];

	return !*host || *host == '/' || strcmp(host, "localhost") == 0 ||
	       strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}
