/* See idle.h. A keeper must not end while a request of auth is on its way. So it asks auth, with
 * the number of requests that it has taken: auth agrees only if it has sent no more than those, and
 * then sends none. */
#include "server/keeper/idle.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

void keeper_take_owner(struct keeper *keeper, const struct ipc_owner *message)
{
	keeper->on_demand = true;
	keeper->home_root = message->root;
	(void)span_copy(ipc_text(message, 0), keeper->home, sizeof(keeper->home));
}

/* The owner of a maildrop. */
struct home {
	struct stat own;   /* of the maildrop; where it is not there, of the folder above it */
	struct stat above; /* of the folder that it is in */
	bool there;
};

/* One step of the way: what is below dir. An mbox, at the end of the way, is a file. -1: errno. */
static int open_component(int dir, const char *home, size_t n, bool mbox)
{
	int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (mbox && !home[n] ? 0 : O_DIRECTORY);
	char component[256];

	errno = EXDEV;
	if (n == 0 || n >= sizeof(component))
		return -1;
	memcpy(component, home, n);
	component[n] = '\0';
	return strcmp(component, "..") == 0 ? -1 : openat(dir, component, flags);
}

/* A maildrop, by a way that is below the root and has no link in it; where it is not there, the
 * nearest folder above it, which is what it will be made in. Component by component: openat2()
 * would do it at once, but RestrictSUIDSGID= of systemd, which cannot look into its arguments,
 * forbids it to the unit. -1: errno. */
static int find_home(int root_fd, const char *home, bool mbox, struct home *ret)
{
	int dir = openat(root_fd, *home ? "." : "", O_PATH | O_DIRECTORY | O_CLOEXEC), next, rc;

	ret->there = true;
	while (dir >= 0 && *home && ret->there) {
		size_t n = strcspn(home, "/");

		if (fstat(dir, &ret->above) < 0)
			break;
		next = open_component(dir, home, n, mbox);
		ret->there = next >= 0 || errno != ENOENT;
		if (ret->there) {
			close_fd(&dir);
			dir = next;
			home += n + (home[n] == '/');
		}
	}
	if (dir < 0)
		return -1;
	rc = fstat(dir, &ret->own);
	close(dir);
	return rc;
}

/* A maildrop that is not there yet is made by the owner of the folder that it will be in, or of its
 * root. Nobody becomes root by a maildrop that is not there. */
static int find_maker(int root_fd, struct stat *ret)
{
	if (ret->st_uid != 0 || (fstat(root_fd, ret) == 0 && ret->st_uid != 0))
		return 0;
	errno = EACCES;
	return -1;
}

/* If a mailbox is not there, and its folder is that of all users, auth has the uid from the user's
 * entry. A mailbox has the group of its folder, which may be that of all mail: no keeper gets it.
 */
static void judge_mbox(const struct child *child, struct home *home)
{
	bool own_folder = home->above.st_uid == child->uid;

	if (!home->there && !own_folder && home->above.st_uid == 0 && child->uid != 0)
		home->own.st_uid = child->uid;
	home->own.st_gid = own_folder ? home->above.st_gid : PROCESS_NO_GROUP;
}

static int find_owner(const struct child *child, const struct keeper_root *root, const char *path,
		      struct home *ret)
{
	bool mbox = child->config->roots[root->index].store == CONFIG_MBOX;

	if (find_home(root->fd, path, mbox, ret) < 0)
		return -1;
	if (mbox)
		judge_mbox(child, ret);
	return ret->there ? 0 : find_maker(root->fd, &ret->own);
}

int keeper_find_owner(struct keeper *keeper, struct err *err)
{
	const struct keeper_root *root = keeper_root_of(keeper, keeper->home_root);
	struct child *child = keeper->child;
	struct home home;

	if (!keeper->on_demand || !child->change_ids)
		return 0;
	if (!root)
		return err_set(err, EX_SOFTWARE, "the monitor gave no mail directory");
	if (find_owner(child, root, keeper->home, &home) < 0)
		return err_sys(err, EX_NOPERM, errno, "cannot find the owner of the maildrop %s",
			       keeper->home);
	if (home.own.st_uid != child->uid)
		return err_set(err, EX_NOPERM,
			       home.there
				       ? "the maildrop %s belongs to uid %u, not to uid %u"
				       : "the maildrop %s would be in a folder of uid %u, not of "
					 "uid %u",
			       keeper->home, (unsigned)home.own.st_uid, (unsigned)child->uid);
	child->gid = home.own.st_gid;
	return 0;
}

static bool at_work(const struct keeper *keeper)
{
	return keeper->busy || keeper->places.count || keeper->child->draining;
}

uint64_t keeper_idle(const struct child *child)
{
	const struct keeper *keeper = child->state;

	if (!keeper || !keeper->on_demand || at_work(keeper))
		return 0;
	return loop_now(child->loop) - keeper->used + 1;
}

static void ask_auth(struct keeper *keeper)
{
	for (struct peer *peer = keeper->child->peers; peer; peer = peer->next) {
		struct ipc_leave message = {.passed = peer->passed};

		if (peer->role == ROLE_AUTH)
			ipc_send(&peer->chan, IPC_LEAVE, &message);
	}
}

static uint64_t life(const struct keeper *keeper)
{
	return keeper->child->config->owner_idle_seconds * 1000ull;
}

static void look(struct loop_timer *timer)
{
	struct keeper *keeper = timer->context;
	uint64_t idle = keeper_idle(keeper->child), most = life(keeper);

	if (idle > most)
		ask_auth(keeper);
	loop_timer_set(timer, idle && idle <= most ? most - idle + 1 : most);
}

void keeper_idle_begin(struct keeper *keeper)
{
	if (!keeper->on_demand)
		return;
	keeper->used = loop_now(keeper->child->loop);
	loop_timer_init(&keeper->look, keeper->child->loop, look, keeper);
	loop_timer_set(&keeper->look, life(keeper));
}

void keeper_asked_to_leave(struct keeper *keeper)
{
	struct ipc_pong busy = {.idle = 0};

	if (keeper->on_demand && !at_work(keeper))
		ask_auth(keeper);
	else
		ipc_send(&keeper->child->monitor, IPC_PONG, &busy);
}

void keeper_may_leave(struct peer *auth)
{
	struct keeper *keeper = auth->child->state;
	struct ipc_leave message = {0};

	if (!keeper->on_demand || keeper->busy || keeper->places.count) {
		peer_break(auth, "it ends a keeper that is at work");
		return;
	}
	ipc_send(&keeper->child->monitor, IPC_LEAVE, &message);
	for (struct peer *peer = keeper->child->peers; peer; peer = peer->next)
		if (peer != auth)
			ipc_send(&peer->chan, IPC_LEAVE, &message);
	child_exit(keeper->child);
}
