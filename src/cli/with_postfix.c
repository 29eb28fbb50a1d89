/*
 * See with_postfix.h. main.cf is read and changed by postconf(1) alone. Before anything is changed,
 * what was there is written to a file beside valija.conf, and flushed; --undo reads it and removes
 * it last. So a run that is cut leaves a file from which everything can be taken back.
 */
#include "cli/with_postfix.h"

#include "base/descriptor.h"
#include "cli/command.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define SAVED "postfix-before"

enum {
	SETTINGS_MAX = 16,
	VALUE_MAX = 1024,
	TEXT_MAX = 64 * 1024,
};

enum mode { MODE_SHOW, MODE_APPLY, MODE_UNDO };

struct setting {
	const char *name;
	char value[VALUE_MAX];  /* that it is to have */
	char before[VALUE_MAX]; /* that it has; is_set: in main.cf, not by default */
	bool is_set;
};

struct postfix {
	struct config config;
	const char *folder; /* of main.cf; NULL: postconf's own */
	enum mode mode;
	char queue[CONFIG_PATH_MAX];
	char saved[2 * CONFIG_PATH_MAX];
	struct setting settings[SETTINGS_MAX];
	size_t count;
};

/* ---- programs ---- */

/* Runs a program of Postfix's; what it writes goes to buf, without the last line end. -1 with err:
 * it is not there, or failed. */
static int run(const struct postfix *postfix, const char *const *words, char *buf, size_t size,
	       struct err *err)
{
	const char *argv[8] = {words[0]};
	int ends[2], status = -1, n = 1;
	ssize_t got;
	pid_t pid;

	if (postfix->folder) {
		argv[n++] = "-c";
		argv[n++] = postfix->folder;
	}
	for (size_t i = 1; words[i] && n < 7; i++)
		argv[n++] = words[i];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, EX_OSERR, errno, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin", 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ends[1]);
	got = read_all(ends[0], buf, size - 1);
	close(ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	buf[got > 0 ? got : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	if (pid > 0 && status == 0)
		return 0;
	return err_set(err, EX_UNAVAILABLE, "%s %s failed%s", words[0], words[1],
		       WIFEXITED(status) && WEXITSTATUS(status) == 127
			       ? ": it is not there; is Postfix installed?"
			       : "");
}

/* "NAME = VALUE" of postconf to the value. */
static const char *value_of(const char *line)
{
	const char *equals = strchr(line, '=');

	return equals ? equals + 1 + strspn(equals + 1, " ") : "";
}

static int read_before(const struct postfix *postfix, struct setting *setting, struct err *err)
{
	const char *const words[] = {"postconf", "-n", setting->name, NULL};
	char line[VALUE_MAX + 128];

	if (run(postfix, words, line, sizeof(line), err) < 0)
		return -1;
	setting->is_set = line[0] != '\0';
	snprintf(setting->before, sizeof(setting->before), "%s", value_of(line));
	return 0;
}

/* ---- what is wanted ---- */

static void add(struct postfix *postfix, const char *name, const char *value)
{
	struct setting *setting = &postfix->settings[postfix->count++];

	setting->name = name;
	snprintf(setting->value, sizeof(setting->value), "%s", value);
}

static const struct config_listener *find(const struct config *config, enum config_service service)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == service)
			return &config->listeners[i];
	return NULL;
}

/* A socket as Postfix's processes see it: most know nothing but the queue's folder. */
static const char *seen_by_postfix(const struct postfix *postfix, const char *path)
{
	size_t n = strlen(postfix->queue);

	if (n && strncmp(path, postfix->queue, n) == 0 && path[n] == '/')
		return path + n + 1;
	return path;
}

static void address_of(const struct postfix *postfix, const struct config_listener *listener,
		       char buf[VALUE_MAX])
{
	if (listener->port)
		snprintf(buf, VALUE_MAX, "inet:%s:%u", listener->address, listener->port);
	else
		snprintf(buf, VALUE_MAX, "unix:%s", seen_by_postfix(postfix, listener->address));
}

static int add_delivery(struct postfix *postfix, struct err *err)
{
	const struct config_listener *lmtp = find(&postfix->config, SERVICE_LMTP);
	const struct config_listener *maps = find(&postfix->config, SERVICE_SOCKETMAP);
	char address[VALUE_MAX - 64], value[VALUE_MAX];

	if (!lmtp || !maps)
		return err_set(err, EX_CONFIG,
			       "%s: Postfix needs %s: write for example\n%s { listen = "
			       "\"%s/valija/%s\" }\nwith: install -d -m 0710 -g postfix %s/valija",
			       postfix->config.file,
			       lmtp ? "to ask whose mail there is" : "a socket to deliver to",
			       lmtp ? "socketmap" : "lmtp", postfix->queue, lmtp ? "maps" : "lmtp",
			       postfix->queue);
	address_of(postfix, lmtp, value);
	snprintf(address, sizeof(address), "lmtp:%.900s", value);
	add(postfix, "virtual_transport", address);
	address_of(postfix, maps, value);
	snprintf(address, sizeof(address), "socketmap:%.900s:users", value);
	add(postfix, "virtual_mailbox_maps", address);
	snprintf(address, sizeof(address), "socketmap:%.900s:domains", value);
	if (postfix->config.domains[0])
		add(postfix, "virtual_mailbox_domains", address);
	else
		printf("lmtp.domains names no domain: write yours into virtual_mailbox_domains of "
		       "Postfix\nyourself, or name them in %s.\n",
		       postfix->config.file);
	return 0;
}

static void add_submission(struct postfix *postfix)
{
	const struct config_listener *sasl = find(&postfix->config, SERVICE_SASL);
	char value[VALUE_MAX];

	if (!sasl)
		return;
	if (sasl->port)
		address_of(postfix, sasl, value);
	else
		snprintf(value, sizeof(value), "%s", seen_by_postfix(postfix, sasl->address));
	add(postfix, "smtpd_sasl_type", "dovecot");
	add(postfix, "smtpd_sasl_path", value);
	add(postfix, "smtpd_sasl_auth_enable", "yes");
	add(postfix, "smtpd_tls_auth_only", "yes");
	add(postfix, "smtpd_sasl_security_options", "noanonymous, noplaintext");
	add(postfix, "smtpd_sasl_tls_security_options", "noanonymous");
}

static int read_postfix(struct postfix *postfix, struct err *err)
{
	static const char *const words[] = {"postconf", "-h", "queue_directory", NULL};

	if (run(postfix, words, postfix->queue, sizeof(postfix->queue), err) < 0 ||
	    add_delivery(postfix, err) < 0)
		return -1;
	add_submission(postfix);
	for (size_t i = 0; i < postfix->count; i++)
		if (read_before(postfix, &postfix->settings[i], err) < 0)
			return -1;
	return 0;
}

/* ---- show, apply, undo ---- */

static void show(const struct postfix *postfix)
{
	size_t changed = 0;

	for (size_t i = 0; i < postfix->count; i++) {
		const struct setting *setting = &postfix->settings[i];

		if (setting->is_set && strcmp(setting->before, setting->value) == 0)
			continue;
		changed++;
		printf("%s = %s\n", setting->name, setting->value);
		if (setting->is_set)
			printf("\t(is: %s)\n", setting->before);
	}
	if (!changed)
		puts("Postfix has all of it.");
	else if (postfix->mode == MODE_SHOW)
		puts("Nothing was changed. --apply makes these changes, --undo takes them back.");
}

/* The settings from before, for --undo. One line a setting: "= NAME VALUE", or "- NAME" for one
 * that was not set. */
static int save(const struct postfix *postfix, struct err *err)
{
	int fd = open(postfix->saved, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[VALUE_MAX + 128];
	int rc = 0;

	if (fd < 0 && errno == EEXIST)
		return err_set(err, EX_CANTCREAT,
			       "%s is there: changes were made before; take them back first "
			       "(--undo)",
			       postfix->saved);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s", postfix->saved);
	for (size_t i = 0; i < postfix->count && rc == 0; i++) {
		const struct setting *setting = &postfix->settings[i];
		int n = snprintf(line, sizeof(line), setting->is_set ? "= %s %s\n" : "- %s\n",
				 setting->name, setting->before);

		rc = write_all(fd, line, (size_t)n);
	}
	if (rc < 0 || fsync(fd) < 0) {
		rc = err_sys(err, EX_IOERR, errno, "%s", postfix->saved);
		unlink(postfix->saved);
	}
	close(fd);
	return rc;
}

static int set(const struct postfix *postfix, const char *name, const char *value, struct err *err)
{
	char word[VALUE_MAX + 128], out[256];
	const char *const words[] = {"postconf", value ? "-e" : "-X", word, NULL};

	snprintf(word, sizeof(word), value ? "%s=%s" : "%s", name, value);
	return run(postfix, words, out, sizeof(out), err);
}

static void reload(const struct postfix *postfix)
{
	static const char *const status[] = {"postfix", "status", NULL};
	static const char *const words[] = {"postfix", "reload", NULL};
	char out[256];
	struct err err;

	if (run(postfix, status, out, sizeof(out), &err) < 0)
		puts("Postfix does not run now: the changes count when it is started.");
	else if (run(postfix, words, out, sizeof(out), &err) < 0)
		puts("Reload Postfix to bring the changes into force: postfix reload");
}

static int apply(const struct postfix *postfix, struct err *err)
{
	if (save(postfix, err) < 0)
		return -1;
	for (size_t i = 0; i < postfix->count; i++)
		if (set(postfix, postfix->settings[i].name, postfix->settings[i].value, err) < 0)
			return err_prefix(err,
					  "not all changes were made (--undo takes them back)");
	reload(postfix);
	printf("What was there before is in %s. Send a message to see it arrive:\n"
	       "\tprintf 'Subject: test\\n\\n' | sendmail USER@DOMAIN\n",
	       postfix->saved);
	return 0;
}

static int undo_line(const struct postfix *postfix, char *line, struct err *err)
{
	char *name = line + 2, *blank = strchr(name, ' ');

	if (strncmp(line, "- ", 2) == 0)
		return set(postfix, name, NULL, err);
	if (strncmp(line, "= ", 2) != 0 || !blank)
		return err_set(err, EX_DATAERR, "%s: a line that is none", postfix->saved);
	*blank = '\0';
	return set(postfix, name, blank + 1, err);
}

static int undo(const struct postfix *postfix, struct err *err)
{
	int fd = open(postfix->saved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = malloc(TEXT_MAX + 1), *rest, *line;
	ssize_t n = fd < 0 || !text ? -1 : read_all(fd, text, TEXT_MAX);
	int rc = 0;

	if (n < 0)
		rc = errno == ENOENT ? err_set(err, EX_NOINPUT,
					       "%s is not there: no changes were made, or they "
					       "were taken back",
					       postfix->saved)
				     : err_sys(err, EX_NOINPUT, errno, "%s", postfix->saved);
	else
		text[n] = '\0';
	for (rest = text; rc == 0 && (line = strsep(&rest, "\n"));)
		if (*line)
			rc = undo_line(postfix, line, err);
	if (fd >= 0)
		close(fd);
	free(text);
	if (rc < 0)
		return -1;
	if (unlink(postfix->saved) < 0)
		return err_sys(err, EX_IOERR, errno, "%s", postfix->saved);
	reload(postfix);
	puts("Postfix is as it was.");
	return 0;
}

/* ---- the command ---- */

static int usage(void)
{
	fputs("usage: valija init --with postfix [-c CONF] [--postfix-config DIR] [--apply | "
	      "--undo]\n",
	      stderr);
	return EX_USAGE;
}

static int parse(int argc, char **argv, struct postfix *postfix, const char **ret_conf,
		 struct err *err)
{
	static const struct option options[] = {{"with", required_argument, NULL, 'w'},
						{"config", required_argument, NULL, 'c'},
						{"postfix-config", required_argument, NULL, 'p'},
						{"apply", no_argument, NULL, 'a'},
						{"undo", no_argument, NULL, 'u'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'w' && strcmp(optarg, "postfix") != 0)
			return err_set(err, EX_USAGE,
				       "--with %s: postfix is known; docs/delivery.md has the "
				       "lines for Exim",
				       optarg);
		if (c == '?' || ((c == 'a' || c == 'u') && postfix->mode != MODE_SHOW))
			return -1;
		if (c == 'c')
			*ret_conf = optarg;
		else if (c == 'p')
			postfix->folder = optarg;
		else if (c != 'w')
			postfix->mode = c == 'a' ? MODE_APPLY : MODE_UNDO;
	}
	return optind == argc ? 0 : -1;
}

static int work(struct postfix *postfix, const char *conf, struct err *err)
{
	if (config_load(command_config(conf), &postfix->config, err) < 0)
		return -1;
	snprintf(postfix->saved, sizeof(postfix->saved), "%s/" SAVED, postfix->config.directory);
	if (postfix->mode == MODE_UNDO)
		return undo(postfix, err);
	if (read_postfix(postfix, err) < 0)
		return -1;
	show(postfix);
	return postfix->mode == MODE_APPLY ? apply(postfix, err) : 0;
}

int with_postfix_main(int argc, char **argv)
{
	struct postfix *postfix = calloc(1, sizeof(*postfix));
	const char *conf = NULL;
	struct err err = {0};
	int code = EX_OK;

	if (!postfix)
		return EX_OSERR;
	if (parse(argc, argv, postfix, &conf, &err) < 0)
		code = err.code ? command_failed("init", &err) : usage();
	else if (work(postfix, conf, &err) < 0)
		code = command_failed("init", &err);
	free(postfix);
	return code;
}
