/* Of finding.h: what the kernel can do, and its clock. */
#include "cli/doctor/finding.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LANDLOCK_VERSION = 1 }; /* the flag that asks for it */

static void check_landlock(const struct doctor *doctor)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (version < 0)
		find(doctor, SEVERITY_WARNING, "kernel",
		     "start the kernel with lsm=landlock,... (zcat /proc/config.gz | grep LSM)",
		     "Landlock is not there (%s): processes are confined by the filter and their "
		     "uid alone, and mail of root is not served",
		     strerror(errno));
	else
		find(doctor, SEVERITY_OK, "kernel", NULL, "Landlock, version %ld", version);
}

static void check_seccomp(const struct doctor *doctor)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		find(doctor, SEVERITY_ERROR, "kernel",
		     "use a kernel with CONFIG_SECCOMP_FILTER, or let the container have it",
		     "filters of system calls are not there (%s): valijad does not start",
		     strerror(errno));
	else
		find(doctor, SEVERITY_OK, "kernel", NULL, "filters of system calls");
}

static void check_openat2(const struct doctor *doctor)
{
	/* no struct: EFAULT or EINVAL of a kernel that knows the call */
	if (syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) < 0 && errno == ENOSYS)
		find(doctor, SEVERITY_NOTE, "kernel",
		     "Linux 5.6, without RestrictSUIDSGID= for the process",
		     "openat2 is not there: folders of mail are opened one component at a time");
}

static void check_nowait(const struct doctor *doctor, const char *path)
{
	struct iovec none = {NULL, 0};
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = fd < 0 ? -1 : openat(fd, ".valija-root", O_RDONLY | O_CLOEXEC);
	char octet;

	if (file >= 0) {
		none = (struct iovec){&octet, 1};
		if (preadv2(file, &none, 1, 0, RWF_NOWAIT) < 0 &&
		    (errno == EOPNOTSUPP || errno == ENOSYS))
			find(doctor, SEVERITY_NOTE, "kernel", "keep mail on ext4, XFS or Btrfs",
			     "%s: its filesystem cannot read without waiting (%s): messages go "
			     "through the keeper",
			     path, strerror(errno));
		close(file);
	}
	if (fd >= 0)
		close(fd);
}

void check_kernel(const struct doctor *doctor)
{
	check_landlock(doctor);
	check_seccomp(doctor);
	check_openat2(doctor);
	for (uint32_t i = 0; i < doctor->config->root_count; i++)
		check_nowait(doctor, doctor->config->roots[i].path);
}

void check_clock(const struct doctor *doctor)
{
	struct timex clock = {.modes = 0};
	int state = adjtimex(&clock);

	if (state < 0)
		find(doctor, SEVERITY_NOTE, "clock", NULL, "the kernel's clock cannot be asked: %s",
		     strerror(errno));
	else if (state == TIME_ERROR || clock.status & STA_UNSYNC)
		find(doctor, SEVERITY_WARNING, "clock", "timedatectl set-ntp true",
		     "the clock is not kept right by NTP: certificates, tokens, bans and last "
		     "logins depend on it");
	else
		find(doctor, SEVERITY_OK, "clock", NULL, "kept right by NTP, within %ld ms",
		     clock.maxerror / 1000);
}
