/* See bring.h. */
#include "maildrop/maildir/bring.h"

#include "maildrop/maildir/adopt/adopt.h"
#include "maildrop/maildir/adopt/receive.h"
#include "maildrop/maildir/adopt/undo.h"
#include "maildrop/maildir/adopt/whose.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static const struct maildrop_settings plain = {.host_name = "localhost"},
				      keeping = {.host_name = "localhost",
						 .retention = {.keep_seconds = 1}};

static int begin(struct maildir_place *place, const struct maildrop_settings *settings, int folder,
		 const char *home, struct err *err)
{
	if (maildir_place_init(place, settings, home) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "maildrop %s", home);
	if (folder < 0)
		return 0;
	place->dir = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (place->dir >= 0)
		return 0;
	err_sys(err, EX_TEMPFAIL, errno, "maildrop %s", home);
	maildir_place_close(place);
	return -1;
}

enum maildrop_status maildir_bring(int folder, int control, const char *home,
				   const struct mail_origin *origin, bool dry_run,
				   struct adopt_report *ret, struct err *err)
{
	enum maildrop_status status;
	struct maildir_place place;

	*ret = (struct adopt_report){.is = ADOPT_PLAIN};
	if (begin(&place, &plain, folder, home, err) < 0)
		return MAILDROP_TEMP;
	status = maildir_adopt(&place, control, origin, dry_run, ret, err);
	maildir_place_close(&place);
	return status;
}

int maildir_look(int folder, const char *home, struct maildir_looked *ret)
{
	struct maildir_place place;
	int rc, any;

	if (begin(&place, &plain, folder, home, NULL) < 0)
		return -1;
	rc = maildir_whose(&place, folder, &ret->is, &ret->lists);
	any = rc < 0 ? -1 : maildir_has_message(&place);
	ret->has_mail = any > 0;
	maildir_place_close(&place);
	return any < 0 ? -1 : 0;
}

enum maildrop_status maildir_take_back(int folder, int control, const char *home,
				       enum origin_server server, bool keep_deleted, bool dry_run,
				       struct undo_report *ret, struct err *err)
{
	enum maildrop_status status;
	struct maildir_place place;

	*ret = (struct undo_report){.is = UNDO_NOTHING};
	if (begin(&place, keep_deleted ? &keeping : &plain, folder, home, err) < 0)
		return MAILDROP_TEMP;
	status = maildir_adopt_undo(&place, control, server, dry_run, ret, err);
	maildir_place_close(&place);
	return status;
}

enum maildrop_status maildir_receive(int folder, const char *home, const struct mail_origin *origin,
				     const struct maildir_incoming *incoming, bool dry_run,
				     struct adopt_report *ret, struct err *err)
{
	enum maildrop_status status;
	struct maildir_place place;

	*ret = (struct adopt_report){.is = ADOPT_FOREIGN};
	if (begin(&place, &plain, folder, home, err) < 0)
		return MAILDROP_TEMP;
	status = maildir_receive_all(&place, origin, incoming, dry_run, ret, err);
	maildir_place_close(&place);
	return status;
}

enum maildrop_status maildir_unreceive(int folder, const char *home, enum origin_server server,
				       bool dry_run, struct undo_report *ret, struct err *err)
{
	enum maildrop_status status;
	struct maildir_place place;

	*ret = (struct undo_report){.is = UNDO_NOTHING};
	if (begin(&place, &plain, folder, home, err) < 0)
		return MAILDROP_TEMP;
	status = maildir_receive_undo(&place, server, dry_run, ret, err);
	maildir_place_close(&place);
	return status;
}
