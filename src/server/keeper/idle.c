/* See idle.h. A keeper must not end while a request of auth is on its way. So it asks auth, with
 * the number of requests that it has taken: auth agrees only if it has sent no more than those, and
 * then sends none. */
#include "server/keeper/idle.h"

#include "base/descriptor.h"
#include "base/text.h"

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

/* The folder of a maildrop, by a way that is below the root and has no link in it; where it is not
 * there, the nearest one above it, which is what it will be made in. Component by component:
 * openat2() would do it at once, but RestrictSUIDSGID= of systemd, which cannot look into its
 * arguments, forbids it to the unit. -1: errno. */
static int open_home(int root_fd, const char *home, bool *ret_there)
{
	int dir = openat(root_fd, *home ? "." : "", O_PATH | O_DIRECTORY | O_CLOEXEC);

	*ret_there = true;
	while (dir >= 0 && *home) {
		char component[256];
		size_t n = strcspn(home, "/");
		int next = -1;

		errno = EXDEV;
		if (n > 0 && n < sizeof(component)) {
			memcpy(component, home, n);
			component[n] = '\0';
			if (strcmp(component, "..") != 0)
				next = openat(dir, component,
					      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (next < 0 && errno == ENOENT) {
			*ret_there = false;
			return dir;
		}
		close_fd(&dir);
		dir = next;
		home += n + (home[n] == '/');
	}
	return dir;
}

/* A maildrop that is not there yet is made by the owner of the folder that it will be in, or of its
 * root. Nobody becomes root by a maildrop that is not there. */
static int find_maker(int *fd, int root_fd, struct stat *ret)
{
	if (fstat(*fd, ret) == 0 && ret->st_uid != 0)
		return 0;
	close_fd(fd);
	*fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0 && fstat(*fd, ret) == 0 && ret->st_uid != 0)
		return 0;
	errno = EACCES;
	return -1;
}

int keeper_find_owner(struct keeper *keeper, struct err *err)
{
	const struct keeper_root *root = keeper_root_of(keeper, keeper->home_root);
	struct child *child = keeper->child;
	struct stat st;
	bool there;
	int fd;

	if (!keeper->on_demand || !child->change_ids)
		return 0;
	if (!root)
		return err_set(err, EX_SOFTWARE, "the monitor gave no mail directory");
	fd = open_home(root->fd, keeper->home, &there);
	if (fd < 0 || (there ? fstat(fd, &st) : find_maker(&fd, root->fd, &st)) < 0) {
		err_sys(err, EX_NOPERM, errno, "cannot find the owner of the maildrop %s",
			keeper->home);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	if (st.st_uid != child->uid)
		return err_set(err, EX_NOPERM,
			       there ? "the maildrop %s belongs to uid %u, not to uid %u"
				     : "the maildrop %s would be in a folder of uid %u, not of "
				       "uid %u",
			       keeper->home, (unsigned)st.st_uid, (unsigned)child->uid);
	child->gid = st.st_gid;
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
