/* See prove.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/files/prove.h"

#include "maildrop/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum maildrop_status maildir_prove(struct maildir_place *place, unsigned has, const char *rule,
				   struct err *err)
{
	const struct guard *guard = place->settings->guard;
	struct guard_facts facts = {.has = has};
	enum maildrop_status status;

	if (!guard || place->settings->guard_accepts || place->proven)
		return MAILDROP_OK;
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_stamp stamp;

		if (maildir_stamp(place, d, &stamp) < 0)
			return MAILDROP_OK;
		facts.folders[d] = stamp.inode;
	}
	snprintf(facts.rule, sizeof(facts.rule), "%s", rule);
	status = (enum maildrop_status)guard->judge(guard->context, place->home, &facts, err);
	place->proven = status == MAILDROP_OK;
	return status;
}

int maildir_note_ids(struct maildir_place *place, const char *rule)
{
	place->has_ids = true;
	if (!rule)
		return 0;
	free(place->rule);
	place->rule = strdup(rule);
	return place->rule ? 0 : -1;
}
