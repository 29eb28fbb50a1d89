/*
 * `valijad -t`: everything that a start would do and that can go wrong, tried without starting:
 * configuration, folders, certificates with their dates, users and aliases as the process reads
 * them that checks passwords, and the addresses to listen on. With the rights of its caller, root
 * or not, as the start would be.
 */
#include "server/monitor/monitor.h"

#include "server/certificates.h"
#include "server/expiry.h"
#include "server/monitor/files.h"
#include "server/monitor/listeners.h"
#include "server/monitor/log_sink.h"
#include "server/monitor/running.h"
#include "sys/sandbox.h"
#include "users/app_passwords.h"
#include "users/site.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static void warn(const char *text)
{
	fprintf(stderr, "valijad: warning: %s\n", text);
}

/* user: see site_explain */
static int read_users(const struct generation_files *files, const char *user, struct err *err)
{
	const struct config *config = files->config;
	struct recipients *recipients = NULL;
	struct app_passwords *apps;
	struct users *users;
	int rc;

	if (site_users_open(config, files->users_fd, &users, err) < 0)
		return site_explain(config->users, files->users_fd, user, err);
	if (app_passwords_open(files->users_fd, &apps, err) < 0) {
		users_close(users);
		return site_explain(APP_PASSWORDS_FILE, files->users_fd, user, err);
	}
	app_passwords_close(apps);
	rc = site_recipients_open(config, files->aliases_fd, users, &recipients, err);
	if (rc < 0 && files->aliases_fd >= 0)
		site_explain(config->aliases, files->aliases_fd, user, err);
	if (rc == 0)
		site_recipients_check(config, recipients, true, warn);
	recipients_close(recipients);
	users_close(users);
	return rc;
}

/* In a process of its own: root becomes the user that checks passwords. Does not return. */
static void read_users_as(const struct generation_files *files, int out)
{
	struct err err = {.code = EX_OK};

	if (setgroups(0, NULL) < 0 || setgid(files->auth_gid) < 0 || setuid(files->auth_uid) < 0)
		err_sys(&err, EX_OSERR, errno, "cannot become %s", files->config->user_auth);
	else if (read_users(files, files->config->user_auth, &err) == 0)
		err.code = EX_OK;
	_exit(write(out, &err, sizeof(err)) == sizeof(err) ? 0 : 1);
}

static int check_users(const struct generation_files *files, bool root, struct err *err)
{
	struct err result = {.code = EX_SOFTWARE, .text = "the check of the users died"};
	int ends[2], status;
	pid_t pid;

	if (!root)
		return read_users(files, NULL, err);
	if (pipe(ends) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot make a pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		read_users_as(files, ends[1]);
	close(ends[1]);
	if (pid < 0)
		err_sys(&result, EX_OSERR, errno, "cannot start a process");
	else if (read(ends[0], &result, sizeof(result)) < 0)
		err_sys(&result, EX_OSERR, errno, "cannot read from a process");
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (result.code == EX_OK)
		return 0;
	*err = result;
	return -1;
}

static int check_certificates(const struct generation_files *files, struct err *err)
{
	struct packed packed = {.fds = {files->certificates_fd, files->keys_fd},
				.sizes = {files->certificates_size, files->keys_size}};
	struct tls_server *tls = NULL;
	struct tls_keys *keys = NULL;

	if (certificates_unpack_keys(&packed, files->config, &keys, err) < 0)
		return -1;
	tls_keys_destroy(keys);
	if (certificates_unpack(&packed, files->config, &tls, err) < 0)
		return -1;
	expiry_warn(files->config, tls, (int64_t)time(NULL), warn);
	tls_server_destroy(tls);
	return 0;
}

/* The addresses may be in use by the valijad that serves this very configuration: a reload keeps
 * its sockets, and a restart comes after its end. */
static int check_listeners(const struct config *config, struct err *err)
{
	pid_t pid;

	if (listeners_try(config, err) == 0)
		return 0;
	pid = err->errnum == EADDRINUSE ? running_with(config->file) : 0;
	if (pid <= 0)
		return -1;
	printf("valijad %ld serves %s: the addresses that it listens on were not tried\n",
	       (long)pid, config->file);
	return 0;
}

/* A start goes on without it. */
static void check_state(const struct generation_files *files)
{
	char text[sizeof(((struct err *)NULL)->text) + 256];
	struct err err;

	if (mail_root_check_state(&files->root, &err) == 0)
		return;
	snprintf(text, sizeof(text),
		 "the state folder cannot be used: %s; no maildrop is made, and one that goes "
		 "missing is not noticed: let STATE_DIRECTORY name a folder that valijad may write",
		 err.text);
	warn(text);
}

static int check_all(const struct config *config, bool root, struct err *err)
{
	struct generation_files files;
	struct mail_folder mail;
	unsigned long limit;
	int rc = log_sink_check(config, warn, err);

	if (rc < 0 || files_raise_limit(&limit, err) < 0)
		return -1;
	mail_folder_open(config->mail, root, &mail);
	if (mail.fd < 0) {
		*err = mail.err;
		return -1;
	}
	rc = files_open(&files, config, root, &mail, err);
	if (rc == 0 && root && files.mail_uid == 0)
		rc = sandbox_check_root(err);
	if (rc == 0)
		check_state(&files);
	if (rc == 0)
		rc = check_users(&files, root, err);
	if (rc == 0)
		rc = check_certificates(&files, err);
	if (rc == 0)
		rc = check_listeners(config, err);
	files_close(&files);
	return rc;
}

int monitor_check(const char *config_file)
{
	struct config config;
	struct err err;

	if (config_load(config_file, &config, &err) < 0 ||
	    check_all(&config, geteuid() == 0, &err) < 0) {
		fprintf(stderr, "valijad: %s\n", err.text);
		return err.code ? err.code : EX_CONFIG;
	}
	printf("%s: good\n", config.file);
	return EX_OK;
}
