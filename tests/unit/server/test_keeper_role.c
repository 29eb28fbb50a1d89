/* A keeper's bounds against a front that asks for too much, and its end: the test plays monitor,
 * auth and fronts. */
#include "base/text.h"
#include "role_test.h"

#include "maildrop/maildrop.h"
#include "server/keeper/keeper.h"
#include "server/keeper/place.h"

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

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fsync(int fd)
{
	if (!role_is_child)
		return __real_fsync(fd);
	role.shared->fsyncs++;
	errno = EIO;
	return role.shared->fsync_fails ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	if (!role_is_child)
		return __real_fdatasync(fd);
	role.shared->fdatasyncs++;
	errno = EIO;
	return role.shared->fdatasync_fails ? -1 : __real_fdatasync(fd);
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

static unsigned messages_in(const char *name)
{
	unsigned count = 0;
	char path[64];
	DIR *folder;

	snprintf(path, sizeof(path), "mail/%s/%s", whose, name);
	folder = fdopendir(openat(role.folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static unsigned messages(void)
{
	return messages_in("new");
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
	role_write("mail/anna/valija-uidl", ""); /* the guard asks nothing */
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
	role_write("mail/anna/valija-uidl", ""); /* the guard asks nothing */
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

/* ---- mail that moves here ---- */

static void open_moving(uint64_t session, const char *home)
{
	struct ipc_open message = {.front = front->instance, .session = session, .ticket = 99};

	ROLE_SEND_TEXTS(auth, IPC_OPEN_MIGRATES, &message, "anna", home, "");
}

static void expect_not_here(uint64_t session)
{
	const struct ipc_verdict *answer = role_expect(auth, IPC_NOT_HERE);

	assert_int_equal(answer->front, front->instance);
	assert_int_equal(answer->session, session);
	assert_int_equal(answer->ticket, 99);
}

static void test_mail_that_has_not_moved_yet(void **state)
{
	struct ipc_session close_it = {.session = SESSION + 1};

	(void)state;
	open_moving(SESSION, "bob"); /* nothing of it is here */
	answer_location(LOCATION_LOOK, true);
	expect_not_here(SESSION);
	put_mail(3); /* delivered meanwhile */
	open_maildrop(SESSION + 1);
	role_expect(front, IPC_OPENED);
	role_send(front, IPC_CLOSE, &close_it);
	open_moving(SESSION + 2, "anna");
	expect_not_here(SESSION + 2);
	role_write("mail/anna/valija-migrated", "switched 1 0 old anna\n");
	open_moving(SESSION + 3, "anna");
	assert_int_equal(((const struct ipc_opened *)role_expect(front, IPC_OPENED))->count, 3);
}

static void hurry(const char *home)
{
	struct ipc_hurry message = {.root = 0};

	ROLE_SEND_TEXTS(auth, IPC_HURRY, &message, home);
}

static void expect_here(uint64_t session)
{
	const struct ipc_verdict *answer = role_expect(auth, IPC_HERE);

	assert_int_equal(answer->front, front->instance);
	assert_int_equal(answer->session, session);
	assert_int_equal(answer->ticket, 99);
}

/* auth has it open at the other server, and closes it there. */
static void test_auth_learns_that_it_was_opened_here_or_refused(void **state)
{
	(void)state;
	put_mail(3);
	role_write("mail/anna/valija-migrated", "switched 1 0 old anna\n");
	open_moving(SESSION, "anna");
	role_expect(front, IPC_OPENED);
	expect_here(SESSION);
	open_moving(SESSION, "anna"); /* that number is taken */
	role_expect(front, IPC_OPEN_FAILED);
	expect_here(SESSION);
	open_moving(SESSION + 1, "bob"); /* it moved, and is not there */
	answer_location(LOCATION_LOOK, false);
	answer_location(LOCATION_LOOK, false);
	role_expect(front, IPC_OPEN_FAILED);
	expect_here(SESSION + 1);
}

/* Nothing is opened or answered, wherever the mail is. */
static void test_a_hurry_opens_nothing(void **state)
{
	(void)state;
	put_mail(3);
	hurry("nobody");
	hurry("anna");
	role_write("mail/anna/valija-migrated", "switched 1 0 old anna\n");
	hurry("anna");
	open_moving(SESSION, "anna");
	role_expect(front, IPC_OPENED);
	hurry("anna"); /* while a session has it */
	expect_here(SESSION);
	role_ping();
	assert_false(role_speaks(auth, 0));
}

/* It moved here, and its filesystem is not mounted: nobody is sent to the other server, where
 * deleted mail would be back. */
static void test_mail_that_moved_and_is_not_there(void **state)
{
	const struct ipc_open_failed *failed;

	(void)state;
	open_moving(SESSION, "bob");
	answer_location(LOCATION_LOOK, false);
	answer_location(LOCATION_LOOK, false); /* it was looked for once more */
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_MAILDROP_TEMP);
	role_ping();
}

/* ---- two mail folders ---- */

static int begin_two(void **state)
{
	int result;

	role_two_roots = true;
	result = begin(state);
	role_two_roots = false;
	return result;
}

static void open_in(uint32_t root, bool placed, const char *home)
{
	struct ipc_open message = {.front = front->instance,
				   .session = SESSION,
				   .ticket = 99,
				   .root = root,
				   .placed = placed};

	ROLE_SEND_TEXTS(auth, IPC_OPEN, &message, "bob", home, "");
}

static void answer_about(enum ipc_location_ask ask, uint32_t root, bool allowed)
{
	const struct ipc_location *message = role_expect(&role.monitor, IPC_LOCATION);

	assert_int_equal(message->ask, ask);
	assert_int_equal(message->root, root);
	assert_true(span_equal(ipc_text(message, 0), SPAN_LITERAL("bob")));
	answer_question(message->number, allowed);
}

static void test_a_new_user_is_looked_for_in_each_folder(void **state)
{
	(void)state;
	open_in(0, false, "bob");
	answer_about(LOCATION_LOOK, 1, true);
	answer_about(LOCATION_LOOK, 0, true);
	assert_int_equal(((const struct ipc_opened *)role_expect(front, IPC_OPENED))->count, 0);
}

static void test_mail_in_another_folder_is_not_passed_over(void **state)
{
	const struct ipc_open_failed *failed;

	(void)state;
	open_in(0, false, "bob");
	answer_about(LOCATION_LOOK, 1, false);
	answer_about(LOCATION_LOOK, 1, false); /* it was looked for once more */
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_MAILDROP_TEMP);
	role_ping();
}

static void test_no_mail_is_made_beside_another_maildrop(void **state)
{
	const struct ipc_recipient_answer *answer;

	(void)state;
	absent_recipient();
	answer_location(LOCATION_LOOK, false);
	answer = role_expect(lmtp, IPC_DELIVERED);
	assert_int_equal(answer->reason, REASON_MAILDROP_TEMP);
	assert_int_equal(faccessat(role.folder_fd, "mail/bob", F_OK, 0), -1);
}

static void test_new_mail_is_made_in_the_first_folder(void **state)
{
	(void)state;
	absent_recipient();
	answer_location(LOCATION_LOOK, true);
	answer_location(LOCATION_MAKE, true);
	answer_location(LOCATION_MADE, true);
	expect_delivered();
	assert_int_equal(messages(), 1);
	assert_int_equal(faccessat(role.folder_fd, "old/bob", F_OK, 0), -1);
}

static void test_a_user_whose_entry_says_where(void **state)
{
	(void)state;
	open_in(0, true, "bob");
	answer_about(LOCATION_LOOK, 0, true);
	role_expect(front, IPC_OPENED);
}

/* ---- the guard of unique ids ---- */

/* The keeper asks about bob's Maildir, which has no file of ours. */
static uint64_t guard_question(uint32_t root)
{
	const struct ipc_guard *message = role_expect(&role.monitor, IPC_GUARD);

	assert_int_equal(message->ask, GUARD_JUDGE);
	assert_int_equal(message->root, root);
	assert_int_equal(message->has, 0);
	assert_true(message->folders[0] && message->folders[1]);
	assert_true(span_equal(ipc_text(message, 0), SPAN_LITERAL("bob")));
	assert_int_equal(ipc_text(message, 1).size, 0);
	return message->number;
}

static void prove(uint32_t root, bool allowed)
{
	answer_question(guard_question(root), allowed);
}

static void test_the_guard_refuses_a_login(void **state)
{
	const struct ipc_open_failed *failed;
	const struct ipc_guard *tripped;

	(void)state;
	make_maildir("bob");
	role_has_guard = true;
	open_in(0, true, "bob");
	prove(0, false);
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_GUARD);
	tripped = role_expect(&role.monitor, IPC_GUARD);
	assert_int_equal(tripped->ask, GUARD_TRIPPED);
	assert_int_equal(faccessat(role.folder_fd, "mail/bob/valija-lock", F_OK, 0), -1);
	/* it is asked again, and may be right by now */
	open_in(0, true, "bob");
	prove(0, true);
	role_expect(front, IPC_OPENED);
}

static void test_the_guard_puts_off_mail(void **state)
{
	const struct ipc_recipient_answer *answer;

	(void)state;
	make_maildir("bob");
	role_has_guard = true;
	absent_recipient();
	prove(0, false);
	answer = role_expect(lmtp, IPC_DELIVERED);
	assert_int_equal(answer->reason, REASON_GUARD);
	assert_int_equal(messages(), 0);
}

static void test_a_session_that_is_over_while_the_guard_is_asked(void **state)
{
	struct ipc_session over = {.session = SESSION};
	uint64_t number;

	(void)state;
	make_maildir("bob");
	role_has_guard = true;
	open_in(0, true, "bob");
	number = guard_question(0);
	role_send(front, IPC_CLOSE, &over);
	role_ping();
	answer_question(number + 1, true); /* to no question */
	answer_question(number, true);
	answer_question(number, true);
	role_ping();
	assert_true(role_runs());
}

static void test_mail_in_the_second_folder(void **state)
{
	const struct ipc_opened *opened;
	const struct ipc_guard *guard;

	(void)state;
	assert_int_equal(mkdirat(role.folder_fd, "old/bob", 0700), 0);
	assert_int_equal(mkdirat(role.folder_fd, "old/bob/new", 0700), 0);
	assert_int_equal(mkdirat(role.folder_fd, "old/bob/cur", 0700), 0);
	assert_int_equal(mkdirat(role.folder_fd, "old/bob/tmp", 0700), 0);
	role_write("old/bob/new/1.a", "A: 1\n\n\n");
	role_has_guard = true;
	open_in(1, true, "bob");
	prove(1, true);
	opened = role_expect(front, IPC_OPENED);
	assert_int_equal(opened->count, 1);
	guard = role_expect(&role.monitor, IPC_GUARD);
	assert_int_equal(guard->ask, GUARD_SEEN);
	assert_int_equal(guard->root, 1);
	assert_int_equal(guard->has, GUARD_FILES);
}

static void test_a_folder_that_is_away_stops_its_own_mail_only(void **state)
{
	struct ipc_root away = {.away = 1, .root = 1};
	const struct ipc_open_failed *failed;

	(void)state;
	role_send(&role.monitor, IPC_ROOT_AWAY, &away);
	role_ping();
	open_in(1, true, "bob");
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_MAILDROP_TEMP);
	whose = "anna";
	open_maildrop(SESSION + 1);
	role_expect(front, IPC_OPENED);
}

static void test_a_folder_that_there_is_none_of(void **state)
{
	(void)state;
	open_in(2, true, "bob");
	role_expect_cut(auth);
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

static void test_what_is_counted(void **state)
{
	struct ipc_delete delete = {.session = SESSION, .count = 1};
	struct ipc_commit commit = {.session = SESSION, .total = 1};
	uint32_t number = 1;
	uint64_t flushed;

	(void)state;
	ready(SESSION, 1);
	deliver(SESSION, 1, 10);
	expect_delivered();
	assert_int_equal(role_counted(COUNTER_DELIVERIES + REASON_OK), 1);
	assert_int_equal(role_counted(COUNTER_DELIVERED_OCTETS), 22);
	assert_int_equal(role_entered(COUNTER_DELIVERY_SECONDS), 1);
	flushed = role_entered(COUNTER_FLUSH_SECONDS);
	assert_true(flushed > 0);
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	assert_int_equal(role_counted(COUNTER_OPENS + REASON_OK), 1);
	assert_int_equal(role_entered(COUNTER_LOGIN_STEPS + STEP_MAILDROP * HISTOGRAM_SLOTS), 1);
	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), &number, sizeof(number), -1);
	role_send(front, IPC_COMMIT, &commit);
	role_expect(front, IPC_COMMITTED);
	assert_int_equal(role_counted(COUNTER_COMMITS + RESULT_OK), 1);
	assert_int_equal(role_counted(COUNTER_COMMITS + RESULT_FAILED), 0);
	assert_int_equal(role_entered(COUNTER_COMMIT_SECONDS), 1);
	assert_true(role_entered(COUNTER_FLUSH_SECONDS) > flushed);
	for (int ms = 0; role_counted(COUNTER_KEEPER_JOBS) != 0; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
}

/* Recipients of one maildrop get one copy, unless what one of them may have differs. */
static void test_copies_of_a_message(void **state)
{
	static const uint64_t quotas[][2] = {{10, 0}, {10, 5000}, {11, 0}, {10, 0}, {10, 5000}};
	enum { COUNT = sizeof(quotas) / sizeof(quotas[0]), COPIES = 3 };

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t index = i == 0; /* those of deliver */

		recipient_with(SESSION, index, quotas[i][0], quotas[i][1]);
		expect_recipient(IPC_RCPT_READY, SESSION, index);
	}
	deliver(SESSION, COUNT, 10);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(
			((const struct ipc_recipient_answer *)role_expect(lmtp, IPC_DELIVERED))
				->reason,
			REASON_OK);
	assert_int_equal(messages(), COPIES);
}

/* ---- flushes ---- */

static const struct ipc_committed *delete_first(void)
{
	struct ipc_delete delete = {.session = SESSION, .count = 1};
	struct ipc_commit commit = {.session = SESSION, .total = 1};
	uint32_t number = 1;

	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), &number, sizeof(number), -1);
	role_send(front, IPC_COMMIT, &commit);
	return role_expect(front, IPC_COMMITTED);
}

static void test_what_is_acknowledged_is_flushed(void **state)
{
	(void)state;
	ready(SESSION, 1);
	role.shared->fsyncs = 0;
	deliver(SESSION, 1, 10);
	expect_delivered();
	assert_true(role.shared->fsyncs >= 2); /* the message, and the folder that names it */
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	role.shared->fdatasyncs = 0;
	assert_int_equal(delete_first()->reason, REASON_OK);
	assert_true(role.shared->fdatasyncs >= 1);
}

static void test_a_message_that_cannot_be_flushed(void **state)
{
	const struct ipc_recipient_answer *answer;

	(void)state;
	ready(SESSION, 1);
	role.shared->fsync_fails = true;
	deliver(SESSION, 1, 10);
	answer = role_expect(lmtp, IPC_DELIVERED);
	assert_int_equal(answer->reason, REASON_MAILDROP_TEMP);
	assert_int_equal(messages(), 0);
}

static void test_deletions_that_cannot_be_flushed(void **state)
{
	(void)state;
	put_mail(2);
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	role.shared->fdatasync_fails = true;
	assert_int_not_equal(delete_first()->reason, REASON_OK);
	assert_true(messages() + messages_in("cur") >= 2); /* one is on its way, perhaps */
}

/* ---- memory for bodies ---- */

static void test_a_front_gets_memory_for_bodies(void **state)
{
	(void)state;
	role_expect(front, IPC_ARENA);
	assert_true(front->fds[0] > 0);
	role_ping();
	assert_false(role_speaks(lmtp, 0)); /* it takes no bodies */
}

/* ---- what auth wants to know for an MTA ---- */

static void ask_usage(uint64_t number, uint32_t root, uint64_t messages_max, uint64_t octets_max,
		      uint64_t size)
{
	struct ipc_usage message = {.number = number,
				    .root = root,
				    .quota_messages = messages_max,
				    .quota_octets = octets_max,
				    .size = size};

	ROLE_SEND_TEXTS(auth, IPC_USAGE, &message, "anna", whose);
}

static void expect_usage(uint64_t number, enum reason reason)
{
	const struct ipc_usage_answer *answer = role_expect(auth, IPC_USAGE_ANSWER);

	assert_int_equal(answer->number, number);
	assert_int_equal(answer->reason, reason);
}

static void test_room_for_a_message(void **state)
{
	static const struct {
		uint64_t messages, octets, size;
		enum reason reason;
	} rows[] = {
		{0, 0, 1000, REASON_OK},
		{4, 0, 1000, REASON_OK},
		{3, 0, 0, REASON_OVER_QUOTA},
		{2, 0, 0, REASON_OVER_QUOTA},
		{0, 28, 1, REASON_OK},
		{0, 28, 2, REASON_OVER_QUOTA},
		{0, 28, UINT64_MAX, REASON_OVER_QUOTA},
		{0, 27, 0, REASON_OVER_QUOTA},
		{0, 26, 0, REASON_OVER_QUOTA},
	};

	(void)state;
	put_mail(3); /* of 9 octets each */
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask_usage(i, 0, rows[i].messages, rows[i].octets, rows[i].size);
		expect_usage(i, rows[i].reason);
	}
	whose = "nobody"; /* has none yet: there is room */
	ask_usage(50, 0, 1, 1, 1);
	expect_usage(50, REASON_OK);
	ask_usage(51, 7, 1, 1, 1); /* of a folder that is not there */
	role_expect_cut(auth);
}

static void permanent(struct config *config)
{
	config->quota_permanent = true;
}

static int begin_permanent(void **state)
{
	int rc;

	role_configure = permanent;
	rc = begin(state);
	role_configure = NULL;
	return rc;
}

static void test_no_room_for_good(void **state)
{
	(void)state;
	put_mail(3);
	ask_usage(1, 0, 3, 0, 0);
	expect_usage(1, REASON_OVER_QUOTA_PERM);
}

static void test_more_questions_than_an_honest_auth_has(void **state)
{
	enum { MOST = 4 * IPC_USAGE_CREDITS };

	(void)state;
	role.shared->closed = true;
	for (unsigned i = 0; i < MOST; i++)
		ask_usage(i, 0, 0, 0, 0);
	role_ping();
	assert_false(role_speaks(auth, 0));
	ask_usage(MOST, 0, 0, 0, 0);
	expect_usage(MOST, REASON_MAILDROP_TEMP);
	role.shared->closed = false;
	for (unsigned i = 0; i < MOST; i++)
		role_open_gate(1);
	for (unsigned i = 0; i < MOST; i++)
		assert_int_equal(
			((const struct ipc_usage_answer *)role_expect(auth, IPC_USAGE_ANSWER))
				->reason,
			REASON_OK);
	ask_usage(MOST + 1, 0, 0, 0, 0);
	expect_usage(MOST + 1, REASON_OK);
}

/* auth is gone when the answer is there: the keeper goes on. */
static void test_auth_goes_while_it_asks(void **state)
{
	(void)state;
	role.shared->closed = true;
	ask_usage(1, 0, 0, 0, 0);
	role_ping();
	role_peer_dies(auth);
	auth = role_peer(ROLE_AUTH, 0);
	role_open_gate(-1);
	ask_usage(2, 0, 0, 0, 0);
	expect_usage(2, REASON_OK);
	for (int ms = 0; role_counted(COUNTER_KEEPER_JOBS) != 0; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
}

/* ---- a quota that is nearly full ---- */

static void with_notices(struct config *config)
{
	config->quota_notices = true;
}

static int begin_notices(void **state)
{
	role_configure = with_notices;
	return begin(state);
}

static int end_notices(void **state)
{
	role_configure = NULL;
	return role_over(state);
}

/* The file in new/ that has this text; "": none. */
static const char *message_with(const char *wanted)
{
	static char text[8192];
	DIR *folder = fdopendir(
		openat(role.folder_fd, "mail/anna/new", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	bool found = false;

	assert_non_null(folder);
	for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
		int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		found = strstr(text, wanted) != NULL;
	}
	closedir(folder);
	return found ? text : "";
}

static void delivered_with(uint64_t quota_messages, uint64_t quota_octets)
{
	recipient_with(SESSION, 1, quota_messages, quota_octets);
	expect_recipient(IPC_RCPT_READY, SESSION, 1);
	deliver(SESSION, 1, 10);
	expect_delivered();
}

static void test_a_notice_at_each_step(void **state)
{
	const char *text;
	int day, year;
	char word[4];

	(void)state;
	put_mail(7);
	delivered_with(10, 0); /* 8 of 10 */
	text = message_with("Subject: Your mailbox is 80 % full\n");
	assert_non_null(strstr(text, "Return-Path: <>\nFrom: Mail system <postmaster@office.test>\n"
				     "To: <anna@office.test>\n"));
	assert_non_null(strstr(text, "Your mailbox on office.test holds 8 messages with 0 KiB.\n"
				     "Allowed are 10 messages.\n"));
	assert_non_null(strstr(text, "\nAuto-Submitted: auto-generated\n"));
	assert_int_equal(sscanf(strstr(text, "\nDate: ") + 7, "%3[A-Z a-z], %2d %3[A-Z a-z] %4d",
				word, &day, word, &year),
			 4);
	assert_true(day >= 1 && day <= 31 && year >= 2020);
	assert_int_equal(messages(), 9);
	delivered_with(11, 0); /* 10 of 11: that step was passed before */
	assert_int_equal(messages(), 10);
	delivered_with(11, 1024 * 1024);
	assert_int_equal(messages(), 12);
	text = message_with("Subject: Your mailbox is 95 % full\n");
	assert_non_null(strstr(text, "\nAllowed are 11 messages and 1024 KiB.\n"));
	delivered_with(1000, 0);
	assert_int_equal(messages(), 13);
}

static void test_no_notice_below_its_step(void **state)
{
	(void)state;
	put_mail(6);
	delivered_with(10, 0);
	delivered_with(0, 0);
	assert_int_equal(messages(), 8);
	assert_string_equal(message_with("Your mailbox"), "");
}

static void test_no_notices_unless_wanted(void **state)
{
	(void)state;
	put_mail(7);
	delivered_with(10, 0);
	assert_int_equal(messages(), 8);
}

/* ---- a filesystem that does not answer ---- */

static int begin_logged(void **state)
{
	role_captures = true;
	return begin(state);
}

static int begin_stopped(void **state)
{
	(void)state;
	role_captures = true;
	role_begin(&keeper_role, false);
	role_stop_clock();
	whose = "anna";
	make_maildir(whose);
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	role_go();
	return 0;
}

static void test_a_delivery_that_hangs_is_in_the_log(void **state)
{
	(void)state;
	ready(SESSION, 1);
	role.shared->closed = true;
	deliver(SESSION, 1, 10);
	role_advance(9000);
	role_advance(999);
	assert_null(strstr(role_log(), "takes"));
	role_advance(1);
	role_expect_log("<1>anna: ");
	role_expect_log(" takes 10 s and goes on: its filesystem (device ");
	role_expect_log(") does not answer (look for it in /proc/self/mountinfo)\n");
	role_advance(20000);
	assert_null(strstr(role_log(), "answers again"));
	role_open_gate(-1);
	expect_delivered();
	role_advance(1000);
	role_expect_log("<1>anna: its filesystem answers again, after ");
	/* once each */
	assert_null(strstr(strstr(role_log(), " takes ") + 1, " takes "));
}

static void test_deliveries_in_the_log(void **state)
{
	static const char tail[] = "\1\0\0\0Return-Path: <a@example.org>\r\nReceived: from x\r\n";
	struct ipc_deliver message = {.session = SESSION, .size = 22, .transaction = 1, .count = 1};
	int fd = sealed_message();

	(void)state;
	ready(SESSION, 1);
	role_send_raw(lmtp, IPC_DELIVER, &message, sizeof(message), tail, sizeof(tail) - 1, fd);
	close(fd);
	expect_delivered();
	role_expect_log("<2>delivered ");
	role_expect_log(" size=22 ");
	role_expect_log(" user=\"anna\" recipient=\"anna@office.test\" sender=\"a@example.org\" ");
	role_expect_log(" file=\"");
	/* its folder is gone */
	ready(SESSION, 1);
	assert_int_equal(renameat(role.folder_fd, "mail/anna/tmp", role.folder_fd, "away"), 0);
	role_write("mail/anna/tmp", "");
	fd = sealed_message();
	role_send_raw(lmtp, IPC_DELIVER, &message, sizeof(message), tail, sizeof(tail) - 1, fd);
	close(fd);
	role_expect(lmtp, IPC_DELIVERED);
	role_expect_log("<0>delivery-failed ");
	role_expect_log(" maildrop=\"anna\" reason=\"");
}

/* ---- a keeper on demand ---- */

enum { LIFE_MS = 60 * 1000 };

static int begin_on_demand(void **state)
{
	struct ipc_owner owner = {.uid = 4711};

	(void)state;
	role_begin(&keeper_role, false);
	role_stop_clock();
	ROLE_SEND_TEXTS(&role.monitor, IPC_OWNER, &owner, "anna");
	whose = "anna";
	make_maildir(whose);
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	role_go();
	return 0;
}

static uint64_t idle_for(void)
{
	struct ipc_empty ping;

	memset(&ping, 0, sizeof(ping));
	role_send(&role.monitor, IPC_PING, &ping);
	return ((const struct ipc_pong *)role_expect(&role.monitor, IPC_PONG))->idle;
}

static void leave(const struct role_peer *to)
{
	struct ipc_leave message = {.passed = 0};

	role_send(to, IPC_LEAVE, &message);
}

static void expect_question(uint64_t passed)
{
	const struct ipc_leave *message = role_expect(auth, IPC_LEAVE);

	assert_int_equal(message->passed, passed);
}

static void expect_left(void)
{
	role_expect(&role.monitor, IPC_LEAVE);
	role_expect(front, IPC_LEAVE);
	role_expect(lmtp, IPC_LEAVE);
	assert_int_equal(role_ends(), 0);
}

static void test_it_ends_when_it_was_idle(void **state)
{
	(void)state;
	assert_int_equal(idle_for(), 1);
	role_advance(LIFE_MS - 1);
	assert_int_equal(idle_for(), LIFE_MS);
	assert_false(role_speaks(auth, 0));
	role_advance(1);
	expect_question(0);
	assert_true(role_runs());
	leave(auth);
	expect_left();
}

static void test_the_time_begins_with_its_last_work(void **state)
{
	struct ipc_transaction forget = {.session = SESSION, .transaction = 1};

	(void)state;
	role_advance(LIFE_MS / 2);
	ready(SESSION, 1);
	assert_int_equal(idle_for(), 0);
	role_advance(LIFE_MS);
	assert_false(role_speaks(auth, 0));
	role_send(lmtp, IPC_FORGET, &forget);
	role_ping();
	assert_int_equal(idle_for(), 1);
	role_advance(LIFE_MS - 1);
	assert_false(role_speaks(auth, 0));
	role_advance(1);
	expect_question(1);
}

static void test_it_ends_for_another_owner(void **state)
{
	(void)state;
	leave(&role.monitor);
	expect_question(0);
	leave(auth);
	expect_left();
}

static void test_not_while_it_is_at_work(void **state)
{
	const struct ipc_pong *pong;

	(void)state;
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	leave(&role.monitor);
	pong = role_expect(&role.monitor, IPC_PONG);
	assert_int_equal(pong->idle, 0);
	assert_false(role_speaks(auth, 0));
	leave(auth);
	role_expect_cut(auth);
}

/* Others are not asked, and nobody may end them. */
static void test_a_keeper_of_all(void **state)
{
	(void)state;
	leave(&role.monitor);
	role_expect(&role.monitor, IPC_PONG);
	assert_int_equal(idle_for(), 0);
	leave(auth);
	role_expect_cut(auth);
	assert_true(role_runs());
}

#define ON_DEMAND(test) cmocka_unit_test_setup_teardown(test, begin_on_demand, role_over)
#define IN_KEEPER(test) cmocka_unit_test_setup_teardown(test, begin, role_over)
#define IN_KEEPER_OF_TWO(test) cmocka_unit_test_setup_teardown(test, begin_two, role_over)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	role_begin(&keeper_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, role_over),
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
		IN_KEEPER(test_the_guard_refuses_a_login),
		IN_KEEPER(test_the_guard_puts_off_mail),
		IN_KEEPER(test_a_session_that_is_over_while_the_guard_is_asked),
		IN_KEEPER(test_a_delivery_finds_what_another_made),
		IN_KEEPER(test_a_delivery_to_what_is_gone_is_put_off),
		IN_KEEPER(test_a_delivery_makes_what_is_new),
		IN_KEEPER(test_a_maildrop_that_cannot_be_entered_takes_nothing),
		IN_KEEPER(test_a_login_finds_what_another_made),
		IN_KEEPER(test_a_login_to_what_is_gone_is_put_off),
		IN_KEEPER(test_a_client_that_leaves_between_two_questions),
		IN_KEEPER(test_mail_that_has_not_moved_yet),
		IN_KEEPER(test_auth_learns_that_it_was_opened_here_or_refused),
		IN_KEEPER(test_a_hurry_opens_nothing),
		IN_KEEPER(test_mail_that_moved_and_is_not_there),
		IN_KEEPER_OF_TWO(test_a_new_user_is_looked_for_in_each_folder),
		IN_KEEPER_OF_TWO(test_mail_in_another_folder_is_not_passed_over),
		IN_KEEPER_OF_TWO(test_no_mail_is_made_beside_another_maildrop),
		IN_KEEPER_OF_TWO(test_new_mail_is_made_in_the_first_folder),
		IN_KEEPER_OF_TWO(test_a_user_whose_entry_says_where),
		IN_KEEPER_OF_TWO(test_mail_in_the_second_folder),
		IN_KEEPER_OF_TWO(test_a_folder_that_is_away_stops_its_own_mail_only),
		IN_KEEPER_OF_TWO(test_a_folder_that_there_is_none_of),
		IN_KEEPER(test_sessions_of_one_front),
		IN_KEEPER(test_bodies_in_one_packet),
		IN_KEEPER(test_what_is_counted),
		IN_KEEPER(test_copies_of_a_message),
		IN_KEEPER(test_what_is_acknowledged_is_flushed),
		IN_KEEPER(test_a_message_that_cannot_be_flushed),
		IN_KEEPER(test_deletions_that_cannot_be_flushed),
		IN_KEEPER(test_a_front_gets_memory_for_bodies),
		IN_KEEPER(test_room_for_a_message),
		cmocka_unit_test_setup_teardown(test_no_room_for_good, begin_permanent, role_over),
		IN_KEEPER(test_more_questions_than_an_honest_auth_has),
		IN_KEEPER(test_auth_goes_while_it_asks),
		cmocka_unit_test_setup_teardown(test_a_notice_at_each_step, begin_notices,
						end_notices),
		cmocka_unit_test_setup_teardown(test_no_notice_below_its_step, begin_notices,
						end_notices),
		IN_KEEPER(test_no_notices_unless_wanted),
		cmocka_unit_test_setup_teardown(test_a_delivery_that_hangs_is_in_the_log,
						begin_stopped, role_over),
		cmocka_unit_test_setup_teardown(test_deliveries_in_the_log, begin_logged,
						role_over),
		ON_DEMAND(test_it_ends_when_it_was_idle),
		ON_DEMAND(test_the_time_begins_with_its_last_work),
		ON_DEMAND(test_it_ends_for_another_owner),
		ON_DEMAND(test_not_while_it_is_at_work),
		IN_KEEPER(test_a_keeper_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
