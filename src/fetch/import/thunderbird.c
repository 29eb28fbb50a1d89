/* Thunderbird's prefs.js, popstate.dat and profiles.ini. See found.h. */
#include "fetch/import/found.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERVERS_MAX = 500, KEY_MAX = 64 };

struct server {
	char key[KEY_MAX]; /* "server1" */
	bool pop, leave, by_days, until_deleted;
	uint64_t days, socket, login;
	char folder[FETCH_PATH_MAX];
	unsigned line; /* of its host */
	struct fetch_account account;
};

struct prefs {
	struct import *im;
	const char *folder;
	struct server *servers;
	unsigned count;
};

/* The text behind user_pref("NAME", as the rest of the line without ");". -1: another line. */
static int take_pref(pop3_span line, pop3_span *ret_name, pop3_span *ret_value)
{
	static const char begin[] = "user_pref(\"";
	size_t n = sizeof(begin) - 1;
	const char *end;

	line = import_trim(line);
	if (line.size < n + 4 || memcmp(line.data, begin, n) != 0)
		return -1;
	line = (pop3_span){line.data + n, line.size - n};
	end = memchr(line.data, '"', line.size);
	if (!end)
		return -1;
	*ret_name = (pop3_span){line.data, (size_t)(end - line.data)};
	line = import_trim((pop3_span){end + 1, line.size - ret_name->size - 1});
	if (line.size < 3 || line.data[0] != ',' || line.data[line.size - 1] != ';' ||
	    line.data[line.size - 2] != ')')
		return -1;
	*ret_value = import_trim((pop3_span){line.data + 1, line.size - 3});
	return 0;
}

static int hex_digits(pop3_span text, size_t at, unsigned *ret)
{
	unsigned value = 0;

	if (at + 4 > text.size)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		char c = text.data[i];

		value = value * 16;
		if (c >= '0' && c <= '9')
			value += (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value += (unsigned)((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	*ret = value;
	return 0;
}

/* A string of JavaScript. Characters beyond ASCII are in it as UTF-8; \u only stands for others. */
static bool text_value(struct prefs *p, pop3_span value, char *to, size_t size, const char *what)
{
	char out[FETCH_PATH_MAX];
	size_t used = 0;

	if (value.size < 2 || value.data[0] != '"' || value.data[value.size - 1] != '"') {
		import_remark(p->im, "%s is no text", what);
		return false;
	}
	for (size_t i = 1; i + 1 < value.size; i++) {
		char c = value.data[i];
		unsigned code;

		if (c == '\\' && i + 2 < value.size) {
			c = value.data[++i];
			if (c == 'n' || c == 'r')
				c = '\n';
			if (c == 'u' && hex_digits(value, i + 1, &code) == 0) {
				c = code && code < 0x80 ? (char)code : '\n';
				i += 4;
			}
		}
		if (used + 1 >= sizeof(out))
			break;
		out[used++] = c;
	}
	return import_text(p->im, to, size, (pop3_span){out, used}, what);
}

static void number_value(struct prefs *p, pop3_span value, uint64_t *to, const char *what)
{
	if (span_number(value, UINT32_MAX, to) < 0)
		import_remark(p->im, "%s is no number", what);
}

static struct server *server_of(struct prefs *p, pop3_span key)
{
	struct server *servers;

	for (unsigned i = 0; i < p->count; i++)
		if (span_equal(key, span_of(p->servers[i].key)))
			return &p->servers[i];
	if (p->count == SERVERS_MAX || key.size >= KEY_MAX)
		return NULL;
	servers = reallocarray(p->servers, p->count + 1, sizeof(*servers));
	if (!servers) {
		p->im->failed = true;
		return NULL;
	}
	p->servers = servers;
	servers += p->count++;
	*servers = (struct server){.leave = false};
	span_copy(key, servers->key, sizeof(servers->key));
	fetch_account_defaults(&servers->account);
	return servers;
}

static void set_folder(struct prefs *p, struct server *s, pop3_span value)
{
	char text[FETCH_PATH_MAX];

	if (!text_value(p, value, text, sizeof(text), "the folder"))
		return;
	if (strncmp(text, "[ProfD]", 7) == 0)
		snprintf(s->folder, sizeof(s->folder), "%.500s/%.500s", p->folder, text + 7);
	else if (text[0] == '/')
		snprintf(s->folder, sizeof(s->folder), "%s", text);
}

static void set(struct prefs *p, struct server *s, pop3_span name, pop3_span value)
{
	struct fetch_account *a = &s->account;
	uint64_t port = 0;

	if (span_equal(name, SPAN_LITERAL("type"))) {
		s->pop = span_equal(value, SPAN_LITERAL("\"pop3\""));
	} else if (span_equal(name, SPAN_LITERAL("hostname"))) {
		text_value(p, value, a->host, sizeof(a->host), "the host");
		s->line = p->im->line;
	} else if (span_equal(name, SPAN_LITERAL("userName"))) {
		text_value(p, value, a->user, sizeof(a->user), "the user");
	} else if (span_equal(name, SPAN_LITERAL("name"))) {
		text_value(p, value, a->name, sizeof(a->name), "the name");
	} else if (span_equal(name, SPAN_LITERAL("port"))) {
		number_value(p, value, &port, "the port");
		a->port = port <= 65535 ? (uint16_t)port : 0;
	} else if (span_equal(name, SPAN_LITERAL("socketType"))) {
		number_value(p, value, &s->socket, "socketType");
	} else if (span_equal(name, SPAN_LITERAL("authMethod"))) {
		number_value(p, value, &s->login, "authMethod");
	} else if (span_equal(name, SPAN_LITERAL("leave_on_server"))) {
		s->leave = span_equal(value, SPAN_LITERAL("true"));
	} else if (span_equal(name, SPAN_LITERAL("delete_by_age_from_server"))) {
		s->by_days = span_equal(value, SPAN_LITERAL("true"));
	} else if (span_equal(name, SPAN_LITERAL("num_days_to_leave_on_server"))) {
		number_value(p, value, &s->days, "num_days_to_leave_on_server");
	} else if (span_equal(name, SPAN_LITERAL("delete_mail_left_on_server"))) {
		s->until_deleted = span_equal(value, SPAN_LITERAL("true"));
	} else if (span_equal(name, SPAN_LITERAL("directory")) && !s->folder[0]) {
		set_folder(p, s, value);
	} else if (span_equal(name, SPAN_LITERAL("directory-rel"))) {
		set_folder(p, s, value);
	}
}

static void set_policy(struct import *im, const struct server *s, struct fetch_account *a)
{
	a->policy = s->leave ? FETCH_KEEP : FETCH_DELETE;
	if (s->leave && s->by_days && s->days) {
		a->policy = FETCH_KEEP_DAYS;
		a->keep_days = (uint32_t)s->days;
	}
	if (s->leave && s->until_deleted)
		import_remark(im, "\"until I delete them\" is policy = \"follow\" once the mail is "
				  "in a Maildir; for now it stays on the server");
}

static void set_security(struct import *im, const struct server *s, struct fetch_account *a)
{
	a->tls = s->socket == 3   ? FETCH_TLS_IMPLICIT
		 : s->socket == 0 ? FETCH_TLS_NONE
				  : FETCH_TLS_STARTTLS;
	if (a->tls == FETCH_TLS_NONE)
		import_remark(im, "without TLS, as it was: tls = \"starttls\" is better");
	if (s->login == 10)
		import_remark(im, "the login is by OAuth: valija fetch login, or a token-command");
	else if (s->login == 5 || s->login == 6)
		import_remark(im, "Kerberos and NTLM have no counterpart: the strongest other "
				  "login that the server offers is used");
}

static void finish_server(struct prefs *p, const struct server *s)
{
	struct import_account *to;

	if (!s->pop || !s->account.host[0])
		return;
	to = import_add(p->im);
	if (!to)
		return;
	to->account = s->account;
	p->im->line = s->line;
	set_policy(p->im, s, &to->account);
	set_security(p->im, s, &to->account);
	if (s->folder[0])
		snprintf(to->ids_file, sizeof(to->ids_file), "%.900s/popstate.dat", s->folder);
	else
		import_remark(p->im, "no folder is named: what was collected is not known");
}

void import_prefs(struct import *im, const char *file, const char *folder, pop3_span text)
{
	static const char prefix[] = "mail.server.";
	const size_t n = sizeof(prefix) - 1;
	struct prefs p = {.im = im, .folder = folder};
	pop3_span line, name, value;

	im->file = file;
	im->line = 0;
	while (import_line(im, &text, &line)) {
		const char *dot;

		if (take_pref(line, &name, &value) < 0 || name.size <= n ||
		    memcmp(name.data, prefix, n) != 0)
			continue;
		name = (pop3_span){name.data + n, name.size - n};
		dot = memchr(name.data, '.', name.size);
		if (!dot)
			continue;
		struct server *s = server_of(&p, (pop3_span){name.data, (size_t)(dot - name.data)});

		if (s)
			set(&p, s, (pop3_span){dot + 1, name.size - (size_t)(dot - name.data) - 1},
			    value);
	}
	for (unsigned i = 0; i < p.count; i++)
		finish_server(&p, &p.servers[i]);
	free(p.servers);
}

/* "*HOST USER", then "k ID [TIME]" lines: k kept, d to be deleted, b too large (only its headers
 * came), f to be fetched whole next time. */
void import_popstate(struct import *im, struct import_account *to, const char *file, pop3_span text)
{
	char head[2 * FETCH_TEXT_MAX + 4];
	bool ours = false;
	pop3_span line;

	snprintf(head, sizeof(head), "*%s %s", to->account.host, to->account.user);
	im->file = file;
	im->line = 0;
	while (import_line(im, &text, &line)) {
		const char *end;
		pop3_span id;

		if (!line.size || line.data[0] == '#')
			continue;
		if (line.data[0] == '*') {
			ours = span_equal(line, span_of(head));
			continue;
		}
		if (line.size < 3 || line.data[1] != ' ' || !strchr("kdbf", line.data[0])) {
			import_remark(im, "this is no line of popstate.dat");
			continue;
		}
		id = (pop3_span){line.data + 2, line.size - 2};
		end = memchr(id.data, ' ', id.size);
		if (end)
			id.size = (size_t)(end - id.data);
		if (ours && line.data[0] != 'f')
			import_id(im, to, id, line.data[0] == 'b' ? IMPORT_PARTIAL : IMPORT_WHOLE);
	}
}

/* The profile that an installation uses, else the one with Default=1, else the first. */
int import_profile(pop3_span text, char *ret, size_t size)
{
	struct import im = {0};
	pop3_span line, path = {0}, first = {0}, best = {0};
	bool installation = false;

	while (import_line(&im, &text, &line)) {
		line = import_trim(line);
		if (line.size && line.data[0] == '[') {
			installation = line.size > 8 && memcmp(line.data, "[Install", 8) == 0;
			path = (pop3_span){0};
		} else if (line.size > 5 && memcmp(line.data, "Path=", 5) == 0) {
			path = (pop3_span){line.data + 5, line.size - 5};
			if (!first.size)
				first = path;
		} else if (installation && line.size > 8 && memcmp(line.data, "Default=", 8) == 0) {
			return span_copy((pop3_span){line.data + 8, line.size - 8}, ret, size);
		} else if (span_equal(line, SPAN_LITERAL("Default=1")) && path.size) {
			best = path;
		}
	}
	best = best.size ? best : first;
	return best.size ? span_copy(best, ret, size) : -1;
}
