/* See mbox.h: what a person wants to know of a mailbox, and to have done after a crash. */
#include "maildrop/mbox/adopt/adopt.h"
#include "maildrop/mbox/current.h"
#include "maildrop/mbox/journal.h"
#include "maildrop/mbox/mbox.h"
#include "maildrop/mbox/reader.h"

#include <errno.h>

static void count_message(void *context, const struct mbox_message *message)
{
	struct mbox_report *report = context;

	if (message->pseudo)
		return;
	report->messages++;
	report->octets += message->octets;
}

static enum maildrop_status look(struct mbox_place *place, struct mbox_report *report,
				 struct err *err)
{
	struct mbox_index index;
	struct stat st;

	report->journal = mbox_journal_there(place);
	if (mbox_index_open(place, &index, NULL) == 0)
		report->deleted = index.index.delta.pending_count;
	mbox_index_close(&index);
	if (place->sys->fstat(place->lock.fd, &st) < 0 ||
	    mbox_read_messages(place->sys, place->lock.fd, 0, (uint64_t)st.st_size, count_message,
			       report) < 0)
		return mbox_failed(place, errno, NULL, "cannot be read", err);
	return MAILDROP_OK;
}

static enum maildrop_status look_locked(struct mbox_place *place, struct mbox_report *report,
					struct err *err)
{
	enum maildrop_status status = mbox_place_lock(place, err);

	if (status == MAILDROP_OK) {
		status = look(place, report, err);
		mbox_place_unlock(place);
	}
	return status;
}

enum maildrop_status mbox_check(const struct maildrop_settings *settings, int root_fd,
				const char *home, struct mbox_report *ret, struct err *err)
{
	struct mbox_report report = {0};
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, false, err);

	if (status < 0)
		return status;
	status = look_locked(&place, &report, err);
	mbox_place_close(&place);
	if (status == MAILDROP_OK)
		*ret = report;
	return status;
}

static enum maildrop_status recover_held(struct mbox_place *place, struct mbox_report *report,
					 struct err *err)
{
	struct mbox_index index;
	enum maildrop_status status;

	/* an index that is made here would give ids before those of another server are brought */
	if (mbox_is_ours(place) == 0)
		return look_locked(place, report, err);
	if (mbox_index_open(place, &index, NULL) == INDEX_NEWER)
		return mbox_newer(place, err);
	status = mbox_place_lock(place, err);
	if (status == MAILDROP_OK) {
		report->journal = mbox_journal_there(place);
		status = mbox_bring_current(place, &index, &report->carried_out, err);
		mbox_place_unlock(place);
	}
	if (status == MAILDROP_OK) {
		report->aside = report->journal && !report->carried_out;
		report->messages = index.index.delta.count;
		report->octets = index.index.delta.octets;
		report->deleted = index.index.delta.pending_count;
	}
	mbox_index_close(&index);
	return status;
}

enum maildrop_status mbox_recover(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct mbox_report *ret, struct err *err)
{
	struct mbox_report report = {0};
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, false, err);

	if (status < 0)
		return status;
	status = mbox_take_session(&place, err);
	if (status == MAILDROP_OK)
		status = recover_held(&place, &report, err);
	mbox_place_close(&place);
	if (status == MAILDROP_OK)
		*ret = report;
	return status;
}
