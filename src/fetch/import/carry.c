/* See carry.h. */
#include "fetch/import/carry.h"

#include "base/text.h"
#include "fetch/account/config_text.h"
#include "fetch/journal/journal.h"
#include "fetch/journal/state.h"
#include "fetch/syscalls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static void put(FILE *out, const char *name, const char *text)
{
	char buf[CONFIG_QUOTED_MAX];
	const char *quoted = config_quoted(text, buf);

	assert(quoted); /* it is of an account */
	fprintf(out, "\t%s = %s\n", name, quoted);
}

static void put_server(FILE *out, const struct fetch_account *a)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789-._~";
	bool v6 = strchr(a->host, ':') != NULL;
	char url[3 * FETCH_TEXT_MAX + FETCH_TEXT_MAX + 64];
	int used = snprintf(url, sizeof(url), "pop3%s://", a->tls == FETCH_TLS_IMPLICIT ? "s" : "");

	for (const char *c = a->user; *c; c++)
		used += snprintf(url + used, sizeof(url) - (size_t)used,
				 strchr(fine, *c) ? "%c" : "%%%02X", (unsigned char)*c);
	used += snprintf(url + used, sizeof(url) - (size_t)used, "@%s%s%s", v6 ? "[" : "", a->host,
			 v6 ? "]" : "");
	if (a->port && a->port != (a->tls == FETCH_TLS_IMPLICIT ? 995 : 110))
		snprintf(url + used, sizeof(url) - (size_t)used, ":%u", a->port);
	put(out, "server", url);
	if (a->tls == FETCH_TLS_NONE)
		put(out, "tls", "none");
}

static void put_place(FILE *out, const struct import_account *account)
{
	static const char *const prefixes[] = {
		[FETCH_MAILDIR] = "maildir:", [FETCH_MBOX] = "mbox:", [FETCH_COMMAND] = "command:"};
	char place[FETCH_COMMAND_MAX + 16];

	if (!account->place)
		snprintf(place, sizeof(place), "maildir:~/Maildir");
	else
		snprintf(place, sizeof(place), "%s%s", prefixes[account->account.sink],
			 account->account.target);
	put(out, "to", place);
}

static void put_policy(FILE *out, const struct fetch_account *a)
{
	char text[40];

	snprintf(text, sizeof(text), "keep-days %u", a->keep_days);
	put(out, "policy",
	    a->policy == FETCH_KEEP_DAYS ? text
	    : a->policy == FETCH_DELETE  ? "delete"
					 : "keep");
}

static void put_number(FILE *out, const char *name, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	if (number)
		put(out, name, text);
}

char *carry_section(const struct import_account *account, const char *password_file)
{
	const struct fetch_account *a = &account->account;
	char *text = NULL, quoted[CONFIG_QUOTED_MAX];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "\naccount %s {\n", config_quoted(a->name, quoted));
	put_server(out, a);
	put_place(out, account);
	put_policy(out, a);
	if (a->ca_file[0])
		put(out, "ca", a->ca_file);
	if (a->cert_file[0])
		put(out, "cert", a->cert_file);
	if (a->key_file[0])
		put(out, "key", a->key_file);
	if (a->auth[0])
		put(out, "auth", a->auth);
	if (a->password_source == FETCH_PASSWORD_COMMAND)
		put(out, "password-command", a->password_from);
	else if (password_file)
		put(out, "password-file", password_file);
	if (a->interval != FETCH_INTERVAL)
		fprintf(out, "\tinterval = \"%us\"\n", a->interval);
	put_number(out, "max-size", a->limits.message_octets);
	put_number(out, "max-messages", a->limits.run_messages);
	put_number(out, "max-octets", a->limits.run_octets);
	fputs("}\n", out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

int carry_password_file(const char *config, const char *name, char *ret, size_t size)
{
	const char *slash = strrchr(config, '/');
	int n = snprintf(ret, size, "%.*s%s.password", slash ? (int)(slash - config) + 1 : 0,
			 config, name);

	if (n >= (int)size)
		return -1;
	for (char *c = ret + (slash ? slash - config + 1 : 0); *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@-_.",
			    *c))
			*c = '_';
	return 0;
}

/* ---- the configuration ---- */

static const struct fetch_account *same_server(const struct fetch_config *config,
					       const struct fetch_account *a)
{
	unsigned port = a->port ? a->port : a->tls == FETCH_TLS_IMPLICIT ? 995 : 110;

	for (unsigned i = 0; i < config->count; i++) {
		const struct fetch_account *have = &config->accounts[i];

		if (strcmp(have->user, a->user) == 0 && strcasecmp(have->host, a->host) == 0 &&
		    have->port == port)
			return have;
	}
	return NULL;
}

static bool name_is_taken(const struct carry *c, const struct fetch_config *config, unsigned index)
{
	const char *name = c->im->accounts[index].account.name;

	for (unsigned i = 0; i < config->count; i++)
		if (strcmp(config->accounts[i].name, name) == 0)
			return true;
	for (unsigned i = 0; i < index; i++)
		if (!c->im->accounts[i].skip && strcmp(c->im->accounts[i].account.name, name) == 0)
			return true;
	return false;
}

static void give_name(const struct carry *c, const struct fetch_config *config, unsigned index)
{
	struct fetch_account *a = &c->im->accounts[index].account;
	char base[FETCH_TEXT_MAX];

	if (!a->name[0] || strcmp(a->name, "default") == 0)
		snprintf(a->name, sizeof(a->name), "%.120s@%.120s", a->user, a->host);
	snprintf(base, sizeof(base), "%.240s", a->name);
	for (unsigned n = 2; name_is_taken(c, config, index); n++)
		snprintf(a->name, sizeof(a->name), "%.240s-%u", base, n);
}

static int add_section(const struct carry *c, FILE *out, const struct import_account *account,
		       struct err *err)
{
	char password[FETCH_PATH_MAX];
	bool file = account->secret_at[0] && !c->ask;
	char *text;

	if (file &&
	    carry_password_file(c->config, account->account.name, password, sizeof(password)) < 0)
		return err_set(err, EX_USAGE, "the configuration file's name is too long");
	text = carry_section(account, file ? password : NULL);
	if (!text)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	fputs(text, out);
	free(text);
	return 0;
}

/* With its mode: others who may read it read it still. */
static int copy_old(const char *path, FILE *out, struct err *err)
{
	FILE *in = fopen(path, "re");
	char buffer[8192];
	struct stat st;
	size_t n;

	if (!in && errno == ENOENT) {
		fputs("# accounts of valija fetch: man valija-fetch.conf\n", out);
		return 0;
	}
	if (!in)
		return err_sys(err, EX_NOINPUT, errno, "cannot read %s", path);
	if (fstat(fileno(in), &st) < 0 || fchmod(fileno(out), st.st_mode & 0777) < 0) {
		err_sys(err, EX_IOERR, errno, "cannot copy the mode of %s", path);
		fclose(in);
		return -1;
	}
	while ((n = fread(buffer, 1, sizeof(buffer), in)) > 0)
		fwrite(buffer, 1, n, out);
	if (ferror(in)) {
		fclose(in);
		return err_set(err, EX_IOERR, "cannot read %s", path);
	}
	fclose(in);
	return 0;
}

/* The old file and the new sections, in fresh. */
static int write_config(struct carry *c, const struct fetch_config *old, const char *fresh,
			struct err *err)
{
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), rc;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	if (!out)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", fresh);
	rc = copy_old(c->config, out, err);
	for (unsigned i = 0; i < c->im->count && rc == 0; i++) {
		struct import_account *account = &c->im->accounts[i];

		if (account->skip || same_server(old, &account->account))
			continue;
		give_name(c, old, i);
		rc = add_section(c, out, account, err);
	}
	if (rc == 0 && (fflush(out) != 0 || fsync(fd) < 0))
		rc = err_sys(err, EX_IOERR, errno, "cannot write %s", fresh);
	if (fclose(out) != 0 && rc == 0)
		rc = err_sys(err, EX_IOERR, errno, "cannot write %s", fresh);
	return rc;
}

/* ---- the journals ---- */

static int add_ids(struct carry *c, unsigned index, struct journal *journal, struct err *err)
{
	const struct import_account *account = &c->im->accounts[index];
	const char *at = account->ids, *end = at + account->ids_size;

	while (at < end) {
		pop3_span id = span_of(at + 1);
		char identity[JOURNAL_IDENTITY_MAX];
		size_t size = journal_identity_of_id(id, identity);
		uint32_t entry = journal_intern(journal, (pop3_span){identity, size});
		struct seen *seen;

		if (entry == JOURNAL_NONE)
			return err_sys(err, EX_OSERR, ENOMEM, "memory");
		seen = journal_at(journal, entry);
		if (seen->state == SEEN_UNKNOWN) {
			seen->state = *at == IMPORT_PARTIAL ? SEEN_PARTIAL : SEEN_MARKED;
			seen->time = (int64_t)time(NULL) * 1000000;
			if (journal_write_seen(journal, entry, err) < 0)
				return -1;
			c->known[index]++;
		}
		at += 2 + id.size;
	}
	return journal_commit(journal, err);
}

static int write_journal(struct carry *c, unsigned index, int dir, struct err *err)
{
	const struct fetch_account *account = c->accounts[index];
	char key[STATE_KEY_MAX], name[STATE_NAME_MAX];
	struct journal *journal;
	int rc;

	if (state_key(account, dir, key, err) < 0)
		return -1;
	state_journal_name(account, key, name);
	if (journal_open(&fetch_files_real, dir, name, account->name, &journal, err) < 0)
		return err_prefix(err, "account \"%.80s\"", account->name);
	rc = add_ids(c, index, journal, err);
	journal_close(journal);
	return rc;
}

static int write_journals(struct carry *c, struct err *err)
{
	const char *state = c->state ? c->state : c->read.state[0] ? c->read.state : NULL;
	int dir = state_open(&fetch_files_real, state, err), rc = 0;

	if (dir < 0)
		return -1;
	for (unsigned i = 0; i < c->im->count && rc == 0; i++) {
		if (c->im->accounts[i].skip)
			continue;
		c->accounts[i] = same_server(&c->read, &c->im->accounts[i].account);
		if (c->accounts[i])
			rc = write_journal(c, i, dir, err);
	}
	close(dir);
	return rc;
}

static int read_old(const char *path, struct fetch_config *ret, struct err *err)
{
	struct err why = {0};

	if (fetch_config_read(path, ret, &why) == 0)
		return 0;
	*ret = (struct fetch_config){0};
	if (why.errnum == ENOENT)
		return fetch_config_folder(path, err);
	*err = why;
	return -1;
}

int carry_over(struct carry *c, struct err *err)
{
	char fresh[FETCH_PATH_MAX + 8], *whole = realpath(c->config, NULL);
	const char *path = whole ? whole : c->config;
	struct fetch_config old = {0};
	int rc;

	c->accounts = calloc(c->im->count + 1, sizeof(*c->accounts));
	c->known = calloc(c->im->count + 1, sizeof(*c->known));
	snprintf(fresh, sizeof(fresh), "%.*s.new", FETCH_PATH_MAX, path);
	rc = c->accounts && c->known ? read_old(path, &old, err)
				     : err_sys(err, EX_OSERR, ENOMEM, "memory");
	if (rc == 0)
		rc = write_config(c, &old, fresh, err);
	if (rc == 0 && (rc = fetch_config_read(fresh, &c->read, err)) == 0)
		rc = write_journals(c, err);
	if (rc == 0 && (rename(fresh, path) < 0 || fetch_flush_parent(&fetch_files_real, path) < 0))
		rc = err_sys(err, EX_CANTCREAT, errno, "cannot write %s", path);
	if (rc < 0)
		unlink(fresh);
	fetch_config_finish(&old);
	free(whole);
	return rc;
}

void carry_finish(struct carry *c)
{
	free(c->accounts);
	free(c->known);
	fetch_config_finish(&c->read);
}
