/* See print.h. */
#include "cli/migrate/print.h"

#include "cli/migrate/people.h"
#include "maildrop/maildir/migrate/migrate.h"
#include "users/schemes.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

static const char not_here[] = "the mail is not here yet: valija migrate --user NAME";

struct question {
	const struct migrate *m;
	const struct move *move;
};

/* EX_OK: the mail is here; EX_TEMPFAIL with err: it is not, or nobody can tell. */
static int ask_as_owner(void *context, struct err *err)
{
	const struct question *question = context;
	const struct migrate *m = question->m;
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = m->config.host_name};
	const char *home = user_home(question->move->user);
	int folder = maildrop_folder(m->maker.roots[question->move->user->root].fd, home, err);
	struct migration_totals totals = {.has_switched = false};
	struct migration *migration;
	enum maildrop_status status;

	if (folder < 0 && err->errnum == ENOENT)
		err_set(err, EX_TEMPFAIL, "%s", not_here);
	if (folder < 0)
		return EX_TEMPFAIL;
	status = migration_open(&settings, folder, home, question->move->source, true, &migration,
				err);
	close(folder);
	if (status != MAILDROP_OK)
		return EX_TEMPFAIL;
	migration_totals(migration, &totals);
	migration_close(migration);
	if (totals.has_switched)
		return EX_OK;
	err_set(err, EX_TEMPFAIL, "%s", not_here);
	return EX_TEMPFAIL;
}

static int find_hash(struct migrate *m, const struct move *move, char *stored, size_t size,
		     struct err *err)
{
	const char *name = move->user->name;
	struct secret password;
	int rc;

	if (move->section->credentials != CONFIG_REMOTE_SAME)
		return err_set(err, EX_CONFIG, "no password is learned by section %s",
			       move->section->name);
	secret_init(&password);
	rc = passwords_find(&m->passwords, &m->config, move->section, name, &password, err);
	if (rc == 0)
		rc = scheme_make(SCHEME_USUAL, &password, stored, size, err);
	secret_finish(&password);
	return rc;
}

void print_password(struct migrate *m, const struct user *user, struct migrate_totals *totals)
{
	char stored[USER_SECRET_MAX + 1];
	struct err err = {0};
	struct move move;
	const struct question question = {m, &move};

	if (move_find(m, user, &move, &err) < 0 ||
	    maker_as_owner(move.uid, move.gid, ask_as_owner, (void *)(uintptr_t)&question, &err) !=
		    EX_OK ||
	    find_hash(m, &move, stored, sizeof(stored), &err) < 0) {
		totals->failed++;
		movers_complain(user->name, err.text);
		return;
	}
	printf("%s:%s\n", user->name, stored);
	wipe(stored, sizeof(stored));
}
