/* See backoff.h. "UNTIL STEP WORDS" under one key of the journal; words were escaped before. */
#include "fetch/sink/backoff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	STEP_SECONDS = 60,
	STEP_MAX = 8, /* 60 s << 6 is more than an hour */
	HOUR = 3600,
	WAIT_MAX = 86400, /* longer ones, of a destination or of a clock that was wrong, are not
			     kept */
	WORDS_MAX = 200,
};

static const char key[] = "back-off";

static bool recall(const struct journal *journal, int64_t *ret_until, int *ret_step,
		   const char **ret_words)
{
	const char *text = journal_recall(journal, key);
	int at = 0;

	if (!text || sscanf(text, "%" SCNd64 " %d %n", ret_until, ret_step, &at) < 2 || at == 0 ||
	    *ret_step < 1)
		return false;
	*ret_words = text + at;
	return true;
}

int backoff_check(const struct journal *journal, int64_t now, struct err *err)
{
	const char *words;
	int64_t until;
	int step;

	if (!recall(journal, &until, &step, &words) || until <= now || until - now > WAIT_MAX)
		return 0;
	return err_set(err, EX_TEMPFAIL,
		       "the destination takes nothing now (%.200s): the next try is in %" PRId64
		       " s, or at once with --now",
		       words, until - now);
}

int backoff_note(struct journal *journal, const struct sink *sink, bool delivered, int64_t now,
		 const char *words, struct err *err)
{
	int64_t until = 0, wait = 0;
	char value[JOURNAL_VALUE_MAX];
	const char *before;
	int step = 0;
	bool known = recall(journal, &until, &step, &before);

	if (!sink->later)
		return delivered && known ? journal_remember(journal, key, "0 0 -", err) : 0;
	step = known && step < STEP_MAX && !delivered ? step + 1 : known && !delivered ? step : 1;
	if (step > 1)
		wait = (int64_t)STEP_SECONDS << (step - 2);
	wait = wait < HOUR ? wait : HOUR;
	wait = wait > sink->wait ? wait : sink->wait;
	wait = wait < WAIT_MAX ? wait : WAIT_MAX;
	snprintf(value, sizeof(value), "%" PRId64 " %d %.*s", now + wait, step, WORDS_MAX, words);
	return journal_remember(journal, key, value, err);
}
