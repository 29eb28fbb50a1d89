/* See talk.h. */
#include "maildrop/remote/talk.h"

#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

enum {
	ROOM_LEAST = 4096, /* for octets of a body: with less no input is taken */
	BEYOND = 1 << 20,  /* a body may have so many octets more than twice what LIST says */
	DELETES = 100,     /* DELEs without an answer */
	WORDS_MAX = 120,   /* of that server, in the log */
	COMMAND_ROOM = 64, /* of a command without a text */
	PASS_MAX = POP3_COMMAND_MAX - 7, /* octets that fit behind PASS */
};

enum phase {
	PHASE_GREETING,
	PHASE_STLS,
	PHASE_TLS, /* the handshake is under way */
	PHASE_CAPA,
	PHASE_LOGIN,
	PHASE_LIST,
	PHASE_UIDL,
	PHASE_READY,
	PHASE_DELETING,
	PHASE_QUITTING,
	PHASE_OVER,
};

/* One that waits for the greeting. */
static void make_client(struct talk *talk)
{
	talk->client = malloc(pop3_client_size(TALK_WINDOW));
	if (!talk->client)
		abort(); /* a new process is better than a session that waits for ever */
	pop3_client_init_window(talk->client, POP3_KEEP_CRLF, TALK_LISTING_MAX, TALK_WINDOW);
}

/* A session of which nothing is asked needs none, and is so for most of its time. */
static void rest(struct talk *talk)
{
	if (talk->phase != PHASE_READY || !talk->client || pop3_client_unanswered(talk->client))
		return;
	free(talk->client);
	talk->client = NULL;
}

/* It goes on where it rested: behind the answer to the last command. */
static void wake(struct talk *talk)
{
	pop3_span greeting = SPAN_LITERAL("+OK\r\n");
	struct pop3_client_event event;
	char unused[64];

	if (talk->client)
		return;
	make_client(talk);
	(void)pop3_client_next(talk->client, &greeting, unused, sizeof(unused), &event);
}

/* Of the octets that it needs: for the time of a login thousands of them may be there. */
struct talk_login {
	pop3_span secret; /* behind the name */
	size_t size;      /* of name, NUL, secret */
	char name[];
};

static struct talk_login *make_login(pop3_span name, pop3_span secret)
{
	size_t size = name.size + 1 + secret.size;
	struct talk_login *login = malloc(sizeof(*login) + size);

	if (!login)
		return NULL;
	login->size = size;
	login->secret = (pop3_span){login->name + name.size + 1, secret.size};
	if (name.size)
		memcpy(login->name, name.data, name.size);
	login->name[name.size] = '\0';
	if (secret.size)
		memcpy(login->name + name.size + 1, secret.data, secret.size);
	return login;
}

int talk_init(struct talk *talk, pop3_span login, pop3_span secret, unsigned flags,
	      struct talk_abilities *remembered, struct err *err)
{
	memset(talk, 0, sizeof(*talk));
	remote_listing_init(&talk->listing);
	talk->remembered = remembered;
	talk->stls = flags & TALK_STLS;
	talk->token = flags & TALK_TOKEN;
	talk->out_size = talk->token || secret.size > PASS_MAX ? TALK_OUT_LONG : TALK_OUT;
	if (secret.size > SECRET_MAX || login.size > TALK_NAME_MAX ||
	    (login.size && memchr(login.data, '\0', login.size)))
		return err_set(err, EX_DATAERR, "the name or the password is too long for POP3");
	talk->login = make_login(login, secret);
	if (!talk->login)
		return err_set(err, EX_OSERR, "out of memory");
	make_client(talk);
	return 0;
}

/* What was sent may have been the secret. Sessions are idle for most of their time. */
static void drop_output(struct talk *talk)
{
	if (talk->out && talk->login)
		wipe(talk->out, talk->out_size);
	free(talk->out);
	talk->out = NULL;
	talk->out_at = talk->out_used = 0;
}

/* Less room for commands is needed from now on. */
static void drop_login(struct talk *talk)
{
	if (talk->login)
		wipe(talk->login->name, talk->login->size);
	free(talk->login);
	talk->login = NULL;
	talk->out_size = TALK_OUT;
}

void talk_finish(struct talk *talk)
{
	drop_output(talk);
	drop_login(talk);
	free(talk->client);
	talk->client = NULL;
	talk_lend(talk, NULL, 0);
	remote_listing_finish(&talk->listing);
	talk->phase = PHASE_OVER;
}

/* ---- commands ---- */

pop3_span talk_output(const struct talk *talk)
{
	if (!talk->out)
		return (pop3_span){NULL, 0};
	return (pop3_span){talk->out + talk->out_at, (size_t)(talk->out_used - talk->out_at)};
}

static void send_deletes(struct talk *talk);

void talk_sent(struct talk *talk, size_t size)
{
	talk->out_at = (uint16_t)(talk->out_at + size);
	if (talk->out_at < talk->out_used)
		return;
	drop_output(talk);
	if (talk->login && talk->phase > PHASE_LOGIN)
		drop_login(talk);
	if (talk->phase == PHASE_DELETING)
		send_deletes(talk);
}

/* -1: it cannot be sent: too long, or with a line break inside. */
static int command(struct talk *talk, enum pop3_command which, uint32_t number, uint64_t lines,
		   pop3_span text)
{
	int n;

	if (!talk->out)
		talk->out = malloc(talk->out_size);
	if (!talk->out)
		abort();
	wake(talk);
	n = pop3_client_command(talk->client, which, number, lines, text,
				talk->out + talk->out_used,
				(size_t)(talk->out_size - talk->out_used));
	if (n < 0)
		return -1;
	talk->out_used = (uint16_t)(talk->out_used + n);
	return 0;
}

static void simple(struct talk *talk, enum pop3_command which)
{
	int rc = command(talk, which, 0, 0, SPAN_LITERAL(""));

	assert(rc == 0);
	(void)rc;
}

static enum talk_event over(struct talk *talk, enum maildrop_status status)
{
	talk->status = status;
	talk->phase = PHASE_OVER;
	return TALK_OVER;
}

/* Its words, fit for a log. */
static const char *words(const struct pop3_client_event *event, char buf[WORDS_MAX + 1])
{
	text_escape(buf, WORDS_MAX, event->text);
	return buf[0] ? buf : "no reason";
}

static enum talk_event send_pass(struct talk *talk)
{
	if (command(talk, POP3_PASS, 0, 0, talk->login->secret) == 0)
		return TALK_MORE;
	err_set(&talk->err, EX_DATAERR, "the password cannot be sent by POP3");
	return over(talk, MAILDROP_REFUSED);
}

/* ---- AUTH ---- */

enum { MECHANISM_PLAIN, MECHANISM_XOAUTH2, MECHANISM_BEARER };

static const char *const mechanism_names[] = {"PLAIN", "XOAUTH2", "OAUTHBEARER"};

/* RFC 5801 section 4: the name of the GS2 header. */
static void gs2_name(const char *name, char *buf, size_t size)
{
	size_t n = 0;

	for (; *name && n + 4 < size; name++) {
		if (*name != ',' && *name != '=') {
			buf[n++] = *name;
			continue;
		}
		memcpy(buf + n, *name == ',' ? "=2C" : "=3D", 3);
		n += 3;
	}
	buf[n] = '\0';
}

static int response_of(const struct talk *talk, char *buf, size_t size)
{
	const struct talk_login *login = talk->login;
	const int secret = (int)login->secret.size;
	char name[3 * TALK_NAME_MAX + 4];

	switch (talk->mechanism) {
	case MECHANISM_PLAIN: /* RFC 4616 */
		return snprintf(buf, size, "%c%s%c%.*s", 0, login->name, 0, secret,
				login->secret.data);
	case MECHANISM_BEARER: /* RFC 7628 section 3.1 */
		gs2_name(login->name, name, sizeof(name));
		return snprintf(buf, size, "n,a=%s,\1auth=Bearer %.*s\1\1", name, secret,
				login->secret.data);
	default:
		return snprintf(buf, size, "user=%s\1auth=Bearer %.*s\1\1", login->name, secret,
				login->secret.data);
	}
}

/* In a line of its own, as all servers take it. */
static enum talk_event send_response(struct talk *talk)
{
	char plain[3 * TALK_NAME_MAX + SECRET_MAX + 64], base64[sizeof(plain) / 3 * 4 + 8];
	int n = response_of(talk, plain, sizeof(plain));
	int size = n > 0 && n < (int)sizeof(plain)
			   ? base64_encode((pop3_span){plain, (size_t)n}, base64, sizeof(base64))
			   : -1;
	bool sent =
		size > 0 && command(talk, POP3_SASL, 0, 0, (pop3_span){base64, (size_t)size}) == 0;

	wipe(plain, sizeof(plain));
	wipe(base64, sizeof(base64));
	if (sent)
		return TALK_MORE;
	err_set(&talk->err, EX_DATAERR, "the %s cannot be sent by POP3",
		talk->token ? "token" : "password");
	return over(talk, MAILDROP_REFUSED);
}

/* The first challenge asks for the secret; one behind it says why a token was refused, and wants an
 * answer before the refusal: an empty one, or (RFC 7628 section 3.2.3) octet 1. */
static enum talk_event take_challenge(struct talk *talk, const struct pop3_client_event *event)
{
	if (event->command == POP3_AUTH)
		return send_response(talk);
	(void)command(talk, POP3_SASL, 0, 0,
		      talk->mechanism == MECHANISM_BEARER ? SPAN_LITERAL("AQ==")
							  : SPAN_LITERAL(""));
	return TALK_MORE;
}

static enum talk_event authenticate(struct talk *talk, uint8_t mechanism)
{
	talk->mechanism = mechanism;
	(void)command(talk, POP3_AUTH, 0, 0, span_of(mechanism_names[mechanism]));
	return TALK_MORE;
}

static enum talk_event log_in(struct talk *talk)
{
	const struct talk_abilities *able = &talk->able;

	talk->phase = PHASE_LOGIN;
	if (talk->token)
		return authenticate(talk, able->bearer && !able->xoauth2 ? MECHANISM_BEARER
									 : MECHANISM_XOAUTH2);
	if (able->plain && (!able->user || talk->login->secret.size > PASS_MAX))
		return authenticate(talk, MECHANISM_PLAIN);
	if (command(talk, POP3_USER, 0, 0, span_of(talk->login->name)) < 0) {
		err_set(&talk->err, EX_DATAERR, "the name cannot be sent by POP3");
		return over(talk, MAILDROP_REFUSED);
	}
	return able->pipelining ? send_pass(talk) : TALK_MORE;
}

static enum talk_event ask_or_log_in(struct talk *talk)
{
	talk->able = *talk->remembered;
	if (talk->able.known)
		return log_in(talk);
	talk->phase = PHASE_CAPA;
	talk->able = (struct talk_abilities){0};
	simple(talk, POP3_CAPA);
	return TALK_MORE;
}

void talk_tls_started(struct talk *talk)
{
	if (pop3_client_tls_started(talk->client, (pop3_span){0}))
		(void)ask_or_log_in(talk);
}

static void send_deletes(struct talk *talk)
{
	uint32_t most = talk->able.pipelining ? DELETES : 1;

	while (talk->sent < talk->count && talk->sent - talk->answered < most &&
	       talk->out_size - talk->out_used >= COMMAND_ROOM &&
	       command(talk, POP3_DELE, talk->numbers[talk->sent], 0, SPAN_LITERAL("")) == 0)
		talk->sent++;
	if (talk->answered < talk->count)
		return;
	talk->phase = PHASE_QUITTING;
	simple(talk, POP3_QUIT);
}

/* What is still to come of the last message is nobody's. */
static void leave_body(struct talk *talk)
{
	if (talk->number && !talk->ended)
		talk->unwanted++;
	talk->number = 0;
	talk_lend(talk, NULL, 0);
}

void talk_quit(struct talk *talk, const uint32_t *numbers, uint32_t count)
{
	leave_body(talk);
	talk->numbers = numbers;
	talk->count = count;
	talk->phase = PHASE_DELETING;
	send_deletes(talk);
}

void talk_fetch(struct talk *talk, uint32_t number, bool top, uint64_t lines)
{
	int rc;

	leave_body(talk);
	talk->number = number;
	talk->ended = false;
	rc = command(talk, top ? POP3_TOP : POP3_RETR, number, top ? lines : 0, SPAN_LITERAL(""));
	assert(rc == 0);
	(void)rc;
}

/* ---- octets of a body ---- */

static bool is_wanted(const struct talk *talk)
{
	return talk->number && !talk->unwanted;
}

void talk_lend(struct talk *talk, char *room, size_t size)
{
	talk->room = room;
	talk->room_size = size;
	talk->room_used = 0;
}

size_t talk_take(struct talk *talk, bool *ret_last)
{
	size_t used = talk->room_used;

	*ret_last = talk->ended;
	talk_lend(talk, NULL, 0);
	return used;
}

bool talk_has_octets(const struct talk *talk)
{
	return is_wanted(talk) && (talk->room_used || (talk->ended && !talk->in_body));
}

static bool goes_to_room(const struct talk *talk)
{
	return talk->in_body && is_wanted(talk);
}

size_t talk_room(const struct talk *talk)
{
	return goes_to_room(talk) ? talk->room_size - talk->room_used : SIZE_MAX;
}

bool talk_blocked(const struct talk *talk)
{
	return talk_room(talk) < ROOM_LEAST;
}

bool talk_waits(const struct talk *talk)
{
	return talk->phase != PHASE_OVER &&
	       ((talk->client && pop3_client_unanswered(talk->client) > 0) || talk->out_used > 0);
}

/* ---- what that server says ---- */

/* Takes it off; empty: there is none. */
static pop3_span next_word(pop3_span *text)
{
	pop3_span word;

	while (text->size && *text->data == ' ')
		*text = (pop3_span){text->data + 1, text->size - 1};
	word = (pop3_span){text->data, 0};
	while (word.size < text->size && word.data[word.size] != ' ')
		word.size++;
	*text = (pop3_span){text->data + word.size, text->size - word.size};
	return word;
}

static bool has_word(pop3_span text, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= text.size; i++)
		if (strncasecmp(text.data + i, word, n) == 0)
			return true;
	return false;
}

/* "-ERR" to a login. Servers without AUTH-RESP-CODE (RFC 3206) say in words that a maildrop is
 * locked; else a password is wrong. */
static enum maildrop_status login_status(const struct talk *talk,
					 const struct pop3_client_event *event)
{
	switch (event->code) {
	case POP3_CODE_AUTH:
		return MAILDROP_REFUSED;
	case POP3_CODE_IN_USE:
		return MAILDROP_IN_USE;
	case POP3_CODE_LOGIN_DELAY:
		return MAILDROP_TOO_SOON;
	case POP3_CODE_SYS_TEMP:
		return MAILDROP_TEMP;
	case POP3_CODE_SYS_PERM:
		return MAILDROP_PERM;
	case POP3_CODE_UTF8:
	case POP3_CODE_NONE:
	case POP3_CODE_COUNT:
		break;
	}
	if (talk->able.auth_codes)
		return MAILDROP_TEMP;
	return has_word(event->text, "lock") || has_word(event->text, "in use") ||
			       has_word(event->text, "busy")
		       ? MAILDROP_IN_USE
		       : MAILDROP_REFUSED;
}

static enum maildrop_status other_status(const struct pop3_client_event *event)
{
	if (event->code == POP3_CODE_UTF8)
		return MAILDROP_NEEDS_UTF8;
	return event->code == POP3_CODE_SYS_PERM ? MAILDROP_PERM : MAILDROP_TEMP;
}

static enum talk_event refused(struct talk *talk, const struct pop3_client_event *event,
			       const char *what, enum maildrop_status status)
{
	char buf[WORDS_MAX + 1];

	err_set(&talk->err, EX_TEMPFAIL, "the other server refuses %s: %s", what,
		words(event, buf));
	return over(talk, status);
}

static enum talk_event take_greeting(struct talk *talk, const struct pop3_client_event *event)
{
	if (!event->ok)
		return refused(talk, event, "the connection", other_status(event));
	if (!talk->stls)
		return ask_or_log_in(talk);
	talk->phase = PHASE_STLS;
	simple(talk, POP3_STLS);
	return TALK_MORE;
}

static enum talk_event take_stls(struct talk *talk, const struct pop3_client_event *event,
				 const pop3_span *in)
{
	if (!event->ok)
		return refused(talk, event, "STLS, and nothing was sent", MAILDROP_TEMP);
	if (in->size) {
		err_set(&talk->err, EX_PROTOCOL,
			"octets came behind the answer to STLS: an attack, or a broken server");
		return over(talk, MAILDROP_TEMP);
	}
	talk->phase = PHASE_TLS;
	return TALK_START_TLS;
}

static void note_mechanisms(struct talk_abilities *able, pop3_span words)
{
	pop3_span word;

	while ((word = next_word(&words)).size) {
		able->plain |= span_equal_nocase(word, SPAN_LITERAL("PLAIN"));
		able->xoauth2 |= span_equal_nocase(word, SPAN_LITERAL("XOAUTH2"));
		able->bearer |= span_equal_nocase(word, SPAN_LITERAL("OAUTHBEARER"));
	}
}

static void note_capability(struct talk_abilities *able, pop3_span line)
{
	pop3_span word = next_word(&line);

	able->pipelining |= span_equal_nocase(word, SPAN_LITERAL("PIPELINING"));
	able->auth_codes |= span_equal_nocase(word, SPAN_LITERAL("AUTH-RESP-CODE"));
	able->user |= span_equal_nocase(word, SPAN_LITERAL("USER"));
	if (span_equal_nocase(word, SPAN_LITERAL("SASL")))
		note_mechanisms(able, line);
}

static enum talk_event take_capa(struct talk *talk, const struct pop3_client_event *event)
{
	struct talk_abilities *able = &talk->able;

	if (event->type == POP3_CLIENT_LINE)
		note_capability(able, event->text);
	if (event->type == POP3_CLIENT_LINE || (event->type == POP3_CLIENT_REPLY && event->ok))
		return TALK_MORE;
	able->known = true; /* or it has no CAPA: then it can nothing of it */
	*talk->remembered = *able;
	return log_in(talk);
}

static enum talk_event take_login(struct talk *talk, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_CHALLENGE)
		return take_challenge(talk, event);
	if (!event->ok && event->command == POP3_AUTH && event->code == POP3_CODE_NONE)
		return refused(talk, event, mechanism_names[talk->mechanism], MAILDROP_TEMP);
	talk->judged = true;
	if (!event->ok)
		return refused(talk, event, "the login", login_status(talk, event));
	if (event->command == POP3_USER)
		return talk->able.pipelining ? TALK_MORE : send_pass(talk);
	talk->phase = PHASE_LIST;
	simple(talk, POP3_LIST);
	if (talk->able.pipelining)
		simple(talk, POP3_UIDL);
	return TALK_MORE;
}

static enum talk_event bad_listing(struct talk *talk)
{
	return over(talk, MAILDROP_TEMP);
}

static enum talk_event take_list(struct talk *talk, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_REPLY)
		return event->ok ? TALK_MORE : refused(talk, event, "LIST", other_status(event));
	if (event->type == POP3_CLIENT_LINE && event->malformed)
		err_set(&talk->err, EX_PROTOCOL, "its LIST has a line without number and size");
	else if (event->type == POP3_CLIENT_LINE)
		return remote_listing_size(&talk->listing, event->number, event->octets,
					   &talk->err) < 0
			       ? bad_listing(talk)
			       : TALK_MORE;
	if (event->type == POP3_CLIENT_LINE)
		return bad_listing(talk);
	talk->phase = PHASE_UIDL;
	if (!talk->able.pipelining)
		simple(talk, POP3_UIDL);
	return TALK_MORE;
}

static enum talk_event take_uidl(struct talk *talk, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_REPLY)
		return event->ok ? TALK_MORE : refused(talk, event, "UIDL", other_status(event));
	if (event->type == POP3_CLIENT_LINE && event->malformed) {
		err_set(&talk->err, EX_PROTOCOL, "its UIDL has a line without a unique id");
		return bad_listing(talk);
	}
	if (event->type == POP3_CLIENT_LINE)
		return remote_listing_id(&talk->listing, event->number, event->text, &talk->err) < 0
			       ? bad_listing(talk)
			       : TALK_MORE;
	if (remote_listing_end(&talk->listing, &talk->err) < 0)
		return bad_listing(talk);
	talk->phase = PHASE_READY;
	return TALK_OPENED;
}

static uint64_t limit_of(const struct talk *talk, uint32_t number)
{
	uint64_t guess = number <= talk->listing.count ? talk->listing.sizes[number - 1] : 0;

	return guess > (UINT64_MAX - BEYOND) / 2 ? UINT64_MAX : 2 * guess + BEYOND;
}

static enum talk_event take_answer(struct talk *talk, const struct pop3_client_event *event)
{
	char buf[WORDS_MAX + 1];

	talk->in_body = event->ok;
	talk->received = 0;
	talk->limit = limit_of(talk, event->number);
	if (talk->unwanted) {
		talk->unwanted -= !event->ok;
		return TALK_MORE;
	}
	if (!event->ok) {
		talk->number = 0;
		talk->status = other_status(event);
		err_set(&talk->err, EX_TEMPFAIL, "the other server refuses it: %s",
			words(event, buf));
		return TALK_REFUSED;
	}
	return TALK_ANSWERED;
}

static enum talk_event take_octets(struct talk *talk, const struct pop3_client_event *event)
{
	talk->received += event->text.size;
	if (talk->received > talk->limit) {
		err_set(&talk->err, EX_PROTOCOL,
			"message %lu has more octets than twice what LIST said: the session is "
			"ended",
			(unsigned long)event->number);
		return over(talk, MAILDROP_TEMP);
	}
	if (is_wanted(talk))
		talk->room_used += event->text.size;
	return TALK_MORE;
}

static enum talk_event take_body(struct talk *talk, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_REPLY)
		return take_answer(talk, event);
	if (event->type == POP3_CLIENT_BODY)
		return take_octets(talk, event);
	talk->in_body = false;
	if (talk->unwanted)
		talk->unwanted--;
	else
		talk->ended = true;
	return TALK_MORE;
}

static enum talk_event take_dele(struct talk *talk, const struct pop3_client_event *event)
{
	char buf[WORDS_MAX + 1];

	talk->answered++;
	if (!event->ok && !talk->not_all)
		err_set(&talk->err, EX_TEMPFAIL,
			"the other server refuses to delete message %lu: %s",
			(unsigned long)event->number, words(event, buf));
	talk->not_all = talk->not_all || !event->ok;
	send_deletes(talk);
	return TALK_MORE;
}

static enum talk_event take_quit(struct talk *talk, const struct pop3_client_event *event)
{
	if (!event->ok)
		return refused(talk, event, "to delete all messages at QUIT", MAILDROP_UNKNOWN);
	return over(talk, talk->not_all ? MAILDROP_TEMP : MAILDROP_OK);
}

static enum talk_event broken(struct talk *talk, const char *why)
{
	enum maildrop_status status = talk->phase == PHASE_QUITTING   ? MAILDROP_UNKNOWN
				      : talk->phase == PHASE_DELETING ? MAILDROP_LOST
								      : MAILDROP_TEMP;

	err_set(&talk->err, EX_TEMPFAIL, "%s", why);
	return over(talk, status);
}

void talk_eof(struct talk *talk)
{
	if (talk->phase == PHASE_OVER)
		return;
	(void)broken(talk, talk->phase <= PHASE_LOGIN
				   ? "the other server closed the connection before the login was "
				     "answered"
				   : "the other server closed the connection");
}

static enum talk_event take(struct talk *talk, const struct pop3_client_event *event, pop3_span *in)
{
	char text[160];

	if (event->type == POP3_CLIENT_BAD) {
		snprintf(text, sizeof(text), "the other server breaks the protocol: %.*s",
			 (int)event->text.size, event->text.data);
		return broken(talk, text);
	}
	if (event->command == POP3_RETR || event->command == POP3_TOP)
		return take_body(talk, event);
	switch ((enum phase)talk->phase) {
	case PHASE_GREETING:
		return take_greeting(talk, event);
	case PHASE_STLS:
		return take_stls(talk, event, in);
	case PHASE_CAPA:
		return take_capa(talk, event);
	case PHASE_LOGIN:
		return take_login(talk, event);
	case PHASE_LIST:
		return take_list(talk, event);
	case PHASE_UIDL:
		return take_uidl(talk, event);
	case PHASE_DELETING:
		return take_dele(talk, event);
	case PHASE_QUITTING:
		return take_quit(talk, event);
	case PHASE_TLS:
	case PHASE_READY:
	case PHASE_OVER:
		break;
	}
	return broken(talk, "the other server answers what was not asked");
}

enum talk_event talk_next(struct talk *talk, pop3_span *in)
{
	char unwanted[4096];

	if (!talk->client && in->size && talk->phase != PHASE_OVER)
		return broken(talk, "the other server answers what was not asked");
	/* without input, too: the end of a body may be known behind its last octets */
	while (talk->client && talk->phase != PHASE_OVER && !talk_blocked(talk)) {
		bool wanted = goes_to_room(talk);
		char *scratch = wanted ? talk->room + talk->room_used : unwanted;
		size_t room = wanted ? talk_room(talk) : sizeof(unwanted);
		struct pop3_client_event event;
		enum talk_event result;

		if (pop3_client_next(talk->client, in, scratch, room, &event) == POP3_CLIENT_MORE)
			break;
		result = take(talk, &event, in);
		if (result != TALK_MORE)
			return result;
	}
	if (!in->size)
		rest(talk);
	return talk->phase == PHASE_OVER ? TALK_OVER : TALK_MORE;
}
