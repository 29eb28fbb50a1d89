/* See mark.h. Runs with the rights of the person who calls it: the owner of the state folder. */
#include "cli/mark.h"

#include "cli/command.h"
#include "config/config.h"
#include "config/path.h"
#include "maildrop/mail_root.h"
#include "maildrop/register.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct arguments {
	const char *forget; /* a location below the mail folder; NULL: the folder gets its mark */
	const char *mail;
};

static int usage(void)
{
	fputs("usage: valija mark DIR\n"
	      "       valija mark --forget MAILDROP DIR\n"
	      "DIR is the mail folder as valija.conf has it, MAILDROP a path below it.\n",
	      stderr);
	return EX_USAGE;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"forget", required_argument, NULL, 'f'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'f')
			return -1;
		ret->forget = optarg;
	}
	if (optind != argc - 1 || !*argv[optind])
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
	register_destroy(reg);
	return rc;
}

/* Says where the mark is, and what is left to do. */
static int mark_root(const char *mail, int fd, struct err *err)
{
	char was[MAIL_MARK_SIZE], is[MAIL_MARK_SIZE];
	bool had = mail_mark_read(&maildrop_kernel, fd, was) == 0;
	struct mail_root root;

	mail_root_look(fd, mail, &root);
	if (mail_root_accept(&root, fd, is, err) < 0) {
		err_prefix(err, "%s", mail);
		return -1;
	}
	printf("%s %s the mark %s; if valijad runs, reload it\n", mail, had ? "has" : "got", is);
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
				      : mark_root(mail, fd, &err);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return command_failed("mark", &err);
	if (arguments.forget)
		printf("%s/%s is forgotten: it is made again by the next delivery\n", mail,
		       arguments.forget);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
