/* See bring.h. */
#include "maildrop/mbox/bring.h"

#include "maildrop/mbox/adopt/adopt.h"
#include "maildrop/mbox/current.h"
#include "maildrop/mbox/ids.h"

#include <errno.h>

static enum maildrop_status bring(struct mbox_place *place, const struct mail_origin *origin,
				  bool dry_run, struct adopt_report *ret, struct err *err)
{
	enum maildrop_status status = dry_run ? MAILDROP_OK : mbox_take_session(place, err);

	if (status == MAILDROP_OK)
		status = mbox_place_lock(place, err);
	if (status < 0)
		return status;
	status = mbox_adopt(place, origin, dry_run, ret, err);
	mbox_place_unlock(place);
	return status;
}

enum maildrop_status mbox_bring(const struct maildrop_settings *settings, int root_fd,
				const char *home, const struct mail_origin *origin, bool dry_run,
				struct adopt_report *ret, struct err *err)
{
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, false, err);

	*ret = (struct adopt_report){.is = ADOPT_PLAIN};
	if (status == MAILDROP_ABSENT)
		return MAILDROP_OK;
	if (status < 0)
		return status;
	status = bring(&place, origin, dry_run, ret, err);
	mbox_place_close(&place);
	return status;
}

static enum maildrop_status take_back(struct mbox_place *place, bool dry_run, bool *ret,
				      bool *ret_used, struct err *err)
{
	int any = mbox_has(place, MBOX_UIDL), used = mbox_has(place, MBOX_BASE);

	if (used == 0)
		used = mbox_has(place, MBOX_DELTA);
	if (any < 0 || used < 0)
		return mbox_failed(place, errno, place->names[MBOX_UIDL], "cannot be read", err);
	*ret = any > 0;
	*ret_used = any && used;
	if (!any || used || dry_run)
		return MAILDROP_OK;
	if (place->sys->unlinkat(place->state, place->names[MBOX_UIDL], 0) < 0 ||
	    place->sys->fsync(place->state) < 0)
		return mbox_failed(place, errno, place->names[MBOX_UIDL], "cannot be removed", err);
	return MAILDROP_OK;
}

enum maildrop_status mbox_take_back(const struct maildrop_settings *settings, int root_fd,
				    const char *home, bool dry_run, bool *ret, bool *ret_used,
				    struct err *err)
{
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, false, err);

	*ret = *ret_used = false;
	if (status == MAILDROP_ABSENT)
		return MAILDROP_OK;
	if (status < 0)
		return status;
	if (!dry_run)
		status = mbox_take_session(&place, err);
	if (status == MAILDROP_OK)
		status = take_back(&place, dry_run, ret, ret_used, err);
	mbox_place_close(&place);
	return status;
}
