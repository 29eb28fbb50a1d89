/* See relay.h. In the connector; the envelope may come from a front that an attacker owns: nothing
 * of it can be taken for a command. */
#include "lmtp/relay.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

enum phase {
	PHASE_GREETING,
	PHASE_LHLO,
	PHASE_STARTTLS,
	PHASE_TLS, /* the handshake is under way */
	PHASE_MAIL,
	PHASE_RCPT,
	PHASE_DATA,
	PHASE_CONTENT,
	PHASE_REPLIES,
	PHASE_OVER,
};

enum {
	/* of a command, and of DATA and QUIT behind it: that server may answer before it is asked
	 */
	RCPT_ROOM = 64 + LMTP_RELAY_PATH_MAX,
	NUMBER_ROOM = 20, /* digits of 64 bits */
};

void lmtp_relay_init(struct lmtp_relay *relay, const struct lmtp_relay_message *message,
		     struct lmtp_relay_recipient *recipients, uint32_t count)
{
	assert(count);
	memset(relay, 0, sizeof(*relay));
	relay->message = *message;
	relay->recipients = recipients;
	relay->count = count;
	for (uint32_t i = 0; i < count; i++)
		recipients[i] = (struct lmtp_relay_recipient){.address = recipients[i].address};
}

/* ---- outcomes ---- */

/* "5.1.1" at the start of text (RFC 2034). */
static void take_enhanced(pop3_span text, char ret[12])
{
	size_t size = 0, dots = 0;

	ret[0] = '\0';
	if (!text.size || !strchr("245", text.data[0]))
		return;
	while (size < text.size &&
	       ((text.data[size] >= '0' && text.data[size] <= '9') || text.data[size] == '.'))
		dots += text.data[size++] == '.';
	if (dots != 2 || size > 11 || (size < text.size && text.data[size] != ' '))
		return;
	memcpy(ret, text.data, size);
	ret[size] = '\0';
}

/* What a reply makes of a recipient. 5yz that is about the command, not about the mail, is a fault
 * of one of both servers, and mail waits until somebody mends it. */
static enum lmtp_relay_result result_of(uint16_t code)
{
	switch (code) {
	case 500: /* the command is not known */
	case 502:
	case 503: /* not now */
	case 504: /* nor its parameter */
	case 530: /* authentication, or TLS, is wanted */
	case 555:
		return LMTP_RELAY_LATER;
	default:
		return code / 100 == 5 ? LMTP_RELAY_REFUSED : LMTP_RELAY_LATER;
	}
}

static void set_reply(const struct lmtp_relay *relay, struct lmtp_relay_recipient *recipient,
		      enum lmtp_relay_result result)
{
	pop3_span line = {relay->line, relay->line_size};
	pop3_span text = {relay->line + 4, line.size > 4 ? line.size - 4 : 0};

	if (line.size > LMTP_RELAY_WORDS_MAX)
		line.size = LMTP_RELAY_WORDS_MAX;
	for (size_t i = 0; i < line.size; i++) /* as C's text */
		recipient->words[i] = line.data[i] ? line.data[i] : ' ';
	recipient->words[line.size] = '\0';
	recipient->result = result;
	recipient->code = relay->code;
	take_enhanced(text, recipient->enhanced);
}

/* One reply for all that have no outcome yet. */
static void set_all(struct lmtp_relay *relay, enum lmtp_relay_result result)
{
	for (uint32_t i = 0; i < relay->count; i++)
		if (relay->recipients[i].result == LMTP_RELAY_PENDING)
			set_reply(relay, &relay->recipients[i], result);
}

void lmtp_relay_cut(struct lmtp_relay *relay, const char *why)
{
	bool complete = relay->phase == PHASE_REPLIES;

	if (relay->phase == PHASE_OVER)
		return;
	relay->phase = PHASE_OVER;
	relay->out_at = relay->out_used = 0;
	relay->why = why;
	for (uint32_t i = 0; i < relay->count; i++) {
		struct lmtp_relay_recipient *recipient = &relay->recipients[i];

		if (recipient->result != LMTP_RELAY_PENDING)
			continue;
		recipient->result = complete ? LMTP_RELAY_UNKNOWN : LMTP_RELAY_LATER;
		recipient->why = why;
	}
}

/* The reply says why. */
static enum lmtp_relay_event refused(struct lmtp_relay *relay, const char *why)
{
	for (uint32_t i = 0; i < relay->count; i++) {
		struct lmtp_relay_recipient *recipient = &relay->recipients[i];

		if (recipient->result != LMTP_RELAY_PENDING)
			continue;
		set_reply(relay, recipient, LMTP_RELAY_LATER);
		recipient->why = why;
	}
	lmtp_relay_cut(relay, why);
	return LMTP_RELAY_OVER;
}

static enum lmtp_relay_event broken(struct lmtp_relay *relay, const char *why)
{
	lmtp_relay_cut(relay, why);
	return LMTP_RELAY_OVER;
}

/* ---- commands ---- */

pop3_span lmtp_relay_output(const struct lmtp_relay *relay)
{
	return (pop3_span){relay->out + relay->out_at, (size_t)(relay->out_used - relay->out_at)};
}

static void put(struct lmtp_relay *relay, pop3_span text)
{
	assert(text.size <= sizeof(relay->out) - relay->out_used);
	if (text.size)
		memcpy(relay->out + relay->out_used, text.data, text.size);
	relay->out_used = (uint16_t)(relay->out_used + text.size);
}

static void put_text(struct lmtp_relay *relay, const char *text)
{
	put(relay, span_of(text));
}

static void put_number(struct lmtp_relay *relay, uint64_t number)
{
	char digits[NUMBER_ROOM];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put(relay, (pop3_span){digits + at, sizeof(digits) - at});
}

static size_t quote(pop3_span local, char *out)
{
	size_t size = 0;

	out[size++] = '"';
	for (size_t i = 0; i < local.size; i++) {
		if (local.data[i] == '"' || local.data[i] == '\\')
			out[size++] = '\\';
		out[size++] = local.data[i];
	}
	out[size++] = '"';
	return size;
}

int lmtp_relay_path(pop3_span address, char *out, size_t size)
{
	char quoted[2 * LMTP_RELAY_PATH_MAX + 2];
	struct lmtp_address parts;
	const char *at;
	size_t local, used;

	if (!address.size || address.size > LMTP_ADDRESS_MAX)
		return -1;
	if (address.data[0] != '"' &&
	    lmtp_address_check(address, true, true, &parts) == LMTP_ADDRESS_OK) {
		if (address.size > size)
			return -1;
		memcpy(out, address.data, address.size);
		return (int)address.size;
	}
	at = memrchr(address.data, '@', address.size);
	local = at ? (size_t)(at - address.data) : address.size;
	used = quote((pop3_span){address.data, local}, quoted);
	memcpy(quoted + used, address.data + local, address.size - local);
	used += address.size - local;
	if (used > size ||
	    lmtp_address_check((pop3_span){quoted, used}, true, true, &parts) != LMTP_ADDRESS_OK)
		return -1;
	memcpy(out, quoted, used);
	return (int)used;
}

static bool is_ascii(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] >= 0x80)
			return false;
	return true;
}

static bool needs_utf8(const struct lmtp_relay *relay)
{
	bool needs = relay->message.utf8 || !is_ascii(relay->message.sender);

	for (uint32_t i = 0; i < relay->count; i++)
		needs = needs || !is_ascii(relay->recipients[i].address);
	return needs;
}

static enum lmtp_relay_event say_hello(struct lmtp_relay *relay)
{
	relay->phase = PHASE_LHLO;
	relay->hello_done = false;
	put_text(relay, "LHLO ");
	put_text(relay, relay->message.host_name);
	put_text(relay, "\r\n");
	return LMTP_RELAY_MORE;
}

/* RCPTs, as many as there is room for; one where that server is not asked more at a time. */
static void send_recipients(struct lmtp_relay *relay)
{
	char path[LMTP_RELAY_PATH_MAX];

	while (relay->asked < relay->count && sizeof(relay->out) - relay->out_used >= RCPT_ROOM &&
	       (relay->pipelining
			? relay->phase >= PHASE_MAIL
			: relay->phase == PHASE_RCPT && relay->asked == relay->answered)) {
		int n = lmtp_relay_path(relay->recipients[relay->asked].address, path,
					sizeof(path));

		put_text(relay, "RCPT TO:<");
		put(relay, (pop3_span){path, n > 0 ? (size_t)n : 0});
		put_text(relay, ">\r\n");
		relay->asked++;
	}
}

void lmtp_relay_sent(struct lmtp_relay *relay, size_t size)
{
	relay->out_at = (uint16_t)(relay->out_at + size);
	if (relay->out_at < relay->out_used)
		return;
	relay->out_at = relay->out_used = 0;
	if (relay->phase == PHASE_MAIL || relay->phase == PHASE_RCPT)
		send_recipients(relay);
}

static enum lmtp_relay_event send_mail(struct lmtp_relay *relay)
{
	char path[LMTP_RELAY_PATH_MAX];

	if (!lmtp_sender_writable(relay->message.sender))
		return broken(relay, "the envelope sender cannot be passed on");
	for (uint32_t i = 0; i < relay->count; i++)
		if (lmtp_relay_path(relay->recipients[i].address, path, sizeof(path)) < 0)
			return broken(relay, "no mail can be addressed to a recipient");
	relay->hello_done = true;
	relay->phase = PHASE_MAIL;
	put_text(relay, "MAIL FROM:<");
	put(relay, relay->message.sender);
	put_text(relay, ">");
	if (relay->size) {
		put_text(relay, " SIZE=");
		put_number(relay, relay->message.size);
	}
	if (relay->eight_bit)
		put_text(relay, " BODY=8BITMIME");
	if (relay->utf8 && needs_utf8(relay))
		put_text(relay, " SMTPUTF8");
	put_text(relay, "\r\n");
	send_recipients(relay);
	return LMTP_RELAY_MORE;
}

static enum lmtp_relay_event over(struct lmtp_relay *relay)
{
	relay->phase = PHASE_OVER;
	if (sizeof(relay->out) - relay->out_used >= 6)
		put_text(relay, "QUIT\r\n");
	return LMTP_RELAY_OVER;
}

void lmtp_relay_tls_started(struct lmtp_relay *relay)
{
	assert(relay->phase == PHASE_TLS);
	relay->secured = true;
	(void)say_hello(relay);
}

/* ---- the message ---- */

size_t lmtp_relay_encode(struct lmtp_relay *relay, pop3_span *in, char *out, size_t cap)
{
	assert(relay->phase == PHASE_CONTENT);
	return pop3_encoder_run(&relay->encoder, in, out, cap);
}

size_t lmtp_relay_end(struct lmtp_relay *relay, char *out, size_t cap)
{
	assert(relay->phase == PHASE_CONTENT);
	relay->phase = PHASE_REPLIES;
	relay->answered = 0;
	return pop3_encoder_finish(&relay->encoder, out, cap);
}

bool lmtp_relay_works(const struct lmtp_relay *relay)
{
	return relay->hello_done;
}

bool lmtp_relay_waits(const struct lmtp_relay *relay)
{
	return relay->phase != PHASE_CONTENT && relay->phase != PHASE_OVER;
}

bool lmtp_relay_ended(const struct lmtp_relay *relay)
{
	return relay->phase == PHASE_REPLIES;
}

/* ---- replies ---- */

/* A line of the answer to LHLO: a keyword, perhaps with parameters. */
static void take_feature(struct lmtp_relay *relay)
{
	const struct {
		const char *word;
		bool *offered;
	} features[] = {
		{"PIPELINING", &relay->pipelining}, {"SIZE", &relay->size},
		{"8BITMIME", &relay->eight_bit},    {"SMTPUTF8", &relay->utf8},
		{"STARTTLS", &relay->starttls},
	};
	pop3_span line = {relay->line + 4, relay->line_size > 4 ? relay->line_size - 4u : 0};
	pop3_span word = span_take_until(&line, ' ');

	if (relay->lines == 1)
		return; /* its name */
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (span_equal_nocase(word, span_of(features[i].word)))
			*features[i].offered = true;
}

static enum lmtp_relay_event take_hello(struct lmtp_relay *relay, const pop3_span *in)
{
	if (relay->code / 100 != 2)
		return refused(relay, "that server refuses LHLO: is it one of LMTP?");
	if (!relay->message.starttls || relay->secured)
		return send_mail(relay);
	if (!relay->starttls)
		return broken(relay, "that server offers no STARTTLS, and nothing was sent");
	if (in->size)
		return broken(relay, "that server sends what was not asked for");
	relay->phase = PHASE_STARTTLS;
	put_text(relay, "STARTTLS\r\n");
	return LMTP_RELAY_MORE;
}

static enum lmtp_relay_event take_starttls(struct lmtp_relay *relay, const pop3_span *in)
{
	if (relay->code / 100 != 2)
		return refused(relay, "that server refuses STARTTLS, and nothing was sent");
	if (in->size)
		return broken(relay, "octets came behind the answer to STARTTLS: an attack, or a "
				     "broken server");
	/* what was said in clear text is forgotten (RFC 3207 section 4.2) */
	relay->pipelining = relay->size = relay->eight_bit = relay->utf8 = relay->starttls = false;
	relay->out_at = relay->out_used = 0;
	relay->phase = PHASE_TLS;
	return LMTP_RELAY_START_TLS;
}

/* The replies to RCPTs that were sent behind MAIL still come, but nobody waits for them. */
static enum lmtp_relay_event take_mail(struct lmtp_relay *relay)
{
	if (relay->code / 100 != 2) {
		set_all(relay, result_of(relay->code));
		return over(relay);
	}
	relay->phase = PHASE_RCPT;
	send_recipients(relay);
	return LMTP_RELAY_MORE;
}

static enum lmtp_relay_event take_recipient(struct lmtp_relay *relay)
{
	struct lmtp_relay_recipient *recipient = &relay->recipients[relay->answered++];

	if (relay->code / 100 == 2) {
		recipient->accepted = true;
		relay->accepted++;
	} else {
		set_reply(relay, recipient, result_of(relay->code));
	}
	if (relay->answered < relay->count) {
		send_recipients(relay);
		return LMTP_RELAY_MORE;
	}
	if (!relay->accepted)
		return over(relay);
	relay->phase = PHASE_DATA;
	put_text(relay, "DATA\r\n");
	return LMTP_RELAY_MORE;
}

static enum lmtp_relay_event take_data(struct lmtp_relay *relay)
{
	if (relay->code != 354) {
		set_all(relay, result_of(relay->code));
		return over(relay);
	}
	relay->phase = PHASE_CONTENT;
	pop3_encoder_init(&relay->encoder, POP3_ALL_LINES);
	return LMTP_RELAY_CONTENT;
}

/* One reply for each recipient that was accepted, in their order (RFC 2033 section 4.2). */
static enum lmtp_relay_event take_outcome(struct lmtp_relay *relay)
{
	struct lmtp_relay_recipient *recipient;

	while (!relay->recipients[relay->answered].accepted)
		relay->answered++;
	recipient = &relay->recipients[relay->answered++];
	set_reply(relay, recipient,
		  relay->code / 100 == 2 ? LMTP_RELAY_DELIVERED : result_of(relay->code));
	return --relay->accepted ? LMTP_RELAY_MORE : over(relay);
}

static enum lmtp_relay_event take_reply(struct lmtp_relay *relay, const pop3_span *in)
{
	if (relay->code / 100 == 3 && relay->phase != PHASE_DATA)
		return broken(relay, "that server asks for more where there is none");
	switch ((enum phase)relay->phase) {
	case PHASE_GREETING:
		return relay->code == 220 ? say_hello(relay)
					  : refused(relay, "that server refuses the connection");
	case PHASE_LHLO:
		return take_hello(relay, in);
	case PHASE_STARTTLS:
		return take_starttls(relay, in);
	case PHASE_MAIL:
		return take_mail(relay);
	case PHASE_RCPT:
		return take_recipient(relay);
	case PHASE_DATA:
		return take_data(relay);
	case PHASE_CONTENT:
		return refused(relay, "that server answers before the end of the message");
	case PHASE_REPLIES:
		return take_outcome(relay);
	case PHASE_TLS:
	case PHASE_OVER:
		break;
	}
	return broken(relay, "that server sends what was not asked for");
}

/* Whether a reply can come: each has its command. */
static bool is_asked(const struct lmtp_relay *relay)
{
	if (relay->phase == PHASE_RCPT)
		return relay->answered < relay->asked;
	return relay->phase != PHASE_TLS;
}

static const char not_lmtp[] = "that server does not speak LMTP";

/* True: the line is complete, without its end. */
static bool take_line(struct lmtp_relay *relay, pop3_span *in)
{
	while (in->size && relay->line_size < sizeof(relay->line)) {
		char c = *in->data++;

		in->size--;
		if (c == '\n') {
			if (relay->line_size && relay->line[relay->line_size - 1] == '\r')
				relay->line_size--;
			return true;
		}
		relay->line[relay->line_size++] = c;
	}
	return false;
}

/* "250 text", "250-text", "250". 0: it is no line of the reply that was begun. */
static uint16_t code_of(const struct lmtp_relay *relay)
{
	uint64_t code;

	if (relay->line_size < 3 || span_number((pop3_span){relay->line, 3}, 599, &code) < 0 ||
	    code < 200 ||
	    (relay->line_size > 3 && relay->line[3] != ' ' && relay->line[3] != '-') ||
	    (relay->lines && code != relay->code))
		return 0;
	return (uint16_t)code;
}

static enum lmtp_relay_event run_line(struct lmtp_relay *relay, const pop3_span *in)
{
	bool last = relay->line_size <= 3 || relay->line[3] != '-';
	enum lmtp_relay_event event = LMTP_RELAY_MORE;

	relay->code = code_of(relay);
	if (!relay->code || ++relay->lines > LMTP_RELAY_LINES_MAX)
		return broken(relay, not_lmtp);
	if (!is_asked(relay))
		return broken(relay, "that server sends what was not asked for");
	if (relay->phase == PHASE_LHLO)
		take_feature(relay);
	if (last) {
		relay->lines = 0;
		event = take_reply(relay, in);
	}
	relay->line_size = 0;
	return event;
}

enum lmtp_relay_event lmtp_relay_next(struct lmtp_relay *relay, pop3_span *in)
{
	while (relay->phase != PHASE_OVER && in->size) {
		enum lmtp_relay_event event = LMTP_RELAY_MORE;

		if (take_line(relay, in))
			event = run_line(relay, in);
		else if (relay->line_size == sizeof(relay->line))
			event = broken(relay, not_lmtp);
		if (event != LMTP_RELAY_MORE)
			return event;
	}
	return relay->phase == PHASE_OVER ? LMTP_RELAY_OVER : LMTP_RELAY_MORE;
}
