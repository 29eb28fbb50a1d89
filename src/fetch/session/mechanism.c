/* See mechanism.h. Pure: what is offered is the server's word, the rest the account's. */
#include "fetch/session/mechanism.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

enum kind {
	KIND_BOUND,
	KIND_SCRAM,
	KIND_TOKEN,
	KIND_PLAIN,
	KIND_DIGEST,
	KIND_CERTIFICATE, /* the TLS client certificate says who it is; only when asked for */
};

/* The first of equal strength is taken. */
static const struct mechanism {
	const char *name;
	enum kind kind;
	bool speaks_first;
} mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", KIND_BOUND, true},
	{"SCRAM-SHA-1-PLUS", KIND_BOUND, true},
	{"SCRAM-SHA-256", KIND_SCRAM, true},
	{"SCRAM-SHA-1", KIND_SCRAM, true},
	{"XOAUTH2", KIND_TOKEN, true},
	{"OAUTHBEARER", KIND_TOKEN, true},
	{"PLAIN", KIND_PLAIN, true},
	{"LOGIN", KIND_PLAIN, false},
	{"USER", KIND_PLAIN, false},
	{"CRAM-MD5", KIND_DIGEST, false},
	{"APOP", KIND_DIGEST, false},
	{"EXTERNAL", KIND_CERTIFICATE, true},
};

enum { MECHANISM_COUNT = sizeof(mechanisms) / sizeof(mechanisms[0]) };

static const struct mechanism *find(const char *name)
{
	for (size_t i = 0; i < MECHANISM_COUNT; i++)
		if (strcasecmp(mechanisms[i].name, name) == 0)
			return &mechanisms[i];
	return NULL;
}

static bool listed(const char *offered, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = offered; (at = strstr(at, name)); at += n)
		if ((at == offered || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

static int strength(const struct mechanism *m, bool tls)
{
	switch (m->kind) {
	case KIND_BOUND:
	case KIND_CERTIFICATE:
		return FETCH_SCRAM_BOUND;
	case KIND_SCRAM:
		return FETCH_SCRAM;
	case KIND_TOKEN:
	case KIND_PLAIN:
		return tls ? FETCH_PLAIN_TLS : FETCH_PLAIN_IN_CLEAR;
	case KIND_DIGEST:
		break;
	}
	return tls ? FETCH_PLAIN_TLS : FETCH_DIGEST;
}

/*
 * APOP is never chosen by itself under TLS: it only proves a digest that a server in between could
 * turn back into a password (CVE-2007-1558), and the password itself is safe there. A token never
 * goes in clear: whoever reads it can use it.
 */
static bool usable(const struct mechanism *m, const struct fetch_choice *c)
{
	bool by_name = c->asked[0] != '\0';

	if (by_name && strcasecmp(c->asked, m->name) != 0)
		return false;
	if (c->tried & (1u << (m - mechanisms)))
		return false;
	if ((m->kind == KIND_TOKEN) != c->token && m->kind != KIND_CERTIFICATE)
		return false;
	if (m->kind == KIND_TOKEN && !c->tls)
		return false;
	if (m->kind == KIND_CERTIFICATE && !(by_name && c->tls))
		return false;
	if (m->kind == KIND_BOUND && !(c->tls && c->binding))
		return false;
	if (strcmp(m->name, "APOP") == 0)
		return c->stamp && (by_name || !c->tls);
	return listed(c->offered, m->name);
}

const char *fetch_choose(const struct fetch_choice *c, int *ret_strength)
{
	const struct mechanism *best = NULL;

	for (size_t i = 0; i < MECHANISM_COUNT; i++) {
		const struct mechanism *m = &mechanisms[i];
		int more;

		if (!usable(m, c))
			continue;
		more = best ? strength(m, c->tls) - strength(best, c->tls) : 1;
		if (more > 0 || (more == 0 && strcmp(m->name, c->last) == 0))
			best = m;
	}
	if (!best)
		return NULL;
	*ret_strength = strength(best, c->tls);
	return best->name;
}

unsigned fetch_mechanism_bit(const char *name)
{
	const struct mechanism *m = find(name);

	return m ? 1u << (m - mechanisms) : 0;
}

bool fetch_mechanism_speaks_first(const char *name)
{
	const struct mechanism *m = find(name);

	return m && m->speaks_first;
}

bool fetch_mechanism_takes_token(const char *name)
{
	const struct mechanism *m = find(name);

	return m && m->kind == KIND_TOKEN;
}
