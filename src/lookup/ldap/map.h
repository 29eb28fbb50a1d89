/*
 * The map from attributes of an entry to fields of a user, `attributes` of valija.conf:
 *   "homeDirectory=home"               the attribute's value
 *   "quotaMB=quota_octets={value}M"    a text around it
 *   "=home=/srv/mail/{user}"           a text for all
 * Pure; made once, then read by any thread.
 */
#ifndef LOOKUP_LDAP_MAP_H
#define LOOKUP_LDAP_MAP_H

#include "lookup/driver.h"

enum { MAP_MAX = 32, MAP_VALUES_MAX = 64 };

struct map_row {
	char attribute[130]; /* "": none */
	char field[32];
	const char *text; /* "{value}" and other placeholders; NULL: the value itself */
};

struct map {
	unsigned count;
	struct map_row rows[MAP_MAX];
};

/* The values of one row's attribute. */
struct map_values {
	size_t count; /* may be more than there is room for */
	pop3_span values[MAP_VALUES_MAX];
};

/* text lives as long as the map. -1 with err. */
int map_add(struct map *map, const char *text, struct err *err);
bool map_has(const struct map *map, const char *field);
/* Whether a row needs an attribute of the entry. */
bool map_reads(const struct map *map);
/* Adds the row's field, with the values of its attribute, to the answer; name is the spelling that
 * the entry was found by. Several values of one attribute are several aliases, or one list of
 * networks; of the name, the one that was asked for counts; of others, they are a bad entry. */
void map_apply(const struct map_row *row, const struct map_values *values,
	       const struct lookup_question *question, unsigned name, struct lookup_answer *answer);

#endif
