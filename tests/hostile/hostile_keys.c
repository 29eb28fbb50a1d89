/*
 * The process keys and its fronts, each side owned by an attacker in turn (threats 61, 82). This
 * program plays the monitor. First it is a second front of a real keys process: unknown keys and
 * schemes, octets that no handshake has signed, sizes that do not add up, floods, silence; the real
 * front's clients must get their handshakes after each. Then it is the keys process of the real
 * front: answers that are late, empty, of another handshake, too short, too long or garbage; the
 * front must fail that handshake only and go on.
 *
 * hostile_keys VALIJAD CONF: CONF is an office made by `valija init`. Exits with 0 if everything
 * held.
 */
#include "config/config.h"
#include "play.h"
#include "sys/tls_server.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY (2 * IPC_SIGN_CREDITS)

static struct {
	struct real keys, auth, front;
	int to_keys;  /* the hostile front's channel */
	int to_front; /* the hostile keys' channel, -1: the real one serves */
	int pem[2];   /* certificates, keys */
	uint64_t pem_size[2];
	SSL_CTX *client;
	unsigned tried;
} all;

/* ---- what the monitor gives ---- */

static void pack(const char *path, int *ret_fd, uint64_t *ret_size)
{
	char text[16384];
	int in = open(path, O_RDONLY | O_CLOEXEC), out = memfd_create("pem", MFD_CLOEXEC);
	ssize_t n = read(in, text, sizeof(text));
	uint32_t size = (uint32_t)n;

	need(n > 0 && write(out, &size, sizeof(size)) == sizeof(size) &&
		     write(out, text, size) == n,
	     path);
	close(in);
	*ret_fd = out;
	*ret_size = sizeof(size) + size;
}

static void give(const struct real *to, enum ipc_type type, unsigned which)
{
	struct ipc_certificates message = {.size = all.pem_size[which]};

	send_message(to->fd, type, &message, sizeof(message), NULL, 0, &all.pem[which], 1);
}

static void start_all(const char *conf)
{
	struct ipc_listener listener = {.service = SERVICE_POP3S};
	struct config config;
	struct err err;

	if (config_load(conf, &config, &err) < 0)
		die(err.text);
	pack(config.certificates[0].certificate, &all.pem[0], &all.pem_size[0]);
	pack(config.certificates[0].key, &all.pem[1], &all.pem_size[1]);
	play_spawn(&all.keys, ROLE_KEYS);
	play_spawn(&all.auth, ROLE_AUTH);
	play_spawn(&all.front, ROLE_FRONT);
	play_directory(&all.auth, DIRECTORY_USERS, play.users_fd, "users");
	play_directory(&all.auth, DIRECTORY_MAIL, play.mail_fd, "");
	give(&all.keys, IPC_CERTIFICATES, 0);
	give(&all.keys, IPC_KEYS, 1);
	give(&all.front, IPC_CERTIFICATES, 0);
	send_message(all.front.fd, IPC_LISTENER, &listener, sizeof(listener), NULL, 0,
		     &play.listener, 1);
	play_wire(&all.front, &all.auth);
	play_wire(&all.front, &all.keys);
	play_start(&all.keys);
	play_start(&all.auth);
	play_start(&all.front);
	all.to_keys = all.to_front = -1;
}

/* A new channel, as the monitor would give to a process that was started anew. */
static void renew(const struct real *to, enum ipc_role role, int *channel)
{
	int pair[2];

	if (*channel >= 0)
		close(*channel);
	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_peer(to, role, ++play.instances, pair[1]);
	close(pair[1]);
	*channel = pair[0];
}

/* ---- the real front's clients ---- */

static SSL *dial(void)
{
	SSL *ssl = SSL_new(all.client);
	int fd = play_dial();

	need(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && SSL_set_fd(ssl, fd) == 1, "SSL_set_fd");
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl); /* sends the hello; the answer may be here already */
	return ssl;
}

/* Until the handshake is over. Returns whether it is good. */
static bool shakes(SSL *ssl, int ms)
{
	int result;

	while ((result = SSL_do_handshake(ssl)) != 1) {
		struct pollfd wait = {.fd = SSL_get_fd(ssl), .events = POLLIN};

		if (SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ)
			return false;
		if (poll(&wait, 1, ms) != 1)
			die("a client waits too long for its handshake");
	}
	return true;
}

static void hang_up(SSL *ssl)
{
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
}

static void still_well(const char *after)
{
	const struct real *reals[] = {&all.keys, &all.auth, &all.front};
	SSL *ssl;

	for (size_t i = 0; i < 3; i++)
		if (waitpid(reals[i]->pid, NULL, WNOHANG) != 0)
			die(after);
	ssl = dial();
	need(shakes(ssl, PATIENCE_MS), after);
	hang_up(ssl);
	all.tried++;
	printf("held: %s\n", after);
}

/* ---- a front that lies ---- */

static struct ipc_sign request(uint32_t key, uint32_t scheme)
{
	return (struct ipc_sign){.session = 7, .ticket = 8, .key = key, .scheme = scheme};
}

static size_t content_of(char content[TLS_CONTENT_MAX + 64])
{
	static const char verify[] = "TLS 1.3, server CertificateVerify";

	memset(content, 0, TLS_CONTENT_MAX + 64);
	memset(content, ' ', 64);
	memcpy(content + 64, verify, sizeof(verify));
	return 64 + sizeof(verify) + 32;
}

static const struct lie {
	const char *name;
	uint32_t key, scheme;
	int octets; /* more or fewer than a handshake's */
	int at;     /* this octet is another */
} lies[] = {
	{"an unknown key", 1, 0x0403, 0, 0},
	{"a key that no site can have", IPC_KEY_SETS *IPC_KEYS_MAX, 0x0403, 0, 0},
	{"a key beyond all numbers", UINT32_MAX, 0x0403, 0, 0},
	{"a scheme with SHA-1", 0, 0x0201, 0, 0},
	{"no scheme", 0, 0, 0, 0},
	{"a scheme beyond all numbers", 0, UINT32_MAX, 0, 0},
	{"one octet less", 0, 0x0403, -1, 0},
	{"one octet more", 0, 0x0403, 1, 0},
	{"nothing to sign", 0, 0x0403, -130, 0},
	{"more than fits", 0, 0x0403, TLS_CONTENT_MAX - 130 + 1, 0},
	{"a client's handshake", 0, 0x0403, 0, 73},
	{"other padding", 0, 0x0403, 0, 5},
};

static void tell(const struct lie *lie)
{
	struct ipc_sign message = request(lie->key, lie->scheme);
	char content[TLS_CONTENT_MAX + 64];
	size_t size = content_of(content);

	need(size == 130, "the size of a handshake's octets");
	if (lie->at)
		content[lie->at] ^= 1;
	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	SEND(all.to_keys, IPC_SIGN, &message, content, (size_t)((int)size + lie->octets));
	expect_cut(all.to_keys, lie->name);
	still_well(lie->name);
}

/* A scheme that its kind of key has not: an honest front may be led to ask for it. */
static void ask_for_another_kind(void)
{
	struct ipc_sign message = request(0, 0x0804);
	char content[TLS_CONTENT_MAX + 64], buf[CHAN_PACKET_MAX];
	size_t size = content_of(content);

	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	SEND(all.to_keys, IPC_SIGN, &message, content, size);
	need(wait_for(all.to_keys, buf, sizeof(buf), IPC_SIGNED) == IPC_SIGNED &&
		     ((struct ipc_head *)buf)->tail == 0 &&
		     play.received == sizeof(struct ipc_signed),
	     "a scheme of another kind of key");
	message.scheme = 0x0403;
	SEND(all.to_keys, IPC_SIGN, &message, content, size);
	need(wait_for(all.to_keys, buf, sizeof(buf), IPC_SIGNED) == IPC_SIGNED &&
		     ((struct ipc_head *)buf)->tail > 60 && ((struct ipc_signed *)buf)->ticket == 8,
	     "a good request behind it");
	still_well("a scheme of another kind of key");
}

/* Another role's messages, half of one, somebody else's. */
static void send_what_no_front_sends(void)
{
	struct ipc_signed answer = {.session = 1};
	struct ipc_certificates certificates = {.size = 1};
	struct ipc_session connect = {.session = 1};

	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	SEND(all.to_keys, IPC_SIGNED, &answer, "x", 1);
	expect_cut(all.to_keys, "SIGNED to keys");
	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	send_message(all.to_keys, IPC_KEYS, &certificates, sizeof(certificates), NULL, 0,
		     &all.pem[1], 1);
	expect_cut(all.to_keys, "KEYS from a front");
	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	SEND(all.to_keys, IPC_DISCONNECT, &connect, NULL, 0);
	expect_cut(all.to_keys, "DISCONNECT to keys");
	renew(&all.keys, ROLE_LMTP, &all.to_keys);
	{
		struct ipc_sign message = request(0, 0x0403);
		char content[TLS_CONTENT_MAX + 64];

		SEND(all.to_keys, IPC_SIGN, &message, content, content_of(content));
	}
	expect_cut(all.to_keys, "SIGN from an LMTP front");
	still_well("messages that no front sends");
}

/* More than its credits at once, answers unread: it is cut, or served late; others are not. */
static void flood(void)
{
	struct ipc_sign message = request(0, 0x0403);
	char content[TLS_CONTENT_MAX + 64], packet[sizeof(message) + TLS_CONTENT_MAX];
	size_t size = content_of(content);

	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	message.head.type = IPC_SIGN;
	message.head.tail = (uint32_t)size;
	memcpy(packet, &message, sizeof(message));
	memcpy(packet + sizeof(message), content, size);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < MANY; i++)
			if (send_raw(all.to_keys, packet, sizeof(message) + size, NULL, 0,
				     MSG_DONTWAIT) < 0)
				break;
		if (round % 5 == 0)
			still_well("a flood of good requests");
	}
	expect_cut(all.to_keys, "a flood of good requests");
	still_well("the end of the flood");
}

/* ---- a keys process that lies ---- */

/* The front's next request, NULL: none. */
static const struct ipc_sign *asked(void)
{
	static uint64_t buf[CHAN_PACKET_MAX / sizeof(uint64_t)];

	return wait_for(all.to_front, buf, sizeof(buf), IPC_SIGN) == IPC_SIGN ? (const void *)buf
									      : NULL;
}

static void answer(uint64_t session, uint64_t ticket, size_t size)
{
	struct ipc_signed message = {.session = session, .ticket = ticket};
	char garbage[TLS_SIGNATURE_MAX + 1];

	memset(garbage, 'x', sizeof(garbage));
	SEND(all.to_front, IPC_SIGNED, &message, garbage, size);
}

/* Signs by the real keys process for the front that believes this one. */
static void answer_well(const struct ipc_sign *sign)
{
	struct ipc_sign message = *sign;
	char buf[CHAN_PACKET_MAX], content[TLS_CONTENT_MAX];
	struct ipc_signed *got = (struct ipc_signed *)buf;

	memcpy(content, (const char *)sign + sizeof(*sign), sign->head.tail);
	SEND(all.to_keys, IPC_SIGN, &message, content, sign->head.tail);
	need(wait_for(all.to_keys, buf, sizeof(buf), IPC_SIGNED) == IPC_SIGNED, "SIGNED");
	SEND(all.to_front, IPC_SIGNED, got, buf + sizeof(*got), got->head.tail);
}

static void a_good_handshake(const char *after)
{
	SSL *ssl = dial();
	const struct ipc_sign *sign = asked();

	need(sign != NULL, after);
	answer_well(sign);
	need(shakes(ssl, PATIENCE_MS), after);
	hang_up(ssl);
	need(waitpid(all.front.pid, NULL, WNOHANG) == 0, after);
	all.tried++;
	printf("held: %s\n", after);
}

static void fail_one(size_t size, const char *what)
{
	SSL *bad = dial();
	struct ipc_sign first;
	const struct ipc_sign *sign = asked();
	SSL *good;

	need(sign != NULL, what);
	first = *sign;
	good = dial(); /* waits at the same time */
	sign = asked();
	need(sign != NULL, what);
	answer(first.session, first.ticket, size);
	answer_well(sign);
	need(!shakes(bad, PATIENCE_MS), what);
	need(shakes(good, PATIENCE_MS), what);
	hang_up(bad);
	hang_up(good);
	a_good_handshake(what);
}

static void answer_others(void)
{
	SSL *ssl = dial();
	const struct ipc_sign *sign = asked();
	struct ipc_sign wanted;

	need(sign != NULL, "a request");
	wanted = *sign;
	answer(wanted.session, wanted.ticket + 1, 70); /* tickets that are none */
	answer(wanted.session, 0, 70);
	answer(wanted.session + 1, wanted.ticket, 70);
	answer(0, 0, 70);
	answer(UINT64_MAX, UINT64_MAX, 70);
	for (int i = 0; i < 2000; i++)
		answer(wanted.session, wanted.ticket + 2, 0);
	answer_well(sign);
	need(shakes(ssl, PATIENCE_MS), "answers that nobody asked for");
	answer(wanted.session, wanted.ticket, 70); /* twice */
	hang_up(ssl);
	a_good_handshake("answers that nobody asked for");
}

/* The process ends while handshakes wait; the next one gets the same requests, and a late answer of
 * a client that has gone is left alone. */
static void die_and_come_again(void)
{
	SSL *waits = dial(), *goes;
	const struct ipc_sign *sign = asked();
	struct ipc_sign before, late;

	need(sign != NULL, "a request");
	before = *sign;
	goes = dial();
	need((sign = asked()) != NULL, "a request");
	late = *sign;
	hang_up(goes);
	renew(&all.front, ROLE_KEYS, &all.to_front);
	do
		need((sign = asked()) != NULL, "the request that was not answered comes again");
	while (sign->session != before.session);
	need(sign->ticket == before.ticket, "the same request comes again");
	answer(late.session, late.ticket, 70);
	answer_well(sign);
	need(shakes(waits, PATIENCE_MS), "a handshake that outlives keys");
	hang_up(waits);
	a_good_handshake("keys that ended meanwhile");
}

static void lie_as_keys(void)
{
	renew(&all.keys, ROLE_FRONT, &all.to_keys);
	renew(&all.front, ROLE_KEYS, &all.to_front);
	a_good_handshake("another keys process");
	fail_one(0, "no signature");
	fail_one(1, "a signature of one octet");
	fail_one(70, "a garbage signature");
	fail_one(72, "a garbage signature of the longest size");
	fail_one(73, "a signature that is too long");
	fail_one(TLS_SIGNATURE_MAX, "a signature as long as a packet may be");
	answer_others();
	die_and_come_again();
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage: hostile_keys VALIJAD CONF");
	play.tls = true;
	all.client = SSL_CTX_new(TLS_client_method());
	play_prepare(argv[1], argv[2]);
	start_all(argv[2]);
	still_well("nothing yet");
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		tell(&lies[i]);
	ask_for_another_kind();
	send_what_no_front_sends();
	flood();
	lie_as_keys();
	SSL_CTX_free(all.client);
	printf("%u attacks, everything held\n", all.tried);
	return 0;
}
