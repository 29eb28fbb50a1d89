/*
 * An auth process that an attacker owns (threat 61). This program plays the monitor for a real POP3
 * front, a real LMTP front and a real keeper, and is itself auth: it answers what nobody asked,
 * twice, about sessions that do not exist, offers garbage, opens maildrops for nobody. Whoever owns
 * auth can log in as anybody; it must not be able to end a process, nor the sessions that are
 * logged in already.
 *
 * hostile_auth VALIJAD CONF USER USER: CONF is an office made by `valija init` with one message for
 * each USER. Exits with 0 if everything held.
 */
#include "config/config.h"
#include "play.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOD 2000
#define MECHANISMS "PLAIN LOGIN"

static struct {
	struct real keeper, front, lmtp;
	int to_keeper, to_front, to_lmtp; /* auth's channels */
	int lmtp_listener, bystander;
	uint16_t lmtp_port;
	const char *users[2];
	uint64_t bystander_session, instance; /* instance: of this auth */
	struct ipc_credentials asked;         /* the last login */
	struct ipc_recipient rcpt;            /* the last recipient */
	unsigned tried;
} all;

static void renew_channel(const struct real *to, uint64_t instance, int *channel)
{
	int pair[2];

	if (*channel >= 0)
		close(*channel);
	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_peer(to, ROLE_AUTH, instance, pair[1]);
	close(pair[1]);
	*channel = pair[0];
}

static void offer(const char *plain, const char *tls, uint32_t apop)
{
	struct ipc_offer message = {.apop = apop};

	SEND_TEXTS(all.to_front, IPC_OFFER, &message, plain, tls);
}

/* New channels, as the monitor would give to auth started anew. */
static void become_auth(void)
{
	uint64_t instance = all.instance = ++play.instances;

	renew_channel(&all.keeper, instance, &all.to_keeper);
	renew_channel(&all.front, instance, &all.to_front);
	renew_channel(&all.lmtp, instance, &all.to_lmtp);
	offer(MECHANISMS, MECHANISMS, 1);
}

static void start_all(void)
{
	struct ipc_listener pop3 = {.service = SERVICE_POP3}, lmtp = {.service = SERVICE_LMTP};

	play_spawn(&all.keeper, ROLE_KEEPER);
	play_spawn(&all.front, ROLE_FRONT);
	play_spawn(&all.lmtp, ROLE_LMTP);
	play_directory(&all.keeper, DIRECTORY_MAIL, play.mail_fd, "");
	send_message(all.front.fd, IPC_LISTENER, &pop3, sizeof(pop3), NULL, 0, &play.listener, 1);
	send_message(all.lmtp.fd, IPC_LISTENER, &lmtp, sizeof(lmtp), NULL, 0, &all.lmtp_listener,
		     1);
	play_wire(&all.front, &all.keeper);
	play_wire(&all.lmtp, &all.keeper);
	play_start(&all.keeper);
	play_start(&all.front);
	play_start(&all.lmtp);
	become_auth();
}

/* -- what auth does when it is honest -- */

/* The next message of that type that the front sends; several may share a packet. */
static const void *front_asks(enum ipc_type type)
{
	static uint64_t packet[CHAN_PACKET_MAX / sizeof(uint64_t)], instance;
	static size_t at, size;

	if (instance != all.instance) /* what is left is of another channel */
		at = size = 0;
	instance = all.instance;
	for (;;) {
		const char *message = (const char *)packet + at;

		if (at == size) {
			if (!receive(all.to_front, packet, sizeof(packet), PATIENCE_MS))
				die("the front does not ask");
			at = 0;
			size = play.received;
			continue;
		}
		at += ipc_first(message, size - at);
		if (((const struct ipc_head *)(const void *)message)->type == type)
			return message;
	}
}

static void connected(uint64_t session, uint32_t reason, const char *stamp)
{
	struct ipc_connected message = {.session = session, .reason = reason};

	SEND_TEXTS(all.to_front, IPC_CONNECTED, &message, stamp);
}

static void denied_with(uint64_t session, uint64_t ticket, uint32_t reason)
{
	struct ipc_denied message = {.session = session, .ticket = ticket, .reason = reason};

	SEND(all.to_front, IPC_DENIED, &message, NULL, 0);
}

static void challenge(uint64_t session, size_t size)
{
	struct ipc_challenge message = {.session = session};
	static char text[IPC_SASL_MAX + 1];

	memset(text, 'A', size);
	text[size] = '\0';
	SEND_TEXTS(all.to_front, IPC_CHALLENGE, &message, text);
}

static void open_maildrop(uint64_t front, uint64_t session, uint64_t ticket, const char *home)
{
	struct ipc_open message = {.front = front, .session = session, .ticket = ticket};

	SEND_TEXTS(all.to_keeper, IPC_OPEN, &message, home, home, "");
}

static uint64_t dial(int *ret_client)
{
	const struct ipc_connect *connect;
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	*ret_client = play_dial();
	need(getsockname(*ret_client, (struct sockaddr *)&address, &size) == 0, "getsockname");
	do /* a new auth hears of those that are there, too */
		connect = front_asks(IPC_CONNECT);
	while (connect->port != ntohs(address.sin_port));
	return connect->session;
}

static int greeted(const char *stamp)
{
	int client;

	connected(dial(&client), REASON_OK, stamp);
	play_line(client, NULL, "+OK");
	return client;
}

static void say_pass(int client)
{
	play_line(client, "USER anybody\r\n", "+OK");
	play_say(client, "PASS whatever\r\n");
	memcpy(&all.asked, front_asks(IPC_PASS), sizeof(all.asked));
}

static int login(const char *user)
{
	int client = greeted("");

	say_pass(client);
	open_maildrop(all.front.instance, all.asked.session, all.asked.ticket, user);
	play_line(client, NULL, "+OK");
	return client;
}

static int say_rcpt(void)
{
	char buf[CHAN_PACKET_MAX];
	int fd = play_dial_port(all.lmtp_port);

	play_line(fd, NULL, "220");
	play_line(fd, "LHLO client.example\r\n", "250");
	play_line(fd, "MAIL FROM:<>\r\n", "250");
	play_say(fd, "RCPT TO:<anybody>\r\n");
	need(wait_for(all.to_lmtp, buf, sizeof(buf), IPC_RCPT) == IPC_RCPT, "no RCPT");
	memcpy(&all.rcpt, buf, sizeof(all.rcpt));
	return fd;
}

static void resolved(uint64_t instance, uint32_t parts, size_t in_tail, uint32_t index)
{
	struct ipc_resolved message = {.session = all.rcpt.session,
				       .transaction = all.rcpt.transaction,
				       .index = index,
				       .parts = parts};
	uint64_t instances[2 * IPC_PARTS_MAX];

	for (size_t i = 0; i < in_tail; i++)
		instances[i] = instance;
	SEND(all.to_lmtp, IPC_RESOLVED, &message, instances, in_tail * sizeof(instances[0]));
}

static void refused(uint32_t reason)
{
	struct ipc_recipient_answer message = {.session = all.rcpt.session,
					       .transaction = all.rcpt.transaction,
					       .index = all.rcpt.index,
					       .reason = reason};

	SEND(all.to_lmtp, IPC_RCPT_REFUSED, &message, NULL, 0);
}

static void open_recipient(uint64_t front, const char *home, const char *address)
{
	struct ipc_recipient_open message = {.front = front,
					     .session = all.rcpt.session,
					     .transaction = all.rcpt.transaction,
					     .index = all.rcpt.index};

	SEND_TEXTS(all.to_keeper, IPC_RCPT_OPEN, &message, home, home, address);
}

static void deliver_on(int fd)
{
	resolved(all.keeper.instance, 1, 1, all.rcpt.index);
	open_recipient(all.lmtp.instance, "new-user", "new-user");
	play_line(fd, NULL, "250");
	play_line(fd, "DATA\r\n", "354");
	play_line(fd, "x\r\n.\r\n", "250");
	close(fd);
}

/* Everybody is the same process; who is logged in stays so; an honest auth is obeyed. */
static void still_well(const char *after)
{
	const struct real *reals[] = {&all.keeper, &all.front, &all.lmtp};
	int fd;

	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		if (waitpid(reals[i]->pid, NULL, WNOHANG) != 0)
			die(after);
	play_line(all.bystander, "LIST 1\r\n", "+OK 1 ");
	fd = login(all.users[1]);
	play_line(fd, "STAT\r\n", "+OK 1 ");
	play_line(fd, "QUIT\r\n", "+OK");
	close(fd);
	deliver_on(say_rcpt());
	all.tried++;
	printf("held: %s\n", after);
	fflush(stdout);
}

/* -- lies to the POP3 front -- */

enum stage { DIALLED, GREETED, PASSING, CHALLENGED, LOGGED_IN };

static int reach(enum stage stage)
{
	int client;

	if (stage == DIALLED) {
		all.asked = (struct ipc_credentials){.session = dial(&client)};
		return client;
	}
	if (stage == LOGGED_IN)
		return login(all.users[1]);
	client = greeted("<1.2@office>");
	say_pass(client);
	if (stage == PASSING)
		return client;
	denied_with(all.asked.session, all.asked.ticket, REASON_WRONG);
	play_line(client, NULL, "-ERR");
	if (stage == GREETED)
		return client;
	play_say(client, "AUTH LOGIN\r\n");
	memcpy(&all.asked, front_asks(IPC_SASL_START), sizeof(all.asked));
	challenge(all.asked.session, IPC_SASL_MAX);
	return client; /* the challenge is longer than a line of play.h */
}

static void deny(uint32_t reason)
{
	denied_with(all.asked.session, all.asked.ticket, reason);
}
static void deny_wrong(void)
{
	deny(REASON_WRONG);
}
static void deny_twice(void)
{
	deny(REASON_WRONG);
	deny(REASON_WRONG);
}
static void deny_well(void)
{
	deny(REASON_OK);
}
static void deny_no_reason(void)
{
	deny(REASON_COUNT);
}
static void deny_bystander(void)
{
	denied_with(all.bystander_session, 0, REASON_WRONG);
}
static void deny_late(void)
{
	struct ipc_denied message = {.session = all.asked.session,
				     .ticket = all.asked.ticket,
				     .reason = REASON_WRONG,
				     .delay = IPC_DELAY_MAX + 1};

	SEND(all.to_front, IPC_DENIED, &message, NULL, 0);
}
static void deny_another_ticket(void)
{
	denied_with(all.asked.session, ~all.asked.ticket, REASON_WRONG);
}
static void challenges(void)
{
	challenge(all.asked.session, 10);
}
static void challenges_the_bystander(void)
{
	challenge(all.bystander_session, 10);
}
static void slows(uint64_t session, uint64_t ticket)
{
	struct ipc_slow message = {.session = session, .ticket = ticket};

	SEND(all.to_front, IPC_SLOW, &message, NULL, 0);
}
static void slow(void)
{
	slows(all.asked.session, all.asked.ticket);
}
static void slow_twice(void)
{
	slow();
	slow();
}
static void slow_with_another_ticket(void)
{
	slows(all.asked.session, ~all.asked.ticket);
}
static void slows_the_bystander(void)
{
	slows(all.bystander_session, all.asked.ticket);
}
static void connects_again(void)
{
	connected(all.asked.session, REASON_OK, "");
}
static void connects_for_no_reason(void)
{
	connected(all.asked.session, REASON_COUNT, "");
}
static void connects_the_bystander(void)
{
	connected(all.bystander_session, REASON_CONNECTIONS, "");
}
static void opens_at_a_front(void)
{
	struct ipc_open message = {.session = all.asked.session};

	SEND_TEXTS(all.to_front, IPC_OPEN, &message, "a", "b", "");
}
static void offers_wrong_apop(void)
{
	offer(MECHANISMS, MECHANISMS, 2);
}
static void offers_wrong_sizes(void)
{
	struct ipc_offer message = {.head.texts = {0xffff, 5}};

	SEND(all.to_front, IPC_OFFER, &message, "four", 4);
}

static const struct lie {
	const char *name;
	enum stage stage;
	void (*tell)(void);
} lies[] = {
	{"CONNECTED for no reason", DIALLED, connects_for_no_reason},
	{"DENIED before the greeting", DIALLED, deny_wrong},
	{"CHALLENGE before the greeting", DIALLED, challenges},
	{"CONNECTED twice", GREETED, connects_again},
	{"DENIED unasked", GREETED, deny_wrong},
	{"CHALLENGE unasked", GREETED, challenges},
	{"CHALLENGE for PASS", PASSING, challenges},
	{"CONNECTED for PASS", PASSING, connects_again},
	{"DENIED twice", PASSING, deny_twice},
	{"DENIED because all is well", PASSING, deny_well},
	{"DENIED for no reason", PASSING, deny_no_reason},
	{"DENIED in a week", PASSING, deny_late},
	{"DENIED with another ticket", PASSING, deny_another_ticket},
	{"SLOW before the greeting", DIALLED, slow},
	{"SLOW unasked", GREETED, slow},
	{"SLOW twice", PASSING, slow_twice},
	{"SLOW with another ticket", PASSING, slow_with_another_ticket},
	{"SLOW behind a challenge", CHALLENGED, slow},
	{"SLOW twice when it was logged in", LOGGED_IN, slow_twice},
	{"SLOW to another's session", GREETED, slows_the_bystander},
	{"CHALLENGE twice", CHALLENGED, challenges},
	{"DENIED behind a challenge", CHALLENGED, deny_wrong},
	{"DENIED when it was logged in", LOGGED_IN, deny_wrong},
	{"CHALLENGE when it was logged in", LOGGED_IN, challenges},
	{"DENIED to another's session", GREETED, deny_bystander},
	{"CHALLENGE to another's session", GREETED, challenges_the_bystander},
	{"CONNECTED to another's session", GREETED, connects_the_bystander},
	{"OPEN at a front", GREETED, opens_at_a_front},
	{"OFFER with a flag that is none", GREETED, offers_wrong_apop},
	{"OFFER with sizes that do not add up", GREETED, offers_wrong_sizes},
};

static void lies_to_the_front(void)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int client = reach(lies[i].stage);

		lies[i].tell();
		expect_cut(all.to_front, lies[i].name);
		close(client);
		become_auth();
		still_well(lies[i].name);
	}
}

/* What may come late, or is about nobody, is no reason to cut. */
static void front_ignores(void)
{
	int client = reach(PASSING);

	for (uint64_t session = 1000; session < 1000 + FLOOD; session++) {
		connected(session, REASON_OK, "");
		denied_with(session, 0, REASON_WRONG);
		challenge(session, 1);
	}
	denied_with(all.asked.session, ~all.asked.ticket, REASON_STORE_DOWN);
	denied_with(all.bystander_session, 0, REASON_STORE_DOWN);
	open_maildrop(all.front.instance, all.asked.session, all.asked.ticket, all.users[1]);
	play_line(client, NULL, "+OK"); /* the denial of another login was none of this one */
	close(client);
	still_well("answers about nobody, a denial that comes late");
}

static void front_gets_garbage(void)
{
	static char longest[IPC_TEXT_MAX + 1];
	const char *const texts[] = {"", " ", "\r\n.\r\n+OK", "\xff\x01", "A B C D", longest};
	int client;

	memset(longest, 'L', IPC_TEXT_MAX);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		offer(texts[i], texts[i], i % 2);
		client = greeted(texts[i]);
		play_line(client, "CAPA\r\n", "+OK");
		close(client);
	}
	offer(MECHANISMS, MECHANISMS, 1);
	still_well("garbage that is offered");
}

/* The monitor may give a new auth's channels before the end of the old one is seen. */
static void replaced_before_it_ends(void)
{
	int waiting = reach(PASSING), greeting = reach(DIALLED), rcpt = say_rcpt();
	int old[] = {dup(all.to_front), dup(all.to_lmtp)};

	become_auth();
	play_line(waiting, NULL, "-ERR");
	play_line(rcpt, NULL, "451");
	connected(all.asked.session, REASON_OK, "");
	play_line(greeting, NULL, "+OK");
	close(waiting);
	close(greeting);
	close(rcpt);
	still_well("an auth that is replaced before it ends");
	close(old[0]);
	close(old[1]);
	still_well("the end of an auth that was replaced");
}

/* -- lies to the LMTP front -- */

static void lmtp_cuts(void)
{
	for (int i = 0; i < 10; i++) {
		int client = say_rcpt();

		switch (i) {
		case 0:
			resolved(all.keeper.instance, 0, 0, all.rcpt.index);
			break;
		case 1:
			resolved(all.keeper.instance, IPC_PARTS_MAX + 1, IPC_PARTS_MAX + 1,
				 all.rcpt.index);
			break;
		case 2:
			resolved(all.keeper.instance, 2, 1, all.rcpt.index);
			break;
		case 3:
			resolved(all.keeper.instance, UINT32_MAX, 1, all.rcpt.index);
			break;
		case 4:
			refused(REASON_OK);
			break;
		case 5:
			refused(REASON_WRONG); /* LMTP has no reply for it */
			break;
		case 6:
			refused(UINT32_MAX);
			break;
		case 7:
			SEND(all.to_lmtp, IPC_RCPT_READY,
			     (&(struct ipc_recipient_answer){.session = all.rcpt.session,
							     .transaction = all.rcpt.transaction,
							     .index = all.rcpt.index}),
			     NULL, 0);
			break;
		case 8: /* nobody asked about that one */
			resolved(all.keeper.instance, 1, 1, all.rcpt.index + 1);
			break;
		case 9:
			all.rcpt.index++;
			refused(REASON_NO_SUCH_USER);
			break;
		}
		expect_cut(all.to_lmtp, "an answer about a recipient that is none was taken");
		play_line(client, NULL, "451");
		close(client);
		become_auth();
	}
	still_well("answers about recipients that do not add up");
}

static void lmtp_ignores(void)
{
	struct ipc_empty gone = {.head = {0}};
	int client = say_rcpt();

	resolved(++play.instances, 1, 1, all.rcpt.index);
	play_line(client, NULL, "451"); /* a keeper that nobody knows */
	for (int i = 0; i < FLOOD; i++) {
		resolved(all.keeper.instance, 1, 1, all.rcpt.index);
		refused(REASON_NO_SUCH_USER);
	}
	play_line(client, "RSET\r\n", "250");
	close(client);
	client = say_rcpt();
	resolved(all.keeper.instance, 1, 1, all.rcpt.index);
	resolved(play.instances, 1, 1, all.rcpt.index); /* settled already */
	open_recipient(all.lmtp.instance, "new-user", "new-user");
	play_line(client, NULL, "250");
	close(client);
	client = say_rcpt();
	resolved(all.keeper.instance, IPC_PARTS_MAX, IPC_PARTS_MAX, all.rcpt.index);
	open_recipient(all.lmtp.instance, "new-user", "new-user"); /* and not the others */
	SEND(all.to_lmtp, IPC_KEEPER_GONE, &gone, NULL, 0);
	play_line(client, NULL, "451");
	close(client);
	still_well("RESOLVED twice, too late, with keepers that nobody knows");
}

/* -- lies to the keeper -- */

static void keeper_opens_for_nobody(void)
{
	static const char *const homes[] = {"",          ".",       "..",       "/",    "/etc",
					    "../../etc", "a/../..", "demo/new", "\xff", "a\nb"};

	for (uint64_t session = 5000; session < 5000 + FLOOD; session++)
		open_maildrop(all.front.instance, session, 1, all.users[1]);
	for (uint64_t front = 0; front < 64; front++)
		if (front != all.front.instance)
			open_maildrop(front, 1, 1, all.users[1]);
	for (int i = 0; i < FLOOD; i++)
		open_maildrop(all.front.instance, all.bystander_session, 1, all.users[0]);
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++)
		open_maildrop(all.front.instance, 9000 + i, 1, homes[i]);
	wait_taken(all.to_keeper);
	poll(NULL, 0, SILENCE_MS); /* a maildrop opened for nobody is closed again */
	play_line(all.bystander, "LIST 1\r\n", "+OK 1 ");
}

static void keeper_wants_no_recipients(void)
{
	static char longest[IPC_TEXT_MAX + 2];
	int client = say_rcpt();

	for (int i = 0; i < FLOOD; i++) {
		all.rcpt.session = (uint64_t)i + 5000;
		open_recipient(i % 2 ? all.front.instance : all.lmtp.instance, "new-user", "x");
	}
	open_recipient(all.lmtp.instance, "../../etc", "x");
	wait_taken(all.to_keeper);
	close(client);
	still_well("recipients of nobody");
	memset(longest, 'x', IPC_TEXT_MAX + 1);
	open_recipient(all.lmtp.instance, "new-user", longest);
	expect_cut(all.to_keeper, "an address that is too long was taken");
	become_auth();
	still_well("an address that is too long");
}

static void not_auths(void)
{
	struct ipc_session message = {.session = all.bystander_session};

	SEND(all.to_keeper, IPC_CLOSE, &message, NULL, 0);
	expect_cut(all.to_keeper, "auth could close a session");
	become_auth();
	still_well("messages of fronts");
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: hostile_auth VALIJAD CONF USER USER\n", stderr);
		return 64;
	}
	all.users[0] = argv[3];
	all.users[1] = argv[4];
	all.to_keeper = all.to_front = all.to_lmtp = -1;
	play_prepare(argv[1], argv[2]);
	all.lmtp_listener = play_listen(&all.lmtp_port);
	start_all();
	all.bystander = login(all.users[0]);
	all.bystander_session = all.asked.session;
	still_well("nothing yet");
	lies_to_the_front();
	replaced_before_it_ends();
	front_ignores();
	front_gets_garbage();
	lmtp_cuts();
	lmtp_ignores();
	keeper_opens_for_nobody();
	keeper_wants_no_recipients();
	not_auths();
	kill(all.front.pid, SIGKILL);
	kill(all.lmtp.pid, SIGKILL);
	kill(all.keeper.pid, SIGKILL);
	printf("%u lies, everything held\n", all.tried - 1);
	return 0;
}
