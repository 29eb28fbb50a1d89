/*
 * See monitor.h. Runs as root when started as root, for as long as valijad runs: takes signals,
 * reads the configuration, and receives checked messages of children through generation.c. It never
 * reads from the network.
 */
#include "server/monitor/monitor.h"

#include "base/log.h"
#include "base/random.h"
#include "base/table.h"
#include "build-config.h"
#include "server/monitor/files.h"
#include "server/monitor/generation.h"
#include "server/monitor/logbook.h"
#include "server/monitor/mail_folder.h"
#include "sys/notify.h"
#include "sys/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <sysexits.h>
#include <unistd.h>

#define RELOAD_DRAIN (60u * 60 * 1000) /* ms that old sessions may go on after a reload */
/* ms between two new ticket keys: a key is good for as long as a ticket that was made with it just
 * before it was replaced, and is gone then */
#define TICKET_LIFE (TLS_TICKET_SECONDS * 1000u / (TLS_TICKET_KEYS - 1))
enum {
	GENERATIONS_MAX = 16,   /* that drain at a time */
	LISTENERS_PAUSE = 1000, /* ms between two looks at the listening sockets */
};

struct monitor {
	struct generation_owner owner;
	const char *file;
	struct generation *current;              /* serving */
	struct generation *coming;               /* starting */
	struct generation *old[GENERATIONS_MAX]; /* draining */
	struct config next;                      /* of the generation that is to come */
	struct mail_opening opening;             /* of its mail folder */
	struct log_sink log;                     /* of the coming generation; standard error else */
	struct loop_signal signals[5];
	struct loop_timer tickets, watchdog;
	struct loop_timer listeners; /* the next look at them */
	bool looking, look_again;    /* the timer runs; a look is due when it fires */
	struct loop_timer again;     /* a reload that was requested during another one */
	uint32_t numbers;
	uint64_t watchdog_ms;
	int exit_code;
	bool stopping, reload_wanted;
};

/* Sends the addresses that are served to the service manager, with READY=1, for "systemctl
 * status". */
static void notify_ready(const char *doing, const char *where)
{
	char text[640];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=%s %s", doing, where);
	if (notify_send(text) < 0)
		log_warning("cannot reach the service manager: %s", strerror(errno));
}

static struct monitor *monitor_of(struct generation_owner *owner)
{
	return CONTAINER(owner, struct monitor, owner);
}

static void forget(struct monitor *m, struct generation *g)
{
	if (m->current == g)
		m->current = NULL;
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

static void on_ready(struct generation_owner *owner, struct generation *g)
{
	struct monitor *m = monitor_of(owner);
	struct generation *before = m->current;
	char where[512];

	m->current = g;
	m->coming = NULL;
	listeners_retain(owner->listeners, generation_config(g),
			 generation_fronts(generation_config(g)));
	listeners_describe(owner->listeners, where, sizeof(where));
	logbook_use(&m->log);
	if (before) {
		log_info("reloaded: %s", where);
		retire(m, before, reload_drain(generation_config(before)));
	} else {
		log_info("ready: %s", where);
	}
	notify_ready("Serving", where);
	if (m->reload_wanted)
		loop_timer_set(&m->again, 0);
}

/* Closes the sockets that were opened for the new configuration alone. */
static void keep_old(struct monitor *m, const char *why)
{
	const struct config *config = generation_config(m->current);

	log_sink_close(&m->log);
	log_error("the new configuration is not used, the old one goes on: %s", why);
	log_set_level((enum log_level)config->log_level);
	listeners_retain(m->owner.listeners, config, generation_fronts(config));
	notify_ready("The new configuration was refused, see the log; the old one goes on:", why);
	if (m->reload_wanted)
		loop_timer_set(&m->again, 0);
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

static void on_ended(struct generation_owner *owner, struct generation *g)
{
	struct monitor *m = monitor_of(owner);

	forget(m, g);
	generation_destroy(g);
	if (m->stopping && !anything_left(m))
		loop_stop(owner->loop);
}

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

static int start_generation(struct monitor *m, const struct mail_folder *mail, struct err *err)
{
	int rc;

	log_sink_close(&m->log);
	rc = log_sink_open(&m->log, &m->next, err);
	look_at_listeners(m);
	if (rc == 0)
		rc = listeners_open(m->owner.listeners, &m->next, generation_fronts(&m->next), err);
	if (rc == 0)
		return generation_create(&m->owner, &m->next, mail, ++m->numbers, &m->coming, err);
	close(mail->fd);
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

static void mail_opened(void *context, const struct mail_folder *mail, const struct err *why)
{
	struct monitor *m = context;
	struct err err;

	if (!mail || mail->fd < 0)
		not_started(m, mail ? &mail->err : why);
	else if (start_generation(m, mail, &err) < 0)
		not_started(m, &err);
}

/* The first step of a start: all else waits for the mail folder. */
static int open_mail(struct monitor *m, struct err *err)
{
	if (config_load(m->file, &m->next, err) < 0)
		return -1;
	log_set_level((enum log_level)m->next.log_level);
	return mail_opening_start(&m->opening, m->next.mail, m->owner.root, m->owner.exe_fd, err);
}

static void reload(struct monitor *m)
{
	struct err err;

	if (m->stopping)
		return;
	if (m->coming || mail_opening_waits(&m->opening)) {
		log_info("a reload is in progress; reloading again when it is done");
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
	mail_opening_finish(&m->opening);
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
			     (m->coming && generation_reaped(m->coming, pid, status));

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

/* Instances are not reused by the next start either, so that a session's id (server/record.h) means
 * one session in all of the log: tenths of a second since 1970, then 16 bits that count. */
static uint64_t first_instance(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 10 + (uint64_t)now.tv_nsec / 100000000) << 16;
}

static int monitor_start(struct monitor *m, struct err *err)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1};

	m->owner.ready = on_ready;
	m->owner.failed = on_failed;
	m->owner.ended = on_ended;
	m->owner.suspect = on_suspect;
	m->owner.root = geteuid() == 0;
	m->owner.instances = first_instance();
	m->owner.loop = loop_create(err);
	m->owner.exe_fd = process_self(err);
	m->owner.no_network_fd = m->owner.root ? process_empty_network() : -1;
	m->owner.listeners = listeners_create();
	if (!m->owner.loop || m->owner.exe_fd < 0 || !m->owner.listeners)
		return -1;
	m->owner.workers = workers_create(m->owner.loop, 1, 0, GENERATIONS_MAX, err);
	if (!m->owner.workers)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		loop_signal_init(&m->signals[i], m->owner.loop, numbers[i], on_signal, m);
	for (int i = 0; i < TLS_TICKET_KEYS; i++)
		new_ticket_key(m);
	loop_timer_init(&m->again, m->owner.loop, reload_again, m);
	loop_timer_init(&m->listeners, m->owner.loop, pause_over, m);
	loop_timer_init(&m->tickets, m->owner.loop, rotate_tickets, m);
	loop_timer_set(&m->tickets, TICKET_LIFE);
	start_watchdog(m);
	mail_opening_init(&m->opening, m->owner.loop, mail_opened, m);
	return open_mail(m, err);
}

int monitor_run(const char *config_file)
{
	struct monitor m = {.file = config_file};
	struct err err = {.code = EX_SOFTWARE};
	unsigned long files;

	log_sink_init(&m.log);
	log_open("valijad", LOG_LEVEL_INFO);
	if (logbook_open("valijad", &err) < 0) {
		log_error("%s", err.text);
		return err.code;
	}
	prctl(PR_SET_DUMPABLE, 0);
	if (files_raise_limit(&files, &err) < 0 || monitor_start(&m, &err) < 0) {
		log_error("%s", err.text);
		m.exit_code = err.code ? err.code : EX_SOFTWARE;
		goto out;
	}
	log_info("valijad " VALIJA_VERSION ": up to %lu descriptors a process%s", files,
		 m.owner.root ? ""
			      : "; not started as root: processes are confined, but share one uid");
	loop_run(m.owner.loop);
	log_info("stopped");
out:
	workers_destroy(m.owner.workers); /* what was entered in the register is flushed */
	mail_opening_finish(&m.opening);
	log_sink_close(&m.log);
	listeners_destroy(m.owner.listeners);
	explicit_bzero(m.owner.ticket_keys, sizeof(m.owner.ticket_keys));
	logbook_close();
	return m.exit_code;
}
