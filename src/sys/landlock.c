/*
 * Landlock for sandbox_enter, in every child of the monitor and `valija fetch`: files only beneath
 * the given paths, no TCP, no signals and no abstract sockets beyond this process, as far as the
 * kernel supports it. By system call: the C library has no wrappers, and the constants of later
 * versions are not in older headers.
 */
#include "sys/sandbox_internal.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

/* linux/landlock.h as of ABI 6; the kernel takes the shorter forms of older ones */
struct ruleset {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) beneath {
	uint64_t access;
	int32_t fd;
};

enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2, CREATE_RULESET_VERSION = 1 };

#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_FIRST ((1ULL << 13) - 1) /* ABI 1 */
#define FS_IOCTL_DEV (1ULL << 15)   /* ABI 5 */
#define NET_BIND_TCP (1ULL << 0)    /* ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1) /* ABI 4 */
#define SCOPE_ABSTRACT (1ULL << 0)  /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)    /* ABI 6 */

#define READ_ACCESS (FS_READ_FILE | FS_READ_DIR)
#define WRITE_ACCESS                                                                             \
	(FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | \
	 FS_TRUNCATE)
#define FILE_ACCESS (FS_EXECUTE | FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE)

static size_t fill_ruleset(const struct sandbox *sandbox, long abi, struct ruleset *ret)
{
	*ret = (struct ruleset){.fs = FS_FIRST};
	if (abi >= 2)
		ret->fs |= FS_REFER;
	if (abi >= 3)
		ret->fs |= FS_TRUNCATE;
	if (abi >= 5)
		ret->fs |= FS_IOCTL_DEV;
	if (abi >= 4)
		ret->net = sandbox->allow_connect && !sandbox->port_count
				   ? NET_BIND_TCP
				   : NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 6)
		ret->scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	return abi >= 6 ? sizeof(*ret) : abi >= 4 ? 16 : 8;
}

static int add_rule(int ruleset_fd, const struct ruleset *ruleset, int fd, uint64_t access,
		    struct err *err)
{
	struct beneath rule = {.access = access, .fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, EX_OSERR, errno, "Landlock: cannot examine an allowed path");
	if (!S_ISDIR(st.st_mode))
		rule.access &= FILE_ACCESS;
	rule.access &= ruleset->fs;
	if (rule.access &&
	    syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(err, EX_OSERR, errno, "Landlock: cannot add a path");
	return 0;
}

static int add_path(int ruleset_fd, const struct ruleset *ruleset, const struct sandbox_path *path,
		    struct err *err)
{
	uint64_t access = 0;

	if (path->access & SANDBOX_READ)
		access |= READ_ACCESS;
	if (path->access & SANDBOX_WRITE)
		access |= WRITE_ACCESS;
	return add_rule(ruleset_fd, ruleset, path->fd, access, err);
}

static int add_port(int ruleset_fd, const struct ruleset *ruleset, uint64_t access, uint16_t port,
		    struct err *err)
{
	const struct {
		uint64_t access, port;
	} rule = {access, port};

	if (!(ruleset->net & access))
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, RULE_NET_PORT, &rule, 0) < 0)
		return err_sys(err, EX_OSERR, errno, "Landlock: cannot add a port");
	return 0;
}

/* To bind, port 0: any address, the kernel chooses the port. */
static int add_ports(int ruleset_fd, const struct sandbox *sandbox, const struct ruleset *ruleset,
		     struct err *err)
{
	if (sandbox->allow_bind && add_port(ruleset_fd, ruleset, NET_BIND_TCP, 0, err) < 0)
		return -1;
	for (unsigned i = 0; i < sandbox->port_count; i++)
		if (add_port(ruleset_fd, ruleset, NET_CONNECT_TCP, sandbox->ports[i], err) < 0)
			return -1;
	return 0;
}

static bool writes(const struct sandbox *sandbox)
{
	for (unsigned i = 0; i < sandbox->path_count; i++)
		if (sandbox->paths[i].access & SANDBOX_WRITE)
			return true;
	return false;
}

static long version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
}

int sandbox_check_root(struct err *err)
{
	if (version() >= 2)
		return 0;
	return err_set(err, EX_UNAVAILABLE,
		       "mail that belongs to root is not served: its keeper would be root, and "
		       "only Landlock of Linux 5.19 or later confines that to the mail; chown -R "
		       "vmail: it, or enable Landlock");
}

/* Closes fd. */
static int restrict_self(int fd, struct err *err)
{
	int rc = 0;

	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		rc = err_sys(err, EX_OSERR, errno, "Landlock: cannot restrict the process");
	close(fd);
	return rc;
}

int sandbox_landlock(const struct sandbox *sandbox, struct err *err)
{
	long abi = version();
	struct ruleset ruleset;
	size_t size;
	int fd;

	if (abi < 1) {
		log_warning("this kernel has no Landlock: seccomp and permissions alone confine "
			    "files");
		return 0;
	}
	if (abi < 2 && writes(sandbox)) {
		log_warning("Landlock is left out: before Linux 5.19 it forbids links and renames "
			    "between folders; seccomp and permissions alone confine files");
		return 0;
	}
	size = fill_ruleset(sandbox, abi, &ruleset);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "Landlock: cannot make a rule set");
	for (unsigned i = 0; i < sandbox->path_count; i++)
		if (add_path(fd, &ruleset, &sandbox->paths[i], err) < 0) {
			close(fd);
			return -1;
		}
	if (add_ports(fd, sandbox, &ruleset, err) < 0) {
		close(fd);
		return -1;
	}
	return restrict_self(fd, err);
}

/* One that is not there needs no rule. */
static int add_named(int ruleset_fd, const struct ruleset *ruleset, const char *name,
		     uint64_t access, struct err *err)
{
	int fd = open(name, O_PATH | O_CLOEXEC), rc = 0;

	if (fd >= 0)
		rc = add_rule(ruleset_fd, ruleset, fd, access, err);
	if (fd >= 0)
		close(fd);
	return rc;
}

int sandbox_landlock_modules(struct err *err)
{
	static const char *const written[] = {"/tmp", "/var/tmp", "/run/faillock", "/dev/null"};
	long abi = version();
	struct ruleset ruleset = {.fs = FS_FIRST, .scoped = abi >= 6 ? SCOPE_SIGNAL : 0};
	int fd, rc;

	if (abi < 1) {
		log_warning("this kernel has no Landlock: modules of PAM can write every file that "
			    "belongs to root");
		return 0;
	}
	if (abi >= 2)
		ruleset.fs |= FS_REFER;
	if (abi >= 3)
		ruleset.fs |= FS_TRUNCATE;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, abi >= 6 ? sizeof(ruleset) : 8, 0);
	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "Landlock: cannot make a rule set");
	rc = add_named(fd, &ruleset, "/", FS_EXECUTE | READ_ACCESS, err);
	for (size_t i = 0; i < sizeof(written) / sizeof(*written) && rc == 0; i++)
		rc = add_named(fd, &ruleset, written[i], READ_ACCESS | WRITE_ACCESS, err);
	if (rc < 0) {
		close(fd);
		return -1;
	}
	return restrict_self(fd, err);
}
