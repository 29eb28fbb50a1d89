/*
 * Attempts of an attacker who owns a process: each is made by a process of its own that has entered
 * the sandbox of a role just as the children of valijad do. Prints a line an attempt: ROLE,
 * attempt, outcome ("done", "killed", "not there": the kernel has no such thing, or the name of an
 * errno), with tabs between. tests/system/test_walls.py compares them with the table in
 * docs/architecture.md.
 *
 * walls DIRECTORY: an empty folder for its files. As root: children change their uid and root.
 */
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NOBODY = 65534, PATH_SIZE = 512 };

/* What the process holds when it enters. */
static struct place {
	char own[PATH_SIZE];     /* the folder that it may use, if its role has one */
	char outside[PATH_SIZE]; /* files of others that permissions alone would let it use */
	int own_fd, listener, pair[2], memory, parent;
	struct sockaddr_in address; /* of another listening socket */
	bool i386_calls;            /* the kernel has them */
} place;

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static const char *outside(const char *name)
{
	static char path[PATH_SIZE + 64];

	snprintf(path, sizeof(path), "%s/%s", place.outside, name);
	return path;
}

static const char *own(const char *name)
{
	static char path[PATH_SIZE + 64];

	snprintf(path, sizeof(path), "%s/%s", place.own, name);
	return path;
}

static long send_by(int flags, bool with_address)
{
	struct iovec part = {.iov_base = (char[]){"x"}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (with_address) {
		message.msg_name = &place.address;
		message.msg_namelen = sizeof(place.address);
	}
	return sendmsg(place.listener, &message, flags);
}

static long option(int level, int name)
{
	int one = 1;

	return setsockopt(place.listener, level, name, &one, sizeof(one));
}

/* A listener refuses it by itself; one that may connect gets that far. */
static long connect_held(void)
{
	long rc = connect(place.listener, (struct sockaddr *)&place.address, sizeof(place.address));

	return rc < 0 && (errno == EISCONN || errno == EINPROGRESS) ? 0 : rc;
}

static long run_other(const char *path)
{
	char *argv[] = {(char[]){"true"}, NULL};

	return execv(path, argv);
}

static long executable_memory(bool from_file)
{
	void *page = from_file
			     ? mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, place.memory, 0)
			     : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

	if (page == MAP_FAILED)
		return -1;
	return from_file ? 0 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long limit_of_parent(void)
{
	struct rlimit limit = {1000, 1000};

	return prlimit(place.parent, RLIMIT_NOFILE, &limit, NULL);
}

static long own_limit(void)
{
	struct rlimit limit = {1000, 1000};

	return setrlimit(RLIMIT_NOFILE, &limit);
}

static long memory_of_parent(void)
{
	char octets[8];
	struct iovec here = {octets, sizeof(octets)}, there = {&place, sizeof(octets)};

	return syscall(SYS_process_vm_readv, place.parent, &here, 1, &there, 1, 0);
}

static long interfaces(void)
{
	char octets[256];
	struct ifconf request = {.ifc_len = sizeof(octets), .ifc_buf = octets};

	return ioctl(place.listener, SIOCGIFCONF, &request);
}

static void *do_nothing(void *argument)
{
	return argument;
}

static long thread(void)
{
	pthread_t id;

	errno = pthread_create(&id, NULL, do_nothing, NULL);
	if (errno)
		return -1;
	pthread_join(id, NULL);
	return 0;
}

#define I386_CALL "a call of the 32-bit interface"

#ifdef __x86_64__
static long call_of_i386(void)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
	return result;
}
#endif

/* In front of the walls. A kernel may be built without that interface: then the call is SIGSEGV. */
static bool has_i386_calls(void)
{
#ifdef __x86_64__
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		call_of_i386();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("fork");
	return !WIFSIGNALED(status);
#else
	return false;
#endif
}

static long open_for(int fd, const char *path, int flags)
{
	return openat(fd, path, flags | O_CLOEXEC, 0600);
}

static long link_own(const char *to)
{
	return linkat(place.own_fd, "mine", AT_FDCWD, to, 0);
}

/* X(attempt, what it does; at least 0: done) */
#define ATTEMPTS(X)                                                                                \
	X("read a file of others", open_for(AT_FDCWD, outside("readable"), O_RDONLY))              \
	X("read /etc/passwd", open_for(AT_FDCWD, "/etc/passwd", O_RDONLY))                         \
	X("write a file of others", open_for(AT_FDCWD, outside("writable"), O_WRONLY))             \
	X("make a file in a folder of others",                                                     \
	  open_for(AT_FDCWD, outside("made"), O_WRONLY | O_CREAT))                                 \
	X("truncate a file of others", truncate(outside("writable"), 0))                           \
	X("remove a file of others", unlink(outside("writable")))                                  \
	X("list a folder of others", open_for(AT_FDCWD, place.outside, O_RDONLY | O_DIRECTORY))    \
	X("climb out of the lent folder", open_for(place.own_fd, "../outside/readable", O_RDONLY)) \
	X("follow a link out of the lent folder", open_for(place.own_fd, "link", O_RDONLY))        \
	X("size of a file of others", fstatat(AT_FDCWD, outside("readable"), &st, 0))              \
	X("size of /etc/shadow", fstatat(AT_FDCWD, "/etc/shadow", &st, 0))                         \
	X("size of a file of others by statx",                                                     \
	  syscall(SYS_statx, AT_FDCWD, outside("readable"), 0, 0, octets))                         \
	X("access of a file of others", access(outside("readable"), R_OK))                         \
	X("read the link /proc/self/exe", readlink("/proc/self/exe", octets, sizeof(octets)))      \
	X("open /proc/self/mem", open_for(AT_FDCWD, "/proc/self/mem", O_RDWR))                     \
	X("open a device", open_for(AT_FDCWD, "/dev/zero", O_RDONLY))                              \
	X("open /dev/tty", open_for(AT_FDCWD, "/dev/tty", O_RDWR))                                 \
	X("read the lent folder's file", open_for(place.own_fd, "mine", O_RDONLY))                 \
	X("write the lent folder's file", open_for(place.own_fd, "mine", O_WRONLY))                \
	X("make a file in the lent folder", open_for(place.own_fd, "made", O_WRONLY | O_CREAT))    \
	X("list the lent folder", open_for(place.own_fd, "tmp", O_RDONLY | O_DIRECTORY))           \
	X("read a listing", syscall(SYS_getdents64, place.own_fd, octets, sizeof(octets)))         \
	X("make a folder in the lent folder", mkdirat(place.own_fd, "folder", 0700))               \
	X("rename in the lent folder", renameat(place.own_fd, "mine", place.own_fd, "renamed"))    \
	X("link in the lent folder", linkat(place.own_fd, "mine", place.own_fd, "linked", 0))      \
	X("remove in the lent folder", unlinkat(place.own_fd, "mine", 0))                          \
	X("link out of the lent folder", link_own(outside("linked")))                              \
	X("rename out of the lent folder",                                                         \
	  renameat(place.own_fd, "mine", AT_FDCWD, outside("renamed")))                            \
	X("make a symbolic link", symlinkat("/etc/passwd", place.own_fd, "symbolic"))              \
	X("make a FIFO", mknodat(place.own_fd, "fifo", S_IFIFO | 0600, 0))                         \
	X("make a device", mknodat(place.own_fd, "device", S_IFCHR | 0600, 0x103))                 \
	X("change a mode by name", fchmodat(place.own_fd, "mine", 0666, 0))                        \
	X("change a mode by descriptor", fchmod(place.own_fd, 0777))                               \
	X("change an owner", fchownat(place.own_fd, "mine", NOBODY, NOBODY, 0))                    \
	X("set an extended attribute", fsetxattr(place.own_fd, "user.x", "x", 1, 0))               \
	X("set times", utimensat(place.own_fd, "mine", NULL, 0))                                   \
	X("cut a file by name", truncate(own("mine"), 1))                                          \
	X("remove a folder", rmdir(own("tmp")))                                                    \
	X("change the working folder", fchdir(place.own_fd))                                       \
	X("lock a file", syscall(SYS_flock, place.own_fd, 2))                                      \
	X("make a memory file", memfd_create("x", MFD_CLOEXEC))                                    \
	X("write a memory file", write(place.memory, "x", 1))                                      \
	X("start a program", run_other("/bin/true"))                                               \
	X("start a program in memory",                                                             \
	  syscall(SYS_execveat, place.memory, "", NULL, NULL, AT_EMPTY_PATH))                      \
	X("fork", fork())                                                                          \
	X("vfork by clone", syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0))      \
	X("clone3", syscall(SYS_clone3, NULL, 0))                                                  \
	X("start a thread", thread())                                                              \
	X("new namespaces", unshare(CLONE_NEWUSER | CLONE_NEWNET))                                 \
	X("join a namespace", setns(place.own_fd, 0))                                              \
	X("trace the parent", ptrace(PTRACE_ATTACH, place.parent, 0, 0))                           \
	X("be traced", ptrace(PTRACE_TRACEME, 0, 0, 0))                                            \
	X("read the parent's memory", memory_of_parent())                                          \
	X("a descriptor of the parent's", syscall(SYS_pidfd_open, place.parent, 0))                \
	X("take a descriptor from a process", syscall(SYS_pidfd_getfd, place.own_fd, 0, 0))        \
	X("signal the parent", kill(place.parent, 0))                                              \
	X("signal all", kill(-1, 0))                                                               \
	X("signal a thread of others", syscall(SYS_tgkill, place.parent, place.parent, 0))         \
	X("limit the parent", limit_of_parent())                                                   \
	X("set own limits", own_limit())                                                           \
	X("priority of the parent", setpriority(PRIO_PROCESS, (id_t)place.parent, 19))             \
	X("become root", setuid(0))                                                                \
	X("another group", setgid(0))                                                              \
	X("supplementary groups", syscall(SYS_setgroups, 0, NULL))                                 \
	X("capabilities", syscall(SYS_capset, octets, octets))                                     \
	X("be dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))                                       \
	X("another root", chroot("."))                                                             \
	X("a TCP socket", socket(AF_INET, SOCK_STREAM, 0))                                         \
	X("a UDP socket", socket(AF_INET, SOCK_DGRAM, 0))                                          \
	X("a Unix socket", socket(AF_UNIX, SOCK_STREAM, 0))                                        \
	X("a netlink socket", socket(AF_NETLINK, SOCK_RAW, 0))                                     \
	X("a packet socket", socket(AF_PACKET, SOCK_RAW, 0))                                       \
	X("a pair of sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, pair))                          \
	X("connect a socket it holds", connect_held())                                             \
	X("bind a socket it holds",                                                                \
	  bind(place.listener, (struct sockaddr *)&place.address, sizeof(place.address)))          \
	X("listen on a socket it holds", listen(place.listener, 5))                                \
	X("accept", accept4(place.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC))             \
	X("shut a listening socket", shutdown(place.listener, SHUT_RD))                            \
	X("shut it both ways", shutdown(place.listener, SHUT_RDWR))                                \
	X("send", send(place.pair[0], "x", 1, MSG_NOSIGNAL))                                       \
	X("connect by MSG_FASTOPEN", send_by(MSG_FASTOPEN, true))                                  \
	X("a filter on a listening socket", option(SOL_SOCKET, SO_ATTACH_FILTER))                  \
	X("steer a group of listening sockets", option(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF))      \
	X("share a port", option(SOL_SOCKET, SO_REUSEPORT))                                        \
	X("make a shared socket wait", fcntl(place.listener, F_SETFL, 0))                          \
	X("signals of a socket", fcntl(place.listener, F_SETOWN, place.parent))                    \
	X("interfaces of the machine", interfaces())                                               \
	X("type on the terminal", ioctl(STDERR_FILENO, TIOCSTI, "x"))                              \
	X("executable memory", executable_memory(false))                                           \
	X("execute a memory file", executable_memory(true))                                        \
	X("user faults", syscall(SYS_userfaultfd, 0))                                              \
	X("shared memory of System V", shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600))                \
	X("message queues of System V", msgget(IPC_PRIVATE, IPC_CREAT | 0600))                     \
	X("semaphores of System V", semget(IPC_PRIVATE, 1, IPC_CREAT | 0600))                      \
	X("io_uring", syscall(SYS_io_uring_setup, 8, octets))                                      \
	X("bpf", syscall(SYS_bpf, 0, octets, 0))                                                   \
	X("performance events", syscall(SYS_perf_event_open, octets, 0, -1, -1, 0))                \
	X("keys of the kernel", syscall(SYS_keyctl, 0, -3, 1))                                     \
	X("mount", mount("none", "/", "tmpfs", 0, NULL))                                           \
	X("unmount", umount2("/", MNT_DETACH))                                                     \
	X("a handle of a file",                                                                    \
	  syscall(SYS_name_to_handle_at, place.own_fd, "mine", octets, &st, 0))                    \
	X("open by handle", syscall(SYS_open_by_handle_at, place.own_fd, octets, O_RDONLY))        \
	X("a module", syscall(SYS_finit_module, place.own_fd, "", 0))                              \
	X("the kernel's log", syscall(SYS_syslog, 10, NULL, 0))                                    \
	X("set the clock", syscall(SYS_clock_settime, 0, octets))                                  \
	X("the host's name", sethostname("x", 1))                                                  \
	X("personality", syscall(SYS_personality, 0xffffffff))                                     \
	X("watch files", inotify_init1(IN_CLOEXEC))                                                \
	X("watch a filesystem", syscall(SYS_fanotify_init, 0, 0))                                  \
	X("a timer descriptor", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))                      \
	X("one more filter", syscall(SYS_seccomp, 1, 0, octets))                                   \
	X("one more rule set", syscall(SYS_landlock_create_ruleset, NULL, 0, 1))                   \
	ATTEMPTS_OF_X86(X)
#ifdef __x86_64__
#define ATTEMPTS_OF_X86(X)                                                   \
	X(I386_CALL, call_of_i386())                                         \
	X("a call of the x32 interface", syscall(SYS_getppid | 0x40000000L)) \
	X("ports of the machine", syscall(SYS_iopl, 3))
#else
#define ATTEMPTS_OF_X86(X)
#endif

static const char *const names[] = {
#define X(name, code) name,
	ATTEMPTS(X)
#undef X
};

static long attempt(unsigned which)
{
	static char octets[4096] __attribute__((aligned(16)));
	struct stat st;
	int pair[2];
	unsigned i = 0;

	errno = 0;
#define X(name, code)     \
	if (i++ == which) \
		return (code);
	ATTEMPTS(X)
#undef X
	return -1;
}

static const struct {
	const char *name;
	enum sandbox_role role;
	int own;    /* access to the lent folder */
	bool dials; /* as src/lookup/role.c has it */
} roles[] = {
	{"front", SANDBOX_FRONT, 0, false},
	{"lmtp", SANDBOX_LMTP, 0, false},
	{"auth", SANDBOX_AUTH, SANDBOX_READ, false},
	{"keeper", SANDBOX_KEEPER, SANDBOX_READ | SANDBOX_WRITE, false},
	{"keys", SANDBOX_KEYS, 0, false},
	{"logins", SANDBOX_LOGINS, SANDBOX_READ | SANDBOX_WRITE, false},
	{"mta", SANDBOX_FRONT, 0, false}, /* as src/server/mta/mta.c has it */
	{"status", SANDBOX_STATUS, 0, false},
	{"locker", SANDBOX_LOCKER, SANDBOX_READ | SANDBOX_WRITE, false},
	{"connector", SANDBOX_CONNECTOR, 0, false},
	{"rados", SANDBOX_REACH, SANDBOX_READ, true}, /* as src/rados/main.c has it */
	{"fetch", SANDBOX_FETCH, SANDBOX_READ | SANDBOX_WRITE, false},
	{"lookup", SANDBOX_LOOKUP, SANDBOX_READ, true},
	{"grants", SANDBOX_GRANTS, SANDBOX_READ | SANDBOX_WRITE, true},
};

static void enter(unsigned role)
{
	bool root = geteuid() == 0;
	struct sandbox sandbox = {.role = roles[role].role, .allow_connect = roles[role].dials};
	struct err err;

	if (roles[role].own)
		sandbox.paths[sandbox.path_count++] =
			(struct sandbox_path){place.own_fd, roles[role].own};
	if (root && sandbox.role != SANDBOX_FETCH) {
		sandbox.change_ids = true;
		/* as server/locker has it */
		sandbox.empty_root = sandbox.role != SANDBOX_LOCKER && !roles[role].dials;
		sandbox.uid = sandbox.gid = NOBODY;
	}
	if (sandbox.role == SANDBOX_CONNECTOR) { /* as keeper/connector.c, of addresses */
		sandbox.allow_connect = true;
		sandbox.ports[sandbox.port_count++] = 110;
	}
	if (sandbox_enter(&sandbox, &err) < 0) {
		fprintf(stderr, "walls: %s\n", err.text);
		_exit(2);
	}
}

/* ---- the files and sockets that it holds ---- */

static int make(const char *folder, const char *name, mode_t mode)
{
	char path[2 * PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0 || fchmod(fd, mode) < 0 || write(fd, "text", 4) != 4)
		fail(path);
	return fd;
}

static int make_listener(struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	socklen_t size = sizeof(*ret);

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (struct sockaddr *)ret, size) < 0 || listen(fd, 5) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret, &size) < 0)
		fail("a listening socket");
	return fd;
}

static void make_folder(const char *path)
{
	if ((mkdir(path, 0777) < 0 && errno != EEXIST) || chmod(path, 0777) < 0)
		fail(path);
}

static void give(const char *name, bool away)
{
	uid_t owner = geteuid() == 0 && away ? NOBODY : geteuid();

	if (geteuid() == 0 && fchownat(place.own_fd, name, owner, owner, 0) < 0)
		fail(name);
}

/* Anew for each attempt: the one before may have changed it. away: root gives the files to the user
 * that the process becomes. */
static void furnish(const char *directory, bool away)
{
	snprintf(place.own, sizeof(place.own), "%s/own", directory);
	snprintf(place.outside, sizeof(place.outside), "%s/outside", directory);
	make_folder(place.own);
	make_folder(place.outside);
	place.own_fd = open(place.own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (place.own_fd < 0)
		fail(place.own);
	unlinkat(place.own_fd, "folder", AT_REMOVEDIR);
	for (const char *const *name = (const char *const[]){"made", "renamed", "linked", "link",
							     "symbolic", "fifo", "device", NULL};
	     *name; name++)
		unlinkat(place.own_fd, *name, 0);
	unlink(outside("linked"));
	unlink(outside("renamed"));
	unlink(outside("made"));
	mkdirat(place.own_fd, "tmp", 0777);
	if (symlinkat("../outside/readable", place.own_fd, "link") < 0)
		fail("a symbolic link");
	close(make(place.own, "mine", 0644));
	close(make(place.outside, "readable", 0644));
	close(make(place.outside, "writable", 0666));
	give("mine", away);
	give("tmp", away);
	give(".", away);
	place.parent = getpid();
	/* all attempts share it, and some may change it */
	if (fcntl(place.listener, F_SETFL, O_NONBLOCK) < 0)
		fail("the listening socket");
}

static void hold(void)
{
	struct sockaddr_in own;

	place.listener = make_listener(&own);
	make_listener(&place.address);
	place.memory = memfd_create("held", MFD_CLOEXEC);
	if (place.memory < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, place.pair) < 0)
		fail("what it holds");
}

static const char *outcome_of(unsigned which, int status, int error)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && !place.i386_calls &&
	    strcmp(names[which], I386_CALL) == 0)
		return "not there";
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? "killed" : strsignal(WTERMSIG(status));
	if (WEXITSTATUS(status) == 2)
		return "no sandbox";
	/* EAGAIN: no connection waits to be accepted */
	return error && error != EAGAIN ? strerrorname_np(error) : "done";
}

static void try_one(unsigned role, unsigned which)
{
	int report[2], status = 0, error = 0;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		fail("pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		pid_t self = getpid();

		enter(role);
		error = attempt(which) >= 0 ? 0 : errno;
		if (getpid() == self) /* a fork that worked has a child, too */
			(void)!write(report[1], &error, sizeof(error));
		_exit(0);
	}
	close(report[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("fork");
	if (!WIFSIGNALED(status) && read(report[0], &error, sizeof(error)) < 0)
		fail("report");
	close(report[0]);
	printf("%s\t%s\t%s\n", roles[role].name, names[which], outcome_of(which, status, error));
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: walls DIRECTORY\n");
		return 2;
	}
	hold();
	place.i386_calls = has_i386_calls();
	for (unsigned role = 0; role < sizeof(roles) / sizeof(*roles); role++)
		for (unsigned which = 0; which < sizeof(names) / sizeof(*names); which++) {
			furnish(argv[1], roles[role].role != SANDBOX_FETCH);
			try_one(role, which);
			close(place.own_fd);
		}
	return 0;
}
