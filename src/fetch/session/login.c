/* From the greeting to the transaction state: STLS, CAPA, authentication; for run.c, which owns
 * dialog, profile and password. In the fetch process, before and after TLS; the server is not
 * trusted. */
#include "fetch/session/login.h"

#include "base/text.h"
#include "fetch/session/authenticate.h"
#include "fetch/session/transcript.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { DELAY_MAX = 86400 };

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

/* A server that wants more than a day between two logins is not believed. */
static void note_delay(struct fetch_profile *profile, pop3_span number)
{
	uint64_t seconds;

	if (span_number(number, DELAY_MAX, &seconds) == 0)
		profile->login_delay = (uint32_t)seconds;
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
	else if (span_equal_nocase(name, SPAN_LITERAL("UTF8")))
		profile->utf8 = true;
	else if (span_equal_nocase(name, SPAN_LITERAL("LOGIN-DELAY")))
		note_delay(profile, next_word(&line));
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
	profile->pipelining = profile->uidl_told = profile->top_told = profile->utf8 = false;
	profile->login_delay = 0;
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
		.host = account->tls_name[0] ? account->tls_name : account->host,
		.ca_file = account->ca_file[0] ? account->ca_file : NULL,
		.cert_file = account->cert_file[0] ? account->cert_file : NULL,
		.key_file = account->key_file[0] ? account->key_file : NULL,
		.alpn = account->tls == FETCH_TLS_IMPLICIT ? "pop3" : NULL,
		.pin_count = account->pin_count,
	};

	memcpy(settings.pins, account->pins, sizeof(settings.pins));
	if (wire_start_tls(&dialog->wire, &settings,
			   (int64_t)account->limits.connect_seconds * 1000, err) == 0)
		return 0;
	if (account->tls == FETCH_TLS_IMPLICIT && dialog->wire.tls &&
	    tls_client_met_clear_text(dialog->wire.tls))
		err_set(err, EX_PROTOCOL,
			"the server does not begin with TLS at this port: try pop3:// (STLS) in "
			"the "
			"place of pop3s://, or another port; nothing was sent");
	return -1;
}

/* A port with TLS from the first octet waits for the client to begin, and sees no sense in a
 * greeting. */
static int no_greeting(const struct dialog *dialog, const struct fetch_account *account,
		       struct err *err)
{
	bool nothing = dialog->wire.octets_in == 0;

	err_prefix(err, "no greeting%s",
		   nothing && account->tls != FETCH_TLS_IMPLICIT
			   ? " (at a port with TLS from the first octet, write pop3s://)"
			   : "");
	return -1;
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
	return fetch_authenticate(dialog, account, password, profile, stamp, err);
}

/* greeting: with the stamp of APOP in it, if there is one; "": it is too long. */
static int greet(struct dialog *dialog, const struct fetch_account *account,
		 char greeting[POP3_CLIENT_LINE_MAX], enum pop3_code *ret_refusal, struct err *err)
{
	struct pop3_client_event event;
	char words[160];

	greeting[0] = '\0';
	if (account->tls == FETCH_TLS_IMPLICIT && start_tls(dialog, account, err) < 0)
		return -1;
	if (dialog_next(dialog, &event, err) < 0)
		return no_greeting(dialog, account, err);
	*ret_refusal = event.ok ? POP3_CODE_NONE : event.code;
	if (!event.ok)
		return err_set(err, EX_TEMPFAIL,
			       "the server refuses the connection (its answer: %s)",
			       dialog_words(&event, words, sizeof(words)));
	span_copy(event.text, greeting, POP3_CLIENT_LINE_MAX);
	return account->tls == FETCH_TLS_STARTTLS ? upgrade(dialog, account, err) : 0;
}

int fetch_greet(struct dialog *dialog, const struct fetch_account *account, struct err *err)
{
	char greeting[POP3_CLIENT_LINE_MAX];
	enum pop3_code refusal;

	return greet(dialog, account, greeting, &refusal, err);
}

/* Without UTF8 a server may give names and addresses beyond ASCII as it can, or refuse such a
 * message (RFC 6856 section 2). A refusal is no failure: mail comes as it did before. */
static int ask_for_utf8(struct dialog *dialog, const struct fetch_profile *profile, struct err *err)
{
	struct pop3_client_event event;

	return profile->utf8 ? dialog_ask(dialog, POP3_UTF8, (pop3_span){0}, &event, err) : 0;
}

int fetch_login(struct dialog *dialog, const struct fetch_account *account,
		const struct secret *password, struct fetch_profile *profile, struct err *err)
{
	char greeting[POP3_CLIENT_LINE_MAX];
	pop3_span stamp;
	bool stls;

	if (greet(dialog, account, greeting, &profile->refusal, err) < 0)
		return -1;
	stamp = pop3_greeting_stamp(span_of(greeting));
	if (!profile->known && ask_capabilities(dialog, profile, &stls, err) < 0)
		return -1;
	if (ask_for_utf8(dialog, profile, err) < 0)
		return -1;
	if (fetch_authenticate(dialog, account, password, profile, stamp, err) == 0)
		return 0;
	if (!profile->known || dialog->closed)
		return -1;
	return look_again(dialog, account, password, profile, stamp, err);
}
