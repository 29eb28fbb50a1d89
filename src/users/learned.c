/* See learned.h. */
#include "users/learned.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "users/line_file.h"

#include <string.h>

_Static_assert(LEARNED_LINE_MAX <= (int)LINE_FILE_LINE_MAX, "a line fits");
_Static_assert(16 + LEARNED_SECTION_MAX + 3 * USER_NAME_MAX + SEAL_TEXT_SIZE < LEARNED_LINE_MAX,
	       "the longest line fits");

static const struct line_file the_file = {LEARNED_FILE, "the file of learned passwords",
					  LEARNED_MAX};

/* ---- lines ---- */

static bool is_made_of(pop3_span text, const char *octets)
{
	for (size_t i = 0; i < text.size; i++)
		if (!text.data[i] || !strchr(octets, text.data[i]))
			return false;
	return text.size > 0;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

int learned_set(struct learned *ret, pop3_span section, pop3_span name, pop3_span sealed)
{
	if (!is_made_of(section, LETTERS "_.-") || !user_name_valid(name) ||
	    sealed.size != SEAL_TEXT_SIZE || !is_made_of(sealed, LETTERS "+/=") ||
	    span_copy(section, ret->section, sizeof(ret->section)) < 0)
		return -1;
	ret->name[user_name_key(name, ret->name).size] = '\0';
	return span_copy(sealed, ret->sealed, sizeof(ret->sealed));
}

pop3_span learned_label(pop3_span section, pop3_span name, char buf[LEARNED_LABEL_MAX])
{
	pop3_span key;

	if (!section.size || section.size > LEARNED_SECTION_MAX || name.size > USER_NAME_MAX)
		return (pop3_span){"", 0};
	memcpy(buf, section.data, section.size);
	buf[section.size] = '/'; /* in no name of a section */
	key = user_name_key(name, buf + section.size + 1);
	return (pop3_span){buf, section.size + 1 + key.size};
}

static char *put(char *to, const char *text, char behind)
{
	size_t n = strlen(text);

	memcpy(to, text, n);
	to[n] = behind;
	return to + n + 1;
}

size_t learned_print(const struct learned *learned, char buf[LEARNED_LINE_MAX])
{
	char *to = put(line_words(buf), learned->section, ' ');

	to = line_put_name(to, learned->name);
	*to++ = ' ';
	return line_finish(buf, put(to, learned->sealed, '\0') - 1);
}

int learned_parse(pop3_span line, struct learned *ret)
{
	char name[USER_NAME_MAX + 1], key[USER_NAME_MAX + 1];
	pop3_span rest, section;

	if (line_begin(line, &rest) < 0)
		return -1;
	section = line_take_word(&rest);
	if (line_take_name(line_take_word(&rest), name) < 0 ||
	    learned_set(ret, section, span_of(name), rest) < 0)
		return -1;
	return span_equal(user_name_key(span_of(name), key), span_of(name)) ? 0 : -1;
}

/* ---- the file ---- */

int learned_append(int folder_fd, pop3_span lines, bool sync, uint64_t *ret_size, struct err *err)
{
	const struct line_append append = {
		.lines = lines, .first = {"", 0}, .make = lines.size > 0, .sync = sync};

	return line_file_append(&the_file, folder_fd, &append, ret_size, err);
}

struct each {
	learned_visit *visit;
	void *context;
};

static void visit_line(void *context, pop3_span line)
{
	const struct each *each = context;
	struct learned learned;

	if (learned_parse(line, &learned) == 0)
		each->visit(each->context, &learned);
}

int learned_each(int folder_fd, learned_visit *visit, void *context, struct err *err)
{
	struct each each = {visit, context};

	return line_file_each(&the_file, folder_fd, visit_line, &each, err);
}

/* ---- compaction ---- */

static uint64_t hash_of(const struct learned *learned)
{
	char buf[LEARNED_LABEL_MAX];
	pop3_span label = learned_label(span_of(learned->section), span_of(learned->name), buf);

	return hash_octets(label.data, label.size);
}

static int note_line(void *context, pop3_span line, uint64_t number)
{
	struct learned learned;
	uint64_t *at;

	if (learned_parse(line, &learned) < 0)
		return 0;
	at = hash_map_put(context, hash_of(&learned));
	if (!at)
		return -1;
	*at = number;
	return 0;
}

static bool keep_line(void *context, pop3_span line, uint64_t number)
{
	struct learned learned;
	const uint64_t *at;

	if (learned_parse(line, &learned) < 0)
		return false;
	at = hash_map_find(context, hash_of(&learned));
	return at && *at == number;
}

int learned_compact(int folder_fd, uint64_t *ret_size, struct err *err)
{
	struct hash_map map;
	const struct line_sieve sieve = {note_line, keep_line, &map};
	int rc;

	hash_map_init(&map, LEARNED_ENTRIES_MAX);
	rc = line_file_rewrite(&the_file, folder_fd, &sieve, ret_size, err);
	hash_map_finish(&map);
	return rc;
}
