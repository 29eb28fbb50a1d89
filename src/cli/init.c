/*
 * `valija init`: a post office in a directory: configuration, users, certificate, mail. It
 * overwrites nothing: when any of them is there it stops before it makes the first, and what it
 * made is taken away again when a later step fails. A folder of mail that is elsewhere (--mail) may
 * be there before: with its mark, or empty. The folder of people's homes (--homes) is there in any
 * case, and gets the mark alone; that of their mailboxes (--spool) is, too, and gets the mark and
 * the word that it has mboxes.
 */
#include "cli/init.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/with_command.h"
#include "config/config.h"
#include "config/listener.h"
#include "maildrop/mail_mark.h"
#include "maildrop/mail_store.h"
#include "maildrop/store.h"
#include "sys/tls_certificate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define SYSUSERS "systemd-sysusers dist/sysusers.d/valija.conf"

/* In the order they are made. */
enum part {
	PART_TLS,
	PART_KEY,
	PART_CERTIFICATE,
	PART_MAIL,
	PART_MARK,
	PART_USERS,
	PART_CONFIG,
	PART_COUNT
};

static const char *const names[PART_COUNT] = {"tls",        "tls/key.pem",          "tls/cert.pem",
					      "mail",       "mail/" MAIL_MARK_NAME, "users",
					      "valija.conf"};

struct office {
	struct config config;
	const char *directory;
	const char *elsewhere; /* where the mail is, if not in directory */
	/* of the users of this machine, who are users then: their homes, or the folder of their
	 * mailboxes, which is elsewhere; or NULL */
	const char *homes, *spool;
	int fd, mail_fd, homes_fd;
	bool made_directory, made_elsewhere, marked_homes, wrote_store;
	bool mboxes; /* in a folder of group mail, for one */
	bool made[PART_COUNT];
	const char *hints[2];
};

static int usage(void)
{
	fputs("usage: valija init DIR [--hostname NAME] [--pop3 ADDR:PORT] [--pop3s ADDR:PORT]\n"
	      "                   [--lmtp ADDR:PORT|PATH] [--mail FOLDER]\n"
	      "                   [--homes FOLDER | --spool FOLDER] [--control PATH]\n"
	      "                   [--metrics ADDR:PORT]\n"
	      "       valija init --with postfix|exim [-c CONF] [--postfix-config DIR] [--apply | "
	      "--undo]\n"
	      "                   [--try USER[@DOMAIN]]\n",
	      stderr);
	return EX_USAGE;
}

static int add_listener(struct office *office, const char *value, enum config_service service,
			struct err *err)
{
	struct config_listener *first = office->config.listeners;
	struct config_listener *listener = first + office->config.listener_count;

	/* a path stays as it was given: it is relative to the configuration file */
	if (config_listener_parse(value, service, NULL, listener, err) < 0) {
		err->code = EX_USAGE;
		return -1;
	}
	for (const struct config_listener *other = first; other < listener; other++)
		if (listener->port && listener->port == other->port &&
		    strcmp(listener->address, other->address) == 0)
			return err_set(err, EX_USAGE, "%s is given twice", value);
	office->config.listener_count++;
	return 0;
}

static int parse(int argc, char **argv, struct office *office, struct err *err)
{
	static const struct option options[] = {{"hostname", required_argument, NULL, 'n'},
						{"pop3", required_argument, NULL, 'p'},
						{"pop3s", required_argument, NULL, 's'},
						{"lmtp", required_argument, NULL, 'l'},
						{"mail", required_argument, NULL, 'm'},
						{"homes", required_argument, NULL, 'H'},
						{"spool", required_argument, NULL, 'S'},
						{"control", required_argument, NULL, 'c'},
						{"metrics", required_argument, NULL, 'M'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *listen[SERVICE_COUNT] = {[SERVICE_POP3] = "127.0.0.1:1110",
					     [SERVICE_POP3S] = "127.0.0.1:1995",
					     [SERVICE_LMTP] = "127.0.0.1:1124"};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n' && !config_host_valid(optarg))
			return err_set(err, EX_USAGE, "\"%s\" is not a host name", optarg);
		if (c == 'n')
			snprintf(office->config.host_name, sizeof(office->config.host_name), "%s",
				 optarg);
		else if (c == 'p')
			listen[SERVICE_POP3] = optarg;
		else if (c == 's')
			listen[SERVICE_POP3S] = optarg;
		else if (c == 'l')
			listen[SERVICE_LMTP] = optarg;
		else if (c == 'm')
			office->elsewhere = optarg;
		else if (c == 'H')
			office->homes = optarg;
		else if (c == 'S')
			office->spool = optarg;
		else if (c == 'c')
			listen[SERVICE_CONTROL] = optarg;
		else if (c == 'M')
			listen[SERVICE_STATUS] = optarg;
		else
			return -1;
	}
	if (optind != argc - 1 || !*argv[optind])
		return -1;
	office->directory = argv[optind];
	if (office->spool && (office->homes || office->elsewhere))
		return err_set(err, EX_USAGE,
			       "--spool is where all mail is: it goes with neither --mail nor "
			       "--homes");
	if (office->spool)
		office->elsewhere = office->spool;
	for (int i = 0; i < SERVICE_COUNT; i++)
		if (listen[i] && add_listener(office, listen[i], (enum config_service)i, err) < 0)
			return -1;
	return 0;
}

static int open_directory(struct office *office, struct err *err)
{
	if (mkdir(office->directory, 0755) == 0)
		office->made_directory = true;
	else if (errno != EEXIST)
		return err_sys(err, EX_CANTCREAT, errno, "%s", office->directory);
	office->fd = open(office->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (office->fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s", office->directory);
	for (int i = 0; i < PART_COUNT; i++) {
		struct stat st;

		if (office->elsewhere && (i == PART_MAIL || i == PART_MARK))
			continue;
		if (fstatat(office->fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			return err_set(err, EX_CANTCREAT,
				       "%s/%s is there already; nothing was changed. Take another "
				       "directory, or move it away",
				       office->directory, names[i]);
		if (errno != ENOENT)
			return err_sys(err, EX_CANTCREAT, errno, "%s/%s", office->directory,
				       names[i]);
	}
	return 0;
}

/* Mode and owner are set through the descriptor: in a folder of somebody else, the name may be a
 * link to anything a moment later. owner NULL: stays that of the process. */
static int make_directory(struct office *office, enum part part, mode_t mode,
			  const struct passwd *owner, struct err *err)
{
	int fd, rc = -1;

	if (mkdirat(office->fd, names[part], 0700) < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s/%s", office->directory, names[part]);
	office->made[part] = true;
	fd = openat(office->fd, names[part], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* whatever the umask says: these are part of who may read what */
	if (fd >= 0 && fchmod(fd, mode) == 0 &&
	    (!owner || fchown(fd, owner->pw_uid, owner->pw_gid) == 0))
		rc = 0;
	else
		err_sys(err, EX_CANTCREAT, errno, "%s/%s", office->directory, names[part]);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_file(struct office *office, enum part part, mode_t mode, struct err *err)
{
	int fd = openat(office->fd, names[part], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s/%s", office->directory, names[part]);
	office->made[part] = true;
	if (fchmod(fd, mode) < 0) {
		err_sys(err, EX_CANTCREAT, errno, "%s/%s", office->directory, names[part]);
		close(fd);
		return -1;
	}
	return fd;
}

static int finish_file(const struct office *office, enum part part, int fd, struct err *err)
{
	int status = fsync(fd) < 0 ? err_sys(err, EX_IOERR, errno, "%s/%s", office->directory,
					     names[part])
				   : 0;

	close(fd);
	return status;
}

/* The names in it. name: of a folder, from the office. */
static int flush_folder(const struct office *office, const char *name, struct err *err)
{
	int fd = openat(office->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status = fd < 0 ? -1 : fsync(fd);

	if (status < 0)
		err_sys(err, EX_IOERR, errno, "%s/%s", office->directory, name);
	if (fd >= 0)
		close(fd);
	return status;
}

static int make_certificate(struct office *office, struct err *err)
{
	int key, certificate, status;

	if (make_directory(office, PART_TLS, 0755, NULL, err) < 0)
		return -1;
	key = make_file(office, PART_KEY, 0600, err);
	if (key < 0)
		return -1;
	certificate = make_file(office, PART_CERTIFICATE, 0644, err);
	if (certificate < 0) {
		close(key);
		return -1;
	}
	status = tls_certificate_make(office->config.host_name, certificate, key, err);
	if (finish_file(office, PART_CERTIFICATE, certificate, status < 0 ? NULL : err) < 0 ||
	    finish_file(office, PART_KEY, key, status < 0 ? NULL : err) < 0)
		status = -1;
	if (status == 0)
		status = flush_folder(office, "tls", err);
	return status;
}

static int mail_failed(const struct office *office, struct err *err)
{
	if (office->elsewhere)
		return err_sys(err, EX_CANTCREAT, errno, "%s", office->elsewhere);
	return err_sys(err, EX_CANTCREAT, errno, "%s/mail", office->directory);
}

/* Marks that count stay, and so does what is in the folder then. A folder without one is to be
 * empty: it may be the wrong one, or the one beneath a disk that is not mounted. */
static int check_elsewhere(const struct office *office, struct err *err)
{
	int fd = openat(office->mail_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	char id[MAIL_MARK_SIZE];
	struct dirent *entry;

	if (!folder)
		return mail_failed(office, err);
	do
		entry = readdir(folder);
	while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			 strcmp(entry->d_name, "lost+found") == 0));
	closedir(folder);
	if (!entry || mail_mark_read(&maildrop_kernel, office->mail_fd, id) == 0)
		return 0;
	return err_set(
		err, EX_CANTCREAT,
		"%s is not empty and has no mark of a mail folder; nothing was changed. If it is "
		"the folder of the mail: valija mark %s, then again",
		office->elsewhere, office->elsewhere);
}

/* Opens a folder. An absolute path goes into the configuration: relative ones count from its
 * folder. */
static int open_root(const char *folder, struct config_root *root, int *ret_fd, struct err *err)
{
	char *path = realpath(folder, NULL);
	int status;

	if (!path)
		return err_sys(err, EX_CANTCREAT, errno, "%s", folder);
	status = span_copy(span_of(path), root->path, sizeof(root->path));
	free(path);
	if (status < 0)
		return err_set(err, EX_USAGE, "%s: the path is too long", folder);
	*ret_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, EX_CANTCREAT, errno, "%s", folder) : 0;
}

/* The kind of the maildrops of a folder that was there before, written down: mboxes of all users in
 * one folder have their names. A new folder has Maildirs, that of mailboxes is what it was called.
 */
static int settle_store(struct office *office, struct err *err)
{
	struct config_root *root = &office->config.roots[0];
	int kind = mail_store_read(&maildrop_kernel, office->mail_fd);
	bool written = kind >= 0;

	if (office->spool && written && kind != STORE_MBOX)
		return err_set(err, EX_CANTCREAT,
			       "%s has Maildirs, by its file " MAIL_STORE_NAME
			       "; nothing was changed. If it has mboxes: valija mark --store mbox "
			       "%s, then again",
			       office->spool, office->spool);
	if (!written)
		kind = office->spool ? STORE_MBOX : mail_store_guess(office->mail_fd, err);
	if (kind < 0)
		return err_prefix(err, "%s", office->elsewhere);
	office->mboxes = kind == STORE_MBOX;
	if (!office->mboxes)
		return 0;
	(void)span_copy(span_of("{local}"), root->template, sizeof(root->template));
	if (!written && mail_store_write(office->mail_fd, kind, err) < 0)
		return err_prefix(err, "%s", office->elsewhere);
	office->wrote_store = !written;
	return 0;
}

static int open_elsewhere(struct office *office, struct err *err)
{
	office->made_elsewhere = !office->spool && mkdir(office->elsewhere, 0711) == 0;
	if (!office->spool && !office->made_elsewhere && errno != EEXIST)
		return mail_failed(office, err);
	if (open_root(office->elsewhere, &office->config.roots[0], &office->mail_fd, err) < 0)
		return -1;
	if (!office->spool && check_elsewhere(office, err) < 0)
		return -1;
	return settle_store(office, err);
}

/* As root, mail belongs to vmail; started by somebody else it belongs to them. Mailboxes belong to
 * their users. */
static int make_mail(struct office *office, struct err *err)
{
	const struct passwd *owner = geteuid() == 0 ? getpwnam("vmail") : NULL;
	struct stat st;

	if (office->mboxes)
		return 0;
	if (geteuid() == 0 && !owner)
		office->hints[0] = "The system user vmail, the owner of the mail, does not exist.";
	if (!office->elsewhere) {
		if (make_directory(office, PART_MAIL, 0711, owner, err) < 0)
			return -1;
		office->mail_fd = openat(office->fd, names[PART_MAIL],
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return office->mail_fd < 0 ? mail_failed(office, err) : 0;
	}
	/* one that was there before keeps its owner, unless that is root: no Maildir could be in it
	 */
	if (owner && fstat(office->mail_fd, &st) == 0 && st.st_uid == 0 &&
	    fchown(office->mail_fd, owner->pw_uid, owner->pw_gid) < 0)
		return mail_failed(office, err);
	return 0;
}

/* A new folder is on the filesystem that the mail is to be on, and so is one that was named. */
static int mark_mail(struct office *office, struct err *err)
{
	char id[MAIL_MARK_SIZE];
	bool before = mail_mark_read(&maildrop_kernel, office->mail_fd, id) == 0;

	if (mail_mark_write(office->mail_fd, id, err) < 0)
		return err_prefix(err, "%s%s",
				  office->elsewhere ? office->elsewhere : office->directory,
				  office->elsewhere ? "" : "/mail");
	office->made[PART_MARK] = !before;
	return 0;
}

/* People's homes are somebody else's files: a mark is all that is made there. */
static int mark_homes(struct office *office, struct err *err)
{
	char id[MAIL_MARK_SIZE];
	bool before;

	if (open_root(office->homes, &office->config.roots[1], &office->homes_fd, err) < 0)
		return -1;
	office->config.root_count = 2;
	before = mail_mark_read(&maildrop_kernel, office->homes_fd, id) == 0;
	if (mail_mark_write(office->homes_fd, id, err) < 0)
		return err_prefix(err, "%s", office->homes);
	office->marked_homes = !before;
	return 0;
}

static int make_users(struct office *office, struct err *err)
{
	const struct group *group;
	int fd = make_file(office, PART_USERS, 0640, err);

	if (fd < 0)
		return -1;
	if (geteuid() == 0) {
		group = getgrnam(office->config.user_auth);
		if (!group)
			office->hints[1] = "The system user valija-auth, who is to read the users, "
					   "does not exist.";
		else if (fchown(fd, 0, group->gr_gid) < 0)
			goto fail;
	}
	return finish_file(office, PART_USERS, fd, err);
fail:
	err_sys(err, EX_IOERR, errno, "%s/users", office->directory);
	close(fd);
	return -1;
}

static int make_config(struct office *office, struct err *err)
{
	struct config_certificate *entry = &office->config.certificates[0];
	FILE *out;
	int fd, copy, status;

	snprintf(entry->certificate, sizeof(entry->certificate), "%s", names[PART_CERTIFICATE]);
	snprintf(entry->key, sizeof(entry->key), "%s", names[PART_KEY]);
	office->config.certificate_count = 1;
	fd = make_file(office, PART_CONFIG, 0644, err);
	if (fd < 0)
		return -1;
	copy = dup(fd);
	out = copy < 0 ? NULL : fdopen(copy, "w");
	if (!out) {
		err_sys(err, EX_OSERR, errno, "%s/valija.conf", office->directory);
		if (copy >= 0)
			close(copy);
		close(fd);
		return -1;
	}
	status = config_write_file(&office->config, out, err);
	if (office->homes || office->spool)
		fprintf(out,
			"\n# The users of this machine, with the passwords that they have there. "
			"Their mail is\n# %s.\n"
			"database \"people\" {\n\tdriver = system\n}\n",
			office->homes ? "the Maildir in their home"
				      : "the mbox of their name, as the MTA puts it there");
	if (fclose(out) != 0 && status == 0)
		status = err_sys(err, EX_IOERR, errno, "%s/valija.conf", office->directory);
	if (finish_file(office, PART_CONFIG, fd, status < 0 ? NULL : err) < 0)
		status = -1;
	return status;
}

static void undo(const struct office *office)
{
	for (int i = PART_COUNT - 1; i >= 0; i--) {
		if (!office->made[i])
			continue;
		if (i == PART_MARK)
			unlinkat(office->mail_fd, MAIL_MARK_NAME, 0);
		else
			unlinkat(office->fd, names[i],
				 i == PART_TLS || i == PART_MAIL ? AT_REMOVEDIR : 0);
	}
	if (office->wrote_store)
		unlinkat(office->mail_fd, MAIL_STORE_NAME, 0);
	if (office->marked_homes)
		unlinkat(office->homes_fd, MAIL_MARK_NAME, 0);
	if (office->made_elsewhere)
		rmdir(office->elsewhere);
	if (office->made_directory)
		rmdir(office->directory);
}

/* Paths as a person would type them: relative names stay relative. */
static void report(const struct office *office)
{
	char listen[3][CONFIG_PATH_MAX + 16];

	/* those three stand first */
	for (int i = 0; i < 3; i++)
		config_listener_print(&office->config.listeners[i], listen[i], sizeof(listen[i]));
	printf("A post office is in %s: POP3 on %s, POP3S on %s, LMTP on %s.\n", office->directory,
	       listen[0], listen[1], listen[2]);
	if (office->hints[0] || office->hints[1]) {
		for (int i = 0; i < 2; i++)
			if (office->hints[i])
				printf("%s\n", office->hints[i]);
		printf("Make the system users, then give the files to them:\n\n"
		       "    " SYSUSERS "\n    ");
		if (office->hints[0])
			printf("chown vmail: %s%s && ",
			       office->elsewhere ? office->elsewhere : office->directory,
			       office->elsewhere ? "" : "/mail");
		printf("chgrp valija-auth %s/users\n", office->directory);
	}
	printf("\nNext:\n\n"
	       "    valija user add -c %s/valija.conf NAME\n"
	       "    valijad -c %s/valija.conf\n\n",
	       office->directory, office->directory);
}

static int make_all(struct office *office, struct err *err)
{
	if (open_directory(office, err) < 0)
		return -1;
	if (office->elsewhere && open_elsewhere(office, err) < 0)
		return -1;
	if (make_certificate(office, err) < 0 || make_mail(office, err) < 0 ||
	    mark_mail(office, err) < 0 || (office->homes && mark_homes(office, err) < 0) ||
	    make_users(office, err) < 0 || make_config(office, err) < 0)
		return -1;
	if (flush_folder(office, ".", err) < 0)
		return -1;
	return office->made_directory ? flush_folder(office, "..", err) : 0;
}

int init_main(int argc, char **argv)
{
	struct office *office;
	struct err err = {0};
	int code = EX_OK;

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--with", 6) == 0)
			return with_main(argc, argv);
	office = calloc(1, sizeof(*office));
	if (!office)
		return EX_OSERR;
	office->fd = office->mail_fd = office->homes_fd = -1;
	config_defaults(&office->config);
	if (parse(argc, argv, office, &err) < 0) {
		code = err.code ? command_failed("init", &err) : usage();
	} else if (make_all(office, &err) < 0) {
		undo(office);
		code = command_failed("init", &err);
	} else {
		report(office);
		if (fflush(stdout) != 0)
			code = EX_IOERR;
	}
	if (office->fd >= 0)
		close(office->fd);
	if (office->mail_fd >= 0)
		close(office->mail_fd);
	if (office->homes_fd >= 0)
		close(office->homes_fd);
	free(office);
	return code;
}
