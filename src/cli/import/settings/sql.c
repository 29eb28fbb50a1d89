/* Databases of SQL: a file that the args of 2.3 name, or sections of 2.4. */
#include "cli/import/settings/query.h"
#include "cli/import/settings/translation.h"

#include "base/secret.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct database {
	const char *name; /* of the section */
	const char *kind; /* "postgresql", "mysql", "sqlite"; NULL: not known */
	char hosts[256], port[16], base[CONFIG_PATH_MAX], user[128], password[256];
	setting about, password_query, user_query, iterate_query, scheme;
	bool hidden;
};

/* ---- what is there ---- */

static const char *kind_of(const char *driver)
{
	if (strcmp(driver, "pgsql") == 0)
		return "postgresql";
	if (strcmp(driver, "mysql") == 0 || strcmp(driver, "sqlite") == 0)
		return driver;
	return NULL;
}

static void add_host(struct database *database, const char *host, size_t n)
{
	size_t used = strlen(database->hosts);

	snprintf(database->hosts + used, sizeof(database->hosts) - used, "%s%.*s", used ? "," : "",
		 (int)n, host);
}

static void copy_word(char *ret, size_t size, const char *word, size_t n)
{
	if (n > 1 && (*word == '\'' || *word == '"') && word[n - 1] == *word) {
		word++;
		n -= 2;
	}
	snprintf(ret, size, "%.*s", (int)n, word);
}

/* "host=localhost dbname=mail user=mail password=…" */
static void take_connect(struct translation *t, struct database *database, setting connect)
{
	const char *at = value_of(connect);

	if (database->kind && strcmp(database->kind, "sqlite") == 0) {
		size_t n = strcspn(at, " ");

		copy_word(database->base, sizeof(database->base), at, n);
		return;
	}
	while (*(at += strspn(at, " \t"))) {
		size_t n = strcspn(at, "= \t"), size = 0;
		const char *value = at + n + (at[n] == '=');

		if (at[n] == '=')
			size = *value == '\'' && strchr(value + 1, '\'')
				       ? (size_t)(strchr(value + 1, '\'') - value) + 1
				       : strcspn(value, " \t");
		if (n == 4 && strncmp(at, "host", n) == 0)
			add_host(database, value, size);
		else if (n == 4 && strncmp(at, "port", n) == 0)
			copy_word(database->port, sizeof(database->port), value, size);
		else if (n == 6 && strncmp(at, "dbname", n) == 0)
			copy_word(database->base, sizeof(database->base), value, size);
		else if (n == 4 && strncmp(at, "user", n) == 0)
			copy_word(database->user, sizeof(database->user), value, size);
		else if (n == 8 && strncmp(at, "password", n) == 0)
			copy_word(database->password, sizeof(database->password), value, size);
		else
			note(t, connect, SETTINGS_TO_DO,
			     "%.*s of the connection is not taken: see tls, ca_file, timeout and "
			     "connections in valija.conf(5)",
			     (int)(n < 40 ? n : 40), at);
		at = value + size;
	}
}

/* A file of 2.3. */
static void take_file(struct translation *t, struct database *database)
{
	setting driver = take(t, "", "driver"), connect = take(t, "", "connect");

	database->kind = kind_of(value_of(driver));
	database->about = driver;
	database->password_query = take(t, "", "password_query");
	database->user_query = take(t, "", "user_query");
	database->iterate_query = take(t, "", "iterate_query");
	database->scheme = take(t, "", "default_pass_scheme");
	take_connect(t, database, connect);
}

/* "mysql HOST { user = … }" of 2.4, and its parameters (pgsql). */
static void take_server(struct translation *t, struct database *database, setting server,
			const char *driver)
{
	const char *host = server->section + strlen(driver);
	char section[256];
	setting base, user, password, port;

	snprintf(section, sizeof(section), "%.200s/parameters", server->section);
	base = take_in(t, server->block, "dbname|mysql_dbname|path|sqlite_path");
	user = take_in(t, server->block, "user|mysql_user");
	password = take_in(t, server->block, "password|mysql_password");
	port = take_in(t, server->block, "port|mysql_port");
	base = base ? base : take(t, section, "dbname");
	user = user ? user : take(t, section, "user");
	password = password ? password : take(t, section, "password");
	port = port ? port : take(t, section, "port");
	host += strspn(host, " ");
	if (*host)
		add_host(database, host, strlen(host));
	snprintf(database->base, sizeof(database->base), "%s", value_of(base));
	snprintf(database->user, sizeof(database->user), "%s", value_of(user));
	snprintf(database->port, sizeof(database->port), "%.15s", value_of(port));
	database->hidden = is_hidden(password);
	if (!database->hidden)
		snprintf(database->password, sizeof(database->password), "%.255s",
			 value_of(password));
}

/* "mysql HOST", where a host may be a path; not "pgsql HOST/parameters". */
static bool is_server(const char *section, const char *driver, size_t n)
{
	const char *slash = strrchr(section, '/');

	return strncmp(section, driver, n) == 0 && (section[n] == ' ' || !section[n]) &&
	       (!slash || strcmp(slash, "/parameters") != 0);
}

static void take_blocks(struct translation *t, struct database *database, const unsigned blocks[2])
{
	setting own = take_in(t, blocks[0], "sql_driver"), common = take(t, "", "sql_driver"),
		path = take(t, "", "sqlite_path");
	const char *driver = value_of(own ? own : common);
	size_t n = strlen(driver);

	database->kind = kind_of(driver);
	database->about = own ? own : common;
	database->password_query = take_in(t, blocks[0], "query|sql_query|passdb_sql_query");
	database->user_query = take_in(t, blocks[1], "query|sql_query|userdb_sql_query");
	database->iterate_query =
		take_in(t, blocks[1], "iterate_query|sql_iterate_query|userdb_sql_iterate_query");
	database->scheme =
		take_in(t, blocks[0], "default_password_scheme|passdb_default_password_scheme");
	snprintf(database->base, sizeof(database->base), "%s", value_of(path));
	for (size_t i = 0; n && i < t->conf->count; i++) {
		setting one = &t->conf->settings[i];

		if (!*one->key && is_server(one->section, driver, n))
			take_server(t, database, one, driver);
	}
}

/* ---- queries ---- */

static bool is_number(const char *text)
{
	size_t n = strspn(text, "'\"0123456789");

	return n && (!text[n] || text[n] == ' ');
}

/* Fields of Dovecot and what they are here. */
struct field {
	const char *names, *ours;
};

static const struct field fields[] = {
	{"home|userdb_home", "home"},
	{"uid|userdb_uid", "uid"},
	{"gid|userdb_gid", "gid"},
	{"mail|userdb_mail", "mail"},
	{"quota_rule|userdb_quota_rule", "quota_rule"},
	{"allow_nets", "allow_nets"},
};

/* A field of this query is used: names of owners are no numbers, and homes may say nothing. */
static bool is_used(const struct translation *t, const struct field *field,
		    const struct query_column *column)
{
	if (strcmp(field->ours, "home") == 0)
		return t->users.homes_used;
	if (strcmp(field->ours, "uid") == 0 || strcmp(field->ours, "gid") == 0)
		return column->text[0] != '\'' || is_number(column->text);
	return true;
}

static void write_fields(const struct translation *t, const struct query *query, const char *of,
			 FILE *out)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const struct query_column *column = query_column(query, fields[i].names);

		if (column && is_used(t, &fields[i], column))
			fprintf(out, ", %s.%s AS %s", of, column->name, fields[i].ours);
	}
}

static void write_user(const struct query *query, const char *of, FILE *out)
{
	const struct query_column *user = query_column(query, "user"),
				  *local = query_column(query, "username"),
				  *domain = query_column(query, "domain");

	if (user)
		fprintf(out, "%s.%s", of, user->name);
	else if (local && domain)
		fprintf(out, query->mysql ? "CONCAT(%s.%s, '@', %s.%s)" : "%s.%s || '@' || %s.%s",
			of, local->name, of, domain->name);
	else if (local)
		fprintf(out, "%s.%s", of, local->name);
	else
		fputs("{user}", out);
	fputs(" AS user", out);
}

/* The stored password with its scheme in front, where the database has it without one. */
static void write_password(const struct database *database, const struct query *query, FILE *out)
{
	const char *scheme = value_of(database->scheme);

	if (!*scheme || strcasestr(scheme, "CRYPT") || strchr(scheme, '\'')) {
		fputs(", p.password AS password", out);
		return;
	}
	fprintf(out, ", CASE WHEN p.password LIKE '{%%' THEN p.password ELSE ");
	fprintf(out, query->mysql ? "CONCAT('{%s}', p.password)" : "'{%s}' || p.password", scheme);
	fputs(" END AS password", out);
}

static bool write_login(const struct translation *t, const struct database *database,
			const struct query *password, const struct query *user, FILE *out)
{
	bool joined = user->count && !query_column(password, "userdb_home|userdb_uid|userdb_mail");

	fputs("SELECT ", out);
	write_user(password, "p", out);
	write_password(database, password, out);
	write_fields(t, joined ? user : password, joined ? "u" : "p", out);
	fputs(" FROM (", out);
	if (!query_write(password, out))
		return false;
	fputs(joined ? ") p, (" : ") p", out);
	if (joined && !query_write(user, out))
		return false;
	fputs(joined ? ") u" : "", out);
	return true;
}

static bool write_recipient(const struct translation *t, const struct query *user, FILE *out)
{
	fputs("SELECT ", out);
	write_user(user, "u", out);
	write_fields(t, user, "u", out);
	fputs(" FROM (", out);
	if (!query_write(user, out))
		return false;
	fputs(") u", out);
	return true;
}

static bool write_names(const struct query *names, FILE *out)
{
	fputs("SELECT ", out);
	write_user(names, "n", out);
	fputs(" FROM (", out);
	if (!query_write(names, out))
		return false;
	fputs(") n", out);
	return true;
}

/* Fields that are dropped are said. */
static void note_columns(struct translation *t, setting about, const struct query *query)
{
	for (size_t i = 0; i < query->count; i++) {
		const char *name = query->columns[i].name;
		bool known = has_name("password|user|username|domain", name);

		for (size_t k = 0; k < sizeof(fields) / sizeof(*fields); k++)
			known |= has_name(fields[k].names, name) &&
				 is_used(t, &fields[k], &query->columns[i]);
		if (!known)
			note(t, about, SETTINGS_TO_DO,
			     "the field %.60s is not taken: look whether users need it (a home "
			     "counts "
			     "only where mail_location is below it, owners by number only)",
			     name);
	}
}

static void put_query(struct translation *t, setting about, const char *name, char *text, bool good)
{
	FILE *out = t->parts[PART_OWN];

	if (good) {
		fprintf(out, "\t%s = ", name);
		put_quoted(out, text);
		fputc('\n', out);
	} else {
		note(t, about, SETTINGS_TO_DO,
		     "this query is not understood: write %s in valija.conf, with {user}, {local} "
		     "and {domain} as parameters",
		     name);
	}
	free(text);
}

static void put_login_query(struct translation *t, const struct database *database,
			    const struct query *password, const struct query *user)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool good = out && password->count && query_column(password, "password") &&
		    write_login(t, database, password, user, out);

	good = out && fclose(out) == 0 && good;
	if (!good)
		fputs("\tuser_query = \"SELECT 'FILL-IN' AS password WHERE 1 = 0 AND 'x' = "
		      "{user}\"\n",
		      t->parts[PART_OWN]);
	put_query(t, database->password_query ? database->password_query : database->about,
		  "user_query", text, good);
}

static void put_other_query(struct translation *t, setting about, const char *name,
			    const struct query *query,
			    bool (*write)(const struct translation *, const struct query *, FILE *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool good = out && query->count && write(t, query, out);

	good = out && fclose(out) == 0 && good;
	put_query(t, about, name, text, good);
}

static bool write_list(const struct translation *t, const struct query *names, FILE *out)
{
	(void)t;
	return write_names(names, out);
}

static void put_queries(struct translation *t, const struct database *database)
{
	bool mysql = strcmp(database->kind, "mysql") == 0;
	struct query password, user, names;

	query_read(value_of(database->password_query), mysql, &password);
	query_read(value_of(database->user_query), mysql, &user);
	query_read(value_of(database->iterate_query), mysql, &names);
	put_login_query(t, database, &password, &user);
	if (database->password_query)
		note_columns(t, database->password_query, &password);
	if (database->user_query) {
		put_other_query(t, database->user_query, "recipient_query", &user, write_recipient);
		note_columns(t, database->user_query, &user);
	}
	if (database->iterate_query)
		put_other_query(t, database->iterate_query, "list_query", &names, write_list);
}

/* ---- the section ---- */

static void put_connect(struct translation *t, const struct database *database)
{
	char text[CONFIG_PATH_MAX * 2], name[64];
	FILE *out = t->parts[PART_OWN];
	bool sqlite = strcmp(database->kind, "sqlite") == 0;

	if (sqlite)
		snprintf(text, sizeof(text), "sqlite:%s", database->base);
	else
		snprintf(text, sizeof(text), "%s:%s%s%s%s%s%s%s%s", database->kind,
			 *database->hosts ? "host=" : "", database->hosts,
			 *database->port ? " port=" : "", database->port,
			 " dbname=", database->base, *database->user ? " user=" : "",
			 database->user);
	fputs("\tconnect = ", out);
	put_quoted(out, text);
	fputc('\n', out);
	if (!*database->password && !database->hidden)
		return;
	snprintf(name, sizeof(name), "%s.secret", database->name);
	fputs("\tpassword_file = ", out);
	put_quoted(out, database->hidden ? SETTINGS_FILL_IN : name);
	fputc('\n', out);
	if (database->hidden)
		note(t, database->about, SETTINGS_TO_DO,
		     "the password is hidden: give what `doveconf -n -P` prints, or write it into "
		     "a "
		     "file with mode 0600 that password_file names");
	else
		secret(t, name, database->password);
}

static void put_section(struct translation *t, struct database *database)
{
	if (!database->kind) {
		if (database->about)
			note(t, database->about, SETTINGS_TO_DO,
			     "a database of this kind is not known here: PostgreSQL, MariaDB, "
			     "MySQL "
			     "and SQLite are");
		else
			note_nowhere(t, database->name, SETTINGS_TO_DO,
				     "the driver of the database is not named: write its section "
				     "database");
		return;
	}
	fprintf(t->parts[PART_OWN], "\ndatabase \"%.40s\" {\n\tdriver = sql\n", database->name);
	put_connect(t, database);
	put_queries(t, database);
	fputs("}\n", t->parts[PART_OWN]);
}

static void work_on_file(struct translation *inner, void *context)
{
	struct database *database = context;

	take_file(inner, database);
	put_section(inner, database);
}

void translate_sql(struct translation *t, const char *name, const char *file,
		   const unsigned blocks[2])
{
	struct database database = {.name = name};

	if (file) {
		translate_named_file(t, file, work_on_file, &database);
	} else {
		take_blocks(t, &database, blocks);
		put_section(t, &database);
	}
	wipe(database.password, sizeof(database.password));
}
