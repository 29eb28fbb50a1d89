/* The parts of sandbox_enter, in files of their own: for these and sandbox.c only. */
#ifndef SYS_SANDBOX_INTERNAL_H
#define SYS_SANDBOX_INTERNAL_H

#include "sys/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* -1: failed. A kernel that lacks Landlock or seccomp is no failure: a line in the log says so. */
int sandbox_landlock(const struct sandbox *sandbox, struct err *err);
int sandbox_seccomp(const struct sandbox *sandbox, struct err *err);
/* Of sandbox_enter_modules. audit: it may write to the kernel's audit log. */
int sandbox_landlock_modules(struct err *err);
int sandbox_seccomp_modules(bool audit, struct err *err);
/* The filter of a role for an architecture of libseccomp, which must be released, or NULL.
 * sandbox_seccomp loads it. */
void *sandbox_filter(enum sandbox_role role, uint32_t arch, struct err *err);
/* The program that libseccomp has written into fd, to be freed. It lets a process signal the
 * threads of any; loading it adds the check that they are its own. */
struct sandbox_program *sandbox_program_read(int fd, uint32_t arch, struct err *err);
/* 0, or a negative errno as seccomp_load has it. */
int sandbox_program_load(const struct sandbox_program *program);

#endif
