/* See current.h. In a keeper's worker or a command of a person, with the rights of the mail's
 * owner. */
#include "maildrop/mbox/current.h"

#include "maildrop/mbox/journal.h"
#include "maildrop/mbox/update.h"

#include <errno.h>
#include <sysexits.h>

enum maildrop_status mbox_bring_current(struct mbox_place *place, struct mbox_index *index,
					bool *ret_carried_out, struct err *err)
{
	enum maildrop_status status;

	*ret_carried_out = false;
	status = mbox_journal_recover(place, ret_carried_out, err);
	if (status == MAILDROP_OK)
		status = mbox_update(place, index, *ret_carried_out, err);
	/* also if the index could not be written: the mailbox is whole, and what changes in it from
	 * now on must not be undone */
	if (*ret_carried_out && mbox_journal_remove(place) < 0)
		return mbox_failed(place, errno, place->names[MBOX_JOURNAL], "cannot be removed",
				   err);
	return status;
}

enum maildrop_status mbox_newer(const struct mbox_place *place, struct err *err)
{
	return mbox_failed(place, EPROTONOSUPPORT, place->names[MBOX_BASE], "cannot be read", err);
}

enum maildrop_status mbox_take_session(struct mbox_place *place, struct err *err)
{
	if (mbox_session_lock(place) == 0)
		return MAILDROP_OK;
	if (errno != EAGAIN)
		return mbox_failed(place, errno, place->names[MBOX_LOCK], "cannot be locked", err);
	err_set(err, EX_TEMPFAIL, "mailbox %s: another session has it", place->home);
	return MAILDROP_IN_USE;
}
