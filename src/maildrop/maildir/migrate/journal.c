/* See journal.h. */
#include "maildrop/maildir/migrate/journal.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { CHECKSUM_SIZE = 8 };

static const char *const words[JOURNAL_WORDS] = {"source", "copied", "gone"};

static size_t add(char *buf, size_t at, pop3_span text)
{
	if (text.size)
		memcpy(buf + at, text.data, text.size);
	return at + text.size;
}

size_t migrate_journal_print(const struct journal_line *line, char buf[JOURNAL_LINE_MAX])
{
	size_t at = CHECKSUM_SIZE + 1;
	char checksum[CHECKSUM_SIZE + 1];

	at = add(buf, at, span_of(words[line->word]));
	at = add(buf, at, SPAN_LITERAL(" "));
	at = add(buf, at, line->word == JOURNAL_SOURCE ? line->source : line->id);
	if (line->word == JOURNAL_COPIED) {
		at = add(buf, at, SPAN_LITERAL(" "));
		at = add(buf, at, line->unique);
	}
	snprintf(checksum, sizeof(checksum), "%08x",
		 crc32c(0, buf + CHECKSUM_SIZE + 1, at - CHECKSUM_SIZE - 1));
	memcpy(buf, checksum, CHECKSUM_SIZE);
	buf[CHECKSUM_SIZE] = ' ';
	buf[at++] = '\n';
	return at;
}

static bool has_checksum(pop3_span line)
{
	char checksum[CHECKSUM_SIZE + 1];

	if (line.size <= CHECKSUM_SIZE || line.data[CHECKSUM_SIZE] != ' ')
		return false;
	snprintf(checksum, sizeof(checksum), "%08x",
		 crc32c(0, line.data + CHECKSUM_SIZE + 1, line.size - CHECKSUM_SIZE - 1));
	return memcmp(line.data, checksum, CHECKSUM_SIZE) == 0;
}

/* A line without its end. */
static bool parse_line(pop3_span line, struct journal_line *ret)
{
	pop3_span word;
	unsigned i = 0;

	if (!has_checksum(line))
		return false;
	line.data += CHECKSUM_SIZE + 1;
	line.size -= CHECKSUM_SIZE + 1;
	word = span_take_until(&line, ' ');
	while (i < JOURNAL_WORDS && !span_equal(word, span_of(words[i])))
		i++;
	*ret = (struct journal_line){.word = (enum journal_word)i};
	if (i == JOURNAL_WORDS)
		return false;
	if (ret->word == JOURNAL_SOURCE) {
		ret->source = line;
		return line.size > 0 && line.size <= JOURNAL_SOURCE_MAX;
	}
	ret->id = span_take_until(&line, ' ');
	ret->unique = line;
	if (!index_id_valid(ret->id))
		return false;
	return ret->word == JOURNAL_GONE
		       ? line.size == 0
		       : line.size <= JOURNAL_UNIQUE_MAX && index_name_valid(line);
}

/* Does a whole line stand anywhere in it? */
static bool has_line(pop3_span text)
{
	while (text.size && memchr(text.data, '\n', text.size)) {
		struct journal_line line;

		if (parse_line(span_take_until(&text, '\n'), &line))
			return true;
	}
	return false;
}

int migrate_journal_parse(pop3_span text,
			  int (*take)(void *context, const struct journal_line *line),
			  void *context, size_t *ret_good, struct err *err)
{
	pop3_span rest = text;
	size_t good = 0;

	while (rest.size && memchr(rest.data, '\n', rest.size)) {
		struct journal_line line;

		if (!parse_line(span_take_until(&rest, '\n'), &line))
			break;
		if ((line.word == JOURNAL_SOURCE) != (good == 0))
			return err_set(err, EX_DATAERR, "the line of the source is not the first");
		if (take(context, &line) < 0)
			return err_set(err, EX_OSERR, "out of memory");
		good = text.size - rest.size;
	}
	/* the line that broke the loop was taken off rest */
	if (has_line(rest))
		return err_set(err, EX_DATAERR,
			       "a line behind octet %zu is damaged, and whole ones follow: restore "
			       "the file from a backup",
			       good);
	*ret_good = good;
	return 0;
}
