/* See timer.h. */
#include "fetch/setup/timer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define TIMER "valija-fetch.timer"

int timer_enable(struct err *err)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		execlp("systemctl", "systemctl", "--user", "enable", "--now", TIMER, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && status == 0)
		return 0;
	return err_set(err, EX_UNAVAILABLE,
		       "the timer could not be switched on (systemctl --user enable --now " TIMER
		       "); the account is written. Without systemd, a line for cron: */10 * * * * "
		       "valija fetch");
}
