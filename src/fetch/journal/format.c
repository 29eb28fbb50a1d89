/* The journal's lines: parsing, pure and fuzzed; for load.c. The file may be damaged in any way. */
#include "fetch/journal/journal.h"

#include "base/text.h"

#include <string.h>

static pop3_span word(pop3_span *rest)
{
	pop3_span out = *rest;
	const char *space = memchr(rest->data, ' ', rest->size);

	out.size = space ? (size_t)(space - rest->data) : rest->size;
	rest->data += out.size + (space ? 1 : 0);
	rest->size -= out.size + (space ? 1 : 0);
	return out;
}

static int number(pop3_span *rest, uint64_t max, uint64_t *ret)
{
	return span_number(word(rest), max, ret);
}

static int hex(pop3_span text, unsigned digits, uint64_t *ret)
{
	uint64_t value = 0;

	if (text.size != digits)
		return -1;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -1;
	}
	*ret = value;
	return 0;
}

static int identity(pop3_span text, pop3_span *ret)
{
	if (text.size < 2 || text.size > JOURNAL_IDENTITY_MAX)
		return -1;
	if (text.data[0] == '\0' || !strchr("uhcn", text.data[0]))
		return -1;
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return -1;
	*ret = text;
	return 0;
}

static int flags(pop3_span text, struct seen *seen)
{
	static const char states[] = "?wpmx";
	const char *at;

	if (text.size < 1 || text.size > 3 || text.data[0] == '?' || text.data[0] == '\0')
		return -1;
	at = strchr(states, text.data[0]);
	if (!at)
		return -1;
	seen->state = (uint8_t)(at - states);
	for (size_t i = 1; i < text.size; i++) {
		bool *flag = text.data[i] == 'd' ? &seen->remove : &seen->renamed;

		if ((text.data[i] != 'd' && text.data[i] != 'r') || *flag)
			return -1;
		*flag = true;
	}
	return 0;
}

static int parse_seen(pop3_span rest, struct journal_record *record)
{
	uint64_t time;

	if (number(&rest, INT64_MAX, &time) < 0 || flags(word(&rest), &record->seen) < 0 ||
	    number(&rest, UINT64_MAX, &record->seen.announced) < 0 ||
	    number(&rest, UINT64_MAX, &record->seen.octets) < 0 ||
	    hex(word(&rest), 16, &record->seen.head_hash) < 0)
		return -1;
	record->seen.time = (int64_t)time;
	record->kind = JOURNAL_SEEN;
	return identity(rest, &record->identity);
}

static int parse_short(enum journal_kind kind, pop3_span rest, struct journal_record *record)
{
	uint64_t time;

	if (number(&rest, INT64_MAX, &time) < 0)
		return -1;
	record->kind = kind;
	record->seen.time = (int64_t)time;
	return identity(rest, &record->identity);
}

static int parse_death(pop3_span rest, struct journal_record *record)
{
	uint64_t time, deaths;

	if (number(&rest, INT64_MAX, &time) < 0 || number(&rest, JOURNAL_DEATHS_MAX, &deaths) < 0 ||
	    deaths == 0)
		return -1;
	record->kind = JOURNAL_DEATH;
	record->seen.time = (int64_t)time;
	record->seen.deaths = (uint8_t)deaths;
	return identity(rest, &record->identity);
}

static int parse_memory(enum journal_kind kind, pop3_span rest, struct journal_record *record)
{
	record->kind = kind;
	record->key = word(&rest);
	record->value = rest;
	if (record->key.size == 0 || record->key.size > 32 || rest.size > JOURNAL_VALUE_MAX)
		return -1;
	return memchr(rest.data, '\0', rest.size) ? -1 : 0;
}

int journal_parse(pop3_span line, struct journal_record *ret)
{
	struct journal_record record = {0};
	int rc = -1;
	char kind;

	if (line.size < 3 || line.data[1] != ' ')
		return -1;
	kind = line.data[0];
	line.data += 2;
	line.size -= 2;
	if (kind == 'S')
		rc = parse_seen(line, &record);
	else if (kind == 'A')
		rc = parse_short(JOURNAL_ABSENT, line, &record);
	else if (kind == 'D')
		rc = parse_short(JOURNAL_GONE, line, &record);
	else if (kind == 'X')
		rc = parse_short(JOURNAL_REMOVE, line, &record);
	else if (kind == 'T')
		rc = parse_death(line, &record);
	else if (kind == 'W')
		rc = parse_short(JOURNAL_SENDING, line, &record);
	else if (kind == 'M')
		rc = parse_memory(JOURNAL_MEMORY, line, &record);
	else if (kind == 'H')
		rc = parse_memory(JOURNAL_HEAD, line, &record);
	if (rc == 0)
		*ret = record;
	return rc;
}

int journal_parse_close(pop3_span line, uint64_t *ret_group, uint64_t *ret_lines, uint32_t *ret_crc,
			size_t *ret_covered)
{
	pop3_span rest = line;
	uint64_t group, lines, crc;

	if (line.size < 2 || line.data[0] != 'C' || line.data[1] != ' ')
		return -1;
	rest.data += 2;
	rest.size -= 2;
	if (number(&rest, UINT64_MAX - 1, &group) < 0 || number(&rest, 100000, &lines) < 0 ||
	    hex(rest, 8, &crc) < 0)
		return -1;
	*ret_group = group;
	*ret_lines = lines;
	*ret_crc = (uint32_t)crc;
	*ret_covered = line.size - 8;
	return 0;
}
