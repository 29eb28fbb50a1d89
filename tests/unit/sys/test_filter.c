/* The filters of all roles as other architectures get them: made for each, and run here by a small
 * interpreter of the kernel's filter language, call by call. */
#include "sys/sandbox_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEPS_MAX = 4096 };

static const uint32_t arches[] = {SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
enum { ARCHES = sizeof(arches) / sizeof(*arches) };

static struct program {
	struct sock_filter steps[STEPS_MAX];
	unsigned count;
	uint32_t arch;
} front, keeper, any;

static void make(struct program *program, enum sandbox_role role, uint32_t arch)
{
	FILE *file = tmpfile();
	struct err err;
	void *filter = sandbox_filter(role, arch, &err);

	if (!filter)
		fail_msg("%s", err.text);
	assert_non_null(file);
	assert_int_equal(seccomp_export_bpf(filter, fileno(file)), 0);
	seccomp_release(filter);
	rewind(file);
	program->arch = arch;
	program->count = (unsigned)fread(program->steps, sizeof(*program->steps), STEPS_MAX, file);
	fclose(file);
	assert_true(program->count > 10 && program->count < STEPS_MAX);
}

static bool jumps(const struct sock_filter *step, uint32_t a)
{
	switch (BPF_OP(step->code)) {
	case BPF_JEQ:
		return a == step->k;
	case BPF_JGT:
		return a > step->k;
	case BPF_JGE:
		return a >= step->k;
	case BPF_JSET:
		return (a & step->k) != 0;
	default:
		fail_msg("a jump that no filter should have: %#x", step->code);
		return false;
	}
}

static uint32_t run(const struct program *program, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned at = 0; at < program->count; at++) {
		const struct sock_filter *step = &program->steps[at];

		switch (BPF_CLASS(step->code)) {
		case BPF_LD:
			memcpy(&a, (const char *)data + step->k, sizeof(a));
			break;
		case BPF_ALU:
			assert_int_equal(BPF_OP(step->code), BPF_AND);
			a &= step->k;
			break;
		case BPF_JMP:
			if (BPF_OP(step->code) == BPF_JA)
				at += step->k;
			else
				at += jumps(step, a) ? step->jt : step->jf;
			break;
		case BPF_RET:
			return step->k;
		default:
			fail_msg("a step that no filter should have: %#x", step->code);
		}
	}
	fail_msg("a filter without an end");
	return 0;
}

static bool has_call(const struct program *program, const char *name)
{
	int number = seccomp_syscall_resolve_name_arch(program->arch, name);

	assert_int_not_equal(number, __NR_SCMP_ERROR);
	return number >= 0; /* below 0: another architecture has it */
}

static uint32_t call(const struct program *program, const char *name, uint64_t first,
		     uint64_t second, uint64_t third)
{
	struct seccomp_data data = {.nr = seccomp_syscall_resolve_name_arch(program->arch, name),
				    .arch = program->arch,
				    .args = {first, second, third}};

	assert_true(has_call(program, name));
	return run(program, &data);
}

static bool is_killed(uint32_t got)
{
	return got == (SANDBOX_SANITIZED ? (SECCOMP_RET_ERRNO | EPERM) : SECCOMP_RET_KILL_PROCESS);
}

static void expect(const char *const *names, bool killed)
{
	for (size_t i = 0; i < ARCHES; i++)
		for (int role = 0; role < SANDBOX_ROLE_COUNT; role++) {
			make(&any, (enum sandbox_role)role, arches[i]);
			for (const char *const *name = names; *name; name++) {
				uint32_t got;

				if (!has_call(&any, *name))
					continue;
				got = call(&any, *name, 0, 0, 0);
				if (killed ? !is_killed(got) : got != SECCOMP_RET_ALLOW)
					fail_msg("arch %#x, role %d: %s: %#x", arches[i], role,
						 *name, got);
			}
		}
}

/* Calls that every role makes, by the names that one architecture or another has for them. */
static void test_calls_of_all_roles(void **state)
{
	static const char *const names[] = {"read",
					    "write",
					    "close",
					    "recvmsg",
					    "recvmmsg",
					    "recvmmsg_time64",
					    "epoll_pwait",
					    "ppoll",
					    "ppoll_time64",
					    "pselect6",
					    "pselect6_time64",
					    "futex",
					    "futex_time64",
					    "clock_gettime",
					    "clock_gettime64",
					    "clock_getres_time64",
					    "clock_nanosleep",
					    "clock_nanosleep_time64",
					    "rt_sigtimedwait_time64",
					    "getrandom",
					    "munmap",
					    "_llseek",
					    "fstat",
					    "fstat64",
					    "getuid32",
					    "exit_group",
					    NULL};

	(void)state;
	expect(names, false);
}

static void test_calls_that_end_a_process(void **state)
{
	static const char *const names[] = {"execve", "ptrace", "setuid",  "unshare", "bpf",
					    "mount",  "kcmp",   "umount2", NULL};

	(void)state;
	expect(names, true);
}

static void test_arguments_are_checked_on_each(void **state)
{
	const uint64_t thread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;

	(void)state;
	for (size_t i = 0; i < ARCHES; i++) {
		bool arm = arches[i] == SCMP_ARCH_ARM;
		const char *map = arm ? "mmap2" : "mmap", *control = arm ? "fcntl64" : "fcntl";
		const char *status = arm ? "fstatat64" : "newfstatat";

		make(&front, SANDBOX_FRONT, arches[i]);
		make(&keeper, SANDBOX_KEEPER, arches[i]);
		assert_int_equal(call(&front, map, 0, 1, PROT_READ), SECCOMP_RET_ALLOW);
		assert_int_not_equal(call(&front, map, 0, 1, PROT_EXEC), SECCOMP_RET_ALLOW);
		assert_int_equal(call(&front, control, 0, F_GETFL, 0), SECCOMP_RET_ALLOW);
		assert_int_not_equal(call(&front, control, 0, F_SETFL, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(call(&keeper, "clone", thread, 0, 0), SECCOMP_RET_ALLOW);
		assert_true(is_killed(call(&keeper, "clone", 0, 0, 0)));
		assert_int_equal(call(&keeper, "openat", 0, 0, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(call(&front, "openat", 0, 0, 0), SECCOMP_RET_ERRNO | EACCES);
		assert_int_equal(call(&keeper, status, 0, 0, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(call(&front, status, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
	}
}

/* A call by another architecture's interface would have other numbers. */
static void test_another_architecture_ends_the_process(void **state)
{
	struct seccomp_data data = {.nr = 0, .arch = SCMP_ARCH_X86};

	(void)state;
	make(&any, SANDBOX_FRONT, SCMP_ARCH_X86_64);
	assert_int_not_equal(run(&any, &data), SECCOMP_RET_ALLOW);
	data.arch = SCMP_ARCH_X86_64;
	assert_int_equal(run(&any, &data), SECCOMP_RET_ALLOW); /* read */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_of_all_roles),
		cmocka_unit_test(test_calls_that_end_a_process),
		cmocka_unit_test(test_arguments_are_checked_on_each),
		cmocka_unit_test(test_another_architecture_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
