/* See where.h. */
#include "cli/migrate/where.h"

#include "cli/migrate/move.h"
#include "maildrop/maildir/migrate/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct look {
	const struct migrate *m;
	const struct move *move;
};

static int say_totals(const struct move *move, const struct migration_totals *totals,
		      struct err *err)
{
	const char *section = move->section->name;
	time_t since = (time_t)totals->switched_at;
	char date[32];
	struct tm tm;

	if (!totals->has_switched)
		err_set(err, 0, "there (%s); %" PRIu64 " messages are copied here", section,
			totals->copied);
	else if (gmtime_r(&since, &tm) && strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm))
		err_set(err, 0, "here since %s UTC, from %s", date, section);
	return EX_OK;
}

/* As the owner of the mail, perhaps in a process of its own, from which err comes back: the words
 * are there. */
static int look_as_owner(void *context, struct err *err)
{
	const struct look *look = context;
	const struct move *move = look->move;
	const struct migrate *m = look->m;
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = m->config.host_name};
	const char *home = user_home(move->user);
	int folder = maildrop_folder(m->maker.roots[move->user->root].fd, home, err);
	struct migration *migration;
	struct migration_totals totals;

	if (folder < 0)
		return EX_NOINPUT;
	if (migration_open(&settings, folder, home, move->source, true, &migration, err) !=
	    MAILDROP_OK) {
		close(folder);
		return EX_TEMPFAIL;
	}
	migration_totals(migration, &totals);
	migration_close(migration);
	close(folder);
	return say_totals(move, &totals, err);
}

static int look_for(struct migrate *m, const struct user *user, struct err *err)
{
	struct move move;
	struct look look = {m, &move};
	int there = -1;

	m->options.dry_run = true; /* nothing is made */
	maker_find_stores(&m->config);
	if (maker_init(&m->maker, &m->config, err) == 0 && move_find(m, user, &move, err) == 0)
		there = move_make_maildrop(m, &move, err);
	if (there < 0)
		return -1;
	if (there > 0)
		return maker_as_owner(move.uid, move.gid, look_as_owner, &look, err) == EX_OK ? 0
											      : -1;
	err_set(err, 0, "there (%s); nothing is copied yet", move.section->name);
	return 0;
}

void migrate_where(const struct config *config, const struct user *user,
		   char words[WHERE_WORDS_MAX])
{
	struct migrate *m = calloc(1, sizeof(*m));
	struct err err = {.text = "out of memory"};
	int rc = -1;

	if (m) {
		m->config = *config;
		m->private_fd = -1;
		rc = look_for(m, user, &err);
		maker_finish(&m->maker);
	}
	free(m);
	snprintf(words, WHERE_WORDS_MAX, "%s%s", rc < 0 ? "it cannot be told: " : "", err.text);
}
