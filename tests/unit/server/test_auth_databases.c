/* auth and databases of users. The test plays the monitor, a front, an LMTP front, a keeper and the
 * processes that ask databases: "first", which gives stored secrets, "second", which judges
 * passwords itself, and "tokens". */
#include "role_test.h"

#include "base/text.h"
#include "config/database.h"
#include "server/auth/auth.h"

enum {
	TIMEOUT_MS = 2000,
	SLACK_MS = 500,
	FIRST = 0,
	SECOND,
	TOKENS,
	SESSION = 8,
	OPERATOR = 4711, /* whose commands are obeyed */
};

static struct role_peer *front, *lmtp, *keeper, *first, *second, *tokens, *control;
static const char *cache_down, *domains;

static void add(struct config *config, const char *name, const char *driver)
{
	struct err err;

	assert_int_equal(config_database_begin(config, name, 1, &err), 0);
	assert_int_equal(config_database_set(config, "driver", driver, &err), 0);
	assert_int_equal(config_database_set(config, "timeout", "2s", &err), 0);
	if (cache_down)
		assert_int_equal(config_database_set(config, "cache_down", cache_down, &err), 0);
	if (domains)
		assert_int_equal(config_database_set(config, "domains", domains, &err), 0);
	config->databases[config->database_count - 1].purposes =
		CONFIG_FOR_LOGIN | CONFIG_FOR_RECIPIENT;
}

static void configure(struct config *config)
{
	add(config, "first", "sql");
	add(config, "second", "ldap");
	add(config, "tokens", "oauth");
}

static void connect_client(uint64_t session)
{
	struct ipc_connect connect = {.session = session, .loopback = 1};

	memset(connect.address + 10, 0xff, 2);
	connect.address[12] = 127;
	connect.address[15] = 1;
	role_send(front, IPC_CONNECT, &connect);
	role_expect(front, IPC_CONNECTED);
}

static int begin(void **state)
{
	struct ipc_control_peers peers = {.uids = {OPERATOR}, .count = 1};

	(void)state;
	role_configure = configure;
	role_begin(&auth_role, false);
	role_stop_clock();
	role_send(&role.monitor, IPC_CONTROL_PEERS, &peers);
	control = role_peer(ROLE_CONTROL, 0);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	first = role_peer_at(ROLE_LOOKUP, 0, FIRST);
	second = role_peer_at(ROLE_LOOKUP, 0, SECOND);
	tokens = role_peer_at(ROLE_LOOKUP, 0, TOKENS);
	role_go();
	connect_client(SESSION);
	return 0;
}

static int begin_with_cache_down(void **state)
{
	int rc;

	cache_down = "1h";
	rc = begin(state);
	cache_down = NULL;
	return rc;
}

static int begin_with_domain(void **state)
{
	int rc;

	domains = "one.test";
	rc = begin(state);
	domains = NULL;
	return rc;
}

/* ---- the front ---- */

static uint64_t ticket;

static void log_in(const char *name, const char *password)
{
	struct ipc_credentials message = {.session = SESSION, .ticket = ++ticket, .has_secret = 1};

	ROLE_SEND_TEXTS(front, IPC_PASS, &message, name, password);
}

static void expect_denied(enum reason reason)
{
	const struct ipc_denied *answer = role_expect(front, IPC_DENIED);

	assert_int_equal(answer->ticket, ticket);
	assert_int_equal(answer->reason, reason);
}

/* The maildrop of name is opened for this login. */
static void expect_opened(const char *name)
{
	const struct ipc_open *open = role_expect(keeper, IPC_OPEN);

	assert_int_equal(open->ticket, ticket);
	assert_true(span_equal(ipc_text(open, 0), span_of(name)));
}

/* ---- the databases ---- */

static uint64_t expect_find(struct role_peer *lookup, const char *name)
{
	const struct ipc_find *find = role_expect(lookup, IPC_FIND);

	assert_string_equal(ipc_strings(find), name);
	return find->id;
}

static uint64_t expect_verify(struct role_peer *lookup, const char *name, const char *secret)
{
	const struct ipc_verify *verify = role_expect(lookup, IPC_VERIFY);

	assert_true(span_equal(ipc_text(verify, 0), span_of(name)));
	assert_true(span_equal(ipc_text(verify, 1), span_of(secret)));
	return verify->id;
}

/* fields: "name=value", NULL behind the last. */
static void answer_with(struct role_peer *lookup, uint64_t id, enum lookup_status status,
			uint32_t matched, const char *const *fields)
{
	struct ipc_answer message = {.id = id, .status = status, .matched = matched};
	char tail[4096];
	size_t used = 0;

	for (; fields && *fields; fields++) {
		size_t n = strlen(*fields) + 1;

		memcpy(tail + used, *fields, n);
		*strchr(tail + used, '=') = '\0';
		used += n;
	}
	role_send_raw(lookup, IPC_ANSWER, &message, sizeof(message), tail, used, -1);
}
#define FOUND(lookup, id, ...) \
	answer_with(lookup, id, LOOKUP_FOUND, 0, (const char *const[]){__VA_ARGS__, NULL})

static void answer(struct role_peer *lookup, uint64_t id, enum lookup_status status)
{
	answer_with(lookup, id, status, 0, NULL);
}

static void assert_silent(const struct role_peer *peer)
{
	role_ping();
	assert_false(role_speaks(peer, 0));
}

/* ---- logins ---- */

static void test_an_entry_is_found_and_remembered(void **state)
{
	(void)state;
	log_in("Carla", "word");
	role_expect(front, IPC_SLOW);
	FOUND(first, expect_find(first, "Carla"), "password={PLAIN}word", "quota_messages=7");
	expect_opened("carla"); /* one folder, however the client spells the name */
	log_in("carla", "word");
	expect_opened("carla");
	assert_silent(first);
}

static void test_a_wrong_password_asks_once_more(void **state)
{
	(void)state;
	log_in("carla", "word");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}word");
	expect_opened("carla");
	log_in("carla", "new");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}new"); /* it was changed */
	expect_opened("carla");
	log_in("carla", "wrong");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}new");
	expect_denied(REASON_WRONG);
}

static void test_databases_are_asked_in_their_order(void **state)
{
	(void)state;
	log_in("dora", "word");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	FOUND(second, expect_verify(second, "dora", "word"), "home=people/dora");
	expect_opened("dora");
	log_in("dora", "word"); /* the database's verdict is remembered */
	expect_opened("dora");
	assert_silent(second);
	log_in("dora", "other");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, "dora", "other"), LOOKUP_WRONG);
	expect_denied(REASON_WRONG);
	log_in("nobody", "x");
	answer(first, expect_find(first, "nobody"), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, "nobody", "x"), LOOKUP_UNKNOWN);
	expect_denied(REASON_WRONG);
	log_in("old", "x");
	answer(first, expect_find(first, "old"), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, "old", "x"), LOOKUP_REFUSED);
	expect_denied(REASON_WRONG);
	assert_silent(tokens);
}

/* What a database judged is no entry: a deliverer's question brings no login. */
static void test_a_recipient_is_no_verdict(void **state)
{
	struct ipc_recipient message = {.session = SESSION, .transaction = 1};

	(void)state;
	ROLE_SEND_TEXTS(lmtp, IPC_RCPT, &message, "dora");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	FOUND(second, expect_find(second, "dora"), "home=people/dora");
	role_expect(lmtp, IPC_RESOLVED);
	role_expect(keeper, IPC_RCPT_OPEN);
	log_in("dora", "anything");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, "dora", "anything"), LOOKUP_WRONG);
	expect_denied(REASON_WRONG);
}

static void test_users_of_the_file_cost_no_question(void **state)
{
	(void)state;
	log_in("anna", "secret");
	expect_opened("anna");
	log_in("anna", "wrong");
	expect_denied(REASON_WRONG);
	assert_silent(first);
	assert_silent(second);
}

/* ---- databases that are down ---- */

static void test_a_database_that_is_down_is_followed_by_no_other(void **state)
{
	(void)state;
	log_in("carla", "word");
	answer(first, expect_find(first, "carla"), LOOKUP_DOWN);
	expect_denied(REASON_LOGIN_DOWN);
	assert_silent(second);
	log_in("anna", "secret");
	expect_opened("anna");
}

static void time_out(void)
{
	log_in("carla", "word");
	expect_find(first, "carla");
	role_advance(TIMEOUT_MS + SLACK_MS + 1);
	expect_denied(REASON_LOGIN_DOWN);
	role_expect(first, IPC_CANCEL);
}

static void test_a_database_that_hangs(void **state)
{
	uint64_t id;

	(void)state;
	time_out();
	log_in("carla", "word");
	id = expect_find(first, "carla");
	answer(first, id - 1, LOOKUP_UNKNOWN); /* it was on its way: dropped */
	FOUND(first, id, "password={PLAIN}word");
	expect_opened("carla");
}

static void test_a_silent_database_is_tried_by_one_question_at_a_time(void **state)
{
	struct ipc_credentials other = {.session = SESSION + 1, .ticket = 7777, .has_secret = 1};
	const struct ipc_denied *denied;

	(void)state;
	for (int i = 0; i < 4; i++)
		time_out();
	role_advance(1001);
	log_in("carla", "word"); /* the probe */
	expect_find(first, "carla");
	connect_client(SESSION + 1);
	ROLE_SEND_TEXTS(front, IPC_PASS, &other, "carlo", "word");
	denied = role_expect(front, IPC_DENIED);
	assert_int_equal(denied->ticket, other.ticket);
	assert_int_equal(denied->reason, REASON_LOGIN_DOWN);
	assert_silent(first);
}

static void test_a_process_that_dies(void **state)
{
	(void)state;
	log_in("carla", "word");
	expect_find(first, "carla");
	role_peer_dies(first);
	expect_denied(REASON_LOGIN_DOWN);
	log_in("carla", "word");
	expect_denied(REASON_LOGIN_DOWN);
	first = role_peer_at(ROLE_LOOKUP, 0, FIRST);
	log_in("carla", "word");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}word");
	expect_opened("carla");
}

static void test_what_is_remembered_serves_while_it_is_down(void **state)
{
	enum { CACHE_MS = 5 * 60 * 1000 };

	(void)state;
	log_in("dora", "word");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	FOUND(second, expect_verify(second, "dora", "word"), "home=people/dora");
	expect_opened("dora");
	role_advance(CACHE_MS + 1);
	log_in("dora", "word");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, "dora", "word"), LOOKUP_DOWN);
	expect_opened("dora");
	log_in("dora", "guess");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, "dora", "guess"), LOOKUP_DOWN);
	expect_denied(REASON_LOGIN_DOWN);
}

static void test_a_database_is_asked_about_its_domains(void **state)
{
	(void)state;
	log_in("carla@elsewhere.test", "word");
	expect_denied(REASON_WRONG);
	log_in("carla@one.test", "word");
	FOUND(first, expect_find(first, "carla@one.test"), "password={PLAIN}word");
	expect_opened("carla@one.test");
}

/* ---- entries and answers that are none ---- */

static void refused_entry(const char *field, enum reason reason)
{
	log_in("carla", "word");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}word", field);
	expect_denied(reason);
}

static void test_fields_are_judged(void **state)
{
	(void)state;
	/* the password is right, and the mail cannot be served */
	refused_entry("home=../anna", REASON_LOGIN_DOWN);
	refused_entry("home=/elsewhere/carla", REASON_LOGIN_DOWN);
	refused_entry("user=anna", REASON_LOGIN_DOWN);
	refused_entry("password_hash=x", REASON_LOGIN_DOWN);
	refused_entry("quota_octets=much", REASON_LOGIN_DOWN);
	refused_entry("home=a\nb", REASON_LOGIN_DOWN);
	/* the login is not wanted */
	refused_entry("nologin=1", REASON_WRONG);
	refused_entry("allow_networks=192.0.2.0/24", REASON_WRONG);
	log_in("carlo", "word");
	FOUND(first, expect_find(first, "carlo"), "password={PLAIN}word",
	      "allow_networks=192.0.2.0/24, 127.0.0.0/8");
	expect_opened("carlo");
}

static void test_an_entry_of_uid_0_is_not_served(void **state)
{
	(void)state;
	log_in("carla", "word");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}word", "uid=0", "gid=0");
	expect_denied(REASON_LOGIN_DOWN);
}

static void test_an_answer_to_no_question(void **state)
{
	(void)state;
	answer(first, 4711, LOOKUP_UNKNOWN);
	role_expect_cut(first);
	log_in("anna", "secret");
	expect_opened("anna");
}

static void test_an_answer_given_twice(void **state)
{
	uint64_t id;

	(void)state;
	log_in("carla", "word");
	id = expect_find(first, "carla");
	FOUND(first, id, "password={PLAIN}word");
	expect_opened("carla");
	FOUND(first, id, "password={PLAIN}word");
	role_expect_cut(first);
	log_in("anna", "secret");
	expect_opened("anna");
}

static void test_an_answer_after_the_deadline_given_twice(void **state)
{
	uint64_t id;

	(void)state;
	log_in("carla", "word");
	id = expect_find(first, "carla");
	role_advance(TIMEOUT_MS + SLACK_MS + 1);
	expect_denied(REASON_LOGIN_DOWN);
	role_expect(first, IPC_CANCEL);
	answer(first, id, LOOKUP_UNKNOWN);
	log_in("anna", "secret");
	expect_opened("anna"); /* the first one was on its way */
	answer(first, id, LOOKUP_UNKNOWN);
	role_expect_cut(first);
}

static void test_an_answer_long_after_the_deadline(void **state)
{
	uint64_t id;

	(void)state;
	log_in("carla", "word");
	id = expect_find(first, "carla");
	role_advance(TIMEOUT_MS + SLACK_MS + 1);
	expect_denied(REASON_LOGIN_DOWN);
	role_expect(first, IPC_CANCEL);
	role_advance(30 * 1000 + 1);
	answer(first, id, LOOKUP_UNKNOWN);
	role_expect_cut(first);
	log_in("anna", "secret");
	expect_opened("anna");
}

static void test_an_answer_of_another_process_to_one_given_up(void **state)
{
	uint64_t id;

	(void)state;
	log_in("carla", "word");
	id = expect_find(first, "carla");
	role_advance(TIMEOUT_MS + SLACK_MS + 1);
	expect_denied(REASON_LOGIN_DOWN);
	answer(second, id, LOOKUP_UNKNOWN);
	role_expect_cut(second);
}

static void test_an_answer_to_the_question_of_another(void **state)
{
	(void)state;
	log_in("carla", "word");
	FOUND(second, expect_find(first, "carla"), "password={PLAIN}word");
	role_expect_cut(second);
	assert_silent(keeper);
}

static void test_a_verdict_that_nobody_asked_for(void **state)
{
	(void)state;
	log_in("carla", "word");
	answer(first, expect_find(first, "carla"), LOOKUP_WRONG);
	role_expect_cut(first);
	expect_denied(REASON_LOGIN_DOWN);
}

static void test_a_match_that_was_not_asked_about(void **state)
{
	(void)state;
	log_in("carla", "word");
	answer_with(first, expect_find(first, "carla"), LOOKUP_FOUND, 3,
		    (const char *const[]){"password={PLAIN}word", NULL});
	role_expect_cut(first);
	expect_denied(REASON_LOGIN_DOWN);
}

/* The client is gone: nobody waits for the answer. */
static void test_a_client_that_leaves(void **state)
{
	struct ipc_session leave = {.session = SESSION};
	uint64_t id;

	(void)state;
	log_in("carla", "word");
	id = expect_find(first, "carla");
	role_send(front, IPC_DISCONNECT, &leave);
	role_expect(first, IPC_CANCEL);
	answer(first, id, LOOKUP_UNKNOWN);
	connect_client(SESSION + 1);
}

/* ---- recipients ---- */

static void recipient(const char *address, uint32_t index)
{
	struct ipc_recipient message = {.session = SESSION, .transaction = 1, .index = index};

	ROLE_SEND_TEXTS(lmtp, IPC_RCPT, &message, address);
}

static void expect_delivered_to(const char *name)
{
	const struct ipc_recipient_open *open = role_expect(keeper, IPC_RCPT_OPEN);

	assert_true(span_equal(ipc_text(open, 0), span_of(name)));
}

static void expect_refused(uint32_t index, enum reason reason)
{
	const struct ipc_recipient_answer *refused = role_expect(lmtp, IPC_RCPT_REFUSED);

	assert_int_equal(refused->index, index);
	assert_int_equal(refused->reason, reason);
}

static void test_one_question_has_all_spellings(void **state)
{
	static const char *const wanted[] = {"carla+tag@one.test", "carla@one.test", "carla+tag",
					     "carla"};
	const struct ipc_find *find;
	const char *name;

	(void)state;
	recipient("carla+tag@one.test", 1);
	find = role_expect(first, IPC_FIND);
	assert_int_equal(find->count, 4);
	name = ipc_strings(find);
	for (size_t i = 0; i < 4; i++, name = ipc_next_string(find, name))
		assert_string_equal(name, wanted[i]);
	answer_with(first, find->id, LOOKUP_FOUND, 1, (const char *const[]){"home=c", NULL});
	/* a better one may be elsewhere */
	answer(second, expect_find(second, "carla+tag@one.test"), LOOKUP_UNKNOWN);
	role_expect(lmtp, IPC_RESOLVED);
	expect_delivered_to("carla@one.test");
}

static void test_recipients_that_nobody_knows(void **state)
{
	(void)state;
	recipient("nobody", 1);
	answer(first, expect_find(first, "nobody"), LOOKUP_UNKNOWN);
	answer(second, expect_find(second, "nobody"), LOOKUP_UNKNOWN);
	expect_refused(1, REASON_NO_SUCH_USER);
	recipient("nobody", 2);
	answer(first, expect_find(first, "nobody"), LOOKUP_DOWN);
	expect_refused(2, REASON_USERS_DOWN);
	recipient("nobody", 3);
	answer(first, expect_find(first, "nobody"), LOOKUP_BAD_ENTRY);
	expect_refused(3, REASON_USERS_DOWN);
	recipient("berta", 4);
	role_expect(lmtp, IPC_RESOLVED);
	expect_delivered_to("berta");
}

static void test_an_alias_of_a_database(void **state)
{
	(void)state;
	recipient("team", 1);
	FOUND(first, expect_find(first, "team"), "alias=anna", "alias=carla", "alias=team");
	FOUND(first, expect_find(first, "carla"), "home=c");
	role_expect(lmtp, IPC_RESOLVED);
	expect_delivered_to("anna");
	expect_delivered_to("carla");
}

/* ---- tokens ---- */

#define BEARER "bixhPWNhcmxhLAFhdXRoPUJlYXJlciB0b2tlbgEB" /* n,a=carla,^Aauth=Bearer token^A^A */

static void start_bearer(void)
{
	struct ipc_credentials message = {
		.session = SESSION, .ticket = ++ticket, .has_secret = 1, .tls = 1};

	ROLE_SEND_TEXTS(front, IPC_SASL_START, &message, "OAUTHBEARER", BEARER);
}

static void test_a_token_is_judged_by_its_database(void **state)
{
	(void)state;
	start_bearer();
	FOUND(tokens, expect_verify(tokens, "carla", "token"), "user=carla");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}x", "home=c");
	expect_opened("carla");
}

static void test_a_token_that_is_refused(void **state)
{
	struct ipc_credentials message = {.session = SESSION, .has_secret = 1};

	(void)state;
	start_bearer();
	answer(tokens, expect_verify(tokens, "carla", "token"), LOOKUP_WRONG);
	role_expect(front, IPC_CHALLENGE);
	message.ticket = ++ticket;
	ROLE_SEND_TEXTS(front, IPC_SASL_RESPONSE, &message, "", "AQ==");
	expect_denied(REASON_WRONG);
	start_bearer();
	FOUND(tokens, expect_verify(tokens, "carla", "token"), "user=anna"); /* no entry of carla */
	expect_denied(REASON_LOGIN_DOWN);
}

/* ---- what a person has auth forget ---- */

static const struct ipc_flushed *flush_as(uint32_t uid, const char *name)
{
	struct ipc_flush message = {.number = 7, .uid = uid, .gid = 1};
	const struct ipc_flushed *answer;

	ROLE_SEND_TEXTS(control, IPC_FLUSH, &message, name);
	answer = role_expect(control, IPC_FLUSHED);
	assert_int_equal(answer->number, 7);
	return answer;
}

static uint32_t flush(const char *name)
{
	const struct ipc_flushed *answer = flush_as(OPERATOR, name);

	assert_int_equal(answer->status, WHO_END);
	return answer->count;
}

static void log_in_at_second(const char *name, const char *password)
{
	log_in(name, password);
	answer(first, expect_find(first, name), LOOKUP_UNKNOWN);
	FOUND(second, expect_verify(second, name, password), "home=people");
	expect_opened(name);
}

static void expect_asked(const char *name, const char *password)
{
	log_in(name, password);
	answer(first, expect_find(first, name), LOOKUP_UNKNOWN);
	answer(second, expect_verify(second, name, password), LOOKUP_WRONG);
	expect_denied(REASON_WRONG);
}

/* The old password does not count again when the entry is remembered anew, with the new one. */
static void test_an_old_password_stays_forgotten(void **state)
{
	(void)state;
	log_in_at_second("dora", "old");
	log_in_at_second("emil", "word");
	assert_int_equal(flush("DORA"), 1);
	assert_int_equal(flush("dora"), 0);
	log_in("emil", "word"); /* nobody else is asked about */
	expect_opened("emil");
	log_in_at_second("dora", "new");
	expect_asked("dora", "old");
	assert_int_equal(flush(""), 2);
	expect_asked("emil", "word");
	expect_asked("dora", "new");
}

/* The database answered before it was changed, and the answer comes after the command. */
static void test_an_answer_under_way_is_not_remembered(void **state)
{
	uint64_t id;

	(void)state;
	log_in("dora", "old");
	answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
	id = expect_verify(second, "dora", "old");
	assert_int_equal(flush("dora"), 0);
	FOUND(second, id, "home=people");
	expect_opened("dora"); /* this login was judged before */
	log_in_at_second("dora", "new");
	expect_asked("dora", "old");
	log_in("carla", "old");
	id = expect_find(first, "carla");
	flush("somebody");
	FOUND(first, id, "password={PLAIN}old");
	expect_opened("carla");
	log_in("carla", "old");
	FOUND(first, expect_find(first, "carla"), "password={PLAIN}old");
	expect_opened("carla");
}

static void test_a_recipient_is_forgotten(void **state)
{
	struct ipc_recipient message = {.session = SESSION, .transaction = 1};

	(void)state;
	for (int i = 0; i < 2; i++) {
		ROLE_SEND_TEXTS(lmtp, IPC_RCPT, &message, "dora");
		answer(first, expect_find(first, "dora"), LOOKUP_UNKNOWN);
		FOUND(second, expect_find(second, "dora"), "home=people/dora");
		role_expect(lmtp, IPC_RESOLVED);
		role_expect(keeper, IPC_RCPT_OPEN);
		assert_int_equal(flush("dora"), 1);
	}
}

static void test_another_machine_has_it_forget(void **state)
{
	struct ipc_nodes order = {.id = 5, .what = NODES_FLUSH, .uid = 1000};

	(void)state;
	log_in_at_second("dora", "old");
	ROLE_SEND_TEXTS(keeper, IPC_NODES, &order, "dora");
	role_ping();
	log_in_at_second("dora", "new");
	expect_asked("dora", "old");
	order.id = 6;
	ROLE_SEND_TEXTS(keeper, IPC_NODES, &order, "");
	role_ping();
	expect_asked("dora", "new");
}

static void test_threat_114_nobody_else_has_it_forget(void **state)
{
	struct ipc_flush message = {.number = 1, .uid = OPERATOR};
	const struct ipc_flushed *answer;

	(void)state;
	log_in_at_second("dora", "word");
	answer = flush_as(OPERATOR + 1, "dora");
	assert_int_equal(answer->status, WHO_REFUSED);
	assert_int_equal(answer->count, 0);
	assert_int_equal(flush_as(OPERATOR + 1, "")->status, WHO_REFUSED);
	log_in("dora", "word");
	expect_opened("dora");
	assert_silent(second);
	ROLE_SEND_TEXTS(front, IPC_FLUSH, &message, "dora");
	role_expect_cut(front);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, role_over)
	const struct CMUnitTest tests[] = {
		TEST(test_an_entry_is_found_and_remembered),
		TEST(test_a_wrong_password_asks_once_more),
		TEST(test_databases_are_asked_in_their_order),
		TEST(test_a_recipient_is_no_verdict),
		TEST(test_users_of_the_file_cost_no_question),
		TEST(test_a_database_that_is_down_is_followed_by_no_other),
		TEST(test_a_database_that_hangs),
		TEST(test_a_silent_database_is_tried_by_one_question_at_a_time),
		TEST(test_a_process_that_dies),
		cmocka_unit_test_setup_teardown(test_what_is_remembered_serves_while_it_is_down,
						begin_with_cache_down, role_over),
		cmocka_unit_test_setup_teardown(test_a_database_is_asked_about_its_domains,
						begin_with_domain, role_over),
		TEST(test_fields_are_judged),
		TEST(test_an_entry_of_uid_0_is_not_served),
		TEST(test_an_answer_to_no_question),
		TEST(test_an_answer_given_twice),
		TEST(test_an_answer_after_the_deadline_given_twice),
		TEST(test_an_answer_long_after_the_deadline),
		TEST(test_an_answer_of_another_process_to_one_given_up),
		TEST(test_an_answer_to_the_question_of_another),
		TEST(test_a_verdict_that_nobody_asked_for),
		TEST(test_a_match_that_was_not_asked_about),
		TEST(test_a_client_that_leaves),
		TEST(test_one_question_has_all_spellings),
		TEST(test_recipients_that_nobody_knows),
		TEST(test_an_alias_of_a_database),
		TEST(test_a_token_is_judged_by_its_database),
		TEST(test_a_token_that_is_refused),
		TEST(test_an_old_password_stays_forgotten),
		TEST(test_an_answer_under_way_is_not_remembered),
		TEST(test_a_recipient_is_forgotten),
		TEST(test_another_machine_has_it_forget),
		TEST(test_threat_114_nobody_else_has_it_forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
