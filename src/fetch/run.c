/* One run of one account, for fetch.c and jobs.c, as the user. It owns journal, sink, report and
 * password of the run; the process is confined before the server is connected to. */
#include "fetch/run.h"

#include "base/text.h"
#include "fetch/confine.h"
#include "fetch/session/login.h"
#include "fetch/account/password.h"
#include "fetch/session/transcript.h"
#include "fetch/journal/state.h"
#include "fetch/oauth/oauth.h"
#include "fetch/collect/collect.h"
#include "fetch/sink/backoff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	PROFILE_SECONDS = 7 * 86400, /* then CAPA is asked for again */
	FORGET_SECONDS = 90 * 86400, /* entries absent for so long are forgotten */
};

struct run {
	const struct fetch_account *account;
	const struct fetch_options *options;
	const struct fetch_files *files;
	struct report report;
	struct report_totals totals;
	struct record *record;
	struct journal *journal;
	struct sink *sink;
	struct secret password;
	struct oauth_helper *helper; /* for accounts with tokens */
	struct fetch_profile profile, recalled;
	bool dry;
	bool lock_step;  /* the server breaks under pipelining */
	bool on_the_way; /* failed between here and the server, not here */
	int64_t started;
	char key[STATE_KEY_MAX];
	char server[FETCH_TEXT_MAX + 16];
};

static const char *profile_key(const struct run *run)
{
	return run->account->tls == FETCH_TLS_NONE ? "login-clear" : "login-tls";
}

/* "SINCE STRENGTH FLAGS LOGIN MECHANISM…" */
static void recall_profile(struct run *run)
{
	const char *text = journal_recall(run->journal, profile_key(run));
	struct fetch_profile *p = &run->profile;
	long long since;
	char flags[8];
	int at = 0;

	*p = (struct fetch_profile){0};
	if (text &&
	    sscanf(text, "%lld %d %7s %31s %n", &since, &p->strength, flags, p->login, &at) >= 4 &&
	    at > 0) {
		snprintf(p->mechanisms, sizeof(p->mechanisms), "%s", text + at);
		p->pipelining = strchr(flags, 'p') != NULL;
		p->two_lines = strchr(flags, '2') != NULL;
		p->utf8 = strchr(flags, 'u') != NULL;
		p->known = time(NULL) - since < PROFILE_SECONDS && time(NULL) >= since;
	}
	text = journal_recall(run->journal, "login-delay");
	p->login_delay = text ? (uint32_t)strtoul(text, NULL, 10) : 0;
	run->recalled = *p;
	run->lock_step = journal_recall(run->journal, "pipelining") &&
			 strcmp(journal_recall(run->journal, "pipelining"), "off") == 0;
}

static int remember_profile(struct run *run, struct err *err)
{
	const struct fetch_profile *p = &run->profile;
	char text[JOURNAL_VALUE_MAX];

	snprintf(text, sizeof(text), "%" PRIu32, p->login_delay);
	if (p->login_delay != run->recalled.login_delay &&
	    journal_remember(run->journal, "login-delay", text, err) < 0)
		return -1;
	if (p->known && p->strength == run->recalled.strength &&
	    p->two_lines == run->recalled.two_lines && strcmp(p->login, run->recalled.login) == 0)
		return 0;
	snprintf(text, sizeof(text), "%lld %d %s%s%s %s %s", (long long)time(NULL), p->strength,
		 p->pipelining ? "p" : "-", p->two_lines ? "2" : "", p->utf8 ? "u" : "", p->login,
		 p->mechanisms);
	return journal_remember(run->journal, profile_key(run), text, err);
}

static bool stores_crlf(const struct fetch_account *account)
{
	return account->store_crlf && account->sink != FETCH_MBOX && account->sink != FETCH_LMTP;
}

/* Before a person is asked for a password: a mistyped host shall not cost them the typing. */
static int check_host(const void *context, struct err *err)
{
	const struct fetch_account *account = context;
	struct wire wire;
	int rc;

	wire_init(&wire);
	rc = wire_connect(&wire, account, err);
	wire_finish(&wire);
	return rc;
}

static int open_parts(struct run *run, int state_dir, struct err *err)
{
	struct sink_settings sink = {.files = run->files,
				     .account = run->account,
				     .key = span_of(run->key),
				     .state_dir = state_dir,
				     .output_apart = run->options->json};
	const struct fetch_asking asking = {check_host, run->account};
	char name[STATE_NAME_MAX];

	state_journal_name(run->account, run->key, name);
	if (journal_open(run->files, state_dir, name, run->account->name, &run->journal, err) < 0 ||
	    (!run->options->now && !run->options->dry_run &&
	     backoff_check(run->journal, time(NULL), err) < 0) ||
	    sink_open(&sink, run->journal, &run->sink, err) < 0)
		return -1;
	recall_profile(run);
	if (run->options->record && record_open(run->options->record, run->server,
						!stores_crlf(run->account), &run->record, err) < 0)
		return -1;
	if (fetch_check_key(run->account, err) < 0)
		return -1;
	if (!fetch_account_token(run->account))
		return fetch_password(run->account, &asking, &run->password, err);
	if (oauth_token(run->files, state_dir, run->account, NULL, &run->password, err) < 0)
		return -1;
	return oauth_helper_start(state_dir, run->account, &run->helper, err);
}

static int prepare(struct run *run, struct err *err)
{
	int dir, rc;

	dir = state_open(run->files, run->options->state, err);
	if (dir < 0)
		return -1;
	rc = state_key(run->account, dir, run->key, err);
	if (rc == 0)
		rc = open_parts(run, dir, err);
	if (rc == 0)
		rc = fetch_confine(run->account, dir, run->options->program, err);
	close(dir);
	return rc;
}

static int session(struct run *run, bool *ret_retry, struct err *err)
{
	const struct fetch_account *account = run->account;
	struct dialog *dialog = malloc(sizeof(*dialog));
	struct transfer t = {.dialog = dialog,
			     .account = account,
			     .journal = run->journal,
			     .sink = run->sink,
			     .report = &run->report,
			     .key = span_of(run->key)};
	struct collect collect = {.transfer = &t, .options = run->options, .now = time(NULL)};
	int rc;

	if (!dialog)
		return err_sys(err, EX_OSERR, errno, "memory");
	dialog_init(dialog, stores_crlf(account) ? POP3_KEEP_CRLF : POP3_TO_LF,
		    account->limits.listing_lines, (int64_t)account->limits.reply_seconds * 1000);
	dialog->record = run->record;
	dialog->wire.memory = run->options->memory;
	dialog->wire.minimum_rate = account->limits.minimum_rate;
	dialog->wire.run_deadline = run->started + (int64_t)account->limits.run_seconds * 1000;
	run->on_the_way = true;
	rc = wire_connect(&dialog->wire, account, err);
	if (rc == 0)
		rc = fetch_login(dialog, account, &run->password, &run->profile, err);
	if (rc == 0) {
		t.pipelining =
			run->profile.pipelining && !run->lock_step && !account->no_pipelining;
		if (!t.pipelining) /* no second login comes, see sessions() */
			secret_finish(&run->password);
		rc = remember_profile(run, err);
		if (rc == 0)
			rc = collect_run(&collect, err);
		run->on_the_way = dialog->closed;
	}
	*ret_retry = t.trouble_under_pipelining;
	run->totals = t.totals;
	run->dry = t.dry;
	transfer_finish(&t);
	dialog_finish(dialog);
	free(dialog);
	return rc;
}

/* A server that announces PIPELINING and breaks under it gets a second try without, and is
 * remembered.
 */
static int sessions(struct run *run, struct err *err)
{
	bool retry = false;
	int rc = session(run, &retry, err);

	if (rc < 0 && err->code == FETCH_EX_CONSENT && run->helper && !run->sink->broken) {
		report_info(&run->report, "%s; trying once more with a new token", err->text);
		if (oauth_helper_ask(run->helper, &run->password, err) < 0)
			return -1;
		rc = session(run, &retry, err);
	}
	if (rc == 0 || !retry || run->lock_step)
		return rc;
	report_info(&run->report, "%s; trying once more without pipelining", err->text);
	run->lock_step = true;
	rc = session(run, &retry, err);
	if (rc == 0)
		rc = journal_remember(run->journal, "pipelining", "off", err);
	if (rc == 0)
		rc = journal_commit(run->journal, err);
	return rc;
}

/* Whether the destination asked to wait, or takes mail again. */
static void note_backoff(struct run *run, const struct err *why)
{
	struct err err = {0};

	if (run->sink && (backoff_note(run->journal, run->sink, run->totals.collected > 0,
				       time(NULL), why->text, &err) < 0 ||
			  journal_commit(run->journal, &err) < 0))
		report_warning(&run->report, "%s", err.text);
}

static void finish(struct run *run)
{
	if (run->sink)
		run->sink->ops->destroy(run->sink);
	journal_close(run->journal);
	record_close(run->record);
	secret_finish(&run->password);
	oauth_helper_stop(run->helper);
}

static void tell_outcome(const struct run *run, int code, const struct err *err,
			 struct fetch_outcome *ret)
{
	*ret = (struct fetch_outcome){.code = code,
				      .refusal = run->profile.refusal,
				      .login_delay = run->profile.login_delay,
				      .consent = code == FETCH_EX_CONSENT,
				      .totals = run->totals};
	ret->network = run->on_the_way && ret->refusal == POP3_CODE_NONE &&
		       (code == EX_NOHOST || code == EX_TEMPFAIL);
	snprintf(ret->text, sizeof(ret->text), "%s", err->text);
}

int fetch_run(const struct fetch_account *account, const struct fetch_options *options,
	      const struct fetch_files *files, struct fetch_outcome *ret)
{
	struct run *run = calloc(1, sizeof(*run));
	struct err err = {0};
	int rc, code = EX_OK;

	if (!run) {
		if (ret)
			*ret = (struct fetch_outcome){.code = EX_OSERR};
		return EX_OSERR;
	}
	run->account = account;
	run->options = options;
	run->files = files;
	run->started = fetch_now();
	snprintf(run->server, sizeof(run->server), "%s:%u", account->host, account->port);
	run->report = (struct report){
		.account = account->name,
		.server = run->server,
		.json = options->json,
		.bar = !options->quiet && !options->several && isatty(STDERR_FILENO),
		.verbose = options->verbose || (!options->quiet && isatty(STDERR_FILENO))};
	secret_init(&run->password);
	rc = prepare(run, &err);
	if (rc == 0)
		rc = sessions(run, &err);
	run->totals.milliseconds = fetch_now() - run->started;
	note_backoff(run, &err);
	report_end_bar(&run->report);
	if (rc < 0) {
		code = err.code ? err.code : EX_SOFTWARE;
		if (code == FETCH_EX_CONSENT)
			report_consent(&run->report, &err);
		else
			report_error(&run->report, &err);
	} else if (journal_tidy(run->journal, time(NULL) - FORGET_SECONDS, &err) < 0) {
		report_error(&run->report, &err);
		code = err.code;
	} else if (run->totals.failed || run->totals.undeleted) {
		code = EX_DATAERR;
	}
	if (!run->dry && (rc == 0 || run->totals.collected))
		report_summary(&run->report, &run->totals);
	if (ret)
		tell_outcome(run, code, &err, ret);
	finish(run);
	free(run);
	return code;
}
