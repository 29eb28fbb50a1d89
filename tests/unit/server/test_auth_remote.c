/* auth and users whose mail is on another POP3 server. The test plays the monitor, a front, a
 * connector and the database of grants: who hears what, and in which order; that each attempt has
 * one end, whoever goes away when. */
#include "role_test.h"

#include "base/seal.h"
#include "base/text.h"
#include "config/database.h"
#include "config/remote.h"
#include "server/auth/auth.h"
#include "users/learned.h"

#include <sys/mman.h>

enum { SESSION = 8, SAME = 0, STORED, TOKEN, MOVES };

static struct role_peer *front, *connector, *tokens, *keeper, *logins;
static uint64_t ticket;

static void add_section(struct config *config, const char *name, const char *credentials)
{
	struct err err;

	assert_int_equal(config_remote_begin(config, name, 1, &err), 0);
	assert_int_equal(config_remote_set(config, "server", "192.0.2.1:995", &err), 0);
	assert_int_equal(config_remote_set(config, "credentials", credentials, &err), 0);
	if (strcmp(name, "moves") == 0)
		assert_int_equal(config_remote_set(config, "learn", "/key.learn", &err), 0);
	assert_int_equal(config_remote_end(config, &err), 0);
}

static void configure(struct config *config)
{
	struct err err;

	assert_int_equal(config_database_begin(config, "grants", 1, &err), 0);
	assert_int_equal(config_database_set(config, "driver", "oauth", &err), 0);
	assert_int_equal(config_database_set(config, "timeout", "2s", &err), 0);
	assert_int_equal(config_database_set(config, "token_url", "https://a.test/t", &err), 0);
	add_section(config, "same", "same");
	add_section(config, "stored", "stored");
	add_section(config, "token", "oauth");
	add_section(config, "moves", "same");
	config->remotes[TOKEN].database = 0;
}

static bool keyed;
static char opens[SEAL_FILE_MAX];

/* As the monitor does: what the section's file has. */
static void send_key(void)
{
	struct ipc_remotes message = {.size = sizeof("moves")};
	int fd = memfd_create("key", MFD_CLOEXEC);
	char seals[SEAL_FILE_MAX];
	struct err err;

	assert_int_equal(seal_make(opens, seals, &err), 0);
	message.size += strlen(seals) + 1;
	assert_int_equal(write(fd, "moves", 6), 6);
	assert_int_equal(write(fd, seals, strlen(seals) + 1), (ssize_t)strlen(seals) + 1);
	role_send_raw(&role.monitor, IPC_REMOTES, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static int begin(void **state)
{
	struct ipc_connect connect = {.session = SESSION, .loopback = 1};

	(void)state;
	role_configure = configure;
	role_begin(&auth_role, false);
	role_write("users", "anna:::::::remote=same\n"
			    "berta:{PLAIN}secret::::::remote=stored remote_password=theirs "
			    "remote_user=b@old.test\n"
			    "carla:{PLAIN}secret::::::remote=token\n"
			    "Dora:{PLAIN}not asked::::::migrate=moves\n");
	if (keyed)
		send_key();
	role_stop_clock();
	front = role_peer(ROLE_FRONT, 0);
	connector = role_peer(ROLE_CONNECTOR, 0);
	tokens = role_peer_at(ROLE_LOOKUP, 0, 0);
	if (keyed) {
		keeper = role_peer(ROLE_KEEPER, 0);
		logins = role_peer(ROLE_LOGINS, 0);
	}
	role_go();
	memset(connect.address + 10, 0xff, 2);
	connect.address[12] = 127;
	connect.address[15] = 1;
	role_send(front, IPC_CONNECT, &connect);
	role_expect(front, IPC_CONNECTED);
	return 0;
}

static void log_in(const char *name, const char *password)
{
	struct ipc_credentials message = {.session = SESSION, .ticket = ++ticket, .has_secret = 1};

	ROLE_SEND_TEXTS(front, IPC_PASS, &message, name, password);
}

static void leave(void)
{
	struct ipc_session message = {.session = SESSION};

	role_send(front, IPC_DISCONNECT, &message);
}

static void expect_denied(enum reason reason)
{
	const struct ipc_denied *answer = role_expect(front, IPC_DENIED);

	assert_int_equal(answer->ticket, ticket);
	assert_int_equal(answer->reason, reason);
}

static void expect_opened(uint32_t section, const char *name, const char *login, const char *secret,
			  uint32_t judge)
{
	const struct ipc_open_remote *open = role_expect(connector, IPC_OPEN_REMOTE);

	assert_int_equal(open->front, front->instance);
	assert_int_equal(open->session, SESSION);
	assert_int_equal(open->ticket, ticket);
	assert_int_equal(open->remote, section);
	assert_int_equal(open->judge, judge);
	assert_true(span_equal(ipc_text(open, 0), span_of(name)));
	assert_true(span_equal(ipc_text(open, 2), span_of(login)));
	assert_true(span_equal(ipc_text(open, 3), span_of(secret)));
}

static void verdict(enum reason reason)
{
	struct ipc_verdict message = {
		.front = front->instance, .session = SESSION, .ticket = ticket, .reason = reason};

	role_send(connector, IPC_VERDICT, &message);
}

static void expect_go(enum reason reason)
{
	const struct ipc_verdict *go = role_expect(connector, IPC_GO);

	assert_int_equal(go->session, SESSION);
	assert_int_equal(go->ticket, ticket);
	assert_int_equal(go->reason, reason);
}

/* What auth asks the database of grants. refused: the token that it is not to give. */
static uint64_t expect_question(const char *refused)
{
	const struct ipc_verify *verify = role_expect(tokens, IPC_VERIFY);

	assert_int_equal(verify->kind, LOOKUP_ACCESS);
	assert_true(span_equal(ipc_text(verify, 0), SPAN_LITERAL("carla")));
	assert_true(span_equal(ipc_text(verify, 1), span_of(refused)));
	return verify->id;
}

static void answer(uint64_t id, enum lookup_status status, const char *token)
{
	struct ipc_answer message = {.id = id, .status = status};
	char tail[64] = "access_token";
	size_t size = sizeof("access_token") + strlen(token) + 1;

	memcpy(tail + sizeof("access_token"), token, strlen(token) + 1);
	role_send_raw(tokens, IPC_ANSWER, &message, sizeof(message), tail, *token ? size : 0, -1);
}

static void assert_silent(const struct role_peer *peer)
{
	role_ping();
	assert_false(role_speaks(peer, 0));
}

/* Whatever was before: a login goes as ever. */
static void assert_as_ever(void)
{
	log_in("berta", "secret");
	expect_opened(STORED, "berta", "b@old.test", "theirs", 0);
}

static void test_a_stored_password(void **state)
{
	(void)state;
	log_in("berta", "wrong");
	expect_denied(REASON_WRONG);
	assert_silent(connector);
	log_in("berta", "secret");
	expect_opened(STORED, "berta", "b@old.test", "theirs", 0);
	role_expect(front, IPC_SLOW);
	assert_silent(front); /* the connector answers it */
}

static void test_the_other_server_judges(void **state)
{
	(void)state;
	log_in("anna", "word");
	expect_opened(SAME, "anna", "", "word", 1);
	assert_silent(connector);
	verdict(REASON_OK);
	expect_go(REASON_OK);
	log_in("anna", "wrong");
	expect_opened(SAME, "anna", "", "wrong", 1);
	verdict(REASON_WRONG);
	expect_denied(REASON_WRONG);
	log_in("anna", "word");
	expect_opened(SAME, "anna", "", "word", 1);
	verdict(REASON_IN_USE);
	expect_denied(REASON_IN_USE);
	assert_silent(connector);
	assert_as_ever();
}

static void test_verdicts_on_nothing(void **state)
{
	(void)state;
	ticket = 100;
	verdict(REASON_OK); /* the session has no attempt: it is to be closed */
	expect_go(REASON_STORE_DOWN);
	log_in("anna", "word");
	expect_opened(SAME, "anna", "", "word", 1);
	ticket--;
	verdict(REASON_OK);
	expect_go(REASON_STORE_DOWN);
	verdict(REASON_WRONG);
	assert_silent(connector);
	ticket++;
	verdict(REASON_OK);
	expect_go(REASON_OK);
	verdict(REASON_OK); /* twice */
	expect_go(REASON_STORE_DOWN);
}

static void test_a_client_that_leaves_the_judge(void **state)
{
	(void)state;
	log_in("anna", "word");
	expect_opened(SAME, "anna", "", "word", 1);
	leave();
	expect_go(REASON_STORE_DOWN);
	verdict(REASON_OK);
	expect_go(REASON_STORE_DOWN);
}

static void test_a_connector_that_dies(void **state)
{
	(void)state;
	log_in("anna", "word");
	expect_opened(SAME, "anna", "", "word", 1);
	role_peer_dies(connector);
	expect_denied(REASON_STORE_DOWN);
	log_in("berta", "secret");
	expect_denied(REASON_STORE_DOWN);
	connector = role_peer(ROLE_CONNECTOR, 0);
	role_ping();
	assert_as_ever();
	role_peer_dies(connector);
	expect_denied(REASON_STORE_DOWN);
}

static void test_a_token(void **state)
{
	(void)state;
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "first");
	expect_opened(TOKEN, "carla", "", "first", 1);
	role_expect(front, IPC_SLOW);
	assert_silent(front);
	verdict(REASON_OK);
	expect_go(REASON_OK);
	assert_silent(tokens);
	log_in("carla", "wrong");
	expect_denied(REASON_WRONG);
	assert_silent(tokens);
}

static void test_a_token_that_is_refused(void **state)
{
	(void)state;
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "first");
	expect_opened(TOKEN, "carla", "", "first", 1);
	verdict(REASON_WRONG);
	answer(expect_question("first"), LOOKUP_FOUND, "second");
	expect_opened(TOKEN, "carla", "", "second", 2);
	verdict(REASON_OK);
	expect_go(REASON_OK);
	/* both are */
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "second");
	expect_opened(TOKEN, "carla", "", "second", 1);
	verdict(REASON_WRONG);
	answer(expect_question("second"), LOOKUP_FOUND, "third");
	expect_opened(TOKEN, "carla", "", "third", 2);
	verdict(REASON_WRONG);
	expect_denied(REASON_MAILDROP_PERM);
	/* there is no other */
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "third");
	expect_opened(TOKEN, "carla", "", "third", 1);
	verdict(REASON_WRONG);
	answer(expect_question("third"), LOOKUP_FOUND, "third");
	expect_denied(REASON_MAILDROP_PERM);
	assert_silent(connector);
	assert_as_ever();
}

static void test_no_token(void **state)
{
	static const struct {
		enum lookup_status status;
		enum reason reason;
	} cases[] = {
		{LOOKUP_UNKNOWN, REASON_MAILDROP_PERM},
		{LOOKUP_REFUSED, REASON_MAILDROP_PERM},
		{LOOKUP_DOWN, REASON_LOGIN_DOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_in("carla", "secret");
		answer(expect_question(""), cases[i].status, "");
		expect_denied(cases[i].reason);
		log_in("carla", "secret");
		answer(expect_question(""), LOOKUP_FOUND, "first");
		expect_opened(TOKEN, "carla", "", "first", 1);
		verdict(REASON_WRONG);
		answer(expect_question("first"), cases[i].status, "");
		expect_denied(cases[i].reason);
	}
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "first");
	expect_opened(TOKEN, "carla", "", "first", 1);
	verdict(REASON_MAILDROP_TEMP);
	expect_denied(REASON_MAILDROP_TEMP);
	assert_silent(connector);
	assert_silent(tokens);
	assert_as_ever();
}

/* Between any two steps of a token. */
static void test_a_client_that_leaves_its_token(void **state)
{
	struct ipc_connect connect = {.session = SESSION, .loopback = 1};

	(void)state;
	memset(connect.address + 10, 0xff, 2);
	connect.address[12] = 127;
	connect.address[15] = 1;
	for (int step = 0; step < 4; step++) {
		log_in("carla", "secret");
		if (step > 0) {
			answer(expect_question(""), LOOKUP_FOUND, "first");
			expect_opened(TOKEN, "carla", "", "first", 1);
		}
		if (step > 1)
			verdict(REASON_WRONG);
		if (step > 2) {
			answer(expect_question("first"), LOOKUP_FOUND, "second");
			expect_opened(TOKEN, "carla", "", "second", 2);
		}
		if (step % 2 == 0)
			expect_question(step ? "first" : "");
		leave();
		if (step % 2) {
			expect_go(REASON_STORE_DOWN);
			verdict(REASON_OK);
			expect_go(REASON_STORE_DOWN);
		} else {
			role_expect(tokens, IPC_CANCEL);
		}
		assert_silent(connector);
		role_send(front, IPC_CONNECT, &connect);
		role_expect(front, IPC_CONNECTED);
	}
	assert_as_ever();
}

static void test_a_connector_that_dies_with_a_token(void **state)
{
	(void)state;
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "first");
	expect_opened(TOKEN, "carla", "", "first", 1);
	role_peer_dies(connector);
	expect_denied(REASON_STORE_DOWN);
	log_in("carla", "secret");
	answer(expect_question(""), LOOKUP_FOUND, "first");
	expect_denied(REASON_STORE_DOWN);
	connector = role_peer(ROLE_CONNECTOR, 0);
	role_ping();
	assert_as_ever();
}

/* ---- mail that moves here ---- */

static int begin_moving(void **state)
{
	int rc;

	keyed = true;
	rc = begin(state);
	keyed = false;
	return rc;
}

/* The keeper is told first, and the server that has, or had, the mail is asked. */
static void ask_there(const char *password)
{
	const struct ipc_hurry *hurry;
	const struct ipc_open_remote *open;

	log_in("dora", password);
	hurry = role_expect(keeper, IPC_HURRY);
	assert_true(span_equal(ipc_text(hurry, 0), SPAN_LITERAL("Dora")));
	open = role_expect(connector, IPC_OPEN_REMOTE);
	assert_int_equal(open->remote, MOVES);
	assert_int_equal(open->judge, 1);
	assert_int_equal(open->patient, 1);
	assert_true(span_equal(ipc_text(open, 0), SPAN_LITERAL("Dora")));
	assert_true(span_equal(ipc_text(open, 3), span_of(password)));
	assert_silent(keeper);
}

static void ask_keeper(const char *password)
{
	const struct ipc_open *open;

	ask_there(password);
	verdict(REASON_OK);
	open = role_expect(keeper, IPC_OPEN_MIGRATES);
	assert_int_equal(open->session, SESSION);
	assert_int_equal(open->ticket, ticket);
	assert_silent(connector);
}

static void keeper_answers(enum ipc_type type, enum ipc_part part)
{
	struct ipc_verdict message = {
		.front = front->instance, .session = SESSION, .ticket = ticket, .part = part};

	role_send(keeper, type, &message);
}

static void expect_learned(const char *password)
{
	const struct ipc_learned *row = role_expect(logins, IPC_LEARNED);
	struct seal_key *key;
	struct secret secret;
	struct err err;

	assert_true(span_equal(ipc_text(row, 0), SPAN_LITERAL("moves")));
	assert_true(span_equal(ipc_text(row, 1), SPAN_LITERAL("Dora")));
	assert_int_equal(seal_key_read(span_of(opens), true, &key, &err), 0);
	assert_int_equal(seal_open(key, SPAN_LITERAL("moves/dora"), ipc_text(row, 2), &secret), 0);
	assert_string_equal(secret.bytes, password);
	secret_finish(&secret);
	seal_key_free(key);
}

static void test_mail_that_is_not_here_yet(void **state)
{
	(void)state;
	ask_keeper("word");
	keeper_answers(IPC_NOT_HERE, PART_WHOLE);
	expect_go(REASON_OK);
	keeper_answers(IPC_HERE, PART_WHOLE); /* too late */
	assert_silent(connector);
	ask_keeper("word");
	keeper_answers(IPC_NOT_HERE, PART_HERE); /* a part of it */
	assert_int_equal(((const struct ipc_verdict *)role_expect(connector, IPC_GO))->part,
			 PART_THERE);
}

static void test_mail_that_is_here(void **state)
{
	(void)state;
	ask_keeper("word");
	keeper_answers(IPC_HERE, PART_WHOLE);
	expect_go(REASON_STORE_DOWN); /* it is closed there */
	keeper_answers(IPC_NOT_HERE, PART_WHOLE);
	assert_silent(connector);
	assert_as_ever();
}

static void log_in_here(const char *password)
{
	ask_keeper(password);
	keeper_answers(IPC_HERE, PART_WHOLE);
	expect_go(REASON_STORE_DOWN);
}

static void test_what_is_accepted_is_learned_once(void **state)
{
	(void)state;
	ask_there("wrong");
	verdict(REASON_WRONG);
	expect_denied(REASON_WRONG);
	assert_silent(logins);
	log_in_here("word");
	expect_learned("word");
	role_expect(logins, IPC_LOGGED_IN);
	log_in_here("word");
	assert_silent(logins);
	log_in_here("another");
	expect_learned("another");
	log_in("anna", "word"); /* her mail stays there */
	expect_opened(SAME, "anna", "", "word", 1);
	verdict(REASON_OK);
	role_expect(logins, IPC_LOGGED_IN);
	assert_silent(logins);
}

/* Whoever goes away, neither side stays open. */
static void test_a_client_that_leaves_between_both(void **state)
{
	(void)state;
	ask_keeper("word");
	leave();
	expect_go(REASON_STORE_DOWN);
	keeper_answers(IPC_NOT_HERE, PART_WHOLE);
	assert_silent(connector);
}

static void test_a_client_that_tries_again_between_both(void **state)
{
	(void)state;
	ask_keeper("word");
	ticket++;
	log_in("berta", "secret");
	assert_int_equal(((const struct ipc_verdict *)role_expect(connector, IPC_GO))->reason,
			 REASON_STORE_DOWN);
	expect_opened(STORED, "berta", "b@old.test", "theirs", 0);
}

static void test_a_keeper_that_dies_between_both(void **state)
{
	(void)state;
	ask_keeper("word");
	role_peer_dies(keeper);
	role_expect(front, IPC_SLOW);
	expect_denied(REASON_STORE_DOWN);
	expect_go(REASON_STORE_DOWN);
}

static void test_a_connector_that_dies_between_both(void **state)
{
	(void)state;
	for (int here = 0; here < 2; here++) {
		ask_keeper("word");
		role_expect(front, IPC_SLOW);
		role_peer_dies(connector);
		keeper_answers(here ? IPC_HERE : IPC_NOT_HERE, PART_WHOLE);
		if (!here)
			expect_denied(REASON_STORE_DOWN);
		assert_silent(front); /* the keeper has opened it */
		connector = role_peer(ROLE_CONNECTOR, 0);
		role_ping();
	}
	assert_as_ever();
}

/* The secret is right here, but that server is who judges. */
static void test_no_secret_of_here_counts(void **state)
{
	(void)state;
	ask_there("not asked");
	verdict(REASON_WRONG);
	expect_denied(REASON_WRONG);
	assert_silent(keeper);
}

static void test_a_copying_that_nobody_told(void **state)
{
	(void)state;
	ask_there("word");
	verdict(REASON_IN_USE);
	expect_denied(REASON_IN_USE);
	role_expect(keeper, IPC_HURRY);
	assert_silent(logins);
}

int main(void)
{
#define MOVING(function) cmocka_unit_test_setup_teardown(function, begin_moving, role_over)
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, role_over)
	const struct CMUnitTest tests[] = {
		TEST(test_a_stored_password),
		TEST(test_the_other_server_judges),
		TEST(test_verdicts_on_nothing),
		TEST(test_a_client_that_leaves_the_judge),
		TEST(test_a_connector_that_dies),
		TEST(test_a_token),
		TEST(test_a_token_that_is_refused),
		TEST(test_no_token),
		TEST(test_a_client_that_leaves_its_token),
		TEST(test_a_connector_that_dies_with_a_token),
		MOVING(test_mail_that_is_not_here_yet),
		MOVING(test_mail_that_is_here),
		MOVING(test_what_is_accepted_is_learned_once),
		MOVING(test_a_client_that_leaves_between_both),
		MOVING(test_a_client_that_tries_again_between_both),
		MOVING(test_a_keeper_that_dies_between_both),
		MOVING(test_a_connector_that_dies_between_both),
		MOVING(test_no_secret_of_here_counts),
		MOVING(test_a_copying_that_nobody_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
