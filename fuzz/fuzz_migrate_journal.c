/*
 * The journal of a maildrop that moves here (maildrop/maildir/migrate/journal.h). Checked: what is
 * found lies within the text and has the form of ids and names; the good part ends with a line, and
 * parses to the same; lines that were printed are read again.
 */
#include "maildrop/maildir/migrate/journal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	pop3_span text;
	size_t lines, printed;
	char *again; /* the lines, printed */
};

static bool is_within(pop3_span text, pop3_span part)
{
	return part.data >= text.data && part.data + part.size <= text.data + text.size;
}

static int take(void *context, const struct journal_line *line)
{
	struct seen *seen = context;

	assert((line->word == JOURNAL_SOURCE) == (seen->lines++ == 0));
	if (line->word == JOURNAL_SOURCE)
		assert(is_within(seen->text, line->source) && line->source.size);
	else
		assert(is_within(seen->text, line->id) && index_id_valid(line->id));
	if (line->word == JOURNAL_COPIED)
		assert(is_within(seen->text, line->unique) && index_name_valid(line->unique));
	seen->printed += migrate_journal_print(line, seen->again + seen->printed);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1); /* of its exact size: reading beyond it is seen */
	struct seen seen = {.text = {copy, size}, .again = malloc(size + JOURNAL_LINE_MAX)};
	size_t good = 0;
	struct err err;

	if (size)
		memcpy(copy, data, size);
	if (migrate_journal_parse(seen.text, take, &seen, &good, &err) == 0) {
		assert(good <= size && (good == 0) == (seen.lines == 0));
		assert(good == 0 || copy[good - 1] == '\n');
		assert(seen.printed == good && (!good || memcmp(seen.again, copy, good) == 0));
	} else {
		assert(err.text[0]);
	}
	free(copy);
	free(seen.again);
	return 0;
}
