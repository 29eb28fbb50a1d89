/* See passwd_table.h. Any thread of auth reads a table; its text came from the users file. */
#include "users/passwd_table.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "users/passwd_line.h"
#include "users/schemes.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	NOTES_MAX = 20, /* warnings about one reading of the file */
};

void passwd_table_destroy(struct passwd_table *table)
{
	if (!table)
		return;
	if (table->text)
		wipe(table->text, table->size);
	free(table->text);
	free(table->entries);
	free(table->slots);
	free(table);
}

pop3_span passwd_table_line(const struct passwd_table *table, const struct passwd_entry *entry)
{
	return (pop3_span){table->text + entry->offset, entry->size};
}

static const struct passwd_entry *find(const struct passwd_table *table, pop3_span name,
				       uint32_t hash)
{
	uint32_t index;

	for (uint32_t at = hash & table->mask; (index = table->slots[at]);
	     at = (at + 1) & table->mask) {
		const struct passwd_entry *entry = &table->entries[index - 1];

		if (entry->hash == hash &&
		    user_name_same(passwd_line_name(passwd_table_line(table, entry)), name))
			return entry;
	}
	return NULL;
}

const struct passwd_entry *passwd_table_find(const struct passwd_table *table, pop3_span name)
{
	return find(table, name, user_name_hash(name));
}

static bool is_parameter(const char *id, const char *field)
{
	static const char *const names[] = {"rounds=", "v=", "m="};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(field, names[i], strlen(names[i])) == 0)
			return true;
	/* "$y$j9T$", "$gy$j9T$", "$2b$10$": the field behind the name, whatever it is */
	return strchr("yg2", id[1]) && strchr(id + 1, '$') + 1 == field;
}

/* The size of what tells a hash's cost: "$6$", "$6$rounds=5000$", "$2b$10$", "$y$j9T$",
 * "$argon2id$v=19$m=65536,t=3,p=4$". The salt behind it differs from user to user. */
static size_t parameters_size(const char *hash)
{
	const char *end = hash[0] == '$' ? strchr(hash + 1, '$') : NULL;

	while (end && is_parameter(hash, end + 1) && strchr(end + 1, '$'))
		end = strchr(end + 1, '$');
	return end ? (size_t)(end + 1 - hash) : 0;
}

/* Counts the schemes in use, for the offer of mechanisms and for the work that an unknown user
 * costs. */
static void table_classify(struct passwd_table *table, uint32_t index, const struct user *user)
{
	pop3_span payload;
	enum scheme_kind kind = scheme_kind(user->secret, &payload);
	char key[sizeof(table->classes[0].key)] = "";
	uint32_t i = 0;

	if (table->kinds[kind]++ == 0)
		table->first[kind] = index;
	if (kind == SCHEME_KIND_LOCKED || kind == SCHEME_KIND_UNKNOWN || user->nologin)
		return;
	if (!scheme_can_match(user->secret)) /* it costs nothing, and would for strangers, too */
		return;
	key[0] = (char)('A' + kind);
	if (kind == SCHEME_KIND_CRYPT || kind == SCHEME_KIND_ARGON2) {
		size_t n = parameters_size(payload.data);

		memcpy(key + 1, payload.data, n < sizeof(key) - 2 ? n : sizeof(key) - 2);
	}
	while (i < table->class_count && strcmp(table->classes[i].key, key) != 0)
		i++;
	if (i == PASSWD_CLASSES_MAX)
		return;
	if (i == table->class_count) {
		table->class_count++;
		memcpy(table->classes[i].key, key, sizeof(key));
		table->classes[i].first = index;
	}
	table->classes[i].count++;
}

enum scheme_kind passwd_class_kind(const struct passwd_class *class)
{
	return (enum scheme_kind)(class->key[0] - 'A');
}

static int refuse_twin(const struct passwd_table *table, const struct passwd_entry *twin,
		       uint32_t number, const struct user *user, const char *file, struct err *err)
{
	pop3_span other = passwd_line_name(passwd_table_line(table, twin));

	if (span_equal(other, span_of(user->name)))
		return err_set(err, EX_CONFIG, "%s:%u: the user %s is in line %u already", file,
			       number, user->name, twin->number);
	return err_set(err, EX_CONFIG,
		       "%s:%u: this user is in line %u already: case of letters makes no "
		       "difference between %s and %.*s; rename one, with its old name as home",
		       file, number, twin->number, user->name, (int)other.size, other.data);
}

static int table_add(struct passwd_table *table, pop3_span line, uint32_t number,
		     const struct user *user, const char *file, struct err *err)
{
	pop3_span name = passwd_line_name(line);
	struct passwd_entry *entry = &table->entries[table->count];
	uint32_t hash = user_name_hash(name), at;
	const struct passwd_entry *twin = find(table, name, hash);

	if (twin)
		return refuse_twin(table, twin, number, user, file, err);
	entry->offset = (uint32_t)(line.data - table->text);
	entry->size = (uint32_t)line.size;
	entry->hash = hash;
	entry->number = number;
	for (at = entry->hash & table->mask; table->slots[at]; at = (at + 1) & table->mask)
		continue;
	table->slots[at] = ++table->count;
	table_classify(table, table->count - 1, user);
	return 0;
}

static int table_fill(struct passwd_table *table, const char *file, const struct user_mail *mail,
		      bool *ret_ended, struct err *err)
{
	pop3_span text = {table->text, table->size}, line;
	struct user *user = malloc(sizeof(*user));
	uint32_t number = 0, notes = 0;
	struct err why = {0};
	int status = -1;

	if (!user)
		return err_set(err, EX_OSERR, "out of memory");
	*ret_ended = false;
	if (text_skip_mark(&text) < 0) {
		err_set(err, EX_CONFIG, "%s:1: %s", file, text_utf16_words);
		goto out;
	}
	while (passwd_line_next(&text, &line, ret_ended)) {
		number++;
		switch (passwd_line_parse(line, mail, user, &why)) {
		case PASSWD_LINE_EMPTY:
			continue;
		case PASSWD_LINE_ENTRY:
		case PASSWD_LINE_UNSERVED:
			if (why.text[0] && !user->remote_section && notes++ < NOTES_MAX)
				log_warning("%s:%u: %s", file, number, why.text);
			if (table_add(table, line, number, user, file, err) < 0)
				goto out;
			continue;
		case PASSWD_LINE_BAD:
			err_set(err, EX_CONFIG, "%s:%u: %s", file, number, why.text);
			goto out;
		}
	}
	status = 0;
out:
	wipe(user, sizeof(*user));
	free(user);
	return status;
}

int passwd_table_create(char *text, size_t size, const char *file, const struct user_mail *mail,
			bool *ret_ended, struct passwd_table **ret, struct err *err)
{
	struct passwd_table *table = calloc(1, sizeof(*table));
	size_t lines = 1, slots = 16;

	if (!table) {
		wipe(text, size);
		free(text);
		return err_set(err, EX_OSERR, "out of memory");
	}
	table->text = text;
	table->size = size;
	for (const char *p = text; (p = memchr(p, '\n', size - (size_t)(p - text))); p++)
		lines++;
	while (slots < 2 * lines)
		slots *= 2;
	table->mask = (uint32_t)slots - 1;
	table->slots = calloc(slots, sizeof(*table->slots));
	table->entries = malloc(lines * sizeof(*table->entries));
	if (!table->slots || !table->entries) {
		passwd_table_destroy(table);
		return err_set(err, EX_OSERR, "out of memory");
	}
	if (table_fill(table, file, mail, ret_ended, err) < 0) {
		passwd_table_destroy(table);
		return -1;
	}
	*ret = table;
	return 0;
}
