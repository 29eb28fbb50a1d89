/* See record.h. In every child. */
#include "server/record.h"

#include "base/text.h"
#include "server/flood.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

enum {
	NUMBER_MAX = 32,
	TEXT_MAX = 256, /* octets of a value in a line: a few long ones leave room for the others */
};

enum cause { CAUSE_KNOWN, CAUSE_STRANGER };

static const struct {
	const char *word;
	enum log_level level;
	enum cause cause;
} events[] = {
#define X(name, word, level, cause) [RECORD_##name] = {word, LOG_LEVEL_##level, CAUSE_##cause},
	RECORD_EVENTS(X)
#undef X
};

static const char *const keys[] = {
#define X(name, word) [RECORD_KEY_##name] = (word),
	RECORD_KEYS(X)
#undef X
};
_Static_assert(sizeof(events) / sizeof(*events) == RECORD_EVENT_COUNT, "an event without a row");
_Static_assert((int)RECORD_EVENT_COUNT <= (int)FLOOD_KINDS, "an event without a count");
_Static_assert(sizeof(keys) / sizeof(*keys) == RECORD_KEY_COUNT, "a key without a row");

/* Lines that strangers cause. */
static struct {
	struct loop *loop; /* NULL: none is held back */
	struct loop_timer timer;
	struct flood flood;
} strangers;

static void put(struct record *record, const char *text)
{
	size_t n = strlen(text);

	if (n > sizeof(record->text) - record->size)
		n = sizeof(record->text) - record->size;
	memcpy(record->text + record->size, text, n);
	record->size += n;
}

static void put_octet(struct record *record, char octet)
{
	if (record->size < sizeof(record->text))
		record->text[record->size++] = octet;
}

/* snprintf would be half of what a line costs. */
static void put_number(struct record *record, uint64_t number, unsigned base)
{
	char buf[NUMBER_MAX], *at = buf + sizeof(buf) - 1;

	*at = '\0';
	do
		*--at = "0123456789abcdef"[number % base];
	while (number /= base);
	put(record, at);
}

static void put_key(struct record *record, enum record_key key)
{
	put_octet(record, ' ');
	put(record, keys[key]);
	put_octet(record, '=');
}

const char *record_address(const uint8_t address[16], char *buf)
{
	static const uint8_t none[16];
	const struct in6_addr *six = (const struct in6_addr *)(const void *)address;

	if (memcmp(address, none, sizeof(none)) == 0)
		return "local";
	if (IN6_IS_ADDR_V4MAPPED(six))
		text_dotted(address + 12, buf);
	else
		inet_ntop(AF_INET6, address, buf, INET6_ADDRSTRLEN);
	return buf;
}

void record_begin(struct record *record, enum record_event event, const uint8_t *address,
		  uint64_t front, uint64_t session)
{
	char buf[64];

	record->event = event;
	record->size = 0;
	record->has_address = address != NULL;
	if (address)
		memcpy(record->address, address, sizeof(record->address));
	put(record, events[event].word);
	if (address) {
		put(record, " from=");
		put(record, record_address(address, buf));
	}
	put(record, " session=");
	put_number(record, front, 16);
	put_octet(record, '-');
	put_number(record, session, 10);
}

void record_number(struct record *record, enum record_key key, uint64_t number)
{
	put_key(record, key);
	put_number(record, number, 10);
}

static void put_escaped(struct record *record, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	put(record, "\\x");
	put_octet(record, digits[c >> 4]);
	put_octet(record, digits[c & 15]);
}

static bool plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '@' || c == '.' || c == '_' || c == '+' || c == '-';
}

void record_text(struct record *record, enum record_key key, pop3_span text)
{
	size_t end = record->size + TEXT_MAX;

	put_key(record, key);
	put_octet(record, '"');
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (record->size + 4 > end || record->size + 8 > sizeof(record->text)) {
			put(record, "...");
			break;
		}
		if (plain(c))
			put_octet(record, (char)c);
		else
			put_escaped(record, c);
	}
	put_octet(record, '"');
}

void record_words(struct record *record, enum record_key key, const char *words)
{
	put_key(record, key);
	put_octet(record, '"');
	for (; *words && record->size + 8 <= sizeof(record->text); words++) {
		if (*words < ' ' || *words > '~' || *words == '"' || *words == '\\')
			put_escaped(record, (unsigned char)*words);
		else
			put_octet(record, *words);
	}
	put_octet(record, '"');
}

/* ---- lines that strangers cause ---- */

static void put_network(struct record *record, const uint8_t *network)
{
	static const uint8_t none[16],
		unknown[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	char buf[64];
	bool six;

	if (network && memcmp(network, unknown, sizeof(unknown)) == 0)
		return;
	put(record, " from=");
	if (!network) {
		put(record, "any");
		return;
	}
	six = memcmp(network, none, sizeof(none)) != 0 &&
	      !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)network);
	put(record, record_address(network, buf));
	if (six)
		put(record, "/64");
}

static void write_sum(const struct flood_sum *sum, void *context)
{
	struct record record = {.event = RECORD_SUMMED_UP};

	(void)context;
	put(&record, events[RECORD_SUMMED_UP].word);
	put_network(&record, sum->network);
	record_number(&record, RECORD_KEY_LINES, sum->lines);
	record_number(&record, RECORD_KEY_SECONDS, (sum->ms + 999) / 1000);
	record_words(&record, RECORD_KEY_OF, events[sum->kind].word);
	log_line(events[sum->kind].level, record.text, record.size);
}

static void set_timer(void)
{
	uint64_t next = flood_next(&strangers.flood), now = loop_now(strangers.loop);

	if (next != UINT64_MAX)
		loop_timer_set(&strangers.timer, next > now ? next - now : 0);
}

static void minute_over(struct loop_timer *timer)
{
	(void)timer;
	flood_report(&strangers.flood, loop_now(strangers.loop), false, write_sum, NULL);
	set_timer();
}

static void turn_over(struct loop_later *later)
{
	(void)later;
	log_flush();
}

/* One write for all lines of a turn. */
static void line_gathered(void *loop)
{
	static struct loop_later turn = {.run = turn_over};

	loop_later_add_last(loop, &turn);
}

void record_start(struct loop *loop)
{
	log_gather(line_gathered, loop);
	strangers.loop = loop;
	memset(&strangers.flood, 0, sizeof(strangers.flood));
	loop_timer_init(&strangers.timer, loop, minute_over, NULL);
}

void record_finish(void)
{
	if (!strangers.loop)
		return;
	loop_timer_cancel(&strangers.timer);
	flood_report(&strangers.flood, loop_now(strangers.loop), true, write_sum, NULL);
	log_gather(NULL, NULL);
	strangers.loop = NULL;
}

bool record_may(enum record_event event, const uint8_t *address)
{
	unsigned before = strangers.flood.windows_held;

	if (!strangers.loop || events[event].cause != CAUSE_STRANGER)
		return true;
	if (flood_may(&strangers.flood, event, address, loop_now(strangers.loop)))
		return true;
	if (strangers.flood.windows_held != before)
		set_timer();
	return false;
}

void record_write(const struct record *record)
{
	if (record_may(record->event, record->has_address ? record->address : NULL))
		log_line(events[record->event].level, record->text, record->size);
}
