/* See unit.h. */
#include "fetch/setup/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static int systemctl(const char *verb, const char *unit)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		execlp("systemctl", "systemctl", "--user", verb, "--now", unit, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && status == 0 ? 0 : -1;
}

int unit_enable(const char *unit, struct err *err)
{
	const char *other = strcmp(unit, UNIT_TIMER) == 0 ? UNIT_DAEMON : UNIT_TIMER;

	(void)systemctl("disable", other); /* it may not be there */
	if (systemctl("enable", unit) < 0)
		return err_set(err, EX_UNAVAILABLE,
			       "%s could not be switched on (systemctl --user enable --now %s); "
			       "the account is written. Without systemd, a line for cron: "
			       "*/10 * * * * valija fetch",
			       unit, unit);
	return 0;
}
