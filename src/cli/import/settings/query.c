/* See query.h. The text is pasted from anywhere: it is read for quotes, brackets and commas alone.
 */
#include "cli/import/settings/query.h"

#include "cli/import/settings/variables.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- its columns ---- */

/* The place behind the quoted text at the front of at. */
static const char *skip_quoted(const char *at, bool mysql)
{
	char quote = *at++;

	for (; *at; at++) {
		if (*at == '\\' && mysql && at[1])
			at++;
		else if (*at == quote && at[1] == quote)
			at++;
		else if (*at == quote)
			return at + 1;
	}
	return at;
}

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* A word at `at`, which is at a word's beginning. */
static bool is_word(const char *begin, const char *at, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(at, word, n) == 0 && !is_letter(at[n]) &&
	       (at == begin || !is_letter(at[-1]));
}

static bool ends_list(const char *begin, const char *at)
{
	static const char *const words[] = {"FROM", "WHERE", "LIMIT", "ORDER", "UNION"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (is_word(begin, at, words[i]))
			return true;
	return *at == ';';
}

/* An item's name in the database: the word behind AS, or the last one. */
static void take_column(struct query *query, const char *from, const char *end)
{
	struct query_column *column = &query->columns[query->count];
	const char *name;

	while (end > from && isspace((unsigned char)end[-1]))
		end--;
	while (from < end && isspace((unsigned char)*from))
		from++;
	snprintf(column->text, sizeof(column->text), "%.*s", (int)(end - from), from);
	if (end > from && strchr("`\"'", end[-1]))
		end--;
	for (name = end; name > from && is_letter(name[-1]);)
		name--;
	snprintf(column->name, sizeof(column->name), "%.*s", (int)(end - name), name);
	query->count++;
}

void query_read(const char *text, bool mysql, struct query *ret)
{
	const char *at = text + strspn(text, " \t\r\n"), *from = at + 6;
	int depth = 0;
	bool good = is_word(text, at, "SELECT");

	*ret = (struct query){.text = text, .mysql = mysql};
	for (at = good ? from : ""; *at && (depth || !ends_list(text, at));) {
		if (strchr("'\"`", *at)) {
			at = skip_quoted(at, mysql);
			continue;
		}
		depth += (*at == '(') - (*at == ')');
		if (*at == ',' && depth == 0) {
			good &= ret->count + 1 < QUERY_COLUMNS_MAX;
			if (!good)
				break;
			take_column(ret, from, at);
			from = at + 1;
		}
		at++;
	}
	if (good)
		take_column(ret, from, at);
	for (size_t i = 0; i < ret->count; i++)
		good &= ret->columns[i].name[0] != '\0';
	ret->count = good ? ret->count : 0;
}

const struct query_column *query_column(const struct query *query, const char *names)
{
	for (size_t i = 0; i < query->count; i++) {
		const char *at = names;

		while (*at) {
			size_t n = strcspn(at, "|");

			if (strlen(query->columns[i].name) == n &&
			    strncasecmp(query->columns[i].name, at, n) == 0)
				return &query->columns[i];
			at += n + (at[n] == '|');
		}
	}
	return NULL;
}

/* ---- its text ---- */

/* Texts and variables of one quoted text, joined. */
struct joiner {
	FILE *out;
	bool mysql, open, any;
};

static void next_piece(struct joiner *joiner)
{
	if (joiner->any)
		fputs(joiner->mysql ? ", " : " || ", joiner->out);
	joiner->any = true;
}

static void end_text(struct joiner *joiner)
{
	if (joiner->open)
		fputc('\'', joiner->out);
	joiner->open = false;
}

static void begin_text(struct joiner *joiner)
{
	if (joiner->open)
		return;
	next_piece(joiner);
	fputc('\'', joiner->out);
	joiner->open = true;
}

static void put_variable(struct joiner *joiner, const char *placeholder)
{
	end_text(joiner);
	next_piece(joiner);
	fputs(placeholder, joiner->out);
}

/* One octet, or two that stand for one, of the text in quotes. */
static const char *put_octets(struct joiner *joiner, const char *at, char quote)
{
	begin_text(joiner);
	if ((*at == '\\' && joiner->mysql && at[1]) || (*at == quote && quote == '\'')) {
		fwrite(at, 1, 2, joiner->out);
		return at + 2;
	}
	if (*at == '\'')
		fputc('\'', joiner->out);
	fputc(*at, joiner->out);
	return at + 1 + (*at == quote);
}

/* The inside of quotes, from at up to end. False: a variable has no counterpart. */
static bool put_inside(struct joiner *joiner, const char *at, const char *end, char quote)
{
	while (at < end) {
		const char *next = at;
		enum variable variable = variable_take(&next);
		const char *placeholder = variable_placeholder(variable);

		if (next > end || (variable != VARIABLE_NONE && !placeholder))
			return false;
		if (variable == VARIABLE_NONE) {
			at = put_octets(joiner, at, quote);
			continue;
		}
		if (variable == VARIABLE_PERCENT) {
			begin_text(joiner);
			fputc('%', joiner->out);
		} else {
			put_variable(joiner, placeholder);
		}
		at = next;
	}
	if (!joiner->any)
		begin_text(joiner);
	end_text(joiner);
	return true;
}

static bool put_quoted_text(const struct query *query, const char *at, const char *end, FILE *out)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	struct joiner joiner = {.out = memory, .mysql = query->mysql};
	bool good = memory && end > at + 1 && end[-1] == *at &&
		    put_inside(&joiner, at + 1, end - 1, *at),
	     several;

	good = memory && fclose(memory) == 0 && good;
	several = good && *text && (strstr(text, query->mysql ? ", " : " || ") != NULL);
	if (good)
		fprintf(out, several ? (query->mysql ? "CONCAT(%s)" : "(%s)") : "%s", text);
	free(text);
	return good;
}

bool query_write(const struct query *query, FILE *out)
{
	const char *at = query->text;

	while (*at) {
		const char *next = at;
		bool quoted = *at == '\'' || *at == '`' || *at == '"';
		bool text = *at == '\'' || (*at == '"' && query->mysql);
		enum variable variable;

		if (quoted) {
			next = skip_quoted(at, query->mysql && text);
			if (text && !put_quoted_text(query, at, next, out))
				return false;
			if (!text)
				fwrite(at, 1, (size_t)(next - at), out);
		} else if ((variable = variable_take(&next)) == VARIABLE_NONE) {
			if (*at == ';' && !at[1 + strspn(at + 1, " \t")])
				return true;
			fputc(*at, out);
		} else if (variable_placeholder(variable)) {
			fputs(variable_placeholder(variable), out);
		} else {
			return false;
		}
		at = next;
	}
	return true;
}
