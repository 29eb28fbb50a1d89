/* See state.h. Descriptors of a state that are none, or were taken already, pass for missing: only
 * those stay open at an exec that the old program named, and a taken one is close-on-exec again. */
#include "server/monitor/state.h"

#include "base/log.h"
#include "server/monitor/adopt.h"
#include "server/monitor/root.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- to write ---- */

typedef bool each_generation(struct generation *g, void *context);

/* Until one of them returns false. */
static bool each(const struct monitor *m, each_generation *call, void *context)
{
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i] && !call(m->old[i], context))
			return false;
	return !m->current || call(m->current, context);
}

static bool is_quiet(struct generation *g, void *context)
{
	(void)context;
	return adopt_is_quiet(g);
}

bool state_is_whole(struct monitor *m)
{
	return each(m, is_quiet, NULL) && bans_are_settled(&m->owner.bans);
}

static bool hold_one(struct generation *g, void *context)
{
	adopt_hold(g, *(const bool *)context);
	return true;
}

void state_hold(struct monitor *m, bool hold)
{
	each(m, hold_one, &hold);
}

static void write_monitor(const struct monitor *m, bool secrets, struct handover *ret)
{
	uint64_t now = loop_now(m->owner.loop);
	struct handover_monitor record = {
		.instances = m->owner.instances,
		.counters = counters_hash(),
		.pid = (uint32_t)getpid(),
		.root = m->owner.root,
		.numbers = m->numbers,
		.tickets = m->tickets_due > now ? (uint32_t)(m->tickets_due - now) : 1,
		.no_network_fd = handover_fd(ret, m->owner.no_network_fd),
		.samples_fd = handover_fd(ret, m->owner.pages.samples_fd),
		.penalties_fd = handover_fd(ret, m->owner.penalties_kept.fd),
		.penalties = m->owner.penalties_kept.count};

	if (secrets)
		memcpy(record.ticket_keys, m->owner.ticket_keys, sizeof(record.ticket_keys));
	memcpy(record.program, m->upgrade.program, sizeof(record.program));
	handover_put(ret, HANDOVER_MONITOR, &record, (pop3_span){"", 0});
	explicit_bzero(&record, sizeof(record));
}

struct next {
	uint32_t above;
	struct generation *found;
};

static bool find_next(struct generation *g, void *context)
{
	struct next *next = context;

	if (generation_number(g) > next->above &&
	    (!next->found || generation_number(g) < generation_number(next->found)))
		next->found = g;
	return true;
}

void state_write(const struct monitor *m, bool secrets, struct handover *ret)
{
	struct next next = {0};

	handover_begin(ret);
	write_monitor(m, secrets, ret);
	listeners_hand_on(m->owner.listeners, ret);
	pages_hand_on(&m->owner.pages, ret);
	for (each(m, find_next, &next); next.found; each(m, find_next, &next)) {
		adopt_hand_on(next.found, ret);
		next = (struct next){.above = generation_number(next.found)};
	}
}

/* ---- to take over ---- */

int state_open(int fd, pid_t pid, struct handover_reader *ret, struct err *err)
{
	const struct handover_monitor *record;

	if (handover_open(fd, ret, err) < 0)
		return -1;
	record = handover_next(ret, NULL);
	if (record->pid == (uint32_t)pid && record->root == (geteuid() == 0))
		return 0;
	handover_close(ret);
	return err_set(err, EX_DATAERR,
		       "the state is that of another process: it comes from a "
		       "running valijad alone, at an upgrade");
}

void state_adopt(struct monitor *m, struct handover_reader *reader)
{
	const struct handover_monitor *record;
	bool same_counters;

	handover_rewind(reader);
	record = handover_next(reader, NULL);
	m->owner.instances = record->instances;
	m->owner.no_network_fd = handover_take_fd(record->no_network_fd);
	m->numbers = record->numbers;
	m->owner.penalties_kept =
		(struct penalties_kept){handover_take_fd(record->penalties_fd), record->penalties};
	memcpy(m->owner.ticket_keys, record->ticket_keys, sizeof(m->owner.ticket_keys));
	memcpy(m->upgrade.program, record->program, sizeof(m->upgrade.program));
	m->tickets_due = loop_now(m->owner.loop) + record->tickets;
	same_counters = record->counters == counters_hash();
	listeners_adopt(m->owner.listeners, reader);
	pages_adopt(&m->owner.pages, same_counters, handover_take_fd(record->samples_fd), reader);
	if (!same_counters)
		log_info("this version counts other things than the one before: counters begin at "
			 "0, and what processes of that version do is not counted");
}

int state_adopt_generations(struct monitor *m, struct handover_reader *reader, struct err *err)
{
	size_t olds = 0;

	while (handover_kind(reader) == HANDOVER_GENERATION) {
		bool serving;
		struct generation *g = adopt_generation(&m->owner, reader, &serving, err);

		if (!g)
			return -1;
		if (serving)
			m->current = g;
		else
			m->old[olds++] = g;
	}
	return 0;
}
