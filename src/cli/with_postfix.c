/* See with_postfix.h. main.cf is read and changed by postconf(1) alone. */
#include "cli/with_postfix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	SETTINGS_MAX = 16,
	VALUE_MAX = 1024,
	LINE_SIZE = VALUE_MAX + 128,
};

struct setting {
	const char *name;
	char value[VALUE_MAX];  /* that it is to have */
	char before[VALUE_MAX]; /* that it has; is_set: in main.cf, not by default */
	bool is_set;
};

struct postfix {
	const struct with *with;
	char queue[CONFIG_PATH_MAX];
	struct setting settings[SETTINGS_MAX];
	size_t count;
};

/* ---- programs ---- */

/* Runs a program of Postfix's, as with_run. */
static int run(const struct postfix *postfix, const char *const *words, char *buf, size_t size,
	       struct err *err)
{
	const char *argv[8] = {words[0]};
	int n = 1;

	if (postfix->with->folder) {
		argv[n++] = "-c";
		argv[n++] = postfix->with->folder;
	}
	for (size_t i = 1; words[i] && n < 7; i++)
		argv[n++] = words[i];
	return with_run(argv, "Postfix", buf, size, err);
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
	char line[LINE_SIZE];

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
	const struct config_listener *lmtp = with_listener(&postfix->with->config, SERVICE_LMTP);
	const struct config_listener *maps =
		with_listener(&postfix->with->config, SERVICE_SOCKETMAP);
	char address[VALUE_MAX - 64], value[VALUE_MAX];

	if (!lmtp || !maps)
		return err_set(err, EX_CONFIG,
			       "%s: Postfix needs %s: write for example\n%s { listen = "
			       "\"%s/valija/%s\" }\nwith: install -d -m 0710 -g postfix %s/valija",
			       postfix->with->config.file,
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
	if (postfix->with->config.domains[0])
		add(postfix, "virtual_mailbox_domains", address);
	else
		printf("lmtp.domains names no domain: write yours into virtual_mailbox_domains of "
		       "Postfix\nyourself, or name them in %s.\n",
		       postfix->with->config.file);
	return 0;
}

static void add_submission(struct postfix *postfix)
{
	const struct config_listener *sasl = with_listener(&postfix->with->config, SERVICE_SASL);
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

/* In front of what is there: the policy service permits nobody, and refuses full mailboxes alone.
 * Without it Postfix goes on. */
static int add_policy(struct postfix *postfix, struct err *err)
{
	const struct config_listener *policy =
		with_listener(&postfix->with->config, SERVICE_POLICY);
	struct setting has = {.name = "smtpd_recipient_restrictions"};
	char address[VALUE_MAX], service[2 * VALUE_MAX], value[VALUE_MAX];
	int n;

	if (!policy)
		return 0;
	if (read_before(postfix, &has, err) < 0)
		return -1;
	address_of(postfix, policy, address);
	snprintf(service, sizeof(service),
		 "check_policy_service { %s, default_action=DUNNO, timeout=20s }", address);
	if (strstr(has.before, service))
		n = snprintf(value, sizeof(value), "%s", has.before);
	else
		n = snprintf(value, sizeof(value), "%s%s%s", service, has.before[0] ? ", " : "",
			     has.before);
	if ((size_t)n >= sizeof(value))
		return err_set(err, EX_DATAERR, "%s of Postfix is too long to be added to",
			       has.name);
	add(postfix, has.name, value);
	return 0;
}

static int read_postfix(struct postfix *postfix, struct err *err)
{
	static const char *const words[] = {"postconf", "-h", "queue_directory", NULL};

	if (run(postfix, words, postfix->queue, sizeof(postfix->queue), err) < 0 ||
	    add_delivery(postfix, err) < 0)
		return -1;
	if (add_policy(postfix, err) < 0)
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
	else if (postfix->with->mode == WITH_SHOW)
		puts("Nothing was changed. --apply makes these changes, --undo takes them back.");
}

/* The settings from before, for --undo. One line a setting: "= NAME VALUE", or "- NAME" for one
 * that was not set. */
static int save(const struct postfix *postfix, struct err *err)
{
	char text[SETTINGS_MAX * LINE_SIZE];
	size_t used = 0;

	for (size_t i = 0; i < postfix->count; i++) {
		const struct setting *setting = &postfix->settings[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 setting->is_set ? "= %s %s\n" : "- %s\n", setting->name,
					 setting->before);
	}
	return with_save(postfix->with, text, used, err);
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
	printf("What was there before is in %s.\n", postfix->with->saved);
	if (!postfix->with->tried)
		puts("See a message go through: valija init --with postfix --try USER@DOMAIN");
	return 0;
}

static int undo_line(const struct postfix *postfix, char *line, struct err *err)
{
	char *name = line + 2, *blank = strchr(name, ' ');

	if (strncmp(line, "- ", 2) == 0)
		return set(postfix, name, NULL, err);
	if (strncmp(line, "= ", 2) != 0 || !blank)
		return err_set(err, EX_DATAERR, "%s: a line that is none", postfix->with->saved);
	*blank = '\0';
	return set(postfix, name, blank + 1, err);
}

static int undo(const struct postfix *postfix, struct err *err)
{
	char *text = with_saved(postfix->with, err), *rest = text, *line;
	int rc = text ? 0 : -1;

	while (rc == 0 && (line = strsep(&rest, "\n")))
		if (*line)
			rc = undo_line(postfix, line, err);
	free(text);
	if (rc < 0 || with_forget(postfix->with, err) < 0)
		return -1;
	reload(postfix);
	puts("Postfix is as it was.");
	return 0;
}

static int work(struct postfix *postfix, struct err *err)
{
	if (postfix->with->mode == WITH_UNDO)
		return undo(postfix, err);
	if (read_postfix(postfix, err) < 0)
		return -1;
	show(postfix);
	return postfix->with->mode == WITH_APPLY ? apply(postfix, err) : 0;
}

int with_postfix(struct with *with, struct err *err)
{
	struct postfix *postfix = calloc(1, sizeof(*postfix));
	int rc;

	if (!postfix)
		return err_set(err, EX_OSERR, "out of memory");
	postfix->with = with;
	rc = work(postfix, err);
	free(postfix);
	return rc;
}
