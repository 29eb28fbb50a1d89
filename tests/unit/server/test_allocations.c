/* The n-th allocation fails, for every n, in each role at work: a request is answered, or its
 * channel is cut, or the process ends by abort() (another one takes its place). It never crashes,
 * and nobody waits for ever. What goes on, goes on well. */
#include "role_test.h"

#include "server/auth/auth.h"
#include "server/front/front.h"
#include "server/keeper/keeper.h"
#include "server/lmtp/lmtp.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool fails(void)
{
	return role_is_child && role.shared->failing > 0 &&
	       atomic_fetch_sub(&role.shared->failing, 1) == 1;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

/* ---- what is common ---- */

static struct role_peer *auth, *front, *lmtp, *keeper;

/* The type of the next message at either end (b NULL: at a); IPC_NONE: cut. */
static enum ipc_type either(struct role_peer *a, struct role_peer *b)
{
	struct pollfd wait[2] = {{.fd = a->fd, .events = POLLIN},
				 {.fd = b ? b->fd : -1, .events = POLLIN}};
	const void *message;
	enum ipc_type type;

	do {
		struct role_peer *from = a;

		if (a->at >= a->size && b && b->at < b->size)
			from = b;
		else if (a->at >= a->size && b && poll(wait, 2, ROLE_PATIENCE_MS) > 0)
			from = wait[0].revents ? a : b;
		type = role_next(from, &message);
	} while (type == IPC_ARENA || type == IPC_OFFER || type == IPC_FORGET ||
		 type == IPC_DISCONNECT || type == IPC_SLOW);
	return type;
}

static enum ipc_type answer(struct role_peer *from)
{
	return either(from, NULL);
}

static void say(int client, const char *text)
{
	(void)!send(client, text, strlen(text), MSG_NOSIGNAL); /* it may be closed by now */
}

/* The first octet of the next reply's last line; 0: closed. */
static char reply(int client)
{
	char text[1024];
	size_t used = 0;

	for (;;) {
		struct pollfd wait = {.fd = client, .events = POLLIN};

		assert_true(used < sizeof(text));
		if (poll(&wait, 1, ROLE_PATIENCE_MS) != 1)
			fail_msg("the client waits for ever");
		if (recv(client, text + used, 1, 0) <= 0)
			return 0;
		if (text[used++] != '\n')
			continue;
		if (text[3] != '-')
			return text[0];
		used = 0;
	}
}

/* Either the client, or the role's request at that peer. */
static enum ipc_type request(int client, struct role_peer *at)
{
	struct pollfd wait[2] = {{.fd = client, .events = POLLIN},
				 {.fd = at->fd, .events = POLLIN}};

	if (poll(wait, 2, ROLE_PATIENCE_MS) <= 0)
		fail_msg("%s does nothing", ipc_role_name(role.role->role));
	return wait[1].revents ? answer(at) : IPC_NONE;
}

/* ---- a keeper ---- */

static void begin_keeper(void)
{
	role_begin(&keeper_role, false);
	for (const char *const *path =
		     (const char *const[]){"mail/anna", "mail/anna/new", "mail/anna/cur",
					   "mail/anna/tmp", NULL};
	     *path; path++)
		assert_int_equal(mkdirat(role.folder_fd, *path, 0700), 0);
	role_write("mail/anna/new/1", "Subject: one\n\nx\n");
	role_write("mail/anna/new/2", "Subject: two\n\nx\n");
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
}

static bool keeper_pop3(void)
{
	struct ipc_open open = {.front = front->instance, .session = 8, .ticket = 99};
	struct ipc_fetch fetch = {.session = 8, .number = 1, .count = 2, .slot = IPC_NO_SLOT};
	struct ipc_delete delete = {.session = 8, .count = 1};
	struct ipc_commit commit = {.session = 8, .total = 1};
	struct ipc_session over = {.session = 8};
	uint32_t two = 2;

	ROLE_SEND_TEXTS(auth, IPC_OPEN, &open, "anna", "anna", "");
	if (answer(front) != IPC_OPENED)
		return false;
	role_send(front, IPC_FETCH, &fetch);
	if (answer(front) != IPC_BODIES)
		return false;
	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), &two, sizeof(two), -1);
	role_send(front, IPC_COMMIT, &commit);
	if (answer(front) != IPC_COMMITTED)
		return false;
	role_send(front, IPC_CLOSE, &over);
	return true;
}

static bool keeper_lmtp(void)
{
	struct ipc_recipient_open open = {.front = lmtp->instance,
					  .session = 8,
					  .transaction = 1,
					  .index = 1,
					  .quota_messages = 100};
	struct ipc_deliver deliver = {.session = 8, .size = 5, .transaction = 1, .count = 1};
	char tail[] = "\1\0\0\0X: y\r\n";
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	enum ipc_type type;

	assert_int_equal(write(fd, "\r\nx\r\n", 5), 5);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
	ROLE_SEND_TEXTS(auth, IPC_RCPT_OPEN, &open, "anna", "anna", "anna@office.test");
	type = answer(lmtp);
	if (type == IPC_RCPT_READY) {
		role_send_raw(lmtp, IPC_DELIVER, &deliver, sizeof(deliver), tail, sizeof(tail) - 1,
			      fd);
		type = answer(lmtp);
	}
	close(fd);
	return type == IPC_DELIVERED;
}

static bool keeper_works(void)
{
	return keeper_pop3() && keeper_lmtp();
}

/* ---- auth ---- */

static void begin_auth(void)
{
	role_begin(&auth_role, false);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
}

static uint32_t connected_reason(void)
{
	return ((const struct ipc_connected *)(const void *)front->packet)->reason;
}

static bool auth_works(void)
{
	struct ipc_connect connect = {.session = 8, .loopback = 1};
	struct ipc_credentials pass = {.session = 8, .ticket = 99, .has_secret = 1};
	struct ipc_recipient recipient = {.session = 9, .transaction = 1, .index = 1};
	struct ipc_session over = {.session = 8};

	memcpy(connect.address, (unsigned char[16]){[10] = 255, 255, 127, 0, 0, 1}, 16);
	role_send(front, IPC_CONNECT, &connect);
	if (answer(front) != IPC_CONNECTED || connected_reason() != REASON_OK)
		return false; /* the front closes the connection */
	ROLE_SEND_TEXTS(front, IPC_PASS, &pass, "anna", "secret");
	if (either(front, keeper) != IPC_OPEN)
		return false;
	role_send(front, IPC_DISCONNECT, &over);
	ROLE_SEND_TEXTS(lmtp, IPC_RCPT, &recipient, "berta@office.test");
	if (answer(lmtp) != IPC_RESOLVED)
		return false;
	return either(keeper, lmtp) == IPC_RCPT_OPEN;
}

/* ---- fronts ---- */

static void begin_lmtp(void)
{
	role_begin(&lmtp_role, false);
	role_listen(SERVICE_LMTP);
	auth = role_peer(ROLE_AUTH, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
}

static bool deliver_by(int client)
{
	struct ipc_resolved resolved = {.session = 1, .transaction = 1, .index = 1, .parts = 1};
	struct ipc_recipient_answer good = {.session = 1, .transaction = 1, .index = 1};

	if (reply(client) != '2')
		return false;
	say(client, "LHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<anna@office.test>\r\n");
	if (reply(client) != '2' || reply(client) != '2' || request(client, auth) != IPC_RCPT)
		return false;
	role_send_raw(auth, IPC_RESOLVED, &resolved, sizeof(resolved), &keeper->instance,
		      sizeof(keeper->instance), -1);
	role_send(keeper, IPC_RCPT_READY, &good);
	if (reply(client) != '2')
		return false;
	say(client, "DATA\r\n");
	if (reply(client) != '3')
		return false;
	say(client, "Subject: x\r\n\r\nbody\r\n.\r\n");
	if (request(client, keeper) != IPC_DELIVER)
		return false;
	role_send(keeper, IPC_DELIVERED, &good);
	return reply(client) == '2';
}

static bool lmtp_works(void)
{
	int client = role_dial();
	bool good = deliver_by(client);

	close(client);
	return good;
}

static void begin_front(void)
{
	role_begin(&front_role, false);
	role_listen(SERVICE_POP3);
	auth = role_peer(ROLE_AUTH, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
}

static bool login_by(int client)
{
	struct ipc_offer offer = {.apop = 0};
	struct ipc_connected connected = {.session = 1};
	struct ipc_open_failed failed = {.session = 1, .reason = REASON_IN_USE};
	const struct ipc_credentials *pass;

	ROLE_SEND_TEXTS(auth, IPC_OFFER, &offer, "PLAIN", "PLAIN");
	if (request(client, auth) != IPC_CONNECT)
		return false;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &connected, "");
	if (reply(client) != '+')
		return false;
	say(client, "USER anna\r\nPASS secret\r\n");
	if (reply(client) != '+' || request(client, auth) != IPC_PASS)
		return false;
	pass = (const void *)auth->packet;
	failed.ticket = pass->ticket;
	role_send(keeper, IPC_OPEN_FAILED, &failed);
	if (reply(client) != '-')
		return false;
	say(client, "QUIT\r\n");
	return reply(client) == '+';
}

static bool front_works(void)
{
	int client = role_dial();
	bool good = login_by(client);

	close(client);
	return good;
}

/* ---- each allocation ---- */

/* The process, after an allocation that failed: it answers, or has ended as it may. */
static void expect_sound(long n)
{
	struct ipc_empty ping = {0};
	const void *message;
	enum ipc_type type;
	int status;

	role_send(&role.monitor, IPC_PING, &ping);
	do
		type = role_next(&role.monitor, &message);
	while (type != IPC_PONG && type != IPC_NONE);
	if (type == IPC_PONG)
		return;
	status = role_ends();
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("allocation %ld: wait status %d", n, status);
}

static void each_fails(void (*begin)(void), bool (*works)(void))
{
	bool reached = true, good = false;
	long n;

	for (n = 1; reached; n++) {
		assert_true(n < 2000);
		begin();
		role_go();
		role.shared->failing = n;
		good = works();
		reached = role.shared->failing <= 0;
		role.shared->failing = 0;
		expect_sound(n);
		role_over(NULL);
	}
	assert_true(good); /* nothing failed in the last run */
	assert_true(n > 5);
	print_message("%ld allocations\n", n - 2);
}

static void test_a_keeper(void **state)
{
	(void)state;
	each_fails(begin_keeper, keeper_works);
}

static void test_auth(void **state)
{
	(void)state;
	each_fails(begin_auth, auth_works);
}

static void test_an_lmtp_front(void **state)
{
	(void)state;
	each_fails(begin_lmtp, lmtp_works);
}

static void test_a_front(void **state)
{
	(void)state;
	each_fails(begin_front, front_works);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_keeper, role_over),
		cmocka_unit_test_teardown(test_auth, role_over),
		cmocka_unit_test_teardown(test_an_lmtp_front, role_over),
		cmocka_unit_test_teardown(test_a_front, role_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
