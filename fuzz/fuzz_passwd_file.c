/*
 * A passwd-file of any octets: every line is parsed, every secret is told its scheme, and the cheap
 * ones are verified against a password. What the parser lets through must hold what users.h says.
 */
#include "users/cram_md5.h"
#include "users/digests.h"
#include "users/passwd_line.h"
#include "users/scheme_kinds.h"
#include "users/schemes.h"
#include "users/scram.h"

#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void try_secret(const char *stored)
{
	struct secret password;
	struct scram_keys keys;
	char answer[33];
	pop3_span payload;
	enum scheme_kind kind = scheme_kind(stored, &payload);

	check(payload.data >= stored && payload.data + payload.size == stored + strlen(stored));
	secret_init(&password);
	check(secret_set(&password, SPAN_LITERAL("password")) == 0);
	(void)scram_parse(&scram_sha_1, payload, &keys);
	(void)scram_parse(&scram_sha_256, payload, &keys);
	(void)cram_md5_answer(payload, SPAN_LITERAL("<1@b>"), answer);
	if (kind == SCHEME_KIND_PLAIN || kind == SCHEME_KIND_CRAM_MD5 ||
	    kind == SCHEME_KIND_DIGEST || kind == SCHEME_KIND_LOCKED || kind == SCHEME_KIND_UNKNOWN)
		(void)scheme_verify(stored, &password, NULL);
}

/* One canonical form: what is the same to one function is to all. */
static void try_name(pop3_span name)
{
	char buf[USER_NAME_MAX], again[USER_NAME_MAX];
	pop3_span key = user_name_key(name, buf);

	check(key.size == name.size && user_name_same(key, name) && user_name_same(name, key));
	check(user_name_hash(key) == user_name_hash(name));
	check(span_equal(user_name_key(key, again), key));
	check(user_name_valid(key) && user_name_addressable(key) == user_name_addressable(name));
}

static void try_line(pop3_span line, const struct user_mail *mail)
{
	struct user user;
	struct err err;
	enum passwd_line kind = passwd_line_parse(line, mail, &user, &err);

	if (kind == PASSWD_LINE_BAD || kind == PASSWD_LINE_UNSERVED)
		check(err.text[0] != '\0');
	if (kind != PASSWD_LINE_ENTRY)
		return;
	check(user_name_valid(span_of(user.name)));
	check(user_name_addressable(span_of(user.name)));
	try_name(span_of(user.name));
	check(span_equal(passwd_line_name(line), span_of(user.name)));
	check(user.home[0] != '/' && user.home[0] != '.');
	check(!strstr(user.home, "/../") && !strstr(user.home, "//"));
	check(!user.has_ids || user.uid != 0);
	try_secret(user.secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config config = {.roots = {{.path = "/srv/mail"}, {.path = "/home"}},
					     .root_count = 2,
					     .maildir = "Maildir"};
	static const struct user_mail mail = {.config = &config};
	pop3_span text = {(const char *)data, size}, line;
	bool ended = true;
	size_t seen = 0;

	if (text_skip_mark(&text) < 0)
		return 0;
	while (passwd_line_next(&text, &line, &ended)) {
		check(line.data + line.size <= (const char *)data + size);
		try_line(line, NULL);
		try_line(line, &mail);
		seen++;
	}
	check(text.size == 0 && seen <= size);
	return 0;
}
