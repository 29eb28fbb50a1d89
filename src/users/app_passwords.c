/* See app_passwords.h. */
#include "users/app_passwords.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "users/passwd_line.h"
#include "users/reread.h"
#include "users/text_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	FILE_MOST = 128 << 20,
};

struct line {
	unsigned char digest[APP_DIGEST];
	uint32_t offset, size; /* in text */
};

struct table {
	char *text; /* NULL: there is no file */
	unsigned char key[APP_KEY];
	bool has_key;
	struct line *lines;
	uint32_t count, room;
	uint32_t *slots; /* index + 1 of a line, 0: free */
	uint32_t mask;
};

struct app_passwords {
	int dir_fd;
	pthread_rwlock_t lock; /* over table, seen, settled */
	struct reread reread;
	struct table *table;
	struct stat seen; /* of the file when it was last read, good or bad; all zero: none */
	bool settled;
};

static void table_free(struct table *table)
{
	if (!table)
		return;
	free(table->text); /* nothing in it is a secret that could be used */
	free(table->lines);
	free(table->slots);
	wipe(table, sizeof(*table));
	free(table);
}

static int add_line(struct table *table, const unsigned char digest[APP_DIGEST], pop3_span line)
{
	struct line *lines = table->lines;

	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		lines = realloc(lines, table->room * sizeof(*lines));
		if (!lines)
			return -1;
		table->lines = lines;
	}
	memcpy(lines[table->count].digest, digest, APP_DIGEST);
	lines[table->count].offset = (uint32_t)(line.data - table->text);
	lines[table->count++].size = (uint32_t)line.size;
	return 0;
}

static int parse(struct table *table, size_t size, bool *ret_ended, struct err *err)
{
	pop3_span text = {table->text, size}, line;
	struct app_password app;
	enum app_line kind;

	*ret_ended = size == 0;
	for (uint32_t number = 1; passwd_line_next(&text, &line, ret_ended); number++) {
		kind = app_line_parse(line, table->key, &app, err);
		if (kind == APP_LINE_KEY && table->has_key) {
			err_set(err, EX_CONFIG, "a second key");
			kind = APP_LINE_BAD;
		}
		table->has_key = table->has_key || kind == APP_LINE_KEY;
		if (kind == APP_LINE_BAD)
			return err_prefix(err, "%s:%u", APP_PASSWORDS_FILE, number);
		if (kind == APP_LINE_ENTRY && add_line(table, app.digest, line) < 0)
			return err_set(err, EX_OSERR, "out of memory");
	}
	if (table->count && !table->has_key)
		return err_set(err, EX_CONFIG, "%s: the line with the key is missing",
			       APP_PASSWORDS_FILE);
	return 0;
}

/* The digest is one under a key that strangers do not have: its octets are a hash. */
static uint32_t slot_of(const struct table *table, const unsigned char digest[APP_DIGEST])
{
	uint32_t number;

	memcpy(&number, digest, sizeof(number));
	return number & table->mask;
}

static int fill_slots(struct table *table, struct err *err)
{
	uint32_t slots = 64, at;

	while (slots < 2 * table->count)
		slots *= 2;
	table->slots = calloc(slots, sizeof(*table->slots));
	if (!table->slots)
		return err_set(err, EX_OSERR, "out of memory");
	table->mask = slots - 1;
	for (uint32_t i = 0; i < table->count; i++) {
		for (at = slot_of(table, table->lines[i].digest); table->slots[at];
		     at = (at + 1) & table->mask)
			;
		table->slots[at] = i + 1;
	}
	return 0;
}

/* again: the file changed while it was in use. */
static int load(struct app_passwords *apps, bool again, struct table **ret, struct stat *ret_st,
		struct err *err)
{
	struct table *table = calloc(1, sizeof(*table));
	size_t size = 0;
	bool ended = true;

	if (!table)
		return err_set(err, EX_OSERR, "out of memory");
	memset(ret_st, 0, sizeof(*ret_st));
	if (text_file_read(apps->dir_fd, APP_PASSWORDS_FILE, FILE_MOST, &table->text, &size, ret_st,
			   err) < 0) {
		if (!err || err->errnum != ENOENT)
			goto fail;
		*err = (struct err){0};
	} else if (parse(table, size, &ended, err) < 0) {
		goto fail;
	}
	if (again && table->text && (!ended || (size == 0 && apps->table->count))) {
		err_set(err, EX_TEMPFAIL, "%s: %s: is it being written?", APP_PASSWORDS_FILE,
			size ? "the last line is not ended" : "empty");
		goto fail;
	}
	if (fill_slots(table, err) < 0)
		goto fail;
	*ret = table;
	return 0;
fail:
	table_free(table);
	return -1;
}

/* Reads the file again. A bad one changes nothing but seen. st: the state that caused it. */
static void reload(void *context, const struct stat *st)
{
	struct app_passwords *apps = context;
	struct table *table = NULL, *old = NULL;
	struct stat read_st;
	struct err err = {0};
	int status = load(apps, true, &table, &read_st, &err);
	bool second = text_file_same(st, &apps->seen); /* of a file that was young: not logged */

	pthread_rwlock_wrlock(&apps->lock);
	apps->seen = status == 0 ? read_st : *st;
	apps->settled = text_file_settled(&apps->seen);
	if (status == 0) {
		old = apps->table;
		apps->table = table;
	}
	pthread_rwlock_unlock(&apps->lock);
	if (status < 0)
		log_write(second ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
			  "%s; the app passwords known before stay in force", err.text);
	else
		log_write(second ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "%s: read again: %u of them",
			  APP_PASSWORDS_FILE, table->count);
	table_free(old);
}

/* Costs one fstatat when nothing changed. */
static void refresh(struct app_passwords *apps)
{
	struct stat st;
	bool current;

	if (fstatat(apps->dir_fd, APP_PASSWORDS_FILE, &st, 0) < 0) {
		if (errno != ENOENT)
			return; /* the folder cannot be read now: what is known stays */
		memset(&st, 0, sizeof(st));
	}
	pthread_rwlock_rdlock(&apps->lock);
	current = text_file_same(&st, &apps->seen) && (apps->settled || !text_file_settled(&st));
	pthread_rwlock_unlock(&apps->lock);
	if (!current)
		reread_begin(&apps->reread, &st);
}

int app_passwords_open(int dir_fd, struct app_passwords **ret, struct err *err)
{
	struct app_passwords *apps = calloc(1, sizeof(*apps));
	struct err why = {0};

	if (!apps)
		return err_set(err, EX_OSERR, "out of memory");
	apps->dir_fd = dir_fd;
	pthread_rwlock_init(&apps->lock, NULL);
	reread_init(&apps->reread, reload, apps);
	if (load(apps, false, &apps->table, &apps->seen, &why) < 0) {
		if (err)
			*err = why;
		app_passwords_close(apps);
		return -1;
	}
	apps->settled = text_file_settled(&apps->seen);
	*ret = apps;
	return 0;
}

void app_passwords_close(struct app_passwords *apps)
{
	if (!apps)
		return;
	reread_finish(&apps->reread);
	table_free(apps->table);
	pthread_rwlock_destroy(&apps->lock);
	free(apps);
}

/* The lock is held. */
static bool find(const struct table *table, const unsigned char digest[APP_DIGEST],
		 struct app_password *ret)
{
	unsigned char key[APP_KEY];
	struct err err;

	for (uint32_t at = slot_of(table, digest); table->slots[at]; at = (at + 1) & table->mask) {
		const struct line *line = &table->lines[table->slots[at] - 1];

		if (!secret_equal((pop3_span){(const char *)line->digest, APP_DIGEST},
				  (pop3_span){(const char *)digest, APP_DIGEST}))
			continue;
		return app_line_parse((pop3_span){table->text + line->offset, line->size}, key, ret,
				      &err) == APP_LINE_ENTRY;
	}
	return false;
}

bool app_passwords_match(struct app_passwords *apps, pop3_span name, pop3_span password,
			 struct app_password *ret)
{
	unsigned char digest[APP_DIGEST];
	char letters[APP_LETTERS];
	bool found;

	if (!app_password_form(password, letters))
		return false;
	refresh(apps);
	pthread_rwlock_rdlock(&apps->lock);
	app_password_digest(apps->table->key, name, letters, digest);
	found = find(apps->table, digest, ret);
	pthread_rwlock_unlock(&apps->lock);
	found = found && user_name_same(span_of(ret->name), name);
	wipe(letters, sizeof(letters));
	wipe(digest, sizeof(digest));
	return found;
}

bool app_passwords_any(struct app_passwords *apps)
{
	bool any;

	refresh(apps);
	pthread_rwlock_rdlock(&apps->lock);
	any = apps->table->count > 0;
	pthread_rwlock_unlock(&apps->lock);
	return any;
}
