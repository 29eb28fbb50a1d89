/* See record_table.h. */
#include "server/record_table.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
	LEVEL_ERROR = LOG_LEVEL_ERROR,
	LEVEL_WARNING = LOG_LEVEL_WARNING,
	LEVEL_INFO = LOG_LEVEL_INFO,
	LEVEL_QUIET = RECORD_QUIET,
};

static const struct {
	const char *word;
	uint8_t level, cause, lane;
	uint32_t roles;
} events[] = {
#define X(name, word, level, cause, lane, roles) \
	[RECORD_##name] = {word, LEVEL_##level, CAUSE_##cause, LANE_##lane, roles},
	RECORD_EVENTS(X)
#undef X
};

static const char *const keys[] = {
#define X(name, word) [RECORD_KEY_##name] = (word),
	RECORD_KEYS(X)
#undef X
};
_Static_assert(sizeof(events) / sizeof(*events) == RECORD_EVENT_COUNT, "an event without a row");
_Static_assert(sizeof(keys) / sizeof(*keys) == RECORD_KEY_COUNT, "a key without a row");

unsigned record_event_level(enum record_event event)
{
	return events[event].level;
}

enum record_cause record_event_cause(enum record_event event)
{
	return (enum record_cause)events[event].cause;
}

const char *record_event_word(enum record_event event)
{
	return events[event].word;
}

enum record_lane record_event_lane(enum record_event event)
{
	return (enum record_lane)events[event].lane;
}

uint32_t record_event_roles(enum record_event event)
{
	return events[event].roles;
}

const char *record_key_word(enum record_key key)
{
	return keys[key];
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
