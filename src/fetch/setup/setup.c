/*
 * `valija fetch setup ADDRESS`: finds the server, says what it found, tests the login, writes the
 * account. Runs as the user; what mail servers send is read by a confined child (trial.c), what
 * HTTPS servers send comes through valija-https. Nothing is written before the login was good.
 */
#include "fetch/setup/setup.h"

#include "base/text.h"
#include "fetch/account/password.h"
#include "fetch/account/password_setting.h"
#include "fetch/journal/state.h"
#include "fetch/oauth/oauth.h"
#include "fetch/report/report.h"
#include "fetch/setup/arguments.h"
#include "fetch/setup/ask.h"
#include "fetch/setup/find.h"
#include "fetch/setup/unit.h"
#include "fetch/setup/trial.h"
#include "fetch/setup/write.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct setup {
	struct setup_arguments a;
	char config_file[FETCH_PATH_MAX];
	bool usual_place, person, asked;
	struct found found;
	char name[FETCH_TEXT_MAX], to[FETCH_COMMAND_MAX], oauth[FETCH_TEXT_MAX];
	char password_file[FETCH_PATH_MAX + FETCH_TEXT_MAX]; /* made here; "": none */
	struct section_text sections;
	struct fetch_config draft;
	const struct fetch_account *account; /* of the draft */
	int state_dir;
	struct secret secret;
};

static int place(struct setup *s, struct err *err)
{
	s->usual_place = !s->a.config;
	if (s->usual_place)
		return fetch_config_place(s->config_file, sizeof(s->config_file), err);
	return fetch_text(s->config_file, sizeof(s->config_file), s->a.config, "-c", err);
}

/* --server: a URL without user, or a host. */
static int take_server(struct setup *s, const char *text, struct err *err)
{
	struct fetch_account *account = malloc(sizeof(*account));
	char url[2 * FETCH_TEXT_MAX];
	const char *host = strstr(text, "://");
	int rc;

	if (!account)
		return err_sys(err, EX_OSERR, errno, "memory");
	fetch_account_defaults(account);
	if (host)
		snprintf(url, sizeof(url), "%.*s://x@%.255s", (int)(host - text), text, host + 3);
	else
		snprintf(url, sizeof(url), "pop3s://x@%.255s", text);
	rc = strchr(text, '@') ? err_set(err, EX_USAGE, "--server has no user in it: --user NAME")
			       : fetch_account_url(account, url, err);
	if (rc == 0) {
		const struct fetch_provider *provider = s->found.provider;

		s->found = (struct found){.provider = provider, .tls = account->tls};
		s->found.port = account->port ? account->port : account->tls ? 110 : 995;
		snprintf(s->found.host, sizeof(s->found.host), "%s", account->host);
		snprintf(s->found.user, sizeof(s->found.user), "%.255s", s->a.address);
	}
	free(account);
	return rc;
}

static int agree_to_foreign(struct setup *s, struct err *err)
{
	char question[400];

	if (!s->found.foreign)
		return 0;
	snprintf(question, sizeof(question),
		 "The server is in another domain, and only DNS says so, which is not signed.\n"
		 "Is %.255s right?",
		 s->found.host);
	if (s->person && ask_yes(question))
		return 0;
	return err_set(err, EX_UNAVAILABLE,
		       "DNS names a server of another domain, %.120s, and is not signed: if it is "
		       "right, --server pop3s://%.120s",
		       s->found.host, s->found.host);
}

static int find(struct setup *s, struct err *err)
{
	const struct find how = {.address = s->a.address,
				 .autoconfig = s->a.autoconfig,
				 .no_lookup = s->a.no_lookup};
	char host[FETCH_TEXT_MAX];
	int rc;

	if (s->a.server)
		return take_server(s, s->a.server, err);
	rc = find_server(&how, &s->found, err);
	if (rc > 0)
		printf("Server: %s port %u (%s)\n", s->found.host, s->found.port, s->found.from);
	if (rc != 0)
		return rc < 0 ? -1 : agree_to_foreign(s, err);
	if (s->person) {
		printf("Nothing tells where the POP3 server of %s is.\n", s->a.address);
		if (ask_text("POP3 server (host name)", "", host, sizeof(host)) && host[0])
			return take_server(s, host, err);
	}
	return err_set(err, EX_UNAVAILABLE,
		       "the POP3 server of %s is not found: --server pop3s://HOST", s->a.address);
}

/* The way to log in: as asked for; by tokens where the provider takes nothing else, or where a
 * client is named. */
static void choose_login(struct setup *s)
{
	const struct fetch_provider *provider = s->found.provider;
	const char *name = s->a.oauth;

	if (!name && !s->a.secret && provider && provider->token &&
	    (s->found.tokens_only || s->a.client_id || s->a.client_file))
		name = provider->name;
	snprintf(s->oauth, sizeof(s->oauth), "%s", name ? name : "");
}

static void put_server(struct setup *s)
{
	const char *user = s->a.user ? s->a.user : s->found.user;
	bool tls = s->found.tls == FETCH_TLS_IMPLICIT;
	char url[5 * FETCH_TEXT_MAX];
	size_t used = (size_t)snprintf(url, sizeof(url), "%s://", tls ? "pop3s" : "pop3");

	for (; *user && used + 4 < 4 * FETCH_TEXT_MAX; user++) {
		bool plain = (*user >= 'a' && *user <= 'z') || (*user >= 'A' && *user <= 'Z') ||
			     (*user >= '0' && *user <= '9') || strchr("-._~", *user);

		used += (size_t)snprintf(url + used, sizeof(url) - used, plain ? "%c" : "%%%02X",
					 (unsigned char)*user);
	}
	used += (size_t)snprintf(url + used, sizeof(url) - used,
				 strchr(s->found.host, ':') ? "@[%s]" : "@%s", s->found.host);
	if (s->found.port != (tls ? 995 : 110))
		snprintf(url + used, sizeof(url) - used, ":%u", s->found.port);
	section_set(&s->sections, "server", url);
}

/* The sections as they will be written. secret_key: with a value that is known only later. */
static void compose(struct setup *s, const char *secret_key, const char *secret)
{
	const struct fetch_password_setting *setting =
		secret_key ? fetch_password_setting_named(secret_key) : NULL;
	struct section_text *t = &s->sections;

	t->used = 0;
	t->full = false;
	if (s->oauth[0] && (s->a.client_id || s->a.client_file)) {
		section_open(t, "oauth", s->oauth);
		section_set(t, "client-id", s->a.client_id);
		section_set_path(t, "client-file", s->a.client_file);
		section_close(t);
	}
	section_open(t, "account", s->name);
	put_server(s);
	section_set_place(t, "to", s->to);
	section_set(t, "policy", s->a.policy);
	section_set_path(t, "ca", s->a.ca);
	section_set(t, "auth", s->a.auth);
	section_set(t, "oauth", s->oauth);
	if (setting && setting->path)
		section_set_path(t, secret_key, secret);
	else if (setting)
		section_set(t, secret_key, secret);
	section_close(t);
}

/* Reads the file and the new sections as one configuration. */
static int draft(struct setup *s, struct err *err)
{
	fetch_config_finish(&s->draft);
	s->account = NULL;
	if (draft_config(s->config_file, &s->sections, &s->draft, err) < 0)
		return -1;
	for (unsigned i = 0; i < s->draft.count; i++)
		if (strcmp(s->draft.accounts[i].name, s->name) == 0)
			s->account = &s->draft.accounts[i];
	return s->account ? 0 : err_set(err, EX_SOFTWARE, "the account is not in the draft");
}

/* An account of this name would be another one then. */
static int check_name(struct setup *s, struct err *err)
{
	static const struct section_text nothing;
	struct fetch_config config;
	int rc = 0;

	snprintf(s->name, sizeof(s->name), "%.255s", s->a.name ? s->a.name : s->a.address);
	if (access(s->config_file, F_OK) < 0)
		return 0;
	if (draft_config(s->config_file, &nothing, &config, err) < 0)
		return -1;
	for (unsigned i = 0; i < config.count && rc == 0; i++)
		if (strcmp(config.accounts[i].name, s->name) == 0)
			rc = err_set(err, EX_USAGE,
				     "%.120s has an account \"%.100s\" already: --name ANOTHER",
				     s->config_file, s->name);
	fetch_config_finish(&config);
	return rc;
}

static int reach(struct setup *s, struct err *err)
{
	if (trial_run(s->account, s->state_dir, NULL, NULL, err) < 0)
		return -1;
	printf("%s answers, and its certificate is good.\n", s->found.host);
	return 0;
}

static int note_asking(const void *context, struct err *err)
{
	bool *const *asked = context;

	(void)err;
	**asked = true;
	return 0;
}

static void hint(const struct fetch_provider *provider)
{
	if (provider && provider->password_page)
		printf("%s takes a password made for programs only: %s\n", provider->name,
		       provider->password_page);
	if (provider && provider->pop_page)
		printf("POP has to be switched on: %s\n", provider->pop_page);
}

static int get_secret(struct setup *s, struct err *err)
{
	bool *asked = &s->asked;
	const struct fetch_asking asking = {note_asking, &asked};

	if (s->account->password_source == FETCH_TOKEN_OAUTH) {
		if (oauth_login(&fetch_files_real, s->state_dir, s->account, &s->a.login, err) < 0)
			return -1;
		return oauth_token(&fetch_files_real, s->state_dir, s->account, NULL, &s->secret,
				   err);
	}
	if (s->account->password_source == FETCH_PASSWORD_ASK && s->person)
		hint(s->found.provider);
	if (s->account->password_source == FETCH_PASSWORD_ASK && !s->person && !getenv("NETRC") &&
	    access("/dev/tty", R_OK) < 0)
		return err_set(err, EX_NOINPUT, "no password: --password-file FILE");
	return fetch_password(s->account, &asking, &s->secret, err);
}

static int test_login(struct setup *s, struct err *err)
{
	struct trial trial;

	if (trial_run(s->account, s->state_dir, &s->secret, &trial, err) < 0) {
		hint(s->found.provider);
		return -1;
	}
	printf("The login is good (%s): %u message%s, %llu octets wait there.\n", trial.mechanism,
	       trial.messages, trial.messages == 1 ? "" : "s", (unsigned long long)trial.octets);
	return 0;
}

/* A password that was typed goes into a file of its own beside the configuration. */
static int keep_password(struct setup *s, struct err *err)
{
	char folder[FETCH_PATH_MAX], file[FETCH_TEXT_MAX];
	int fd, rc = 0;

	snprintf(folder, sizeof(folder), "%s", s->config_file);
	snprintf(file, sizeof(file), "%.240s", s->name);
	for (char *c = file; *c; c++)
		if (strchr("/ \"\\", *c) || (unsigned char)*c < 0x20)
			*c = '_';
	snprintf(s->password_file, sizeof(s->password_file), "%s/%s.password", dirname(folder),
		 file);
	fd = open(s->password_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = err_sys(err, EX_CANTCREAT, errno, "cannot make %s", s->password_file);
		s->password_file[0] = '\0';
		return rc;
	}
	if (fetch_write_all(&fetch_files_real, fd, s->secret.bytes, s->secret.size) < 0 ||
	    fetch_write_all(&fetch_files_real, fd, "\n", 1) < 0 || fsync(fd) < 0)
		rc = err_sys(err, EX_IOERR, errno, "cannot write %s", s->password_file);
	close(fd);
	return rc;
}

static int write_account(struct setup *s, struct err *err)
{
	static const struct section_text nothing;

	/* the folder must be there before a password is put into it */
	if (s->asked && access(s->config_file, F_OK) < 0 &&
	    write_config(s->config_file, &nothing, err) < 0)
		return -1;
	if (s->asked && keep_password(s, err) < 0)
		return -1;
	if (s->asked)
		compose(s, "password-file", s->password_file);
	if (write_config(s->config_file, &s->sections, err) < 0) {
		if (s->password_file[0])
			unlink(s->password_file);
		return -1;
	}
	printf("Account \"%s\" is in %s; its mail goes to %s.\n", s->name, s->config_file, s->to);
	if (s->password_file[0])
		printf("Its password is in %s.\n", s->password_file);
	return 0;
}

/* The unit that is to collect; NULL: none. */
static const char *choose_unit(const struct setup *s)
{
	if (s->a.watch)
		return UNIT_DAEMON;
	if (s->a.timer)
		return UNIT_TIMER;
	if (s->a.no_timer || !s->usual_place || !s->person)
		return NULL;
	if (ask_yes("Collect every ten minutes, by a timer of systemd?"))
		return UNIT_TIMER;
	return ask_yes("Or always, by a daemon (valija fetch --watch)?") ? UNIT_DAEMON : NULL;
}

static int offer_unit(struct setup *s, struct err *err)
{
	const char *unit = choose_unit(s);

	if (!unit) {
		printf("Next: valija fetch --dry-run %s\n", s->name);
		return 0;
	}
	if (!s->usual_place)
		return err_set(err, EX_USAGE,
			       "timer and daemon read the usual configuration file only; the "
			       "account is written");
	if (unit_enable(unit, err) < 0)
		return -1;
	if (strcmp(unit, UNIT_TIMER) == 0)
		printf("It is collected every ten minutes.\n");
	else
		printf("It is collected always; valija fetch status shows how it goes.\n");
	return 0;
}

static int choose_place(struct setup *s)
{
	const char *usual = "maildir:~/Maildir";

	if (s->a.to)
		snprintf(s->to, sizeof(s->to), "%s", s->a.to);
	else if (!s->person || !ask_text("Where its mail goes", usual, s->to, sizeof(s->to)))
		snprintf(s->to, sizeof(s->to), "%s", usual);
	return 0;
}

static int open_state(struct setup *s, struct err *err)
{
	const char *state = s->a.state;

	if (!state && s->draft.state[0])
		state = s->draft.state;
	s->state_dir = state_open(&fetch_files_real, state, err);
	return s->state_dir < 0 ? -1 : 0;
}

static int run(struct setup *s, struct err *err)
{
	s->person = ask_possible(s->a.yes);
	if (place(s, err) < 0 || check_name(s, err) < 0 || find(s, err) < 0)
		return -1;
	choose_login(s);
	choose_place(s);
	compose(s, s->a.secret_key, s->a.secret);
	if (draft(s, err) < 0 || open_state(s, err) < 0)
		return -1;
	if (!s->a.no_test &&
	    (reach(s, err) < 0 || get_secret(s, err) < 0 || test_login(s, err) < 0))
		return -1;
	if (write_account(s, err) < 0)
		return -1;
	return offer_unit(s, err);
}

int setup_main(int argc, char **argv)
{
	struct setup *s = calloc(1, sizeof(*s));
	struct err err = {0};
	int code = EX_OK;

	if (!s)
		return EX_OSERR;
	s->state_dir = -1;
	secret_init(&s->secret);
	if (setup_arguments_parse(argc, argv, &s->a, &err) < 0) {
		code = EX_USAGE;
	} else if (s->a.help) {
		setup_usage(false);
	} else if (run(s, &err) < 0) {
		code = err.code ? err.code : EX_SOFTWARE;
	}
	fflush(stdout);
	if (code != EX_OK) {
		char text[sizeof(err.text) * 2];

		fprintf(stderr, "valija fetch setup: %s\n",
			report_harmless(err.text, text, sizeof(text)));
	}
	if (code == EX_USAGE)
		setup_usage(true);
	if (s->state_dir >= 0)
		close(s->state_dir);
	fetch_config_finish(&s->draft);
	secret_finish(&s->secret);
	free(s);
	return code;
}
