/*
 * The Maildir sink when the disk fails at any of its calls: nothing is shown that was not staged
 * whole and journalled, the error is said, and the next run finds order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "fetch/sink/sink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGES 3

static int calls, fatal, error;

static bool fails(void)
{
	if (++calls != fatal)
		return false;
	errno = error;
	return true;
}

static int t_openat(int dir, const char *name, int flags, mode_t mode)
{
	return fails() ? -1 : fetch_files_real.openat(dir, name, flags, mode);
}

static ssize_t t_write(int fd, const void *data, size_t size)
{
	if (fails()) {
		(void)!write(fd, data, size / 2);
		errno = error;
		return -1;
	}
	return write(fd, data, size);
}

static int t_fsync(int fd)
{
	return fails() ? -1 : fetch_files_real.fsync(fd);
}

static int t_syncfs(int fd)
{
	return fails() ? -1 : fetch_files_real.syncfs(fd);
}

static int t_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails() ? -1 : fetch_files_real.rename(from_dir, from, to_dir, to);
}

static int t_publish(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails() ? -1 : fetch_files_real.publish(from_dir, from, to_dir, to);
}

static int t_unlinkat(int dir, const char *name, int flags)
{
	return fails() ? -1 : fetch_files_real.unlinkat(dir, name, flags);
}

static int t_mkdirat(int dir, const char *name, mode_t mode)
{
	return fails() ? -1 : fetch_files_real.mkdirat(dir, name, mode);
}

static int t_ftruncate(int fd, off_t size)
{
	return fails() ? -1 : fetch_files_real.ftruncate(fd, size);
}

static const struct fetch_files table = {t_openat,  t_write,    t_fsync,   t_syncfs,    t_rename,
					 t_publish, t_unlinkat, t_mkdirat, t_ftruncate, close};

struct scratch {
	char path[64], maildir[80];
	int state;
};

static void make(struct scratch *s)
{
	strcpy(s->path, "/tmp/valija-sink-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	snprintf(s->maildir, sizeof(s->maildir), "%s/Maildir", s->path);
	s->state = open(s->path, O_RDONLY | O_DIRECTORY);
	assert_true(s->state >= 0);
}

static void clear(const struct scratch *s)
{
	char command[120];

	close(s->state);
	snprintf(command, sizeof(command), "rm -rf %s", s->path);
	assert_int_equal(system(command), 0);
}

static void text_of(int n, char *buf, size_t size)
{
	snprintf(buf, size, "Subject: %d\n\n%0*d\n", n, 100 + n, n);
}

/* One run, the way a transfer goes about it. Returns how many are journalled, −1 after an error. */
static int collect(struct scratch *s, const struct fetch_files *files, struct err *err)
{
	struct fetch_account account;
	struct sink_settings settings = {.files = files,
					 .account = &account,
					 .key = SPAN_LITERAL("key"),
					 .state_dir = s->state};
	struct journal *journal = NULL;
	struct sink *sink = NULL;
	int rc = -1, done = 0;

	fetch_account_defaults(&account);
	account.sink = FETCH_MAILDIR;
	snprintf(account.target, sizeof(account.target), "%s", s->maildir);
	if (journal_open(files, s->state, "j", "t", &journal, err) < 0 ||
	    sink_open(&settings, journal, &sink, err) < 0)
		goto out;
	for (int n = 0; n < MESSAGES; n++) {
		struct sink_message message = {.time = 1700000000000000 + n};
		char identity[8], text[200];
		uint32_t entry;

		snprintf(identity, sizeof(identity), "u%d", n);
		text_of(n, text, sizeof(text));
		entry = journal_intern(journal, span_of(identity));
		if (journal_at(journal, entry)->state == SEEN_WHOLE)
			continue;
		delivery_id_of_message(settings.key, span_of(identity), false, message.id);
		message.octets = strlen(text);
		if (sink->ops->begin(sink, message.id, err) != SINK_OK ||
		    sink->ops->write(sink, span_of(text), err) != SINK_OK ||
		    sink->ops->end(sink, &message, err) != SINK_OK)
			goto out;
		journal_at(journal, entry)->state = SEEN_WHOLE;
		journal_at(journal, entry)->time = message.time;
		journal_at(journal, entry)->octets = message.octets;
		if (journal_write_seen(journal, entry, err) < 0)
			goto out;
	}
	if (sink->ops->settle(sink, err) != SINK_OK || journal_commit(journal, err) < 0 ||
	    sink->ops->publish(sink, err) != SINK_OK)
		goto out;
	for (uint32_t i = 0; i < journal_count(journal); i++)
		done += journal_at(journal, i)->state == SEEN_WHOLE;
	rc = done;
out:
	if (sink)
		sink->ops->destroy(sink);
	journal_close(journal);
	return rc;
}

/* Every file in new is one of the messages, whole, and there once. Returns how many. */
static int check_new(const struct scratch *s)
{
	char folder[100];
	int seen[MESSAGES] = {0}, count = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/new", s->maildir);
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		char path[400], octets[400] = {0}, text[200];
		bool known = false;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		fd = open(path, O_RDONLY);
		assert_true(fd >= 0 && read(fd, octets, sizeof(octets) - 1) >= 0);
		close(fd);
		for (int n = 0; n < MESSAGES; n++) {
			text_of(n, text, sizeof(text));
			if (strcmp(text, octets) != 0)
				continue;
			known = true;
			assert_int_equal(seen[n]++, 0);
		}
		assert_true(known);
		count++;
	}
	if (dir)
		closedir(dir);
	return count;
}

static void each_call_fails_once(void **state)
{
	static const int errors[] = {ENOSPC, EIO, EACCES};
	int total;
	struct scratch s;
	struct err err = {0};

	(void)state;
	make(&s);
	calls = 0;
	fatal = -1;
	assert_int_equal(collect(&s, &table, &err), MESSAGES);
	assert_int_equal(check_new(&s), MESSAGES);
	total = calls;
	clear(&s);
	assert_true(total > 20);
	for (int kind = 0; kind < 3; kind++) {
		for (int n = 1; n <= total; n++) {
			int got;

			make(&s);
			calls = 0;
			fatal = n;
			error = errors[kind];
			err = (struct err){0};
			got = collect(&s, &table, &err);
			if (got < 0 && (!err.code || !err.text[0]))
				fail_msg("call %d failed without a word", n);
			assert_true(check_new(&s) <= MESSAGES);
			fatal = -1;
			err = (struct err){0};
			if (collect(&s, &table, &err) != MESSAGES)
				fail_msg("after call %d of %d failed: %s", n, total, err.text);
			assert_int_equal(check_new(&s), MESSAGES);
			clear(&s);
		}
	}
}

/* What an earlier run staged: named by the journal: shown; not named: removed; others': left. */
static void leftovers(void **state)
{
	char path[200], final[200] = "", id[DELIVERY_ID_SIZE], account[DELIVERY_ID_SIZE];
	struct journal *journal;
	struct err err = {0};
	struct scratch s;
	uint32_t entry;
	char text[200];
	int fd;

	(void)state;
	make(&s);
	assert_int_equal(collect(&s, &fetch_files_real, &err), MESSAGES);
	assert_int_equal(journal_open(&fetch_files_real, s.state, "j", "t", &journal, &err), 0);
	delivery_id(SPAN_LITERAL("key"), SPAN_LITERAL("account"), account);
	for (int n = 7; n < 9; n++) { /* 7 is journalled, 8 is not */
		char identity[8];

		snprintf(identity, sizeof(identity), "u%d", n);
		delivery_id_of_message(SPAN_LITERAL("key"), span_of(identity), false, id);
		snprintf(path, sizeof(path), "%s/valija-staging/%.16s.%s", s.maildir, account, id);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		text_of(n, text, sizeof(text));
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		close(fd);
		if (n == 7) {
			entry = journal_intern(journal, span_of(identity));
			journal_at(journal, entry)->state = SEEN_WHOLE;
			journal_at(journal, entry)->time = 1700000000000007;
			journal_at(journal, entry)->octets = 55;
			assert_int_equal(journal_write_seen(journal, entry, NULL), 0);
			snprintf(final, sizeof(final), "%s/new/1700000000.M000007V%s.", s.maildir,
				 id);
		}
	}
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
	assert_int_equal(collect(&s, &fetch_files_real, &err), MESSAGES + 1);
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "ls %s* | grep -q ',S=[0-9]*,W=55$'", final);
	assert_int_equal(system(path), 0);
	clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_fails_once),
		cmocka_unit_test(leftovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
