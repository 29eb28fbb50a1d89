/* Calls that a sandboxed process can still make, and calls that end it. Each case runs in a child
 * of its own; as root also the change of uid and the empty root. */
#include "sys/sandbox.h"

#include "base/log.h"
#include "sys/loop.h"
#include "sys/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct place {
	char path[64];
	int fd;
	bool as_root; /* enter as the monitor's children do when it is root */
};

/* Exit codes of a child: 0 all as it should be, else the line of the expectation. */
#define EXPECT(condition)                                                                   \
	do {                                                                                \
		if (!(condition)) {                                                         \
			dprintf(2, "line %d: %s, errno %d\n", __LINE__, #condition, errno); \
			_exit(1);                                                           \
		}                                                                           \
	} while (0)

static void enter(const struct sandbox *sandbox)
{
	struct err err;

	if (sandbox_enter(sandbox, &err) < 0) {
		dprintf(2, "%s\n", err.text);
		_exit(1);
	}
}

static int run(void (*body)(struct place *), struct place *place)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		body(place);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_fine(int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Killed at the forbidden call; a sanitized build is told EPERM instead and exits with 77. */
static void assert_deadly(int status)
{
	if (SANITIZED) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 77);
	} else {
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static int set_up(void **state)
{
	static struct place place;

	snprintf(place.path, sizeof(place.path), "/tmp/test-sandbox-XXXXXX");
	assert_non_null(mkdtemp(place.path));
	chmod(place.path, 0777);
	place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place.fd >= 0);
	assert_int_equal(mkdirat(place.fd, "tmp", 0777), 0);
	assert_int_equal(mkdirat(place.fd, "new", 0777), 0);
	assert_int_equal(fchmodat(place.fd, "tmp", 0777, 0), 0);
	assert_int_equal(fchmodat(place.fd, "new", 0777, 0), 0);
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	char command[96];

	close(place->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", place->path);
	return system(command) == 0 ? 0 : -1;
}

/* ---- front ---- */

static const struct sandbox front = {.role = SANDBOX_FRONT};

static void front_works(struct place *place)
{
	struct rlimit limit;
	struct ucred peer = {.pid = 0};
	socklen_t size = sizeof(peer);
	int pair[2], memory;
	char octet = 0;

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	enter(&front);
	EXPECT(send(pair[0], "x", 1, MSG_NOSIGNAL) == 1);
	EXPECT(recv(pair[1], &octet, 1, 0) == 1 && octet == 'x');
	memory = memfd_create("message", MFD_CLOEXEC);
	EXPECT(memory >= 0 && write(memory, "abc", 3) == 3);
	EXPECT(pread(memory, &octet, 1, 1) == 1 && octet == 'b');
	EXPECT(fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 && errno == ENOSYS);
	EXPECT(fcntl(pair[0], F_SETOWN, getpid()) < 0);
	/* mta believes some users' programs only */
	EXPECT(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
	EXPECT(peer.pid == getpid());
	free(malloc(1000000));
	EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	EXPECT(prctl(PR_GET_DUMPABLE) == 0);
	log_error("the log still works");
}

static void front_opens_nothing(struct place *place)
{
	enter(&front);
	EXPECT(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "tmp", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "x", O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES);
	EXPECT(access("/etc/passwd", R_OK) < 0);
	EXPECT(unlinkat(place->fd, "tmp", AT_REMOVEDIR) < 0);
	EXPECT(rename(place->path, "/tmp/elsewhere") < 0);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED);
	EXPECT(kill(getppid(), 0) < 0);
	EXPECT(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0);
	EXPECT(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
}

static void front_executes(struct place *place)
{
	char name[] = "/bin/true", *argv[] = {name, NULL};

	enter(&front);
	execv(name, argv);
	_exit(errno == EPERM ? 77 : 1);
}

static void front_forks(struct place *place)
{
	enter(&front);
	_exit(fork() < 0 && errno == EPERM ? 77 : 1);
}

static void front_makes_socket(struct place *place)
{
	enter(&front);
	_exit(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void front_traces(struct place *place)
{
	enter(&front);
	_exit(syscall(SYS_ptrace, 16, getppid(), 0, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void front_becomes_root(struct place *place)
{
	enter(&front);
	_exit(setuid(0) < 0 && errno == EPERM ? 77 : 1);
}

static void test_front(void **state)
{
	assert_fine(run(front_works, *state));
	assert_fine(run(front_opens_nothing, *state));
}

static void test_front_deadly(void **state)
{
	assert_deadly(run(front_executes, *state));
	assert_deadly(run(front_forks, *state));
	assert_deadly(run(front_makes_socket, *state));
	assert_deadly(run(front_traces, *state));
	assert_deadly(run(front_becomes_root, *state));
}

/* ---- auth ---- */

struct counted {
	struct job job;
	struct loop *loop;
	int *left;
};

static void job_run(struct job *job)
{
	free(malloc(100));
}

static void job_done(struct job *job)
{
	struct counted *counted = (struct counted *)job;

	if (--*counted->left == 0)
		loop_stop(counted->loop);
}

static void auth_works(struct place *place)
{
	struct sandbox auth = {.role = SANDBOX_AUTH, .path_count = 1};
	int fd;

	fd = openat(place->fd, "users", O_RDWR | O_CREAT | O_TRUNC, 0644);
	EXPECT(fd >= 0 && write(fd, "a:b\n", 4) == 4 && close(fd) == 0);
	auth.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ};
	enter(&auth);
	EXPECT((fd = openat(place->fd, "users", O_RDONLY)) >= 0);
	EXPECT(openat(place->fd, "users", O_RDWR) < 0);
	EXPECT(openat(place->fd, "users", O_RDONLY | O_TRUNC) < 0);
	EXPECT(openat(place->fd, "other", O_WRONLY | O_CREAT, 0600) < 0);
	EXPECT(unlinkat(place->fd, "users", 0) < 0);
	EXPECT(setpriority(PRIO_PROCESS, 0, 19) == 0); /* its own, and nobody else's */
	EXPECT(setpriority(PRIO_PROCESS, (id_t)getppid(), 5) < 0 && errno == ENOSYS);
	EXPECT(setpriority(PRIO_PGRP, 0, 5) < 0 && errno == ENOSYS);
	EXPECT(setpriority(PRIO_USER, 0, 5) < 0 && errno == ENOSYS);
}

/* Threads start and end inside the sandbox. */
static void auth_has_threads(struct place *place)
{
	struct sandbox auth = {.role = SANDBOX_AUTH};
	struct loop *loop = loop_create(NULL);
	struct workers *workers;
	struct counted jobs[20];
	int left = 20;

	EXPECT(loop);
	enter(&auth);
	workers = workers_create(loop, 3, 10, 100, NULL);
	EXPECT(workers);
	for (int i = 0; i < 20; i++) {
		jobs[i] = (struct counted){
			.job = {.run = job_run, .done = job_done}, .loop = loop, .left = &left};
		EXPECT(workers_add(workers, &jobs[i].job, false) == 0);
	}
	loop_run(loop);
	EXPECT(left == 0);
	workers_destroy(workers);
	loop_destroy(loop);
}

static void test_auth(void **state)
{
	assert_fine(run(auth_works, *state));
	assert_fine(run(auth_has_threads, *state));
}

/* ---- keeper ---- */

static int own_descriptors(void)
{
	int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	EXPECT(fd >= 0);
	return fd;
}

static void keeper_steps(struct place *place, int proc_fd)
{
	char number[32];
	int fd, outside;

	EXPECT(setpriority(PRIO_PROCESS, 0, 5) < 0 && errno == ENOSYS);
	fd = openat(place->fd, "tmp", O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0) { /* not every filesystem has unnamed files */
		EXPECT(write(fd, "mail", 4) == 4 && fsync(fd) == 0);
		snprintf(number, sizeof(number), "%d", fd);
		EXPECT(linkat(proc_fd, number, place->fd, "new/1", AT_SYMLINK_FOLLOW) == 0);
		EXPECT(unlinkat(place->fd, "new/1", 0) == 0);
	}
	fd = openat(place->fd, "tmp/2", O_CREAT | O_EXCL | O_WRONLY, 0600);
	EXPECT(fd >= 0 && write(fd, "mail", 4) == 4 && fdatasync(fd) == 0);
	EXPECT(linkat(place->fd, "tmp/2", place->fd, "new/2", 0) == 0);
	EXPECT(renameat2(place->fd, "tmp/2", place->fd, "new/3", RENAME_NOREPLACE) == 0);
	EXPECT(mkdirat(place->fd, "cur", 0700) == 0);
	EXPECT(unlinkat(place->fd, "cur", AT_REMOVEDIR) == 0);
	outside = open("/usr", O_RDONLY | O_DIRECTORY);
	EXPECT(outside < 0);
	EXPECT(openat(place->fd, "../..", O_RDONLY | O_DIRECTORY) < 0);
}

static void keeper_works(struct place *place)
{
	struct sandbox keeper = {.role = SANDBOX_KEEPER, .path_count = 1};
	int proc_fd = own_descriptors();

	keeper.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ | SANDBOX_WRITE};
	enter(&keeper);
	keeper_steps(place, proc_fd);
}

static void keeper_dials(struct place *place)
{
	struct sandbox keeper = {.role = SANDBOX_KEEPER};

	enter(&keeper);
	_exit(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void keeper_writes_too_much(struct place *place)
{
	struct sandbox keeper = {.role = SANDBOX_KEEPER, .path_count = 1, .max_files = 1000};
	char octets[1001] = {0};
	int fd;

	keeper.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ | SANDBOX_WRITE};
	enter(&keeper);
	fd = openat(place->fd, "large", O_CREAT | O_WRONLY, 0600);
	EXPECT(fd >= 0 && write(fd, octets, sizeof(octets)) == 1000);
	EXPECT(write(fd, octets, 1) < 0 && errno == EFBIG);
}

/* Landlock is what keeps it in; without it (an old kernel) only permissions do. */
static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 2;
}

static void test_keeper(void **state)
{
	if (!has_landlock())
		skip();
	assert_fine(run(keeper_works, *state));
	assert_fine(run(keeper_writes_too_much, *state));
	assert_deadly(run(keeper_dials, *state));
}

/* ---- fetch ---- */

static void fetch_dials(struct place *place)
{
	struct sandbox fetch = {.role = SANDBOX_FETCH, .path_count = 2, .allow_connect = true};
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), etc = open("/etc", O_PATH), fd;
	int proc_fd = own_descriptors();

	EXPECT(listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0);
	EXPECT(listen(listener, 5) == 0);
	EXPECT(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	fetch.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ | SANDBOX_WRITE};
	fetch.paths[1] = (struct sandbox_path){etc, SANDBOX_READ};
	enter(&fetch);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(fd >= 0 && connect(fd, (struct sockaddr *)&address, size) == 0);
	EXPECT(open("/etc/hosts", O_RDONLY) >= 0 || errno == ENOENT);
	EXPECT(open("/etc/hosts", O_RDWR) < 0);
	EXPECT(open("/proc/self/status", O_RDONLY) < 0);
	keeper_steps(place, proc_fd);
}

static void fetch_is_cut_off(struct place *place)
{
	struct sandbox fetch = {.role = SANDBOX_FETCH};
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(9),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd;

	enter(&fetch);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
	EXPECT(errno == EACCES);
}

static void test_fetch(void **state)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 4)
		skip();
	assert_fine(run(fetch_dials, *state));
	assert_fine(run(fetch_is_cut_off, *state));
}

/* ---- modules of the system, in a process that stays root ---- */

static void enter_modules(void)
{
	struct err err;

	if (sandbox_enter_modules(&err) < 0) {
		dprintf(2, "%s\n", err.text);
		_exit(1);
	}
}

static int run_shell(const char *command)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(126);
	}
	EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What modules of PAM and the name service do: read, connect, start programs, end them. */
static void modules_work(struct place *place)
{
	int pair[2], fd;
	pid_t pid;

	enter_modules();
	EXPECT((fd = open("/etc/passwd", O_RDONLY)) >= 0 && close(fd) == 0);
	EXPECT((fd = openat(place->fd, "cache", O_CREAT | O_WRONLY, 0600)) >= 0); /* below /tmp */
	EXPECT(write(fd, "x", 1) == 1);
	EXPECT(open("/dev/null", O_RDWR) >= 0);
	EXPECT(socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && socket(AF_INET, SOCK_STREAM, 0) >= 0);
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	EXPECT(run_shell("exit 42") == 42);
	pid = fork();
	while (pid == 0)
		pause();
	EXPECT(pid > 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void modules_are_bounded(struct place *place)
{
	struct rlimit limit;

	(void)place;
	enter_modules();
	EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	EXPECT(prctl(PR_GET_DUMPABLE) == 0);
	EXPECT(open("/etc/passwd", O_WRONLY | O_APPEND) < 0 && errno == EACCES);
	EXPECT(mkdir("/etc/valija-test", 0700) < 0 && errno == EACCES);
	EXPECT(run_shell("(: >/etc/valija-test) 2>/dev/null") != 0);
	EXPECT(kill(getppid(), 0) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_ptrace, 0, 0, 0, 0) < 0 && errno == EPERM);
	EXPECT(unshare(CLONE_NEWUSER) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0) < 0);
	EXPECT(errno == EPERM);
	EXPECT(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_init_module, NULL, 0, "") < 0 && errno == EPERM);
	EXPECT(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM);
	EXPECT(listen(socket(AF_INET, SOCK_STREAM, 0), 1) < 0 && errno == EPERM);
	EXPECT(chroot("/tmp") < 0 && errno == EPERM);
}

/* Of root's capabilities two; and without the one for the audit log, libpam finds none. */
static void modules_keep_two_capabilities(struct place *place)
{
	(void)place;
	enter_modules();
	EXPECT(geteuid() == 0 && open("/etc/shadow", O_RDONLY) >= 0);
	EXPECT(setuid(1) < 0 && errno == EPERM);
	EXPECT(chown("/tmp", 1, 1) < 0 && errno == EPERM);
	EXPECT(run_shell("grep -Eq 'CapEff:\t00000000[02]000000[04]$' /proc/self/status") == 0);
}

static bool drop_audit(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	data[0].permitted = data[0].effective = data[0].permitted & ~(1u << CAP_AUDIT_WRITE);
	return syscall(SYS_capset, &header, data) == 0;
}

static void modules_have_no_audit_log(struct place *place)
{
	(void)place;
	EXPECT(drop_audit()); /* as the unit's service has none */
	enter_modules();
	EXPECT(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT) < 0 && errno == EAFNOSUPPORT);
	EXPECT(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0);
}

static void test_modules(void **state)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 6)
		skip();
	assert_fine(run(modules_work, *state));
	assert_fine(run(modules_are_bounded, *state));
	assert_fine(run(modules_have_no_audit_log, *state));
	if (geteuid() == 0)
		assert_fine(run(modules_keep_two_capabilities, *state));
}

/* An address to connect from, at a port that the kernel chooses; only where it is asked for. */
static void fetch_binds(struct place *place)
{
	struct sandbox fetch = {
		.role = SANDBOX_FETCH, .path_count = 1, .allow_connect = true, .allow_bind = true};
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   chosen = any;
	int fd;

	chosen.sin_port = htons(40009);
	fetch.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ | SANDBOX_WRITE};
	enter(&fetch);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&chosen, sizeof(chosen)) < 0);
	EXPECT(errno == EACCES);
	EXPECT(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
}

static void fetch_binds_not(struct place *place)
{
	struct sandbox fetch = {.role = SANDBOX_FETCH, .path_count = 1, .allow_connect = true};
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd;

	fetch.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ | SANDBOX_WRITE};
	enter(&fetch);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 && errno == EACCES);
}

static void test_fetch_binds(void **state)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 4)
		skip();
	assert_fine(run(fetch_binds, *state));
	assert_fine(run(fetch_binds_not, *state));
}

/* ---- keys ---- */

static const struct sandbox keys = {.role = SANDBOX_KEYS};

/* It talks by the channels that it has; no file, no socket, no thread, no code. */
static void keys_works(struct place *place)
{
	struct rlimit limit;
	int pair[2], listener = socket(AF_INET, SOCK_STREAM, 0);
	void *memory;
	char octet;

	EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 && listen(listener, 1) == 0);
	enter(&keys);
	EXPECT(send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &octet, 1, 0) == 1);
	EXPECT(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "tmp", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "x", O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES);
	EXPECT(accept(listener, NULL, NULL) < 0 && errno == ENOSYS);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(memory != MAP_FAILED);
	EXPECT(mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED);
	EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	EXPECT(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0);
	EXPECT(prctl(PR_GET_DUMPABLE) == 0);
}

static void keys_dials(struct place *place)
{
	(void)place;
	enter(&keys);
	_exit(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void keys_binds(struct place *place)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)place;
	enter(&keys);
	_exit(bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno == EPERM ? 77
											   : 1);
}

static void keys_forks(struct place *place)
{
	(void)place;
	enter(&keys);
	_exit(syscall(SYS_fork) < 0 && errno == EPERM ? 77 : 1);
}

static void keys_starts_a_thread(struct place *place)
{
	(void)place;
	enter(&keys);
	_exit(syscall(SYS_clone, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, 0, 0, 0, 0) < 0 ? 77 : 1);
}

static void test_keys(void **state)
{
	assert_fine(run(keys_works, *state));
	assert_deadly(run(keys_dials, *state));
	assert_deadly(run(keys_binds, *state));
	assert_deadly(run(keys_forks, *state));
	assert_int_equal(WEXITSTATUS(run(keys_starts_a_thread, *state)), 77);
}

/* ---- lmtp ---- */

enum { FILE_MAX = 100 };

static const struct sandbox lmtp = {.role = SANDBOX_LMTP, .max_files = FILE_MAX};

static void *write_to(void *argument)
{
	const int *fd = argument;

	return write(*fd, "abc", 3) == 3 ? argument : NULL;
}

/* What the front of LMTP needs beyond another front: threads that write to files it was given, up
 * to a bound. */
static void lmtp_works(struct place *place)
{
	int file = openat(place->fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	pthread_t thread;
	void *result = NULL;

	EXPECT(file >= 0);
	enter(&lmtp);
	EXPECT(pthread_create(&thread, NULL, write_to, &file) == 0);
	EXPECT(pthread_join(thread, &result) == 0 && result == &file);
	EXPECT(lseek(file, FILE_MAX, SEEK_SET) == FILE_MAX);
	EXPECT(write(file, "x", 1) < 0 && errno == EFBIG);
	EXPECT(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, ".", O_TMPFILE | O_WRONLY, 0600) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "tmp", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	EXPECT(unlinkat(place->fd, "tmp", AT_REMOVEDIR) < 0 && errno == EACCES);
	EXPECT(fsync(file) < 0 && fchmod(file, 0666) < 0);
}

static void lmtp_forks(struct place *place)
{
	(void)place;
	enter(&lmtp);
	_exit(fork() < 0 && errno == EPERM ? 77 : 1);
}

static void lmtp_dials(struct place *place)
{
	(void)place;
	enter(&lmtp);
	_exit(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void test_lmtp(void **state)
{
	assert_fine(run(lmtp_works, *state));
	assert_deadly(run(lmtp_forks, *state));
	assert_deadly(run(lmtp_dials, *state));
}

/* ---- status ---- */

static const struct sandbox status_box = {.role = SANDBOX_STATUS};

/* It takes connections of the socket that it has and maps what it was given; it has no file. A
 * library that asks for a socket is refused, and goes on without. */
static void status_works(struct place *place)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), pair[2];
	int page = memfd_create("page", MFD_CLOEXEC);
	char octet;

	EXPECT(listen(listener, 1) == 0 && ftruncate(page, 4096) == 0);
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	enter(&status_box);
	EXPECT(accept4(listener, NULL, NULL, SOCK_NONBLOCK) < 0 && errno == EAGAIN);
	EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, page, 0) != MAP_FAILED);
	EXPECT(send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &octet, 1, 0) == 1);
	EXPECT(socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == ENOSYS);
	EXPECT(socket(AF_INET6, SOCK_STREAM, 0) < 0 && errno == ENOSYS);
	EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == ENOSYS);
	EXPECT(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "tmp", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	EXPECT(openat(place->fd, "x", O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES);
	EXPECT(prctl(PR_GET_DUMPABLE) == 0);
}

static void status_dials(struct place *place)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)place;
	enter(&status_box);
	_exit(connect(fd, (struct sockaddr *)&any, sizeof(any)) < 0 && errno == EPERM ? 77 : 1);
}

static void status_forks(struct place *place)
{
	(void)place;
	enter(&status_box);
	_exit(fork() < 0 && errno == EPERM ? 77 : 1);
}

static void test_status(void **state)
{
	assert_fine(run(status_works, *state));
	assert_deadly(run(status_dials, *state));
	assert_deadly(run(status_forks, *state));
}

/* ---- logins ---- */

static void *append_to(void *argument)
{
	const struct place *place = argument;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = openat(place->fd, "last", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	bool done = fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0 && write(fd, "abc", 3) == 3 &&
		    fstat(fd, &st) == 0 && fstatat(place->fd, "last", &st, 0) == 0 &&
		    fdatasync(fd) == 0 && fsync(fd) == 0 &&
		    renameat(place->fd, "last", place->fd, "other") == 0 &&
		    unlinkat(place->fd, "other", 0) == 0;

	return done ? argument : NULL;
}

/* One file in its folder, from one thread, up to a bound; nothing beside it. */
static void logins_works(struct place *place)
{
	struct sandbox logins = {.role = SANDBOX_LOGINS,
				 .paths = {{place->fd, SANDBOX_READ | SANDBOX_WRITE}},
				 .path_count = 1,
				 .max_files = FILE_MAX};
	int outside = openat(place->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = openat(place->fd, "bounded", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	pthread_t thread;
	void *result = NULL;

	enter(&logins);
	EXPECT(pthread_create(&thread, NULL, append_to, place) == 0);
	EXPECT(pthread_join(thread, &result) == 0 && result == place);
	EXPECT(lseek(file, FILE_MAX, SEEK_SET) == FILE_MAX);
	EXPECT(write(file, "x", 1) < 0 && errno == EFBIG);
	EXPECT(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(openat(outside, "made", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES);
	EXPECT(mkdirat(place->fd, "folder", 0700) < 0 && errno == ENOSYS);
	EXPECT(linkat(place->fd, "bounded", place->fd, "second", 0) < 0 && errno == ENOSYS);
	EXPECT(symlinkat("bounded", place->fd, "second") < 0 && errno == ENOSYS);
	EXPECT(fchmod(file, 0666) < 0 && errno == ENOSYS);
}

static void logins_dials(struct place *place)
{
	struct sandbox logins = {.role = SANDBOX_LOGINS};

	(void)place;
	enter(&logins);
	_exit(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void logins_forks(struct place *place)
{
	struct sandbox logins = {.role = SANDBOX_LOGINS};

	(void)place;
	enter(&logins);
	_exit(fork() < 0 && errno == EPERM ? 77 : 1);
}

static void test_logins(void **state)
{
	assert_fine(run(logins_works, *state));
	assert_deadly(run(logins_dials, *state));
	assert_deadly(run(logins_forks, *state));
}

/* Lock files in one folder; nothing beside it, and no other kind of file. */
static void locker_works(struct place *place)
{
	struct sandbox locker = {.role = SANDBOX_LOCKER,
				 .paths = {{place->fd, SANDBOX_READ | SANDBOX_WRITE}},
				 .path_count = 1};
	int outside = openat(place->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), file;
	struct stat st;

	enter(&locker);
	file = openat(place->fd, "staged", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	EXPECT(file >= 0 && write(file, "1", 1) == 1);
	EXPECT(linkat(place->fd, "staged", place->fd, "box.lock", 0) == 0);
	EXPECT(unlinkat(place->fd, "staged", 0) == 0);
	EXPECT(fstatat(place->fd, "box.lock", &st, AT_SYMLINK_NOFOLLOW) == 0);
	EXPECT(unlinkat(place->fd, "box.lock", 0) == 0);
	EXPECT(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(openat(outside, "made", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES);
	EXPECT(mkdirat(place->fd, "folder", 0700) < 0 && errno == ENOSYS);
	EXPECT(renameat(place->fd, "last", place->fd, "other") < 0 && errno == ENOSYS);
	EXPECT(symlinkat("box", place->fd, "second") < 0 && errno == ENOSYS);
	EXPECT(fchmod(file, 0666) < 0 && errno == ENOSYS);
	EXPECT(fsync(file) < 0 && errno == ENOSYS);
}

static void locker_dials(struct place *place)
{
	struct sandbox locker = {.role = SANDBOX_LOCKER};

	(void)place;
	enter(&locker);
	_exit(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM ? 77 : 1);
}

static void test_locker(void **state)
{
	assert_fine(run(locker_works, *state));
	assert_deadly(run(locker_dials, *state));
}

/* ---- arguments, every role ---- */

enum {
	FRONT = 1,
	AUTH = 2,
	KEEPER = 4,
	FETCH = 8,
	KEYS = 16,
	LMTP = 32,
	LOGINS = 64,
	STATUS = 128,
	LOCKER = 256,
	ALL = 511
};

/* Calls on descriptor -1: what passes the filter meets EBADF (a few look at an argument first),
 * what does not is ENOSYS. */
static const struct attempt {
	const char *what;
	long number, arguments[5];
	int roles; /* that may */
} attempts[] = {
#define ANY_ADDRESS 1 /* a pointer that is not NULL; it is never followed */
#define OPTION(level, name)                  \
	"setsockopt " #name, SYS_setsockopt, \
	{                                    \
		level, name, 0, 0            \
	}
#define COMMAND(name)              \
	"fcntl " #name, SYS_fcntl, \
	{                          \
		name, 0            \
	}
	{"shutdown SHUT_WR", SYS_shutdown, {SHUT_WR}, ALL},
	{"shutdown SHUT_RD", SYS_shutdown, {SHUT_RD}, 0},
	{"shutdown SHUT_RDWR", SYS_shutdown, {SHUT_RDWR}, 0},
	{"shutdown 3", SYS_shutdown, {3}, 0},
	{"send", SYS_sendto, {0, 0, MSG_NOSIGNAL, 0, 0}, ALL},
	{"send MSG_FASTOPEN", SYS_sendto, {0, 0, MSG_FASTOPEN, 0, 0}, 0},
	{"sendto", SYS_sendto, {0, 0, 0, ANY_ADDRESS, 16}, FETCH},
	{"sendto MSG_FASTOPEN", SYS_sendto, {0, 0, MSG_FASTOPEN, ANY_ADDRESS, 16}, 0},
	{"sendto MSG_FASTOPEN|…", SYS_sendto, {0, 0, MSG_FASTOPEN | MSG_MORE, ANY_ADDRESS, 16}, 0},
	{"sendmsg", SYS_sendmsg, {0, MSG_DONTWAIT}, ALL},
	{"sendmsg MSG_FASTOPEN", SYS_sendmsg, {0, MSG_FASTOPEN}, 0},
	{"sendmsg MSG_FASTOPEN|…", SYS_sendmsg, {0, MSG_FASTOPEN | MSG_NOSIGNAL}, 0},
	{"sendmmsg", SYS_sendmmsg, {0, 0, 0}, FETCH},
	{"sendmmsg MSG_FASTOPEN", SYS_sendmmsg, {0, 0, MSG_FASTOPEN}, 0},
	{OPTION(SOL_SOCKET, SO_LINGER), FRONT | LMTP},
	{OPTION(SOL_SOCKET, SO_RCVTIMEO), FETCH},
	{OPTION(SOL_SOCKET, SO_SNDBUF), FETCH},
	{OPTION(SOL_SOCKET, SO_RCVBUFFORCE), 0},
	{OPTION(SOL_SOCKET, SO_REUSEADDR), 0},
	{OPTION(SOL_SOCKET, SO_REUSEPORT), 0},
	{OPTION(SOL_SOCKET, SO_ATTACH_FILTER), 0},
	{OPTION(SOL_SOCKET, SO_DETACH_FILTER), 0},
	{OPTION(SOL_SOCKET, SO_LOCK_FILTER), 0},
	{OPTION(SOL_SOCKET, SO_ATTACH_BPF), 0},
	{OPTION(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF), 0},
	{OPTION(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF), 0},
	{OPTION(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF), 0},
	{OPTION(SOL_SOCKET, SO_BINDTODEVICE), 0},
	{OPTION(SOL_SOCKET, SO_MARK), 0},
	{OPTION(IPPROTO_TCP, TCP_NODELAY), FETCH},
	{OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT), 0},
	{OPTION(IPPROTO_TCP, TCP_FASTOPEN), 0},
	{OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 0},
	{OPTION(IPPROTO_TCP, TCP_ULP), 0},
	{OPTION(IPPROTO_TCP, TCP_REPAIR), 0},
	{OPTION(IPPROTO_IP, IP_RECVERR), FETCH},
	{OPTION(IPPROTO_IP, IP_TRANSPARENT), 0},
	{OPTION(IPPROTO_IPV6, IPV6_RECVERR), FETCH},
	{OPTION(IPPROTO_IPV6, IPV6_V6ONLY), 0},
	{OPTION(IPPROTO_IPV6, IPV6_ADDRFORM), 0},
	{COMMAND(F_GETFL), ALL},
	{COMMAND(F_DUPFD_CLOEXEC), ALL},
	{COMMAND(F_GET_SEALS), ALL},
	{COMMAND(F_SETFL), FETCH},
	{COMMAND(F_SETOWN), 0},
	{"fcntl F_SETSIG", SYS_fcntl, {10, 0}, 0},
	{"fcntl F_SETOWN_EX", SYS_fcntl, {15, 0}, 0},
	{"fcntl F_SETLEASE", SYS_fcntl, {1024, 0}, 0},
	{"fcntl F_NOTIFY", SYS_fcntl, {1026, 0}, 0},
	{"fcntl F_SETPIPE_SZ", SYS_fcntl, {1031, 0}, 0},
	{"ioctl FIONREAD", SYS_ioctl, {FIONREAD, 0}, ALL},
	{"ioctl FIONBIO", SYS_ioctl, {FIONBIO, 0}, FETCH},
	{"ioctl FIOASYNC", SYS_ioctl, {FIOASYNC, 0}, 0},
	{"ioctl TIOCSTI", SYS_ioctl, {TIOCSTI, 0}, 0},
};

static void attempt_all(const struct sandbox *sandbox, int role)
{
	unsigned wrong = 0;

	enter(sandbox);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		const struct attempt *a = &attempts[i];
		const long *with = a->arguments;
		bool refused =
			syscall(a->number, -1, with[0], with[1], with[2], with[3], with[4]) < 0 &&
			errno == ENOSYS;

		if (refused != !(a->roles & role)) {
			dprintf(2, "%s, role %d: %s, errno %d\n", a->what, role,
				refused ? "refused" : "allowed", errno);
			wrong++;
		}
	}
	_exit(wrong != 0);
}

/* In the place of a role the monitor's child enters the same way: by sandbox_enter. */
static void attempts_of(struct place *place, int role, int number)
{
	struct sandbox sandbox = {.role = number};

	if (place->as_root) {
		sandbox.change_ids = sandbox.empty_root = true;
		sandbox.uid = sandbox.gid = 65534;
	} else if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0)) {
		_exit(1);
	}
	attempt_all(&sandbox, role);
}

static void front_attempts(struct place *place)
{
	attempts_of(place, FRONT, SANDBOX_FRONT);
}

static void auth_attempts(struct place *place)
{
	attempts_of(place, AUTH, SANDBOX_AUTH);
}

static void keeper_attempts(struct place *place)
{
	attempts_of(place, KEEPER, SANDBOX_KEEPER);
}

static void fetch_attempts(struct place *place)
{
	attempts_of(place, FETCH, SANDBOX_FETCH);
}

/* With a program that the parent made. */
static struct sandbox_program *program;

static void fetch_attempts_with_a_program(struct place *place)
{
	struct sandbox sandbox = {.role = SANDBOX_FETCH, .program = program};

	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		_exit(1);
	attempt_all(&sandbox, FETCH);
}

static void signals_with_a_program(struct place *place)
{
	struct sandbox sandbox = {.role = SANDBOX_FETCH, .program = program};
	const long beyond = (long)getpid() | 1L << 32;

	enter(&sandbox);
	EXPECT(syscall(SYS_tgkill, getpid(), getpid(), 0) == 0);
	EXPECT(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == ENOSYS);
	EXPECT(syscall(SYS_tgkill, beyond, getpid(), 0) < 0 && errno == ENOSYS);
	EXPECT(kill(getpid(), 0) < 0 && kill(getppid(), 0) < 0);
}

static void starts_a_program_with_a_program(struct place *place)
{
	char name[] = "/bin/true", *argv[] = {name, NULL};
	struct sandbox sandbox = {.role = SANDBOX_FETCH, .program = program};

	enter(&sandbox);
	execv(name, argv);
	_exit(errno == EPERM ? 77 : 1);
}

static void test_program(void **state)
{
	program = sandbox_program_make(SANDBOX_FETCH, NULL);
	assert_non_null(program);
	assert_fine(run(fetch_attempts_with_a_program, *state));
	assert_fine(run(signals_with_a_program, *state));
	assert_deadly(run(starts_a_program_with_a_program, *state));
	sandbox_program_free(program);
}

static void keys_attempts(struct place *place)
{
	attempts_of(place, KEYS, SANDBOX_KEYS);
}

static void lmtp_attempts(struct place *place)
{
	attempts_of(place, LMTP, SANDBOX_LMTP);
}

static void status_attempts(struct place *place)
{
	attempts_of(place, STATUS, SANDBOX_STATUS);
}

static void logins_attempts(struct place *place)
{
	attempts_of(place, LOGINS, SANDBOX_LOGINS);
}

static void locker_attempts(struct place *place)
{
	attempts_of(place, LOCKER, SANDBOX_LOCKER);
}

static void attempts_in_every_role(struct place *place)
{
	assert_fine(run(locker_attempts, place));
	assert_fine(run(front_attempts, place));
	assert_fine(run(auth_attempts, place));
	assert_fine(run(keeper_attempts, place));
	assert_fine(run(fetch_attempts, place));
	assert_fine(run(keys_attempts, place));
	assert_fine(run(lmtp_attempts, place));
	assert_fine(run(status_attempts, place));
	assert_fine(run(logins_attempts, place));
}

static void test_threat_67_arguments(void **state)
{
	attempts_in_every_role(*state);
}

static void test_threat_67_arguments_as_root(void **state)
{
	struct place *place = *state;

	if (geteuid() != 0)
		skip();
	place->as_root = true;
	attempts_in_every_role(place);
	place->as_root = false;
}

/* A front's way to connect without connect(): a listening socket shut, then opened by its first
 * data. */
static void front_makes_a_connection(struct place *place)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int own = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
	struct iovec part = {.iov_base = (char[]){"x"}, .iov_len = 1};
	struct msghdr message = {
		.msg_name = &address, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
	int accepts = 0;

	EXPECT(bind(own, (struct sockaddr *)&address, size) == 0 && listen(own, 5) == 0);
	EXPECT(bind(other, (struct sockaddr *)&address, size) == 0 && listen(other, 5) == 0);
	EXPECT(getsockname(other, (struct sockaddr *)&address, &size) == 0);
	enter(&front);
	EXPECT(shutdown(own, SHUT_RDWR) < 0 && shutdown(own, SHUT_RD) < 0);
	EXPECT(shutdown(own, SHUT_WR) == 0 || errno != ENOSYS);
	EXPECT(sendto(own, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, size) < 0);
	EXPECT(errno == ENOSYS && sendmsg(own, &message, MSG_FASTOPEN) < 0 && errno == ENOSYS);
	EXPECT(sendmsg(own, &message, MSG_NOSIGNAL) < 0 && errno != ENOSYS);
	size = sizeof(accepts);
	EXPECT(getsockopt(own, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts);
}

static void test_threat_59_front_connects_by_no_other_call(void **state)
{
	assert_fine(run(front_makes_a_connection, *state));
}

/* ---- as root ---- */

static void root_is_left(struct place *place)
{
	struct sandbox keeper = {.role = SANDBOX_KEEPER,
				 .change_ids = true,
				 .uid = 65534,
				 .gid = 65534,
				 .empty_root = true,
				 .path_count = 1};
	struct stat st;
	int fd;
	int proc_fd = own_descriptors();

	EXPECT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	keeper.paths[0] = (struct sandbox_path){place->fd, SANDBOX_READ | SANDBOX_WRITE};
	enter(&keeper);
	EXPECT(getuid() == 65534 && geteuid() == 65534 && getgid() == 65534);
	EXPECT(getgroups(0, NULL) == 0);
	EXPECT(stat("/", &st) == 0 && st.st_nlink == 0 && st.st_uid == 0);
	EXPECT((st.st_mode & 07777) == 0555);
	EXPECT(stat("/etc", &st) < 0 && stat("/..", &st) == 0 && st.st_nlink == 0);
	fd = open("/x", O_CREAT | O_WRONLY, 0600);
	EXPECT(fd < 0);
	keeper_steps(place, proc_fd);
}

static void root_keeps_uid(struct place *place)
{
	struct sandbox keeper = {.role = SANDBOX_KEEPER,
				 .change_ids = true,
				 .path_count = 1,
				 .paths = {{place->fd, SANDBOX_READ | SANDBOX_WRITE}}};
	int fd = openat(place->fd, "foreign", O_CREAT | O_WRONLY, 0600);

	EXPECT(fd >= 0 && fchown(fd, 65534, 65534) == 0);
	enter(&keeper);
	EXPECT(getuid() == 0);
	EXPECT(openat(place->fd, "foreign", O_RDONLY) < 0 && errno == EACCES);
	EXPECT(unlinkat(place->fd, "foreign", 0) == 0);
}

/* The grandchild must die with its parent although it changed its uid in between. */
static void parent_dies(struct place *place)
{
	struct sandbox keeper = {
		.role = SANDBOX_KEEPER, .change_ids = true, .uid = 65534, .gid = 65534};
	int pipe_fds[2];
	char octet;
	pid_t pid;

	EXPECT(pipe(pipe_fds) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter(&keeper);
		EXPECT(write(pipe_fds[1], "x", 1) == 1);
		for (;;)
			pause();
	}
	EXPECT(pid > 0 && read(pipe_fds[0], &octet, 1) == 1);
}

static void test_root(void **state)
{
	struct place *place = *state;
	int alive[2], status;
	char octet;

	if (geteuid() != 0)
		skip();
	assert_fine(run(root_is_left, place));
	assert_fine(run(root_keeps_uid, place));
	/* the pipe's end is held by the grandchild: it reads as closed when that is gone */
	assert_int_equal(pipe(alive), 0);
	status = run(parent_dies, place);
	assert_fine(status);
	close(alive[1]);
	assert_int_equal(read(alive[0], &octet, 1), 0);
	close(alive[0]);
}

static void test_user(void **state)
{
	struct err err;
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_int_equal(sandbox_user("root", &uid, &gid, &err), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(sandbox_user("no-such-user-here", &uid, &gid, &err), -1);
	assert_string_equal(err.text, "there is no user no-such-user-here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_front, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_front_deadly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_auth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keeper, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fetch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_modules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fetch_binds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lmtp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_logins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_locker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threat_67_arguments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threat_67_arguments_as_root, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_threat_59_front_connects_by_no_other_call,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_root, set_up, tear_down),
		cmocka_unit_test(test_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
