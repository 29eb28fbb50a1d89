/* See follow.h. */
#include "cli/migrate/follow/follow.h"

#include "base/log.h"
#include "base/text.h"
#include "cli/migrate/follow/helper.h"
#include "cli/migrate/follow/news.h"
#include "cli/migrate/follow/schedule.h"
#include "cli/migrate/follow/task.h"
#include "sys/notify.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { NEWS_PAUSE_MS = 5000, FAILED_MAX = 2 /* in a row: the server is down for all */ };

struct follow;

/* A process that plays a round. */
struct job {
	struct helper helper;
	struct schedule_user *user;
	struct task task;
	struct task_report report;
};

struct follow {
	const struct follow_options *options;
	struct migrate_options each; /* what a round gets */
	struct loop *loop;
	struct schedule *schedule;
	struct helper news, list;
	struct job jobs[FOLLOW_JOBS_MAX];
	struct loop_timer due, pass, restart;
	struct loop_signal signals[3];
	uint64_t down; /* of what was said about the server's socket; 0: it is up */
	bool not_all;  /* users are missing, and that was said */
	bool passing, pass_wanted;
	uint64_t switched; /* users, since the start */
	int code;
	struct err *err;
};

static void go_on(struct follow *follow);

/* ---- what became of a round ---- */

static void complain(struct schedule_user *user, const char *why)
{
	if (schedule_is_new(user, why))
		log_warning("%s: %s", user->name, why);
}

static void tell_here(struct follow *follow, const struct job *job)
{
	const struct writer_report *round = &job->report.round;
	const char *name = job->user->name;

	if (round->now) {
		follow->switched++;
		log_info("%s: %" PRIu64 " messages: the mail is here", name, round->messages);
		if (round->again)
			log_info("%s: %" PRIu64 " of %" PRIu64
				 " messages are loaded again by clients that asked that server "
				 "itself: RFC 1939 forbids their unique ids",
				 name, round->again, round->messages);
	} else if (round->copied) {
		log_info("%s: %" PRIu64 " messages came late", name, round->copied);
	}
	if (round->deleted)
		log_info("%s: %" PRIu64 " messages were deleted there", name, round->deleted);
}

static enum schedule_verdict verdict_of(const struct task_report *report)
{
	switch (report->outcome) {
	case TASK_NONE:
		return SCHEDULE_GONE;
	case TASK_WAITS:
		return SCHEDULE_WAITS;
	case TASK_WRONG:
		return SCHEDULE_LATER;
	case TASK_PLAYED:
		break;
	}
	switch (report->round.outcome) {
	case WRITER_SWITCHED:
		return SCHEDULE_HERE;
	case WRITER_COPIED:
	case WRITER_YIELDED:
	case WRITER_BUSY:
		return SCHEDULE_AGAIN;
	case WRITER_CUT:
		return SCHEDULE_CUT;
	case WRITER_FAILED:
		return report->round.denied ? SCHEDULE_DENIED : SCHEDULE_LATER;
	case WRITER_REFUSED:
	case WRITER_LOOKED:
	case WRITER_DIED:
		break;
	}
	return SCHEDULE_LATER;
}

/* The other server let the user in. */
static bool was_reached(const struct task_report *report)
{
	const struct writer_report *round = &report->round;

	return report->outcome == TASK_PLAYED &&
	       (round->messages || round->outcome == WRITER_SWITCHED ||
		round->outcome == WRITER_COPIED);
}

static void make_words(struct task_report *report)
{
	const struct writer_report *round = &report->round;

	if (report->outcome != TASK_PLAYED || report->unasked)
		return;
	if (round->outcome == WRITER_SWITCHED && round->why[0])
		snprintf(report->why, sizeof(report->why),
			 "it is not known what was deleted there: %s", round->why);
	else if (round->outcome == WRITER_DIED)
		snprintf(report->why, sizeof(report->why), "the process that writes died");
	else if (round->outcome == WRITER_COPIED)
		snprintf(report->why, sizeof(report->why),
			 "all messages are copied; a session is open: the switch comes when it "
			 "has ended");
	else if (round->outcome == WRITER_REFUSED)
		snprintf(report->why, sizeof(report->why),
			 "%" PRIu64 " of %" PRIu64
			 " messages cannot be had, so the mail stays there: %s",
			 round->refused, round->messages, round->why);
}

/* A line for what is new; none for what is tried again. failed: rounds in a row for which that
 * server was not to be had. */
static void tell(struct follow *follow, struct job *job, enum schedule_verdict verdict,
		 unsigned failed)
{
	struct task_report *report = &job->report;
	struct schedule_user *user = job->user;

	if (was_reached(report) && schedule_section_is_new(user, NULL))
		log_info("%s: this server is reached again", report->section);
	if (failed >= FAILED_MAX) {
		if (schedule_section_is_new(user, "failed"))
			log_warning("%s: %s: its users wait", report->section, report->why);
		return;
	}
	if (verdict == SCHEDULE_HERE) {
		tell_here(follow, job);
		if (report->round.why[0])
			complain(user, report->why);
		else
			(void)schedule_is_new(user, NULL);
	} else if (report->unasked) {
		if (!follow->down) /* that was said, once for all */
			complain(user, report->why);
	} else if (verdict != SCHEDULE_AGAIN || report->round.outcome == WRITER_COPIED ||
		   schedule_waits_longest(user)) {
		complain(user, report->why);
	}
}

static void round_packet(struct helper *helper, char kind, pop3_span text)
{
	struct job *job = helper->context;

	(void)kind;
	if (text.size == sizeof(job->report))
		memcpy(&job->report, text.data, sizeof(job->report));
}

/* ---- rounds ---- */

static struct follow *root;

static void round_ended(struct helper *helper)
{
	struct job *job = helper->context;
	struct follow *follow = root;
	enum schedule_verdict verdict = verdict_of(&job->report);
	unsigned failed;

	make_words(&job->report);
	failed = schedule_ended(follow->schedule, job->user, verdict, span_of(job->report.section),
				was_reached(&job->report), loop_now(follow->loop));
	if (verdict != SCHEDULE_GONE && job->report.outcome != TASK_WAITS)
		tell(follow, job, verdict, failed);
	job->user = NULL;
	go_on(follow);
}

static void start_round(struct follow *follow, struct job *job, struct schedule_user *user)
{
	struct err err = {0};

	job->user = user;
	job->task = (struct task){&follow->each, user->name};
	job->report = (struct task_report){.outcome = TASK_PLAYED, .round.outcome = WRITER_DIED};
	if (helper_start(&job->helper, follow->loop, true, task_round, &job->task, &err) == 0)
		return;
	complain(user, err.text);
	(void)schedule_ended(follow->schedule, user, SCHEDULE_AGAIN, SPAN_LITERAL(""), false,
			     loop_now(follow->loop));
	job->user = NULL;
}

static struct job *free_job(struct follow *follow)
{
	for (unsigned i = 0; i < follow->options->jobs; i++)
		if (!follow->jobs[i].helper.pid)
			return &follow->jobs[i];
	return NULL;
}

/* Users of a pass leave one job to those that log in. */
static bool may_take_all(const struct follow *follow)
{
	unsigned free_jobs = 0;

	for (unsigned i = 0; i < follow->options->jobs; i++)
		free_jobs += !follow->jobs[i].helper.pid;
	return free_jobs > 1 || follow->options->jobs == 1;
}

static void start_rounds(struct follow *follow)
{
	uint64_t now = loop_now(follow->loop), wait;
	struct schedule_user *user;
	struct job *job;

	loop_timer_cancel(&follow->due);
	while ((job = free_job(follow)) &&
	       (user = schedule_next(follow->schedule, now, may_take_all(follow))))
		start_round(follow, job, user);
	if (!job)
		return; /* the end of one of them comes back here */
	wait = schedule_wait(follow->schedule, now, may_take_all(follow));
	if (wait != UINT64_MAX)
		loop_timer_set(&follow->due, wait);
}

/* ---- passes ---- */

/* Two texts with a NUL between them. False: it is no such packet. */
static bool take_two(pop3_span text, pop3_span *ret_first, pop3_span *ret_second)
{
	const char *nul = memchr(text.data, 0, text.size);

	if (!nul)
		return false;
	*ret_first = (pop3_span){text.data, (size_t)(nul - text.data)};
	*ret_second = (pop3_span){nul + 1, text.size - ret_first->size - 1};
	return true;
}

static void complain_of(struct follow *follow, pop3_span name, pop3_span why)
{
	struct schedule_user *user = schedule_user(follow->schedule, name);
	char words[512];

	if (user && span_copy(why, words, sizeof(words)) == 0)
		complain(user, words);
}

static void list_packet(struct helper *helper, char kind, pop3_span text)
{
	struct follow *follow = root;
	pop3_span name, more;

	(void)helper;
	if (kind == TASK_MOVES && take_two(text, &name, &more)) {
		schedule_listed(follow->schedule, name, more, loop_now(follow->loop));
		start_rounds(follow);
	} else if (kind == TASK_TROUBLE && take_two(text, &name, &more)) {
		complain_of(follow, name, more);
	} else if (kind == TASK_LISTED) {
		follow->not_all = false;
	} else if (kind == TASK_UNLISTED) {
		if (!follow->not_all)
			log_warning("not all users can be listed; the others move when they log "
				    "in: %.*s",
				    (int)text.size, text.data);
		follow->not_all = true;
	}
}

static void list_ended(struct helper *helper)
{
	(void)helper;
	schedule_pass_listed(root->schedule, loop_now(root->loop));
	go_on(root);
}

/* Lines of name_list about databases that cannot be listed are said once. */
static void begin_pass(struct follow *follow, bool first)
{
	struct err err = {0};

	follow->pass_wanted = false;
	follow->passing = true;
	schedule_pass_begin(follow->schedule);
	if (helper_start(&follow->list, follow->loop, !first, task_list, &follow->each, &err) == 0)
		return;
	follow->passing = false;
	log_warning("%s", err.text);
	loop_timer_set(&follow->pass, follow->options->every_seconds * 1000);
}

static void pass_due(struct loop_timer *timer)
{
	(void)timer;
	if (!root->list.pid)
		begin_pass(root, false);
	else
		root->pass_wanted = true;
}

static void go_on(struct follow *follow)
{
	char status[160];

	start_rounds(follow);
	if (!follow->passing || !schedule_pass_over(follow->schedule))
		return;
	follow->passing = false;
	snprintf(status, sizeof(status),
		 "STATUS=%zu users; the mail of %" PRIu64 " is here since "
		 "the start",
		 schedule_count(follow->schedule), follow->switched);
	(void)notify_send(status);
	loop_timer_set(&follow->pass,
		       follow->pass_wanted ? 0 : follow->options->every_seconds * 1000);
}

/* ---- logins ---- */

static void start_news(struct loop_timer *timer)
{
	struct err err = {0};

	(void)timer;
	if (helper_start(&root->news, root->loop, false, news_run, &root->each, &err) == 0)
		return;
	log_warning("%s", err.text);
	loop_timer_set(&root->restart, NEWS_PAUSE_MS);
}

static void news_packet(struct helper *helper, char kind, pop3_span text)
{
	struct follow *follow = root;
	uint64_t said = hash_octets(text.data, text.size);
	pop3_span name, section;

	(void)helper;
	if (kind == NEWS_LOGIN && take_two(text, &name, &section)) {
		schedule_login(follow->schedule, name, section, loop_now(follow->loop));
		start_rounds(follow);
	} else if (kind == NEWS_UP) {
		if (follow->down)
			log_info("valijad is reached again");
		follow->down = 0;
	} else if (kind == NEWS_DOWN) {
		if (said != follow->down)
			log_warning("%.*s: logins are not seen meanwhile, and nobody is switched",
				    (int)text.size, text.data);
		follow->down = said;
	} else if (kind == NEWS_NEVER) {
		follow->code = err_set(follow->err, EX_CONFIG, "%.*s", (int)text.size, text.data);
		loop_stop(follow->loop);
	}
}

static void news_ended(struct helper *helper)
{
	(void)helper;
	loop_timer_set(&root->restart, NEWS_PAUSE_MS);
}

/* ---- the service ---- */

static void caught(struct loop_signal *sig, int number)
{
	(void)sig;
	if (number == SIGHUP) {
		loop_timer_set(&root->pass, 0);
		return;
	}
	(void)notify_send("STOPPING=1");
	loop_stop(root->loop);
}

static void due(struct loop_timer *timer)
{
	(void)timer;
	start_rounds(root);
}

static void init(struct follow *follow)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	follow->each = follow->options->migrate;
	if (follow->each.rate) {
		follow->each.rate /= follow->options->jobs;
		follow->each.rate += !follow->each.rate;
	}
	follow->news.packet = news_packet;
	follow->news.ended = news_ended;
	follow->list.packet = list_packet;
	follow->list.ended = list_ended;
	for (unsigned i = 0; i < FOLLOW_JOBS_MAX; i++) {
		struct job *job = &follow->jobs[i];

		job->helper.packet = round_packet;
		job->helper.ended = round_ended;
		job->helper.context = job;
	}
	loop_timer_init(&follow->due, follow->loop, due, NULL);
	loop_timer_init(&follow->pass, follow->loop, pass_due, NULL);
	loop_timer_init(&follow->restart, follow->loop, start_news, NULL);
	for (unsigned i = 0; i < 3; i++)
		loop_signal_init(&follow->signals[i], follow->loop, numbers[i], caught, NULL);
}

/* The writers see that, and end by themselves: a kill at any moment loses nothing. */
static void finish(struct follow *follow)
{
	helper_kill(&follow->news);
	helper_kill(&follow->list);
	for (unsigned i = 0; i < FOLLOW_JOBS_MAX; i++)
		helper_kill(&follow->jobs[i].helper);
	loop_timer_cancel(&follow->due);
	loop_timer_cancel(&follow->pass);
	loop_timer_cancel(&follow->restart);
	for (unsigned i = 0; i < 3; i++)
		loop_signal_finish(&follow->signals[i]);
}

int follow_run(const struct follow_options *options, struct err *err)
{
	struct follow *follow = root = calloc(1, sizeof(*follow));
	int code = -1;

	log_open("valija migrate", LOG_LEVEL_INFO);
	if (!follow)
		return err_set(err, EX_OSERR, "out of memory");
	follow->options = options;
	follow->err = err;
	follow->schedule = schedule_create();
	follow->loop = loop_create(err);
	if (!follow->schedule)
		err_set(err, EX_OSERR, "out of memory");
	if (follow->schedule && follow->loop) {
		init(follow);
		start_news(NULL);
		begin_pass(follow, true);
		(void)notify_send("READY=1");
		loop_run(follow->loop);
		finish(follow);
		code = follow->code;
	}
	loop_destroy(follow->loop);
	schedule_destroy(follow->schedule);
	free(follow);
	return code;
}
