/* See last_logins.h. */
#include "users/last_logins.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "users/app_password.h"
#include "users/line_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

_Static_assert(LAST_LOGINS_LABEL_MAX == APP_LABEL_MAX, "a label fits");
_Static_assert(LAST_LOGINS_LINE_MAX <= (int)LINE_FILE_LINE_MAX, "a line fits");

static const struct line_file the_file = {LAST_LOGINS_FILE, "the file of last logins",
					  LAST_LOGINS_MAX};

static const char *const words[LAST_LOGIN_KINDS] = {
	[LAST_LOGIN_POP3] = "pop3",       [LAST_LOGIN_SASL] = "sasl",
	[LAST_LOGIN_REMOVED] = "removed", [LAST_LOGIN_REVOKED] = "revoked",
	[LAST_LOGIN_SINCE] = "since",
};

/* ---- days ---- */

/* Without gmtime, which reads the file of a time zone. Years begin in March, so that a leap day is
 * the last of one. */
void last_login_date(uint32_t day, char buf[LAST_LOGINS_DATE_SIZE])
{
	uint32_t z = day + 719468, era = z / 146097, of_era = z % 146097;
	uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint32_t month = (5 * of_year + 2) / 153, d = of_year - (153 * month + 2) / 5 + 1;
	char text[40];

	month = month < 10 ? month + 3 : month - 9;
	year = year + era * 400 + (month <= 2);
	snprintf(text, sizeof(text), "%04" PRIu32 "-%02" PRIu32 "-%02" PRIu32, year % 10000, month,
		 d);
	memcpy(buf, text, LAST_LOGINS_DATE_SIZE - 1);
	buf[LAST_LOGINS_DATE_SIZE - 1] = '\0';
}

/* The day of a date that last_login_date writes; else -1. */
static int day_of(pop3_span text, uint32_t *ret)
{
	char again[LAST_LOGINS_DATE_SIZE];
	uint64_t year, month, d, of_year;

	if (text.size != LAST_LOGINS_DATE_SIZE - 1 ||
	    span_number((pop3_span){text.data, 4}, 9999, &year) < 0 || year < 1970 ||
	    span_number((pop3_span){text.data + 5, 2}, 12, &month) < 0 || month == 0 ||
	    span_number((pop3_span){text.data + 8, 2}, 31, &d) < 0 || d == 0)
		return -1;
	year -= month <= 2;
	of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + d - 1;
	*ret = (uint32_t)(year / 400 * 146097 + year % 400 * 365 + year % 400 / 4 -
			  year % 400 / 100 + of_year - 719468);
	last_login_date(*ret, again);
	return span_equal(span_of(again), text) ? 0 : -1;
}

uint32_t last_login_today(void)
{
	time_t now = time(NULL);

	return now > 0 ? (uint32_t)(now / 86400) : 0;
}

/* ---- lines ---- */

int last_login_set(struct last_login *ret, enum last_login_kind kind, uint32_t day, pop3_span name,
		   pop3_span label)
{
	if (!user_name_valid(name) || (label.size && !app_label_valid(label)) ||
	    day > LAST_LOGINS_DAY_MAX || (kind == LAST_LOGIN_REMOVED && label.size))
		return -1;
	ret->kind = kind;
	ret->day = day;
	ret->name[user_name_key(name, ret->name).size] = '\0';
	return span_copy(label, ret->label, sizeof(ret->label));
}

size_t last_login_print(const struct last_login *login, char buf[LAST_LOGINS_LINE_MAX])
{
	char date[LAST_LOGINS_DATE_SIZE], *to = line_words(buf);

	last_login_date(login->day, date);
	to += snprintf(to, 128, "%s %s %s ", date, words[login->kind],
		       login->label[0] ? login->label : "-");
	return line_finish(buf, line_put_name(to, login->name));
}

static int take_kind(pop3_span word, enum last_login_kind *ret)
{
	for (unsigned i = 0; i < LAST_LOGIN_KINDS; i++)
		if (span_equal(word, span_of(words[i]))) {
			*ret = (enum last_login_kind)i;
			return 0;
		}
	return -1;
}

int last_login_parse(pop3_span line, struct last_login *ret)
{
	char name[USER_NAME_MAX + 1], key[USER_NAME_MAX + 1];
	enum last_login_kind kind;
	pop3_span rest, label;
	uint32_t day;

	if (line_begin(line, &rest) < 0 || day_of(line_take_word(&rest), &day) < 0 ||
	    take_kind(line_take_word(&rest), &kind) < 0)
		return -1;
	label = line_take_word(&rest);
	if (span_equal(label, SPAN_LITERAL("-")))
		label.size = 0;
	else if (!label.size)
		return -1;
	if (line_take_name(rest, name) < 0 ||
	    last_login_set(ret, kind, day, span_of(name), label) < 0)
		return -1;
	return span_equal(user_name_key(span_of(name), key), span_of(name)) ? 0 : -1;
}

/* ---- the file ---- */

/* The first line of a file says from when on logins are known. */
static pop3_span first_line(char buf[LAST_LOGINS_LINE_MAX])
{
	struct last_login since;

	(void)last_login_set(&since, LAST_LOGIN_SINCE, last_login_today(), SPAN_LITERAL("all"),
			     SPAN_LITERAL(""));
	return (pop3_span){buf, last_login_print(&since, buf)};
}

int last_logins_append(int folder_fd, const struct last_logins_append *append, uint64_t *ret_size,
		       struct err *err)
{
	char line[LAST_LOGINS_LINE_MAX];
	const struct line_append what = {append->lines, first_line(line), append->make,
					 append->sync};

	return line_file_append(&the_file, folder_fd, &what, ret_size, err);
}

struct each {
	last_logins_visit *visit;
	void *context;
};

static void visit_line(void *context, pop3_span line)
{
	const struct each *each = context;
	struct last_login login;

	if (last_login_parse(line, &login) == 0)
		each->visit(each->context, &login);
}

int last_logins_each(int folder_fd, last_logins_visit *visit, void *context, struct err *err)
{
	struct each each = {visit, context};

	return line_file_each(&the_file, folder_fd, visit_line, &each, err);
}

/* ---- compaction ---- */

/* The hash of what a line is about; kind LAST_LOGIN_KINDS: of something else than a login. */
static uint64_t hash_of(const struct last_login *login, enum last_login_kind kind, bool with_label)
{
	char key[1 + sizeof(login->label) + sizeof(login->name)];
	size_t n = strlen(login->name), labels = with_label ? strlen(login->label) : 0;

	key[0] = (char)('0' + (int)kind);
	if (labels)
		memcpy(key + 1, login->label, labels);
	key[1 + labels] = '\0'; /* in no label: what follows is the name */
	memcpy(key + 2 + labels, login->name, n);
	return hash_octets(key, 2 + labels + n);
}

static bool is_login(const struct last_login *login)
{
	return login->kind < LAST_LOGIN_REMOVED;
}

static bool is_before(const struct hash_map *map, uint64_t hash, uint64_t number)
{
	const uint64_t *at = hash_map_find(map, hash);

	return at && number < *at;
}

static bool is_the(const struct hash_map *map, uint64_t hash, uint64_t number)
{
	const uint64_t *at = hash_map_find(map, hash);

	return at && number == *at;
}

static bool counts(const struct hash_map *map, const struct last_login *login, uint64_t number)
{
	struct last_login any = *login;

	any.label[0] = '\0';
	if (login->kind == LAST_LOGIN_SINCE)
		return is_the(map, hash_of(login, LAST_LOGIN_SINCE, false), number);
	if (!is_login(login) || is_before(map, hash_of(login, login->kind, true), number) ||
	    is_before(map, hash_of(&any, LAST_LOGIN_REMOVED, false), number))
		return false;
	return !login->label[0] ||
	       (!is_before(map, hash_of(login, LAST_LOGIN_REVOKED, true), number) &&
		!is_before(map, hash_of(&any, LAST_LOGIN_REVOKED, true), number));
}

/* Notes the number of the latest line of each. */
static int note_line(void *context, pop3_span line, uint64_t number)
{
	struct hash_map *map = context;
	struct last_login login;
	uint64_t *at;

	if (last_login_parse(line, &login) < 0)
		return 0;
	at = hash_map_put(map, hash_of(&login, login.kind, true));
	if (!at)
		return -1;
	if (login.kind != LAST_LOGIN_SINCE || *at == 0) /* the first one counts */
		*at = number;
	return 0;
}

static bool keep_line(void *context, pop3_span line, uint64_t number)
{
	struct last_login login;

	return last_login_parse(line, &login) == 0 && counts(context, &login, number);
}

int last_logins_compact(int folder_fd, uint64_t *ret_size, struct err *err)
{
	struct hash_map map;
	const struct line_sieve sieve = {note_line, keep_line, &map};
	int rc;

	hash_map_init(&map, LAST_LOGINS_ENTRIES_MAX);
	rc = line_file_rewrite(&the_file, folder_fd, &sieve, ret_size, err);
	hash_map_finish(&map);
	return rc;
}
