/*
 * The user database that is a passwd-file: the file in one buffer, a hash table of its lines over
 * it. See users.h. Runs in auth (any thread); an entry is parsed again at each look-up, which costs
 * less than keeping it parsed. The buffer holds secrets and is wiped when it goes.
 */
#include "users/users.h"

#include "base/log.h"
#include "base/text.h"
#include "users/passwd_line.h"
#include "users/scheme_kinds.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (512u << 20)
#define CLASSES_MAX 16
#define NOTES_MAX 20 /* warnings about one reading of the file */
/* A file changed less than this before it was read may change again within the same tick of the
 * clock of the filesystem: it is read once more. */
#define SETTLED_NS 50000000

struct entry {
	uint32_t offset, size; /* of the line in text */
	uint32_t hash;
	uint32_t number; /* of the line, from 1 */
};

/* Users of one scheme and cost. */
struct class
{
	char key[24];
	uint32_t count, first; /* entry */
};

struct table {
	char *text;
	size_t size;
	struct entry *entries;
	uint32_t count;
	uint32_t *slots; /* index + 1 of an entry, 0: free */
	uint32_t mask;
	struct class classes[CLASSES_MAX];
	uint32_t class_count;
	uint32_t kinds[SCHEME_KIND_COUNT], first[SCHEME_KIND_COUNT];
};

struct users {
	int dir_fd;
	char file_name[256];
	char *mail_root;
	pthread_rwlock_t lock; /* over table, seen, settled */
	pthread_mutex_t reading;
	struct table *table;
	struct stat seen; /* of the file when it was last read, good or bad */
	bool settled;
};

static uint32_t hash_of(pop3_span name)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < name.size; i++)
		hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static void table_destroy(struct table *table)
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

static pop3_span entry_line(const struct table *table, const struct entry *entry)
{
	return (pop3_span){table->text + entry->offset, entry->size};
}

static const struct entry *table_find(const struct table *table, pop3_span name)
{
	uint32_t hash = hash_of(name), index;

	for (uint32_t at = hash & table->mask; (index = table->slots[at]);
	     at = (at + 1) & table->mask) {
		const struct entry *entry = &table->entries[index - 1];

		if (entry->hash == hash &&
		    span_equal(passwd_line_name(entry_line(table, entry)), name))
			return entry;
	}
	return NULL;
}

/* Which schemes there are, for what is offered and for the work that an unknown user costs. */
static void table_classify(struct table *table, uint32_t index, const struct user *user)
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
	if (i == CLASSES_MAX)
		return;
	if (i == table->class_count) {
		table->class_count++;
		memcpy(table->classes[i].key, key, sizeof(key));
		table->classes[i].first = index;
	}
	table->classes[i].count++;
}

static int table_add(struct table *table, pop3_span line, uint32_t number, const struct user *user,
		     const char *file, struct err *err)
{
	pop3_span name = passwd_line_name(line);
	const struct entry *twin = table_find(table, name);
	struct entry *entry = &table->entries[table->count];
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

static int table_fill(struct table *table, const char *file, const char *mail_root, bool *ret_ended,
		      struct err *err)
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

/* Takes text. */
static int table_create(char *text, size_t size, const char *file, const char *mail_root,
			bool *ret_ended, struct table **ret, struct err *err)
{
	struct table *table = calloc(1, sizeof(*table));
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
		table_destroy(table);
		return err_set(err, EX_OSERR, "out of memory");
	}
	if (table_fill(table, file, mail_root, ret_ended, err) < 0) {
		table_destroy(table);
		return -1;
	}
	*ret = table;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The whole file; a change while it is read is an error. */
static int read_file(struct users *users, char **ret_text, size_t *ret_size, struct stat *ret_st,
		     struct err *err)
{
	int fd = openat(users->dir_fd, users->file_name,
			O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st, after;
	size_t used = 0;
	char *text = NULL;
	ssize_t n;

	if (fd < 0)
		return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_NOPERM, errno, "%s",
			       users->file_name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err_set(err, EX_NOINPUT, "%s: not a regular file", users->file_name);
		goto fail;
	}
	if (st.st_size > FILE_MAX) {
		err_set(err, EX_CONFIG, "%s: more than 512 MiB", users->file_name);
		goto fail;
	}
	text = malloc((size_t)st.st_size + 1);
	if (!text) {
		err_set(err, EX_OSERR, "out of memory");
		goto fail;
	}
	while (used < (size_t)st.st_size &&
	       (n = pread(fd, text + used, (size_t)st.st_size - used, (off_t)used)) != 0) {
		if (n < 0 && errno != EINTR) {
			err_sys(err, EX_IOERR, errno, "%s", users->file_name);
			goto fail;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	if (used != (size_t)st.st_size || fstat(fd, &after) < 0 || !same_file(&st, &after)) {
		err_set(err, EX_TEMPFAIL, "%s: changed while it was read", users->file_name);
		goto fail;
	}
	close(fd);
	text[used] = '\0';
	*ret_text = text;
	*ret_size = used;
	*ret_st = st;
	return 0;
fail:
	if (text) {
		wipe(text, used);
		free(text);
	}
	close(fd);
	return -1;
}

static bool is_settled(const struct stat *st)
{
	struct timespec now;
	long long age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - st->st_mtim.tv_sec) * 1000000000ll + now.tv_nsec - st->st_mtim.tv_nsec;
	return age > SETTLED_NS || age < 0;
}

static int load(struct users *users, bool again, struct table **ret, struct stat *st,
		struct err *err)
{
	struct table *table;
	size_t size = 0;
	bool ended = false;
	char *text = NULL;

	if (read_file(users, &text, &size, st, err) < 0)
		return -1;
	if (table_create(text, size, users->file_name, users->mail_root, &ended, &table, err) < 0)
		return -1;
	if (again && !ended && users->table->count) {
		table_destroy(table);
		return err_set(err, EX_TEMPFAIL, "%s: %s: is it being written?", users->file_name,
			       size ? "the last line is not ended" : "empty");
	}
	*ret = table;
	return 0;
}

/* Reads the file again; a bad one changes nothing but what was seen. st: what made us look. */
static void reload(struct users *users, const struct stat *st)
{
	struct table *table = NULL, *old = NULL;
	struct stat read_st = *st;
	struct err err = {0};
	int status = load(users, true, &table, &read_st, &err);
	/* the second look at a file that was young when first read is not worth a line */
	enum log_level good = same_file(st, &users->seen) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	enum log_level bad = same_file(st, &users->seen) ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;

	pthread_rwlock_wrlock(&users->lock);
	/* after a failure the file as it was when we looked is remembered: logged once, tried again
	 * when it changes */
	users->seen = status == 0 ? read_st : *st;
	users->settled = is_settled(&users->seen);
	if (status == 0) {
		old = users->table;
		users->table = table;
	}
	pthread_rwlock_unlock(&users->lock);
	table_destroy(old);
	if (status < 0)
		log_write(bad, "%s; the users known before stay in force", err.text);
	else
		log_write(good, "%s: read again: %u users", users->file_name, table->count);
}

/* One fstatat when nothing changed. */
static void refresh(struct users *users)
{
	struct stat st;
	bool current;

	if (fstatat(users->dir_fd, users->file_name, &st, 0) < 0)
		memset(&st, 0, sizeof(st)); /* gone: a change like another */
	pthread_rwlock_rdlock(&users->lock);
	current = same_file(&st, &users->seen) && (users->settled || !is_settled(&st));
	pthread_rwlock_unlock(&users->lock);
	if (current)
		return;
	/* whoever comes meanwhile goes on with what is known */
	if (pthread_mutex_trylock(&users->reading) != 0)
		return;
	reload(users, &st);
	pthread_mutex_unlock(&users->reading);
}

int users_open_passwd_file(int dir_fd, const char *file_name, const char *mail_root,
			   struct users **ret, struct err *err)
{
	struct users *users = calloc(1, sizeof(*users));

	if (!users)
		return err_set(err, EX_OSERR, "out of memory");
	users->dir_fd = dir_fd;
	pthread_rwlock_init(&users->lock, NULL);
	pthread_mutex_init(&users->reading, NULL);
	if (span_copy(span_of(file_name), users->file_name, sizeof(users->file_name)) < 0) {
		err_set(err, EX_CONFIG, "%s: the name is too long", file_name);
		goto fail;
	}
	if (mail_root && !(users->mail_root = strdup(mail_root))) {
		err_set(err, EX_OSERR, "out of memory");
		goto fail;
	}
	if (load(users, false, &users->table, &users->seen, err) < 0)
		goto fail;
	users->settled = is_settled(&users->seen);
	*ret = users;
	return 0;
fail:
	users_close(users);
	return -1;
}

void users_close(struct users *users)
{
	if (!users)
		return;
	table_destroy(users->table);
	pthread_rwlock_destroy(&users->lock);
	pthread_mutex_destroy(&users->reading);
	free(users->mail_root);
	free(users);
}

static enum users_status copy_entry(const struct users *users, const struct entry *entry,
				    struct user *ret, struct err *err)
{
	struct err why;

	switch (passwd_line_parse(entry_line(users->table, entry), users->mail_root, ret, &why)) {
	case PASSWD_LINE_ENTRY:
		return USERS_FOUND;
	case PASSWD_LINE_UNSERVED:
	case PASSWD_LINE_EMPTY:
	case PASSWD_LINE_BAD:
		break;
	}
	err_set(err, EX_CONFIG, "%s:%u: %s", users->file_name, entry->number, why.text);
	return USERS_DOWN;
}

enum users_status users_find(struct users *users, pop3_span name, struct user *ret_user,
			     struct err *err)
{
	enum users_status status = USERS_UNKNOWN;
	const struct entry *entry;
	char lower[USER_NAME_MAX];
	bool changed = false;

	if (!user_name_valid(name))
		return USERS_UNKNOWN;
	refresh(users);
	for (size_t i = 0; i < name.size; i++) {
		bool upper = name.data[i] >= 'A' && name.data[i] <= 'Z';

		lower[i] = (char)(name.data[i] + (upper ? 'a' - 'A' : 0));
		changed |= upper;
	}
	pthread_rwlock_rdlock(&users->lock);
	entry = table_find(users->table, name);
	if (!entry && changed)
		entry = table_find(users->table, (pop3_span){lower, name.size});
	if (entry)
		status = copy_entry(users, entry, ret_user, err);
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
	const struct entry *entry = &users->table->entries[index];
	struct user user = {0};
	struct err err;
	int status = -1;

	if (passwd_line_parse(entry_line(users->table, entry), users->mail_root, &user, &err) !=
	    PASSWD_LINE_BAD)
		status = span_copy(span_of(user.secret), buf, size);
	wipe(&user, sizeof(user));
	return status;
}

int users_usual_secret(struct users *users, char *buf, size_t size)
{
	const struct table *table;
	const struct class *best = NULL;
	int status = -1;

	pthread_rwlock_rdlock(&users->lock);
	table = users->table;
	for (uint32_t i = 0; i < table->class_count; i++)
		if (!best || table->classes[i].count > best->count)
			best = &table->classes[i];
	if (best)
		status = copy_secret(users, best->first, buf, size);
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
