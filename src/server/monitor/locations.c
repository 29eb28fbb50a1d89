/* See locations.h. In the monitor, as root when that is root; a question is hostile. The register
 * and the questions of `batch` are the worker's while a job is under way, all else is the loop's.
 */
#include "server/monitor/locations.h"

#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/guard.h"
#include "maildrop/register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	FLUSH_PAUSE = 10000, /* ms that an opening may be unknown after a power cut */
	/* questions of one process that may wait: more than an honest keeper has while a disk is
	 * slow */
	WAITING_MAX = 16384,
	PROCESSES = 256, /* that are counted apart: instances are given one after the other */
};

_Static_assert((int)GUARD_HAS == (int)IPC_GUARD_HAS && (int)GUARD_RULE_MAX > (int)IPC_TEXT_MAX,
	       "what a message says fits");

enum ask {
	ASK_LOOK = LOCATION_LOOK,
	ASK_MAKE = LOCATION_MAKE,
	ASK_MADE = LOCATION_MADE,
	ASK_SEEN = LOCATION_SEEN,
	ASK_JUDGE = LOCATION_ASKS + GUARD_JUDGE,
	ASK_GUARD_SEEN = LOCATION_ASKS + GUARD_SEEN,
	ASK_TRIPPED = LOCATION_ASKS + GUARD_TRIPPED,
};

struct question {
	struct question *next;
	uint64_t instance, number;
	enum ask ask;
	struct guard_facts *facts; /* of the guard's; owned */
	bool allowed, entered;     /* entered: allowed only if the register is flushed */
	char *why;                 /* not; owned; NULL: no memory for it */
	size_t size;
	char path[];
};

struct queue {
	struct question *first, **end;
};

struct locations {
	struct workers *workers;
	struct mail_register *reg; /* NULL: there is no place for one */
	char *mail;
	locations_reply *reply; /* NULL: destroyed, freed when the job is over */
	void *context;
	struct queue waiting, batch;
	uint16_t counts[PROCESSES]; /* of waiting, by instance */
	struct job job;
	struct job_lane lane;
	bool working;              /* the job is under way */
	bool flush;                /* the job's: flush, whatever it enters */
	struct err flush_err;      /* the job's: how that ended; text "": well */
	struct loop_timer pause;   /* until entries without a flush are flushed */
	bool unflushed, flush_due; /* pause is set; pause is over */
	bool warned;
};

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

static void queue_add(struct queue *queue, struct question *question)
{
	question->next = NULL;
	*queue->end = question;
	queue->end = &question->next;
}

static struct question *queue_take(struct queue *queue)
{
	struct question *question = queue->first;

	queue->first = question->next;
	if (!queue->first)
		queue->end = &queue->first;
	return question;
}

static void free_question(struct question *question)
{
	free(question->facts);
	free(question->why);
	free(question);
}

/* ---- in the worker ---- */

static int missing(const struct locations *locations, pop3_span path, struct err *err)
{
	return err_set(
		err, EX_TEMPFAIL,
		"maildrop %.*s: it is not there, but it was before: mount its filesystem, or "
		"restore it; if it was removed on purpose: valija mark --forget %.*s %s",
		(int)path.size, path.data, (int)path.size, path.data, locations->mail);
}

/* An opening or a delivery: the maildrop is there. */
static int enter_seen(struct locations *locations, struct question *question, pop3_span path,
		      struct err *err)
{
	enum register_kind kind = REGISTER_NONE;

	if (!locations->reg)
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	if (register_find(locations->reg, path, &kind, err) < 0)
		return -1;
	question->entered = kind != REGISTER_MADE;
	return question->entered
		       ? register_enter(locations->reg, path, REGISTER_MADE, REGISTER_LATER, err)
		       : 0;
}

static int enter_guard_seen(struct locations *locations, struct question *question, pop3_span path,
			    struct err *err)
{
	if (enter_seen(locations, question, path, err) < 0)
		return -1;
	return guard_seen(locations->reg, path, question->facts, &question->entered, err);
}

/* What was refused is known until a person accepts it, or a session has it again. What is there is
 * served where nobody can tell; that it cannot be entered is in the log. */
static int judge_guard(struct locations *locations, struct question *question, pop3_span path,
		       struct err *err)
{
	struct err ignored;

	if (!locations->reg ||
	    guard_judge(locations->reg, path, question->facts, err) != GUARD_WRONG)
		return 0;
	(void)guard_alarm(locations->reg, path, &ignored);
	return -1;
}

static int enter_tripped(struct locations *locations, struct question *question, pop3_span path,
			 struct err *err)
{
	question->entered = locations->reg != NULL;
	return locations->reg ? guard_alarm(locations->reg, path, err) : 0;
}

/* 0: yes, if the register is flushed where something is entered; -1 with err. */
static int judge(struct locations *locations, struct question *question, pop3_span path,
		 struct err *err)
{
	enum register_kind kind = REGISTER_NONE;

	if (!locations->reg)
		return question->ask == ASK_LOOK
			       ? 0
			       : err_set(err, EX_CANTCREAT,
					 "maildrop %.*s: it cannot be made, for there is no state "
					 "folder with a register: set STATE_DIRECTORY",
					 (int)path.size, path.data);
	if (question->ask != ASK_MADE && register_find(locations->reg, path, &kind, err) < 0)
		return -1;
	if (kind == REGISTER_MADE)
		return missing(locations, path, err);
	if (question->ask == ASK_LOOK)
		return 0;
	question->entered = true;
	return register_enter(locations->reg, path,
			      question->ask == ASK_MAKE ? REGISTER_MAKING : REGISTER_MADE,
			      REGISTER_WITH_NEXT, err);
}

static int carry_out(struct locations *locations, struct question *question, pop3_span path,
		     struct err *err)
{
	switch (question->ask) {
	case ASK_SEEN:
		return enter_seen(locations, question, path, err);
	case ASK_GUARD_SEEN:
		return enter_guard_seen(locations, question, path, err);
	case ASK_JUDGE:
		return judge_guard(locations, question, path, err);
	case ASK_TRIPPED:
		return enter_tripped(locations, question, path, err);
	case ASK_LOOK:
	case ASK_MAKE:
	case ASK_MADE:
		break;
	}
	return judge(locations, question, path, err);
}

/* Is it a report, without an answer? */
static bool is_report(enum ask ask)
{
	return ask == ASK_SEEN || ask == ASK_GUARD_SEEN || ask == ASK_TRIPPED;
}

static void run(struct job *job)
{
	struct locations *locations = CONTAINER(job, struct locations, job);
	bool flush = locations->flush;

	for (struct question *q = locations->batch.first; q; q = q->next) {
		pop3_span path = {q->path, q->size};
		struct err err;

		q->allowed = carry_out(locations, q, path, &err) == 0;
		q->why = q->allowed ? NULL : strdup(err.text);
		flush = flush || (q->allowed && q->entered && !is_report(q->ask));
	}
	locations->flush_err.text[0] = '\0';
	if (flush && locations->reg)
		(void)register_flush(locations->reg, &locations->flush_err);
}

/* ---- on the loop ---- */

static void free_locations(struct locations *locations)
{
	while (locations->waiting.first)
		free_question(queue_take(&locations->waiting));
	while (locations->batch.first)
		free_question(queue_take(&locations->batch));
	register_destroy(locations->reg);
	free(locations->mail);
	free(locations);
}

static void work(struct locations *locations)
{
	if (locations->working || (!locations->waiting.first && !locations->flush_due))
		return;
	locations->batch = locations->waiting;
	if (!locations->batch.first)
		queue_init(&locations->batch);
	queue_init(&locations->waiting);
	memset(locations->counts, 0, sizeof(locations->counts));
	locations->flush = locations->flush_due;
	locations->flush_due = false;
	/* a job of a lane is refused only while valijad ends: nobody waits for an answer then */
	locations->working = workers_add(locations->workers, &locations->job, true) == 0;
}

static void pause_over(struct loop_timer *timer)
{
	struct locations *locations = timer->context;

	locations->unflushed = false;
	locations->flush_due = true;
	work(locations);
}

static void note_seen(struct locations *locations, const struct question *question)
{
	const char *why = question->why ? question->why : "out of memory";

	if (!question->allowed && !locations->warned)
		log_warning(
			"maildrops of %s cannot be entered in the register, so that one that goes "
			"missing would pass for a new user's: %s",
			locations->mail, why);
	locations->warned = !question->allowed;
	if (!question->entered || locations->unflushed || !locations->reply)
		return;
	locations->unflushed = true;
	loop_timer_set(&locations->pause, FLUSH_PAUSE);
}

static void answer(struct locations *locations, const struct question *question)
{
	const char *why = question->why ? question->why : "out of memory";
	struct ipc_location_answer answer = {.number = question->number,
					     .allowed = question->allowed};

	if (question->allowed && question->entered && locations->flush_err.text[0]) {
		why = locations->flush_err.text;
		answer.allowed = 0;
	}
	if (locations->reply)
		locations->reply(locations->context, question->instance, &answer,
				 (pop3_span){why, answer.allowed ? 0 : strlen(why)});
}

static void done(struct job *job)
{
	struct locations *locations = CONTAINER(job, struct locations, job);

	locations->working = false;
	if (locations->flush && locations->flush_err.text[0])
		log_warning("%s", locations->flush_err.text);
	while (locations->batch.first) {
		struct question *question = queue_take(&locations->batch);

		if (is_report(question->ask))
			note_seen(locations, question);
		else
			answer(locations, question);
		free_question(question);
	}
	work(locations);
	if (!locations->reply && !locations->working)
		free_locations(locations);
}

struct locations *locations_create(struct workers *workers, struct loop *loop,
				   const struct mail_root *root, const char *mail,
				   locations_reply *reply, void *context)
{
	struct locations *locations = calloc(1, sizeof(*locations));
	char file[MAIL_ROOT_MEMORY_MAX];

	if (locations)
		locations->mail = strdup(mail);
	if (!locations || !locations->mail) {
		free(locations);
		return NULL;
	}
	locations->workers = workers;
	locations->reply = reply;
	locations->context = context;
	locations->job = (struct job){.lane = &locations->lane, .run = run, .done = done};
	job_lane_init(&locations->lane);
	queue_init(&locations->waiting);
	queue_init(&locations->batch);
	loop_timer_init(&locations->pause, loop, pause_over, locations);
	if (mail_root_register(root, file) == 0)
		locations->reg = register_create(file);
	return locations;
}

bool locations_settle(struct locations *locations)
{
	if (!locations)
		return true;
	if (locations->unflushed) {
		loop_timer_cancel(&locations->pause);
		locations->unflushed = false;
		locations->flush_due = true;
	}
	work(locations);
	return !locations->working;
}

void locations_destroy(struct locations *locations)
{
	if (!locations)
		return;
	loop_timer_cancel(&locations->pause);
	locations->reply = NULL;
	locations->flush_due = locations->flush_due || locations->unflushed;
	work(locations);
	if (!locations->working)
		free_locations(locations);
}

/* One process that asks without end makes none but itself wait. */
static void refuse(struct locations *locations, uint64_t instance, uint64_t number, enum ask ask)
{
	char why[] = "too many questions about maildrops wait already";
	struct question question = {.instance = instance, .number = number, .why = why};

	if (is_report(ask))
		note_seen(locations, &question);
	else
		answer(locations, &question);
}

static void add(struct locations *locations, uint64_t instance, uint64_t number, enum ask ask,
		pop3_span path, struct guard_facts *facts)
{
	uint16_t *count = &locations->counts[instance % PROCESSES];
	struct question *question = NULL;

	if (*count < WAITING_MAX)
		question = calloc(1, sizeof(*question) + path.size);
	if (!question) {
		free(facts);
		refuse(locations, instance, number, ask);
		return;
	}
	++*count;
	question->instance = instance;
	question->number = number;
	question->ask = ask;
	question->facts = facts;
	question->size = path.size;
	memcpy(question->path, path.data, path.size);
	queue_add(&locations->waiting, question);
	work(locations);
}

void locations_ask(struct locations *locations, uint64_t instance,
		   const struct ipc_location *message)
{
	add(locations, instance, message->number, (enum ask)message->ask, ipc_text(message, 0),
	    NULL);
}

void locations_guard(struct locations *locations, uint64_t instance,
		     const struct ipc_guard *message)
{
	enum ask ask = (enum ask)(LOCATION_ASKS + message->ask);
	struct guard_facts *facts = calloc(1, sizeof(*facts));

	if (!facts) {
		refuse(locations, instance, message->number, ask);
		return;
	}
	memcpy(facts->folders, message->folders, sizeof(facts->folders));
	facts->has = message->has;
	(void)span_copy(ipc_text(message, 1), facts->rule, sizeof(facts->rule)); /* judged */
	add(locations, instance, message->number, ask, ipc_text(message, 0), facts);
}
