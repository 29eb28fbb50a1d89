/*
 * The user database that is a passwd-file: read at open and again when it changed. See users.h.
 * Runs in auth (any thread); an entry is parsed again at each look-up, which costs less than
 * keeping it parsed.
 */
#include "users/users.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "users/passwd_line.h"
#include "users/passwd_table.h"
#include "users/reread.h"
#include "users/text_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#define FILE_MAX (512u << 20)

struct users {
	int dir_fd;
	char file_name[256];
	struct user_mail mail;
	pthread_rwlock_t lock; /* over table, seen, settled */
	struct reread reread;
	struct passwd_table *table;
	struct stat seen; /* of the file when it was last read, good or bad */
	bool settled;
};

static int load(struct users *users, bool again, struct passwd_table **ret, struct stat *st,
		struct err *err)
{
	struct passwd_table *table;
	size_t size = 0;
	bool ended = false;
	char *text = NULL;

	if (text_file_read(users->dir_fd, users->file_name, FILE_MAX, &text, &size, st, err) < 0)
		return -1;
	if (passwd_table_create(text, size, users->file_name, &users->mail, &ended, &table, err) <
	    0)
		return -1;
	if (again && !ended && users->table->count) {
		passwd_table_destroy(table);
		return err_set(err, EX_TEMPFAIL, "%s: %s: is it being written?", users->file_name,
			       size ? "the last line is not ended" : "empty");
	}
	*ret = table;
	return 0;
}

/* Reads the file again. A bad one changes nothing but seen. st: the state of the file that caused
 * the reading. */
static void reload(void *context, const struct stat *st)
{
	struct users *users = context;
	struct passwd_table *table = NULL, *old = NULL;
	struct stat read_st = *st;
	struct err err = {0};
	int status = load(users, true, &table, &read_st, &err);
	/* the second reading of a file that was young at the first one is not logged */
	enum log_level good = text_file_same(st, &users->seen) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	enum log_level bad = text_file_same(st, &users->seen) ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;

	pthread_rwlock_wrlock(&users->lock);
	/* after a failure the state of the file is kept: logged once, tried again when it
	 * changes */
	users->seen = status == 0 ? read_st : *st;
	users->settled = text_file_settled(&users->seen);
	if (status == 0) {
		old = users->table;
		users->table = table;
	}
	pthread_rwlock_unlock(&users->lock);
	passwd_table_destroy(old);
	if (status < 0)
		log_write(bad, "%s; the users known before stay in force", err.text);
	else
		log_write(good, "%s: read again: %u users", users->file_name, table->count);
}

/* Costs one fstatat when nothing changed. */
static void refresh(struct users *users)
{
	struct stat st;
	bool current;

	if (fstatat(users->dir_fd, users->file_name, &st, 0) < 0)
		memset(&st, 0, sizeof(st)); /* gone: a change like another */
	pthread_rwlock_rdlock(&users->lock);
	current = text_file_same(&st, &users->seen) && (users->settled || !text_file_settled(&st));
	pthread_rwlock_unlock(&users->lock);
	if (current)
		return;
	reread_begin(&users->reread, &st);
}

int users_open_passwd_file(int dir_fd, const char *file_name, const struct user_mail *mail,
			   struct users **ret, struct err *err)
{
	struct users *users = calloc(1, sizeof(*users));

	if (!users)
		return err_set(err, EX_OSERR, "out of memory");
	users->dir_fd = dir_fd;
	pthread_rwlock_init(&users->lock, NULL);
	reread_init(&users->reread, reload, users);
	if (span_copy(span_of(file_name), users->file_name, sizeof(users->file_name)) < 0) {
		err_set(err, EX_CONFIG, "%s: the name is too long", file_name);
		goto fail;
	}
	if (mail)
		users->mail = *mail;
	if (load(users, false, &users->table, &users->seen, err) < 0)
		goto fail;
	users->settled = text_file_settled(&users->seen);
	*ret = users;
	return 0;
fail:
	users_close(users);
	return -1;
}

void users_each(struct users *users, bool (*each)(void *context, pop3_span name), void *context)
{
	bool more = true;

	refresh(users);
	pthread_rwlock_rdlock(&users->lock);
	for (uint32_t i = 0; i < users->table->count && more; i++)
		more = each(context, passwd_line_name(passwd_table_line(
					     users->table, &users->table->entries[i])));
	pthread_rwlock_unlock(&users->lock);
}

void users_close(struct users *users)
{
	if (!users)
		return;
	reread_finish(&users->reread);
	passwd_table_destroy(users->table);
	pthread_rwlock_destroy(&users->lock);
	free(users);
}

static enum users_status copy_entry(const struct users *users, const struct passwd_entry *entry,
				    struct user *ret, struct err *err)
{
	enum users_status status = USERS_DOWN;
	struct err why;

	switch (passwd_line_parse(passwd_table_line(users->table, entry), &users->mail, ret,
				  &why)) {
	case PASSWD_LINE_ENTRY:
		return USERS_FOUND;
	case PASSWD_LINE_UNSERVED:
		status = USERS_UNSERVED;
		break;
	case PASSWD_LINE_EMPTY:
	case PASSWD_LINE_BAD:
		break;
	}
	err_set(err, EX_CONFIG, "%s:%u: %s", users->file_name, entry->number, why.text);
	return status;
}

/* A name that is nobody's takes as long as one that is somebody's: a line is parsed all the same.
 */
static void look_at_another(const struct users *users, uint32_t hash)
{
	struct user user = {0};
	struct err err;

	if (users->table->count)
		(void)copy_entry(users, &users->table->entries[hash % users->table->count], &user,
				 &err);
	wipe(&user, sizeof(user));
}

enum users_status users_find(struct users *users, pop3_span name, struct user *ret_user,
			     struct err *err)
{
	enum users_status status = USERS_UNKNOWN;
	const struct passwd_entry *entry;

	if (!user_name_valid(name))
		return USERS_UNKNOWN;
	refresh(users);
	pthread_rwlock_rdlock(&users->lock);
	entry = passwd_table_find(users->table, name);
	if (entry)
		status = copy_entry(users, entry, ret_user, err);
	else
		look_at_another(users, user_name_hash(name));
	pthread_rwlock_unlock(&users->lock);
	return status;
}

static bool any(struct users *users, enum scheme_kind kind)
{
	bool found;

	refresh(users);
	pthread_rwlock_rdlock(&users->lock);
	found = users->table->kinds[kind] > 0;
	pthread_rwlock_unlock(&users->lock);
	return found;
}

bool users_any_with_plain_secret(struct users *users)
{
	return any(users, SCHEME_KIND_PLAIN);
}

bool users_any_with_cram_md5(struct users *users)
{
	return any(users, SCHEME_KIND_CRAM_MD5);
}

bool users_any_with_scram(struct users *users, const char *mechanism)
{
	if (strcmp(mechanism, "SCRAM-SHA-1") == 0)
		return any(users, SCHEME_KIND_SCRAM_SHA_1);
	return strcmp(mechanism, "SCRAM-SHA-256") == 0 && any(users, SCHEME_KIND_SCRAM_SHA_256);
}

/* The lock is held. */
static int copy_secret(const struct users *users, uint32_t index, char *buf, size_t size)
{
	const struct passwd_entry *entry = &users->table->entries[index];
	struct user user = {0};
	struct err err;
	int status = -1;

	if (passwd_line_parse(passwd_table_line(users->table, entry), &users->mail, &user, &err) !=
	    PASSWD_LINE_BAD)
		status = span_copy(span_of(user.secret), buf, size);
	wipe(&user, sizeof(user));
	return status;
}

/* A number below count that belongs to name, and cannot be foretold without the users file: its key
 * is the first secret of the file, so that it stays over a restart. The lock is held. */
static uint32_t keyed_number(const struct users *users, pop3_span name, uint32_t count)
{
	pop3_span line = passwd_table_line(users->table,
					   &users->table->entries[users->table->classes[0].first]);
	unsigned char mac[32];
	char key[USER_NAME_MAX];
	uint64_t number;

	if (name.size > USER_NAME_MAX)
		name.size = USER_NAME_MAX;
	name = user_name_key(name, key);
	hmac_of(DIGEST_SHA_256, line.data, line.size, name.data, name.size, mac);
	memcpy(&number, mac, sizeof(number));
	return (uint32_t)(number % count);
}

int users_stranger_secret(struct users *users, pop3_span name, unsigned kinds, char *buf,
			  size_t size)
{
	const struct passwd_table *table;
	uint32_t count = 0, number;
	int status = -1;

	pthread_rwlock_rdlock(&users->lock);
	table = users->table;
	for (uint32_t i = 0; i < table->class_count; i++)
		if (kinds & 1u << passwd_class_kind(&table->classes[i]))
			count += table->classes[i].count;
	if (!count)
		goto out;
	number = keyed_number(users, name, count);
	for (uint32_t i = 0; i < table->class_count && status < 0; i++) {
		const struct passwd_class *class = &table->classes[i];

		if (!(kinds & 1u << passwd_class_kind(class)))
			continue;
		if (number < class->count) {
			status = copy_secret(users, class->first, buf, size);
			break;
		}
		number -= class->count;
	}
out:
	pthread_rwlock_unlock(&users->lock);
	return status;
}

int users_first_secret(struct users *users, const char *scheme, char *buf, size_t size)
{
	char sample[64];
	pop3_span payload;
	enum scheme_kind kind;
	int status = -1;

	snprintf(sample, sizeof(sample), "{%s}-", scheme);
	kind = scheme_kind(sample, &payload);
	pthread_rwlock_rdlock(&users->lock);
	if (users->table->kinds[kind])
		status = copy_secret(users, users->table->first[kind], buf, size);
	pthread_rwlock_unlock(&users->lock);
	return status;
}
