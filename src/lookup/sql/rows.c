/* See rows.h. Names and values are the database's: hostile. auth judges them; here only their
 * number and size. */
#include "lookup/sql/rows.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
	ROWS_MAX = 1000, /* a query that finds more is not about one name */
	NAME_MAX_SIZE = 64,
};

void sql_rows_begin(struct sql_rows *rows, struct lookup_answer *answer)
{
	*rows = (struct sql_rows){.answer = answer, .listing = rows->listing};
	if (!answer)
		return;
	answer->status = LOOKUP_UNKNOWN;
	answer->size = 0;
	answer->matched = 0;
}

/* The end of the target of an alias that value begins with: a comma outside quotes. */
static size_t target_size(pop3_span value)
{
	bool quoted = false;
	size_t n = 0;

	for (; n < value.size && (quoted || value.data[n] != ','); n++)
		if (value.data[n] == '"')
			quoted = !quoted;
		else if (value.data[n] == '\\' && quoted && n + 1 < value.size)
			n++;
	return n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "anna@example.org, bert@example.org": panels keep the targets of an alias in one field. */
static void add_targets(struct lookup_answer *answer, pop3_span value)
{
	bool any = false;

	while (value.size) {
		pop3_span target = {value.data, target_size(value)};
		size_t whole = target.size + (target.size < value.size);

		while (target.size && is_blank(target.data[0]))
			target = (pop3_span){target.data + 1, target.size - 1};
		while (target.size && is_blank(target.data[target.size - 1]))
			target.size--;
		if (target.size)
			lookup_field(answer, "alias", target.data, target.size);
		any |= target.size > 0;
		value = (pop3_span){value.data + whole, value.size - whole};
	}
	if (!any)
		lookup_bad(answer, "an alias without a target");
}

static void add_cell(struct sql_rows *rows, const struct sql_cell *cell)
{
	char name[NAME_MAX_SIZE];
	size_t n = 0;

	for (; cell->name[n] && n < sizeof(name) - 1; n++)
		name[n] = (char)tolower((unsigned char)cell->name[n]);
	name[n] = '\0';
	if (cell->name[n])
		lookup_bad(rows->answer, "a column's name has more than %d octets",
			   NAME_MAX_SIZE - 1);
	else if (cell->too_long)
		lookup_bad(rows->answer, "the field %s is too long", name);
	else if (cell->value && strcmp(name, "alias") == 0)
		add_targets(rows->answer, (pop3_span){cell->value, cell->size});
	else
		lookup_field(rows->answer, name, cell->value, cell->size);
}

static bool is_alias(const struct sql_cell *cells, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (cells[i].value && strcasecmp(cells[i].name, "alias") == 0)
			return true;
	return false;
}

static bool is_empty(const struct sql_cell *cells, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (cells[i].value || cells[i].too_long)
			return false;
	return true;
}

/* A list has one user a row: the first column. */
static bool list_row(struct lookup_listing *listing, const struct sql_cell *cells, unsigned count)
{
	if (count == 0 || cells[0].too_long || !cells[0].value) {
		listing->bad++;
		return true;
	}
	return lookup_list(listing, cells[0].value, cells[0].size);
}

bool sql_rows_add(struct sql_rows *rows, unsigned set, const struct sql_cell *cells, unsigned count)
{
	bool alias = is_alias(cells, count);

	if (rows->listing)
		return list_row(rows->listing, cells, count);
	if (!rows->answer || is_empty(cells, count) || (rows->count && set != rows->set))
		return true;
	if (rows->count++ == 0) {
		rows->set = set;
		rows->alias = alias;
		rows->answer->status = LOOKUP_FOUND;
	} else if (!alias || !rows->alias) {
		lookup_bad(rows->answer, "two rows, and not both of them are aliases");
	}
	for (unsigned i = 0; i < count; i++)
		if (rows->count == 1 || strcasecmp(cells[i].name, "alias") == 0)
			add_cell(rows, &cells[i]);
	return rows->count < ROWS_MAX;
}
