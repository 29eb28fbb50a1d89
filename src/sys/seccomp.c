/*
 * System calls that each role may make. A call that no honest version of this program or its
 * libraries makes kills the process at once; a call that a later C library may try gets ENOSYS or
 * EACCES and falls back, so that an update does not end the service. Calls that every command needs
 * mostly carry no argument checks: the kernel then passes them without running the filter.
 *
 * A descriptor may name an object that other processes use too: a listening socket, an open file. A
 * filter cannot see that, so a call that changes such an object for others is refused on every
 * descriptor.
 */
#include "sys/sandbox_internal.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

enum {
	FRONT = 1 << SANDBOX_FRONT,
	AUTH = 1 << SANDBOX_AUTH,
	KEEPER = 1 << SANDBOX_KEEPER,
	FETCH = 1 << SANDBOX_FETCH,
	KEYS = 1 << SANDBOX_KEYS,
	LMTP = 1 << SANDBOX_LMTP,
	LOOKUP = 1 << SANDBOX_LOOKUP,
	LOGINS = 1 << SANDBOX_LOGINS,
	STATUS = 1 << SANDBOX_STATUS,
	LOCKER = 1 << SANDBOX_LOCKER,
	GRANTS = 1 << SANDBOX_GRANTS,
	LOOKUPS = LOOKUP | GRANTS,
	CONNECTOR = 1 << SANDBOX_CONNECTOR,
	REACH = 1 << SANDBOX_REACH,
	ALL = FRONT | AUTH | KEEPER | FETCH | KEYS | LMTP | LOOKUPS | LOGINS | STATUS | LOCKER |
	      CONNECTOR | REACH,
	DIALERS = FETCH | LOOKUPS | CONNECTOR | REACH,
};

/* Descriptors that are open already, memory, time. */
static const char *const for_all[] = {
	"read",
	"readv",
	"pread64",
	"preadv",
	"preadv2",
	"write",
	"writev",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"lseek",
	"_llseek",
	"close",
	"fstat",
	"fstat64",
	"ftruncate",
	"ftruncate64",
	"fallocate",
	"dup",
	"dup2",
	"dup3",
	"pipe2",
	"eventfd2",
	"memfd_create",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"recvmmsg_time64",
	"recv",
	"send",
	"sendfile",
	"sendfile64",
	"getsockopt",
	"getsockname",
	"getpeername",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"poll",
	"ppoll",
	"ppoll_time64",
	"select",
	"_newselect",
	"pselect6",
	"pselect6_time64",
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"mincore",
	"mlock",
	"munlock",
	"futex",
	"futex_time64",
	"futex_waitv",
	"membarrier",
	"rseq",
	"set_robust_list",
	"get_robust_list",
	"set_tid_address",
	"clock_gettime",
	"clock_gettime64",
	"clock_getres",
	"clock_getres_time64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"nanosleep",
	"gettimeofday",
	"time",
	"times",
	"getrandom",
	"getpid",
	"gettid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getresuid",
	"getresgid",
	"getgroups",
	"getuid32",
	"geteuid32",
	"getgid32",
	"getegid32",
	"getresuid32",
	"getresgid32",
	"getgroups32",
	"getcpu",
	"getrusage",
	"getrlimit",
	"ugetrlimit",
	"sysinfo",
	"uname",
	"sched_yield",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigpending",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"sigreturn",
	"sigaltstack",
	"restart_syscall",
	"exit",
	"exit_group",
	NULL,
};

static const char *const for_listeners[] = {"accept", "accept4", NULL};

/* The C library makes fstat() of this call, too; a filter cannot see whether a path comes with it.
 * So no fstat() in fronts: sizes by lseek(). */
static const char *const for_status[] = {"newfstatat", "fstatat64", NULL};

/* Names in the file system, to look at. */
static const char *const for_readers[] = {
	"stat",       "stat64",       "lstat",
	"lstat64",    "statx",        "access",
	"faccessat",  "faccessat2",   "readlink",
	"readlinkat", "getcwd",       "statfs",
	"statfs64",   "fstatfs",      "fstatfs64",
	"getdents64", "flock",        "fadvise64",
	"readahead",  "fadvise64_64", "arm_fadvise64_64",
	NULL,
};

/* … and to change. Landlock and the uid say which. */
static const char *const for_writers[] = {
	"open",
	"openat",
	"openat2",
	"mkdir",
	"mkdirat",
	"unlink",
	"unlinkat",
	"rename",
	"renameat",
	"renameat2",
	"link",
	"linkat",
	"fsync",
	"fdatasync",
	"syncfs",
	"utimensat",
	"utimensat_time64",
	"sync_file_range",
	"sync_file_range2",
	"ioprio_set",
	"copy_file_range",
	NULL,
};

/* … what a Maildir never needs. */
static const char *const for_sinks[] = {
	"creat",    "rmdir", "truncate", "chmod", "fchmod",
	"fchmodat", "umask", "fchdir",   "chdir", NULL,
};

/* One file, which is appended to and put anew. */
static const char *const for_logins[] = {
	"open", "openat", "unlinkat", "renameat", "renameat2", "fsync", "fdatasync", NULL,
};

/* Lock files, and whether their holders live. */
static const char *const for_locker[] = {
	"open",      "openat",     "unlinkat", "link",      "linkat", "access",
	"faccessat", "faccessat2", "fstatfs",  "fstatfs64", NULL,
};

static const char *const for_dialers[] = {"socket", "connect", "bind", NULL};

/* The loops of librados's threads. */
static const char *const for_reach[] = {"connect", "epoll_create", "timerfd_create",
					"timerfd_settime", NULL};

/* Libraries try these and go on without them. */
static const char *const refused[] = {
	"open",     "openat",     "openat2",    "creat",    "stat",      "stat64",
	"lstat",    "lstat64",    "statx",      "access",   "faccessat", "faccessat2",
	"readlink", "readlinkat", "unlink",     "unlinkat", "getcwd",    "statfs",
	"kill",     "tkill",      "socketpair", NULL,
};

/* Only an intruder makes these. */
static const char *const deadly[] = {
	"execve",
	"execveat",
	"fork",
	"vfork",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"pidfd_getfd",
	"pidfd_send_signal",
	"kcmp",
	"socket",
	"connect",
	"bind",
	"listen",
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"setfsuid",
	"setfsgid",
	"capset",
	"chroot",
	"pivot_root",
	"unshare",
	"setns",
	"mount",
	"umount2",
	"fsopen",
	"fsmount",
	"move_mount",
	"open_tree",
	"mknod",
	"mknodat",
	"open_by_handle_at",
	"name_to_handle_at",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"keyctl",
	"add_key",
	"request_key",
	"io_uring_setup",
	"iopl",
	"ioperm",
	"modify_ldt",
	"personality",
	"reboot",
	"swapon",
	"swapoff",
	"acct",
	"settimeofday",
	"clock_settime",
	"adjtimex",
	"clock_adjtime",
	"sethostname",
	"setdomainname",
	"quotactl",
	"syslog",
	"vhangup",
	NULL,
};

static const struct {
	const char *const *calls;
	int roles;
} allowed[] = {
	{for_all, ALL},
	{for_listeners, FRONT | LMTP | STATUS},
	{for_status, AUTH | KEEPER | FETCH | LOOKUPS | LOGINS | LOCKER | CONNECTOR | REACH},
	{for_readers, KEEPER | FETCH | LOOKUPS | REACH},
	{for_writers, KEEPER | FETCH},
	{for_sinks, FETCH},
	{for_logins, LOGINS | GRANTS},
	{for_locker, LOCKER},
	{for_dialers, DIALERS & ~REACH},
	{for_reach, REACH},
};

/* An allowed call whose arguments matter: (argument & mask) == value, up to two. */
static const struct checked {
	const char *name;
	int roles;
	struct {
		unsigned argument;
		uint64_t mask, value;
	} checks[2];
	unsigned check_count;
} checked[] = {
#define CHECK1(name, roles, argument, mask, value)        \
	{                                                 \
		name, roles, {{argument, mask, value}}, 1 \
	}
#define CHECK2(name, roles, a, b, c, d, e, f)          \
	{                                              \
		name, roles, {{a, b, c}, {d, e, f}}, 2 \
	}
#define WHOLE 0xffffffffULL
#define OPTION(roles, level, name) CHECK2("setsockopt", roles, 1, WHOLE, level, 2, WHOLE, name)
#define THREAD (CLONE_THREAD | CLONE_VM | CLONE_SIGHAND)
#define OPEN_WRITES (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))
	CHECK1("mmap", ALL, 2, PROT_EXEC, 0), CHECK1("mmap2", ALL, 2, PROT_EXEC, 0),
	CHECK1("mprotect", ALL, 2, PROT_EXEC, 0), CHECK1("pkey_mprotect", ALL, 2, PROT_EXEC, 0),
	/* name service modules and SASL libraries are loaded when they are needed */
	CHECK1("mmap", DIALERS & ~REACH, 2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
	CHECK1("clone", AUTH | KEEPER | FETCH | LMTP | LOOKUPS | LOGINS | CONNECTOR | REACH, 0,
	       THREAD, THREAD),
	CHECK1("open", AUTH | LOOKUP | CONNECTOR | REACH, 1, OPEN_WRITES, O_RDONLY),
	CHECK1("openat", AUTH | LOOKUP | CONNECTOR | REACH, 2, OPEN_WRITES, O_RDONLY),
	/* a worker thread lowers its own priority */
	CHECK2("setpriority", AUTH, 0, WHOLE, PRIO_PROCESS, 1, WHOLE, 0),
	/* the other ways to shut a listening socket end it for every process that has it */
	CHECK1("shutdown", ALL, 1, WHOLE, SHUT_WR),
	/* MSG_FASTOPEN and an address connect a socket without connect() */
	CHECK2("sendto", FRONT | AUTH | KEEPER | KEYS | LMTP | LOGINS | STATUS | LOCKER, 3,
	       MSG_FASTOPEN, 0, 4, ~0ULL, 0),
	CHECK1("sendto", DIALERS, 3, MSG_FASTOPEN, 0), CHECK1("sendmsg", ALL, 2, MSG_FASTOPEN, 0),
	CHECK1("sendmmsg", DIALERS, 3, MSG_FASTOPEN, 0), /* the resolver's */
	OPTION(FRONT | LMTP, SOL_SOCKET, SO_LINGER), OPTION(DIALERS, SOL_SOCKET, SO_RCVTIMEO),
	OPTION(DIALERS, SOL_SOCKET, SO_SNDTIMEO), OPTION(DIALERS, IPPROTO_TCP, TCP_NODELAY),
	/* the resolver, modules of the name service */
	OPTION(DIALERS, IPPROTO_IP, IP_RECVERR), OPTION(DIALERS, IPPROTO_IPV6, IPV6_RECVERR),
	OPTION(DIALERS, SOL_SOCKET, SO_PASSCRED), OPTION(DIALERS, SOL_SOCKET, SO_SNDBUF),
	OPTION(DIALERS, SOL_SOCKET, SO_RCVBUF), CHECK1("fcntl", DIALERS, 1, WHOLE, F_SETFL),
	CHECK1("fcntl64", DIALERS, 1, WHOLE, F_SETFL), CHECK1("ioctl", DIALERS, 1, WHOLE, FIONBIO),
	OPTION(LOOKUPS, SOL_SOCKET, SO_KEEPALIVE), OPTION(LOOKUPS, IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(LOOKUPS, IPPROTO_TCP, TCP_KEEPINTVL), OPTION(LOOKUPS, IPPROTO_TCP, TCP_KEEPCNT),
	OPTION(LOOKUPS, IPPROTO_TCP, TCP_USER_TIMEOUT), OPTION(LOOKUPS, IPPROTO_IP, IP_TOS),
	CHECK1("shutdown", LOOKUPS | REACH, 1, WHOLE, SHUT_RDWR),
	/* librados's messenger */
	CHECK1("socket", REACH, 0, WHOLE, AF_INET), CHECK1("socket", REACH, 0, WHOLE, AF_INET6),
	OPTION(REACH, SOL_SOCKET, SO_PRIORITY), OPTION(REACH, IPPROTO_IP, IP_TOS),
	CHECK1("ioctl", ALL, 1, WHOLE, FIONREAD), CHECK1("ioctl", ALL, 1, WHOLE, TCGETS),
	CHECK1("ioctl", FETCH, 1, WHOLE, TIOCGWINSZ), CHECK1("ioctl", FETCH, 1, WHOLE, TCSETS),
	CHECK1("ioctl", FETCH, 1, WHOLE, TCSETSW), CHECK1("ioctl", FETCH, 1, WHOLE, TCSETSF),
	CHECK1("prctl", ALL, 0, WHOLE, PR_SET_NAME), CHECK1("prctl", ALL, 0, WHOLE, PR_SET_VMA),
	CHECK1("prctl", ALL, 0, WHOLE, PR_GET_DUMPABLE),
	/* libevent asks for the interface of a link-local client: refused, but no attack. No socket
	 * is made of this family. */
	CHECK1("socket", STATUS, 0, WHOLE, WHOLE),
	CHECK1("prlimit64", ALL, 2, ~0ULL, 0), /* reading is allowed, setting is not */
};

/* No F_SETFL: O_NONBLOCK belongs to the open file, that is, to all who share it. */
static const int fcntl_commands[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,  F_SETFD,     F_GETFL,     F_ADD_SEALS,  F_GET_SEALS,
	F_GETLK, F_SETLK,         F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Calls that this architecture or library does not know cannot be made either. */
static int add_rule(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count,
		    const struct scmp_arg_cmp *checks)
{
	int number = seccomp_syscall_resolve_name(name), result;

	if (number == __NR_SCMP_ERROR)
		return 0;
	result = seccomp_rule_add_array(filter, action, number, count, checks);
	return result == -EDOM ? 0 : result;
}

/* Whether the role may make the call, perhaps with some arguments only. */
static bool is_allowed(int role, const char *name)
{
	for (size_t i = 0; i < COUNT(allowed); i++)
		if (allowed[i].roles & role)
			for (const char *const *call = allowed[i].calls; *call; call++)
				if (strcmp(*call, name) == 0)
					return true;
	for (size_t i = 0; i < COUNT(checked); i++)
		if ((checked[i].roles & role) && strcmp(checked[i].name, name) == 0)
			return true;
	return false;
}

static int add_allowed(scmp_filter_ctx filter, int role)
{
	int result = 0;

	for (size_t i = 0; i < COUNT(allowed); i++)
		if (allowed[i].roles & role)
			for (const char *const *call = allowed[i].calls; *call && !result; call++)
				result = add_rule(filter, SCMP_ACT_ALLOW, *call, 0, NULL);
	return result;
}

/* own: the process that may be signalled; 0: any. */
static int add_checked(scmp_filter_ctx filter, int role, pid_t own)
{
	struct scmp_arg_cmp itself = SCMP_A0_64(SCMP_CMP_EQ, (uint64_t)own);
	int result = add_rule(filter, SCMP_ACT_ALLOW, "tgkill", own != 0, &itself); /* abort() */

	for (size_t i = 0; i < COUNT(checked) && !result; i++) {
		const struct checked *row = &checked[i];
		struct scmp_arg_cmp checks[2];

		if (!(row->roles & role))
			continue;
		for (unsigned j = 0; j < row->check_count; j++)
			checks[j] = SCMP_CMP64(row->checks[j].argument, SCMP_CMP_MASKED_EQ,
					       row->checks[j].mask, row->checks[j].value);
		result = add_rule(filter, SCMP_ACT_ALLOW, row->name, row->check_count, checks);
	}
	for (size_t i = 0; i < COUNT(fcntl_commands) && !result; i++) {
		struct scmp_arg_cmp command =
			SCMP_A1_64(SCMP_CMP_MASKED_EQ, WHOLE, (uint64_t)fcntl_commands[i]);

		result = add_rule(filter, SCMP_ACT_ALLOW, "fcntl", 1, &command);
		if (!result)
			result = add_rule(filter, SCMP_ACT_ALLOW, "fcntl64", 1, &command);
	}
	return result;
}

static int add_denied(scmp_filter_ctx filter, int role)
{
	/* a sanitizer's report must not end in a kill */
	uint32_t kill = SANDBOX_SANITIZED ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS;
	struct scmp_arg_cmp process = SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	int result = add_rule(filter, kill, "clone", 1, &process);

	for (const char *const *call = deadly; *call && !result; call++)
		if (!is_allowed(role, *call))
			result = add_rule(filter, kill, *call, 0, NULL);
	for (const char *const *call = refused; *call && !result; call++)
		if (!is_allowed(role, *call))
			result = add_rule(filter, SCMP_ACT_ERRNO(EACCES), *call, 0, NULL);
	return result;
}

static int set_arch(scmp_filter_ctx filter, uint32_t arch)
{
	int result = 0;

	if (arch != seccomp_arch_native())
		result = seccomp_arch_add(filter, arch);
	if (arch != seccomp_arch_native() && !result)
		result = seccomp_arch_remove(filter, seccomp_arch_native());
	return result;
}

static void *make_filter(enum sandbox_role number, uint32_t arch, pid_t own, struct err *err)
{
	/* clone3 hides its flags in memory: with ENOSYS the C library uses clone */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int role = 1 << number, result;

	if (!filter) {
		err_set(err, EX_OSERR, "seccomp: out of memory");
		return NULL;
	}
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1); /* no foreign code runs in this process */
	result = set_arch(filter, arch);
	if (!result)
		result = add_allowed(filter, role);
	if (!result)
		result = add_checked(filter, role, own);
	if (!result)
		result = add_denied(filter, role);
	if (result) {
		seccomp_release(filter);
		err_sys(err, EX_OSERR, -result, "seccomp: cannot make the filter");
		return NULL;
	}
	return filter;
}

void *sandbox_filter(enum sandbox_role number, uint32_t arch, struct err *err)
{
	return make_filter(number, arch, getpid(), err);
}

struct sandbox_program *sandbox_program_make(enum sandbox_role role, struct err *err)
{
	scmp_filter_ctx filter = make_filter(role, seccomp_arch_native(), 0, err);
	struct sandbox_program *program = NULL;
	int fd = filter ? memfd_create("filter", MFD_CLOEXEC) : -1, result;

	if (fd >= 0) {
		result = seccomp_export_bpf(filter, fd);
		if (result == 0)
			program = sandbox_program_read(fd, seccomp_arch_native(), err);
		else
			err_sys(err, EX_OSERR, -result, "seccomp: cannot make the program");
		close(fd);
	} else if (filter) {
		err_sys(err, EX_OSERR, errno, "seccomp: cannot make the program");
	}
	if (filter)
		seccomp_release(filter);
	return program;
}

static int make_and_load(const struct sandbox *sandbox, int *ret_result, struct err *err)
{
	scmp_filter_ctx filter = sandbox_filter(sandbox->role, seccomp_arch_native(), err);

	if (!filter)
		return -1;
	*ret_result = seccomp_load(filter);
	seccomp_release(filter);
	return 0;
}

/* Deadly calls that modules of PAM and the programs that they start have a use for. */
static const char *const for_modules[] = {
	"execve",    "execveat",    "fork",
	"vfork",     "socket",      "connect",
	"bind",      "setuid",      "setgid",
	"setreuid",  "setregid",    "setresuid",
	"setresgid", "setgroups",   "setfsuid",
	"setfsgid",  "capset",      "keyctl",
	"add_key",   "request_key", "pidfd_send_signal",
	NULL,
};

static bool is_listed(const char *const *list, const char *name)
{
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

/* A namespace of its own would give back every capability inside of it. */
static int refuse_namespaces(scmp_filter_ctx filter)
{
	static const uint64_t flags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
					 CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
	int result = add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);

	for (size_t i = 0; i < COUNT(flags) && !result; i++) {
		struct scmp_arg_cmp flag = SCMP_A0_64(SCMP_CMP_MASKED_EQ, flags[i], flags[i]);

		result = add_rule(filter, SCMP_ACT_ERRNO(EPERM), "clone", 1, &flag);
	}
	return result;
}

/* libpam fails every login that it cannot write to the audit log, unless the kernel has none. */
static int refuse_audit(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp socket[2] = {
		SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, WHOLE, AF_NETLINK),
		SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, WHOLE, NETLINK_AUDIT),
	};

	return add_rule(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 2, socket);
}

int sandbox_seccomp_modules(bool audit, struct err *err)
{
	/* what modules call is not known: all that is not refused is allowed */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result = filter ? refuse_namespaces(filter) : -ENOMEM;

	for (const char *const *call = deadly; *call && !result; call++)
		if (!is_listed(for_modules, *call))
			result = add_rule(filter, SCMP_ACT_ERRNO(EPERM), *call, 0, NULL);
	if (!result && !audit)
		result = refuse_audit(filter);
	if (!result)
		result = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP) {
		log_warning("no seccomp filters in this kernel: system calls are not confined");
		return 0;
	}
	return result ? err_sys(err, EX_OSERR, -result, "seccomp: cannot enter") : 0;
}

int sandbox_seccomp(const struct sandbox *sandbox, struct err *err)
{
	int result;

	if (sandbox->program)
		result = sandbox_program_load(sandbox->program);
	else if (make_and_load(sandbox, &result, err) < 0)
		return -1;
	if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP) {
		log_warning("no seccomp filters in this kernel: system calls are not confined");
		return 1;
	}
	return result ? err_sys(err, EX_OSERR, -result, "seccomp: cannot enter") : 0;
}
