/*
 * See monitor.h. Runs as root when started as root, for as long as valijad runs: takes signals,
 * reads the configuration, and receives checked messages of children through generation.c. It never
 * reads from the network.
 */
#include "server/monitor/monitor.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/random.h"
#include "base/table.h"
#include "build-config.h"
#include "server/monitor/commands.h"
#include "server/monitor/files.h"
#include "server/monitor/generation.h"
#include "server/monitor/logbook.h"
#include "server/monitor/mail_folder.h"
#include "server/monitor/root.h"
#include "server/monitor/slot.h"
#include "server/monitor/state.h"
#include "server/monitor/upgrade.h"
#include "sys/notify.h"
#include "sys/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <sysexits.h>
#include <unistd.h>

#define RELOAD_DRAIN (60u * 60 * 1000) /* ms that old sessions may go on after a reload */
/* ms between two new ticket keys: a key is good for as long as a ticket that was made with it just
 * before it was replaced, and is gone then */
#define TICKET_LIFE (TLS_TICKET_SECONDS * 1000u / (TLS_TICKET_KEYS - 1))
enum {
	LISTENERS_PAUSE = 1000, /* ms between two looks at the listening sockets */
	STATUS_PAUSE = 5000,    /* ms between two looks at what the service manager shows */
	YIELD_MS = 2000,        /* for the generation before, whatever its processes do */
};

#define DRAINED "Drained: no new sessions are taken until a reload;"

static bool opening_waits(const struct monitor *m)
{
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		if (mail_opening_waits(&m->openings[i]))
			return true;
	return false;
}

/* With READY=1, for "systemctl status": what it does, and where, or why not what it was asked for.
 */
static void notify_ready(struct monitor *m, const char *doing, const char *where)
{
	char text[640];

	snprintf(m->doing, sizeof(m->doing), "%s %s", doing, where);
	snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", m->doing);
	if (notify_send(text) < 0)
		log_warning("cannot reach the service manager: %s", strerror(errno));
}

/* The figures of now, if they are others than were shown. */
static void show_status(struct loop_timer *timer)
{
	struct monitor *m = timer->context;
	char figures[160], text[768];

	loop_timer_set(timer, STATUS_PAUSE);
	if (!m->doing[0] || m->stopping)
		return;
	status_line_write(&m->status_line, &m->owner.pages, loop_now(m->owner.loop), figures,
			  sizeof(figures));
	snprintf(text, sizeof(text), "STATUS=%s; %s", m->doing, figures);
	if (strcmp(text, m->shown) == 0)
		return;
	memcpy(m->shown, text, sizeof(text));
	(void)notify_send(text);
}

/* That of config, unless a command has set another one, and this is an upgrade. */
static void set_level(const struct monitor *m, const struct config *config)
{
	int level = m->upgraded ? m->commands.log_level : -1;

	log_set_level(level >= 0 ? (enum log_level)level : (enum log_level)config->log_level);
}

static struct monitor *monitor_of(struct generation_owner *owner)
{
	return CONTAINER(owner, struct monitor, owner);
}

static void forget(struct monitor *m, struct generation *g)
{
	if (m->current == g)
		m->current = NULL;
	if (m->yields == g)
		m->yields = NULL;
	if (m->coming == g)
		m->coming = NULL;
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i] == g)
			m->old[i] = NULL;
}

static bool anything_left(const struct monitor *m)
{
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i])
			return true;
	return m->current || m->coming;
}

/* Finds a place for one more draining generation. After so many reloads that there is none, the
 * oldest generation is killed: its sessions had the longest time to end. */
static size_t make_room(struct monitor *m)
{
	size_t oldest = 0;

	for (size_t i = 0; i < GENERATIONS_MAX; i++) {
		if (!m->old[i])
			return i;
		if (generation_number(m->old[i]) < generation_number(m->old[oldest]))
			oldest = i;
	}
	log_warning("%d generations drain already, one for each reload: the sessions of the oldest "
		    "are cut",
		    GENERATIONS_MAX);
	generation_kill(m->old[oldest]);
	generation_destroy(m->old[oldest]);
	m->old[oldest] = NULL;
	return oldest;
}

static void retire(struct monitor *m, struct generation *g, uint64_t ms)
{
	m->old[make_room(m)] = g;
	generation_drain(g, ms, m->stopping);
}

/* Milliseconds that the old generation of a reload may drain: an hour, unless the site has set
 * another drain_seconds than the standard one. */
static uint64_t reload_drain(const struct config *config)
{
	return config->drain_seconds == CONFIG_DRAIN_STANDARD
		       ? RELOAD_DRAIN
		       : config->drain_seconds * (uint64_t)1000;
}

/* Begins the reload or upgrade that was asked for during the reload that is over now. */
static void go_on(struct monitor *m)
{
	if (m->reload_wanted)
		loop_timer_set(&m->again, 0);
	else
		upgrade_go_on(m);
}

static void on_ready(struct generation_owner *owner, struct generation *g)
{
	struct monitor *m = monitor_of(owner);
	struct generation *before = m->current;
	char where[512];

	m->current = g;
	m->coming = NULL;
	counters_set(COUNTER_GENERATION, generation_number(g));
	if (before)
		counters_add(COUNTER_RELOADS + RESULT_OK, 1);
	if (!m->upgraded)
		m->drained = false;
	counters_set(COUNTER_DRAINED, m->drained);
	listeners_retain(owner->listeners, generation_config(g),
			 generation_fronts(generation_config(g)));
	logbook_use(&m->log);
	logbook_use_events(&m->events);
	if (before) {
		commands_changed(&m->commands, before, g, m->upgraded);
		m->yields = before;
		loop_timer_set(&m->yielding, YIELD_MS);
		retire(m, before, reload_drain(generation_config(before)));
		return;
	}
	listeners_describe(owner->listeners, where, sizeof(where));
	log_info("ready: %s", where);
	notify_ready(m, "Serving", where);
	go_on(m);
}

static void upgraded(struct monitor *m)
{
	const struct commands_made made = {.before = m->upgrade.before,
					   .now = VALIJA_VERSION,
					   .program = m->upgrade.program,
					   .ms = loop_now(m->owner.loop) - m->upgrade.begun,
					   .drained = m->drained,
					   .generation = m->current};

	counters_add(COUNTER_UPGRADES + RESULT_OK, 1);
	m->upgraded = false;
	upgrade_note(m, NULL);
	commands_upgraded(&m->commands, &made);
}

/* New connections are the new generation's. */
static void reloaded(struct monitor *m)
{
	char where[512];

	m->yields = NULL;
	loop_timer_cancel(&m->yielding);
	if (m->stopping)
		return;
	listeners_describe(m->owner.listeners, where, sizeof(where));
	log_info("%s: %s", m->upgraded ? "upgraded to valijad " VALIJA_VERSION : "reloaded", where);
	if (m->upgraded)
		upgraded(m);
	commands_reloaded(&m->commands);
	notify_ready(m, m->drained ? DRAINED : "Serving", where);
	go_on(m);
}

static void on_yielded(struct generation_owner *owner, struct generation *g)
{
	struct monitor *m = monitor_of(owner);

	if (m->yields == g)
		reloaded(m);
}

static void yield_over(struct loop_timer *timer)
{
	reloaded(timer->context);
}

/* This is the new program, and its processes cannot start. */
static void upgrade_was_in_vain(struct monitor *m, const char *why)
{
	struct err err;

	err_set(&err, EX_SOFTWARE,
		"no process of valijad " VALIJA_VERSION " serves: those of the version before go "
		"on, with the configuration that they have: %s",
		why);
	counters_add(COUNTER_UPGRADES + RESULT_FAILED, 1);
	log_error("%s", err.text);
	upgrade_note(m, err.text);
	commands_not_upgraded(&m->commands, err.text);
}

/* Closes the sockets that were opened for the new configuration alone. */
static void keep_old(struct monitor *m, const char *why)
{
	const struct config *config = generation_config(m->current);

	counters_add(COUNTER_RELOADS + RESULT_FAILED, 1);
	log_sink_close(&m->log);
	log_sink_close(&m->events);
	log_sink_none(&m->events);
	if (!m->upgraded)
		log_error("the new configuration is not used, the old one goes on: %s", why);
	log_set_level((enum log_level)config->log_level);
	listeners_retain(m->owner.listeners, config, generation_fronts(config));
	if (m->drained)
		listeners_close_mail(m->owner.listeners);
	commands_refused(&m->commands, why);
	if (m->upgraded)
		upgrade_was_in_vain(m, why);
	m->upgraded = false;
	notify_ready(m,
		     "The new configuration was refused, see the log; the old one goes on:", why);
	go_on(m);
}

static bool is_busy(const struct monitor *m)
{
	return m->coming || m->yields || !m->current || opening_waits(m);
}

static void not_upgraded(struct monitor *m, const char *why)
{
	counters_add(COUNTER_UPGRADES + RESULT_FAILED, 1);
	log_error("no upgrade, the version that runs goes on: %s", why);
	upgrade_note(m, why);
	commands_not_upgraded(&m->commands, why);
	notify_ready(m, "An upgrade was refused, see the log; the version that runs goes on:", why);
	go_on(m);
}

static void on_failed(struct generation_owner *owner, struct generation *g, const char *why,
		      int code)
{
	struct monitor *m = monitor_of(owner);

	m->coming = NULL;
	retire(m, g, 0);
	if (m->current) {
		keep_old(m, why);
		return;
	}
	m->exit_code = code ? code : EX_SOFTWARE;
	m->stopping = true;
}

/* Goes to all generations but the one that it came from. */
static void on_take(struct generation_owner *owner, const struct take_from *from,
		    enum ipc_type type, const void *message)
{
	struct monitor *m = monitor_of(owner);

	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i] && m->old[i] != from->generation)
			generation_take(m->old[i], from, type, message);
	if (m->current && m->current != from->generation)
		generation_take(m->current, from, type, message);
}

static void on_ended(struct generation_owner *owner, struct generation *g)
{
	struct monitor *m = monitor_of(owner);

	forget(m, g);
	generation_destroy(g);
	if (m->stopping && !anything_left(m))
		loop_stop(owner->loop);
}

/* ---- bans ---- */

/* Calls visit with each generation that has processes. */
static void each_generation(struct monitor *m,
			    void (*visit)(struct generation *generation, void *context),
			    void *context)
{
	if (m->current)
		visit(m->current, context);
	if (m->coming)
		visit(m->coming, context);
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i])
			visit(m->old[i], context);
}

static void send_bans(struct generation *generation, void *context)
{
	(void)context;
	generation_send_bans(generation);
}

static void bans_changed(void *context)
{
	each_generation(context, send_bans, NULL);
}

struct ban_answer {
	uint64_t instance;
	struct ipc_ban_page *page;
	pop3_span rows;
};

static void send_answer(struct generation *generation, void *context)
{
	const struct ban_answer *answer = context;

	generation_answer_ban(generation, answer->instance, answer->page, answer->rows);
}

static void answer_ban(void *context, uint64_t instance, struct ipc_ban_page *page, pop3_span rows)
{
	struct ban_answer answer = {instance, page, rows};

	each_generation(context, send_answer, &answer);
}

/* The rights are those of the configuration in use, whichever generation's control asks. */
static void on_ban(struct generation_owner *owner, uint64_t instance, const struct ipc_ban *ask)
{
	struct monitor *m = monitor_of(owner);
	struct generation *judge = m->current ? m->current : m->coming;

	bans_ask(&owner->bans, instance, ask, judge && generation_obeys(judge, ask->uid, ask->gid));
}

static void on_ban_told(struct generation_owner *owner, const struct ipc_ban *change)
{
	bans_told(&owner->bans, change);
}

static void tell_ban(void *context, const struct ipc_ban *change)
{
	struct monitor *m = context;

	/* processes of another program do not know that message */
	if (m->current && !generation_is_adopted(m->current))
		generation_tell_ban(m->current, change);
}

/* ---- penalties ---- */

/* Those of the auth that serves are kept, for the next one. One of an older generation sends what
 * failed in its last sessions: the one that serves takes the greater of both, and sends again. */
static void on_penalties(struct generation_owner *owner, struct generation *generation,
			 const struct ipc_penalties *message, int *fd)
{
	struct monitor *m = monitor_of(owner);
	struct penalties_kept before = owner->penalties_kept;

	owner->penalties_kept = (struct penalties_kept){*fd, message->count};
	*fd = -1;
	if (m->current && m->current != generation)
		generation_send_penalties(m->current);
	if (m->coming && m->coming != generation)
		generation_send_penalties(m->coming);
	if (m->current && m->current != generation && before.fd >= 0) {
		*fd = owner->penalties_kept.fd; /* it was for those two alone */
		owner->penalties_kept = before;
		return;
	}
	if (before.fd >= 0)
		close(before.fd);
}

/* ---- sockets ---- */

static void listener_opened(void *context, const struct config_listener *wanted, unsigned front)
{
	struct monitor *m = context;

	if (m->current)
		generation_send_listener(m->current, wanted, front);
	if (m->coming)
		generation_send_listener(m->coming, wanted, front);
}

static void look_at_listeners(struct monitor *m)
{
	unsigned dead;

	if (m->stopping)
		return;
	dead = listeners_mend(m->owner.listeners, listener_opened, m);
	m->looking = true;
	m->look_again = dead > 0;
	loop_timer_set(&m->listeners, LISTENERS_PAUSE);
}

/* LISTENER_DEAD of a child: however often it comes, it costs one look a second. */
static void on_suspect(struct generation_owner *owner)
{
	struct monitor *m = monitor_of(owner);

	m->look_again = true;
	if (!m->looking)
		look_at_listeners(m);
}

static void pause_over(struct loop_timer *timer)
{
	struct monitor *m = timer->context;

	m->looking = false;
	if (m->look_again)
		look_at_listeners(m);
}

static void close_folders(struct monitor *m)
{
	for (uint32_t i = 0; i < m->folder_count; i++)
		close(m->folders[i].fd);
	m->folder_count = 0;
}

static void on_started(struct generation_owner *owner, struct generation *g, struct slot *slot)
{
	struct monitor *m = monitor_of(owner);

	if (m->current && m->current != g)
		generation_wire(m->current, slot);
	if (m->coming && m->coming != g)
		generation_wire(m->coming, slot);
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i] && m->old[i] != g)
			generation_wire(m->old[i], slot);
}

static int start_generation(struct monitor *m, struct err *err)
{
	int rc;

	log_sink_close(&m->log);
	log_sink_close(&m->events);
	log_sink_none(&m->events);
	rc = log_sink_open(&m->log, &m->next, err);
	if (rc == 0)
		rc = log_sink_open_events(&m->events, &m->next, err);
	look_at_listeners(m);
	listeners_give(m->owner.listeners, &m->next, m->given, m->given_count);
	m->given_count = 0;
	listeners_leave_mail(m->owner.listeners, m->drained && m->upgraded);
	if (rc == 0)
		rc = listeners_open(m->owner.listeners, &m->next, generation_fronts(&m->next), err);
	if (rc == 0) {
		m->folder_count = 0; /* they are the generation's */
		return generation_create(&m->owner, &m->next, m->folders, ++m->numbers, &m->coming,
					 err);
	}
	close_folders(m);
	return rc;
}

/* Without a generation before, valijad ends. */
static void not_started(struct monitor *m, const struct err *why)
{
	if (m->current) {
		keep_old(m, why->text);
		return;
	}
	log_error("%s", why->text);
	m->exit_code = why->code ? why->code : EX_SOFTWARE;
	m->stopping = true;
	if (!anything_left(m))
		loop_stop(m->owner.loop);
}

/* The next folder that is not open yet. */
static int open_folder(struct monitor *m, struct err *err)
{
	return mail_opening_start(&m->openings[m->folder_count],
				  m->next.roots[m->folder_count].path, m->owner.root,
				  m->owner.exe_fd, err);
}

static void mail_opened(void *context, const struct mail_folder *mail, const struct err *why)
{
	struct monitor *m = context;
	struct err err;

	if (!mail || mail->fd < 0) {
		close_folders(m);
		not_started(m, mail ? &mail->err : why);
		return;
	}
	m->folders[m->folder_count++] = *mail;
	if (m->folder_count < m->next.root_count) {
		if (open_folder(m, &err) == 0)
			return;
		close_folders(m);
		not_started(m, &err);
	} else if (start_generation(m, &err) < 0) {
		not_started(m, &err);
	}
}

/* The first step of a start: all else waits for the mail folders. */
static int open_mail(struct monitor *m, struct err *err)
{
	if (config_load(m->file, &m->next, err) < 0)
		return -1;
	set_level(m, &m->next);
	close_folders(m);
	return open_folder(m, err);
}

static void reload(struct monitor *m)
{
	struct err err;

	if (m->stopping)
		return;
	if (m->coming || m->yields || opening_waits(m) || upgrade_waits(m)) {
		log_info(upgrade_waits(m) ? "an upgrade is in progress, which reads the "
					    "configuration as well"
					  : "a reload is in progress; reloading again when it is "
					    "done");
		m->reload_wanted = true;
		return;
	}
	m->reload_wanted = false;
	notify_reloading();
	if (open_mail(m, &err) < 0)
		keep_old(m, err.text);
}

static void reload_again(struct loop_timer *timer)
{
	reload(timer->context);
}

/* ---- commands ---- */

static enum commands_begun commanded_reload(struct generation_owner *owner)
{
	struct monitor *m = monitor_of(owner);
	bool later = m->coming || m->yields || opening_waits(m) || upgrade_waits(m);

	if (m->stopping)
		return BEGUN_NEVER;
	reload(m);
	return later ? BEGUN_LATER : BEGUN_NOW;
}

/* One that waits for a reload is the next one, too. */
static enum commands_begun commanded_upgrade(struct generation_owner *owner)
{
	struct monitor *m = monitor_of(owner);
	bool later = upgrade_waits(m) || m->upgraded;

	if (m->stopping)
		return BEGUN_NEVER;
	upgrade_begin(m);
	return later ? BEGUN_LATER : BEGUN_NOW;
}

static void describe_program(struct generation_owner *owner, struct commands_program *ret)
{
	static const char *const results[] = {NULL, "upgraded", "refused"};
	const struct monitor *m = monitor_of(owner);

	*ret = (struct commands_program){.path = m->upgrade.program,
					 .since = (uint64_t)m->since,
					 .upgrading = upgrade_waits(m) || m->upgraded ||
						      m->upgrade.wanted,
					 .drained = m->drained,
					 .upgrades = m->upgrade.count,
					 .last = results[m->upgrade.last],
					 .reason = m->upgrade.why};
}

static void look_at_each(struct generation_owner *owner, generation_look *look, void *context)
{
	struct monitor *m = monitor_of(owner);

	if (m->current)
		look(context, m->current, GENERATION_SERVES);
	if (m->coming)
		look(context, m->coming, GENERATION_STARTS);
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i])
			look(context, m->old[i], GENERATION_DRAINS);
}

static void on_asked(struct generation_owner *owner, struct slot *control,
		     const struct ipc_ask *ask, int fd)
{
	struct monitor *m = monitor_of(owner);

	commands_ask(&m->commands, control->generation, control->instance, ask, fd);
}

static void on_brief(struct generation_owner *owner, struct chan *chan)
{
	commands_brief(&monitor_of(owner)->commands, chan);
}

/* The next reload opens what is closed here. */
static void close_mail(struct monitor *m)
{
	generation_stop_accepting(m->current);
	listeners_close_mail(m->owner.listeners);
}

static bool commanded_drain(struct generation_owner *owner)
{
	struct monitor *m = monitor_of(owner);

	if (is_busy(m) || upgrade_waits(m))
		return false;
	m->drained = true;
	counters_set(COUNTER_DRAINED, 1);
	close_mail(m);
	snprintf(m->doing, sizeof(m->doing), DRAINED);
	notify_send("STATUS=" DRAINED);
	return true;
}

static const struct commands_monitor commanded = {
	.reload = commanded_reload,
	.upgrade = commanded_upgrade,
	.program = describe_program,
	.drain = commanded_drain,
	.each = look_at_each,
};

static void finish_openings(struct monitor *m)
{
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		mail_opening_finish(&m->openings[i]);
}

static void stop(struct monitor *m, int number)
{
	uint64_t ms = number == SIGTERM && m->current
			      ? generation_config(m->current)->drain_seconds * (uint64_t)1000
			      : 500;

	notify_send("STOPPING=1\nSTATUS=Sessions are ending");
	log_info("stopping: signal %d", number);
	if (m->stopping)
		ms = 0;
	m->stopping = true;
	upgrade_finish(m);
	finish_openings(m);
	if (m->coming)
		retire(m, m->coming, 0);
	m->coming = NULL;
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i])
			generation_drain(m->old[i], ms, true);
	if (m->current) {
		struct generation *g = m->current;

		m->current = NULL;
		retire(m, g, ms);
	}
	if (!anything_left(m))
		loop_stop(m->owner.loop);
}

static void reap(struct monitor *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool found = (m->current && generation_reaped(m->current, pid, status)) ||
			     (m->coming && generation_reaped(m->coming, pid, status)) ||
			     upgrade_reaped(m, pid, status);

		for (size_t i = 0; i < GENERATIONS_MAX && !found; i++)
			found = m->old[i] && generation_reaped(m->old[i], pid, status);
	}
}

static void on_signal(struct loop_signal *sig, int number)
{
	struct monitor *m = sig->context;

	switch (number) {
	case SIGCHLD:
		reap(m);
		break;
	case SIGHUP:
		reload(m);
		break;
	case SIGUSR1:
		logbook_reopen();
		break;
	case SIGUSR2:
		upgrade_begin(m);
		break;
	default:
		stop(m, number);
	}
}

static void new_ticket_key(struct monitor *m)
{
	memmove(m->owner.ticket_keys[1], m->owner.ticket_keys[0],
		(TLS_TICKET_KEYS - 1) * sizeof(m->owner.ticket_keys[0]));
	if (random_octets(m->owner.ticket_keys[0], sizeof(m->owner.ticket_keys[0])) < 0)
		abort(); /* it never fails once the kernel's pool is ready */
}

static void page_made(void *context, const struct page *page)
{
	struct monitor *m = context;

	if (m->current)
		generation_send_page(m->current, page);
	if (m->coming)
		generation_send_page(m->coming, page);
}

static void ring_changed(void *context, const struct page *page, bool is_new)
{
	struct monitor *m = context;

	if (m->current)
		generation_send_ring(m->current, page, is_new);
	if (m->coming)
		generation_send_ring(m->coming, page, is_new);
}

static void start_counting(struct monitor *m)
{
	struct rlimit files;

	counters_set(COUNTER_START_TIME, (uint64_t)time(NULL));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		counters_set(COUNTER_DESCRIPTORS_MAX, files.rlim_cur);
}

static void rotate_tickets(struct loop_timer *timer)
{
	struct monitor *m = timer->context;

	new_ticket_key(m);
	if (m->current)
		generation_send_ticket_keys(m->current);
	/* else the fronts of a generation that drains would keep old keys */
	for (size_t i = 0; i < GENERATIONS_MAX; i++)
		if (m->old[i])
			generation_send_ticket_keys(m->old[i]);
	m->tickets_due = loop_now(m->owner.loop) + TICKET_LIFE;
	loop_timer_set(timer, TICKET_LIFE);
}

static void pat_watchdog(struct loop_timer *timer)
{
	struct monitor *m = timer->context;

	notify_send("WATCHDOG=1");
	loop_timer_set(timer, m->watchdog_ms);
}

static void start_watchdog(struct monitor *m)
{
	m->watchdog_ms = notify_watchdog_ms() / 3;
	loop_timer_init(&m->watchdog, m->owner.loop, pat_watchdog, m);
	if (m->watchdog_ms)
		loop_timer_set(&m->watchdog, m->watchdog_ms);
}

static const struct upgrade_events upgrade_events = {.is_busy = is_busy, .refused = not_upgraded};

static void start_timers(struct monitor *m)
{
	uint64_t now = loop_now(m->owner.loop);

	loop_timer_init(&m->again, m->owner.loop, reload_again, m);
	loop_timer_init(&m->yielding, m->owner.loop, yield_over, m);
	loop_timer_init(&m->listeners, m->owner.loop, pause_over, m);
	loop_timer_init(&m->tickets, m->owner.loop, rotate_tickets, m);
	loop_timer_set(&m->tickets, m->tickets_due > now ? m->tickets_due - now : 0);
	start_watchdog(m);
	loop_timer_init(&m->status, m->owner.loop, show_status, m);
	if (getenv("NOTIFY_SOCKET"))
		loop_timer_set(&m->status, STATUS_PAUSE);
	upgrade_init(m, &upgrade_events);
}

static void start_signals(struct monitor *m)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		loop_signal_init(&m->signals[i], m->owner.loop, numbers[i], on_signal, m);
}

/* Instances are not reused by the next start either, so that a session's id (server/record.h) means
 * one session in all of the log: tenths of a second since 1970, then 16 bits that count. */
static uint64_t first_instance(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 10 + (uint64_t)now.tv_nsec / 100000000) << 16;
}

static int begin_as_new(struct monitor *m, const char *name, struct err *err)
{
	m->given_count = activation_take(m->given);
	m->owner.instances = first_instance();
	m->owner.no_network_fd = m->owner.root ? process_empty_network() : -1;
	start_counting(m);
	for (int i = 0; i < TLS_TICKET_KEYS; i++)
		new_ticket_key(m);
	m->tickets_due = loop_now(m->owner.loop) + TICKET_LIFE;
	return process_path(name, m->upgrade.program, sizeof(m->upgrade.program), err);
}

static int monitor_start(struct monitor *m, const char *name, struct handover_reader *state,
			 struct err *err)
{
	m->owner.ready = on_ready;
	m->owner.failed = on_failed;
	m->owner.yielded = on_yielded;
	m->owner.ended = on_ended;
	m->owner.take = on_take;
	m->owner.suspect = on_suspect;
	m->owner.brief = on_brief;
	m->owner.asked = on_asked;
	m->owner.started = on_started;
	m->owner.ban = on_ban;
	m->owner.ban_told = on_ban_told;
	m->owner.penalties = on_penalties;
	m->owner.root = geteuid() == 0;
	m->since = time(NULL);
	m->owner.loop = loop_create(err);
	m->owner.exe_fd = process_self(err);
	commands_init(&m->commands, &m->owner, &commanded);
	m->owner.listeners = listeners_create();
	if (!m->owner.loop || m->owner.exe_fd < 0 || !m->owner.listeners)
		return -1;
	m->owner.workers =
		workers_create(m->owner.loop, 1, 0, GENERATIONS_MAX * CONFIG_ROOTS_MAX + 1, err);
	if (!m->owner.workers)
		return -1;
	m->owner.bans.workers = m->owner.workers;
	m->owner.bans.changed = bans_changed;
	m->owner.bans.made = tell_ban;
	m->owner.bans.answer = answer_ban;
	m->owner.bans.context = m;
	bans_init(&m->owner.bans, m->owner.loop);
	if (state)
		state_adopt(m, state);
	else if (begin_as_new(m, name, err) < 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	start_timers(m);
	start_signals(m);
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		mail_opening_init(&m->openings[i], m->owner.loop, mail_opened, m);
	return 0;
}

/* Adopts the generations of the program before: their log is opened, processes that ended meanwhile
 * are reaped. Then a generation of this program is started. */
static int go_on_after_upgrade(struct monitor *m, struct handover_reader *state, struct err *err)
{
	struct err log_err;

	if (state_adopt_generations(m, state, err) < 0)
		return -1;
	handover_close(state);
	m->upgraded = true;
	counters_set(COUNTER_DRAINED, m->drained);
	set_level(m, generation_config(m->current));
	if (log_sink_open(&m->log, generation_config(m->current), &log_err) == 0)
		logbook_use(&m->log);
	if (log_sink_open_events(&m->events, generation_config(m->current), &log_err) == 0)
		logbook_use_events(&m->events);
	log_info("this process is valijad " VALIJA_VERSION " now: its own processes start, those "
		 "of the version before serve meanwhile");
	process_hold_signals(false);
	reap(m);
	if (open_mail(m, err) < 0)
		keep_old(m, err->text);
	return 0;
}

static void tidy(struct monitor *m)
{
	bans_end(&m->owner.bans);
	workers_destroy(m->owner.workers); /* what was entered in the register is flushed */
	commands_finish(&m->commands);
	bans_finish(&m->owner.bans);
	close_fd(&m->owner.penalties_kept.fd);
	finish_openings(m);
	close_folders(m);
	log_sink_close(&m->log);
	listeners_destroy(m->owner.listeners);
	pages_finish(&m->owner.pages);
	for (int i = 0; i < TLS_TICKET_KEYS; i++)
		explicit_bzero(m->owner.ticket_keys[i], sizeof(m->owner.ticket_keys[i]));
	logbook_close();
}

static int run(struct monitor *m, const char *name, struct handover_reader *state)
{
	struct err err = {.code = EX_SOFTWARE};
	unsigned long files;

	log_sink_init(&m->log);
	log_sink_none(&m->events);
	log_open("valijad", LOG_LEVEL_INFO);
	if (logbook_open("valijad", &err) < 0) {
		log_error("%s", err.text);
		return err.code;
	}
	prctl(PR_SET_DUMPABLE, 0);
	pages_init(&m->owner.pages, page_made, m, !state);
	m->owner.pages.ring_changed = ring_changed;
	m->owner.bans.table_fd = -1;
	m->owner.penalties_kept.fd = -1;
	if (files_raise_limit(&files, &err) < 0 || monitor_start(m, name, state, &err) < 0 ||
	    (state ? go_on_after_upgrade(m, state, &err) : open_mail(m, &err)) < 0) {
		log_error("%s", err.text);
		m->exit_code = err.code ? err.code : EX_SOFTWARE;
	} else {
		if (!state)
			log_info("valijad " VALIJA_VERSION ": up to %lu descriptors a process%s",
				 files,
				 m->owner.root ? ""
					       : "; not started as root: processes are confined, "
						 "but share one uid");
		loop_run(m->owner.loop);
		log_info("stopped");
	}
	tidy(m);
	return m->exit_code;
}

int monitor_run(const char *name, const char *config_file)
{
	struct monitor m = {.file = config_file};

	return run(&m, name, NULL);
}

int monitor_resume(const char *name, const char *config_file, int state_fd)
{
	struct monitor m = {.file = config_file};
	struct handover_reader state;
	struct err err;

	if (state_open(state_fd, getpid(), &state, &err) < 0) {
		fprintf(stderr, "valijad: %s\n", err.text);
		return err.code;
	}
	close(state_fd);
	return run(&m, name, &state);
}
