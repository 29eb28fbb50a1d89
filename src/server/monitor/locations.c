/* See locations.h. In the monitor, as root when that is root; a question is hostile. */
#include "server/monitor/locations.h"

#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { FLUSH_PAUSE = 10000 }; /* ms that an opening may be unknown after a power cut */

static void flush(struct loop_timer *timer)
{
	struct locations *locations = timer->context;
	struct err err;

	locations->flushing = false;
	if (register_flush(locations->reg, &err) < 0)
		log_warning("%s", err.text);
}

void locations_init(struct locations *locations, struct loop *loop, const struct mail_root *root,
		    const char *mail)
{
	char file[MAIL_ROOT_MEMORY_MAX];

	*locations = (struct locations){.mail = mail};
	if (mail_root_register(root, file) == 0)
		locations->reg = register_create(file);
	loop_timer_init(&locations->flush, loop, flush, locations);
}

void locations_finish(struct locations *locations)
{
	if (locations->flush.loop)
		loop_timer_cancel(&locations->flush);
	if (locations->flushing)
		(void)register_flush(locations->reg, NULL);
	register_destroy(locations->reg);
	*locations = (struct locations){0};
}

/* An opening or a delivery: the maildrop is there. */
static void seen(struct locations *locations, pop3_span path)
{
	enum register_kind kind = REGISTER_NONE;
	struct err err;
	int rc = locations->reg ? register_find(locations->reg, path, &kind, &err)
				: err_set(&err, EX_CANTCREAT,
					  "there is no state folder: set STATE_DIRECTORY");

	if (rc == 0 && kind == REGISTER_MADE)
		return;
	if (rc == 0)
		rc = register_enter(locations->reg, path, REGISTER_MADE, false, &err);
	if (rc < 0 && !locations->warned)
		log_warning(
			"maildrops of %s cannot be entered in the register, so that one that goes "
			"missing would pass for a new user's: %s",
			locations->mail, err.text);
	locations->warned = rc < 0;
	if (rc == 0 && !locations->flushing) {
		locations->flushing = true;
		loop_timer_set(&locations->flush, FLUSH_PAUSE);
	}
}

static int missing(const struct locations *locations, pop3_span path, struct err *err)
{
	return err_set(
		err, EX_TEMPFAIL,
		"maildrop %.*s: it is not there, but it was before: mount its filesystem, or "
		"restore it; if it was removed on purpose: valija mark --forget %.*s %s",
		(int)path.size, path.data, (int)path.size, path.data, locations->mail);
}

/* 0: yes; -1 with err. */
static int judge(struct locations *locations, enum ipc_location_ask ask, pop3_span path,
		 struct err *err)
{
	enum register_kind kind = REGISTER_NONE;

	if (!locations->reg)
		return ask == LOCATION_LOOK
			       ? 0
			       : err_set(err, EX_CANTCREAT,
					 "maildrop %.*s: it cannot be made, for there is no state "
					 "folder with a register: set STATE_DIRECTORY",
					 (int)path.size, path.data);
	if (ask != LOCATION_MADE && register_find(locations->reg, path, &kind, err) < 0)
		return -1;
	if (kind == REGISTER_MADE)
		return missing(locations, path, err);
	if (ask == LOCATION_LOOK)
		return 0;
	return register_enter(locations->reg, path,
			      ask == LOCATION_MAKE ? REGISTER_MAKING : REGISTER_MADE, true, err);
}

void locations_answer(struct locations *locations, struct chan *chan,
		      const struct ipc_location *question)
{
	struct ipc_location_answer answer = {.number = question->number};
	pop3_span path = ipc_text(question, 0), why;
	struct err err = {0};

	if (question->ask == LOCATION_SEEN) {
		seen(locations, path);
		return;
	}
	answer.allowed = judge(locations, (enum ipc_location_ask)question->ask, path, &err) == 0;
	why = (pop3_span){err.text, answer.allowed ? 0 : strlen(err.text)};
	(void)ipc_send_texts(chan, IPC_LOCATION_ANSWER, &answer, &why, 1);
}
