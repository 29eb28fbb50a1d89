/*
 * Removal of the rights that a process does not need: uid and groups, capabilities, root directory,
 * new privileges, core files, rlimits, Landlock, seccomp. None of it can be undone after
 * sandbox_enter. Without root all of it is done but the change of uid and the empty root. A kernel
 * without Landlock or seccomp is no failure; one line in the log says so.
 *
 * Enter before any thread is started. Files that a library opens lazily must have been opened
 * before: in fronts TLS contexts, in auth the SASL library and the first password hash of each kind
 * (no code can be mapped afterwards but in fetch), in all of them the loop and /dev/null. A keeper
 * that links unnamed files keeps a descriptor of /proc/self/fd: with an empty root there is no
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
	SANDBOX_KEYS,
	SANDBOX_LMTP,      /* a front that writes to files it was given, in threads */
	SANDBOX_LOOKUP,    /* asks a database: connects, and reads some files */
	SANDBOX_LOGINS,    /* one file in one folder, in a thread */
	SANDBOX_STATUS,    /* answers HTTP, by libevent */
	SANDBOX_LOCKER,    /* lock files in one folder */
	SANDBOX_CONNECTOR, /* dials other servers; names are looked up in threads */
	SANDBOX_GRANTS,    /* a lookup that keeps files in one folder, too */
	SANDBOX_REACH, /* a keeper of mail in a cluster: connects, reads some files, in threads */
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

struct sandbox_program;

struct sandbox {
	enum sandbox_role role;
	/* as root: to uid and gid, no supplementary groups. uid 0 is allowed where there is
	 * Landlock: then all capabilities go */
	bool change_ids;
	uid_t uid;
	gid_t gid;
	bool empty_root; /* as root: chroot into an empty, removed, unwritable directory */
	/* files beneath these only; count 0: no file at all can be opened */
	struct sandbox_path paths[20];
	unsigned path_count;
	uint64_t max_files;  /* RLIMIT_NOFILE is left alone; RLIMIT_FSIZE, 0: no limit */
	bool allow_connect;  /* fetch, lookup, connector: outgoing TCP */
	uint16_t ports[129]; /* connector: to these alone; port_count 0: to any */
	unsigned port_count;
	bool allow_bind; /* fetch: from an address of its choice, at no port of its choice */
	const struct sandbox_program *program; /* of the role; NULL: it is made here */
};

/*
 * The filter of a role, made once for the processes that are forked from this one: making it costs
 * a millisecond or two. It is the same filter, but for the calls that name the process itself,
 * which a second one checks. NULL with err: it cannot be made.
 */
struct sandbox_program *sandbox_program_make(enum sandbox_role role, struct err *err);
void sandbox_program_free(struct sandbox_program *program);

/* Adds a file or folder, by a descriptor that stays open. One that does not exist needs no rule;
 * nor does NULL or "". No more are added than there is room for. */
void sandbox_add_path(struct sandbox *sandbox, const char *path, int access);
/* -1: a step failed, and some are done already: the process must exit. */
int sandbox_enter(const struct sandbox *sandbox, struct err *err);
/*
 * For a process that runs modules of the system (PAM), and stays root because these ask for it: the
 * only confinement of a process whose code is not known. It keeps of its capabilities
 * CAP_DAC_READ_SEARCH and CAP_AUDIT_WRITE, reads and runs every file, writes below /tmp, /var/tmp
 * and /run/faillock only, sends signals to its own children only, makes no namespace, listens
 * nowhere, and touches no other process, mount, kernel module or clock. Programs that it starts
 * have the same bounds. PDEATHSIG has to be set again afterwards. -1: the process must exit.
 */
int sandbox_enter_modules(struct err *err);
/* Whether a process of uid 0 can be confined to the mail: sandbox_enter refuses to start one that
 * cannot. */
int sandbox_check_root(struct err *err);
/* Looks up a system user. -1: no such user. */
int sandbox_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err);

#endif
