/* getmail's rc file, one an account, and its oldmail-* files. See found.h. */
#include "fetch/import/found.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

struct getmail {
	struct import *im;
	struct import_account *at;
	char section[32];
	char type[48]; /* of the destination */
	char path[FETCH_COMMAND_MAX], arguments[FETCH_COMMAND_MAX];
	unsigned path_line;
	bool keeps;
	uint64_t delete_after;
	bool retriever;
};

static bool is_true(pop3_span value)
{
	static const char *const words[] = {"true", "yes", "on", "1"};

	for (size_t i = 0; i < 4; i++)
		if (span_equal_nocase(value, span_of(words[i])))
			return true;
	return false;
}

/* "SimplePOP3SSLRetriever" */
static void set_type(struct getmail *g, pop3_span value)
{
	struct fetch_account *a = &g->at->account;

	g->retriever = memmem(value.data, value.size, "POP3", 4) != NULL;
	if (!g->retriever) {
		import_remark(g->im, "only POP3 is collected");
		g->at->skip = true;
	}
	if (memmem(value.data, value.size, "POP3SSL", 7))
		a->tls = FETCH_TLS_IMPLICIT;
	else
		a->tls = FETCH_TLS_NONE;
	if (value.size > 9 && memcmp(value.data, "Multidrop", 9) == 0)
		import_remark(g->im, "a mailbox of several people is not taken apart: all of it "
				     "goes to one place");
}

/* ("/usr/bin/pass", "show", "mail/home") as words for the shell, each quoted. */
static void shell_words(struct getmail *g, pop3_span value, char *to, size_t size)
{
	size_t used = 0;

	to[0] = '\0';
	for (size_t i = 0; i < value.size; i++) {
		char quote = value.data[i];
		const char *end;

		if (quote != '"' && quote != '\'')
			continue;
		end = memchr(value.data + i + 1, quote, value.size - i - 1);
		if (!end)
			break;
		used += (size_t)snprintf(to + used, size - used, "%s'%.*s'", used ? " " : "",
					 (int)(end - value.data - (long)i - 1), value.data + i + 1);
		if (used + 4 >= size)
			break;
		i = (size_t)(end - value.data);
	}
	if (!used || used + 4 >= size || strchr(to, '\\'))
		import_remark(g->im, "the command cannot be taken over: write it yourself");
	if (used + 4 >= size)
		to[0] = '\0';
}

static void password_command(struct getmail *g, pop3_span value)
{
	struct fetch_account *a = &g->at->account;

	shell_words(g, value, a->password_from, sizeof(a->password_from));
	if (a->password_from[0])
		a->password_source = FETCH_PASSWORD_COMMAND;
}

static void retriever(struct getmail *g, pop3_span name, pop3_span value)
{
	struct import_account *at = g->at;
	struct fetch_account *a = &at->account;

	if (span_equal(name, SPAN_LITERAL("type")))
		set_type(g, value);
	else if (span_equal(name, SPAN_LITERAL("server")))
		import_text(g->im, a->host, sizeof(a->host), value, "server");
	else if (span_equal(name, SPAN_LITERAL("port")))
		import_port(g->im, a, value);
	else if (span_equal(name, SPAN_LITERAL("username")))
		import_text(g->im, a->user, sizeof(a->user), value, "username");
	else if (span_equal(name, SPAN_LITERAL("password")))
		import_secret_here(g->im, at);
	else if (span_equal(name, SPAN_LITERAL("password_command")))
		password_command(g, value);
	else if (span_equal(name, SPAN_LITERAL("use_apop")))
		snprintf(a->auth, sizeof(a->auth), "%s", is_true(value) ? "APOP" : "");
	else if (span_equal(name, SPAN_LITERAL("ca_certs")))
		import_text(g->im, a->ca_file, sizeof(a->ca_file), value, "ca_certs");
	else if (span_equal(name, SPAN_LITERAL("certfile")))
		import_text(g->im, a->cert_file, sizeof(a->cert_file), value, "certfile");
	else if (span_equal(name, SPAN_LITERAL("keyfile")))
		import_text(g->im, a->key_file, sizeof(a->key_file), value, "keyfile");
	else if (!span_equal(name, SPAN_LITERAL("timeout")))
		import_remark(g->im, "%.*s has no counterpart and is left out",
			      (int)(name.size < 60 ? name.size : 60), name.data);
}

static void destination(struct getmail *g, pop3_span name, pop3_span value)
{
	if (span_equal(name, SPAN_LITERAL("type")))
		import_text(g->im, g->type, sizeof(g->type), value, "type");
	else if (span_equal(name, SPAN_LITERAL("path"))) {
		import_text(g->im, g->path, sizeof(g->path), value, "path");
		g->path_line = g->im->line;
	} else if (span_equal(name, SPAN_LITERAL("arguments"))) {
		if (memmem(value.data, value.size, "%(", 2))
			import_remark(g->im, "%%(…) in the arguments has no counterpart: change "
					     "the command");
		shell_words(g, value, g->arguments, sizeof(g->arguments));
	} else if (!span_equal(name, SPAN_LITERAL("unixfrom")) &&
		   !span_equal(name, SPAN_LITERAL("allow_root_commands"))) {
		import_remark(g->im, "%.*s has no counterpart and is left out",
			      (int)(name.size < 60 ? name.size : 60), name.data);
	}
}

static void days(struct getmail *g, pop3_span value)
{
	if (span_number(value, 100000, &g->delete_after) < 0)
		import_remark(g->im, "delete_after needs a number of days");
}

static void limit(struct getmail *g, pop3_span value, uint64_t *to, const char *what)
{
	if (span_number(value, UINT32_MAX, to) < 0)
		import_remark(g->im, "%s needs a number", what);
}

static void options(struct getmail *g, pop3_span name, pop3_span value)
{
	static const char *const harmless[] = {
		"verbose",      "message_log", "message_log_syslog",      "received",
		"delivered_to", "fingerprint", "to_oldmail_on_each_mail", "logfile"};
	struct fetch_limits *limits = &g->at->account.limits;

	if (span_equal(name, SPAN_LITERAL("delete"))) {
		g->keeps = !is_true(value);
		return;
	}
	if (span_equal(name, SPAN_LITERAL("delete_after"))) {
		days(g, value);
		return;
	}
	if (span_equal(name, SPAN_LITERAL("read_all"))) {
		if (is_true(value))
			import_remark(g->im, "read_all collects everything again in each run; here "
					     "each message comes once");
		return;
	}
	if (span_equal(name, SPAN_LITERAL("max_messages_per_session"))) {
		limit(g, value, &limits->run_messages, "max_messages_per_session");
		return;
	}
	if (span_equal(name, SPAN_LITERAL("max_bytes_per_session"))) {
		limit(g, value, &limits->run_octets, "max_bytes_per_session");
		return;
	}
	if (span_equal(name, SPAN_LITERAL("max_message_size"))) {
		limit(g, value, &limits->message_octets, "max_message_size");
		return;
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (span_equal(name, span_of(harmless[i])))
			return;
	import_remark(g->im, "%.*s has no counterpart and is left out",
		      (int)(name.size < 60 ? name.size : 60), name.data);
}

static void section(struct getmail *g, pop3_span line)
{
	const char *end = memchr(line.data, ']', line.size);

	g->section[0] = '\0';
	if (!end || span_copy((pop3_span){line.data + 1, (size_t)(end - line.data) - 1}, g->section,
			      sizeof(g->section)) < 0)
		import_remark(g->im, "a section that is not understood is left out");
	else if (strncmp(g->section, "filter", 6) == 0)
		import_remark(g->im, "filters have no counterpart: a delivery command can do it");
	else if (strcmp(g->section, "retriever") != 0 && strcmp(g->section, "destination") != 0 &&
		 strcmp(g->section, "options") != 0)
		import_remark(g->im, "the section %.31s has no counterpart", g->section);
}

static void setting(struct getmail *g, pop3_span name, pop3_span value)
{
	if (strcmp(g->section, "retriever") == 0)
		retriever(g, name, value);
	else if (strcmp(g->section, "destination") == 0)
		destination(g, name, value);
	else if (strcmp(g->section, "options") == 0)
		options(g, name, value);
}

static void finish_destination(struct getmail *g)
{
	char command[2 * FETCH_COMMAND_MAX + 8];

	g->im->line = g->path_line;
	if (strcmp(g->type, "Maildir") == 0) {
		import_place(g->im, g->at, "maildir:", span_of(g->path));
	} else if (strcmp(g->type, "Mboxrd") == 0) {
		import_place(g->im, g->at, "mbox:", span_of(g->path));
	} else if (strcmp(g->type, "MDA_external") == 0) {
		snprintf(command, sizeof(command), "%s %s", g->path, g->arguments);
		import_place(g->im, g->at, "command:", import_trim(span_of(command)));
	} else if (g->type[0]) {
		import_remark(g->im, "the destination %.40s has no counterpart", g->type);
	}
}

void import_getmail(struct import *im, const char *file, pop3_span text)
{
	struct getmail g = {.im = im, .at = import_add(im), .keeps = true};
	pop3_span line;

	im->file = file;
	im->line = 0;
	if (!g.at)
		return;
	while (import_line(im, &text, &line)) {
		size_t n = 0;

		if (line.size && (line.data[0] == ' ' || line.data[0] == '\t') &&
		    import_trim(line).size) {
			import_remark(im, "a value over several lines is not understood");
			continue;
		}
		line = import_trim(line);
		if (!line.size || line.data[0] == '#' || line.data[0] == ';')
			continue;
		if (line.data[0] == '[') {
			section(&g, line);
			continue;
		}
		while (n < line.size && line.data[n] != '=' && line.data[n] != ':')
			n++;
		if (n == line.size)
			import_remark(im, "this is no \"name = value\"");
		else
			setting(&g, import_trim((pop3_span){line.data, n}),
				import_trim((pop3_span){line.data + n + 1, line.size - n - 1}));
	}
	if (g.delete_after) {
		g.at->account.policy = FETCH_KEEP_DAYS;
		g.at->account.keep_days = (uint32_t)g.delete_after;
	} else {
		g.at->account.policy = g.keeps ? FETCH_KEEP : FETCH_DELETE;
	}
	finish_destination(&g);
	if (g.at->account.tls == FETCH_TLS_NONE && !g.at->skip)
		import_say(im,
			   "account %.80s: without TLS, as it was: tls = \"starttls\" is better",
			   g.at->account.user);
}

/* "ID NUL TIME" a line. */
void import_oldmail(struct import *im, struct import_account *to, const char *file, pop3_span text)
{
	pop3_span line;

	im->file = file;
	im->line = 0;
	while (import_line(im, &text, &line)) {
		const char *end = memchr(line.data, '\0', line.size);

		if (end)
			import_id(im, to, (pop3_span){line.data, (size_t)(end - line.data)},
				  IMPORT_WHOLE);
		else if (import_trim(line).size)
			import_remark(im, "this is no line of a list of getmail");
	}
}
