/*
 * The parent of --watch: a loop with timers and signals. It owns the accounts of the configuration,
 * their records (memory.h) and the processes of their runs (runs.h). Runs as the user; not
 * confined, for it has to start what is; it reads no octet of a server.
 */
#include "fetch/watch/watch_private.h"

#include "base/random.h"
#include "base/secret.h"
#include "fetch/journal/state.h"
#include "fetch/watch/grants.h"
#include "fetch/watch/network.h"
#include "sys/notify.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	PLACES = 16,          /* runs at once, unless jobs is set */
	OLD_MS = 30 * 1000,   /* a run that takes longer gives its place to another */
	OLD_TIMES = 10,       /* times the places: processes at most */
	STOP_MS = 20 * 1000,  /* for runs to finish their batch */
	ADDRESS_MS = 5 * 1000 /* between two answers to new addresses */
};

static uint32_t any_number(void)
{
	uint32_t number;

	random_octets(&number, sizeof(number));
	return number;
}

static unsigned places(const struct watch *w)
{
	unsigned jobs = w->jobs ? w->jobs : w->config.jobs;

	return jobs ? jobs : PLACES;
}

/* ---- runs ---- */

static void plan(struct watch *w, struct watch_account *account)
{
	const struct watch_timing timing = {.result = account->record.result,
					    .failures = account->record.failures,
					    .interval = account->settings->interval,
					    .login_delay = account->record.login_delay};
	uint64_t pause = watch_pause(&timing, any_number());

	account->due = loop_now(w->loop) + pause;
	account->record.next_run = time(NULL) + (int64_t)(pause / 1000);
}

static void note(struct watch *w, struct watch_account *account, struct fetch_outcome *outcome)
{
	struct watch_record *r = &account->record;

	r->result = watch_result_of(outcome);
	r->code = outcome->code;
	r->last_run = time(NULL);
	r->login_delay = outcome->login_delay ? outcome->login_delay : r->login_delay;
	r->runs++;
	r->messages += outcome->totals.collected;
	r->octets += outcome->totals.octets;
	snprintf(r->text, sizeof(r->text), "%.*s", (int)sizeof(r->text) - 1, outcome->text);
	if (r->result == WATCH_GOOD) {
		r->last_success = r->last_run;
		r->failures = 0;
	} else {
		r->failed++;
		r->failures++;
	}
	if (outcome->totals.collected && !w->options.verbose && !w->options.json)
		watch_say("%s: %" PRIu32 " collected", r->name, outcome->totals.collected);
}

static void start_run(struct watch *w, struct watch_account *account)
{
	struct fetch_outcome outcome = {.code = EX_OSERR};
	struct err err = {0};
	int rc;

	watch_tls_lend(w->tls, &account->session, account->settings, fetch_now(), &w->lent);
	w->lent_account = *account->settings;
	rc = watch_run_start(&w->lent_account, &w->options, &account->run, &err);
	wipe(w->lent.session, w->lent.size);
	if (rc == 0)
		return;
	watch_say("%s: %s", account->record.name, err.text);
	snprintf(outcome.text, sizeof(outcome.text), "%s", err.text);
	note(w, account, &outcome);
	plan(w, account);
}

struct load {
	unsigned running, young;
	int64_t ages_in; /* ms until the oldest of the young is old */
	struct watch_account *next;
};

static void look(const struct watch *w, struct load *ret)
{
	struct load load = {.ages_in = OLD_MS};
	int64_t now = fetch_now();

	for (unsigned i = 0; i < w->count; i++) {
		struct watch_account *account = &w->accounts[i];

		if (account->run.pid > 0) {
			load.running++;
			if (now - account->run.started >= OLD_MS)
				continue;
			load.young++;
			if (account->run.started + OLD_MS - now < load.ages_in)
				load.ages_in = account->run.started + OLD_MS - now;
		} else if (account->settings && (!load.next || account->due < load.next->due)) {
			load.next = account;
		}
	}
	*ret = load;
}

/* Starts what is due, and sets the timer for what is due next. */
static void start_due(struct watch *w)
{
	uint64_t now = loop_now(w->loop);
	struct load load;

	loop_timer_cancel(&w->due);
	while (!w->stopping) {
		look(w, &load);
		if (!load.next)
			return;
		if (load.running >= OLD_TIMES * places(w))
			return; /* the end of one of them comes back here */
		if (load.young >= places(w)) {
			loop_timer_set(&w->due, (uint64_t)load.ages_in);
			return;
		}
		if (load.next->due > now) {
			loop_timer_set(&w->due, load.next->due - now);
			return;
		}
		start_run(w, load.next);
		watch_save_soon(w);
	}
}

static void due_fired(struct loop_timer *timer)
{
	start_due(timer->context);
}

static void drop(struct watch *w, unsigned index)
{
	watch_session_drop(&w->accounts[index].session);
	w->accounts[index] = w->accounts[--w->count];
}

static void run_ended(struct watch *w, unsigned index, int status)
{
	struct watch_account *account = &w->accounts[index];
	struct fetch_outcome outcome;

	watch_run_take(&account->run, status, &account->session, &outcome);
	if (WIFSIGNALED(status) && !w->stopping)
		watch_say("%s: %s", account->record.name, outcome.text);
	if (!account->settings) {
		drop(w, index);
	} else if (!w->stopping) {
		note(w, account, &outcome);
		plan(w, account);
	}
}

/* A run that needs consent and has ended is tried again. What is still at work wrote the file
 * itself. */
static void grant_came(void *context, const char *name)
{
	struct watch *w = context;

	for (unsigned i = 0; i < w->count; i++) {
		struct watch_account *account = &w->accounts[i];
		char key[STATE_KEY_MAX], own[STATE_NAME_MAX];
		size_t n;

		if (account->record.result != WATCH_CONSENT || !account->settings ||
		    account->run.pid > 0 || state_key(account->settings, w->dir, key, NULL) < 0)
			continue;
		state_journal_name(account->settings, key, own);
		n = (size_t)(strrchr(own, '.') - own); /* ".journal" */
		if (strlen(name) != n + 6 || strncmp(name, own, n) != 0)
			continue;
		account->due = loop_now(w->loop);
		account->record.next_run = time(NULL);
	}
}

static void tokens_came(struct loop_watch *watch, int what)
{
	struct watch *w = watch->context;

	watch_grants_take(w->grants, grant_came, w);
	start_due(w);
}

static void stop_if_idle(struct watch *w)
{
	for (unsigned i = 0; i < w->count; i++)
		if (w->accounts[i].run.pid > 0)
			return;
	if (w->stopping)
		loop_stop(w->loop);
}

static void child_ended(struct loop_signal *sig, int number)
{
	struct watch *w = sig->context;

	(void)number;
	if (w->grants >= 0) /* while those that ended count as at work: see grant_came */
		watch_grants_take(w->grants, grant_came, w);
	for (unsigned i = w->count; i-- > 0;) {
		int status;

		if (w->accounts[i].run.pid > 0 &&
		    waitpid(w->accounts[i].run.pid, &status, WNOHANG) > 0)
			run_ended(w, i, status);
	}
	watch_save_soon(w);
	start_due(w);
	stop_if_idle(w);
}

/* ---- the configuration ---- */

/* Memory that the parser frees is overwritten (by the C library): runs inherit it, and it is of
 * all accounts. */
static int read_source(struct watch *w, struct fetch_config *config, struct err *err)
{
	int rc;

	mallopt(M_PERTURB, 0xff);
	rc = w->source->read(w->source->context, config, err);
	mallopt(M_PERTURB, 0);
	if (rc < 0)
		return -1;
	if (config->count)
		return 0;
	fetch_config_finish(config);
	return err_set(err, EX_CONFIG, "the configuration names no account to watch");
}

static void reload(struct loop_signal *sig, int number)
{
	const struct watch_memory none = {0};
	struct watch *w = sig->context;
	struct fetch_config config;
	struct err err = {0};

	(void)number;
	notify_reloading();
	if (read_source(w, &config, &err) < 0) {
		watch_say("the configuration stays as it was: %s", err.text);
	} else if (watch_adopt_all(w, &config, &none, &err) < 0) {
		fetch_config_finish(&config);
		watch_say("the configuration stays as it was: %s", err.text);
	} else {
		watch_say("the configuration is read again: %u accounts", w->config.count);
		if (w->config.state[0] && strcmp(w->config.state, w->state) != 0 &&
		    w->options.state == w->state)
			watch_say("another state folder counts from the next start on");
	}
	notify_send("READY=1");
	watch_save_soon(w);
	start_due(w);
}

/* ---- the network, the end ---- */

static void addresses(struct loop_watch *watch, int what)
{
	struct watch *w = watch->context;
	uint64_t now = loop_now(w->loop);

	(void)what;
	if (!watch_network_came(w->network) || (w->addresses_at && now < w->addresses_at))
		return;
	for (unsigned i = 0; i < w->count; i++) {
		struct watch_account *account = &w->accounts[i];

		if (account->record.result != WATCH_NETWORK || account->run.pid > 0)
			continue;
		account->due = now;
		account->record.next_run = time(NULL);
		w->addresses_at = now + ADDRESS_MS;
	}
	start_due(w);
}

static void signal_runs(const struct watch *w, int number)
{
	for (unsigned i = 0; i < w->count; i++)
		if (w->accounts[i].run.pid > 0)
			kill(w->accounts[i].run.pid, number);
}

static void end_fired(struct loop_timer *timer)
{
	signal_runs(timer->context, SIGKILL);
}

static void stop(struct loop_signal *sig, int number)
{
	struct watch *w = sig->context;

	(void)number;
	if (!w->stopping) {
		notify_send("STOPPING=1");
		loop_timer_cancel(&w->due);
		loop_timer_set(&w->end, STOP_MS);
	}
	w->stopping = true;
	signal_runs(w, SIGTERM);
	stop_if_idle(w);
}

static void pulse_fired(struct loop_timer *timer)
{
	notify_send("WATCHDOG=1");
	loop_timer_set(timer, notify_watchdog_ms() / 2);
}

/* ---- start ---- */

static int open_state(struct watch *w, struct err *err)
{
	int rc;

	w->dir = state_open(&fetch_files_real, w->options.state, err);
	if (w->dir < 0)
		return -1;
	rc = watch_lock(w->dir, &w->lock, err);
	if (rc == 0)
		err_set(err, EX_TEMPFAIL,
			"another \"valija fetch --watch\" works with this state folder");
	return rc == 1 ? 0 : -1;
}

static void add_parts(struct watch *w)
{
	loop_timer_init(&w->due, w->loop, due_fired, w);
	loop_timer_init(&w->save, w->loop, watch_save_fired, w);
	loop_timer_init(&w->end, w->loop, end_fired, w);
	loop_timer_init(&w->pulse, w->loop, pulse_fired, w);
	loop_signal_init(&w->child, w->loop, SIGCHLD, child_ended, w);
	loop_signal_init(&w->hangup, w->loop, SIGHUP, reload, w);
	loop_signal_init(&w->terminate, w->loop, SIGTERM, stop, w);
	loop_signal_init(&w->interrupt, w->loop, SIGINT, stop, w);
}

static int begin(struct watch *w, struct err *err)
{
	struct watch_memory memory = {0};
	struct fetch_config config;
	struct err why = {0};

	if (read_source(w, &config, err) < 0)
		return -1;
	snprintf(w->state, sizeof(w->state), "%s", config.state);
	if (!w->options.state && w->state[0])
		w->options.state = w->state;
	if (open_state(w, err) < 0) {
		fetch_config_finish(&config);
		return -1;
	}
	if (watch_memory_load(w->dir, &memory, &why) < 0)
		watch_say("%s", why.text);
	if (watch_adopt_all(w, &config, &memory, err) < 0) {
		fetch_config_finish(&config);
		watch_memory_finish(&memory);
		return -1;
	}
	watch_memory_finish(&memory);
	w->network = watch_network_open(&why);
	if (w->network < 0)
		watch_say("%s: accounts wait for their time after a failure", why.text);
	w->grants = watch_grants_open(w->dir, &why);
	if (w->grants < 0)
		watch_say("%s: SIGHUP behind valija fetch login", why.text);
	return 0;
}

static void finish(struct watch *w)
{
	const int fds[] = {w->dir, w->lock, w->network, w->grants};

	if (w->loop)
		loop_destroy(w->loop);
	for (unsigned i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	for (unsigned i = 0; i < w->count; i++)
		watch_session_drop(&w->accounts[i].session);
	watch_tls_destroy(w->tls);
	sandbox_program_free(w->program);
	free(w->accounts);
	watch_settings_finish(w);
	free(w);
}

static void work(struct watch *w)
{
	struct err err = {0};

	if (w->network >= 0) {
		loop_watch_init(&w->news, w->loop, w->network, addresses, w);
		loop_watch_want(&w->news, LOOP_READ);
	}
	if (w->grants >= 0) {
		loop_watch_init(&w->tokens, w->loop, w->grants, tokens_came, w);
		loop_watch_want(&w->tokens, LOOP_READ);
	}
	if (notify_watchdog_ms())
		loop_timer_set(&w->pulse, notify_watchdog_ms() / 2);
	w->tls = watch_tls_create();
	w->options.memory = &w->lent;
	w->program = sandbox_program_make(SANDBOX_FETCH, &err);
	w->options.program = w->program;
	if (!w->program)
		watch_say("%s: each run makes its own", err.text);
	notify_send("READY=1");
	watch_save(w);
	start_due(w);
	loop_run(w->loop);
	watch_save(w);
}

int fetch_watch(const struct watch_source *source, const struct fetch_options *options)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct err err = {0};
	int rc;

	if (!w)
		return EX_OSERR;
	w->source = source;
	w->metrics = options->metrics;
	w->jobs = options->jobs;
	w->options = *options;
	w->options.several = true;
	w->options.quiet = !options->verbose;
	w->dir = w->lock = w->network = w->grants = -1;
	w->loop = loop_create(&err);
	rc = w->loop ? 0 : -1;
	if (rc == 0) {
		add_parts(w);
		rc = begin(w, &err);
	}
	if (rc == 0)
		work(w);
	else
		watch_say("%s", err.text);
	finish(w);
	return rc == 0 ? EX_OK : err.code ? err.code : EX_SOFTWARE;
}
