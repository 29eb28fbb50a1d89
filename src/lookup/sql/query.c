/* See query.h. The text is the operator's, so it is not hostile; but it is pasted from everywhere.
 */
#include "lookup/sql/query.h"

#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct parser {
	const char *begin, *at;
	enum sql_dialect dialect;
	struct sql_statement *statement;
	size_t used;
	struct err *err;
};

static const char *const placeholders[SQL_VALUES] = {
	[SQL_USER] = "{user}",       [SQL_LOCAL] = "{local}",     [SQL_DOMAIN] = "{domain}",
	[SQL_ADDRESS] = "{address}", [SQL_SERVICE] = "{service}",
};

/* The placeholder at the front of text; SQL_VALUES: none. */
static enum sql_value placeholder(const char *text)
{
	unsigned i = 0;

	while (i < SQL_VALUES && strncmp(text, placeholders[i], strlen(placeholders[i])) != 0)
		i++;
	return (enum sql_value)i;
}

static void put(struct parser *p, const char *text, size_t size)
{
	memcpy(p->statement->text + p->used, text, size);
	p->used += size;
}

/* Copies n octets of the query as they are. */
static void take(struct parser *p, size_t n)
{
	put(p, p->at, n);
	p->at += n;
}

/* "%u", "%Ln", "%{user}" … : a variable of Dovecot, if the quoted text is nothing else. */
static bool is_dovecot(pop3_span inside)
{
	size_t n = 1;

	if (inside.size < 2 || inside.data[0] != '%')
		return false;
	if (inside.data[1] == '{')
		return inside.data[inside.size - 1] == '}';
	while (n + 1 < inside.size && strchr("LUERXMHTN", inside.data[n]))
		n++;
	return n + 1 == inside.size && strchr("undslr", inside.data[n]);
}

/* Copies what stands in quotes or in a comment, whose octets are no SQL. open, close: octets of the
 * marks, that are part of it. */
static int take_opaque(struct parser *p, size_t size, size_t open, size_t close, const char *what)
{
	pop3_span inside = {p->at + open, size - open - close};

	for (size_t i = 0; i < inside.size; i++) {
		enum sql_value value = placeholder(inside.data + i);

		if (value != SQL_VALUES)
			return err_set(p->err, EX_CONFIG,
				       "%s stands in %s: write it without, as in \"name = %s\": it "
				       "is a parameter and never part of a text; texts are joined "
				       "by || or CONCAT(…)",
				       placeholders[value], what, placeholders[value]);
	}
	if (is_dovecot(inside))
		return err_set(p->err, EX_CONFIG,
			       "'%.*s' is written in Dovecot's way: write {user}, {local} or "
			       "{domain}, without quotes",
			       (int)(inside.size < 40 ? inside.size : 40), inside.data);
	take(p, size);
	return 0;
}

static int unterminated(struct parser *p, const char *what)
{
	return err_set(p->err, EX_CONFIG, "%s begin at \"%.20s\" and do not end", what, p->at);
}

static int take_quoted(struct parser *p)
{
	char quote = *p->at;
	bool escapes = p->dialect == SQL_MYSQL && quote != '`';
	size_t n = 1;

	if (p->dialect == SQL_POSTGRESQL && quote == '\'' && p->at > p->begin &&
	    (p->at[-1] == 'E' || p->at[-1] == 'e'))
		escapes = true;
	for (; p->at[n]; n++) {
		if (p->at[n] == '\\' && escapes && p->at[n + 1])
			n++;
		else if (p->at[n] == quote && p->at[n + 1] == quote)
			n++;
		else if (p->at[n] == quote)
			return take_opaque(p, n + 1, 1, 1, "quotes");
	}
	return unterminated(p, "quotes");
}

/* $$…$$, $tag$…$tag$ of PostgreSQL. 0: it is none. */
static int take_dollar(struct parser *p)
{
	size_t n = 1 + strcspn(p->at + 1, "$ \t\r\n'\"(){},;");
	char tag[64];
	const char *end;

	if (p->at[1] >= '0' && p->at[1] <= '9')
		return err_set(p->err, EX_CONFIG,
			       "\"%.4s\" is a parameter: write {user}, {local} or {domain}", p->at);
	if (p->at[n] != '$' || ++n >= sizeof(tag))
		return 0;
	memcpy(tag, p->at, n);
	tag[n] = '\0';
	end = strstr(p->at + n, tag);
	if (!end)
		return unterminated(p, "quotes");
	return take_opaque(p, (size_t)(end - p->at) + n, n, n, "quotes") < 0 ? -1 : 1;
}

static int take_comment(struct parser *p)
{
	bool line = *p->at != '/';
	const char *end = line ? strchr(p->at, '\n') : strstr(p->at + 2, "*/");

	if (!end && !line)
		return unterminated(p, "comments");
	return take_opaque(p, end ? (size_t)(end - p->at) + (line ? 1 : 2) : strlen(p->at),
			   line ? 1 : 2, line ? 0 : 2, "a comment");
}

static int take_placeholder(struct parser *p)
{
	enum sql_value value = placeholder(p->at);
	char number[16];
	int n = 1;

	if (p->at[1] == '{') {
		take(p, 1);
		p->at++;
		return 0;
	}
	if (value == SQL_VALUES)
		return err_set(p->err, EX_CONFIG,
			       "\"%.20s\": known are {user}, {local}, {domain}, {address}, "
			       "{service}; \"{{\" is a brace",
			       p->at);
	if (p->statement->count == SQL_PARAMETERS_MAX)
		return err_set(p->err, EX_CONFIG, "more than %d placeholders", SQL_PARAMETERS_MAX);
	p->statement->values[p->statement->count++] = (uint8_t)value;
	if (p->dialect == SQL_POSTGRESQL)
		n = snprintf(number, sizeof(number), "$%u", p->statement->count);
	put(p, p->dialect == SQL_POSTGRESQL ? number : "?", (size_t)n);
	p->at += strlen(placeholders[value]);
	return 0;
}

static int take_end(struct parser *p)
{
	if (p->at[strspn(p->at, "; \t\r\n")])
		return err_set(p->err, EX_CONFIG, "more than one statement");
	p->at += strlen(p->at);
	return 0;
}

static bool begins_comment(const struct parser *p)
{
	return strncmp(p->at, "--", 2) == 0 || strncmp(p->at, "/*", 2) == 0 ||
	       (*p->at == '#' && p->dialect == SQL_MYSQL);
}

static int take_next(struct parser *p)
{
	int rc;

	if (begins_comment(p))
		return take_comment(p);
	if (strncmp(p->at, "%{", 2) == 0)
		return err_set(p->err, EX_CONFIG,
			       "\"%.20s\" is written in Dovecot's way: write {user}, {local} or "
			       "{domain}",
			       p->at);
	switch (*p->at) {
	case '\'':
	case '"':
		return take_quoted(p);
	case '`':
		if (p->dialect != SQL_POSTGRESQL)
			return take_quoted(p);
		break;
	case '$':
		rc = p->dialect == SQL_POSTGRESQL ? take_dollar(p) : 0;
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		break;
	case '?':
		if (p->dialect != SQL_POSTGRESQL)
			return err_set(p->err, EX_CONFIG,
				       "\"?\" is a parameter: write {user}, {local} or {domain}");
		break;
	case '{':
		return take_placeholder(p);
	case ';':
		return take_end(p);
	}
	take(p, 1);
	return 0;
}

static bool names_user(const struct sql_statement *statement)
{
	return memchr(statement->values, SQL_USER, statement->count) ||
	       memchr(statement->values, SQL_LOCAL, statement->count);
}

/* list: for all users. */
static int parse(const char *query, enum sql_dialect dialect, bool list, struct sql_statement *ret,
		 struct err *err)
{
	struct sql_statement statement = {.text = malloc(strlen(query) + 1)};
	struct parser p = {query, query, dialect, &statement, 0, err};
	int rc = statement.text ? 0 : err_set(err, EX_OSERR, "out of memory");

	/* no placeholder is shorter than its parameter */
	while (rc == 0 && *p.at)
		rc = take_next(&p);
	if (rc == 0 && list && statement.count)
		rc = err_set(err, EX_CONFIG,
			     "it is asked for all users, so there is nothing to put in its "
			     "placeholders: take them out");
	else if (rc == 0 && !list && !names_user(&statement))
		rc = err_set(err, EX_CONFIG,
			     "no {user} and no {local} in it: it would be the same for all users");
	if (rc < 0) {
		free(statement.text);
		return -1;
	}
	statement.text[p.used] = '\0';
	*ret = statement;
	return 0;
}

int sql_query_parse(const char *query, enum sql_dialect dialect, struct sql_statement *ret,
		    struct err *err)
{
	return parse(query, dialect, false, ret, err);
}

int sql_list_parse(const char *query, enum sql_dialect dialect, struct sql_statement *ret,
		   struct err *err)
{
	return parse(query, dialect, true, ret, err);
}
