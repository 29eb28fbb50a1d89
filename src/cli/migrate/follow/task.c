/* See task.h. */
#include "cli/migrate/follow/task.h"

#include "base/secret.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/migrate/follow/helper.h"
#include "cli/migrate/people.h"
#include "cli/migrate/round.h"
#include "cli/migrate/secret.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

_Static_assert(sizeof(struct task_report) < HELPER_PACKET_MAX, "a packet takes it");

/* ---- all users ---- */

static void send_two(int out, enum task_list kind, const char *name, const char *words)
{
	char text[USER_NAME_MAX + 1 + sizeof(((struct err *)0)->text)];
	size_t name_size = strlen(name) + 1, size = strlen(words);

	if (name_size + size > sizeof(text))
		return;
	memcpy(text, name, name_size);
	memcpy(text + name_size, words, size);
	helper_send(out, (char)kind, (pop3_span){text, name_size + size});
}

static void send_one(struct people *people, const struct config *config, const char *name, int out)
{
	struct user user = {0};
	struct err err = {0};
	enum people_found found = people_look(people, name, &user, &err);

	if (found == PEOPLE_MOVES)
		send_two(out, TASK_MOVES, name, config->remotes[user.migrate_section - 1].name);
	else if (found == PEOPLE_WRONG)
		send_two(out, TASK_TROUBLE, name, err.text);
	wipe(&user, sizeof(user));
}

/* Also the names that came where others are missing. */
static int list(const struct migrate_options *options, int out, struct err *err)
{
	static struct config config; /* large */
	struct name_list names = {0};
	struct people people;
	int rc;

	if (config_load(command_config(options->config_file), &config, err) < 0)
		return -1;
	maker_find_stores(&config);
	rc = people_open(&people, &config, err);
	if (rc == 0) {
		rc = people_list(&people, "they move when they log in", &names, err);
		for (size_t i = 0; i < names.count; i++)
			send_one(&people, &config, names.names[i], out);
	}
	if (rc == 0 && names.short_of_memory)
		rc = err_set(err, EX_OSERR, "out of memory");
	name_list_finish(&names);
	people_close(&people);
	return rc;
}

void task_list(const void *argument, int out)
{
	struct err err = {0};
	int rc = list(argument, out, &err);

	helper_send(out, rc < 0 ? TASK_UNLISTED : TASK_LISTED, span_of(err.text));
}

/* ---- one of them ---- */

/* The writer's report is of a process that has read another server's mail. */
static void take_report(struct task_report *report, const struct migrate *m)
{
	report->round = *m->report;
	report->round.why[sizeof(report->round.why) - 1] = '\0';
	report->outcome = TASK_PLAYED;
	report->unasked = m->unasked.code != 0;
	snprintf(report->why, sizeof(report->why), "%s",
		 report->unasked ? m->unasked.text : report->round.why);
}

static int move_user(struct migrate *m, const struct user *user, struct task_report *report,
		     struct err *err)
{
	struct move move;

	snprintf(report->section, sizeof(report->section), "%s",
		 m->config.remotes[user->migrate_section - 1].name);
	if (move_find(m, user, &move, err) < 0)
		return -1;
	switch (secret_known(m, &move, err)) {
	case 0:
		report->outcome = TASK_WAITS;
		return 0;
	case 1:
		break;
	default:
		return -1;
	}
	if (move_make_maildrop(m, &move, err) < 0 || round_play(m, &move, err) < 0)
		return -1;
	take_report(report, m);
	return 0;
}

/* 1: it moves; 0: it does not; -1 with err. */
static int find_user(struct migrate *m, const char *name, struct user *ret, struct err *err)
{
	struct people people;
	int rc = people_open(&people, &m->config, err);

	if (rc == 0) {
		enum people_found found = people_look(&people, name, ret, err);

		rc = found == PEOPLE_MOVES;
		if (found == PEOPLE_WRONG || (found == PEOPLE_BROKEN && err->code != EX_NOUSER))
			rc = -1;
	}
	people_close(&people); /* no writer gets it */
	return rc;
}

static int find_and_move(struct migrate *m, const char *name, struct task_report *report,
			 struct err *err)
{
	struct user user = {0};
	int rc = find_user(m, name, &user, err);

	m->users = &user;
	m->user_count = 1;
	if (rc > 0)
		rc = move_user(m, &user, report, err);
	wipe(&user, sizeof(user));
	return rc;
}

void task_round(const void *argument, int out)
{
	const struct task *task = argument;
	struct migrate *m = calloc(1, sizeof(*m));
	struct task_report report = {.outcome = TASK_NONE};
	struct err err = {0};

	if (!m)
		return; /* as if it had died */
	m->options = *task->options;
	m->private_fd = out;
	signal(SIGPIPE, SIG_IGN);
	if (migrate_init(m, &err) < 0 || find_and_move(m, task->name, &report, &err) < 0) {
		report.outcome = TASK_WRONG;
		snprintf(report.why, sizeof(report.why), "%s", err.text);
	}
	helper_send(out, 'R', (pop3_span){(const char *)&report, sizeof(report)});
	migrate_finish(m);
	free(m);
}
