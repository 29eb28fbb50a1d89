/*
 * A role's filter as the kernel's program, made in a parent (libseccomp) and loaded by each of its
 * children. A child adds the one check that names itself: tgkill() of its own threads only.
 */
#include "sys/sandbox_internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

struct sandbox_program {
	uint32_t arch;
	unsigned short count;
	struct sock_filter code[];
};

struct sandbox_program *sandbox_program_read(int fd, uint32_t arch, struct err *err)
{
	const size_t one = sizeof(struct sock_filter);
	off_t size = lseek(fd, 0, SEEK_END);
	struct sandbox_program *program;

	if (size <= 0 || (size_t)size % one || (size_t)size / one > BPF_MAXINSNS) {
		err_set(err, EX_SOFTWARE, "seccomp: a program of %lld octets", (long long)size);
		return NULL;
	}
	program = malloc(sizeof(*program) + (size_t)size);
	if (!program || pread(fd, program->code, (size_t)size, 0) != size) {
		err_sys(err, EX_OSERR, errno, "seccomp: cannot read the program");
		free(program);
		return NULL;
	}
	program->arch = arch;
	program->count = (unsigned short)((size_t)size / one);
	return program;
}

void sandbox_program_free(struct sandbox_program *program)
{
	free(program);
}

static int load(const struct sock_filter *code, unsigned short count)
{
	const unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	struct sock_fprog program = {.len = count};
	long result;

	program.filter = (struct sock_filter *)(uintptr_t)code; /* the kernel only reads it */
	result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return result < 0   ? -errno
	       : result > 0 ? -ESRCH
			    : 0; /* > 0: a thread that did not follow */
}

/* tgkill() of another process gets ENOSYS, all else is the other program's affair. Loaded first:
 * that one allows no second. */
static int load_own(uint32_t arch)
{
	const unsigned low = __BYTE_ORDER == __BIG_ENDIAN ? 4 : 0;
	const unsigned argument = offsetof(struct seccomp_data, args[0]);
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument + low),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument + 4 - low),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	return load(code, sizeof(code) / sizeof(code[0]));
}

int sandbox_program_load(const struct sandbox_program *program)
{
	int result = load_own(program->arch);

	return result ? result : load(program->code, program->count);
}
