/*
 * The Maildir and the mbox sink, and the journal with them, when the disk fails at any of their
 * calls: nothing is shown that was not staged whole and journalled, the error is said, and the next
 * run finds order. A run that ends well, which is when DELE may be sent, has flushed all that the
 * messages depend on, also what a run that was killed before it had left to be flushed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "fetch/journal/state.h"
#include "fetch/sink/maildir_name.h"
#include "fetch/sink/refused.h"
#include "fetch/sink/sink.h"
#include "tests/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGES 17 /* the most of a run: then one flush of all is tried */

static int calls, fatal, error;
static bool stays;      /* all later calls fail, too: as far as the disk goes, the run was killed */
static bool interrupts; /* writes do half of their work, or EINTR */

static bool fails(void)
{
	calls++;
	if (fatal <= 0 || calls < fatal || (calls > fatal && !stays))
		return false;
	errno = error;
	return true;
}

/* Locks and files beside their place come and go. */
static bool passing(const char *name)
{
	size_t n = strlen(name);

	return (n > 5 && strcmp(name + n - 5, ".lock") == 0) ||
	       (n > 4 && strcmp(name + n - 4, ".new") == 0);
}

/* The folder that a path of the account is in. */
static void note_parent(int dir, const char *name, unsigned bits)
{
	const char *slash = strrchr(name, '/');
	char parent[PATH_MAX];
	int fd;

	if (!slash) {
		ledger_note(dir, bits);
		return;
	}
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
	fd = openat(dir, parent, O_RDONLY | O_DIRECTORY);
	ledger_note(fd, bits);
	close(fd);
}

static int t_openat(int dir, const char *name, int flags, mode_t mode)
{
	bool made = flags & O_CREAT && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	int fd = fails() ? -1 : fetch_files_real.openat(dir, name, flags, mode);

	if (fd >= 0 && made) {
		ledger_made(fd);
		if (!passing(name))
			note_parent(dir, name, LEDGER_MADE);
	}
	return fd;
}

static ssize_t t_write(int fd, const void *data, size_t size)
{
	ledger_note(fd, LEDGER_OCTETS);
	if (fails()) {
		(void)!write(fd, data, size / 2);
		errno = error;
		return -1;
	}
	if (interrupts && calls % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	return write(fd, data, interrupts && size > 1 ? size / 2 : size);
}

static int t_fsync(int fd)
{
	if (fails())
		return -1;
	ledger_flushed(fd);
	return fetch_files_real.fsync(fd);
}

static int t_syncfs(int fd)
{
	if (fails())
		return -1;
	ledger_clear();
	return fetch_files_real.syncfs(fd);
}

/* A journal that takes the place of another one is on the disk. */
static int t_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	int rc;

	if (fails())
		return -1;
	assert_int_equal(ledger_open(from_dir, from), 0);
	rc = fetch_files_real.rename(from_dir, from, to_dir, to);
	if (rc == 0)
		ledger_note(to_dir, LEDGER_NAMES);
	return rc;
}

/* What is shown is on the disk, and so is the journal that names it. */
static int journal_dir;
static int t_publish(int from_dir, const char *from, int to_dir, const char *to)
{
	int rc;

	if (fails())
		return -1;
	assert_int_equal(ledger_open(from_dir, from), 0);
	assert_int_equal(ledger_open_fd(from_dir) & LEDGER_MADE, 0);
	assert_int_equal(ledger_open(journal_dir, "j"), 0);
	assert_int_equal(ledger_open_fd(journal_dir) & LEDGER_NAMES, 0);
	rc = fetch_files_real.publish(from_dir, from, to_dir, to);
	if (rc == 0) {
		ledger_note(from_dir, LEDGER_NAMES);
		ledger_note(to_dir, LEDGER_NAMES);
	}
	return rc;
}

static int t_unlinkat(int dir, const char *name, int flags)
{
	int rc = fails() ? -1 : fetch_files_real.unlinkat(dir, name, flags);

	if (rc == 0 && !passing(name))
		ledger_note(dir, LEDGER_REMOVED);
	return rc;
}

static int t_mkdirat(int dir, const char *name, mode_t mode)
{
	int rc = fails() ? -1 : fetch_files_real.mkdirat(dir, name, mode);

	if (rc == 0)
		note_parent(dir, name, LEDGER_FOLDER);
	return rc;
}

static int t_ftruncate(int fd, off_t size)
{
	if (fails())
		return -1;
	ledger_note(fd, LEDGER_OCTETS);
	return fetch_files_real.ftruncate(fd, size);
}

static const struct fetch_files table = {t_openat,  t_write,    t_fsync,   t_syncfs,    t_rename,
					 t_publish, t_unlinkat, t_mkdirat, t_ftruncate, close};

struct scratch {
	char path[64], maildir[80], mbox[80];
	int state;
	enum fetch_sink_type type;
	int count; /* messages of a run */
	bool long_journal;
};

static void make(struct scratch *s)
{
	char state[80];

	snprintf(s->path, sizeof(s->path), "%s/valija-sink-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(s->path));
	/* folders of their own, so that no flush of one stands for another */
	snprintf(s->maildir, sizeof(s->maildir), "%s/mail", s->path);
	assert_int_equal(mkdir(s->maildir, 0700), 0);
	snprintf(s->mbox, sizeof(s->mbox), "%s/mail/mbox", s->path);
	snprintf(s->maildir, sizeof(s->maildir), "%s/mail/Maildir", s->path);
	snprintf(state, sizeof(state), "%s/state", s->path);
	assert_int_equal(mkdir(state, 0700), 0);
	s->state = open(state, O_RDONLY | O_DIRECTORY);
	assert_true(s->state >= 0);
	journal_dir = s->state;
	ledger_clear();
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
	account.sink = s->type;
	snprintf(account.target, sizeof(account.target), "%s",
		 s->type == FETCH_MAILDIR ? s->maildir : s->mbox);
	if (journal_open(files, s->state, "j", "t", &journal, err) < 0 ||
	    sink_open(&settings, journal, &sink, err) < 0)
		goto out;
	for (int n = 0; n < s->count; n++) {
		struct sink_message message = {.time = 1700000000000000 + n};
		char identity[16], text[200];
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
	    sink->ops->publish(sink, err) != SINK_OK || journal_tidy(journal, 0, err) < 0)
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

/* The messages in the mbox, each whole and at least once. */
static int check_mbox(const struct scratch *s)
{
	static char octets[64 * 1024];
	int fd = open(s->mbox, O_RDONLY), count = 0;
	ssize_t n = read(fd, octets, sizeof(octets) - 1);
	char text[200];

	assert_true(fd >= 0 && n >= 0);
	octets[n] = '\0';
	close(fd);
	for (int i = 0; i < s->count; i++) {
		text_of(i, text, sizeof(text));
		count += strstr(octets, text) != NULL;
	}
	return count;
}

static unsigned bits_of(const struct scratch *s, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	return ledger_open(AT_FDCWD, path);
}

/* Now a DELE may be sent: nothing that the messages and the journal need is still to be flushed. */
static void assert_durable(const struct scratch *s)
{
	char folder[100], name[300];
	DIR *dir;

	assert_int_equal(bits_of(s, "state/j"), 0);
	assert_int_equal(bits_of(s, "state") & LEDGER_NAMES, 0);
	assert_int_equal(bits_of(s, "mail") & (LEDGER_MADE | LEDGER_FOLDER), 0);
	if (s->type == FETCH_MBOX) {
		assert_int_equal(bits_of(s, "mail/mbox"), 0);
		return;
	}
	assert_int_equal(bits_of(s, "mail/Maildir"), 0);
	assert_int_equal(bits_of(s, "mail/Maildir/valija-staging"), 0);
	assert_int_equal(bits_of(s, "mail/Maildir/new"), 0);
	snprintf(folder, sizeof(folder), "%s/new", s->maildir);
	dir = opendir(folder);
	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		snprintf(name, sizeof(name), "mail/Maildir/new/%.200s", e->d_name);
		if (e->d_name[0] != '.')
			assert_int_equal(bits_of(s, name), 0);
	}
	closedir(dir);
}

static void assert_all_there(const struct scratch *s)
{
	if (s->type == FETCH_MBOX)
		assert_int_equal(check_mbox(s), s->count);
	else
		assert_int_equal(check_new(s), s->count);
}

/* So many lines without effect that the run puts a new journal in its place. */
static void lengthen_journal(const struct scratch *s)
{
	struct journal *journal;
	uint32_t entry;

	assert_int_equal(journal_open(&fetch_files_real, s->state, "j", "t", &journal, NULL), 0);
	entry = journal_intern(journal, SPAN_LITERAL("uold"));
	journal_at(journal, entry)->state = SEEN_MARKED;
	for (int i = 0; i < 300; i++)
		assert_int_equal(journal_write_seen(journal, entry, NULL), 0);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
}

static void begin_run(struct scratch *s, int at, int errnum, bool for_ever)
{
	make(s);
	if (s->long_journal)
		lengthen_journal(s);
	calls = 0;
	fatal = at;
	error = errnum;
	stays = for_ever;
	interrupts = false;
}

/* One run with a failure, and the next one without; what was flushed is followed through both. */
static int fail_at(struct scratch *s, int at, int errnum, bool for_ever)
{
	struct err err = {0};
	char dotlock[100];
	int got;

	begin_run(s, at, errnum, for_ever);
	got = collect(s, &table, &err);
	if (got < 0 && (!err.code || !err.text[0]))
		fail_msg("call %d failed without a word", at);
	if (got >= 0) /* for instance: a file that cannot be removed */
		assert_durable(s);
	if (s->type == FETCH_MAILDIR)
		assert_true(check_new(s) <= s->count);
	fatal = -1;
	err = (struct err){0};
	snprintf(dotlock, sizeof(dotlock), "%s.lock", s->mbox);
	(void)unlink(dotlock); /* people do that after a run was killed */
	if (collect(s, &table, &err) != s->count)
		fail_msg("after call %d failed: %s", at, err.text);
	assert_durable(s);
	assert_all_there(s);
	return calls;
}

static void each_call_fails(enum fetch_sink_type type, int count, bool long_journal)
{
	static const int errors[] = {ENOSPC, EIO, EROFS};
	struct scratch s = {.type = type, .count = count, .long_journal = long_journal};
	struct err err = {0};
	int total;

	begin_run(&s, -1, 0, false);
	assert_int_equal(collect(&s, &table, &err), count);
	assert_durable(&s);
	assert_all_there(&s);
	total = calls;
	clear(&s);
	assert_true(total > 10);
	begin_run(&s, -1, 0, false);
	interrupts = true;
	assert_int_equal(collect(&s, &table, &err), count);
	assert_durable(&s);
	assert_all_there(&s);
	clear(&s);
	for (int kind = 0; kind < 3; kind++) {
		for (int n = 1; n <= total; n++) {
			fail_at(&s, n, errors[kind], false);
			clear(&s);
			fail_at(&s, n, errors[kind], true);
			clear(&s);
		}
	}
}

static void each_call_fails_maildir(void **state)
{
	(void)state;
	each_call_fails(FETCH_MAILDIR, 3, false);
	each_call_fails(FETCH_MAILDIR, MESSAGES, false);
}

static void each_call_fails_mbox(void **state)
{
	(void)state;
	/* one: a dotlock that cannot be removed is waited for by the next message */
	each_call_fails(FETCH_MBOX, 1, false);
}

static void each_call_fails_journal_rewritten(void **state)
{
	(void)state;
	each_call_fails(FETCH_MAILDIR, 2, true);
}

/* A run that is killed at one call, then one killed while it puts that in order, then one that
 * ends. */
static void two_faults(bool second_stays)
{
	struct scratch s = {.type = FETCH_MAILDIR, .count = 2};
	struct err err = {0};
	int first = 1, second, total;

	do {
		begin_run(&s, first, EIO, true);
		(void)collect(&s, &table, &err);
		total = calls;
		for (second = 1;; second++) {
			clear(&s);
			begin_run(&s, first, EIO, true);
			(void)collect(&s, &table, &err);
			calls = 0;
			fatal = second;
			stays = second_stays;
			if (collect(&s, &table, &err) >= 0) {
				assert_durable(&s);
				if (calls < second)
					break;
			}
			fatal = -1;
			if (collect(&s, &table, &err) != s.count)
				fail_msg("after %d and %d: %s", first, second, err.text);
			assert_durable(&s);
			assert_all_there(&s);
		}
		clear(&s);
	} while (total >= first++);
	assert_true(first > 20);
}

static void two_faults_in_a_row(void **state)
{
	(void)state;
	two_faults(true);
	two_faults(false);
}

/* The state folder and those above it: made by a run that may be killed at any call. */
static void state_folder_is_flushed(void **state)
{
	struct scratch s = {.type = FETCH_MAILDIR};
	char path[120];
	int fd;

	(void)state;
	for (int at = 1, last = 0; !last; at++) {
		begin_run(&s, at, EIO, true);
		snprintf(path, sizeof(path), "%s/one/two/three", s.path);
		fd = state_open(&table, path, NULL);
		last = fd >= 0;
		assert_true(last || calls >= at);
		if (!last) {
			fatal = -1;
			fd = state_open(&table, path, NULL);
		}
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(bits_of(&s, ".") & LEDGER_FOLDER, 0);
		assert_int_equal(bits_of(&s, "one") & LEDGER_FOLDER, 0);
		assert_int_equal(bits_of(&s, "one/two") & LEDGER_FOLDER, 0);
		clear(&s);
		assert_true(at < 50);
	}
}

/* What an earlier run staged: named by the journal: shown; not named: removed; others': left. */
static void leftovers(void **state)
{
	char path[200], final[200] = "", id[DELIVERY_ID_SIZE], account[DELIVERY_ID_SIZE];
	struct journal *journal;
	struct err err = {0};
	struct scratch s = {.type = FETCH_MAILDIR, .count = 3};
	uint32_t entry;
	char text[200];
	int fd;

	(void)state;
	make(&s);
	assert_int_equal(collect(&s, &fetch_files_real, &err), s.count);
	assert_int_equal(journal_open(&fetch_files_real, s.state, "j", "t", &journal, &err), 0);
	delivery_id(SPAN_LITERAL("key"), SPAN_LITERAL("account"), account);
	for (int n = 7; n < 9; n++) { /* 7 is journalled, 8 is not */
		char identity[16];

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
	assert_int_equal(collect(&s, &fetch_files_real, &err), s.count + 1);
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "ls %s* | grep -q ',S=[0-9]*,W=55$'", final);
	assert_int_equal(system(path), 0);
	clear(&s);
}

/* The message, the words and the folders they are in are on the disk. */
static void assert_kept_durable(const struct scratch *s, const char *id)
{
	char folder[120], name[300], journal[STATE_NAME_MAX];
	struct fetch_account account = {.name = "anna"};

	state_journal_name(&account, "key", journal);
	*strrchr(journal, '.') = '\0';
	snprintf(folder, sizeof(folder), "state/refused/%.100s", journal);
	snprintf(name, sizeof(name), "%s/valija-refused/%s.txt", folder, id);
	assert_int_equal(bits_of(s, name), 0);
	snprintf(name, sizeof(name), "%s/new/%s.valija", folder, id);
	assert_int_equal(bits_of(s, name), 0);
	snprintf(name, sizeof(name), "%s/valija-refused", folder);
	assert_int_equal(bits_of(s, name), 0);
	snprintf(name, sizeof(name), "%s/new", folder);
	assert_int_equal(bits_of(s, name), 0);
	assert_int_equal(bits_of(s, folder) & LEDGER_FOLDER, 0);
	assert_int_equal(bits_of(s, "state/refused") & LEDGER_FOLDER, 0);
	assert_int_equal(bits_of(s, "state") & LEDGER_FOLDER, 0);
}

/* A message that its destination refused is kept, or the sink says that it is not: whatever call
 * fails, flushes among them. */
static void refused_messages_are_kept_or_not(void **state)
{
	struct scratch s = {.type = FETCH_MAILDIR};
	struct sink_message message = {.id = "0123456789abcdef0123456789abcdef", .octets = 5};
	bool last = false;

	(void)state;
	for (int at = 1; !last; at++) {
		struct fetch_account account;
		struct sink_settings settings = {
			.files = &table, .account = &account, .key = SPAN_LITERAL("key")};
		struct refused *refused = NULL;
		struct err err;
		int fd = memfd_create("message", MFD_CLOEXEC);
		enum sink_result result;

		fetch_account_defaults(&account);
		snprintf(account.name, sizeof(account.name), "anna");
		assert_int_equal(write(fd, "A: b\n", 5), 5);
		begin_run(&s, at, EIO, false);
		settings.state_dir = s.state;
		assert_int_equal(refused_open(&settings, &refused, &err), 0);
		err_set(&err, 0, "550 no");
		result = refused_keep(refused, fd, &message, &err);
		last = calls < at;
		if (result != (last ? SINK_REFUSED : SINK_BROKEN))
			fail_msg("call %d failed: %s", at, err.text);
		assert_non_null(strstr(err.text, "550 no"));
		if (last) {
			assert_kept_durable(&s, message.id);
			/* the folders are open by now: the next one costs less */
			fatal = -1;
			err_set(&err, 0, "550 no");
			assert_int_equal(refused_keep(refused, fd, &message, &err), SINK_REFUSED);
			assert_kept_durable(&s, message.id);
		}
		refused_close(refused);
		close(fd);
		clear(&s);
		assert_true(at < 200);
	}
}

/* The id in a name of ours is read back; other names have none, however much they look like it. */
static void names_and_their_ids(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	static const char *const others[] = {
		"1700000000.M000007P12.host,S=3",
		"1700000000.M000007V0123456789abcdef0123456789abcde.host", /* one digit less */
		"1700000000.M000007P0123456789abcdef0123456789abcdef.host",
		"1700000000.M000007V0123456789abcdef0123456789abcdeg.host",
		"1700000000.V0123456789abcdef0123456789abcdef.host",
		"",
	};
	char name[200];

	(void)state;
	assert_int_equal(strlen(id), DELIVERY_ID_SIZE - 1);
	maildir_final_name("host", id, 1700000000000007, 50, 55, name, sizeof(name));
	assert_string_equal(name,
			    "1700000000.M000007V0123456789abcdef0123456789abcdef.host,S=50,W=55");
	assert_non_null(maildir_name_id(name));
	assert_memory_equal(maildir_name_id(name), id, DELIVERY_ID_SIZE - 1);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_null(maildir_name_id(others[i]));
}

/* The key of a journal: it must not change between versions, or all mail is collected again. */
static void keys_of_journals(void **state)
{
	static const struct {
		const char *key, *target, *host;
		enum fetch_sink_type sink;
		bool from_url;
		uint16_t port;
	} cases[] = {
		{"anna\nu@h.example\n", "/tmp/mail", "h.example", FETCH_MAILDIR, false, 110},
		{"anna\nu@h.example\n", "/tmp/mbox", "h.example", FETCH_MBOX, false, 1110},
		{"anna\nu@h.example\n", "cat", "h.example", FETCH_COMMAND, false, 995},
		{"\nu@h.example\n/tmp", "/tmp", "h.example", FETCH_MAILDIR, true, 110},
		{"\nu@h.example\n/tmp/no-mbox", "/tmp/no-mbox", "h.example", FETCH_MBOX, true,
		 1110},
		{"\nu@h.example\n./cat x", "./cat x", "h.example", FETCH_COMMAND, true, 995},
		{"\nu@localhost:1110\n./cat", "./cat", "localhost", FETCH_COMMAND, true, 1110},
		{"\nu@localhost\n./cat", "./cat", "localhost", FETCH_COMMAND, true, 995},
		{"\nu@127.0.0.1:1110\n./cat", "./cat", "127.0.0.1", FETCH_COMMAND, true, 1110},
		{"anna\nu@localhost\n", "./cat", "localhost", FETCH_COMMAND, false, 1110},
	};
	int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* it has no journals */

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fetch_account account = {.sink = cases[i].sink,
						.from_url = cases[i].from_url,
						.port = cases[i].port};
		char key[STATE_KEY_MAX];
		struct err err;

		snprintf(account.name, sizeof(account.name), "anna");
		snprintf(account.user, sizeof(account.user), "u");
		snprintf(account.host, sizeof(account.host), "%s", cases[i].host);
		snprintf(account.target, sizeof(account.target), "%s", cases[i].target);
		assert_int_equal(state_key(&account, dir, key, &err), 0);
		assert_string_equal(key, cases[i].key);
	}
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_fails_maildir),
		cmocka_unit_test(each_call_fails_mbox),
		cmocka_unit_test(each_call_fails_journal_rewritten),
		cmocka_unit_test(two_faults_in_a_row),
		cmocka_unit_test(state_folder_is_flushed),
		cmocka_unit_test(leftovers),
		cmocka_unit_test(refused_messages_are_kept_or_not),
		cmocka_unit_test(names_and_their_ids),
		cmocka_unit_test(keys_of_journals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
