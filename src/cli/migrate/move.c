/* See move.h. */
#include "cli/migrate/move.h"

#include "base/text.h"
#include "cli/command.h"
#include "config/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

uint64_t migrate_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int migrate_init(struct migrate *m, struct err *err)
{
	void *shared = mmap(NULL, sizeof(*m->report), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "out of memory");
	m->report = shared;
	if (config_load(command_config(m->options.config_file), &m->config, err) < 0)
		return -1;
	maker_find_stores(&m->config);
	return maker_init(&m->maker, &m->config, err);
}

void migrate_finish(struct migrate *m)
{
	passwords_free(m->passwords);
	maker_finish(&m->maker);
	if (m->report)
		munmap(m->report, sizeof(*m->report));
}

int move_find(struct migrate *m, const struct user *user, struct move *ret, struct err *err)
{
	const struct config_remote *section = &m->config.remotes[user->migrate_section - 1];

	*ret = (struct move){.user = user, .section = section};
	if (user->remote_user[0])
		snprintf(ret->login, sizeof(ret->login), "%s", user->remote_user);
	else if (config_remote_login(section, span_of(user->name), ret->login, sizeof(ret->login)) <
		 0)
		return err_set(err, EX_CONFIG, "the name at %s does not fit", section->name);
	snprintf(ret->path, sizeof(ret->path), "%s/%s", section->name, user->name);
	snprintf(ret->source, sizeof(ret->source), "%s %s", section->name, ret->login);
	if (maker_owner(&m->maker, user, &ret->uid, &ret->gid) < 0)
		return err_set(err, EX_NOPERM,
			       "the maildrop belongs to root, but the mail does not: chown it");
	return 0;
}

int move_make_maildrop(struct migrate *m, const struct move *move, struct err *err)
{
	struct maker_root *root = maker_root(&m->maker, move->user);
	struct stat st;

	if (root->store != STORE_MAILDIR)
		return err_set(err, EX_CONFIG,
			       "the mail folder %s does not have Maildirs: only a Maildir can be "
			       "moved to",
			       m->config.roots[move->user->root].path);
	if (fstatat(root->fd, user_home(move->user), &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (m->options.dry_run || m->options.undo)
		return 0;
	return maker_make(&m->maker, move->user, move->uid, move->gid, err) < 0 ? -1 : 1;
}

int move_open_folder(const struct migrate *m, const struct move *move, struct err *err)
{
	bool root = geteuid() == 0;
	int fd;

	if (root && (setgroups(0, NULL) < 0 || setegid(move->gid) < 0 || seteuid(move->uid) < 0))
		return err_sys(err, EX_NOPERM, errno, "cannot become the owner of the mail");
	fd = maildrop_folder(m->maker.roots[move->user->root].fd, user_home(move->user), err);
	if (root && (seteuid(0) < 0 || setegid(0) < 0))
		return err_sys(err, EX_NOPERM, errno, "cannot be root again");
	return fd;
}
