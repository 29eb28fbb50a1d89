/* Forks a process an account and collects exit codes; for fetch.c, unconfined. Accounts have
 * processes of their own, so a crash or a hostile server of one leaves the others alone. */
#include "fetch/jobs.h"

#include "fetch/interrupt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

struct job {
	pid_t pid;
	int code;
};

static void start(struct job *job, const struct fetch_account *account,
		  const struct fetch_options *options)
{
	fflush(NULL);
	job->pid = fork();
	if (job->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		exit(fetch_run(account, options, &fetch_files_real, NULL));
	}
	if (job->pid < 0) {
		fprintf(stderr, "valija fetch: %s: cannot start a process: %s\n", account->name,
			strerror(errno));
		job->code = EX_OSERR;
	}
}

static bool wait_for_one(struct job *jobs, const struct fetch_account *const *accounts,
			 unsigned count)
{
	int status;
	pid_t pid = wait(&status);

	if (pid < 0)
		return errno == EINTR;
	for (unsigned i = 0; i < count; i++) {
		if (jobs[i].pid != pid)
			continue;
		jobs[i].pid = 0;
		jobs[i].code = WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
		if (WIFSIGNALED(status))
			fprintf(stderr, "valija fetch: %s: ended by signal %d\n", accounts[i]->name,
				WTERMSIG(status));
		return true;
	}
	return true;
}

/* Each account's process ends tidily; a terminal has signalled them already. */
static void pass_on(const struct job *jobs, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (jobs[i].pid > 0)
			kill(jobs[i].pid, SIGTERM);
}

int fetch_jobs(const struct fetch_account *const *accounts, unsigned count, unsigned jobs,
	       const struct fetch_options *options)
{
	struct job *list = calloc(count, sizeof(*list));
	unsigned running = 0;
	int code = EX_OK;
	bool told = false;

	if (!list)
		return EX_OSERR;
	for (unsigned next = 0; next < count || running;) {
		if (fetch_interrupted() && !told) {
			told = true;
			count = next; /* the others are not begun */
			pass_on(list, next);
		}
		if (next < count && running < jobs) {
			start(&list[next], accounts[next], options);
			running += list[next].pid > 0;
			next++;
			continue;
		}
		if (!wait_for_one(list, accounts, next))
			break;
		running = 0;
		for (unsigned i = 0; i < next; i++)
			running += list[i].pid > 0;
	}
	for (unsigned i = 0; i < count && code == EX_OK; i++)
		code = list[i].code;
	free(list);
	return fetch_interrupted() ? 128 + fetch_interrupted() : code;
}
