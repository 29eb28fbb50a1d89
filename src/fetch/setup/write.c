/* See write.h. With the rights of the user, in the process of a person's command. */
#include "fetch/setup/write.h"

#include "base/descriptor.h"
#include "fetch/account/config_text.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

static void put(struct section_text *text, const char *part)
{
	size_t n = strlen(part);

	if (n >= sizeof(text->text) - text->used) {
		text->full = true;
		return;
	}
	memcpy(text->text + text->used, part, n + 1);
	text->used += n;
}

static void put_quoted(struct section_text *text, const char *value)
{
	char buf[CONFIG_QUOTED_MAX];
	const char *quoted = config_quoted(value, buf);

	if (quoted)
		put(text, quoted);
	else
		text->full = true;
}

void section_open(struct section_text *text, const char *kind, const char *name)
{
	put(text, "\n");
	put(text, kind);
	put(text, " ");
	put_quoted(text, name);
	put(text, " {\n");
}

void section_set(struct section_text *text, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	put(text, "\t");
	put(text, key);
	put(text, " = ");
	put_quoted(text, value);
	put(text, "\n");
}

/* "~/" is the user's, in the file, too. */
static void set_whole(struct section_text *text, const char *key, const char *kind,
		      const char *path)
{
	bool whole = path[0] == '/' || strncmp(path, "~/", 2) == 0;
	char folder[PATH_MAX] = "", value[2 * PATH_MAX];

	if (!whole && !getcwd(folder, sizeof(folder)))
		whole = true;
	if (snprintf(value, sizeof(value), "%s%s%s%s", kind, folder, whole ? "" : "/", path) >=
	    (int)sizeof(value))
		text->full = true;
	else
		section_set(text, key, value);
}

void section_set_path(struct section_text *text, const char *key, const char *path)
{
	if (path && path[0])
		set_whole(text, key, "", path);
}

void section_set_place(struct section_text *text, const char *key, const char *place)
{
	static const char *const kinds[] = {"maildir:", "mbox:"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i]);

		if (strncmp(place, kinds[i], n) == 0 && place[n]) {
			set_whole(text, key, kinds[i], place + n);
			return;
		}
	}
	section_set(text, key, place);
}

void section_close(struct section_text *text)
{
	put(text, "}\n");
}

static int copy(const char *file, int to, mode_t *ret_mode, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;
	ssize_t n = -1;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, EX_NOINPUT, errno, "cannot read %s", file);
		close_fd(&fd);
		return -1;
	}
	*ret_mode = st.st_mode & 0777;
	text = malloc(FILE_MAX);
	if (text)
		n = read(fd, text, FILE_MAX);
	close(fd);
	if (n < 0 || n == FILE_MAX)
		err_set(err, EX_NOINPUT, "cannot read %s, or it is too large", file);
	else if (fetch_write_all(&fetch_files_real, to, text, (size_t)n) < 0)
		n = err_sys(err, EX_IOERR, errno, "cannot write beside %s", file);
	free(text);
	return n < 0 || n == FILE_MAX ? -1 : 0;
}

static int fill(const char *file, int fd, const struct section_text *text, struct err *err)
{
	mode_t mode = 0600;

	if (copy(file, fd, &mode, err) < 0)
		return -1;
	if (fetch_write_all(&fetch_files_real, fd, text->text, text->used) < 0 ||
	    fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot write beside %s", file);
	return 0;
}

/* The name of the file in the place of the draft's, which a person does not know. */
static int complain(const char *file, const char *draft, const struct err *why, struct err *err)
{
	size_t n = strlen(draft);
	bool named = strncmp(why->text, draft, n) == 0;

	return err_set(err, why->code, "%s%s%s", file, named ? "" : ": ",
		       why->text + (named ? n : 0));
}

int draft_config(const char *file, const struct section_text *text, struct fetch_config *ret,
		 struct err *err)
{
	int fd = memfd_create("draft of the configuration", MFD_CLOEXEC), rc;
	struct err why = {0};
	mode_t mode = 0600;
	char name[32];

	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "no memory for the configuration");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	rc = text->full ? err_set(err, EX_USAGE, "the account's settings are too long")
			: copy(file, fd, &mode, err);
	if (rc == 0 && fetch_write_all(&fetch_files_real, fd, text->text, text->used) < 0)
		rc = err_sys(err, EX_OSERR, errno, "no memory for the configuration");
	if (rc == 0 && fetch_config_read(name, ret, &why) < 0)
		rc = complain(file, name, &why, err);
	close(fd);
	return rc;
}

/* A configuration with a mistake in it would stop the accounts that are there, too. */
static int check(const char *temporary, struct err *err)
{
	struct fetch_config config;

	if (fetch_config_read(temporary, &config, err) < 0)
		return -1;
	fetch_config_finish(&config);
	return 0;
}

int write_config(const char *file, const struct section_text *text, struct err *err)
{
	char temporary[PATH_MAX], whole[PATH_MAX];
	const char *real = realpath(file, whole) ? whole : file; /* a link stays one */
	int fd, rc;

	if (text->full || snprintf(temporary, sizeof(temporary), "%s.new", real) >= PATH_MAX)
		return err_set(err, EX_USAGE, "the account's settings are too long");
	if (fetch_config_folder(real, err) < 0)
		return -1;
	unlink(temporary); /* left by one that was killed */
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", temporary);
	rc = fill(real, fd, text, err);
	close(fd);
	if (rc == 0)
		rc = check(temporary, err);
	if (rc == 0 &&
	    (rename(temporary, real) < 0 || fetch_flush_parent(&fetch_files_real, real) < 0))
		rc = err_sys(err, EX_CANTCREAT, errno, "cannot write %s", real);
	if (rc < 0)
		unlink(temporary);
	return rc;
}
