/* See authenticate.h. In the fetch process; each answer of the server is hostile. The secret is the
 * caller's; copies of it on the way out are wiped. */
#include "fetch/session/authenticate.h"

#include "base/text.h"
#include "fetch/session/mechanism.h"
#include "fetch/session/sasl.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	REFUSED = 1, /* by the server, without a reason that settles it: another way may be good */
	TRIES_MAX = 4, /* refused logins of one session: servers count them */
	ANSWER_MAX = 12288,
};

struct login {
	struct dialog *dialog;
	const struct fetch_account *account;
	const struct secret *secret;
	struct fetch_profile *profile;
	pop3_span stamp;
	bool two_lines; /* the first octets go behind an empty challenge */
};

/* A reply with the reason in it is final; one without is REFUSED. */
static int refused(const struct login *login, const struct pop3_client_event *event,
		   const char *mechanism, struct err *err)
{
	char words[160];

	login->profile->refusal = event->code;
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
	case POP3_CODE_UTF8:
	case POP3_CODE_COUNT:
		break;
	}
	if (fetch_mechanism_takes_token(mechanism))
		err_set(err, FETCH_EX_CONSENT, "the token was refused with %s (its answer: %s)",
			mechanism, words);
	else
		err_set(err, EX_NOPERM,
			"login with %s refused (its answer: %s): check user name and password, or "
			"choose a mechanism with --auth (the server offers %.80s)",
			mechanism, words, login->profile->mechanisms);
	return event->code == POP3_CODE_AUTH ? -1 : REFUSED;
}

static int login_user(struct login *login, struct err *err)
{
	struct pop3_client_event event;
	pop3_span pass = {login->secret->bytes, login->secret->size};

	if (dialog_ask(login->dialog, POP3_USER, span_of(login->account->user), &event, err) < 0)
		return -1;
	if (event.ok && dialog_ask(login->dialog, POP3_PASS, pass, &event, err) < 0)
		return -1;
	return event.ok ? 0 : refused(login, &event, "USER and PASS", err);
}

static int login_apop(struct login *login, struct err *err)
{
	char digest[33], line[FETCH_TEXT_MAX + 40];
	struct pop3_client_event event;
	int n;

	if (!login->stamp.size)
		return err_set(err, EX_PROTOCOL,
			       "APOP is asked for, but the greeting has no well-formed stamp");
	fetch_apop_digest(login->stamp, login->secret, digest);
	n = snprintf(line, sizeof(line), "%s %s", login->account->user, digest);
	if (dialog_ask(login->dialog, POP3_APOP, (pop3_span){line, (size_t)n}, &event, err) < 0)
		return -1;
	return event.ok ? 0 : refused(login, &event, "APOP", err);
}

/* The reply behind the last challenge. */
static int verdict(const struct login *login, const struct pop3_client_event *event,
		   const struct fetch_sasl *sasl, const char *mechanism, struct err *err)
{
	const char *why = fetch_sasl_token_error(sasl);

	if (event->ok && fetch_sasl_complete(sasl))
		return 0;
	if (event->ok)
		return err_set(err, EX_NOPERM,
			       "the server skipped its proof that it knows the password");
	if (refused(login, event, mechanism, err) < 0)
		return -1;
	if (!why[0])
		return REFUSED;
	/* the server has looked at the token: another form of it will not please it more */
	return err_set(err, FETCH_EX_CONSENT, "the token was refused with %s (status %s)",
		       mechanism, why);
}

/* Challenges and answers until +OK or -ERR. waiting: octets in line that answer the first. */
static int exchange(struct login *login, struct fetch_sasl *sasl, const char *mechanism, char *line,
		    size_t cap, int waiting, struct err *err)
{
	struct pop3_client_event event;
	struct err why = {0};
	int n;

	for (int rounds = 0; rounds < 12; rounds++) {
		if (dialog_next(login->dialog, &event, err) < 0)
			return -1;
		if (event.type == POP3_CLIENT_REPLY)
			return verdict(login, &event, sasl, mechanism, err);
		n = waiting ? waiting : fetch_sasl_step(sasl, event.text, line, cap, &why);
		waiting = 0;
		if (n < 0) { /* cancelled politely; its answer does not matter */
			dialog_ask(login->dialog, POP3_SASL, SPAN_LITERAL("*"), &event, NULL);
			if (err)
				*err = why;
			return -1;
		}
		if (dialog_send_next(login->dialog, POP3_SASL, (pop3_span){line, (size_t)n}, err) <
		    0)
			return -1;
	}
	return err_set(err, EX_PROTOCOL, "the server's login exchange does not end");
}

/*
 * Mechanisms in which the client sends first: their first answer goes along with AUTH if the line
 * stays short (RFC 5034), or if it is a token, which never is short: servers that take tokens know
 * longer lines. Else it waits for an empty challenge. Returns how long the waiting answer is, in
 * line; -1.
 */
static int begin(struct login *login, struct fetch_sasl *sasl, const char *mechanism, char *line,
		 size_t cap, struct err *err)
{
	char command[ANSWER_MAX + 64];
	int n = 0, used = (int)strlen(mechanism);
	bool along = fetch_mechanism_speaks_first(mechanism);

	if (along)
		n = fetch_sasl_step(sasl, (pop3_span){"", 0}, line, cap, err);
	if (n < 0)
		return -1;
	along = along && !login->two_lines &&
		(used + 1 + n + 7 <= POP3_COMMAND_MAX || fetch_mechanism_takes_token(mechanism));
	if (along)
		used = snprintf(command, sizeof(command), "%s %s", mechanism, n ? line : "=");
	else
		snprintf(command, sizeof(command), "%s", mechanism);
	if (dialog_send_next(login->dialog, POP3_AUTH, (pop3_span){command, (size_t)used}, err) < 0)
		n = -1;
	else if (along)
		n = 0;
	wipe(command, sizeof(command));
	return n;
}

static int login_sasl(struct login *login, const char *mechanism, struct err *err)
{
	unsigned char binding[TLS_CLIENT_BINDING_SIZE];
	struct fetch_sasl_settings settings = {.mechanism = mechanism,
					       .user = login->account->user,
					       .password = login->secret,
					       .host = login->account->host,
					       .port = login->account->port};
	struct fetch_sasl *sasl;
	char line[ANSWER_MAX];
	int rc;

	/* GNU SASL refuses the mechanisms without -PLUS when it is given a binding */
	if (strstr(mechanism, "-PLUS") && tls_client_binding(login->dialog->wire.tls, binding) == 0)
		settings.binding = binding;
	if (fetch_sasl_start(&settings, &sasl, err) < 0)
		return -1;
	rc = begin(login, sasl, mechanism, line, sizeof(line), err);
	if (rc >= 0)
		rc = exchange(login, sasl, mechanism, line, sizeof(line), rc, err);
	wipe(line, sizeof(line));
	fetch_sasl_finish(sasl);
	return rc;
}

static int attempt(struct login *login, const char *name, struct err *err)
{
	if (strcmp(name, "USER") == 0)
		return login_user(login, err);
	if (strcmp(name, "APOP") == 0)
		return login_apop(login, err);
	return login_sasl(login, name, err);
}

/* The weakest login that may be used: none weaker than an earlier one of this account, unless one
 * is asked for by name. A token is a way of its own that the user has chosen. */
static int floor_of(const struct login *login, const struct fetch_choice *choice)
{
	int strength = login->profile->strength;

	if (choice->asked[0] || choice->token)
		return FETCH_PLAIN_IN_CLEAR;
	/* digests under TLS had a rank of their own in earlier versions */
	return choice->tls && strength == FETCH_DIGEST ? FETCH_PLAIN_TLS : strength;
}

static int no_mechanism(const struct login *login, const struct fetch_choice *choice,
			struct err *err)
{
	if (choice->token && !choice->tls)
		return err_set(err, EX_CONFIG,
			       "a token is sent over TLS only: whoever reads it can use it");
	if (choice->token && !choice->asked[0])
		return err_set(err, EX_UNAVAILABLE,
			       "the server takes no tokens (neither XOAUTH2 nor OAUTHBEARER); it "
			       "offers %s",
			       login->profile->mechanisms);
	return err_set(err, EX_UNAVAILABLE, "no way to log in: %s%s; the server offers %s",
		       choice->asked[0] ? "asked for is " : "none of its mechanisms is known here",
		       choice->asked, login->profile->mechanisms);
}

/* The first mechanism: at least as strong as before. */
static const char *first_choice(const struct login *login, const struct fetch_choice *choice,
				int *ret_strength, struct err *err)
{
	const char *name = fetch_choose(choice, ret_strength);

	if (!name) {
		no_mechanism(login, choice, err);
	} else if (*ret_strength < floor_of(login, choice)) {
		err_set(err, EX_UNAVAILABLE,
			"the server now offers nothing stronger than %s, last time it was %s: "
			"somebody in between may want the password. If it is meant, set auth = %s",
			name, login->profile->login, name);
		return NULL;
	}
	return name;
}

/*
 * The next try after a refusal: the same mechanism with its first octets in a line of their own,
 * then another one of the same strength or more. Not where this mechanism was good before: then the
 * password has changed, and more tries would only be counted against the account.
 */
static const char *next_choice(struct login *login, struct fetch_choice *choice, const char *name,
			       int strength)
{
	bool proven = strcmp(login->profile->login, name) == 0;
	int next = 0;

	if (login->dialog->closed || proven)
		return NULL;
	if (login->account->initial_response == FETCH_UNKNOWN && !login->two_lines &&
	    fetch_mechanism_speaks_first(name) && strength <= FETCH_PLAIN_TLS) {
		login->two_lines = true;
		return name;
	}
	login->two_lines = login->account->initial_response == FETCH_NO;
	choice->tried |= fetch_mechanism_bit(name);
	name = fetch_choose(choice, &next);
	return name && next >= strength ? name : NULL;
}

static int try_all(struct login *login, struct fetch_choice *choice, struct err *err)
{
	struct err first = {0}, why = {0};
	int strength = 0, rc = REFUSED, count = 0;
	const char *name = first_choice(login, choice, &strength, err);

	if (!name)
		return -1;
	for (; name && count < TRIES_MAX; count++) {
		rc = attempt(login, name, &why);
		if (rc == 0)
			break;
		if (count == 0 || why.code != first.code) /* trouble says more than a refusal */
			first = why;
		if (rc < 0)
			break;
		name = next_choice(login, choice, name, strength);
	}
	if (rc != 0) {
		if (err)
			*err = first;
		return -1;
	}
	login->profile->refusal = POP3_CODE_NONE;
	snprintf(login->profile->login, sizeof(login->profile->login), "%s", name);
	login->profile->strength = strength;
	login->profile->two_lines = login->two_lines;
	return 0;
}

int fetch_authenticate(struct dialog *dialog, const struct fetch_account *account,
		       const struct secret *secret, struct fetch_profile *profile, pop3_span stamp,
		       struct err *err)
{
	unsigned char binding[TLS_CLIENT_BINDING_SIZE];
	struct login login = {
		.dialog = dialog,
		.account = account,
		.secret = secret,
		.profile = profile,
		.stamp = stamp,
		.two_lines = account->initial_response == FETCH_NO ||
			     (account->initial_response == FETCH_UNKNOWN && profile->two_lines)};
	struct fetch_choice choice = {.offered = profile->mechanisms,
				      .asked = account->auth,
				      .last = profile->login,
				      .tls = dialog->wire.tls != NULL,
				      .stamp = stamp.size > 0,
				      .token = fetch_account_token(account)};

	choice.binding = choice.tls && tls_client_binding(dialog->wire.tls, binding) == 0;
	return try_all(&login, &choice, err);
}
