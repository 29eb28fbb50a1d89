/* See memory.h. JSON by libjansson; the file is the user's own, but may be damaged: a torn one
 * costs the times of the last runs, no mail. */
#include "fetch/watch/memory.h"

#include "fetch/syscalls.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define MEMORY_FILE "watch.json"
#define LOCK_FILE "watch.lock"
enum { VERSION = 1 };

/* The words of the file; results get no other number in a later version. */
static const char *const words[WATCH_RESULTS] = {
	[WATCH_NEVER] = "never",         [WATCH_GOOD] = "ok",
	[WATCH_PARTLY] = "left-out",     [WATCH_NETWORK] = "network",
	[WATCH_IN_USE] = "in-use",       [WATCH_TOO_SOON] = "login-delay",
	[WATCH_TEMPORARY] = "temporary", [WATCH_LOGIN] = "login-refused",
	[WATCH_CONSENT] = "consent",     [WATCH_BROKEN] = "broken",
};

static json_t *pack(const struct watch_record *r)
{
	return json_pack("{s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
			 "account", r->name, "result", words[r->result], "running", r->running,
			 "code", r->code, "failures_in_a_row", (json_int_t)r->failures,
			 "login_delay", (json_int_t)r->login_delay, "last_run",
			 (json_int_t)r->last_run, "last_success", (json_int_t)r->last_success,
			 "next_run", (json_int_t)r->next_run, "runs", (json_int_t)r->runs, "failed",
			 (json_int_t)r->failed, "messages", (json_int_t)r->messages, "octets",
			 (json_int_t)r->octets, "text", r->text);
}

static json_t *tree(const struct watch_memory *memory)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < memory->count; i++)
		if (json_array_append_new(list, pack(&memory->records[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list ? json_pack("{s:i, s:I, s:o}", "version", VERSION, "written",
				(json_int_t)memory->written, "accounts", list)
		    : NULL;
}

char *watch_memory_json(const struct watch_memory *memory, bool watching)
{
	json_t *root = tree(memory);
	char *text = NULL;

	if (root && json_object_set_new(root, "watching", json_boolean(watching)) == 0)
		text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(root);
	return text;
}

/* A file that a power cut takes is written again after the next run. */
int watch_memory_save(int dir, const struct watch_memory *memory, struct err *err)
{
	json_t *root = tree(memory);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	int rc;

	json_decref(root);
	if (!text)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	rc = fetch_replace(&fetch_files_real, dir, MEMORY_FILE, text, 0600);
	free(text);
	return rc == 0 ? 0
		       : err_sys(err, EX_IOERR, errno, "cannot write %s into the state folder",
				 MEMORY_FILE);
}

static bool take_number(const json_t *object, const char *key, int64_t max, int64_t *ret)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > max)
		return false;
	*ret = json_integer_value(value);
	return true;
}

static bool take_text(const json_t *object, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && snprintf(to, size, "%s", text) < (int)size;
}

static bool take_record(const json_t *object, struct watch_record *r)
{
	int64_t failures, delay, runs, failed, messages, octets, code;
	char word[32];

	*r = (struct watch_record){.result = WATCH_RESULTS};
	if (!take_text(object, "account", r->name, sizeof(r->name)) ||
	    !take_text(object, "text", r->text, sizeof(r->text)) ||
	    !take_text(object, "result", word, sizeof(word)) ||
	    !take_number(object, "code", 255, &code) ||
	    !take_number(object, "failures_in_a_row", INT32_MAX, &failures) ||
	    !take_number(object, "login_delay", FETCH_INTERVAL_MAX, &delay) ||
	    !take_number(object, "last_run", INT64_MAX, &r->last_run) ||
	    !take_number(object, "last_success", INT64_MAX, &r->last_success) ||
	    !take_number(object, "next_run", INT64_MAX, &r->next_run) ||
	    !take_number(object, "runs", INT64_MAX, &runs) ||
	    !take_number(object, "failed", INT64_MAX, &failed) ||
	    !take_number(object, "messages", INT64_MAX, &messages) ||
	    !take_number(object, "octets", INT64_MAX, &octets))
		return false;
	for (int i = 0; i < WATCH_RESULTS; i++)
		if (strcmp(words[i], word) == 0)
			r->result = (enum watch_result)i;
	r->running = json_is_true(json_object_get(object, "running"));
	r->code = (int)code;
	r->failures = (unsigned)failures;
	r->login_delay = (uint32_t)delay;
	r->runs = (uint64_t)runs;
	r->failed = (uint64_t)failed;
	r->messages = (uint64_t)messages;
	r->octets = (uint64_t)octets;
	return r->result != WATCH_RESULTS;
}

static int take_tree(const json_t *root, struct watch_memory *ret)
{
	const json_t *list = json_object_get(root, "accounts");
	size_t count = json_array_size(list);
	int64_t version;

	if (!take_number(root, "version", INT32_MAX, &version) || version != VERSION ||
	    !take_number(root, "written", INT64_MAX, &ret->written) || !json_is_array(list))
		return -1;
	ret->records = calloc(count + 1, sizeof(*ret->records));
	if (!ret->records)
		return -1;
	for (size_t i = 0; i < count; i++, ret->count++)
		if (!take_record(json_array_get(list, i), &ret->records[i]))
			return -1;
	return 0;
}

int watch_memory_load(int dir, struct watch_memory *ret, struct err *err)
{
	int fd = openat(dir, MEMORY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct watch_memory memory = {0};
	json_t *root;

	if (fd < 0 && errno == ENOENT) {
		*ret = memory;
		return 0;
	}
	if (fd < 0)
		return err_sys(err, EX_IOERR, errno, "cannot read %s", MEMORY_FILE);
	root = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	close(fd);
	if (!root || take_tree(root, &memory) < 0) {
		json_decref(root);
		watch_memory_finish(&memory);
		return err_set(err, EX_DATAERR,
			       "%s in the state folder cannot be understood: the times of "
			       "earlier runs are not known",
			       MEMORY_FILE);
	}
	json_decref(root);
	*ret = memory;
	return 0;
}

void watch_memory_finish(struct watch_memory *memory)
{
	free(memory->records);
	*memory = (struct watch_memory){0};
}

const struct watch_record *watch_memory_find(const struct watch_memory *memory, const char *name)
{
	for (unsigned i = 0; i < memory->count; i++)
		if (strcmp(memory->records[i].name, name) == 0)
			return &memory->records[i];
	return NULL;
}

/* Of the open file, as flock's is; but it can be looked at without being taken. */
static struct flock whole_file(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

int watch_lock(int dir, int *ret_fd, struct err *err)
{
	int fd = openat(dir, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock lock = whole_file();

	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s in the state folder",
			       LOCK_FILE);
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
		*ret_fd = fd;
		return 1;
	}
	if (errno == EAGAIN || errno == EACCES) {
		close(fd);
		return 0;
	}
	err_sys(err, EX_IOERR, errno, "cannot lock %s in the state folder", LOCK_FILE);
	close(fd);
	return -1;
}

int watch_locked(int dir, struct err *err)
{
	int fd = openat(dir, LOCK_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;
	struct flock lock = whole_file();

	if (fd < 0 && errno == ENOENT)
		return 0;
	rc = fd < 0 ? -1 : fcntl(fd, F_OFD_GETLK, &lock);
	if (rc < 0)
		err_sys(err, EX_IOERR, errno, "cannot look at %s in the state folder", LOCK_FILE);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? -1 : lock.l_type != F_UNLCK;
}
