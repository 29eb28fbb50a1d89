/* See round.h. */
#include "cli/migrate/round.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "cli/migrate/dialer.h"
#include "cli/migrate/secret.h"
#include "cli/migrate/sessions.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static pid_t start_dialer(struct migrate *m, const struct move *move, int channel, struct err *err)
{
	struct secret secret;
	pid_t pid = -1;

	secret_init(&secret);
	if (secret_find(m, move, &secret, err) == 0) {
		const struct dialer_order order = {.section = move->section,
						   .path = move->path,
						   .login = move->login,
						   .secret = {secret.bytes, secret.size}};

		pid = dialer_start(&order, channel, err);
	}
	secret_finish(&secret);
	return pid;
}

struct round {
	int link[2], control[2]; /* [0]: the writer's end */
	pid_t writer, dialer;
};

static int make_channels(struct round *round, struct err *err)
{
	const struct timeval look = {.tv_usec = WRITER_LOOK_MS * 1000};

	*round = (struct round){{-1, -1}, {-1, -1}, -1, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, round->link) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, round->control) < 0 ||
	    fcntl(round->link[1], F_SETFL, O_NONBLOCK) < 0 ||
	    setsockopt(round->link[0], SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look)) < 0)
		return err_sys(err, EX_OSERR, errno, "a pair of sockets");
	return 0;
}

/* As a keeper: the owner of the mail for good, that maildrop alone, no network. */
static int confine(const struct move *move, int folder, struct err *err)
{
	struct sandbox sandbox = {.role = SANDBOX_KEEPER,
				  .change_ids = geteuid() == 0,
				  .uid = move->uid,
				  .gid = move->gid};

	if (folder >= 0)
		sandbox.paths[sandbox.path_count++] =
			(struct sandbox_path){folder, SANDBOX_READ | SANDBOX_WRITE};
	return sandbox_enter(&sandbox, err);
}

/* The other server's octets are hostile, and this process takes them apart. */
static void forget_secrets(const struct migrate *m)
{
	for (size_t i = 0; i < m->user_count; i++)
		wipe(m->users[i].remote_password, sizeof(m->users[i].remote_password));
}

static void write_as_owner(const struct migrate *m, const struct move *move, struct round *round)
{
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = m->config.host_name};
	struct writer_job job = {.settings = &settings,
				 .home = user_home(move->user),
				 .source = move->source,
				 .channel = round->link[0],
				 .control = round->control[0],
				 .dry_run = m->options.dry_run,
				 .delete_there = m->options.delete_there,
				 .accept = m->options.accept,
				 .rate = m->options.rate};
	struct err err = {0};

	close_fd(&round->link[1]);
	close_fd(&round->control[1]);
	if (m->private_fd >= 0)
		close(m->private_fd);
	forget_secrets(m);
	job.folder = move_open_folder(m, move, &err);
	if ((job.folder < 0 && !(m->options.dry_run && err.errnum == ENOENT)) ||
	    confine(move, job.folder, &err) < 0) {
		m->report->outcome = WRITER_FAILED;
		snprintf(m->report->why, sizeof(m->report->why), "%s", err.text);
		_exit(EX_OK);
	}
	writer_run(&job, m->report);
	_exit(EX_OK);
}

/* The writer has locked the maildrop: it gets a dialer, and learns whether it may switch. */
static void serve(struct migrate *m, const struct move *move, struct round *round)
{
	struct err err = {0};
	int none = m->options.dry_run ? 0 : sessions_none(m, move->user, &err);
	char octet;

	if (none < 0)
		m->unasked = err;
	round->dialer = start_dialer(m, move, round->link[1], &err);
	if (round->dialer < 0) {
		close_fd(&round->control[1]); /* it ends */
		while (waitpid(round->writer, NULL, 0) < 0 && errno == EINTR)
			;
		round->writer = -1;
		m->report->outcome = WRITER_FAILED;
		snprintf(m->report->why, sizeof(m->report->why), "%s", err.text);
		return;
	}
	close_fd(&round->link[1]);
	octet = none > 0 ? 'S' : 'C';
	(void)!write(round->control[1], &octet, 1);
}

static void end_round(struct round *round)
{
	close_fd(&round->link[1]);
	while (round->writer > 0 && waitpid(round->writer, NULL, 0) < 0 && errno == EINTR)
		;
	if (round->dialer > 0)
		kill(round->dialer, SIGKILL);
	while (round->dialer > 0 && waitpid(round->dialer, NULL, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; i < 2; i++) {
		close_fd(&round->link[i]);
		close_fd(&round->control[i]);
	}
}

int round_play(struct migrate *m, const struct move *move, struct err *err)
{
	struct round round;
	char octet;
	ssize_t n;

	*m->report = (struct writer_report){.outcome = WRITER_DIED};
	m->unasked = (struct err){0};
	fflush(stdout);
	if (make_channels(&round, err) < 0) {
		end_round(&round);
		return -1;
	}
	round.writer = fork();
	if (round.writer == 0)
		write_as_owner(m, move, &round);
	close_fd(&round.link[0]);
	close_fd(&round.control[0]);
	while ((n = read(round.control[1], &octet, 1)) < 0 && errno == EINTR)
		;
	if (n == 1)
		serve(m, move, &round);
	end_round(&round);
	return 0;
}
