/* From the greeting to the transaction state: STLS, CAPA, authentication; for run.c, which owns
 * dialog, profile and password. In the fetch process, before and after TLS; the server is not
 * trusted. */
#include "fetch/session/login.h"

#include "base/text.h"
#include "fetch/session/transcript.h"
#include "fetch/session/sasl.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Strongest first. */
static const struct mechanism {
	const char *name;
	int strength;
	bool bound;
} mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", FETCH_SCRAM_BOUND, true},
	{"SCRAM-SHA-1-PLUS", FETCH_SCRAM_BOUND, true},
	{"SCRAM-SHA-256", FETCH_SCRAM, false},
	{"SCRAM-SHA-1", FETCH_SCRAM, false},
	{"CRAM-MD5", FETCH_DIGEST, false},
	{"APOP", FETCH_DIGEST, false},
	{"PLAIN", FETCH_PLAIN_TLS, false},
	{"LOGIN", FETCH_PLAIN_TLS, false},
	{"USER", FETCH_PLAIN_TLS, false},
};

static bool listed(const char *offered, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = offered; (at = strstr(at, name)); at += n)
		if ((at == offered || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

/*
 * APOP is never chosen by itself under TLS: it only proves a digest that a server in between could
 * turn back into a password (CVE-2007-1558), and the password itself is safe there.
 */
static bool usable(const struct mechanism *m, bool tls, bool binding, bool stamp, bool by_name)
{
	if (m->bound && !(tls && binding))
		return false;
	if (strcmp(m->name, "APOP") == 0)
		return stamp && (by_name || !tls);
	return true;
}

const char *fetch_choose(const char *offered, const char *asked, bool tls, bool binding, bool stamp,
			 int *ret_strength)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		const struct mechanism *m = &mechanisms[i];
		bool is_apop = strcmp(m->name, "APOP") == 0;

		if (asked[0] && strcasecmp(asked, m->name) != 0)
			continue;
		if (!is_apop && !listed(offered, m->name))
			continue;
		if (!usable(m, tls, binding, stamp, asked[0] != '\0'))
			continue;
		*ret_strength =
			m->strength == FETCH_PLAIN_TLS && !tls ? FETCH_PLAIN_IN_CLEAR : m->strength;
		return m->name;
	}
	return NULL;
}

static void add_mechanism(struct fetch_profile *profile, pop3_span name)
{
	size_t used = strlen(profile->mechanisms);
	char one[40];

	if (span_copy(name, one, sizeof(one)) < 0 ||
	    used + name.size + 2 > sizeof(profile->mechanisms))
		return;
	for (char *c = one; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	snprintf(profile->mechanisms + used, sizeof(profile->mechanisms) - used, "%s%s",
		 used ? " " : "", one);
}

static pop3_span next_word(pop3_span *rest)
{
	pop3_span word;

	while (rest->size && *rest->data == ' ')
		rest->data++, rest->size--;
	word = *rest;
	word.size = 0;
	while (rest->size && *rest->data != ' ')
		rest->data++, rest->size--, word.size++;
	return word;
}

static void note_capability(struct fetch_profile *profile, pop3_span line, bool *stls)
{
	pop3_span name = next_word(&line), word;

	if (span_equal_nocase(name, SPAN_LITERAL("STLS")))
		*stls = true;
	else if (span_equal_nocase(name, SPAN_LITERAL("PIPELINING")))
		profile->pipelining = true;
	else if (span_equal_nocase(name, SPAN_LITERAL("UIDL")))
		profile->uidl_told = true;
	else if (span_equal_nocase(name, SPAN_LITERAL("TOP")))
		profile->top_told = true;
	else if (span_equal_nocase(name, SPAN_LITERAL("USER")))
		add_mechanism(profile, name);
	else if (span_equal_nocase(name, SPAN_LITERAL("SASL")))
		while ((word = next_word(&line)).size)
			add_mechanism(profile, word);
}

/* A server without CAPA is an RFC 1939 one: USER and PASS, nothing more. */
static int ask_capabilities(struct dialog *dialog, struct fetch_profile *profile, bool *ret_stls,
			    struct err *err)
{
	struct pop3_client_event event;

	*ret_stls = false;
	profile->pipelining = profile->uidl_told = profile->top_told = false;
	profile->mechanisms[0] = '\0';
	if (dialog_ask(dialog, POP3_CAPA, (pop3_span){0}, &event, err) < 0)
		return -1;
	if (!event.ok) {
		add_mechanism(profile, SPAN_LITERAL("USER"));
		return 0;
	}
	do {
		if (dialog_next(dialog, &event, err) < 0)
			return -1;
		if (event.type == POP3_CLIENT_LINE && !event.malformed)
			note_capability(profile, event.text, ret_stls);
	} while (event.type != POP3_CLIENT_END);
	if (!profile->mechanisms[0]) /* RFC 2449 allows it; some servers forget to list USER */
		add_mechanism(profile, SPAN_LITERAL("USER"));
	return 0;
}

static int start_tls(struct dialog *dialog, const struct fetch_account *account, struct err *err)
{
	struct tls_client_settings settings = {
		.host = account->host,
		.ca_file = account->ca_file[0] ? account->ca_file : NULL,
		.cert_file = account->cert_file[0] ? account->cert_file : NULL,
		.key_file = account->key_file[0] ? account->key_file : NULL,
		.alpn = account->tls == FETCH_TLS_IMPLICIT ? "pop3" : NULL,
		.pin_count = account->pin_count,
	};

	memcpy(settings.pins, account->pins, sizeof(settings.pins));
	return wire_start_tls(&dialog->wire, &settings,
			      (int64_t)account->limits.connect_seconds * 1000, err);
}

/* STLS is asked for whether offered or not: someone in between may have cut it out of CAPA. */
static int upgrade(struct dialog *dialog, const struct fetch_account *account, struct err *err)
{
	struct pop3_client_event event;
	char words[160];

	if (dialog_ask(dialog, POP3_STLS, (pop3_span){0}, &event, err) < 0)
		return -1;
	if (!event.ok)
		return err_set(
			err, EX_UNAVAILABLE,
			"the server refuses to start TLS (its answer: %s); nothing secret was "
			"sent. Try pop3s://, or --tls none if the password may go in clear",
			dialog_words(&event, words, sizeof(words)));
	if (!pop3_client_tls_started(&dialog->client, wire_input(&dialog->wire)))
		return err_set(err, EX_PROTOCOL,
			       "something was put in behind the answer to STLS: an attack, or a "
			       "broken server; nothing secret was sent");
	if (start_tls(dialog, account, err) < 0)
		return -1;
	record_tls(dialog->record);
	return 0;
}

/* Why a login was refused; wrong credentials are EX_NOPERM, everything else may be tried again. */
static int refused(const struct pop3_client_event *event, const char *mechanism, struct err *err)
{
	char words[200];

	dialog_words(event, words, sizeof(words));
	switch (event->code) {
	case POP3_CODE_IN_USE:
		return err_set(err, EX_TEMPFAIL,
			       "the maildrop is in use by another program (its answer: %s)", words);
	case POP3_CODE_LOGIN_DELAY:
		return err_set(err, EX_TEMPFAIL, "logged in too soon again (its answer: %s)",
			       words);
	case POP3_CODE_SYS_TEMP:
		return err_set(err, EX_TEMPFAIL, "the server has a problem (its answer: %s)",
			       words);
	case POP3_CODE_SYS_PERM:
		return err_set(err, EX_UNAVAILABLE,
			       "the server has a problem that needs a person (its answer: %s)",
			       words);
	case POP3_CODE_NONE:
	case POP3_CODE_AUTH:
	case POP3_CODE_COUNT:
		break;
	}
	return err_set(err, EX_NOPERM,
		       "login with %s refused (its answer: %s): check user name and password",
		       mechanism, words);
}

static int login_user(struct dialog *dialog, const struct fetch_account *account,
		      const struct secret *password, struct err *err)
{
	struct pop3_client_event event;
	pop3_span pass = {password->bytes, password->size};

	if (dialog_ask(dialog, POP3_USER, span_of(account->user), &event, err) < 0)
		return -1;
	if (event.ok && dialog_ask(dialog, POP3_PASS, pass, &event, err) < 0)
		return -1;
	return event.ok ? 0 : refused(&event, "USER and PASS", err);
}

static int login_apop(struct dialog *dialog, const struct fetch_account *account,
		      const struct secret *password, pop3_span stamp, struct err *err)
{
	char digest[33], line[FETCH_TEXT_MAX + 40];
	struct pop3_client_event event;
	int n;

	if (!stamp.size)
		return err_set(err, EX_PROTOCOL,
			       "APOP is asked for, but the greeting has no well-formed stamp");
	fetch_apop_digest(stamp, password, digest);
	n = snprintf(line, sizeof(line), "%s %s", account->user, digest);
	if (dialog_ask(dialog, POP3_APOP, (pop3_span){line, (size_t)n}, &event, err) < 0)
		return -1;
	return event.ok ? 0 : refused(&event, "APOP", err);
}

/* Challenges and answers until +OK or -ERR. waiting: octets in line that answer the first. */
static int exchange(struct dialog *dialog, struct fetch_sasl *sasl, const char *mechanism,
		    char *line, size_t cap, int waiting, struct err *err)
{
	struct pop3_client_event event;
	struct err why = {0};
	int n;

	for (int rounds = 0; rounds < 12; rounds++) {
		if (dialog_next(dialog, &event, err) < 0)
			return -1;
		if (event.type == POP3_CLIENT_REPLY) {
			if (!event.ok)
				return refused(&event, mechanism, err);
			if (fetch_sasl_complete(sasl))
				return 0;
			return err_set(err, EX_NOPERM,
				       "the server skipped its proof that it knows the password");
		}
		n = waiting ? waiting : fetch_sasl_step(sasl, event.text, line, cap, &why);
		waiting = 0;
		if (n < 0) { /* cancelled politely; its answer does not matter */
			dialog_ask(dialog, POP3_SASL, SPAN_LITERAL("*"), &event, NULL);
			if (err)
				*err = why;
			return -1;
		}
		if (dialog_send_next(dialog, POP3_SASL, (pop3_span){line, (size_t)n}, err) < 0)
			return -1;
	}
	return err_set(err, EX_PROTOCOL, "the server's login exchange does not end");
}

/*
 * Mechanisms in which the client sends first: their first answer goes along with AUTH if the line
 * stays short (RFC 5034); else it waits for an empty challenge. Returns how long the waiting answer
 * is, in line; -1.
 */
static int begin(struct dialog *dialog, struct fetch_sasl *sasl, const char *mechanism, char *line,
		 size_t cap, struct err *err)
{
	bool speaks_first = strcmp(mechanism, "CRAM-MD5") != 0 && strcmp(mechanism, "LOGIN") != 0;
	char command[POP3_COMMAND_MAX];
	int n = 0, used;

	if (speaks_first)
		n = fetch_sasl_step(sasl, (pop3_span){"", 0}, line, cap, err);
	if (n < 0)
		return -1;
	used = speaks_first ? snprintf(command, sizeof(command), "%s %s", mechanism, n ? line : "=")
			    : snprintf(command, sizeof(command), "%s", mechanism);
	if (used + 7 <= POP3_COMMAND_MAX) /* with "AUTH " and CRLF */
		n = 0;
	else
		used = (int)strlen(mechanism);
	if (dialog_send_next(dialog, POP3_AUTH, (pop3_span){command, (size_t)used}, err) < 0)
		n = -1;
	wipe(command, sizeof(command));
	return n;
}

static int login_sasl(struct dialog *dialog, const struct fetch_account *account,
		      const struct secret *password, const char *mechanism, struct err *err)
{
	unsigned char binding[TLS_CLIENT_BINDING_SIZE];
	struct fetch_sasl_settings settings = {.mechanism = mechanism,
					       .user = account->user,
					       .password = password,
					       .host = account->host};
	struct fetch_sasl *sasl;
	char line[12288];
	int rc;

	/* GNU SASL refuses the mechanisms without -PLUS when it is given a binding */
	if (strstr(mechanism, "-PLUS") && tls_client_binding(dialog->wire.tls, binding) == 0)
		settings.binding = binding;
	if (fetch_sasl_start(&settings, &sasl, err) < 0)
		return -1;
	rc = begin(dialog, sasl, mechanism, line, sizeof(line), err);
	if (rc >= 0)
		rc = exchange(dialog, sasl, mechanism, line, sizeof(line), rc, err);
	wipe(line, sizeof(line));
	fetch_sasl_finish(sasl);
	return rc;
}

static const char *choose(struct dialog *dialog, const struct fetch_account *account,
			  const struct fetch_profile *profile, pop3_span stamp, int *ret_strength,
			  struct err *err)
{
	unsigned char binding[TLS_CLIENT_BINDING_SIZE];
	bool tls = dialog->wire.tls != NULL;
	bool bound = tls && tls_client_binding(dialog->wire.tls, binding) == 0;
	const char *name = fetch_choose(profile->mechanisms, account->auth, tls, bound,
					stamp.size > 0, ret_strength);

	if (!name) {
		err_set(err, EX_UNAVAILABLE, "no way to log in: %s%s; the server offers %s",
			account->auth[0] ? "asked for is " : "none of its mechanisms is known here",
			account->auth, profile->mechanisms);
		return NULL;
	}
	if (!account->auth[0] && *ret_strength < profile->strength) {
		err_set(err, EX_UNAVAILABLE,
			"the server now offers nothing stronger than %s, last time it was %s: "
			"somebody in between may want the password. If it is meant, set auth = %s",
			name, profile->login, name);
		return NULL;
	}
	return name;
}

static int authenticate(struct dialog *dialog, const struct fetch_account *account,
			const struct secret *password, struct fetch_profile *profile,
			pop3_span stamp, struct err *err)
{
	int strength = 0, rc;
	const char *name = choose(dialog, account, profile, stamp, &strength, err);

	if (!name)
		return -1;
	if (strcmp(name, "USER") == 0)
		rc = login_user(dialog, account, password, err);
	else if (strcmp(name, "APOP") == 0)
		rc = login_apop(dialog, account, password, stamp, err);
	else
		rc = login_sasl(dialog, account, password, name, err);
	if (rc < 0)
		return -1;
	snprintf(profile->login, sizeof(profile->login), "%s", name);
	profile->strength = strength;
	return 0;
}

/* The server refused the remembered mechanism: its capabilities may have changed. */
static int look_again(struct dialog *dialog, const struct fetch_account *account,
		      const struct secret *password, struct fetch_profile *profile, pop3_span stamp,
		      struct err *err)
{
	char before[sizeof(profile->mechanisms)];
	struct err refused = err ? *err : (struct err){0};
	bool stls;

	snprintf(before, sizeof(before), "%s", profile->mechanisms);
	if (ask_capabilities(dialog, profile, &stls, err) < 0 ||
	    strcmp(before, profile->mechanisms) == 0) {
		if (err)
			*err = refused;
		return -1;
	}
	profile->known = false;
	return authenticate(dialog, account, password, profile, stamp, err);
}

int fetch_login(struct dialog *dialog, const struct fetch_account *account,
		const struct secret *password, struct fetch_profile *profile, struct err *err)
{
	struct pop3_client_event event;
	char words[160], greeting[POP3_CLIENT_LINE_MAX];
	pop3_span stamp = {0};
	bool stls;

	if (account->tls == FETCH_TLS_IMPLICIT && start_tls(dialog, account, err) < 0)
		return -1;
	if (dialog_next(dialog, &event, err) < 0)
		return err_prefix(err, "no greeting");
	if (!event.ok)
		return err_set(err, EX_TEMPFAIL,
			       "the server refuses the connection (its answer: %s)",
			       dialog_words(&event, words, sizeof(words)));
	if (span_copy(event.text, greeting, sizeof(greeting)) == 0)
		stamp = pop3_greeting_stamp(span_of(greeting));
	if (account->tls == FETCH_TLS_STARTTLS && upgrade(dialog, account, err) < 0)
		return -1;
	if (!profile->known && ask_capabilities(dialog, profile, &stls, err) < 0)
		return -1;
	if (authenticate(dialog, account, password, profile, stamp, err) == 0)
		return 0;
	if (!profile->known || dialog->closed)
		return -1;
	return look_again(dialog, account, password, profile, stamp, err);
}
