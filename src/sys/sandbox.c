/* See sandbox.h. Every child of the monitor, `valija fetch`: once, single-threaded, as root or not.
 * The order matters: steps that need privilege first, seccomp last. */
#include "sys/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#if SANDBOX_SANITIZED && defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>

/* LeakSanitizer traces the process from a second one, which the sandbox forbids: it is switched
 * off. Processes without a sandbox are still checked. */
int __lsan_is_turned_off(void)
{
	return prctl(PR_GET_DUMPABLE) == 0;
}
#endif

/* Makes an empty directory in parent, as root; enter_empty_root removes its name again. */
static int make_empty_directory(const char *parent, int *ret_parent, char *name)
{
	char path[64];
	int parent_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	if (parent_fd < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/valija-empty-XXXXXX", parent);
	if (!mkdtemp(path)) {
		close(parent_fd);
		return -1;
	}
	strncpy(name, path + strlen(parent) + 1, 31);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		unlinkat(parent_fd, name, AT_REMOVEDIR);
		close(parent_fd);
		return -1;
	}
	*ret_parent = parent_fd;
	return fd;
}

static int enter_empty_root(struct err *err)
{
	static const char *const parents[] = {"/run", "/tmp", "/dev/shm", "/var/tmp"};
	char name[32] = "";
	int fd = -1, parent_fd = -1, result = 0;

	for (size_t i = 0; i < sizeof(parents) / sizeof(*parents) && fd < 0; i++)
		fd = make_empty_directory(parents[i], &parent_fd, name);
	if (fd < 0)
		return err_sys(
			err, EX_OSERR, errno,
			"cannot make an empty root directory in /run, /tmp, /dev/shm or /var/tmp");
	if (fchmod(fd, 0555) < 0 || fchdir(fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		result = err_sys(err, EX_OSERR, errno, "cannot enter an empty root directory");
	/* nothing can be made in a removed directory */
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && !result)
		result = err_sys(err, EX_OSERR, errno, "cannot remove the empty root directory");
	close(fd);
	close(parent_fd);
	return result;
}

static int drop_ids(const struct sandbox *sandbox, struct err *err)
{
	uid_t uid = sandbox->uid;
	gid_t gid = sandbox->gid;

	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot become uid %u, gid %u", (unsigned)uid,
			       (unsigned)gid);
	return 0;
}

static void drop_bounding_set(void)
{
	for (unsigned long capability = 0; capability < 64; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* uid 0 gives no capabilities from here on */
	prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
					 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
					 SECBIT_NO_CAP_AMBIENT_RAISE |
					 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
}

static int drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (syscall(SYS_capset, &header, none) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot give up capabilities");
	return 0;
}

void sandbox_add_path(struct sandbox *sandbox, const char *path, int access)
{
	int fd;

	if (!path || !path[0] ||
	    sandbox->path_count == sizeof(sandbox->paths) / sizeof(sandbox->paths[0]))
		return;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		sandbox->paths[sandbox->path_count++] = (struct sandbox_path){fd, access};
}

/* A change of uid cancels PDEATHSIG: it is set again. */
static int renew_parent_signal(int number, pid_t parent, struct err *err)
{
	if (!number)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot ask for the parent's death signal");
	if (getppid() != parent)
		raise(number); /* the parent died meanwhile */
	return 0;
}

static int set_limits(const struct sandbox *sandbox, struct err *err)
{
	struct rlimit none = {0, 0}, size = {sandbox->max_files, sandbox->max_files};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot forbid core files");
	if ((sandbox->role == SANDBOX_FRONT || sandbox->role == SANDBOX_KEYS ||
	     sandbox->role == SANDBOX_STATUS) &&
	    setrlimit(RLIMIT_NPROC, &none) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot forbid new processes");
	if (!sandbox->max_files)
		return 0;
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &size) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot limit the size of files");
	return 0;
}

int sandbox_enter(const struct sandbox *sandbox, struct err *err)
{
	bool root = geteuid() == 0;
	pid_t parent = getppid();
	int parent_signal = 0;

	if (sandbox->change_ids && root && !sandbox->uid && sandbox_check_root(err) < 0)
		return -1;
	prctl(PR_GET_PDEATHSIG, &parent_signal, 0, 0, 0);
	if (sandbox->empty_root && root && enter_empty_root(err) < 0)
		return -1;
	if (root)
		drop_bounding_set();
	if (set_limits(sandbox, err) < 0)
		return -1;
	if (sandbox->change_ids && root && drop_ids(sandbox, err) < 0)
		return -1;
	if (drop_capabilities(err) < 0)
		return -1;
	if (getuid() != 0 && (setresuid(0, 0, 0) == 0 || setuid(0) == 0))
		return err_set(err, EX_OSERR, "uid %u could become root again", (unsigned)getuid());
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot forbid new privileges");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, EX_OSERR, errno,
			       "cannot forbid tracing and core files (PR_SET_DUMPABLE)");
	if (renew_parent_signal(parent_signal, parent, err) < 0)
		return -1;
	if (sandbox_landlock(sandbox, err) < 0)
		return -1;
	return sandbox_seccomp(sandbox, err) < 0 ? -1 : 0;
}

#define MODULES_KEEP (1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_AUDIT_WRITE)

/* Keeps those of the set that the process has. */
static int cut_capabilities(uint64_t *ret_kept, struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	uint64_t kept;

	if (syscall(SYS_capget, &header, data) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot read capabilities");
	kept = (data[0].permitted | (uint64_t)data[1].permitted << 32) & MODULES_KEEP;
	/* without CAP_SETPCAP these fail; then NO_NEW_PRIVS alone keeps programs from more */
	for (unsigned long capability = 0; capability < 64; capability++)
		if (!(kept & 1ULL << capability))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted = data[i].effective = (uint32_t)(kept >> 32 * i);
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot give up capabilities");
	*ret_kept = kept;
	return 0;
}

int sandbox_enter_modules(struct err *err)
{
	struct rlimit none = {0, 0};
	uint64_t kept;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot forbid core files");
	if (setgroups(0, NULL) < 0 && geteuid() == 0)
		return err_sys(err, EX_OSERR, errno, "cannot leave supplementary groups");
	if (cut_capabilities(&kept, err) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot forbid new privileges");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, EX_OSERR, errno,
			       "cannot forbid tracing and core files (PR_SET_DUMPABLE)");
	if (sandbox_landlock_modules(err) < 0)
		return -1;
	return sandbox_seccomp_modules(kept & 1ULL << CAP_AUDIT_WRITE, err);
}

int sandbox_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(name);
	if (!entry && errno && errno != ENOENT)
		return err_sys(err, EX_OSERR, errno, "cannot look up the user %s", name);
	if (!entry)
		return err_set(err, EX_NOUSER, "there is no user %s", name);
	*ret_uid = entry->pw_uid;
	*ret_gid = entry->pw_gid;
	return 0;
}
