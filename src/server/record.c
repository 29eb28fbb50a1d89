/* See record.h. In every child. */
#include "server/record.h"

#include "base/text.h"
#include "server/flood.h"
#include "server/record_form.h"
#include "server/recorder.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)RECORD_EVENT_COUNT <= (int)FLOOD_KINDS, "an event without a count");

/* Lines that strangers cause. */
static struct {
	struct loop *loop; /* NULL: none is held back */
	struct loop_timer timer;
	struct flood flood;
} strangers;

static bool events_wanted; /* of the process */

/* ---- building one ---- */

void record_begin(struct record *record, enum record_event event, const uint8_t *address,
		  uint64_t front, uint64_t session)
{
	record->event = event;
	record->size = 0;
	record->network = NULL;
	record->has_session = front != 0;
	record->front = front;
	record->session = session;
	record->has_address = address != NULL;
	if (address)
		memcpy(record->address, address, sizeof(record->address));
}

static void add(struct record *record, enum record_key key, enum record_kind kind,
		const void *value, size_t size)
{
	size_t left = sizeof(record->fields) - record->size;
	uint8_t *at = record->fields + record->size;

	if (left < RECORD_FIELD_HEAD + sizeof(uint64_t))
		return;
	if (size > left - RECORD_FIELD_HEAD) {
		size = left - RECORD_FIELD_HEAD;
		kind = kind == RECORD_TEXT ? RECORD_TEXT_CUT : kind;
	}
	record_put_head(at, key, kind, size);
	if (size)
		memcpy(at + RECORD_FIELD_HEAD, value, size);
	record->size += RECORD_FIELD_HEAD + size;
}

void record_number(struct record *record, enum record_key key, uint64_t number)
{
	uint8_t octets[sizeof(number)];
	size_t size = 0;

	for (; number; number >>= 8)
		octets[size++] = (uint8_t)number;
	add(record, key, RECORD_NUMBER, octets, size);
}

void record_text(struct record *record, enum record_key key, pop3_span text)
{
	if (text.size <= RECORD_TEXT_MAX)
		add(record, key, RECORD_TEXT, text.data, text.size);
	else
		add(record, key, RECORD_TEXT_CUT, text.data, RECORD_TEXT_MAX);
}

void record_words(struct record *record, enum record_key key, const char *words)
{
	add(record, key, RECORD_WORDS, words, strlen(words));
}

/* ---- lines that strangers cause ---- */

/* The network as words: "any" for all together, "": unknown. */
static const char *network_words(const uint8_t *network, char buf[72])
{
	static const uint8_t none[16],
		unknown[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	char address[64];
	bool six;

	if (!network)
		return "any";
	if (memcmp(network, unknown, sizeof(unknown)) == 0)
		return "";
	six = memcmp(network, none, sizeof(none)) != 0 &&
	      !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)network);
	snprintf(buf, 72, "%s%s", record_address(network, address), six ? "/64" : "");
	return buf;
}

static void write_form(const struct record *record, enum log_level level);

static void write_sum(const struct flood_sum *sum, void *context)
{
	char network[72];
	struct record record = {.event = RECORD_SUMMED_UP,
				.network = network_words(sum->network, network)};

	(void)context;
	record_number(&record, RECORD_KEY_LINES, sum->lines);
	record_number(&record, RECORD_KEY_SECONDS, (sum->ms + 999) / 1000);
	record_words(&record, RECORD_KEY_OF, record_event_word((enum record_event)sum->kind));
	write_form(&record, (enum log_level)record_event_level((enum record_event)sum->kind));
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

	if (!strangers.loop || record_event_cause(event) != CAUSE_STRANGER)
		return true;
	if (flood_may(&strangers.flood, event, address, loop_now(strangers.loop)))
		return true;
	if (strangers.flood.windows_held != before)
		set_timer();
	return false;
}

static struct record_view view_of(const struct record *record)
{
	return (struct record_view){.event = record->event,
				    .address = record->has_address ? record->address : NULL,
				    .network = record->network,
				    .has_session = record->has_session,
				    .front = record->front,
				    .session = record->session,
				    .fields = record->fields,
				    .size = record->size};
}

static void write_form(const struct record *record, enum log_level level)
{
	struct record_view view = view_of(record);
	char line[LOG_LINE_MAX], json[RECORD_JSON_MAX];

	log_line(level, line, record_line(&view, line));
	if (events_wanted)
		log_json(json, record_json(&view, json));
}

void record_set_events(bool on)
{
	events_wanted = on;
}

void record_write(const struct record *record)
{
	struct record_view view = view_of(record);

	if (record_event_lane(record->event) != LANE_NONE)
		recorder_add(&view, strangers.loop ? loop_now(strangers.loop) : 0);
	if (record_event_level(record->event) != RECORD_QUIET &&
	    record_may(record->event, record->has_address ? record->address : NULL))
		write_form(record, (enum log_level)record_event_level(record->event));
}
