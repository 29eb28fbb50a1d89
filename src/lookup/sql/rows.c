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
	*rows = (struct sql_rows){.answer = answer};
	if (!answer)
		return;
	answer->status = LOOKUP_UNKNOWN;
	answer->size = 0;
	answer->matched = 0;
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

bool sql_rows_add(struct sql_rows *rows, unsigned set, const struct sql_cell *cells, unsigned count)
{
	bool alias = is_alias(cells, count);

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
