/* See open.h: the session of a user whose mail moves here from another server. */
#include "maildrop/maildir/migrate/look.h"
#include "maildrop/maildir/session/open.h"

/* The mail that came here before the switch. The session has the lock, so that no switch comes; one
 * may have come since the look. */
static enum maildrop_status open_part(const struct maildrop_settings *settings, int root_fd,
				      const char *home, struct maildrop **ret, bool *ret_partly,
				      struct err *err)
{
	enum maildrop_status status = maildir_open(settings, root_fd, home, ret, err);
	enum migration_state state;

	if (status != MAILDROP_OK)
		return status;
	status = migration_state(&((struct maildir *)*ret)->place, &state, err);
	if (status == MAILDROP_OK && state != MIGRATION_OVER &&
	    (state == MIGRATION_SWITCHING || !(*ret)->snapshot.count))
		status = MAILDROP_ELSEWHERE;
	if (status == MAILDROP_OK) {
		*ret_partly = state == MIGRATION_COPYING;
		return MAILDROP_OK;
	}
	maildir_close(*ret);
	*ret = NULL;
	return status;
}

enum maildrop_status maildir_open_moving(const struct maildrop_settings *settings, int root_fd,
					 const char *home, struct maildrop **ret, bool *ret_partly,
					 struct err *err)
{
	struct maildir_place place;
	enum migration_state state;
	enum maildrop_status status =
		maildir_place_begin(&place, settings, root_fd, home, PLACE_THERE, err);

	*ret_partly = false;
	if (status != MAILDROP_OK)
		return status;
	status = migration_look(&place, &state, err);
	maildir_place_close(&place);
	if (!ret && (status == MAILDROP_OK || status == MAILDROP_ELSEWHERE))
		return MAILDROP_CANCELLED;
	if (status == MAILDROP_OK)
		return maildir_open(settings, root_fd, home, ret, err);
	/* copies that are shown would get their places in the index now, in whatever order */
	if (status == MAILDROP_ELSEWHERE && state == MIGRATION_COPYING)
		return open_part(settings, root_fd, home, ret, ret_partly, err);
	return status;
}
