/* See passwd_table.h. */
#include "users/passwd_table.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "users/passwd_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define NOTES_MAX 20 /* warnings about one reading of the file */

static uint32_t hash_of(pop3_span name)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < name.size; i++)
		hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
	return hash ^ hash >> 15;
}

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

const struct passwd_entry *passwd_table_find(const struct passwd_table *table, pop3_span name)
{
	uint32_t hash = hash_of(name), index;

	for (uint32_t at = hash & table->mask; (index = table->slots[at]);
	     at = (at + 1) & table->mask) {
		const struct passwd_entry *entry = &table->entries[index - 1];

		if (entry->hash == hash &&
		    span_equal(passwd_line_name(passwd_table_line(table, entry)), name))
			return entry;
	}
	return NULL;
}

/* Which schemes there are, for what is offered and for the work that an unknown user costs. */
static void table_classify(struct passwd_table *table, uint32_t index, const struct user *user)
{
	pop3_span payload;
	enum scheme_kind kind = scheme_kind(user->secret, &payload);
	char key[sizeof(table->classes[0].key)];
	uint32_t i = 0;

	if (table->kinds[kind]++ == 0)
		table->first[kind] = index;
	if (kind == SCHEME_KIND_LOCKED || kind == SCHEME_KIND_UNKNOWN || user->nologin)
		return;
	/* "$6$", "$2b$10$", "$argon2id$v=19$m" tell the cost well enough */
	snprintf(key, sizeof(key), "%d %.*s", (int)kind,
		 kind == SCHEME_KIND_CRYPT || kind == SCHEME_KIND_ARGON2
			 ? (int)(payload.size < 7 ? payload.size : 7)
			 : 0,
		 payload.data);
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

static int table_add(struct passwd_table *table, pop3_span line, uint32_t number,
		     const struct user *user, const char *file, struct err *err)
{
	pop3_span name = passwd_line_name(line);
	const struct passwd_entry *twin = passwd_table_find(table, name);
	struct passwd_entry *entry = &table->entries[table->count];
	uint32_t at;

	if (twin)
		return err_set(err, EX_CONFIG, "%s:%u: the user %s is in line %u already", file,
			       number, user->name, twin->number);
	entry->offset = (uint32_t)(line.data - table->text);
	entry->size = (uint32_t)line.size;
	entry->hash = hash_of(name);
	entry->number = number;
	for (at = entry->hash & table->mask; table->slots[at]; at = (at + 1) & table->mask)
		continue;
	table->slots[at] = ++table->count;
	table_classify(table, table->count - 1, user);
	return 0;
}

static int table_fill(struct passwd_table *table, const char *file, const char *mail_root,
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
	while (passwd_line_next(&text, &line, ret_ended)) {
		number++;
		switch (passwd_line_parse(line, mail_root, user, &why)) {
		case PASSWD_LINE_EMPTY:
			continue;
		case PASSWD_LINE_ENTRY:
		case PASSWD_LINE_UNSERVED:
			if (why.text[0] && notes++ < NOTES_MAX)
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

int passwd_table_create(char *text, size_t size, const char *file, const char *mail_root,
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
	if (table_fill(table, file, mail_root, ret_ended, err) < 0) {
		passwd_table_destroy(table);
		return -1;
	}
	*ret = table;
	return 0;
}
