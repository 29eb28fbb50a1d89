/* A keeper's bounds against a front that asks for too much, and its end: the test plays monitor,
 * auth and fronts. */
#include "role_test.h"

#include "maildrop/maildrop.h"
#include "server/keeper/keeper.h"
#include "server/keeper/lane.h"

#include <dirent.h>

enum { SESSION = 8, QUOTA = 1000 };

static struct role_peer *auth, *front, *lmtp;
static const char *whose;

/* ---- wraps, in the keeper's process ---- */

enum maildrop_status __real_maildrop_usage(const struct maildrop_settings *, int, const char *,
					   struct maildrop_usage *, struct err *);
enum maildrop_status __wrap_maildrop_usage(const struct maildrop_settings *, int, const char *,
					   struct maildrop_usage *, struct err *);
enum maildrop_status __real_maildrop_deliver(const struct maildrop_settings *, int, const char *,
					     const struct maildrop_delivery *, struct err *);
enum maildrop_status __wrap_maildrop_deliver(const struct maildrop_settings *, int, const char *,
					     const struct maildrop_delivery *, struct err *);
enum maildrop_status __wrap_maildrop_body_now(struct maildrop *, uint32_t, struct maildrop_body *);
struct peer *__real_child_peer(const struct child *, enum ipc_role, uint64_t);
struct peer *__wrap_child_peer(const struct child *, enum ipc_role, uint64_t);

enum maildrop_status __wrap_maildrop_usage(const struct maildrop_settings *settings, int root,
					   const char *home, struct maildrop_usage *ret,
					   struct err *err)
{
	role_gate();
	return __real_maildrop_usage(settings, root, home, ret, err);
}

enum maildrop_status __wrap_maildrop_deliver(const struct maildrop_settings *settings, int root,
					     const char *home,
					     const struct maildrop_delivery *delivery,
					     struct err *err)
{
	role_gate();
	return __real_maildrop_deliver(settings, root, home, delivery, err);
}

/* Nothing is in memory: bodies go by a worker. */
enum maildrop_status __wrap_maildrop_body_now(struct maildrop *maildrop, uint32_t number,
					      struct maildrop_body *ret)
{
	(void)maildrop, (void)number, (void)ret;
	return MAILDROP_WAIT;
}

/* A front that has so many in the keeper's tables: too many to open them one by one. */
struct peer *__wrap_child_peer(const struct child *child, enum ipc_role which, uint64_t instance)
{
	struct peer *peer = __real_child_peer(child, which, instance);
	struct keeper_front *state = peer ? peer->data : NULL;

	if (state && role.shared->sessions)
		state->sessions.count = role.shared->sessions;
	if (state && role.shared->recipients)
		state->recipients = role.shared->recipients;
	return peer;
}

/* ---- what the test does ---- */

static void make_maildir(const char *name)
{
	char path[64];

	for (const char *const *part = (const char *const[]){"", "/new", "/cur", "/tmp", NULL};
	     *part; part++) {
		snprintf(path, sizeof(path), "mail/%s%s", name, *part);
		assert_int_equal(mkdirat(role.folder_fd, path, 0700), 0);
	}
}

static int begin(void **state)
{
	(void)state;
	role_begin(&keeper_role, false);
	whose = "anna";
	make_maildir(whose);
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	role_go();
	return 0;
}

static void recipient_with(uint64_t session, uint32_t index, uint64_t messages, uint64_t octets)
{
	struct ipc_recipient_open message = {.front = lmtp->instance,
					     .session = session,
					     .transaction = 1,
					     .index = index,
					     .quota_messages = messages,
					     .quota_octets = octets};

	ROLE_SEND_TEXTS(auth, IPC_RCPT_OPEN, &message, "anna", whose, "anna@office.test");
}

static void recipient(uint64_t session, uint32_t index)
{
	recipient_with(session, index, QUOTA, 0);
}

static void expect_recipient(enum ipc_type wanted, uint64_t session, uint32_t index)
{
	const struct ipc_recipient_answer *answer = role_expect(lmtp, wanted);

	assert_int_equal(answer->session, session);
	assert_int_equal(answer->transaction, 1);
	assert_int_equal(answer->index, index);
}

static void ready(uint64_t session, uint32_t index)
{
	recipient(session, index);
	expect_recipient(IPC_RCPT_READY, session, index);
}

static int sealed_message(void)
{
	static const char text[] = "Subject: one\r\n\r\nbody\r\n";
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
	return fd;
}

/* DELIVER for count recipients, of whom the first is index 1, with headers of this size. */
static void deliver(uint64_t session, uint32_t count, size_t headers)
{
	static char tail[4 * IPC_RECIPIENTS_MAX + 2 * IPC_HEADERS_MAX];
	uint32_t one = 1;
	size_t indexes = count * sizeof(one);
	struct ipc_deliver message = {
		.session = session, .size = 22, .transaction = 1, .count = count};
	int fd = sealed_message();

	memset(tail, 0, sizeof(tail));
	memcpy(tail, &one, sizeof(one));
	memset(tail + indexes, 'x', headers);
	if (headers >= 4) {
		memcpy(tail + indexes, "X: ", 3);
		memcpy(tail + indexes + headers - 2, "\r\n", 2);
	}
	role_send_raw(lmtp, IPC_DELIVER, &message, sizeof(message), tail, indexes + headers, fd);
	close(fd);
}

static void expect_delivered(void)
{
	const struct ipc_recipient_answer *answer = role_expect(lmtp, IPC_DELIVERED);

	assert_int_equal(answer->session, SESSION);
	assert_int_equal(answer->index, 1);
	assert_int_equal(answer->reason, REASON_OK);
}

static void put_mail(unsigned count)
{
	char name[64], text[64];

	for (unsigned i = 1; i <= count; i++) {
		snprintf(name, sizeof(name), "mail/anna/new/%u.%03u", 1000000 + i, i);
		snprintf(text, sizeof(text), "A: %03u\n\n\n", i);
		role_write(name, text);
	}
}

static unsigned messages(void)
{
	unsigned count = 0;
	char path[64];
	DIR *folder;

	snprintf(path, sizeof(path), "mail/%s/new", whose);
	folder = fdopendir(openat(role.folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static void open_maildrop(uint64_t session)
{
	struct ipc_open message = {.front = front->instance, .session = session, .ticket = 99};

	ROLE_SEND_TEXTS(auth, IPC_OPEN, &message, "anna", whose, "");
}

/* ---- a password that may not delete ---- */

static void test_deletions_of_a_password_without_them(void **state)
{
	struct ipc_open message = {
		.front = front->instance, .session = SESSION, .ticket = 99, .no_delete = 1};
	struct ipc_delete delete = {.session = SESSION, .count = 2};
	struct ipc_commit commit = {.session = SESSION, .total = 2};
	uint32_t numbers[] = {1, 2};
	const struct ipc_committed *committed;

	(void)state;
	put_mail(3);
	ROLE_SEND_TEXTS(auth, IPC_OPEN, &message, "anna", "anna", "helpdesk");
	role_expect(front, IPC_OPENED);
	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), numbers, sizeof(numbers), -1);
	role_send(front, IPC_COMMIT, &commit);
	committed = role_expect(front, IPC_COMMITTED);
	assert_int_equal(committed->session, SESSION);
	assert_int_equal(committed->reason, REASON_NO_DELETE);
	/* that session is over, and the next one has all messages */
	open_maildrop(SESSION + 1);
	assert_int_equal(((const struct ipc_opened *)role_expect(front, IPC_OPENED))->count, 3);
	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), numbers, sizeof(numbers), -1);
	delete.session = commit.session = SESSION + 1;
	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), numbers, sizeof(numbers), -1);
	role_send(front, IPC_COMMIT, &commit);
	committed = role_expect(front, IPC_COMMITTED);
	assert_int_equal(committed->reason, REASON_OK);
	open_maildrop(SESSION + 2);
	assert_int_equal(((const struct ipc_opened *)role_expect(front, IPC_OPENED))->count, 1);
}

/* ---- the end ---- */

static void test_a_draining_keeper_ends_behind_its_last_job(void **state)
{
	(void)state;
	ready(SESSION, 1);
	role.shared->closed = true;
	deliver(SESSION, 1, 10);
	role_drain(1000);
	role_peer_dies(front);
	role_peer_dies(lmtp);
	role_ping();
	assert_true(role_runs());
	role_open_gate(-1);
	assert_int_equal(role_ends(), 0);
	assert_int_equal(messages(), 1);
}

static void test_a_draining_keeper_ends_behind_its_last_front(void **state)
{
	(void)state;
	role_drain(1000);
	role_peer_dies(lmtp);
	role_ping();
	assert_true(role_runs());
	open_maildrop(SESSION); /* that front's sessions go on */
	role_expect(front, IPC_OPENED);
	role_peer_dies(front);
	assert_int_equal(role_ends(), 0);
}

static void test_a_keeper_outlives_fronts_and_their_jobs(void **state)
{
	struct role_peer *next;

	(void)state;
	ready(SESSION, 1);
	role.shared->closed = true;
	deliver(SESSION, 1, 10);
	role_peer_dies(lmtp);
	role_peer_dies(front);
	role_expect(&role.monitor, IPC_PEER_LOST);
	role_expect(&role.monitor, IPC_PEER_LOST);
	role_open_gate(-1);
	next = role_peer(ROLE_LMTP, 0);
	lmtp = next;
	ready(SESSION + 1, 1);
	assert_true(role_runs());
}

/* ---- bounds of an LMTP front ---- */

static void test_recipients_that_are_being_checked(void **state)
{
	enum { ASKED = 4096 };

	(void)state;
	role.shared->closed = true;
	for (uint32_t i = 0; i < ASKED + 2; i++)
		recipient(1 + i % 64, i);
	expect_recipient(IPC_RCPT_REFUSED, 1 + ASKED % 64, ASKED);
	expect_recipient(IPC_RCPT_REFUSED, 1 + (ASKED + 1) % 64, ASKED + 1);
	role_ping();
	assert_false(role_speaks(lmtp, 0));
	role_open_gate(-1);
	for (uint32_t i = 0; i < ASKED; i++)
		expect_recipient(IPC_RCPT_READY, 1 + i % 64, i);
	ready(SESSION, ASKED + 2); /* the room is free again */
}

static void test_recipients_of_one_session(void **state)
{
	enum { MOST = 2 * IPC_RECIPIENTS_MAX };
	struct ipc_transaction forget = {.session = SESSION, .transaction = 1};

	(void)state;
	for (uint32_t i = 0; i < MOST; i++)
		ready(SESSION, i);
	recipient(SESSION, MOST);
	expect_recipient(IPC_RCPT_REFUSED, SESSION, MOST);
	ready(SESSION + 1, 1); /* of another session: as well */
	role_send(lmtp, IPC_FORGET, &forget);
	role_ping();
	ready(SESSION, MOST + 1);
}

static void test_recipients_of_one_front(void **state)
{
	enum { MOST = 1 << 17 };

	(void)state;
	role.shared->recipients = MOST - 1;
	ready(SESSION, 1);
	role.shared->recipients = MOST;
	recipient(SESSION, 2);
	expect_recipient(IPC_RCPT_REFUSED, SESSION, 2);
	role.shared->recipients = MOST - 1;
	ready(SESSION, 3);
}

static void test_transactions_that_never_end(void **state)
{
	enum { MOST = 8192 };

	(void)state;
	for (uint32_t i = 1; i <= MOST; i++)
		ready(i, 1);
	ready(1, 2); /* no new one */
	recipient(MOST + 1, 1);
	role_expect_cut(lmtp);
	role_ping();
}

static void test_headers_up_to_the_bound_are_delivered(void **state)
{
	(void)state;
	ready(SESSION, 1);
	deliver(SESSION, 1, IPC_HEADERS_MAX);
	expect_delivered();
}

static void test_headers_above_the_bound_cut_the_channel(void **state)
{
	(void)state;
	ready(SESSION, 1);
	deliver(SESSION, 1, IPC_HEADERS_MAX + 1);
	role_expect_cut(lmtp);
	role_ping();
}

static void test_more_recipients_than_a_delivery_has(void **state)
{
	(void)state;
	ready(SESSION, 1);
	deliver(SESSION, IPC_RECIPIENTS_MAX, IPC_HEADERS_MAX);
	expect_delivered();
	ready(SESSION, 1);
	deliver(SESSION, IPC_RECIPIENTS_MAX + 1, 10);
	role_expect_cut(lmtp);
	role_ping();
}

static void test_a_tail_that_is_shorter_than_its_count(void **state)
{
	struct ipc_deliver message = {.session = SESSION, .size = 22, .transaction = 1, .count = 2};
	uint32_t one = 1;
	int fd = sealed_message();

	(void)state;
	ready(SESSION, 1);
	role_send_raw(lmtp, IPC_DELIVER, &message, sizeof(message), &one, sizeof(one), fd);
	close(fd);
	role_expect_cut(lmtp);
	role_ping();
}

/* Two messages of 9 octets. */
static void test_a_quota_is_reached_when_it_is_full(void **state)
{
	static const struct {
		uint64_t messages, octets;
		bool full;
	} cases[] = {{2, 0, true},  {3, 0, false}, {0, 18, true},  {0, 19, false},
		     {3, 18, true}, {2, 19, true}, {3, 19, false}, {0, 0, false}};

	(void)state;
	put_mail(2);
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		recipient_with(SESSION, i, cases[i].messages, cases[i].octets);
		expect_recipient(cases[i].full ? IPC_RCPT_REFUSED : IPC_RCPT_READY, SESSION, i);
	}
}

/* ---- a maildrop that is made by others, between two questions ---- */

static uint64_t question(enum ipc_location_ask ask)
{
	const struct ipc_location *message = role_expect(&role.monitor, IPC_LOCATION);

	assert_int_equal(message->ask, ask);
	return message->number;
}

static void answer_question(uint64_t number, bool allowed)
{
	struct ipc_location_answer message = {.number = number, .allowed = allowed};

	ROLE_SEND_TEXTS(&role.monitor, IPC_LOCATION_ANSWER, &message,
			allowed ? "" : "it was there");
}

static void answer_location(enum ipc_location_ask ask, bool allowed)
{
	answer_question(question(ask), allowed);
}

static void absent_recipient(void)
{
	whose = "bob";
	recipient_with(SESSION, 1, 0, 0);
	expect_recipient(IPC_RCPT_READY, SESSION, 1);
	deliver(SESSION, 1, 10);
}

static void test_a_delivery_finds_what_another_made(void **state)
{
	uint64_t number;

	(void)state;
	absent_recipient();
	number = question(LOCATION_MAKE);
	make_maildir(whose);
	answer_question(number, false);
	expect_delivered();
	assert_int_equal(messages(), 1);
	question(LOCATION_SEEN);
}

static void test_a_delivery_to_what_is_gone_is_put_off(void **state)
{
	const struct ipc_recipient_answer *answer;

	(void)state;
	absent_recipient();
	answer_location(LOCATION_MAKE, false);
	answer = role_expect(lmtp, IPC_DELIVERED);
	assert_int_equal(answer->reason, REASON_MAILDROP_TEMP);
	role_ping();
	assert_int_equal(faccessat(role.folder_fd, "mail/bob", F_OK, 0), -1);
}

static void test_a_delivery_makes_what_is_new(void **state)
{
	(void)state;
	absent_recipient();
	answer_location(LOCATION_MAKE, true);
	answer_location(LOCATION_MADE, true);
	expect_delivered();
	assert_int_equal(messages(), 1);
}

static void test_a_maildrop_that_cannot_be_entered_takes_nothing(void **state)
{
	const struct ipc_recipient_answer *answer;

	(void)state;
	absent_recipient();
	answer_location(LOCATION_MAKE, true);
	answer_location(LOCATION_MADE, false);
	answer = role_expect(lmtp, IPC_DELIVERED);
	assert_int_equal(answer->reason, REASON_MAILDROP_TEMP);
	assert_int_equal(messages(), 0);
}

static void test_a_login_finds_what_another_made(void **state)
{
	const struct ipc_opened *opened;
	uint64_t number;

	(void)state;
	whose = "bob";
	open_maildrop(SESSION);
	number = question(LOCATION_LOOK);
	make_maildir(whose);
	role_write("mail/bob/new/1.a", "A: 1\n\n\n");
	answer_question(number, false);
	opened = role_expect(front, IPC_OPENED);
	assert_int_equal(opened->count, 1);
}

static void test_a_login_to_what_is_gone_is_put_off(void **state)
{
	const struct ipc_open_failed *failed;

	(void)state;
	whose = "bob";
	open_maildrop(SESSION);
	answer_location(LOCATION_LOOK, false);
	answer_location(LOCATION_LOOK, false);
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_MAILDROP_TEMP);
	role_ping();
}

static void test_a_client_that_leaves_between_two_questions(void **state)
{
	struct ipc_session close_it = {.session = SESSION};
	uint64_t number;

	(void)state;
	whose = "bob";
	open_maildrop(SESSION);
	number = question(LOCATION_LOOK);
	role_send(front, IPC_CLOSE, &close_it);
	role_ping();
	answer_question(number, false);
	role_ping();
	open_maildrop(SESSION + 1); /* nothing of it is left */
	answer_location(LOCATION_LOOK, true);
	role_expect(front, IPC_OPENED);
}

/* ---- bounds of a POP3 front ---- */

static void test_sessions_of_one_front(void **state)
{
	enum { MOST = 1 << 19 };

	(void)state;
	role.shared->sessions = MOST - 1;
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	role.shared->sessions = MOST;
	open_maildrop(SESSION + 1);
	role_expect_cut(front);
	role_ping();
}

static void expect_bodies(uint32_t first, uint32_t count)
{
	const struct ipc_bodies *message = role_expect(front, IPC_BODIES);
	struct ipc_body body;
	const char *octets;
	char text[16];

	assert_int_equal(message->count, count);
	assert_int_equal(message->in_slot, 0);
	octets = ipc_tail(message) + count * sizeof(body);
	assert_int_equal(message->head.tail, count * (sizeof(body) + 9));
	for (uint32_t i = 0; i < count; i++, octets += 9) {
		memcpy(&body, ipc_tail(message) + i * sizeof(body), sizeof(body));
		snprintf(text, sizeof(text), "A: %03u\n\n\n", first + i);
		assert_int_equal(body.number, first + i);
		assert_int_equal(body.stored, 9);
		assert_int_equal(body.octets, 12);
		assert_memory_equal(octets, text, 9);
	}
}

static void fetch(uint32_t number, uint32_t count)
{
	struct ipc_fetch message = {
		.session = SESSION, .number = number, .count = count, .slot = IPC_NO_SLOT};

	role_send(front, IPC_FETCH, &message);
}

/* All are asked for: as many come as one packet may have. */
static void test_bodies_in_one_packet(void **state)
{
	enum { COUNT = 200 };

	(void)state;
	put_mail(COUNT);
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	fetch(1, COUNT);
	expect_bodies(1, IPC_BODIES_MAX);
	fetch(65, IPC_BODIES_MAX + 1);
	expect_bodies(65, IPC_BODIES_MAX);
	fetch(COUNT - 1, IPC_BODIES_MAX);
	expect_bodies(COUNT - 1, 2);
	fetch(COUNT, 1);
	expect_bodies(COUNT, 1);
	fetch(COUNT + 1, 1);
	role_expect_cut(front);
}

#define IN_KEEPER(test) cmocka_unit_test_setup_teardown(test, begin, role_over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_KEEPER(test_deletions_of_a_password_without_them),
		IN_KEEPER(test_a_draining_keeper_ends_behind_its_last_job),
		IN_KEEPER(test_a_draining_keeper_ends_behind_its_last_front),
		IN_KEEPER(test_a_keeper_outlives_fronts_and_their_jobs),
		IN_KEEPER(test_recipients_that_are_being_checked),
		IN_KEEPER(test_recipients_of_one_session),
		IN_KEEPER(test_recipients_of_one_front),
		IN_KEEPER(test_transactions_that_never_end),
		IN_KEEPER(test_headers_up_to_the_bound_are_delivered),
		IN_KEEPER(test_headers_above_the_bound_cut_the_channel),
		IN_KEEPER(test_more_recipients_than_a_delivery_has),
		IN_KEEPER(test_a_tail_that_is_shorter_than_its_count),
		IN_KEEPER(test_a_quota_is_reached_when_it_is_full),
		IN_KEEPER(test_a_delivery_finds_what_another_made),
		IN_KEEPER(test_a_delivery_to_what_is_gone_is_put_off),
		IN_KEEPER(test_a_delivery_makes_what_is_new),
		IN_KEEPER(test_a_maildrop_that_cannot_be_entered_takes_nothing),
		IN_KEEPER(test_a_login_finds_what_another_made),
		IN_KEEPER(test_a_login_to_what_is_gone_is_put_off),
		IN_KEEPER(test_a_client_that_leaves_between_two_questions),
		IN_KEEPER(test_sessions_of_one_front),
		IN_KEEPER(test_bodies_in_one_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
