/* See locker.h. As the user without rights and with the group of the folder; each call waits for
 * the filesystem of the mail. What keepers send is hostile. */
#include "server/locker/locker.h"

#include "base/log.h"
#include "base/text.h"
#include "maildrop/mbox/dotlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	NAME_SIZE = 240, /* with NUL: ".lock" and a pid fit behind it */
	KEY_SIZE = 65,
	HELD_MAX = 256, /* of one keeper: it has no more threads */
};

struct held {
	struct held *next;
	int fd;      /* the lock file: no other gets its inode while it is open */
	bool marked; /* there is a journal */
	char name[NAME_SIZE];
};

struct locks {
	struct held *first;
	unsigned count;
};

struct locker {
	int folder_fd;
	struct mbox_calls calls;
};

static struct locker *locker_of(const struct peer *peer)
{
	return peer->child->state;
}

static void lock_path(const char *name, char ret[NAME_SIZE + 8])
{
	size_t n = strlen(name);

	memcpy(ret, name, n);
	memcpy(ret + n, ".lock", sizeof(".lock"));
}

/* ---- what may be asked for ---- */

static bool is_name(pop3_span text)
{
	pop3_span end = SPAN_LITERAL(".lock");

	if (!text.size || text.size >= NAME_SIZE || text.data[0] == '.' ||
	    memchr(text.data, '/', text.size) || memchr(text.data, '\0', text.size))
		return false;
	return text.size < end.size ||
	       memcmp(text.data + text.size - end.size, end.data, end.size) != 0;
}

/* It stands in a line of the lock file. */
static bool is_key(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if (!memchr("0123456789abcdef", text.data[i], 16))
			return false;
	return text.size < KEY_SIZE;
}

static bool is_mailbox_of(const struct locker *locker, const char *name, uint32_t uid)
{
	struct stat st;

	return fstatat(locker->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_uid == uid;
}

/* ---- locks ---- */

static struct held **find(struct locks *locks, const char *name)
{
	struct held **at = &locks->first;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

/* Another program may have taken it for stale, and made its own. */
static void remove_file(const struct locker *locker, const struct held *held)
{
	char path[NAME_SIZE + 8];
	struct stat own, st;

	lock_path(held->name, path);
	if (fstat(held->fd, &own) == 0 &&
	    fstatat(locker->folder_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == own.st_ino && st.st_dev == own.st_dev)
		(void)unlinkat(locker->folder_fd, path, 0);
}

static void forget(struct locks *locks, struct held **at)
{
	struct held *held = *at;

	*at = held->next;
	locks->count--;
	close(held->fd);
	free(held);
}

/* All return 0, or what errno says. */

static int take(struct peer *keeper, const char *name, const char *key)
{
	const struct locker *locker = locker_of(keeper);
	struct locks *locks = keeper->data;
	char path[NAME_SIZE + 8];
	struct held *held;

	if (!is_mailbox_of(locker, name, keeper->uid))
		return EPERM;
	if (locks->count >= HELD_MAX || *find(locks, name))
		return EEXIST;
	held = calloc(1, sizeof(*held));
	if (!held)
		return ENOMEM;
	lock_path(name, path);
	held->fd = dotlock_take(&locker->calls, locker->folder_fd, path, *key ? key : NULL);
	if (held->fd == 0)
		held->fd = openat(locker->folder_fd, path,
				  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (held->fd < 0) {
		int error = errno;

		free(held);
		return error;
	}
	memcpy(held->name, name, strlen(name) + 1);
	held->next = locks->first;
	locks->first = held;
	locks->count++;
	return 0;
}

static int mark(const struct peer *keeper, const char *name)
{
	const struct locker *locker = locker_of(keeper);
	struct held *held = *find(keeper->data, name);
	char path[NAME_SIZE + 8];

	if (!held)
		return ENOENT;
	lock_path(name, path);
	if (dotlock_mark(&locker->calls, locker->folder_fd, path) < 0)
		return errno;
	held->marked = true;
	return 0;
}

static int release(const struct peer *keeper, const char *name)
{
	struct locks *locks = keeper->data;
	struct held **at = find(locks, name);

	if (!*at)
		return ENOENT;
	remove_file(locker_of(keeper), *at);
	forget(locks, at);
	return 0;
}

static int carry_out(struct peer *keeper, const struct ipc_lock *message)
{
	pop3_span name = ipc_text(message, 0), key = ipc_text(message, 1);
	char name_text[NAME_SIZE], key_text[KEY_SIZE];

	if (!is_name(name) || !is_key(key))
		return EINVAL;
	(void)span_copy(name, name_text, sizeof(name_text));
	(void)span_copy(key, key_text, sizeof(key_text));
	switch ((enum ipc_lock_what)message->what) {
	case LOCK_TAKE:
		return take(keeper, name_text, key_text);
	case LOCK_MARK:
		return mark(keeper, name_text);
	case LOCK_RELEASE:
		return release(keeper, name_text);
	case LOCK_WHATS:
		break;
	}
	return EINVAL;
}

/* ---- the role ---- */

static void peer_up(struct peer *keeper)
{
	keeper->data = calloc(1, sizeof(struct locks));
	if (!keeper->data)
		peer_break(keeper, "out of memory");
}

static void peer_message(struct peer *keeper, enum ipc_type type, const void *data, int *fds)
{
	const struct ipc_lock *message = data;
	struct ipc_lock_answer answer = {.number = message->number};

	(void)fds;
	if (type != IPC_LOCK || !keeper->data)
		return;
	answer.errnum = (uint32_t)carry_out(keeper, message);
	peer_send(keeper, IPC_LOCK_ANSWER, &answer);
}

/* The mailbox behind a journal is not whole: its lock stays for the next session. */
static void peer_gone(struct peer *keeper)
{
	struct locks *locks = keeper->data;

	while (locks && locks->first) {
		if (locks->first->marked)
			log_warning("%s.lock stays: the keeper of uid %u ended while it rewrote "
				    "the mailbox, and the next login puts it in order",
				    locks->first->name, keeper->uid);
		else
			remove_file(locker_of(keeper), locks->first);
		forget(locks, &locks->first);
	}
	free(locks);
	keeper->data = NULL;
	child_drained(keeper->child, keeper, 0);
}

static struct locker *root_struct(struct child *child)
{
	bool is_new;
	struct locker *locker = child_state(child, sizeof(*locker), &is_new);

	if (!is_new)
		return locker;
	locker->folder_fd = -1;
	locker->calls.sys = &maildrop_kernel;
	return locker;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *data, int *fds)
{
	struct locker *locker = root_struct(child);
	const struct ipc_directory *message = data;

	if (type != IPC_DIRECTORY || message->kind != DIRECTORY_MAIL || locker->folder_fd >= 0)
		return;
	locker->folder_fd = fds[0];
	fds[0] = -1;
}

static int start(struct child *child, struct err *err)
{
	struct locker *locker = root_struct(child);
	struct sandbox sandbox;

	if (locker->folder_fd < 0)
		return err_set(err, EX_SOFTWARE, "the monitor gave no mail directory");
	child_sandbox(child, SANDBOX_LOCKER, &sandbox);
	/* /proc shows which holders of lock files live; Landlock lets nothing there be opened */
	sandbox.empty_root = false;
	sandbox.paths[sandbox.path_count++] =
		(struct sandbox_path){locker->folder_fd, SANDBOX_READ | SANDBOX_WRITE};
	return sandbox_enter(&sandbox, err);
}

const struct child_role locker_role = {
	.role = ROLE_LOCKER,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
};
