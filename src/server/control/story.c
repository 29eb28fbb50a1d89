/* See story.h. */
#include "server/control/story.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { VALUE_MAX = 300, ESCAPED = 4 };

/* ---- templates: "{user}" stands for the field of that key ---- */

struct out {
	char *text;
	size_t size;
};

static void put_octet(struct out *out, char octet)
{
	if (out->size < STORY_WORDS_MAX - 1)
		out->text[out->size++] = octet;
}

static void put(struct out *out, const char *text)
{
	while (*text)
		put_octet(out, *text++);
}

static void put_text(struct out *out, pop3_span text)
{
	for (size_t i = 0; i < text.size && i < VALUE_MAX; i++) {
		unsigned char c = (unsigned char)text.data[i];
		char hex[ESCAPED + 1];

		if (c >= ' ' && c <= '~' && c != '\\') {
			put_octet(out, (char)c);
			continue;
		}
		snprintf(hex, sizeof(hex), "\\x%02x", c);
		put(out, hex);
	}
	if (text.size > VALUE_MAX)
		put(out, "...");
}

static void put_time(struct out *out, uint64_t seconds)
{
	time_t when = (time_t)seconds;
	char text[48];
	struct tm tm;

	if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		put(out, text);
	else
		put(out, "an unknown time");
}

static void put_field(struct out *out, const struct record_view *view, const char *key, size_t size)
{
	struct record_view rest = *view;
	struct record_field field;
	char number[24];

	while (record_next(&rest, &field)) {
		const char *word = record_key_word(field.key);

		if (strlen(word) != size || memcmp(word, key, size) != 0)
			continue;
		if (field.kind != RECORD_NUMBER) {
			put_text(out, field.text);
		} else if (field.key == RECORD_KEY_SINCE) {
			put_time(out, field.number);
		} else {
			snprintf(number, sizeof(number), "%llu", (unsigned long long)field.number);
			put(out, number);
		}
		return;
	}
	put(out, "?");
}

static bool has(const struct record_view *view, enum record_key key)
{
	struct record_field field;

	return record_find(view, key, &field);
}

static size_t fill(const char *pattern, const struct record_view *view, char *buf)
{
	struct out out = {.text = buf};
	char address[64];

	for (const char *at = pattern; *at; at++) {
		const char *close = *at == '{' ? strchr(at, '}') : NULL;

		if (!close) {
			put_octet(&out, *at);
			continue;
		}
		if (strncmp(at, "{from}", 6) == 0)
			put(&out, view->address ? record_address(view->address, address)
						: "an unknown address");
		else
			put_field(&out, view, at + 1, (size_t)(close - at - 1));
		at = close;
	}
	out.text[out.size] = '\0';
	return out.size;
}

/* ---- events in words ---- */

static const char *in_use_words(const struct record_view *view)
{
	bool holder = has(view, RECORD_KEY_HOLDER), known = has(view, RECORD_KEY_HOLDER_FROM);

	if (holder && known)
		return "the maildrop is in use: session {held-by} has it open since {since}, from "
		       "{held-from}, idle for {idle-ms} ms; waited {ms} ms for it";
	if (known)
		return "the maildrop is in use: a session of another process has it open since "
		       "{since}, from {held-from}, idle for {idle-ms} ms; waited {ms} ms for it";
	if (holder)
		return "the maildrop is in use by session {held-by}; waited {ms} ms for it";
	return "the maildrop is in use by another program or process; waited {ms} ms for it";
}

static const char *with_user(const struct record_view *view, const char *with, const char *without)
{
	return has(view, RECORD_KEY_USER) ? with : without;
}

static const char *pattern_of(const struct record_view *view)
{
	switch (view->event) {
	case RECORD_CONNECTION_REFUSED:
		return "a connection from {from} was refused: {reason}";
	case RECORD_TLS_FAILED:
		return "the TLS handshake failed: {reason}";
	case RECORD_LOGIN:
		return "the login of {user} was right ({mechanism}, TLS: {tls})";
	case RECORD_LOGIN_REFUSED:
		return "the login as {user} was refused: {reason} ({mechanism}, TLS: {tls})";
	case RECORD_LOGIN_FAILED:
		return with_user(view,
				 "the login as {user} could not be judged: {reason} "
				 "({mechanism}, TLS: {tls})",
				 "the login could not be judged: {reason}");
	case RECORD_LOGIN_GIVEN_UP:
		return "the client gave the login up";
	case RECORD_MAILDROP_FAILED:
		return "the maildrop {maildrop} of {user} cannot be used: {reason}";
	case RECORD_INDEX_WRONG:
		return "the index of the maildrop of {user} is wrong: {reason}";
	case RECORD_DELETIONS_FAILED:
		return "the deletions of {user} failed: {reason}";
	case RECORD_SESSION_END:
		return "the session of {user} ended after {seconds} s: {reason} ({retr} RETR, "
		       "{retr-octets} octets; {dele} deleted, {left} left)";
	case RECORD_STRANGER_END:
		return "the session ended after {seconds} s without a login: {reason}";
	case RECORD_RECIPIENT_REFUSED:
		return "mail from {sender} to {recipient} was refused: {reason}";
	case RECORD_MESSAGE_REFUSED:
		return "a message from {sender} was refused: {reason}";
	case RECORD_DELIVERED:
		return "a message of {size} octets from {sender} was delivered to {user}";
	case RECORD_OVER_QUOTA:
		return "a message of {size} octets from {sender} was not delivered to {user}: over "
		       "quota";
	case RECORD_DELIVERY_FAILED:
		return "a message of {size} octets was not delivered to {user}: {reason}";
	case RECORD_DELETIONS_KEPT:
		return "{dele} deletions of {user} were not made: app password {label} may not "
		       "delete";
	case RECORD_REFUSED_BANNED:
		return "a connection from {from} was refused: its network is banned";
	case RECORD_TRACED:
		return "uid {by-uid} follows the sessions of {user} for {seconds} s (valija trace)";
	case RECORD_FORGOTTEN:
		return "what databases said about {user} was forgotten at the command of uid "
		       "{by-uid}: {entries} entries";
	case RECORD_KICKED:
		return "the session of {user} was ended by uid {by-uid} (valija kick)";
	case RECORD_CONNECTED:
		return "connected to {service} from {from}";
	case RECORD_TLS_DONE:
		return "TLS is up: {tls}, {cipher}";
	case RECORD_LOGIN_BEGUN:
		return with_user(view, "tries to log in as {user} by {mechanism}",
				 "tries to log in by {mechanism}");
	case RECORD_ANSWERED_ERR:
		return "the client was answered -ERR after {ms} ms: {reason}";
	case RECORD_DATABASE:
		return "database {database} answered after {ms} ms: {answer}";
	case RECORD_DATABASE_DOWN:
		return "database {database} is down: {answer}, after {ms} ms";
	case RECORD_HELD:
		return "the answer is held back for {delay-ms} ms: failed logins of this "
		       "connection: {failures}, and perhaps others from its network";
	case RECORD_OPENED:
		return "the maildrop of {user} was opened in {ms} ms; messages: {messages}";
	case RECORD_IN_USE:
		return in_use_words(view);
	case RECORD_COMMITTED:
		return "deletions of {user} were made in {ms} ms: {dele}";
	case RECORD_LEFT_EARLY:
		return "the connection ended after {seconds} s without a login: {reason}";
	case RECORD_TRACE:
	case RECORD_BANNED:
	case RECORD_UNBANNED:
	case RECORD_SUMMED_UP:
	case RECORD_ACCEPT_FAILED:
	case RECORD_CHANNEL_GONE:
	case RECORD_SENDER_UNWRITABLE:
	case RECORD_RECIPIENT_DOWN:
	case RECORD_PROXY_REFUSED: /* of no client's address */
	case RECORD_EVENT_COUNT:
		break;
	}
	return record_event_word(view->event);
}

size_t story_words(const struct record_view *view, char buf[STORY_WORDS_MAX])
{
	return fill(pattern_of(view), view, buf);
}

/* ---- what to do ---- */

/* The first row whose event and words fit. words are looked for in the field, "": any; the field
 * RECORD_KEY_COUNT: none. */
static const struct advice {
	enum record_event event;
	enum record_key key;
	const char *words, *advice;
} advices[] = {
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "unknown user",
	 "there is no login {user} here: ask the person how the name is spelt in the mail program, "
	 "see what the server knows with `valija user show {user}`, and make the user with "
	 "`valija user add {user}` (or in the database) if it is missing. If the user is there, "
	 "its entry has `nologin` or no password of the kind that {mechanism} needs"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "no clear password for APOP",
	 "APOP needs a password that is stored in clear: let the mail program use another way to "
	 "log in, with TLS"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "app password",
	 "it is about an app password of {user}: see `valija user app list {user}`, and make a new "
	 "one with `valija user app add`"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "expired or locked",
	 "the account of {user} is expired or locked: unlock or prolong it in its database (for a "
	 "system user: `chage -l {user}`, `passwd -S {user}`)"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "has expired",
	 "the account or its password has expired: prolong it in its database (for a system user: "
	 "`chage -l {user}`)"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "no login for this user",
	 "the entry of {user} has `nologin`: take it out if this user is to log in"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "allow_networks",
	 "{user} may log in from the networks of `allow_networks` in the user's entry only, and "
	 "{from} is in none of them: add it there, or let the person come by VPN"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "too many sessions",
	 "{user} has as many sessions as `limits` allows: see `valija who {user}`, and end old "
	 "ones with `valija kick`"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "too soon",
	 "the password was right, but {user} had logged in less than `pop3.login_delay` (or the "
	 "user's own `login_delay`) seconds before: let the mail program, and each other one that "
	 "collects this mail, look for mail less often, or make that time shorter"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "token",
	 "the token of the mail program was not accepted: let the person log in there again"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "not offered",
	 "the mail program uses a mechanism that is not switched on here: choose another one "
	 "there, or add it to `login.mechanisms`"},
	{RECORD_LOGIN_REFUSED, RECORD_KEY_REASON, "",
	 "the mail program has another password than the server: let the person type it in anew; "
	 "if it is forgotten, set a new one with `valija user passwd {user}` (or in the database)"},
	{RECORD_LOGIN_FAILED, RECORD_KEY_REASON, "in clear text",
	 "the mail program sends the password without TLS, which is not allowed here: set it to "
	 "SSL/TLS (port 995) or STARTTLS (port 110)"},
	{RECORD_LOGIN_FAILED, RECORD_KEY_REASON, "no login for this user",
	 "the entry of {user} has `nologin`: take it out if this user is to log in"},
	{RECORD_LOGIN_FAILED, RECORD_KEY_REASON, "down",
	 "no login can be checked: see why the database of users does not answer; what is said "
	 "about it stands in the log, and `valija user test {user}` asks it"},
	{RECORD_LOGIN_FAILED, RECORD_KEY_REASON, "too many logins wait",
	 "more logins come than passwords can be checked: see whether somebody guesses passwords "
	 "(`login-refused` in the log), else give auth more threads (`processes.auth_workers`)"},
	{RECORD_LOGIN_FAILED, RECORD_KEY_REASON, "",
	 "the entry of {user} cannot be used: `valija user test {user}` says where it is wrong"},
	{RECORD_DATABASE_DOWN, RECORD_KEY_ANSWER, "",
	 "database {database} does not answer: see whether its server runs and can be reached from "
	 "here; its process says more in the log. Logins work again by themselves when it does"},
	{RECORD_HELD, RECORD_KEY_DELAY, "",
	 "failed logins from {from} make each further one slower, for minutes: take the wrong "
	 "password out of the mail program that sends it; then the delay ends by itself"},
	{RECORD_CONNECTION_REFUSED, RECORD_KEY_REASON, "",
	 "a limit was hit: see which clients at {from} keep connections open (`valija who {from}`) "
	 "and the settings in `limits`"},
	{RECORD_TLS_FAILED, RECORD_KEY_REASON, "alert",
	 "the mail program broke the handshake off, which it does where it does not accept the "
	 "certificate: see that the name of the server set there stands in the certificate, that "
	 "the certificate has not expired, and that `certificate` has the whole chain; "
	 "`openssl s_client -connect HOST:995` shows it"},
	{RECORD_TLS_FAILED, RECORD_KEY_REASON, "",
	 "the mail program and the server agree on no TLS: see that it is set to SSL/TLS on port "
	 "995 and STARTTLS on port 110, and not the other way round, and that it is not too old "
	 "for TLS 1.2"},
	{RECORD_STRANGER_END, RECORD_KEY_REASON, "in clear text",
	 "the mail program does not use TLS, without which no login is allowed here: set it to "
	 "SSL/TLS (port 995) or STARTTLS (port 110)"},
	{RECORD_STRANGER_END, RECORD_KEY_REASON, "too many failed logins",
	 "the mail program tried several wrong passwords: type the right one in there"},
	{RECORD_IN_USE, RECORD_KEY_HOLDER, "",
	 "another session has the maildrop, and POP3 allows one at a time: let it end, or end it "
	 "with `valija kick {held-by}`; a program that leaves sessions open needs a shorter "
	 "`timeouts.idle`, or `sessions = takeover`"},
	{RECORD_IN_USE, RECORD_KEY_MS, "",
	 "something else has the maildrop, and POP3 allows one at a time: see `valija who {user}`, "
	 "end it with `valija kick`, and look for another program (a delivery by hand, a backup) "
	 "that locks the mail"},
	{RECORD_MAILDROP_FAILED, RECORD_KEY_REASON, "mail folder",
	 "the mail is not where it was: mount its filesystem; if the folder was changed on "
	 "purpose, "
	 "say so with `valija mark`"},
	{RECORD_MAILDROP_FAILED, RECORD_KEY_REASON, "",
	 "the maildrop cannot be opened; see the path and its owner in the log, and "
	 "`valija user show {user}`"},
	{RECORD_OVER_QUOTA, RECORD_KEY_USER, "",
	 "the maildrop of {user} is full: let the person collect and delete mail, or raise the "
	 "quota"},
	{RECORD_RECIPIENT_REFUSED, RECORD_KEY_REASON, "full",
	 "the maildrop of {recipient} is full: let the person collect and delete mail, or raise "
	 "the quota"},
	{RECORD_RECIPIENT_REFUSED, RECORD_KEY_REASON, "no such user",
	 "there is no {recipient} here: see `valija user show {recipient}` and the aliases"},
	{RECORD_DELIVERY_FAILED, RECORD_KEY_REASON, "",
	 "the message waits at the MTA, which tries again; see the reason in the log"},
	{RECORD_DELETIONS_FAILED, RECORD_KEY_REASON, "",
	 "the mail is still there, and the mail program will fetch it again; see the disk of the "
	 "mail folder"},
	{RECORD_DELETIONS_KEPT, RECORD_KEY_LABEL, "",
	 "the app password {label} may not delete: let the mail program leave mail on the server, "
	 "or make it an app password that may"},
	{RECORD_REFUSED_BANNED, RECORD_KEY_COUNT, "",
	 "{from} is banned: see `valija ban list`, and lift the ban with `valija ban del`"},
	{RECORD_KICKED, RECORD_KEY_BY_UID, "",
	 "uid {by-uid} ended the session by `valija kick`: the person can log in again"},
};

static bool contains(pop3_span text, const char *words)
{
	size_t size = strlen(words);

	for (size_t i = 0; size && i + size <= text.size; i++)
		if (memcmp(text.data + i, words, size) == 0)
			return true;
	return size == 0;
}

const char *story_advice(const struct record_view *view)
{
	struct record_field field;

	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		const struct advice *row = &advices[i];

		field = (struct record_field){.key = RECORD_KEY_COUNT};
		if (row->event == view->event &&
		    (row->key == RECORD_KEY_COUNT || record_find(view, row->key, &field)) &&
		    contains(field.text, row->words))
			return row->advice;
	}
	return NULL;
}

size_t story_advise(const char *advice, const struct record_view *view, char buf[STORY_WORDS_MAX])
{
	return fill(advice, view, buf);
}
