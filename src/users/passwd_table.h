/*
 * The lines of a passwd-file: the file's text in one buffer, a hash table over it. Made once, then
 * only read. The buffer holds secrets and is wiped when it goes. Used within users only.
 */
#ifndef USERS_PASSWD_TABLE_H
#define USERS_PASSWD_TABLE_H

#include "base/err.h"
#include "users/scheme_kinds.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define PASSWD_CLASSES_MAX 16

struct user_mail;

struct passwd_entry {
	uint32_t offset, size; /* of the line in text */
	uint32_t hash;
	uint32_t number; /* of the line, from 1 */
};

/* Users of one scheme and cost. */
struct passwd_class {
	char key[64];          /* kind, then the parameters of a hash */
	uint32_t count, first; /* entry */
};

struct passwd_table {
	char *text;
	size_t size;
	struct passwd_entry *entries;
	uint32_t count;
	uint32_t *slots; /* index + 1 of an entry, 0: free */
	uint32_t mask;
	struct passwd_class classes[PASSWD_CLASSES_MAX];
	uint32_t class_count;
	uint32_t kinds[SCHEME_KIND_COUNT], first[SCHEME_KIND_COUNT];
};

/* Takes text, which is wiped on failure too. file is for messages. *ret_ended: the last line had
 * its end. */
int passwd_table_create(char *text, size_t size, const char *file, const struct user_mail *mail,
			bool *ret_ended, struct passwd_table **ret, struct err *err);
void passwd_table_destroy(struct passwd_table *table);
/* The entry with this name in any case of its letters; NULL: none. */
const struct passwd_entry *passwd_table_find(const struct passwd_table *table, pop3_span name);
enum scheme_kind passwd_class_kind(const struct passwd_class *class);
pop3_span passwd_table_line(const struct passwd_table *table, const struct passwd_entry *entry);

#endif
