/* See state.h. Descriptors of a state that are none, or were taken already, pass for missing: only
 * those stay open at an exec that the old program named, and a taken one is close-on-exec again. */
#include "server/monitor/state.h"

#include "base/log.h"
#include "build-config.h"
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
		.penalties = m->owner.penalties_kept.count,
		.drained = m->drained,
		.log_level = (uint32_t)(m->commands.log_level + 1),
		.upgrade_age = now - m->upgrade.begun,
		.upgrades = m->upgrade.count,
		.again = m->upgrade.wanted,
		.version = VALIJA_VERSION};

	if (secrets)
		memcpy(record.ticket_keys, m->owner.ticket_keys, sizeof(record.ticket_keys));
	memcpy(record.program, m->upgrade.program, sizeof(record.program));
	handover_put(ret, HANDOVER_MONITOR, &record, (pop3_span){"", 0});
	explicit_bzero(&record, sizeof(record));
}

static void write_askers(const struct commands *commands, struct handover *ret)
{
	for (size_t i = 0; i < COMMANDS_WAITING_MAX; i++) {
		const struct commands_waiting *of = &commands->waiting[i];
		struct handover_asker record = {.control = of->control,
						.number = of->number,
						.wanted = of->wanted,
						.later = of->later};

		if (of->control)
			handover_put(ret, HANDOVER_ASKER, &record, (pop3_span){"", 0});
	}
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
	write_askers(&m->commands, ret);
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

void state_adopt_listeners(struct listeners *listeners, struct handover_reader *reader)
{
	const struct handover_monitor *record;

	handover_rewind(reader);
	record = handover_next(reader, NULL);
	while (handover_kind(reader) == HANDOVER_ASKER)
		handover_next(reader, NULL);
	listeners_leave_mail(listeners, record->drained);
	listeners_adopt(listeners, reader);
}

/* A reload that was asked for during the upgrade is the one that is a part of it. */
static void adopt_askers(struct commands *commands, struct handover_reader *reader)
{
	for (size_t i = 0; handover_kind(reader) == HANDOVER_ASKER; i++) {
		const struct handover_asker *record = handover_next(reader, NULL);

		commands->waiting[i] = (struct commands_waiting){
			.control = record->control,
			.number = record->number,
			.wanted = (enum commands_wanted)record->wanted,
			.later = record->later && record->wanted == WANTS_UPGRADE};
	}
}

static void adopt_upgrade(struct monitor *m, const struct handover_monitor *record)
{
	uint64_t now = loop_now(m->owner.loop);

	memcpy(m->upgrade.program, record->program, sizeof(m->upgrade.program));
	memcpy(m->upgrade.before, record->version, sizeof(m->upgrade.before));
	m->upgrade.begun = now > record->upgrade_age ? now - record->upgrade_age : 0;
	m->upgrade.count = record->upgrades;
	m->upgrade.wanted = record->again;
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
	m->drained = record->drained;
	m->commands.log_level = (int)record->log_level - 1;
	adopt_upgrade(m, record);
	m->tickets_due = loop_now(m->owner.loop) + record->tickets;
	same_counters = record->counters == counters_hash();
	adopt_askers(&m->commands, reader);
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
