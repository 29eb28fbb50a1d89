/* See bearer.h. */
#include "users/bearer.h"

#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SEPARATOR '\1'

/* One response while it is read. */
struct reader {
	pop3_span left;
	struct bearer bearer;
	bool user, auth; /* the key was there */
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void skip(pop3_span *text, size_t n)
{
	text->data += n;
	text->size -= n;
}

/* Cuts off what stands before c, and c. False: there is no c. */
static bool cut(pop3_span *text, char c, pop3_span *ret)
{
	const char *at = text->size ? memchr(text->data, c, text->size) : NULL;

	if (!at)
		return false;
	*ret = (pop3_span){text->data, (size_t)(at - text->data)};
	skip(text, ret->size + 1);
	return true;
}

/* saslname of RFC 5801: "," is written =2C and "=" is =3D. */
static int read_saslname(pop3_span text, char buf[USER_NAME_MAX + 1])
{
	size_t used = 0;

	for (; text.size; skip(&text, 1)) {
		char c = text.data[0];

		if (c == '=') {
			pop3_span code = {text.data, text.size < 3 ? text.size : 3};

			if (span_equal(code, SPAN_LITERAL("=2C")))
				c = ',';
			else if (!span_equal(code, SPAN_LITERAL("=3D")))
				return -1;
			skip(&text, 2);
		}
		if (used == USER_NAME_MAX || (unsigned char)c < 0x20)
			return -1;
		buf[used++] = c;
	}
	buf[used] = '\0';
	return 0;
}

/* "n,a=USER," and the separator. "y": the client could bind the channel, and sees that we do not
 * offer it; "p=…" wants it, and "F," is of mechanisms that have another form. */
static int read_header(struct reader *r)
{
	pop3_span flag, name, nothing;

	if (!cut(&r->left, ',', &flag) || !cut(&r->left, ',', &name) ||
	    !cut(&r->left, SEPARATOR, &nothing) || nothing.size)
		return -1;
	if (!span_equal(flag, SPAN_LITERAL("n")) && !span_equal(flag, SPAN_LITERAL("y")))
		return -1;
	if (!name.size)
		return 0;
	if (name.size < 3 || memcmp(name.data, "a=", 2) != 0)
		return -1;
	skip(&name, 2);
	return read_saslname(name, r->bearer.user);
}

/* b64token of RFC 6750; empty, or of another scheme: there is none. */
static int read_auth(struct reader *r, pop3_span value)
{
	static const char octets[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789-._~+/";
	static const char bearer[] = "Bearer ";
	size_t n = sizeof(bearer) - 1, used = 0;

	if (r->auth)
		return -1;
	r->auth = true;
	if (value.size < n || !span_equal_nocase((pop3_span){value.data, n}, span_of(bearer)))
		return 0;
	skip(&value, n);
	while (used < value.size && memchr(octets, value.data[used], sizeof(octets) - 1))
		used++;
	if (used == 0 && value.size)
		return -1;
	while (used < value.size && value.data[used] == '=')
		used++;
	if (used < value.size)
		return -1;
	r->bearer.token = value;
	return 0;
}

static int read_user(struct reader *r, pop3_span value)
{
	if (r->user || !value.size)
		return -1;
	r->user = true;
	for (size_t i = 0; i < value.size; i++)
		if ((unsigned char)value.data[i] < 0x20)
			return -1;
	return span_copy(value, r->bearer.user, sizeof(r->bearer.user));
}

/* VCHAR, SP, HTAB, CR, LF; beyond ASCII in names only. */
static bool value_valid(pop3_span value)
{
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c >= 0x7f)
			return false;
	}
	return true;
}

/* Keys that are not known (host, port, …) mean nothing to us: RFC 7628 section 3.1. */
static int read_pair(struct reader *r, enum bearer_mechanism mechanism, pop3_span value)
{
	pop3_span key;

	if (!cut(&value, '=', &key) || !key.size)
		return -1;
	for (size_t i = 0; i < key.size; i++)
		if (!is_letter(key.data[i]))
			return -1;
	if (mechanism == BEARER_XOAUTH2 && span_equal_nocase(key, SPAN_LITERAL("user")))
		return read_user(r, value);
	if (!value_valid(value))
		return -1;
	return span_equal_nocase(key, SPAN_LITERAL("auth")) ? read_auth(r, value) : 0;
}

enum bearer_result bearer_read(enum bearer_mechanism mechanism, pop3_span response,
			       struct bearer *ret)
{
	struct reader r = {.left = response};
	pop3_span pair;

	if (mechanism == BEARER_OAUTHBEARER && read_header(&r) < 0)
		return BEARER_BAD;
	for (;;) {
		if (!cut(&r.left, SEPARATOR, &pair))
			return BEARER_BAD;
		if (!pair.size)
			break;
		if (read_pair(&r, mechanism, pair) < 0)
			return BEARER_BAD;
	}
	if (r.left.size || !r.auth || (mechanism == BEARER_XOAUTH2 && !r.user))
		return BEARER_BAD;
	if (!r.bearer.token.size)
		return BEARER_NONE;
	*ret = r.bearer;
	return BEARER_OK;
}

/* ---- the challenge ---- */

struct writer {
	char *buf;
	size_t size, used;
	bool full;
};

static void put(struct writer *w, pop3_span text)
{
	if (w->full || text.size >= w->size - w->used) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->used, text.data, text.size);
	w->used += text.size;
}

/* A string of JSON (RFC 8259). What is not UTF-8 becomes the replacement character. */
static void put_string(struct writer *w, const char *value)
{
	pop3_span left = span_of(value);
	char escaped[8];

	put(w, SPAN_LITERAL("\""));
	while (left.size) {
		unsigned char c = (unsigned char)left.data[0];
		size_t n = c < 0x80 ? 1 : text_shown_size(left);

		if (c == '"' || c == '\\')
			put(w, SPAN_LITERAL("\\"));
		if (c < 0x20 || c == 0x7f || n == 0) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", n == 0 ? 0xfffd : c);
			put(w, span_of(escaped));
			n = 1;
		} else {
			put(w, (pop3_span){left.data, n});
		}
		skip(&left, n);
	}
	put(w, SPAN_LITERAL("\""));
}

static void put_member(struct writer *w, const char *name, const char *value)
{
	if (!*value)
		return;
	put(w, w->used == 0 ? SPAN_LITERAL("{") : SPAN_LITERAL(","));
	put_string(w, name);
	put(w, SPAN_LITERAL(":"));
	put_string(w, value);
}

int bearer_challenge(enum bearer_mechanism mechanism, const char *scope, const char *config_url,
		     char *buf, size_t size)
{
	struct writer w = {.buf = buf, .size = size, .full = size == 0};

	switch (mechanism) {
	case BEARER_OAUTHBEARER:
		put_member(&w, "status", "invalid_token");
		put_member(&w, "scope", scope);
		put_member(&w, "openid-configuration", config_url);
		break;
	case BEARER_XOAUTH2:
		put_member(&w, "status", "400");
		put_member(&w, "schemes", "Bearer");
		put_member(&w, "scope", scope);
		break;
	}
	put(&w, SPAN_LITERAL("}"));
	if (w.full)
		return -1;
	buf[w.used] = '\0';
	return (int)w.used;
}
