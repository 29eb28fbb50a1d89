/* See enter.h. In a keeper's worker or a command of a person, with the rights of the mail's owner.
 */
#include "maildrop/mbox/adopt/enter.h"

#include "maildrop/mbox/adopt/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#define NOTE_MAX 512

static void note(const struct mbox_place *place, const struct adopt_report *report)
{
	char text[NOTE_MAX];

	if (!place->note || report->is != ADOPT_FOREIGN)
		return;
	snprintf(text, sizeof(text),
		 "mailbox %s: came from another server: %llu messages, %llu keep its unique ids, "
		 "%llu would be loaded again",
		 place->home, (unsigned long long)report->messages,
		 (unsigned long long)report->brought, (unsigned long long)report->again);
	place->note(place->note_context, text);
}

static enum maildrop_status adopt(struct mbox_place *place, const struct mail_origin *origin,
				  struct err *err)
{
	struct adopt_report report;
	enum maildrop_status status = mbox_place_lock(place, err);

	if (status < 0)
		return status;
	status = mbox_adopt(place, origin, false, &report, err);
	mbox_place_unlock(place);
	if (status == MAILDROP_OK)
		note(place, &report);
	return status;
}

enum maildrop_status mbox_enter(struct mbox_place *place, int root_fd, struct err *err)
{
	int ours = mbox_is_ours(place), known;
	struct mail_origin origin;

	if (ours < 0)
		return mbox_failed(place, errno, place->names[MBOX_UIDL], "cannot be read", err);
	if (ours)
		return MAILDROP_OK;
	known = mail_origin_read(place->sys, root_fd, &origin, err);
	if (known == 0)
		return MAILDROP_OK;
	if (known > 0 && mail_origin_is_of_mboxes(origin.server))
		return adopt(place, &origin, err);
	if (known > 0)
		err_set(err, EX_CONFIG,
			ORIGIN_FILE " of the mail folder says %s, which is a rule for Maildirs: "
				    "remove it and run valija import mbox",
			mail_origin_names[origin.server].word);
	err_prefix(err, "mailbox %s", place->home);
	return MAILDROP_PERM;
}
