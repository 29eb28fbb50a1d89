/* fetchmail's run control file (fetchmail(1)) and its list of unique ids. See found.h. */
#include "fetch/import/found.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct word {
	char text[FETCH_COMMAND_MAX];
	bool quoted;
	unsigned line;
};

struct fetchmail {
	struct import *im;
	pop3_span rest;
	unsigned line; /* of rest */
	struct word word;
	bool ahead; /* word is the next one, not taken yet */
	struct import_account defaults;
	struct import_account server; /* of the poll; its users are copies */
	unsigned at;                  /* index + 1 of the user; 0: the server */
	bool in_poll, in_defaults;
	bool no; /* "no" stands before the next option */
	uint32_t interval;
	char idfile[FETCH_PATH_MAX];
};

static struct import_account *current(struct fetchmail *f)
{
	if (f->at)
		return &f->im->accounts[f->at - 1];
	return f->in_defaults ? &f->defaults : &f->server;
}

static void skip_blanks(struct fetchmail *f)
{
	while (f->rest.size) {
		char c = *f->rest.data;

		if (c == '#') {
			while (f->rest.size && *f->rest.data != '\n')
				f->rest.data++, f->rest.size--;
			continue;
		}
		if (!strchr(" \t\r\n,;:=", c) || !c)
			return;
		f->line += c == '\n';
		f->rest.data++, f->rest.size--;
	}
}

static char escaped(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

static void take_quoted(struct fetchmail *f, size_t *used)
{
	char quote = *f->rest.data;

	f->word.quoted = true;
	f->rest.data++, f->rest.size--;
	while (f->rest.size && *f->rest.data != quote) {
		char c = *f->rest.data;

		if (c == '\\' && f->rest.size > 1) {
			f->rest.data++, f->rest.size--;
			c = escaped(*f->rest.data);
		}
		f->line += *f->rest.data == '\n';
		if (*used + 1 < sizeof(f->word.text))
			f->word.text[(*used)++] = c ? c : '?';
		f->rest.data++, f->rest.size--;
	}
	if (f->rest.size)
		f->rest.data++, f->rest.size--;
	else
		import_remark(f->im, "a quote is not closed");
}

static bool next(struct fetchmail *f)
{
	size_t used = 0;

	if (f->ahead) {
		f->ahead = false;
		return true;
	}
	skip_blanks(f);
	f->word.line = f->im->line = f->line;
	f->word.quoted = false;
	if (!f->rest.size)
		return false;
	if (*f->rest.data == '"' || *f->rest.data == '\'')
		take_quoted(f, &used);
	else
		while (f->rest.size && (!*f->rest.data || !strchr(" \t\r\n,;:=#", *f->rest.data))) {
			if (used + 1 < sizeof(f->word.text))
				f->word.text[used++] = *f->rest.data ? *f->rest.data : '?';
			f->rest.data++, f->rest.size--;
		}
	f->word.text[used] = '\0';
	return true;
}

static bool is(const struct fetchmail *f, const char *word)
{
	return !f->word.quoted && strcmp(f->word.text, word) == 0;
}

static bool among(const struct fetchmail *f, const char *const *words)
{
	for (; *words; words++)
		if (is(f, *words))
			return true;
	return false;
}

static const char *const flags[] = {
	"idle",       "mimedecode",    "forcecr",    "stripcr",    "pass8bits",
	"dropstatus", "dropdelivered", "rewrite",    "tracepolls", "uidl",
	"dns",        "checkalias",    "bouncemail", "spambounce", "softbounce",
	"syslog",     "invisible",     "showdots",   NULL};
static const char *const noise[] = {"and",  "with",  "has",     "wants", "options",
				    "here", "there", "mailbox", "bogus", NULL};
/* They take a value and change nothing that this program does. */
static const char *const quiet[] = {"timeout",  "batchlimit",     "expunge", "fastuidl",
				    "warnings", "logfile",        "pidfile", "postmaster",
				    "antispam", "fetchsizelimit", "b",       NULL};
static const char *const without[] = {"plugin",
				      "plugout",
				      "preconnect",
				      "postconnect",
				      "bsmtp",
				      "smtphost",
				      "smtp",
				      "fetchdomains",
				      "smtpaddress",
				      "smtpname",
				      "envelope",
				      "qvirtual",
				      "localdomains",
				      "aka",
				      "interface",
				      "monitor",
				      "principal",
				      "esmtpname",
				      "esmtppassword",
				      "properties",
				      "folder",
				      "sslcommonname",
				      "sslcertpath",
				      "sslfingerprint",
				      "badheader",
				      "bad-header",
				      "retrieve-error",
				      "netsec",
				      NULL};
static const char *const others[] = {
	"poll",      "server",   "skip",     "defaults",   "set",          "proto",
	"protocol",  "port",     "service",  "auth",       "authenticate", "user",
	"username",  "is",       "to",       "pass",       "password",     "ssl",
	"sslcert",   "sslkey",   "sslproto", "sslcertck",  "sslcertfile",  "keep",
	"fetchall",  "flush",    "limit",    "fetchlimit", "mda",          "via",
	"lmtp",      "interval", "no",       "nokeep",     "nofetchall",   "noflush",
	"norewrite", "nodns",    NULL};

static bool keyword(const struct fetchmail *f)
{
	return among(f, flags) || among(f, noise) || among(f, quiet) || among(f, without) ||
	       among(f, others);
}

/* The option's value, in f->word. */
static bool value(struct fetchmail *f, const char *what)
{
	if (next(f))
		return true;
	import_remark(f->im, "%s has no value", what);
	f->word.text[0] = '\0';
	return false;
}

static void begin_poll(struct fetchmail *f, bool skipped)
{
	if (!value(f, "poll"))
		return;
	f->server = f->defaults;
	f->in_poll = true;
	f->in_defaults = false;
	f->at = 0;
	import_text(f->im, f->server.query, sizeof(f->server.query), span_of(f->word.text),
		    "the server's name");
	import_text(f->im, f->server.account.host, sizeof(f->server.account.host),
		    span_of(f->word.text), "the server's name");
	if (skipped)
		import_remark(f->im, "\"skip\": taken over as any other account");
}

static void begin_user(struct fetchmail *f)
{
	struct import_account *fresh;

	if (!value(f, "user"))
		return;
	if (!f->in_poll) {
		import_remark(f->im, "a user without a server is left out");
		return;
	}
	fresh = import_add(f->im);
	if (!fresh)
		return;
	*fresh = f->server;
	f->at = f->im->count;
	import_text(f->im, fresh->account.user, sizeof(fresh->account.user), span_of(f->word.text),
		    "user");
}

/* "is anna here", "to anna bert * here" */
static void local_names(struct fetchmail *f)
{
	struct import_account *at = current(f);
	unsigned count = 0;

	while (next(f)) {
		if (keyword(f)) {
			f->ahead = true;
			break;
		}
		if (++count == 1)
			import_text(f->im, at->local, sizeof(at->local), span_of(f->word.text),
				    "the local name");
	}
	if (count > 1 || strcmp(at->local, "*") == 0)
		import_remark(f->im, "a mailbox of several people is not taken apart: all of it "
				     "goes to one place");
}

static void set_protocol(struct fetchmail *f)
{
	struct import_account *at = current(f);

	if (!value(f, "protocol"))
		return;
	if (strcasecmp(f->word.text, "apop") == 0) {
		snprintf(at->account.auth, sizeof(at->account.auth), "APOP");
	} else if (strcasecmp(f->word.text, "pop3") != 0 && strcasecmp(f->word.text, "auto") != 0) {
		import_remark(f->im, "only POP3 is collected, not %.20s", f->word.text);
		at->skip = true;
	}
}

static void set_auth(struct fetchmail *f)
{
	struct import_account *at = current(f);

	if (!value(f, "auth"))
		return;
	if (strcasecmp(f->word.text, "cram-md5") == 0)
		snprintf(at->account.auth, sizeof(at->account.auth), "CRAM-MD5");
	else if (strcasecmp(f->word.text, "external") == 0)
		snprintf(at->account.auth, sizeof(at->account.auth), "EXTERNAL");
	else if (strcasecmp(f->word.text, "any") != 0 && strcasecmp(f->word.text, "password") != 0)
		import_remark(f->im,
			      "the login %.20s is not taken over: the strongest that the "
			      "server offers is used",
			      f->word.text);
}

static void set_number(struct fetchmail *f, uint64_t *to, const char *what)
{
	uint64_t number;

	if (!value(f, what))
		return;
	if (span_number(span_of(f->word.text), UINT32_MAX, &number) < 0)
		import_remark(f->im, "%s needs a number", what);
	else
		*to = number;
}

static void set_path(struct fetchmail *f, char *to, const char *what)
{
	if (value(f, what))
		import_text(f->im, to, FETCH_PATH_MAX, span_of(f->word.text), what);
}

/* %T is the local user; %F and %s, the sender, have no counterpart. */
static void set_mda(struct fetchmail *f)
{
	struct import_account *at = current(f);

	if (!value(f, "mda"))
		return;
	if (strstr(f->word.text, "%F") || strstr(f->word.text, "%s"))
		import_remark(f->im, "the sender in the delivery command has no counterpart: "
				     "change the command");
	import_place(f->im, at, "command:", span_of(f->word.text));
}

static bool server_option(struct fetchmail *f)
{
	struct import_account *at = current(f);
	struct fetch_account *a = &at->account;

	if (is(f, "proto") || is(f, "protocol"))
		set_protocol(f);
	else if (is(f, "port") || is(f, "service")) {
		if (value(f, "port"))
			import_port(f->im, a, span_of(f->word.text));
	} else if (is(f, "via")) {
		if (value(f, "via"))
			import_text(f->im, a->host, sizeof(a->host), span_of(f->word.text), "via");
	} else if (is(f, "auth") || is(f, "authenticate")) {
		set_auth(f);
	} else if (is(f, "interval")) {
		if (value(f, "interval"))
			import_remark(f->im, "interval (every so many rounds): set the account's "
					     "interval as a time");
	} else
		return false;
	return true;
}

static bool security_option(struct fetchmail *f)
{
	struct import_account *at = current(f);
	struct fetch_account *a = &at->account;

	if (is(f, "ssl"))
		at->tls_on = !f->no;
	else if (is(f, "sslproto")) {
		if (value(f, "sslproto"))
			at->starttls_on = f->word.text[0] != '\0';
	} else if (is(f, "sslcertck")) {
		if (f->no)
			import_remark(f->im, "certificates are always verified: for a server with "
					     "one of its own give ca or pin");
	} else if (is(f, "sslcertfile"))
		set_path(f, a->ca_file, "sslcertfile");
	else if (is(f, "sslcert"))
		set_path(f, a->cert_file, "sslcert");
	else if (is(f, "sslkey"))
		set_path(f, a->key_file, "sslkey");
	else if (is(f, "pass") || is(f, "password")) {
		if (value(f, "password"))
			import_secret_here(f->im, at);
		memset(f->word.text, 0, sizeof(f->word.text));
	} else
		return false;
	return true;
}

static bool mail_option(struct fetchmail *f)
{
	struct import_account *at = current(f);
	struct fetch_account *a = &at->account;

	if (is(f, "keep") || is(f, "nokeep"))
		a->policy = f->no || is(f, "nokeep") ? FETCH_DELETE : FETCH_KEEP;
	else if (is(f, "fetchall")) {
		if (!f->no)
			import_remark(f->im, "fetchall collects everything again in each run; here "
					     "each message comes once");
	} else if (is(f, "flush")) {
		if (!f->no)
			import_remark(f->im, "flush deletes mail that was collected before: "
					     "policy = \"delete\" does it with new mail");
	} else if (is(f, "limit"))
		set_number(f, &a->limits.message_octets, "limit");
	else if (is(f, "fetchlimit"))
		set_number(f, &a->limits.run_messages, "fetchlimit");
	else if (is(f, "mda"))
		set_mda(f);
	else if (is(f, "is") || is(f, "to"))
		local_names(f);
	else if (is(f, "lmtp"))
		import_remark(f->im, "LMTP: write to = \"lmtp:HOST:PORT\" and recipient");
	else
		return false;
	return true;
}

static void global(struct fetchmail *f)
{
	uint64_t seconds = 0;

	if (!value(f, "set"))
		return;
	if (is(f, "no")) {
		value(f, "set no");
	} else if (is(f, "daemon")) {
		set_number(f, &seconds, "daemon");
		f->interval = seconds && seconds <= FETCH_INTERVAL_MAX ? (uint32_t)seconds : 0;
	} else if (is(f, "idfile")) {
		set_path(f, f->idfile, "idfile");
	} else if (!among(f, flags)) {
		if (!among(f, quiet))
			import_remark(f->im, "set %.40s has no counterpart", f->word.text);
		value(f, "set");
	}
}

/* With its values, which end where another keyword begins. */
static void left_out(struct fetchmail *f)
{
	import_remark(f->im, "%.40s has no counterpart and is left out", f->word.text);
	while (next(f)) {
		if (keyword(f)) {
			f->ahead = true;
			return;
		}
	}
}

static void option(struct fetchmail *f)
{
	if (is(f, "poll") || is(f, "server") || is(f, "skip")) {
		begin_poll(f, is(f, "skip"));
	} else if (is(f, "defaults")) {
		f->in_defaults = true;
		f->at = 0;
	} else if (is(f, "set")) {
		global(f);
	} else if (is(f, "user") || is(f, "username")) {
		begin_user(f);
	} else if (server_option(f) || security_option(f) || mail_option(f)) {
		return;
	} else if (among(f, quiet)) {
		value(f, "an option");
	} else if (among(f, without)) {
		left_out(f);
	} else if (!among(f, flags) && !among(f, noise)) {
		import_remark(f->im, "\"%.40s\" is not understood", f->word.text);
	}
}

static bool plain(const char *text)
{
	for (; *text; text++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-",
			    *text))
			return false;
	return true;
}

static void put_local(struct import *im, struct import_account *at)
{
	char command[FETCH_COMMAND_MAX], *mark = strstr(at->account.target, "%T");
	int n;

	if (at->account.sink != FETCH_COMMAND || !mark)
		return;
	if (!at->local[0] || !plain(at->local)) {
		import_say(im,
			   "account %.80s: %%T in the delivery command: put the local user in "
			   "its place",
			   at->account.user);
		return;
	}
	n = snprintf(command, sizeof(command), "%.*s%s%s", (int)(mark - at->account.target),
		     at->account.target, at->local, mark + 2);
	if (n < (int)sizeof(command))
		memcpy(at->account.target, command, (size_t)n + 1);
}

static void finish_account(const struct fetchmail *f, struct import_account *at)
{
	struct fetch_account *a = &at->account;

	a->tls = at->tls_on        ? FETCH_TLS_IMPLICIT
		 : at->starttls_on ? FETCH_TLS_STARTTLS
				   : FETCH_TLS_NONE;
	if (a->tls == FETCH_TLS_NONE && !at->skip)
		import_say(f->im,
			   "account %.80s: without TLS, as it was: tls = \"starttls\" is better",
			   a->user);
	if (f->interval)
		a->interval = f->interval;
	snprintf(at->ids_file, sizeof(at->ids_file), "%s", f->idfile);
	put_local(f->im, at);
	if (!at->place && !at->skip)
		import_say(f->im,
			   "account %.80s: fetchmail gave mail to the SMTP server of this "
			   "machine, for %.80s",
			   a->user, at->local[0] ? at->local : "the user who ran it");
}

void import_fetchmail(struct import *im, const char *file, pop3_span text)
{
	struct fetchmail f = {.im = im, .rest = text, .line = 1};

	im->file = file;
	fetch_account_defaults(&f.defaults.account);
	f.defaults.account.policy = FETCH_DELETE;
	f.defaults.starttls_on = true; /* fetchmail uses it where it is offered */
	f.server = f.defaults;
	while (next(&f)) {
		if (!f.no && is(&f, "no")) {
			f.no = true;
			continue;
		}
		option(&f);
		f.no = false;
	}
	for (unsigned i = 0; i < im->count; i++)
		finish_account(&f, &im->accounts[i]);
	memset(&f, 0, sizeof(f));
}

/* "USER@HOST ID": the host as poll names it. */
void import_fetchids(struct import *im, const char *file, pop3_span text)
{
	pop3_span line;

	im->file = file;
	im->line = 0;
	while (import_line(im, &text, &line)) {
		const char *blank = memchr(line.data, ' ', line.size), *at = NULL;
		size_t n = blank ? (size_t)(blank - line.data) : 0;
		bool known = false;

		if (n)
			at = memrchr(line.data, '@', n);
		if (!at) {
			if (import_trim(line).size)
				import_remark(im, "this is no line of a list of fetchmail");
			continue;
		}
		for (unsigned i = 0; i < im->count; i++) {
			struct import_account *a = &im->accounts[i];

			if (!span_equal((pop3_span){line.data, (size_t)(at - line.data)},
					span_of(a->account.user)) ||
			    !span_equal_nocase((pop3_span){at + 1, (size_t)(blank - at) - 1},
					       span_of(a->query)))
				continue;
			known = true;
			import_id(im, a, (pop3_span){blank + 1, line.size - n - 1}, IMPORT_WHOLE);
		}
		if (!known)
			import_remark(im, "an account that the configuration does not name");
	}
}
