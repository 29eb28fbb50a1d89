/* See enter.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/adopt/enter.h"

#include "maildrop/guard.h"
#include "maildrop/maildir/adopt/adopt.h"
#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/files/prove.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define NOTE_MAX 512

static enum maildrop_status refuse(const struct maildir_place *place, unsigned lists,
				   struct err *err)
{
	char demand[ORIGIN_DEMAND_MAX];

	mail_origin_demand(lists, demand);
	err_set(err, EX_CONFIG,
		"maildrop %s: %s (for all users; --dry-run shows it), or valija import none to "
		"give new ids, so that clients load all again",
		place->home, demand);
	return MAILDROP_PERM;
}

static void note(const struct maildir_place *place, const struct adopt_report *report)
{
	char text[NOTE_MAX];

	if (!place->settings->note || report->is != ADOPT_FOREIGN)
		return;
	snprintf(text, sizeof(text),
		 "maildrop %s: came from another server: %llu messages, %llu keep its unique ids, "
		 "%llu would be loaded again",
		 place->home, (unsigned long long)report->messages,
		 (unsigned long long)report->brought, (unsigned long long)report->again);
	place->settings->note(place->settings->note_context, text);
}

/* No file of ours is in it. Is it one that was served before, whose unique ids would be others? */
static enum maildrop_status prove(struct maildir_place *place, const struct mail_origin *origin,
				  bool brings, struct err *err)
{
	char rule[ORIGIN_TEXT_MAX] = "";

	if (brings && origin->server != ORIGIN_NONE)
		mail_origin_print(origin, rule);
	return maildir_prove(place, 0, rule, err);
}

static enum maildrop_status adopt(struct maildir_place *place, int root_fd, struct err *err)
{
	struct mail_origin origin;
	struct adopt_report report;
	enum maildrop_status status;
	bool brings;
	enum adopt_is is;
	unsigned lists;
	int known;

	if (maildir_whose(place, place->dir, &is, &lists) < 0)
		return maildir_failed(place, errno, NULL, "cannot be read", err);
	if (is == ADOPT_OURS)
		return MAILDROP_OK;
	known = mail_origin_read(place->sys, root_fd, &origin, err);
	brings = known > 0 && (is == ADOPT_FOREIGN || mail_origin_is_of_names(origin.server));
	if (known >= 0) {
		status = prove(place, &origin, brings, err);
		if (status < 0)
			return status;
	}
	if (is == ADOPT_PLAIN && known >= 0 && !brings)
		return MAILDROP_OK;
	if (known < 0) {
		err_prefix(err, "maildrop %s", place->home);
		return MAILDROP_PERM;
	}
	if (known == 0)
		return refuse(place, lists, err);
	status = maildir_adopt(place, place->dir, &origin, false, &report, err);
	if (status == MAILDROP_OK)
		note(place, &report);
	return status;
}

enum maildrop_status maildir_enter(struct maildir_place *place,
				   const struct maildrop_settings *settings, int root_fd,
				   const char *home, enum maildir_want want, struct err *err)
{
	enum maildrop_status status =
		maildir_place_begin(place, settings, root_fd, home, want, err);

	if (status == MAILDROP_OK && !maildir_place_has_lock(place)) {
		status = adopt(place, root_fd, err);
		if (status < 0)
			maildir_place_close(place);
	}
	return status == MAILDROP_OK ? maildir_place_end(place, settings, root_fd, want, err)
				     : status;
}
