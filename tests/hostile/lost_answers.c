/*
 * Answers that nobody would give any more. This program plays the monitor for real processes, and
 * itself the peers that are gone at the worst instant:
 * - a keeper that dies leaves its front first and auth, for a moment, with a channel to write to;
 *   the client that asks for a recipient just then must be told, not left to wait;
 * - a keeper that is being started must not hear auth before it knows the front that it is to
 *   answer (nor before it gave up what the monitor may do).
 *
 * lost_answers VALIJAD CONF USER: CONF is an office made by `valija init`. Exits with 0 if every
 * answer came.
 */
#include "config/config.h"
#include "play.h"

#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define HEARD_MS 1000 /* for how long a process that must not read is looked at */

/* A channel to a real process, as if it led to a process of that role. */
static int give_peer(const struct real *to, enum ipc_role role, uint64_t instance)
{
	int pair[2];

	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_peer(to, role, instance, pair[1]);
	close(pair[1]);
	return pair[0];
}

static void keeper_dies(const char *user)
{
	struct ipc_listener listener = {.service = SERVICE_LMTP};
	uint64_t keeper = ++play.instances;
	char command[600], buf[CHAN_PACKET_MAX];
	struct real auth, lmtp;
	int to_auth, to_lmtp, client;

	play_spawn(&auth, ROLE_AUTH);
	play_spawn(&lmtp, ROLE_LMTP);
	play_directory(&auth, DIRECTORY_USERS, play.users_fd, "users");
	play_directory(&auth, DIRECTORY_MAIL, play.mail_fd, "");
	send_message(lmtp.fd, IPC_LISTENER, &listener, sizeof(listener), NULL, 0, &play.listener,
		     1);
	play_wire(&lmtp, &auth);
	to_auth = give_peer(&auth, ROLE_KEEPER, keeper);
	to_lmtp = give_peer(&lmtp, ROLE_KEEPER, keeper);
	play_start(&auth);
	play_start(&lmtp);
	client = play_dial();
	play_line(client, NULL, "220");
	play_line(client, "LHLO client.example\r\n", "250");
	play_line(client, "MAIL FROM:<>\r\n", "250");
	close(to_lmtp);
	play_line(client, "NOOP\r\n", "250"); /* by now the front has seen it go */
	snprintf(command, sizeof(command), "RCPT TO:<%s>\r\n", user);
	play_say(client, command);
	need(wait_for(to_auth, buf, sizeof(buf), IPC_RCPT_OPEN) == IPC_RCPT_OPEN,
	     "auth did not pass the recipient on");
	close(to_auth);
	play_line(client, NULL, "451");
	close(client);
	kill(auth.pid, SIGKILL);
	kill(lmtp.pid, SIGKILL);
}

static void open_recipient(int fd, uint64_t front, const char *user)
{
	struct ipc_recipient_open message = {.front = front, .session = 1};

	SEND_TEXTS(fd, IPC_RCPT_OPEN, &message, user, user, user);
}

/* Whether the other end takes what is in the channel. */
static bool heard(int fd)
{
	for (int ms = 0, waiting; ms < HEARD_MS; ms += 10) {
		need(ioctl(fd, SIOCOUTQ, &waiting) == 0, "SIOCOUTQ");
		if (!waiting)
			return true;
		poll(NULL, 0, 10);
	}
	return false;
}

static void keeper_starts(const char *user)
{
	uint64_t front = ++play.instances;
	char buf[CHAN_PACKET_MAX];
	struct real keeper;
	int auth, lmtp;

	play_spawn(&keeper, ROLE_KEEPER);
	play_directory(&keeper, DIRECTORY_MAIL, play.mail_fd, "");
	auth = give_peer(&keeper, ROLE_AUTH, ++play.instances);
	open_recipient(auth, front, user);
	need(!heard(auth), "a keeper heard auth before START");
	lmtp = give_peer(&keeper, ROLE_LMTP, front);
	play_start(&keeper);
	need(wait_for(lmtp, buf, sizeof(buf), IPC_RCPT_READY) == IPC_RCPT_READY,
	     "a keeper forgot whom to answer");
	close(auth);
	close(lmtp);
	kill(keeper.pid, SIGKILL);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: lost_answers VALIJAD CONF USER\n", stderr);
		return 64;
	}
	play_prepare(argv[1], argv[2]);
	keeper_dies(argv[3]);
	puts("held: a keeper that dies");
	keeper_starts(argv[3]);
	puts("held: a keeper that starts");
	return 0;
}
