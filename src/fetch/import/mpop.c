/* mpop's configuration and its lists of unique ids (mpop(1)). See found.h. */
#include "fetch/import/found.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

struct mpop {
	struct import *im;
	struct import_account defaults;
	unsigned at; /* index + 1; 0: the defaults */
};

static struct import_account *current(struct mpop *m)
{
	return m->at ? &m->im->accounts[m->at - 1] : &m->defaults;
}

static pop3_span unquoted(pop3_span value)
{
	if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
		return (pop3_span){value.data + 1, value.size - 2};
	return value;
}

static bool is_on(const struct mpop *m, pop3_span value)
{
	if (!value.size || span_equal(value, SPAN_LITERAL("on")))
		return true;
	if (!span_equal(value, SPAN_LITERAL("off")))
		import_remark(m->im, "the value is neither on nor off; off is taken");
	return false;
}

/* "account NAME [: BASE]" */
static void begin(struct mpop *m, pop3_span value)
{
	const char *colon = memchr(value.data, ':', value.size);
	size_t n = colon ? (size_t)(colon - value.data) : value.size;
	pop3_span name = import_trim((pop3_span){value.data, n}), base = {0};
	struct import_account copy = m->defaults, *fresh;

	if (colon)
		base = import_trim((pop3_span){colon + 1, value.size - n - 1});
	for (unsigned i = 0; base.size && i < m->im->count; i++)
		if (span_equal(base, span_of(m->im->accounts[i].account.name)))
			copy = m->im->accounts[i];
	fresh = import_add(m->im);
	if (!fresh)
		return;
	*fresh = copy;
	fresh->account.name[0] = '\0';
	import_text(m->im, fresh->account.name, sizeof(fresh->account.name), name, "the name");
	m->at = m->im->count;
}

static void delivery(struct mpop *m, pop3_span value)
{
	static const char *const kinds[][2] = {
		{"maildir", "maildir:"}, {"mbox", "mbox:"}, {"mda", "command:"}};
	size_t n = 0;
	pop3_span rest;

	while (n < value.size && value.data[n] != ' ' && value.data[n] != '\t')
		n++;
	rest = unquoted(import_trim((pop3_span){value.data + n, value.size - n}));
	for (size_t i = 0; i < 3; i++) {
		if (!span_equal((pop3_span){value.data, n}, span_of(kinds[i][0])))
			continue;
		if (i == 2 && memmem(rest.data, rest.size, "%F", 2))
			import_remark(m->im, "%%F (the sender) in the delivery command has no "
					     "counterpart: change the command");
		import_place(m->im, current(m), kinds[i][1], rest);
		return;
	}
	import_remark(m->im, "this kind of delivery has no counterpart");
}

static void set_auth(struct mpop *m, pop3_span value)
{
	static const char *const none[] = {"ntlm", "digest-md5", "gssapi"};
	struct fetch_account *a = &current(m)->account;

	a->auth[0] = '\0';
	if (!value.size || span_equal(value, SPAN_LITERAL("on")))
		return;
	for (size_t i = 0; i < 3; i++) {
		if (span_equal_nocase(value, span_of(none[i]))) {
			import_remark(m->im,
				      "the login %s has no counterpart: the strongest other "
				      "one that the server offers is used",
				      none[i]);
			return;
		}
	}
	import_text(m->im, a->auth, sizeof(a->auth), value, "auth");
}

static void set_path(struct mpop *m, char *to, pop3_span value, const char *what)
{
	if (span_equal(value, SPAN_LITERAL("system")) || !value.size)
		to[0] = '\0';
	else
		import_text(m->im, to, FETCH_PATH_MAX, value, what);
}

static bool about_server(struct mpop *m, pop3_span name, pop3_span value)
{
	struct import_account *at = current(m);
	struct fetch_account *a = &at->account;

	if (span_equal(name, SPAN_LITERAL("host")))
		import_text(m->im, a->host, sizeof(a->host), value, "host");
	else if (span_equal(name, SPAN_LITERAL("port")))
		import_port(m->im, a, value);
	else if (span_equal(name, SPAN_LITERAL("user")))
		import_text(m->im, a->user, sizeof(a->user), value, "user");
	else if (span_equal(name, SPAN_LITERAL("auth")))
		set_auth(m, value);
	else if (span_equal(name, SPAN_LITERAL("tls")))
		at->tls_on = is_on(m, value);
	else if (span_equal(name, SPAN_LITERAL("tls_starttls")))
		at->starttls_on = is_on(m, value);
	else if (span_equal(name, SPAN_LITERAL("tls_trust_file")))
		set_path(m, a->ca_file, value, "tls_trust_file");
	else if (span_equal(name, SPAN_LITERAL("tls_cert_file")))
		set_path(m, a->cert_file, value, "tls_cert_file");
	else if (span_equal(name, SPAN_LITERAL("tls_key_file")))
		set_path(m, a->key_file, value, "tls_key_file");
	else
		return false;
	return true;
}

static void set_password_command(struct mpop *m, pop3_span value)
{
	struct fetch_account *a = &current(m)->account;

	if (import_text(m->im, a->password_from, sizeof(a->password_from), value, "passwordeval"))
		a->password_source = FETCH_PASSWORD_COMMAND;
}

static bool about_mail(struct mpop *m, pop3_span name, pop3_span value)
{
	struct import_account *at = current(m);

	if (span_equal(name, SPAN_LITERAL("delivery")))
		delivery(m, value);
	else if (span_equal(name, SPAN_LITERAL("keep")))
		at->account.policy = is_on(m, value) ? FETCH_KEEP : FETCH_DELETE;
	else if (span_equal(name, SPAN_LITERAL("uidls_file")))
		import_text(m->im, at->ids_file, sizeof(at->ids_file), value, "uidls_file");
	else if (span_equal(name, SPAN_LITERAL("password")))
		import_secret_here(m->im, at);
	else if (span_equal(name, SPAN_LITERAL("passwordeval")))
		set_password_command(m, value);
	else if (span_equal(name, SPAN_LITERAL("only_new")) && is_on(m, value))
		return true;
	else
		return false;
	return true;
}

/* They change nothing that this program does otherwise. */
static bool harmless(pop3_span name)
{
	static const char *const names[] = {"protocol", "timeout",         "pipelining",
					    "logfile",  "received_header", "tls_certcheck"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal(name, span_of(names[i])))
			return true;
	return false;
}

static void setting(struct mpop *m, pop3_span name, pop3_span value)
{
	if (span_equal(name, SPAN_LITERAL("defaults")))
		m->at = 0;
	else if (span_equal(name, SPAN_LITERAL("account")))
		begin(m, value);
	else if (span_equal(name, SPAN_LITERAL("tls_certcheck")) && !is_on(m, value))
		import_remark(m->im, "certificates are always verified: for a server with one of "
				     "its own give ca or pin");
	else if (!about_server(m, name, value) && !about_mail(m, name, value) && !harmless(name))
		import_remark(m->im, "%.*s has no counterpart and is left out",
			      (int)(name.size < 60 ? name.size : 60), name.data);
}

static void finish_account(struct import *im, struct import_account *at)
{
	struct fetch_account *a = &at->account;

	a->tls = !at->tls_on       ? FETCH_TLS_NONE
		 : at->starttls_on ? FETCH_TLS_STARTTLS
				   : FETCH_TLS_IMPLICIT;
	if (a->tls == FETCH_TLS_NONE)
		import_say(im,
			   "account %.80s: without TLS, as it was: tls = \"starttls\" is better",
			   a->name);
	at->skip = !a->host[0]; /* the sum of others, such as "account default : home" is not */
}

void import_mpop(struct import *im, const char *file, pop3_span text)
{
	struct mpop m = {.im = im};
	pop3_span line;

	fetch_account_defaults(&m.defaults.account);
	m.defaults.account.policy = FETCH_DELETE;
	m.defaults.starttls_on = true;
	im->file = file;
	im->line = 0;
	while (import_line(im, &text, &line)) {
		size_t n = 0;

		line = import_trim(line);
		while (n < line.size && line.data[n] != ' ' && line.data[n] != '\t')
			n++;
		if (n && line.data[0] != '#')
			setting(&m, (pop3_span){line.data, n},
				unquoted(import_trim((pop3_span){line.data + n, line.size - n})));
	}
	for (unsigned i = 0; i < im->count; i++)
		finish_account(im, &im->accounts[i]);
}

/* " COUNT HOST USER", then so many lines with a unique id each. A count that is wrong is no harm:
 * the next list begins with a blank. */
void import_mpop_uidls(struct import *im, struct import_account *to, const char *file,
		       pop3_span text)
{
	char head[2 * FETCH_TEXT_MAX + 4];
	bool ours = false, known = false;
	pop3_span line;

	snprintf(head, sizeof(head), "%s %s", to->account.host, to->account.user);
	im->file = file;
	im->line = 0;
	while (import_line(im, &text, &line)) {
		if (line.size && line.data[0] == ' ') {
			const char *blank = memchr(line.data + 1, ' ', line.size - 1);

			known = blank != NULL;
			if (!known)
				import_remark(im, "this is no list of unique ids of mpop");
			ours = known &&
			       span_equal((pop3_span){blank + 1,
						      line.size - 1 - (size_t)(blank - line.data)},
					  span_of(head));
		} else if (ours) {
			import_id(im, to, line, IMPORT_WHOLE);
		} else if (!known && line.size && line.data[0] != '#') {
			import_remark(im, "this is no list of unique ids of mpop");
			return;
		}
	}
}
