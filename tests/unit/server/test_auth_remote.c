/* auth and users whose mail is on another POP3 server. The test plays the monitor, a front, a
 * connector and the database of grants: who hears what, and in which order; that each attempt has
 * one end, whoever goes away when. */
#include "role_test.h"

#include "base/text.h"
#include "config/database.h"
#include "config/remote.h"
#include "server/auth/auth.h"

enum { SESSION = 8, SAME = 0, STORED, TOKEN };

static struct role_peer *front, *connector, *tokens;
static uint64_t ticket;

static void add_section(struct config *config, const char *name, const char *credentials)
{
	struct err err;

	assert_int_equal(config_remote_begin(config, name, 1, &err), 0);
	assert_int_equal(config_remote_set(config, "server", "192.0.2.1:995", &err), 0);
	assert_int_equal(config_remote_set(config, "credentials", credentials, &err), 0);
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
	config->remotes[TOKEN].database = 0;
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
			    "carla:{PLAIN}secret::::::remote=token\n");
	role_stop_clock();
	front = role_peer(ROLE_FRONT, 0);
	connector = role_peer(ROLE_CONNECTOR, 0);
	tokens = role_peer_at(ROLE_LOOKUP, 0, 0);
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

int main(void)
{
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
