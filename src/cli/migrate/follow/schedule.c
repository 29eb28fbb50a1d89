/* See schedule.h. Two queues, each a heap by time: nobody whose time has not come is looked at. */
#include "cli/migrate/follow/schedule.h"

#include "base/array.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum {
	SECTIONS_MAX = 64, /* sections with a place of their own; more share one */
	PAUSE_MS = 1000,
	PAUSE_MAX_MS = 5 * 60 * 1000,
	SECTION_PAUSE_MS = 2000,
	SECTION_PAUSE_MAX_MS = 10 * 60 * 1000,
	RETRY_MS = 30 * 1000, /* between two rounds of a user that somebody has to mend */
	MENDED_MS = 3000,     /* once, behind a login, which may have done so meanwhile */
	DENIED_MAX = 3,       /* refused logins in a row: it may be all of them */
	SECTION_NAME_MAX = 64,
};

struct schedule_section {
	char name[SECTION_NAME_MAX];
	uint64_t not_before, pause, said;
	unsigned failed; /* in a row */
};

struct queue {
	struct schedule_user **list;
	size_t count, room;
};

enum { URGENT, USUAL, QUEUES };

struct schedule {
	struct table users;
	struct queue queues[QUEUES];
	struct schedule_section sections[SECTIONS_MAX];
	unsigned section_count;
	uint64_t number;
	uint32_t pass;
	size_t left; /* users of the pass that had no turn yet */
	bool listed; /* the pass has all its users */
};

/* ---- the queues ---- */

static bool is_before(const struct schedule_user *a, const struct schedule_user *b)
{
	return a->due != b->due ? a->due < b->due : a->number < b->number;
}

static void put_at(struct queue *queue, size_t place, struct schedule_user *user)
{
	queue->list[place - 1] = user;
	user->place = place;
}

static void rise(struct queue *queue, struct schedule_user *user)
{
	size_t place = user->place;

	for (; place > 1 && is_before(user, queue->list[place / 2 - 1]); place /= 2)
		put_at(queue, place, queue->list[place / 2 - 1]);
	put_at(queue, place, user);
}

static void sink(struct queue *queue, struct schedule_user *user)
{
	size_t place = user->place, child;

	for (; (child = 2 * place) <= queue->count; place = child) {
		if (child < queue->count && is_before(queue->list[child], queue->list[child - 1]))
			child++;
		if (!is_before(queue->list[child - 1], user))
			break;
		put_at(queue, place, queue->list[child - 1]);
	}
	put_at(queue, place, user);
}

static struct queue *queue_of(struct schedule *schedule, const struct schedule_user *user)
{
	return &schedule->queues[user->urgent ? URGENT : USUAL];
}

static void leave(struct schedule *schedule, struct schedule_user *user)
{
	struct queue *queue = queue_of(schedule, user);
	struct schedule_user *last;

	if (!user->place)
		return;
	last = queue->list[--queue->count];
	if (last != user) {
		put_at(queue, user->place, last);
		rise(queue, last);
		sink(queue, last);
	}
	user->place = 0;
}

/* Behind all that are due at the same time. Without memory the next pass, or login, queues it. */
static void enter(struct schedule *schedule, struct schedule_user *user, uint64_t due)
{
	struct queue *queue = queue_of(schedule, user);
	struct schedule_user **grown;

	user->due = due;
	user->number = ++schedule->number;
	grown = array_grow(queue->list, queue->count, &queue->room, sizeof(*grown));
	if (!grown)
		return;
	queue->list = grown;
	put_at(queue, ++queue->count, user);
	rise(queue, user);
}

/* ---- users and servers ---- */

struct schedule *schedule_create(void)
{
	struct schedule *schedule = calloc(1, sizeof(*schedule));

	if (schedule)
		table_init(&schedule->users);
	return schedule;
}

static void free_user(struct table_node *node, void *context)
{
	table_remove(context, node);
	free(CONTAINER(node, struct schedule_user, node));
}

void schedule_destroy(struct schedule *schedule)
{
	if (!schedule)
		return;
	table_each(&schedule->users, free_user, &schedule->users);
	table_finish(&schedule->users);
	for (unsigned i = 0; i < QUEUES; i++)
		free(schedule->queues[i].list);
	free(schedule);
}

static struct schedule_user *find(const struct schedule *schedule, pop3_span name, uint64_t key)
{
	struct table_node *node = table_find(&schedule->users, key);

	for (; node; node = table_next(node))
		if (span_equal(span_of(CONTAINER(node, struct schedule_user, node)->name), name))
			return CONTAINER(node, struct schedule_user, node);
	return NULL;
}

struct schedule_user *schedule_user(struct schedule *schedule, pop3_span name)
{
	uint64_t key = hash_octets(name.data, name.size);
	struct schedule_user *user = find(schedule, name, key);

	if (user || schedule->users.count == SCHEDULE_USERS_MAX || memchr(name.data, 0, name.size))
		return user;
	user = calloc(1, sizeof(*user) + name.size + 1);
	if (!user)
		return NULL;
	memcpy(user->name, name.data, name.size);
	table_add(&schedule->users, &user->node, key);
	return user;
}

size_t schedule_count(const struct schedule *schedule)
{
	return schedule->users.count;
}

static struct schedule_section *section_of(struct schedule *schedule, pop3_span name)
{
	struct schedule_section *section = schedule->sections;

	if (!name.size)
		return NULL;
	for (unsigned i = 0; i < schedule->section_count; i++, section++)
		if (span_equal(span_of(section->name), name))
			return section;
	if (schedule->section_count == SECTIONS_MAX)
		return section - 1;
	if (span_copy(name, section->name, sizeof(section->name)) < 0)
		return NULL;
	schedule->section_count++;
	return section;
}

static bool is_held(const struct schedule_user *user, uint64_t now)
{
	return user->section && user->section->not_before > now;
}

/* ---- what queues a user ---- */

/* Not too soon behind a round that failed. */
static uint64_t earliest(const struct schedule_user *user, uint64_t now)
{
	bool soon = user->ended && !user->here && user->ended + RETRY_MS > now;

	return soon ? user->ended + RETRY_MS : now;
}

void schedule_login(struct schedule *schedule, pop3_span name, pop3_span section, uint64_t now)
{
	struct schedule_user *user = schedule_user(schedule, name);
	bool waits;

	if (!user || user->here)
		return;
	user->section = section_of(schedule, section);
	user->logged_in = user->running;
	if (user->running || (user->urgent && user->place && !user->pause))
		return;
	waits = user->place && user->pause;
	leave(schedule, user);
	user->urgent = true;
	user->tried_again = false;
	user->pause = 0;
	enter(schedule, user, waits ? now + PAUSE_MS : earliest(user, now));
}

void schedule_pass_begin(struct schedule *schedule)
{
	schedule->pass++;
	schedule->listed = false;
}

/* Passes are as far apart as they are wanted, so no user is put off. */
static void join_pass(struct schedule *schedule, struct schedule_user *user, uint64_t now)
{
	if (user->pass == schedule->pass)
		return;
	user->pass = schedule->pass;
	if (user->place || user->running)
		return; /* it has its turn anyway */
	if (!user->counted)
		schedule->left++;
	user->counted = true;
	user->urgent = false;
	enter(schedule, user, now);
}

void schedule_listed(struct schedule *schedule, pop3_span name, pop3_span section, uint64_t now)
{
	struct schedule_user *user = schedule_user(schedule, name);

	if (!user)
		return;
	user->section = section_of(schedule, section);
	join_pass(schedule, user, now);
}

struct joining {
	struct schedule *schedule;
	uint64_t now;
};

static void join_unlisted(struct table_node *node, void *context)
{
	struct joining *joining = context;

	join_pass(joining->schedule, CONTAINER(node, struct schedule_user, node), joining->now);
}

void schedule_pass_listed(struct schedule *schedule, uint64_t now)
{
	struct joining joining = {schedule, now};

	table_each(&schedule->users, join_unlisted, &joining);
	schedule->listed = true;
}

bool schedule_pass_over(const struct schedule *schedule)
{
	return schedule->listed && !schedule->left;
}

/* ---- turns ---- */

static void had_turn(struct schedule *schedule, struct schedule_user *user)
{
	schedule->left -= user->counted;
	user->counted = false;
}

static struct schedule_user *next_of(struct schedule *schedule, struct queue *queue, uint64_t now)
{
	while (queue->count && queue->list[0]->due <= now) {
		struct schedule_user *user = queue->list[0];

		leave(schedule, user);
		had_turn(schedule, user);
		if (!is_held(user, now)) {
			user->running = true;
			return user;
		}
		enter(schedule, user, user->section->not_before);
	}
	return NULL;
}

struct schedule_user *schedule_next(struct schedule *schedule, uint64_t now, bool all)
{
	struct schedule_user *user = next_of(schedule, &schedule->queues[URGENT], now);

	return user || !all ? user : next_of(schedule, &schedule->queues[USUAL], now);
}

uint64_t schedule_wait(const struct schedule *schedule, uint64_t now, bool all)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < (all ? QUEUES : USUAL); i++)
		if (schedule->queues[i].count && schedule->queues[i].list[0]->due < due)
			due = schedule->queues[i].list[0]->due;
	return due == UINT64_MAX || due > now ? due - (due == UINT64_MAX ? 0 : now) : 0;
}

static uint64_t grown(uint64_t pause, uint64_t first, uint64_t most)
{
	if (!pause)
		return first;
	return pause < most / 2 ? 2 * pause : most;
}

/* Rounds that began before the server was held back do not hold it for longer. */
static void hold(struct schedule_section *section, uint64_t now)
{
	if (section->not_before > now)
		return;
	section->pause = grown(section->pause, SECTION_PAUSE_MS, SECTION_PAUSE_MAX_MS);
	section->not_before = now + section->pause;
}

static unsigned judge(struct schedule_section *section, enum schedule_verdict verdict, bool reached,
		      uint64_t now)
{
	if (reached) {
		section->failed = 0;
		section->pause = 0;
		section->not_before = 0;
	} else if (verdict == SCHEDULE_CUT || verdict == SCHEDULE_DENIED) {
		section->failed++;
		if (verdict == SCHEDULE_CUT || section->failed >= DENIED_MAX)
			hold(section, now);
		return section->failed;
	}
	return 0;
}

/* Somebody has to mend something; a login may have done that at the very moment. */
static void put_off(struct schedule *schedule, struct schedule_user *user, uint64_t now)
{
	user->pause = 0;
	if (!user->urgent || user->tried_again)
		return;
	user->tried_again = true;
	enter(schedule, user, now + MENDED_MS);
}

unsigned schedule_ended(struct schedule *schedule, struct schedule_user *user,
			enum schedule_verdict verdict, pop3_span section, bool reached,
			uint64_t now)
{
	unsigned failed;

	user->running = false;
	user->ended = now;
	if (section.size)
		user->section = section_of(schedule, section);
	failed = user->section ? judge(user->section, verdict, reached, now) : 0;
	user->here = verdict == SCHEDULE_HERE;
	if (user->logged_in) {
		user->urgent = true;
		user->tried_again = false;
		user->pause = 0;
	}
	user->logged_in = false;
	switch (verdict) {
	case SCHEDULE_GONE:
		table_remove(&schedule->users, &user->node);
		free(user);
		break;
	case SCHEDULE_HERE:
		user->pause = 0;
		break;
	case SCHEDULE_AGAIN:
	case SCHEDULE_CUT:
		user->pause = grown(user->pause, PAUSE_MS, PAUSE_MAX_MS);
		enter(schedule, user, now + user->pause);
		break;
	case SCHEDULE_WAITS:
		user->ended = 0; /* nothing was tried: a login is no second one */
		put_off(schedule, user, now);
		break;
	case SCHEDULE_DENIED:
	case SCHEDULE_LATER:
		put_off(schedule, user, now);
		break;
	}
	return failed;
}

static bool is_new(uint64_t *said, const char *complaint)
{
	uint64_t hash = complaint ? hash_octets(complaint, strlen(complaint)) : 0;
	bool other = hash != *said;

	*said = hash;
	return other;
}

bool schedule_is_new(struct schedule_user *user, const char *complaint)
{
	return is_new(&user->said, complaint);
}

bool schedule_section_is_new(struct schedule_user *user, const char *complaint)
{
	return user->section && is_new(&user->section->said, complaint);
}

bool schedule_waits_longest(const struct schedule_user *user)
{
	return user->pause == PAUSE_MAX_MS;
}
