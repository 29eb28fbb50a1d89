/* See explain.h. */
#include "server/control/explain.h"

#include "base/text.h"
#include "server/control/story.h"
#include "server/target.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MILLISECOND 1000000 /* in nanoseconds */

enum {
	SESSIONS_MAX = 20, /* that are told, the last ones */
	ALIKE_MAX = 10,    /* events without a name */
	EVENTS_MAX = 400,  /* the same */
	ADDRESSES_MAX = 16,
	ADVICES_MAX = 5,
	LINE_MAX_OCTETS = STORY_WORDS_MAX + RECORD_JSON_MAX + 256,
};

/* An event that belongs to the story. */
struct pick {
	uint64_t ms, number;
	uint64_t front, session;
	struct ring_place place;
	uint8_t rank;            /* among events of the same millisecond */
	bool has_session, alike; /* alike: of a client without a name, from the same address */
};

struct picks {
	struct pick *list;
	size_t count, room;
	bool failed; /* there was no memory */
};

struct search {
	const struct rings *rings;
	struct target target;
	const struct explain_clock *clock;
	struct picks picks;
	uint8_t addresses[ADDRESSES_MAX][16]; /* from which the user came */
	unsigned address_count;
	uint64_t oldest; /* ms of the oldest event that is remembered */
};

/* ---- what belongs to it ---- */

static bool same_name(const struct target *target, pop3_span name)
{
	char key[USER_NAME_MAX];
	const char *at;
	pop3_span mine;

	if (!target->name.size || name.size >= sizeof(key))
		return false;
	mine = user_name_key(name, key);
	if (span_equal(target->name, mine))
		return true;
	if (memchr(target->name.data, '@', target->name.size))
		return false;
	at = memchr(mine.data, '@', mine.size); /* "anna" stands for anna@example.org, too */
	return at && span_equal(target->name, (pop3_span){mine.data, (size_t)(at - mine.data)});
}

static bool names(const struct record_view *view, const struct target *target)
{
	struct record_view rest = *view;
	struct record_field field;

	while (record_next(&rest, &field))
		if ((field.key == RECORD_KEY_USER || field.key == RECORD_KEY_RECIPIENT) &&
		    field.kind == RECORD_TEXT && same_name(target, field.text))
			return true;
	return false;
}

static bool is_meant(const struct record_view *view, const struct target *target)
{
	if (target->is_session && view->has_session && view->front == target->front &&
	    view->session == target->session)
		return true;
	if (target->is_network)
		return view->address && network_has_family(&target->network, view->address);
	return names(view, target);
}

static void add_pick(struct picks *picks, const struct pick *pick)
{
	struct pick *bigger;

	if (picks->count == picks->room) {
		size_t room = picks->room ? picks->room * 2 : 256;

		bigger = realloc(picks->list, room * sizeof(*bigger));
		if (!bigger) {
			picks->failed = true;
			return;
		}
		picks->list = bigger;
		picks->room = room;
	}
	picks->list[picks->count++] = *pick;
}

/* The way of a login through the processes: the place of an event in its millisecond. */
static uint8_t rank_of(enum record_event event)
{
	static const uint8_t ranks[RECORD_EVENT_COUNT] = {
		[RECORD_CONNECTED] = 1,
		[RECORD_TLS_DONE] = 2,
		[RECORD_LOGIN_BEGUN] = 3,
		[RECORD_DATABASE] = 4,
		[RECORD_DATABASE_DOWN] = 4,
		[RECORD_LOGIN] = 5,
		[RECORD_LOGIN_REFUSED] = 5,
		[RECORD_LOGIN_FAILED] = 5,
		[RECORD_HELD] = 6,
		[RECORD_OPENED] = 6,
		[RECORD_IN_USE] = 6,
		[RECORD_MAILDROP_FAILED] = 6,
		[RECORD_ANSWERED_ERR] = 7,
		[RECORD_COMMITTED] = 8,
		[RECORD_DELETIONS_FAILED] = 8,
		[RECORD_SESSION_END] = 9,
		[RECORD_STRANGER_END] = 9,
		[RECORD_LEFT_EARLY] = 9,
		[RECORD_DELIVERED] = 3,
		[RECORD_RECIPIENT_REFUSED] = 7,
	};

	return ranks[event];
}

static void pick(struct search *search, const struct recorder_copy *copy, struct ring_place place,
		 bool alike)
{
	struct pick one = {.ms = copy->ms,
			   .number = copy->number,
			   .front = copy->view.front,
			   .session = copy->view.session,
			   .place = place,
			   .rank = rank_of(copy->view.event),
			   .has_session = copy->view.has_session,
			   .alike = alike};

	add_pick(&search->picks, &one);
}

static bool knows_address(const struct search *search, const uint8_t address[16])
{
	for (unsigned i = 0; i < search->address_count; i++)
		if (memcmp(search->addresses[i], address, 16) == 0)
			return true;
	return false;
}

static void note_address(struct search *search, const struct record_view *view)
{
	if (view->address && search->address_count < ADDRESSES_MAX &&
	    !knows_address(search, view->address))
		memcpy(search->addresses[search->address_count++], view->address, 16);
}

/* Calls take for each event that is believed. */
static void each(struct search *search,
		 void (*take)(struct search *, const struct recorder_copy *, struct ring_place))
{
	struct ring_place place = {0};
	struct recorder_copy copy;

	if (!search->rings->count)
		return;
	do
		if (place.lane != LANE_TRACE && rings_read(search->rings, place, &copy))
			take(search, &copy, place);
	while (rings_next(search->rings, &place));
}

static void take_meant(struct search *search, const struct recorder_copy *copy,
		       struct ring_place place)
{
	if (copy->ms < search->oldest)
		search->oldest = copy->ms;
	if (!copy->view.has_session || !is_meant(&copy->view, &search->target))
		return;
	pick(search, copy, place, false);
	note_address(search, &copy->view);
}

/* ---- sessions ---- */

static int by_session(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->front != y->front)
		return x->front < y->front ? -1 : 1;
	return x->session < y->session ? -1 : x->session > y->session;
}

static int latest_first(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	return x->ms > y->ms ? -1 : x->ms < y->ms;
}

/* Keeps one pick a session, the last, and of these the sessions that are told. Returns how many
 * sessions are left out. */
static size_t keep_sessions(struct picks *picks)
{
	size_t count = 0, left_out;

	if (!picks->count)
		return 0;
	qsort(picks->list, picks->count, sizeof(*picks->list), by_session);
	for (size_t i = 0; i < picks->count; i++) {
		struct pick *last = count ? &picks->list[count - 1] : NULL;

		if (last && by_session(last, &picks->list[i]) == 0)
			last->ms = last->ms > picks->list[i].ms ? last->ms : picks->list[i].ms;
		else
			picks->list[count++] = picks->list[i];
	}
	qsort(picks->list, count, sizeof(*picks->list), latest_first);
	left_out = count > SESSIONS_MAX ? count - SESSIONS_MAX : 0;
	picks->count = count - left_out;
	qsort(picks->list, picks->count, sizeof(*picks->list), by_session);
	return left_out;
}

/* The second round: all events of the sessions that were found, and handshakes and connections that
 * failed at the user's addresses, without a name. */
struct second {
	struct search search; /* first */
	const struct picks *sessions;
};

static bool is_nameless(enum record_event event)
{
	return event == RECORD_TLS_FAILED || event == RECORD_REFUSED_BANNED ||
	       event == RECORD_CONNECTION_REFUSED || event == RECORD_STRANGER_END;
}

static void take_all_of(struct search *search, const struct recorder_copy *copy,
			struct ring_place place)
{
	const struct second *second = (const struct second *)search;
	const struct record_view *view = &copy->view;
	struct pick key = {.front = view->front, .session = view->session};

	if (view->has_session && second->sessions->count &&
	    bsearch(&key, second->sessions->list, second->sessions->count, sizeof(key), by_session))
		pick(search, copy, place, false);
	else if (!view->has_session && is_meant(view, &search->target))
		pick(search, copy, place, false);
	else if (!search->target.is_session && is_nameless(view->event) && view->address &&
		 knows_address(search, view->address))
		pick(search, copy, place, true);
}

static int by_time(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	return x->rank - y->rank;
}

/* Leaves out all but the last of the events without a name. */
static void thin_out(struct picks *picks)
{
	size_t alike = 0, to = picks->count, from = picks->count;

	if (!picks->count)
		return;
	while (from-- > 0)
		if (!picks->list[from].alike || ++alike <= ALIKE_MAX)
			picks->list[--to] = picks->list[from];
	picks->count -= to;
	memmove(picks->list, picks->list + to, picks->count * sizeof(*picks->list));
}

/* ---- lines ---- */

struct text {
	char *data;
	size_t size, room;
	bool failed;
};

static void put_line(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_line(struct text *text, const char *format, ...)
{
	va_list ap;
	char *bigger;
	int n;

	if (text->room - text->size < LINE_MAX_OCTETS) {
		size_t room = text->room * 2 + 4 * LINE_MAX_OCTETS;

		bigger = realloc(text->data, room);
		if (!bigger) {
			text->failed = true;
			return;
		}
		text->data = bigger;
		text->room = room;
	}
	va_start(ap, format);
	n = vsnprintf(text->data + text->size, LINE_MAX_OCTETS, format, ap);
	va_end(ap);
	text->size += n < LINE_MAX_OCTETS ? (size_t)n : LINE_MAX_OCTETS - 1;
}

static int64_t nanoseconds(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * 1000 * MILLISECOND + ts.tv_nsec;
}

struct explain_clock explain_clock_now(uint64_t loop_ms)
{
	/* the loop's time is that of its turn, whole milliseconds: the rest counts as well */
	int64_t offset = nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_MONOTONIC);
	int64_t real = (int64_t)loop_ms * MILLISECOND + offset;

	return (struct explain_clock){loop_ms, (uint64_t)(real / MILLISECOND)};
}

static uint64_t real_time(const struct explain_clock *clock, uint64_t ms)
{
	return ms < clock->loop_ms ? clock->real_ms - (clock->loop_ms - ms) : clock->real_ms;
}

static void put_event(struct text *text, const struct search *search,
		      const struct record_view *view, uint64_t ms, bool alike)
{
	uint64_t time = real_time(search->clock, ms);
	char words[STORY_WORDS_MAX], head[RECORD_JSON_HEAD_MAX], json[RECORD_JSON_MAX + 1];
	char session[48] = "-", address[64];

	story_words(view, words);
	record_json_head(time, head);
	json[record_json(view, json)] = '\0';
	if (view->has_session)
		snprintf(session, sizeof(session), "%llx-%llu", (unsigned long long)view->front,
			 (unsigned long long)view->session);
	put_line(text, "event\t%llu\t%s\t%s\t%s%s\t%s,%s}\n", (unsigned long long)time, session,
		 view->address ? record_address(view->address, address) : "-",
		 alike ? "(no name, the same address) " : "", words, head, json);
}

/* Whether a login came through after everything that went wrong. */
static void put_better(struct text *text, const struct search *search)
{
	for (size_t i = search->picks.count; i-- > 0;) {
		struct recorder_copy copy;

		if (!rings_read(search->rings, search->picks.list[i].place, &copy) ||
		    copy.number != search->picks.list[i].number)
			continue;
		if (story_advice(&copy.view))
			return;
		if (copy.view.event == RECORD_OPENED) {
			put_line(text, "advice\tthe last login came through: what follows is about "
				       "what went wrong before it\n");
			return;
		}
	}
}

/* Advice about the last trouble first, each once. */
static void put_advices(struct text *text, const struct search *search)
{
	const char *given[ADVICES_MAX];
	unsigned count = 0;

	for (size_t i = search->picks.count; i-- > 0 && count < ADVICES_MAX;) {
		const struct pick *one = &search->picks.list[i];
		struct recorder_copy copy;
		const char *advice;
		char words[STORY_WORDS_MAX];
		unsigned n = 0;

		if (!rings_read(search->rings, one->place, &copy) || copy.number != one->number)
			continue;
		advice = story_advice(&copy.view);
		while (n < count && given[n] != advice)
			n++;
		if (!advice || n < count)
			continue;
		given[count] = advice;
		if (!count++)
			put_better(text, search);
		story_advise(advice, &copy.view, words);
		put_line(text, "advice\t%s\n", words);
	}
	if (!count && search->picks.count)
		put_line(text, "advice\tnothing went wrong here: if something does not work, the "
			       "cause is not at this server, or was before what it remembers\n");
	if (!search->picks.count)
		put_line(text,
			 "advice\tno client with that name or address came this far: see that the "
			 "mail program has the right host and port, that the name resolves to this "
			 "machine, and that no firewall is between (`valija who` shows who is "
			 "here)\n");
}

static unsigned put_events(struct text *text, const struct search *search)
{
	unsigned told = 0;

	for (size_t i = 0; i < search->picks.count; i++) {
		const struct pick *one = &search->picks.list[i];
		struct recorder_copy copy;

		/* it may have been written over since it was found */
		if (!rings_read(search->rings, one->place, &copy) || copy.number != one->number)
			continue;
		put_event(text, search, &copy.view, copy.ms, one->alike);
		told++;
	}
	return told;
}

static void put_story(struct text *text, struct search *search, size_t left_out,
		      unsigned *ret_events)
{
	struct picks *picks = &search->picks;

	if (picks->count)
		qsort(picks->list, picks->count, sizeof(*picks->list), by_time);
	thin_out(picks);
	if (picks->count > EVENTS_MAX) {
		memmove(picks->list, picks->list + picks->count - EVENTS_MAX,
			EVENTS_MAX * sizeof(*picks->list));
		picks->count = EVENTS_MAX;
		put_line(text, "note\tonly the last %d events are shown\n", EVENTS_MAX);
	}
	if (left_out)
		put_line(text, "note\t%zu earlier sessions are left out\n", left_out);
	*ret_events = put_events(text, search);
	put_line(text, "oldest\t%llu\n",
		 (unsigned long long)real_time(search->clock, search->oldest));
	put_advices(text, search);
}

char *explain(const struct rings *rings, pop3_span target, const struct explain_clock *clock,
	      size_t *ret_size, unsigned *ret_events)
{
	struct second second = {.search = {.rings = rings, .clock = clock, .oldest = UINT64_MAX}};
	struct search *search = &second.search;
	struct picks sessions;
	struct text text = {NULL, 0, 0, false};
	size_t left_out;

	target_read(target, &search->target);
	each(search, take_meant);
	sessions = search->picks;
	left_out = keep_sessions(&sessions);
	second.sessions = &sessions;
	search->picks = (struct picks){.failed = sessions.failed};
	each(search, take_all_of);
	if (!search->picks.failed)
		put_story(&text, search, left_out, ret_events);
	free(sessions.list);
	free(search->picks.list);
	*ret_size = text.size;
	if (!search->picks.failed && !text.failed)
		return text.data;
	free(text.data);
	return NULL;
}
