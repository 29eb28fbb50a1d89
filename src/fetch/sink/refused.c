/* See refused.h. In the confined process; messages and words are hostile: the one is copied, the
 * other escaped. A message is in new/ only when it and its words are on the disk. */
#include "fetch/sink/refused.h"

#include "base/text.h"
#include "fetch/journal/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = DELIVERY_ID_SIZE + 16 };
enum { TMP, NEW, CUR, WORDS, FOLDERS };

struct refused {
	const struct fetch_files *files;
	int base;                                  /* the state folder, or the Maildir itself */
	char below[2][STATE_NAME_MAX];             /* folders below base; "": none */
	char place[PATH_MAX + 2 * STATE_NAME_MAX]; /* for people */
	char account[FETCH_TEXT_MAX];
	int folders[FOLDERS]; /* -1: not opened yet */
};

/* refused/NAME; the journal has the same name. */
static void name_below(struct refused *refused, const struct fetch_account *account,
		       const char *key)
{
	char *dot;

	snprintf(refused->below[0], sizeof(refused->below[0]), "refused");
	state_journal_name(account, key, refused->below[1]);
	dot = strrchr(refused->below[1], '.');
	if (dot)
		*dot = '\0';
}

static void name_place(struct refused *refused)
{
	char link[40], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", refused->base);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	snprintf(refused->place, sizeof(refused->place), "%s%s%s%s%s",
		 n > 0 ? path : "the state folder", refused->below[0][0] ? "/" : "",
		 refused->below[0], refused->below[1][0] ? "/" : "", refused->below[1]);
}

/* The folder is flushed into its parent, for a Maildir that a power cut could take away keeps
 * nothing. */
static int open_folder(const struct fetch_files *files, int parent, const char *path)
{
	if (files->mkdirat(parent, path, 0700) < 0 && errno != EEXIST)
		return -1;
	if (parent == AT_FDCWD ? fetch_flush_parent(files, path) < 0 : files->fsync(parent) < 0)
		return -1;
	return files->openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

int refused_open(const struct sink_settings *settings, struct refused **ret, struct err *err)
{
	const char *path = settings->account->refused;
	struct refused *refused = calloc(1, sizeof(*refused));

	if (!refused)
		return err_sys(err, EX_OSERR, errno, "memory");
	refused->files = settings->files;
	for (int i = 0; i < FOLDERS; i++)
		refused->folders[i] = -1;
	snprintf(refused->account, sizeof(refused->account), "%s", settings->account->name);
	if (path[0]) {
		refused->base = open_folder(settings->files, AT_FDCWD, path);
	} else {
		refused->base = fcntl(settings->state_dir, F_DUPFD_CLOEXEC, 3);
		name_below(refused, settings->account, settings->key.data);
	}
	if (refused->base < 0) {
		err_sys(err, EX_CANTCREAT, errno, "cannot open the Maildir of refused messages %s",
			path);
		free(refused);
		return -1;
	}
	name_place(refused);
	*ret = refused;
	return 0;
}

void refused_close(struct refused *refused)
{
	if (!refused)
		return;
	for (int i = 0; i < FOLDERS; i++)
		if (refused->folders[i] >= 0)
			refused->files->close(refused->folders[i]);
	refused->files->close(refused->base);
	free(refused);
}

/* Opens the Maildir's folders, once. -1: errno. */
static int enter(struct refused *refused)
{
	static const char *const names[FOLDERS] = {"tmp", "new", "cur", "valija-refused"};
	int fd;

	if (refused->folders[FOLDERS - 1] >= 0)
		return 0;
	fd = fcntl(refused->base, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 2 && fd >= 0 && refused->below[i][0]; i++) {
		int next = open_folder(refused->files, fd, refused->below[i]);

		refused->files->close(fd);
		fd = next;
	}
	for (int i = 0; i < FOLDERS && fd >= 0; i++) {
		if (refused->folders[i] < 0)
			refused->folders[i] = open_folder(refused->files, fd, names[i]);
		if (refused->folders[i] < 0) {
			refused->files->close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		return -1;
	refused->files->close(fd);
	return 0;
}

static int copy(const struct fetch_files *files, int from, int to)
{
	char buf[16384];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, buf, sizeof(buf), at)) > 0) {
		if (fetch_write_all(files, to, buf, (size_t)n) < 0)
			return -1;
		at += n;
	}
	return n < 0 || files->fsync(to) < 0 ? -1 : 0;
}

static int put_message(const struct fetch_files *files, int dir, const char *name, int from)
{
	int fd = files->openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600), rc;

	if (fd < 0)
		return -1;
	rc = copy(files, from, fd);
	files->close(fd);
	return rc;
}

static int put_words(const struct refused *refused, int dir, const char *name,
		     const struct sink_message *message, const char *words)
{
	const struct fetch_files *files = refused->files;
	int fd = files->openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600), rc, n;
	char text[1024], when[40];
	time_t seconds = (time_t)(message->time / 1000000);
	struct tm tm;

	if (fd < 0)
		return -1;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	n = snprintf(text, sizeof(text),
		     "account: %s\ncollected: %s\ndelivery id: %s\nanswer: %s\n", refused->account,
		     when, message->id, words);
	rc = fetch_write_all(files, fd, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
	if (rc == 0)
		rc = files->fsync(fd);
	files->close(fd);
	return rc;
}

/* Words, message, and only then its name in new/. */
static int store(const struct refused *refused, int fd, const struct sink_message *message,
		 const char *words)
{
	const struct fetch_files *files = refused->files;
	int tmp = refused->folders[TMP], new = refused->folders[NEW];
	char name[NAME_SIZE], text_name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s.valija", message->id);
	snprintf(text_name, sizeof(text_name), "%s.txt", message->id);
	if (put_words(refused, refused->folders[WORDS], text_name, message, words) < 0 ||
	    files->fsync(refused->folders[WORDS]) < 0 || put_message(files, tmp, name, fd) < 0 ||
	    files->rename(tmp, name, new, name) < 0)
		return -1;
	return files->fsync(new);
}

enum sink_result refused_keep(struct refused *refused, int fd, const struct sink_message *message,
			      struct err *err)
{
	char words[sizeof(err->text)];

	snprintf(words, sizeof(words), "%s", err->text);
	if (enter(refused) < 0 || store(refused, fd, message, words) < 0) {
		err_sys(err, EX_CANTCREAT, errno,
			"cannot keep a refused message in %.120s (the answer was: %.100s)",
			refused->place, words);
		return SINK_BROKEN;
	}
	err_set(err, EX_UNAVAILABLE, "%.200s (it is kept in %.120s)", words, refused->place);
	return SINK_REFUSED;
}
