/*
 * `valijad -t`: everything that a start would do and that can go wrong, tried without starting:
 * configuration, folders, certificates with their dates, users and aliases as the process reads
 * them that checks passwords, and the addresses to listen on. With the rights of its caller, root
 * or not, as the start would be.
 */
#include "server/monitor/monitor.h"

#include "base/descriptor.h"
#include "base/seal.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/listener.h"
#include "config/rules.h"
#include "maildrop/maildir/foreign.h"
#include "maildrop/mbox/unopened.h"
#include "server/certificates.h"
#include "server/expiry.h"
#include "server/monitor/files.h"
#include "server/monitor/listeners.h"
#include "server/monitor/log_sink.h"
#include "server/monitor/places.h"
#include "server/monitor/root_stores.h"
#include "server/monitor/running.h"
#include "server/monitor/state.h"
#include "server/monitor/upgrade.h"
#include "sys/process.h"
#include "sys/sandbox.h"
#include "sys/tls_trust.h"
#include "users/app_passwords.h"
#include "users/site.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	uint32_t minimum;

	if (certificates_unpack_keys(&packed, files->config, &keys, err) < 0)
		return -1;
	tls_keys_destroy(keys);
	for (minimum = CONFIG_TLS_1_3; minimum < CONFIG_TLS_COUNT; minimum++) {
		if (!certificates_minimum_used(files->config, minimum))
			continue;
		if (certificates_unpack(&packed, files->config, minimum, &tls, err) < 0)
			return -1;
		tls_server_destroy(tls);
	}
	if (certificates_unpack(&packed, files->config, CONFIG_TLS_1_2, &tls, err) < 0)
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

	if (listeners_try(config, NULL, err) == 0)
		return 0;
	pid = err->errnum == EADDRINUSE ? running_with(config->file) : 0;
	if (pid <= 0)
		return -1;
	printf("valijad %ld serves %s: the addresses that it listens on were not tried\n",
	       (long)pid, config->file);
	return 0;
}

/* Whether this program could go on as the monitor that started this check: it understands its
 * state, and can listen where that does not yet. */
static int check_upgrade(const struct config *config, int state_fd, struct err *err)
{
	struct listeners *listeners = listeners_create();
	struct handover_reader state;
	int rc = state_open(state_fd, getppid(), &state, err);

	if (!listeners)
		return err_set(err, EX_OSERR, "out of memory");
	if (rc == 0) {
		state_adopt_listeners(listeners, &state);
		rc = listeners_try(config, listeners, err);
		handover_close(&state);
	}
	listeners_forget(listeners);
	return rc;
}

/* Warnings about rules of a listener that are weaker than the site's. */
static void warn_of_rules(const struct config *config)
{
	char text[2 * CONFIG_PATH_MAX + 256], where[CONFIG_PATH_MAX + 16];

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_rules *rules = &config->rules[i];

		config_listener_print(&config->listeners[i], where, sizeof(where));
		if (rules->plain_networks.count) {
			snprintf(text, sizeof(text),
				 "%s: %s takes passwords in clear text from its plain_networks: "
				 "whoever sees that network's packets reads them",
				 config->file, where);
			warn(text);
		}
		if (config_tls_is_old(rules->tls_min)) {
			snprintf(text, sizeof(text),
				 "%s: %s takes TLS below 1.2 from its tls_min_networks: it is "
				 "signed with MD5 and SHA-1, and can be broken",
				 config->file, where);
			warn(text);
		}
	}
}

static bool takes_mail(const struct config *config)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == SERVICE_LMTP)
			return true;
	return false;
}

/* A connector that cannot read them does not start, and its users get [SYS/TEMP]. */
static int check_remotes(const struct config *config, struct err *err)
{
	char text[CONFIG_PATH_MAX + 256];

	for (uint32_t i = 0; i < config->remote_count; i++) {
		const struct config_remote *remote = &config->remotes[i];
		bool pin = strncmp(remote->verify, "sha256//", 8) == 0;
		struct tls_trust *trust = NULL;

		if (!pin &&
		    (remote->tls != CONFIG_REMOTE_CLEAR ||
		     remote->lmtp_tls != CONFIG_REMOTE_CLEAR) &&
		    tls_trust_create(remote->verify, false, &trust, err) < 0)
			return err_prefix(err, "%s:%u: remote \"%s\"", config->file, remote->line,
					  remote->name);
		tls_trust_destroy(trust);
		if (!remote->lmtp_port && takes_mail(config)) {
			snprintf(text, sizeof(text),
				 "%s:%u: remote \"%s\" has no lmtp: mail that LMTP gets for "
				 "users with remote=%s is put off (451), unless the MTA sends it "
				 "there itself",
				 config->file, remote->line, remote->name, remote->name);
			warn(text);
		}
		if (remote->tls != CONFIG_REMOTE_CLEAR)
			continue;
		snprintf(text, sizeof(text),
			 "%s:%u: remote \"%s\": passwords and mail go to %s in clear text (tls = "
			 "\"no\"): whoever sees these packets reads them",
			 config->file, remote->line, remote->name, remote->host);
		warn(text);
	}
	return 0;
}

static int check_learns(const struct config *config, pop3_span text, struct err *err)
{
	const char *name, *value;
	struct seal_key *key;

	while (text_take_pair(&text, &name, &value)) {
		if (seal_key_read(span_of(value), false, &key, err) < 0)
			return err_prefix(err, "%s: remote \"%s\": learn", config->file, name);
		seal_key_free(key);
	}
	return 0;
}

/* auth does not start with a key that is none. */
static int check_keys(const struct generation_files *files, struct err *err)
{
	size_t size = (size_t)files->learn_size;
	char *text;
	int rc;

	if (files->learn_fd < 0)
		return 0;
	text = unseal_octets(files->learn_fd, size, SIZE_MAX);
	if (!text)
		return err_set(err, EX_OSERR, "out of memory");
	rc = check_learns(files->config, (pop3_span){text, size}, err);
	wipe(text, size);
	free(text);
	return rc;
}

/* A start goes on without it. */
static void check_state(const struct generation_files *files)
{
	char text[sizeof(((struct err *)NULL)->text) + 256];
	struct err err;

	if (mail_root_check_state(&files->roots[0].root, &err) == 0)
		return;
	snprintf(text, sizeof(text),
		 "the state folder cannot be used: %s; no maildrop is made, and one that goes "
		 "missing is not noticed: let STATE_DIRECTORY name a folder that valijad may write",
		 err.text);
	warn(text);
}

/* The announcement and the age at which messages are deleted are two settings. */
static void check_expire(const struct config *config)
{
	uint32_t days = config->delete_after_seconds / (24 * 3600);
	char announced[32] = "nothing", text[256];

	if (config->expire_days >= 0)
		snprintf(announced, sizeof(announced), "%ld days", (long)config->expire_days);
	if (config->expire_days == -1 || (uint32_t)config->expire_days == days ||
	    (!days && config->expire_days == -2))
		return;
	if (days)
		snprintf(text, sizeof(text),
			 "retention.delete_after deletes messages after %lu days, but pop3.expire "
			 "announces %s to clients: leave pop3.expire out",
			 (unsigned long)days, announced);
	else
		snprintf(
			text, sizeof(text),
			"pop3.expire announces that messages go after %s, but nothing deletes them "
			"unless another program does: see retention.delete_after",
			announced);
	warn(text);
}

/* Its user cannot log in before a person says whose unique ids count. */
static void check_foreign_maildirs(const char *path, int fd)
{
	char demand[ORIGIN_DEMAND_MAX], text[2 * CONFIG_PATH_MAX + 512];
	struct maildir_foreign found;

	maildir_foreign_find(fd, &found);
	if (*found.refused) {
		mail_origin_demand(found.lists, demand);
		snprintf(text, sizeof(text), "%s/%s: %s (--dry-run shows it)", path, found.refused,
			 demand);
		warn(text);
	} else if (*found.unopened) {
		snprintf(text, sizeof(text), "%s/%s " MAIL_ORIGIN_UNOPENED_MAILDIR, path,
			 found.unopened);
		warn(text);
	}
}

static void check_unopened_mboxes(const char *path, int fd)
{
	char name[MBOX_UNOPENED_NAME], text[CONFIG_PATH_MAX + 512];
	struct mail_root root;

	mail_root_look(fd, path, &root);
	if (!mbox_unopened_find(fd, &root, name))
		return;
	snprintf(text, sizeof(text), "%s/%s " MAIL_ORIGIN_UNOPENED_MBOX, path, name);
	warn(text);
}

static void check_foreign(const struct config *config, const struct generation_files *files)
{
	for (uint32_t i = 0; i < config->root_count; i++) {
		if (config->roots[i].store == CONFIG_MBOX)
			check_unopened_mboxes(config->roots[i].path, files->roots[i].fd);
		else
			check_foreign_maildirs(config->roots[i].path, files->roots[i].fd);
	}
}

/* In a program of its own, which has librados, and becomes the owner of the mail folder. */
static int check_store(const struct generation_files *files, struct err *err)
{
	char *argv[] = {"valija-keeper-rados", "--check", (char *)(uintptr_t)files->config->file,
			NULL};
	int status;
	pid_t pid;

	if (files->keeper_fd < 0)
		return 0;
	fflush(NULL);
	pid = process_try(files->keeper_fd, argv, NULL, 0, -1, err);
	if (pid < 0)
		return -1;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(err, WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE,
		       "maildrops in RADOS cannot be served: see above");
}

/* The process ends soon, and closes what was opened before one that cannot be. */
static int open_mail(const struct config *config, bool root, struct mail_folder *ret,
		     struct err *err)
{
	for (uint32_t i = 0; i < config->root_count; i++) {
		mail_folder_open(config->roots[i].path, root, &ret[i]);
		if (ret[i].fd < 0) {
			*err = ret[i].err;
			return -1;
		}
	}
	return 0;
}

/* state_fd: -1: no upgrade. */
static int check_all(struct config *config, bool root, int state_fd, struct err *err)
{
	struct generation_files files;
	struct mail_folder mail[CONFIG_ROOTS_MAX];
	unsigned long limit;
	int rc = log_sink_check(config, warn, err);

	if (rc < 0 || files_raise_limit(&limit, err) < 0)
		return -1;
	if (open_mail(config, root, mail, err) < 0)
		return -1;
	rc = root_stores_resolve(config, mail, err);
	files_begin(&files, config, mail);
	if (rc == 0)
		rc = files_open(&files, root, mail, err);
	if (rc == 0 && root && files.mail_uid == 0)
		rc = sandbox_check_root(err);
	if (rc == 0)
		rc = check_store(&files, err);
	if (rc == 0)
		check_state(&files);
	if (rc == 0)
		check_expire(config);
	if (rc == 0 && state_fd < 0)
		check_foreign(config, &files);
	if (rc == 0)
		rc = check_users(&files, root, err);
	if (rc == 0)
		rc = places_check(&files, err);
	if (rc == 0)
		rc = check_certificates(&files, err);
	if (rc == 0)
		rc = check_remotes(config, err);
	if (rc == 0)
		rc = check_keys(&files, err);
	if (rc == 0)
		warn_of_rules(config);
	if (rc == 0)
		root_stores_warn(config, mail, root, warn);
	if (rc == 0)
		rc = state_fd < 0 ? check_listeners(config, err)
				  : check_upgrade(config, state_fd, err);
	files_close(&files);
	return rc;
}

int monitor_check(const char *config_file, int state_fd)
{
	struct config config;
	struct err err;

	if (config_load(config_file, &config, &err) < 0 ||
	    check_all(&config, geteuid() == 0, state_fd, &err) < 0) {
		fprintf(stderr, "valijad: %s\n", err.text);
		return err.code ? err.code : EX_CONFIG;
	}
	printf("%s: good\n", config.file);
	if (state_fd >= 0) /* another program that ends with 0 is none of ours */
		fprintf(stderr, "valijad: " UPGRADE_YES "\n");
	return EX_OK;
}
