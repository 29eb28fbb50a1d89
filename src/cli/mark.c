/* See mark.h. Runs with the rights of the person who calls it: the owner of the state folder. */
#include "cli/mark.h"

#include "cli/command.h"
#include "config/config.h"
#include "config/path.h"
#include "maildrop/guard.h"
#include "maildrop/mail_root.h"
#include "maildrop/register.h"
#include "maildrop/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	LOCATION_MAX = 512, /* octets of a path below the mail folder, with its NUL */
	LEVELS = 4,         /* as domain/letter/user/Maildir */
};

struct arguments {
	const char *forget; /* a location below the mail folder; NULL: the folder gets its mark */
	const char *mail;
	const char *store; /* the kind of its maildrops; NULL: as it is written there, or looks */
};

static int usage(void)
{
	fputs("usage: valija mark [--store maildir|mbox|rados] DIR\n"
	      "       valija mark --forget MAILDROP DIR\n"
	      "DIR is the mail folder as valija.conf has it, MAILDROP a path below it.\n",
	      stderr);
	return EX_USAGE;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"forget", required_argument, NULL, 'f'},
						{"store", required_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			ret->forget = optarg;
		else if (c == 's')
			ret->store = optarg;
		else
			return -1;
	}
	if (optind != argc - 1 || !*argv[optind] || (ret->forget && ret->store) ||
	    (ret->store && mail_store_of_word(ret->store) < 0))
		return -1;
	ret->mail = argv[optind];
	return 0;
}

/* The path as the configuration resolves it: absolute, without a slash at its end. */
static int absolute(const char *path, char buf[CONFIG_PATH_MAX], struct err *err)
{
	char cwd[CONFIG_PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return err_sys(err, EX_NOINPUT, errno, "the current folder has no path");
	if (config_resolve(cwd, path, buf, CONFIG_PATH_MAX, err) < 0)
		return -1;
	for (size_t n = strlen(buf); n > 1 && buf[n - 1] == '/'; n--)
		buf[n - 1] = '\0';
	return 0;
}

static int forget_maildrop(const struct arguments *arguments, const char *mail, int fd,
			   struct err *err)
{
	pop3_span location = {arguments->forget, strlen(arguments->forget)};
	enum register_kind kind = REGISTER_NONE;
	char file[MAIL_ROOT_MEMORY_MAX];
	struct mail_register *reg;
	struct mail_root root;
	struct stat st;
	int rc;

	if (fstatat(fd, arguments->forget, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, EX_USAGE, "%s/%s is there: it cannot be forgotten", mail,
			       arguments->forget);
	mail_root_look(fd, mail, &root);
	if (mail_root_register(&root, file) < 0)
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	reg = register_create(file);
	if (!reg)
		return err_sys(err, EX_OSERR, errno, "%s", file);
	rc = register_find(reg, location, &kind, err);
	if (rc == 0 && kind == REGISTER_NONE)
		rc = err_set(err, EX_NOINPUT,
			     "%s has no maildrop %s; is %s the path that "
			     "valija.conf has?",
			     file, arguments->forget, mail);
	if (rc == 0)
		rc = register_enter(reg, location, REGISTER_NONE, REGISTER_NOW, err);
	if (rc == 0)
		rc = guard_forget(reg, location, err);
	register_destroy(reg);
	return rc;
}

/* ---- what is there goes into the register ---- */

struct scan {
	struct mail_register *reg;
	unsigned found;
	struct err *err;
};

static bool has_folder(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool part_of_maildrop(const char *name)
{
	return strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0;
}

static int scan_folder(struct scan *scan, int parent, const char *name, const char *path,
		       int levels);

/* The folders in one that is open at path ("": the mail folder). */
static int scan_inside(struct scan *scan, DIR *folder, const char *path, bool maildrop, int levels)
{
	struct dirent *entry;
	int rc = 0;

	while (rc == 0 && (entry = readdir(folder)) != NULL) {
		char below[LOCATION_MAX];
		int n;

		if (entry->d_name[0] == '.' || (maildrop && part_of_maildrop(entry->d_name)) ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		n = snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? "/" : "",
			     entry->d_name);
		if (n < LOCATION_MAX)
			rc = scan_folder(scan, dirfd(folder), entry->d_name, below, levels);
	}
	return rc;
}

/* A maildrop has new or cur; one that lost the other gets it again. Links are not followed: the
 * server follows none either. */
static int scan_folder(struct scan *scan, int parent, const char *name, const char *path,
		       int levels)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	bool cur = folder && has_folder(fd, "cur"), new = folder &&has_folder(fd, "new");
	int rc = 0;

	if (!folder) {
		if (errno != ENOTDIR && errno != ENOENT)
			fprintf(stderr, "valija mark: %s is left out: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if ((cur || new) && path[0]) {
		rc = register_enter(scan->reg, (pop3_span){path, strlen(path)}, REGISTER_MADE,
				    REGISTER_WITH_NEXT, scan->err);
		scan->found++;
	}
	if (rc == 0 && levels > 0)
		rc = scan_inside(scan, folder, path, cur && new, levels - 1);
	closedir(folder);
	return rc;
}

/* Enters each maildrop that is there, so that it is missed if it is not there once more, though the
 * server never opened it. */
static int fill_register(const struct mail_root *root, int fd, unsigned *ret_found, struct err *err)
{
	char file[MAIL_ROOT_MEMORY_MAX];
	struct scan scan = {.err = err};
	int rc;

	if (mail_root_register(root, file) < 0)
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	scan.reg = register_create(file);
	if (!scan.reg)
		return err_sys(err, EX_OSERR, errno, "%s", file);
	rc = scan_folder(&scan, fd, ".", "", LEVELS);
	if (rc == 0)
		rc = register_flush(scan.reg, err);
	register_destroy(scan.reg);
	*ret_found = scan.found;
	return rc;
}

/* The kind of the maildrops, written down unless it is already. A folder with Maildirs of ours may
 * have any files beside them. */
static int settle_store(const struct arguments *arguments, int fd, struct err *err)
{
	int written = mail_store_read(&maildrop_kernel, fd), kind = written;

	if (arguments->store)
		kind = mail_store_of_word(arguments->store);
	else if (written < 0)
		kind = mail_mark_earned(fd) ? STORE_MAILDIR : mail_store_guess(fd, err);
	if (kind < 0 || (kind != written && mail_store_write(fd, kind, err) < 0))
		return -1;
	return kind;
}

/* Says where the mark is, and what is left to do. */
static int mark_root(const struct arguments *arguments, const char *mail, int fd, struct err *err)
{
	char was[MAIL_MARK_SIZE], is[MAIL_MARK_SIZE];
	bool had = mail_mark_read(&maildrop_kernel, fd, was) == 0;
	int kind = settle_store(arguments, fd, err);
	struct mail_root root;
	unsigned found;

	if (kind < 0)
		return err_prefix(err, "%s", mail);
	mail_root_look(fd, mail, &root);
	if (mail_root_accept(&root, fd, is, err) < 0) {
		err_prefix(err, "%s", mail);
		return -1;
	}
	printf("%s %s the mark %s; if valijad runs, reload it\n", mail, had ? "has" : "got", is);
	if (kind == STORE_MBOX) {
		printf("its maildrops are mboxes: one that is not there is one without mail\n");
		return 0;
	}
	if (fill_register(&root, fd, &found, err) < 0) {
		err_prefix(err, "maildrops that are there are not all in the register");
		return -1;
	}
	printf("%u maildrops are there, and in the register\n", found);
	return 0;
}

int mark_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	char mail[CONFIG_PATH_MAX];
	struct err err = {0};
	int fd = -1, rc;

	if (parse(argc, argv, &arguments) < 0)
		return usage();
	rc = absolute(arguments.mail, mail, &err);
	if (rc == 0)
		rc = config_open_directory(mail, O_RDONLY, &fd, &err);
	if (rc == 0)
		rc = arguments.forget ? forget_maildrop(&arguments, mail, fd, &err)
				      : mark_root(&arguments, mail, fd, &err);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return command_failed("mark", &err);
	if (arguments.forget)
		printf("%s/%s is forgotten: it is made again by the next delivery\n", mail,
		       arguments.forget);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
