/* See mover.h. */
#include "cli/migrate/mover.h"

#include "cli/migrate/people.h"
#include "cli/migrate/round.h"
#include "cli/migrate/secret.h"

#include <stdio.h>
#include <time.h>

enum { PAUSE_MS = 250, PAUSE_MAX_MS = 8000, CUTS_MAX = 3 };

/* The outcome changes by itself, perhaps soon. */
static bool may_change(enum writer_outcome outcome)
{
	return outcome == WRITER_YIELDED || outcome == WRITER_BUSY || outcome == WRITER_COPIED ||
	       outcome == WRITER_CUT;
}

static void sleep_ms(uint64_t ms)
{
	const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
				       .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&pause, NULL);
}

static int play_rounds(struct migrate *m, const struct move *move, uint64_t *ret_copied,
		       struct err *err)
{
	uint64_t until = migrate_now_ms() + m->options.wait_seconds * 1000, pause = PAUSE_MS;
	unsigned cuts = 0;

	for (;;) {
		if (round_play(m, move, err) < 0)
			return -1;
		if (m->unasked.code)
			movers_complain(move->user->name, m->unasked.text);
		*ret_copied += m->report->copied;
		cuts += m->report->outcome == WRITER_CUT;
		if (!may_change(m->report->outcome) || migrate_now_ms() >= until ||
		    cuts >= CUTS_MAX)
			return 0;
		sleep_ms(pause);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
}

void mover_move(struct migrate *m, const struct user *user, struct migrate_totals *totals)
{
	struct err err = {0};
	uint64_t copied = 0;
	struct move move;
	int can = move_find(m, user, &move, &err) < 0 ? -1 : secret_known(m, &move, &err);

	if (can == 0)
		tell_left(totals, user,
			  "has not logged in yet: the password is learned at the first login");
	else if (can < 0 || move_make_maildrop(m, &move, &err) < 0 ||
		 play_rounds(m, &move, &copied, &err) < 0)
		tell_failed(totals, user, err.text);
	else
		tell_moved(totals, m->report, user, copied);
	fflush(stdout);
}
