/* See guard.h. */
#include "maildrop/guard.h"

#include "base/text.h"

#include <stdio.h>
#include <sysexits.h>

#define TO_DO                                                                           \
	"restore it from a backup, or mount its filesystem; if it shall be so: valija " \
	"guard accept USER, and clients load what they do not know"

enum { FOLDERS_MAX = 48 };

static pop3_span folders_of(const struct guard_facts *facts, char buf[FOLDERS_MAX])
{
	snprintf(buf, FOLDERS_MAX, "%llu %llu", (unsigned long long)facts->folders[0],
		 (unsigned long long)facts->folders[1]);
	return span_of(buf);
}

static enum guard_verdict refuse(pop3_span location, const char *why, struct err *err)
{
	err_set(err, EX_TEMPFAIL, "maildrop %.*s: %s: " TO_DO, (int)location.size, location.data,
		why);
	return GUARD_WRONG;
}

/* Would the messages get the unique ids that they had? */
static enum guard_verdict judge_ids(struct mail_register *reg, pop3_span location,
				    const struct guard_facts *facts, struct err *err)
{
	bool brought, by_rule = false;

	if (register_knows(reg, location, REGISTER_BROUGHT, (pop3_span){0}, &brought, err) < 0)
		return GUARD_UNKNOWN;
	if (brought && !(facts->has & GUARD_IDS) && facts->rule[0] &&
	    register_knows(reg, location, REGISTER_BROUGHT, span_of(facts->rule), &by_rule, err) <
		    0)
		return GUARD_UNKNOWN;
	if (brought && !(facts->has & GUARD_IDS) && !by_rule)
		return refuse(location,
			      facts->rule[0]
				      ? "its unique ids came by another rule than valija import "
					"recorded last, and valija-uidl, which had them, is gone"
				      : "its unique ids came from another server, and valija-uidl, "
					"which had them, is gone with the index",
			      err);
	if (!brought && facts->rule[0])
		return refuse(location,
			      "its unique ids were of our own, its index is gone, and the rule of "
			      "another server would give others",
			      err);
	return GUARD_RIGHT;
}

enum guard_verdict guard_judge(struct mail_register *reg, pop3_span location,
			       const struct guard_facts *facts, struct err *err)
{
	char folders[FOLDERS_MAX];
	enum guard_verdict verdict;
	bool served, same = true;

	if (register_knows(reg, location, REGISTER_SERVED, (pop3_span){0}, &served, err) < 0)
		return GUARD_UNKNOWN;
	if (!served)
		return GUARD_RIGHT;
	verdict = judge_ids(reg, location, facts, err);
	if (verdict != GUARD_RIGHT)
		return verdict;
	if (!(facts->has & GUARD_FILES) &&
	    register_knows(reg, location, REGISTER_FOLDERS, folders_of(facts, folders), &same,
			   err) < 0)
		return GUARD_UNKNOWN;
	return same ? GUARD_RIGHT
		    : refuse(location,
			     "another Maildir stands in the place of the one that was served, "
			     "without its index",
			     err);
}

static int note(struct mail_register *reg, pop3_span location, enum register_fact fact,
		pop3_span words, bool is_so, bool *ret_entered, struct err *err)
{
	bool is;

	if (register_knows(reg, location, fact, words, &is, err) < 0)
		return -1;
	if (is == is_so)
		return 0;
	*ret_entered = true;
	return register_note(reg, location, fact, words, is_so, REGISTER_LATER, err);
}

/* Ids and folders are known before it counts as served: what a crash leaves is no alarm. */
int guard_seen(struct mail_register *reg, pop3_span location, const struct guard_facts *facts,
	       bool *ret_entered, struct err *err)
{
	const pop3_span none = {0};
	char folders[FOLDERS_MAX];
	bool ids = facts->has & GUARD_IDS;

	if (ids && facts->rule[0] &&
	    note(reg, location, REGISTER_BROUGHT, span_of(facts->rule), true, ret_entered, err) < 0)
		return -1;
	if (ids && note(reg, location, REGISTER_BROUGHT, none, true, ret_entered, err) < 0)
		return -1;
	if (note(reg, location, REGISTER_FOLDERS, folders_of(facts, folders), true, ret_entered,
		 err) < 0 ||
	    note(reg, location, REGISTER_SERVED, none, true, ret_entered, err) < 0)
		return -1;
	return note(reg, location, REGISTER_ALARM, none, false, ret_entered, err);
}

int guard_alarm(struct mail_register *reg, pop3_span location, struct err *err)
{
	return register_note(reg, location, REGISTER_ALARM, (pop3_span){0}, true, REGISTER_LATER,
			     err);
}

int guard_accept(struct mail_register *reg, pop3_span location, const struct guard_facts *facts,
		 bool lost_ids, struct err *err)
{
	bool ignored;

	if (lost_ids && register_note(reg, location, REGISTER_BROUGHT, (pop3_span){0}, false,
				      REGISTER_WITH_NEXT, err) < 0)
		return -1;
	if (guard_seen(reg, location, facts, &ignored, err) < 0)
		return -1;
	return register_flush(reg, err);
}

int guard_forget(struct mail_register *reg, pop3_span location, struct err *err)
{
	static const enum register_fact facts[] = {REGISTER_SERVED, REGISTER_BROUGHT,
						   REGISTER_ALARM};

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++)
		if (register_note(reg, location, facts[i], (pop3_span){0}, false,
				  REGISTER_WITH_NEXT, err) < 0)
			return -1;
	return register_flush(reg, err);
}
