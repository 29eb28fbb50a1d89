/*
 * How a process gives up what it does not need: uid and groups, capabilities, root directory, no
 * new privileges, not dumpable, rlimits, Landlock, seccomp. After sandbox_enter nothing can be got
 * back. Without root everything but the uid change and the empty root is done all the same. What
 * the kernel lacks (Landlock, seccomp) is said in the log once, not fatal.
 *
 * Enter before any thread is started. Whatever a library opens lazily must have been opened before:
 * in fronts TLS contexts, in auth the SASL library and the first password hash of each kind (no
 * code can be mapped afterwards but in fetch), in all of them the loop and /dev/null. A keeper that
 * links unnamed files takes a descriptor of /proc/self/fd along: with an empty root there is no
 * /proc. Exceeding RLIMIT_FSIZE is an error (EFBIG), not a signal.
 */
#ifndef SYS_SANDBOX_H
#define SYS_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_role {
	SANDBOX_FRONT,
	SANDBOX_AUTH,
	SANDBOX_KEEPER,
	SANDBOX_FETCH,
	SANDBOX_ROLE_COUNT
};

enum sandbox_access {
	SANDBOX_READ = 1,
	SANDBOX_WRITE = 2 /* also create, remove, rename, link (REFER) */
};

struct sandbox_path {
	int fd; /* directory or file, O_PATH is enough */
	int access;
};

struct sandbox {
	enum sandbox_role role;
	bool change_ids; /* as root: to uid/gid, no supplementary groups. uid 0 is allowed: then all
			    capabilities go */
	uid_t uid;
	gid_t gid;
	bool empty_root; /* as root: chroot into an empty, unlinked, unwritable directory (pivot
			    into a detached tmpfs or the like) */
	struct sandbox_path
		paths[8]; /* beneath these only; count 0: no file at all can be opened */
	unsigned path_count;
	uint64_t max_files; /* RLIMIT_NOFILE is left alone; RLIMIT_FSIZE, 0: no limit */
	bool allow_connect; /* fetch: outgoing TCP */
};

int sandbox_enter(const struct sandbox *sandbox, struct err *err);
/* Looks up a system user. -1: no such user. */
int sandbox_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err);

#endif
