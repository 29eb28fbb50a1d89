/* See undo.h. */
#include "cli/migrate/undo.h"

#include <inttypes.h>
#include <sysexits.h>
#include <unistd.h>

struct undo {
	const struct migrate *m;
	const struct move *move;
};

static int undo_as_owner(void *context, struct err *err)
{
	const struct undo *undo = context;
	const struct migrate *m = undo->m;
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = m->config.host_name};
	const char *home = user_home(undo->move->user);
	int folder = maildrop_folder(m->maker.roots[undo->move->user->root].fd, home, err);
	enum maildrop_status status;

	if (folder < 0)
		return EX_NOINPUT;
	status = writer_undo(&settings, folder, home, undo->move->source, m->options.dry_run,
			     &m->report->before, err);
	close(folder);
	return status == MAILDROP_OK ? EX_OK : EX_TEMPFAIL;
}

void undo_move(struct migrate *m, const struct user *user, struct migrate_totals *totals)
{
	struct err err = {0};
	struct move move;
	const struct undo undo = {m, &move};
	int there = move_find(m, user, &move, &err) < 0 ? -1 : move_make_maildrop(m, &move, &err);

	m->report->before = 0;
	if (there < 0 || (there > 0 && maker_as_owner(move.uid, move.gid, undo_as_owner,
						      (void *)(uintptr_t)&undo, &err) != EX_OK)) {
		tell_failed(totals, user, err.text);
		return;
	}
	totals->users++;
	tell_user(user, "%" PRIu64 " copies %s", m->report->before,
		  m->options.dry_run ? "would be removed" : "were removed");
}
