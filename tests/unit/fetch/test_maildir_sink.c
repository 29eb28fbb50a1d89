/* The Maildir sink: what is in it, what an earlier run left, who else is at work in it; and the
 * words of each failure, in all sinks that write files. */
#include "sink_test.h"

#include "fetch/sink/maildir.h"
#include "fetch/sink/refused.h"

#define SIZE ",S=6,W=6"

static struct journal *journal;
static struct fetch_files files; /* of the sink that is open */

static int begin(void **state)
{
	int rc = place_begin(state);

	files = fetch_files_real;
	place_target(FETCH_MAILDIR, "%s/Maildir", place.path);
	assert_int_equal(journal_open(&fetch_files_real, place.state, "j", "t", &journal, NULL), 0);
	return rc;
}

static int end(void **state)
{
	place_close();
	journal_close(journal);
	return place_end(state);
}

static int try_open(const struct fetch_files *table, struct sink **ret)
{
	struct sink_settings settings = {.files = table,
					 .account = &place.account,
					 .key = SPAN_LITERAL("key"),
					 .state_dir = place.state};

	place.err = (struct err){0};
	return sink_open(&settings, journal, ret, &place.err);
}

static void open_sink(void)
{
	if (try_open(&fetch_files_real, &place.sink) < 0)
		fail_msg("%s", place.err.text);
}

static void expect_not_opened(int code, const char *text)
{
	struct sink *other = NULL;

	assert_int_equal(try_open(&fetch_files_real, &other), -1);
	assert_string_equal(place.err.text, text);
	assert_int_equal(place.err.code, code);
}

/* How many files are in the folder; *ret: the last one's name. */
static unsigned files_in(const char *folder, char ret[256])
{
	char path[200];
	struct dirent *entry;
	unsigned count = 0;
	DIR *list;

	snprintf(path, sizeof(path), "%s/Maildir/%s", place.path, folder);
	list = opendir(path);
	assert_non_null(list);
	while ((entry = readdir(list))) {
		size_t n = strlen(entry->d_name);

		if (entry->d_name[0] == '.' ||
		    (n > 5 && strcmp(entry->d_name + n - 5, ".lock") == 0))
			continue;
		snprintf(ret, 256, "%s", entry->d_name);
		count++;
	}
	closedir(list);
	return count;
}

static void host(char ret[65])
{
	assert_int_equal(gethostname(ret, 65), 0);
}

/* Nothing is shown before it is published. */
static void a_message_on_its_way(void **state)
{
	char name[256], wanted[300], here[65];
	struct stat status;

	(void)state;
	open_sink();
	host(here);
	assert_int_equal(place.sink->batch, SINK_BATCH_MAX);
	assert_null(place.sink->ops->ask);
	place_expect(place_deliver("A: b\n\n"), SINK_OK, 0, "");
	assert_int_equal(files_in("new", name), 0);
	assert_int_equal(files_in("valija-staging", name), 1);
	assert_int_equal(strlen(name), 16 + 1 + 32);
	assert_string_equal(name + 17, "0123456789abcdef0123456789abcde0");
	assert_int_equal(place.sink->ops->settle(place.sink, &place.err), SINK_OK);
	assert_int_equal(files_in("new", name), 0);
	assert_int_equal(place.sink->ops->publish(place.sink, &place.err), SINK_OK);
	assert_int_equal(files_in("new", name), 1);
	snprintf(wanted, sizeof(wanted),
		 "1700000000.M000000V0123456789abcdef0123456789abcde0.%s" SIZE, here);
	assert_string_equal(name, wanted);
	snprintf(wanted, sizeof(wanted), "Maildir/new/%s", name);
	assert_string_equal(place_read(wanted), "A: b\n\n");
	assert_int_equal(files_in("valija-staging", name), 0);
	assert_int_equal(stat(place.account.target, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	/* with nothing to do, nothing is done */
	assert_int_equal(place.sink->ops->settle(place.sink, &place.err), SINK_OK);
	assert_int_equal(place.sink->ops->publish(place.sink, &place.err), SINK_OK);
}

static void a_message_that_is_dropped(void **state)
{
	char name[256];

	(void)state;
	open_sink();
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, SPAN_LITERAL("lost"), NULL), SINK_OK);
	assert_int_equal(files_in("valija-staging", name), 1);
	place.sink->ops->drop(place.sink);
	place.sink->ops->drop(place.sink); /* there is none */
	assert_int_equal(files_in("valija-staging", name), 0);
	/* nor does one stay whose run ends in the middle of it */
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, NULL), SINK_OK);
	place_close();
	assert_int_equal(files_in("valija-staging", name), 0);
}

/* Its name is known when all of it is here. */
static void a_message_without_a_unique_id(void **state)
{
	struct sink_message message = {.id = PLACE_ID, .octets = 3, .time = 5000001};
	static char text[40000];
	char name[256], path[300];
	pop3_span rest = {text, sizeof(text) - 1};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	open_sink();
	assert_int_equal(
		place.sink->ops->begin(place.sink, "ffffffffffffffffffffffffffffffff", NULL),
		SINK_OK);
	while (rest.size) { /* in pieces that fit no buffer */
		size_t n = rest.size < 7001 ? rest.size : 7001;

		assert_int_equal(
			place.sink->ops->write(place.sink, (pop3_span){rest.data, n}, NULL),
			SINK_OK);
		rest.data += n;
		rest.size -= n;
	}
	assert_int_equal(place.sink->ops->end(place.sink, &message, NULL), SINK_OK);
	assert_int_equal(files_in("valija-staging", name), 1);
	assert_string_equal(name + 17, PLACE_ID);
	assert_int_equal(place.sink->ops->settle(place.sink, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->publish(place.sink, NULL), SINK_OK);
	assert_int_equal(files_in("new", name), 1);
	assert_int_equal(strncmp(name, "5.M000001V" PLACE_ID ".", 43), 0);
	assert_non_null(strstr(name, ",S=39999,W=3"));
	snprintf(path, sizeof(path), "Maildir/new/%s", name);
	assert_string_equal(place_read(path), text);
}

static void one_run_at_a_time(void **state)
{
	struct sink *other = NULL;

	(void)state;
	open_sink();
	expect_not_opened(EX_TEMPFAIL,
			  "another run is collecting this account into this Maildir now");
	place_close();
	assert_int_equal(try_open(&fetch_files_real, &other), 0);
	other->ops->destroy(other);
}

static void folders_that_are_none(void **state)
{
	char text[400];

	(void)state;
	place_write("Maildir", "");
	snprintf(text, sizeof(text), "cannot open %s/Maildir: Not a directory", place.path);
	expect_not_opened(EX_CANTCREAT, text);
	snprintf(text, sizeof(text), "%s/Maildir", place.path);
	assert_int_equal(unlink(text), 0);
	assert_int_equal(mkdir(text, 0700), 0);
	for (size_t i = 0; i < 4; i++) {
		const char *name = (const char *const[]){"tmp", "cur", "new", "valija-staging"}[i];
		char path[200], file[100];

		snprintf(file, sizeof(file), "Maildir/%s", name);
		place_write(file, "");
		snprintf(text, sizeof(text), "Maildir %s/Maildir: cannot open %s: Not a directory",
			 place.path, name);
		expect_not_opened(EX_CANTCREAT, text);
		snprintf(path, sizeof(path), "%s/%s", place.path, file);
		assert_int_equal(unlink(path), 0);
	}
	place_target(FETCH_MAILDIR, "%s/no/Maildir", place.path);
	snprintf(text, sizeof(text), "cannot make %s/no/Maildir: No such file or directory",
		 place.path);
	expect_not_opened(EX_CANTCREAT, text);
}

/* ---- an earlier run ---- */

static void stage(const char *id, char staged[100])
{
	char account[DELIVERY_ID_SIZE];

	delivery_id(SPAN_LITERAL("key"), SPAN_LITERAL("account"), account);
	snprintf(staged, 100, "Maildir/valija-staging/%.16s.%s", account, id);
	place_write(staged, "A: b\n\n");
}

static uint32_t journalled(const char *identity, bool partial, char id[DELIVERY_ID_SIZE])
{
	uint32_t at = journal_intern(journal, span_of(identity));

	journal_at(journal, at)->state = partial ? SEEN_PARTIAL : SEEN_WHOLE;
	journal_at(journal, at)->time = 1700000000000000;
	journal_at(journal, at)->octets = 6;
	delivery_id_of_message(SPAN_LITERAL("key"), span_of(identity), partial, id);
	return at;
}

static void only_own_names_are_touched(void **state)
{
	static const char *const names[] = {
		"0000000000000000." PLACE_ID,
		"x",
		PLACE_ID,
		"README",
	};
	char path[200], account[DELIVERY_ID_SIZE], name[256];

	(void)state;
	open_sink();
	place_close();
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "Maildir/valija-staging/%s", names[i]);
		place_write(path, "x");
	}
	delivery_id(SPAN_LITERAL("key"), SPAN_LITERAL("account"), account);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "Maildir/valija-staging/%.16s%s", account,
			 (const char *const[]){"-" PLACE_ID, "." PLACE_ID "0", ".0123",
					       ".0123456789abcdef0123456789abcdeg"}[i]);
		place_write(path, "x");
	}
	open_sink();
	assert_int_equal(files_in("valija-staging", name), 8);
	place_close();
	snprintf(path, sizeof(path), "Maildir/valija-staging/%.16s." PLACE_ID, account);
	place_write(path, "x");
	open_sink();
	assert_int_equal(files_in("valija-staging", name), 8);
	assert_int_equal(files_in("new", name), 0);
}

static void what_the_journal_names_is_shown(void **state)
{
	char id[DELIVERY_ID_SIZE], staged[100], name[256];
	uint32_t at;

	(void)state;
	open_sink();
	place_close();
	(void)journalled("uother", false, id);
	at = journalled("uone", true, id);
	stage(id, staged);
	open_sink();
	assert_int_equal(files_in("new", name), 1);
	assert_int_equal(files_in("valija-staging", name), 0);
	place_close();
	/* marked, refused or unknown: it was not delivered */
	for (int state_of = 0; state_of < 5; state_of++) {
		if (state_of == SEEN_WHOLE || state_of == SEEN_PARTIAL)
			continue;
		journal_at(journal, at)->state = (uint8_t)state_of;
		stage(id, staged);
		open_sink();
		assert_int_equal(files_in("valija-staging", name), 0);
		assert_int_equal(files_in("new", name), 1);
		place_close();
	}
	/* the headers have another id than the whole */
	journal_at(journal, at)->state = SEEN_WHOLE;
	stage(id, staged);
	open_sink();
	assert_int_equal(files_in("new", name), 1);
}

static void what_stands_in_the_way(void **state)
{
	char id[DELIVERY_ID_SIZE], staged[100], path[400], final[256], text[500], here[65];

	(void)state;
	open_sink();
	place_close();
	host(here);
	(void)journalled("uone", false, id);
	snprintf(final, sizeof(final), "1700000000.M000000V%s.%s" SIZE, id, here);
	/* a rename that a power cut did by halves */
	stage(id, staged);
	snprintf(path, sizeof(path), "%s/%s", place.path, staged);
	snprintf(text, sizeof(text), "%s/Maildir/new/%s", place.path, final);
	assert_int_equal(link(path, text), 0);
	open_sink();
	place_close();
	assert_false(place_has(staged));
	assert_int_equal(files_in("new", path), 1);
	/* another file of that name */
	stage(id, staged);
	snprintf(text, sizeof(text), "new/%s is there already, but is another file", final);
	expect_not_opened(EX_CANTCREAT, text);
	assert_true(place_has(staged));
	/* no file at all */
	snprintf(path, sizeof(path), "%s/%s", place.path, staged);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(text, sizeof(text), "%s is not a file", staged + strlen("Maildir/"));
	expect_not_opened(EX_DATAERR, text);
}

/* ---- what is still there ---- */

static void put(const char *folder, const char *digit, const char *flags)
{
	char path[300];

	snprintf(path, sizeof(path),
		 "Maildir/%s/1.M000000V0123456789abcdef0123456789abcde%s.host,S=1,W=1%s", folder,
		 digit, flags);
	place_write(path, "x");
}

static bool has(char digit)
{
	char id[] = PLACE_ID;

	id[31] = digit;
	return sink_maildir_has(place.sink, id);
}

static void make_folder(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/Maildir/%s", place.path, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void messages_that_are_still_there(void **state)
{
	(void)state;
	open_sink();
	assert_int_equal(sink_maildir_scan(place.sink, &place.err), 0);
	assert_false(has('0'));
	put("new", "9", "");
	put("cur", "1", ":2,S");
	make_folder(".Work");
	make_folder(".Work/cur");
	make_folder(".Work/new");
	put(".Work/cur", "5", ":2,S");
	put(".Work/new", "3", "");
	make_folder(".Empty"); /* it has neither new nor cur */
	make_folder("Other");  /* no folder of a Maildir */
	make_folder("Other/cur");
	put("Other/cur", "7", "");
	put("tmp", "8", "");
	place_write("Maildir/.file", "");
	place_write("Maildir/cur/1.x,S=3", "");
	assert_int_equal(sink_maildir_scan(place.sink, &place.err), 0);
	for (const char *digit = "0123456789"; *digit; digit++)
		assert_int_equal(has(*digit), strchr("1359", *digit) != NULL);
	/* what has gone since is gone */
	assert_int_equal(sink_maildir_remove(place.sink, "0123456789abcdef0123456789abcde1", NULL),
			 0);
	assert_int_equal(sink_maildir_remove(place.sink, "0123456789abcdef0123456789abcde9", NULL),
			 0);
	assert_int_equal(sink_maildir_remove(place.sink, "0123456789abcdef0123456789abcde5", NULL),
			 0);
	assert_int_equal(sink_maildir_scan(place.sink, &place.err), 0);
	for (const char *digit = "0123456789"; *digit; digit++)
		assert_int_equal(has(*digit), strchr("35", *digit) != NULL);
}

static void many_messages(void **state)
{
	enum { COUNT = 2100 }; /* the list grows twice */
	char path[300], id[DELIVERY_ID_SIZE];

	(void)state;
	open_sink();
	for (int i = 0; i < COUNT; i++) {
		snprintf(path, sizeof(path), "Maildir/cur/1.M000000V%032x.host,S=1,W=1:2,S",
			 i * 7919 % COUNT);
		place_write(path, "");
	}
	assert_int_equal(sink_maildir_scan(place.sink, &place.err), 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(id, sizeof(id), "%032x", i);
		assert_true(sink_maildir_has(place.sink, id));
	}
	snprintf(id, sizeof(id), "%032x", COUNT);
	assert_false(sink_maildir_has(place.sink, id));
}

static bool no_memory_for_folders;

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);

DIR *__wrap_fdopendir(int fd)
{
	if (!no_memory_for_folders)
		return __real_fdopendir(fd);
	errno = ENOMEM;
	return NULL;
}

static unsigned descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

/* Its descriptor is closed again. */
static void a_folder_that_cannot_be_listed(void **state)
{
	unsigned before;

	(void)state;
	open_sink();
	before = descriptors();
	no_memory_for_folders = true;
	assert_int_equal(sink_maildir_scan(place.sink, &place.err), -1);
	no_memory_for_folders = false;
	assert_string_equal(place.err.text,
			    "cannot read a folder of the Maildir: Cannot allocate memory");
	assert_int_equal(descriptors(), before);
}

static void a_folder_that_is_gone(void **state)
{
	char path[200];

	(void)state;
	open_sink();
	snprintf(path, sizeof(path), "%s/Maildir/cur", place.path);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(sink_maildir_scan(place.sink, &place.err), 0);
	assert_int_equal(sink_maildir_remove(place.sink, PLACE_ID, &place.err), -1);
	assert_string_equal(place.err.text,
			    "cannot open the Maildir's cur: No such file or directory");
	assert_int_equal(place.err.code, EX_IOERR);
}

/* ---- failures, in words ---- */

static enum { WRITE, OPEN, FSYNC, SYNCFS, RENAME, PUBLISH, TRUNCATE } failing_call;
static int failing_errno;
static bool failing;

static bool fails(int call)
{
	if (!failing || call != (int)failing_call)
		return false;
	errno = failing_errno;
	return true;
}

static ssize_t f_write(int fd, const void *data, size_t size)
{
	return fails(WRITE) ? -1 : write(fd, data, size);
}

static int f_openat(int dir, const char *name, int flags, mode_t mode)
{
	return fails(OPEN) ? -1 : fetch_files_real.openat(dir, name, flags, mode);
}

static int f_fsync(int fd)
{
	(void)fd;
	return fails(FSYNC) ? -1 : 0;
}

static int f_syncfs(int fd)
{
	(void)fd;
	return fails(SYNCFS) ? -1 : 0;
}

static int f_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(RENAME) ? -1 : fetch_files_real.rename(from_dir, from, to_dir, to);
}

static int f_publish(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(PUBLISH) ? -1 : fetch_files_real.publish(from_dir, from, to_dir, to);
}

static int f_ftruncate(int fd, off_t size)
{
	return fails(TRUNCATE) ? -1 : ftruncate(fd, size);
}

static enum sink_result one_message(const char *id)
{
	struct sink_message message = {.id = PLACE_ID, .octets = 6};
	enum sink_result result;

	place.err = (struct err){0};
	failing = true;
	result = place.sink->ops->begin(place.sink, id, &place.err);
	if (result == SINK_OK)
		result = place.sink->ops->write(place.sink, SPAN_LITERAL("A: b\n\n"), &place.err);
	if (result == SINK_OK)
		result = place.sink->ops->end(place.sink, &message, &place.err);
	if (result == SINK_OK)
		result = place.sink->ops->settle(place.sink, &place.err);
	if (result == SINK_OK)
		result = place.sink->ops->publish(place.sink, &place.err);
	failing = false;
	place.sink->ops->drop(place.sink);
	return result;
}

/* A full disk passes, a broken one does not; a file that is too large for the disk leaves room for
 * smaller ones. */
static void each_failure_in_words(void **state)
{
	static const struct {
		int call;
		const char *maildir, *mbox, *command;
	} cases[] = {
		{OPEN, "cannot make a file in the Maildir's valija-staging",
		 "cannot hold a message in the state folder",
		 "cannot hold a message in the state folder"},
		{WRITE, "cannot write into the Maildir",
		 "cannot hold a message in the state folder",
		 "cannot hold a message in the state folder"},
		{RENAME, "cannot name a message in the Maildir's valija-staging", NULL, NULL},
		{FSYNC, "cannot flush a message to the disk", "cannot flush the mbox ", NULL},
		{PUBLISH, "cannot move a message into the Maildir's new", NULL, NULL},
	};
	static const struct {
		int errnum, code;
		enum sink_result result;
	} kinds[] = {{ENOSPC, EX_TEMPFAIL, SINK_BROKEN},
		     {EIO, EX_IOERR, SINK_BROKEN},
		     {EFBIG, EX_IOERR, SINK_FAILED}};

	files.write = f_write;
	files.openat = f_openat;
	files.fsync = f_fsync;
	files.syncfs = f_syncfs;
	files.rename = f_rename;
	files.publish = f_publish;
	for (int type = 0; type < 3; type++) {
		if (type == 1)
			place_target(FETCH_MBOX, "%s/mbox", place.path);
		if (type == 2)
			place_target(FETCH_COMMAND, "cat >> %s/all", place.path);
		assert_int_equal(try_open(&files, &place.sink), 0);
		for (size_t i = 0; i < 3 * sizeof(cases) / sizeof(*cases); i++) {
			const char *const texts[] = {cases[i / 3].maildir, cases[i / 3].mbox,
						     cases[i / 3].command};
			const char *text = texts[type];
			enum sink_result result;

			failing_call = cases[i / 3].call;
			failing_errno = kinds[i % 3].errnum;
			result = one_message(failing_call == RENAME
						     ? "ffffffffffffffffffffffffffffffff"
						     : PLACE_ID);
			assert_int_equal(result, text ? kinds[i % 3].result : SINK_OK);
			if (text) {
				assert_int_equal(strncmp(place.err.text, text, strlen(text)), 0);
				assert_int_equal(place.err.code, kinds[i % 3].code);
				assert_int_equal(place.err.errnum, kinds[i % 3].errnum);
			}
			place_close();
			assert_int_equal(try_open(&files, &place.sink), 0);
		}
		place_close();
	}
	(void)state;
}

/* The quota of a user is a disk that is full. */
static void a_quota_is_a_full_disk(void **state)
{

	(void)state;
	files.write = f_write;
	files.fsync = f_fsync;
	failing_errno = EDQUOT;
	failing_call = WRITE;
	assert_int_equal(try_open(&files, &place.sink), 0);
	assert_int_equal(one_message(PLACE_ID), SINK_BROKEN);
	assert_int_equal(place.err.code, EX_TEMPFAIL);
	place_close();
	place_target(FETCH_MBOX, "%s/mbox", place.path);
	failing_call = FSYNC;
	assert_int_equal(try_open(&files, &place.sink), 0);
	assert_int_equal(one_message(PLACE_ID), SINK_BROKEN);
	assert_int_equal(place.err.code, EX_TEMPFAIL);
}

/* Writes into the mbox fail behind half of their octets; the spool's do not. */
static ino_t mbox_inode;

static ssize_t half_write(int fd, const void *data, size_t size)
{
	struct stat status;

	if (fstat(fd, &status) < 0 || status.st_ino != mbox_inode)
		return write(fd, data, size);
	(void)!write(fd, data, size / 2);
	errno = failing_errno;
	return -1;
}

#define BEFORE "From a@example.org Tue Nov 14 22:13:20 2023\nbefore\n\n"

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What no sink can be made of leaves nothing open. */
static void an_mbox_that_is_none(void **state)
{
	unsigned before = open_descriptors();
	char path[2200];

	(void)state;
	snprintf(path, sizeof(path), "%s/mbox", place.path);
	assert_int_equal(mkfifo(path, 0600), 0);
	place_target(FETCH_MBOX, "%s/mbox", place.path);
	assert_int_equal(place_try_open(), -1);
	snprintf(path, sizeof(path), "the mbox %s is not a file", place.account.target);
	assert_string_equal(place.err.text, path);
	assert_int_equal(open_descriptors(), before);
	place_target(FETCH_MBOX, "%s/none/mbox", place.path);
	assert_int_equal(place_try_open(), -1);
	assert_int_equal(open_descriptors(), before);
}

/* The mbox is cut back to what it was: no half of a message stays. */
static void half_a_message_in_an_mbox(void **state)
{
	static const int errors[] = {ENOSPC, EIO, EFBIG};
	struct stat status;
	char text[2200];

	(void)state;
	place_target(FETCH_MBOX, "%s/mbox", place.path);
	place_write("mbox", BEFORE);
	assert_int_equal(stat(place.account.target, &status), 0);
	mbox_inode = status.st_ino;
	files.write = half_write;
	assert_int_equal(try_open(&files, &place.sink), 0);
	for (size_t i = 0; i < 3; i++) {
		failing_errno = errors[i];
		snprintf(text, sizeof(text), "cannot write the mbox %s: %s", place.account.target,
			 strerror(errors[i]));
		place_expect(place_deliver("A: b\n"),
			     errors[i] == EFBIG ? SINK_FAILED : SINK_BROKEN,
			     errors[i] == ENOSPC ? EX_TEMPFAIL : EX_IOERR, text);
		assert_string_equal(place_read("mbox"), BEFORE);
		assert_false(place_has("mbox.lock"));
	}
	files.ftruncate = f_ftruncate;
	failing_call = TRUNCATE;
	failing_errno = EROFS;
	failing = true;
	assert_int_equal(place_deliver("A: b\n"), SINK_BROKEN);
	failing = false;
	snprintf(text, sizeof(text), "cannot write the mbox %s: Read-only file system",
		 place.account.target);
	assert_string_equal(place.err.text, text);
}

/* Where no unnamed file can be made, a named one is, and its name is gone at once. */
static int named_only(int dir, const char *name, int flags, mode_t mode)
{
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return fetch_files_real.openat(dir, name, flags, mode);
}

static void a_state_folder_without_unnamed_files(void **state)
{
	char name[40];

	(void)state;
	files.openat = named_only;
	place_target(FETCH_COMMAND, "cat > %s/all; ls -A %s/state > %s/names", place.path,
		     place.path, place.path);
	assert_int_equal(try_open(&files, &place.sink), 0);
	place_expect(place_deliver("A: b\n"), SINK_OK, 0, "");
	assert_string_equal(place_read("all"), "A: b\n");
	assert_null(strstr(place_read("names"), "spool"));
	snprintf(name, sizeof(name), "state/spool.%d", (int)getpid());
	place_write(name, ""); /* another process's of that number, not of this machine */
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, &place.err), SINK_BROKEN);
	assert_string_equal(place.err.text,
			    "cannot hold a message in the state folder: File exists");
}

/* The place of refused messages is opened before anything is collected. */
static void no_place_for_refused_messages(void **state)
{
	char text[300];

	(void)state;
	snprintf(place.account.refused, sizeof(place.account.refused), "%s/no/aside", place.path);
	snprintf(text, sizeof(text),
		 "cannot open the Maildir of refused messages %s/no/aside: No such file or "
		 "directory",
		 place.path);
	for (int type = 0; type < 2; type++) {
		if (type)
			place_target(FETCH_LMTP, "127.0.0.1:1");
		else
			place_target(FETCH_COMMAND, "true");
		expect_not_opened(EX_CANTCREAT, text);
	}
}

static void a_place_of_its_own_for_refused_messages(void **state)
{
	char text[300];

	(void)state;
	snprintf(place.account.refused, sizeof(place.account.refused), "%s/aside", place.path);
	place_target(FETCH_COMMAND, "exit 65");
	open_sink();
	assert_true(place_has("aside"));
	assert_int_equal(place_deliver("A: b\n"), SINK_REFUSED);
	snprintf(text, sizeof(text), "the command ended with status 65 (it is kept in %s/aside)",
		 place.path);
	assert_string_equal(place.err.text, text);
	assert_string_equal(place_read("aside/new/0123456789abcdef0123456789abcde0.valija"),
			    "A: b\n");
	assert_true(place_has("aside/cur") && place_has("aside/tmp"));
	assert_false(place_has("aside/tmp/0123456789abcdef0123456789abcde0.valija"));
	assert_false(place_has("state/refused"));
}

/* A command's words may be longer than a line of the file has room for. */
static void a_long_refusal(void **state)
{
	struct sink_settings settings = {.files = &fetch_files_real,
					 .account = &place.account,
					 .key = SPAN_LITERAL("key"),
					 .state_dir = place.state};
	struct sink_message message = {.id = PLACE_ID, .octets = 5};
	struct refused *refused;
	char words[330];
	int fd;

	(void)state;
	snprintf(place.account.refused, sizeof(place.account.refused), "%s/aside", place.path);
	memset(place.account.name, 'n', sizeof(place.account.name) - 1);
	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_int_equal(refused_open(&settings, &refused, &place.err), 0);
	fd = open(".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	err_set(&place.err, 0, "%s", words);
	assert_int_equal(refused_keep(refused, fd, &message, &place.err), SINK_REFUSED);
	assert_non_null(strstr(place_read("aside/valija-refused/" PLACE_ID ".txt"), words));
	assert_string_equal(place_read("aside/new/" PLACE_ID ".valija"), "");
	refused_close(refused);
	refused_close(NULL);
	close(fd);
}

/* A folder of it that is none: the message waits, and nothing of another file is closed. */
static void a_place_for_refused_messages_that_is_none(void **state)
{
	struct sink_settings settings = {.files = &fetch_files_real,
					 .account = &place.account,
					 .key = SPAN_LITERAL("key"),
					 .state_dir = place.state};
	struct sink_message message = {.id = PLACE_ID, .octets = 5};
	struct refused *refused;
	char path[300];
	int fd, input = fcntl(STDIN_FILENO, F_GETFD);

	(void)state;
	snprintf(place.account.refused, sizeof(place.account.refused), "%s/aside", place.path);
	assert_int_equal(refused_open(&settings, &refused, &place.err), 0);
	place_write("aside/cur", "no folder");
	fd = open(".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	assert_int_not_equal(refused_keep(refused, fd, &message, &place.err), SINK_REFUSED);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), input);
	snprintf(path, sizeof(path), "%s/aside/cur", place.path);
	assert_int_equal(unlink(path), 0);
	err_set(&place.err, 0, "words");
	assert_int_equal(refused_keep(refused, fd, &message, &place.err), SINK_REFUSED);
	refused_close(refused);
	close(fd);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_message_on_its_way),
		IN_PLACE(a_message_that_is_dropped),
		IN_PLACE(a_message_without_a_unique_id),
		IN_PLACE(one_run_at_a_time),
		IN_PLACE(folders_that_are_none),
		IN_PLACE(only_own_names_are_touched),
		IN_PLACE(what_the_journal_names_is_shown),
		IN_PLACE(what_stands_in_the_way),
		IN_PLACE(messages_that_are_still_there),
		IN_PLACE(many_messages),
		IN_PLACE(a_folder_that_cannot_be_listed),
		IN_PLACE(a_folder_that_is_gone),
		IN_PLACE(each_failure_in_words),
		IN_PLACE(a_quota_is_a_full_disk),
		IN_PLACE(an_mbox_that_is_none),
		IN_PLACE(half_a_message_in_an_mbox),
		IN_PLACE(a_state_folder_without_unnamed_files),
		IN_PLACE(no_place_for_refused_messages),
		IN_PLACE(a_place_of_its_own_for_refused_messages),
		IN_PLACE(a_long_refusal),
		IN_PLACE(a_place_for_refused_messages_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
