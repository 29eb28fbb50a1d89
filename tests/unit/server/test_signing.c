/* Handshakes that wait for keys: who is asked for, when keys is gone or has enough to do, and in
 * which order others go on. A session's TLS is a number here. */
#include "server/front/signing.h"

#include "server/front/root.h"
#include "server/front/session.h"
#include "sys/tls_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { SESSIONS = IPC_SIGN_CREDITS + 8 };

static struct front front;
static struct session *sessions[SESSIONS];
static struct peer keys, other;
static struct tls_to_sign wanted = {.key = 3, .scheme = 0x0403, .size = 5};

static struct {
	unsigned requests, signatures, turns, last_size;
	struct ipc_sign request;
	const struct session *signed_one, *turn;
	const struct peer *asked;
	bool no_content; /* of the sessions that have not asked yet */
	unsigned signing;
} seen;

/* ---- wraps ---- */

const struct tls_to_sign *__wrap_tls_session_to_sign(const struct tls_session *session);
void __wrap_conn_signed(struct conn *conn, const char *signature, size_t size);
void __wrap_conn_go_on(struct conn *conn);
unsigned __wrap_tls_server_signing(const struct tls_server *server);
void __wrap_peer_send_parts(struct peer *peer, enum ipc_type type, void *message,
			    const pop3_span *parts, unsigned count);

const struct tls_to_sign *__wrap_tls_session_to_sign(const struct tls_session *session)
{
	(void)session;
	return seen.no_content ? NULL : &wanted;
}

static const struct session *session_with(const struct conn *conn)
{
	for (unsigned i = 0; i < SESSIONS; i++)
		if (conn == &sessions[i]->client.conn)
			return sessions[i];
	return NULL;
}

void __wrap_conn_signed(struct conn *conn, const char *signature, size_t size)
{
	(void)signature;
	seen.signatures++;
	seen.last_size = (unsigned)size;
	seen.signed_one = session_with(conn);
}

void __wrap_conn_go_on(struct conn *conn)
{
	seen.turns++;
	seen.turn = session_with(conn);
}

unsigned __wrap_tls_server_signing(const struct tls_server *server)
{
	assert_ptr_equal(server, front.tls);
	return seen.signing;
}

void __wrap_peer_send_parts(struct peer *peer, enum ipc_type type, void *message,
			    const pop3_span *parts, unsigned count)
{
	assert_int_equal(type, IPC_SIGN);
	assert_int_equal(count, 1);
	assert_ptr_equal(parts[0].data, wanted.content);
	assert_int_equal(parts[0].size, wanted.size);
	seen.requests++;
	seen.request = *(const struct ipc_sign *)message;
	seen.asked = peer;
}

/* ---- what the test does ---- */

static int begin(void **state)
{
	(void)state;
	memset(&front, 0, sizeof(front));
	memset(&seen, 0, sizeof(seen));
	front.tls = (struct tls_server *)&wanted; /* not looked into */
	for (unsigned i = 0; i < SESSIONS; i++) {
		sessions[i] = calloc(1, sizeof(*sessions[i]));
		sessions[i]->front = &front;
		sessions[i]->client.node.key = 100 + i;
	}
	signing_up(&front, &keys);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SESSIONS; i++)
		free(sessions[i]);
	return 0;
}

/* keys answers this request of that session; NULL: which is gone. */
static void answer(struct session *session, uint64_t ticket)
{
	struct ipc_signed message = {.ticket = ticket, .head = {.type = IPC_SIGNED, .tail = 0}};

	signing_answer(&front, session, &message);
}

static void test_a_request_and_its_answer(void **state)
{
	(void)state;
	signing_wanted(sessions[0]);
	assert_int_equal(seen.requests, 1);
	assert_ptr_equal(seen.asked, &keys);
	assert_int_equal(seen.request.session, 100);
	assert_int_equal(seen.request.key, 3);
	assert_int_equal(seen.request.scheme, 0x0403);
	answer(sessions[0], seen.request.ticket + 1); /* not to that one */
	assert_int_equal(seen.signatures, 0);
	answer(sessions[1], 0); /* has asked nothing */
	assert_int_equal(seen.signatures, 0);
	answer(sessions[0], seen.request.ticket);
	assert_ptr_equal(seen.signed_one, sessions[0]);
	answer(sessions[0], seen.request.ticket);
	assert_int_equal(seen.signatures, 1);
}

static void test_each_request_has_a_ticket_of_its_own(void **state)
{
	uint64_t first;

	(void)state;
	signing_wanted(sessions[0]);
	first = seen.request.ticket;
	assert_int_not_equal(first, 0);
	signing_wanted(sessions[0]); /* of a second signature */
	assert_int_not_equal(seen.request.ticket, first);
	answer(sessions[0], first);
	assert_int_equal(seen.signatures, 0);
	answer(sessions[0], seen.request.ticket);
	assert_int_equal(seen.signatures, 1);
}

static void test_keys_is_started_anew(void **state)
{
	(void)state;
	signing_gone(&front, &other); /* of another generation */
	signing_wanted(sessions[0]);
	assert_int_equal(seen.requests, 1);
	signing_wanted(sessions[1]);
	signing_wanted(sessions[2]);
	signing_stop(sessions[1]);
	signing_gone(&front, &keys);
	signing_wanted(sessions[3]);
	assert_int_equal(seen.requests, 3);
	signing_up(&front, &other);
	assert_ptr_equal(seen.asked, &other);
	assert_int_equal(seen.requests, 6); /* 3, 2 and 0 */
	answer(sessions[0], seen.request.ticket);
	assert_ptr_equal(seen.signed_one, sessions[0]);
}

static void test_credits(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < IPC_SIGN_CREDITS; i++)
		signing_wanted(sessions[i]);
	assert_int_equal(seen.requests, IPC_SIGN_CREDITS);
	for (; i < SESSIONS; i++)
		signing_wanted(sessions[i]);
	assert_int_equal(seen.requests, IPC_SIGN_CREDITS);
	signing_stop(sessions[IPC_SIGN_CREDITS + 1]); /* one of those that wait */
	signing_stop(sessions[0]);                    /* its answer is to come: no credit is free */
	assert_int_equal(seen.requests, IPC_SIGN_CREDITS);
	answer(NULL, 0);
	assert_int_equal(seen.requests, IPC_SIGN_CREDITS + 1);
	assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS);
	answer(NULL, 0);
	assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS + 2);
	signing_wanted(sessions[0]); /* behind the others */
	answer(NULL, 0);
	assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS + 3);
	for (i = 4; i < SESSIONS - IPC_SIGN_CREDITS; i++) {
		answer(NULL, 0);
		assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS + i);
	}
	answer(NULL, 0);
	assert_int_equal(seen.request.session, 100);
}

/* The last of the list goes; what comes then is not lost. */
static void test_the_end_of_those_that_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < IPC_SIGN_CREDITS + 2; i++)
		signing_wanted(sessions[i]);
	signing_stop(sessions[IPC_SIGN_CREDITS + 1]);
	signing_wanted(sessions[IPC_SIGN_CREDITS + 2]);
	answer(NULL, 0);
	assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS);
	answer(NULL, 0);
	assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS + 2);
	signing_wanted(sessions[IPC_SIGN_CREDITS + 3]);
	answer(NULL, 0);
	assert_int_equal(seen.request.session, 100 + IPC_SIGN_CREDITS + 3);
}

/* More handshakes than the library has room for wait for a turn, without a request. */
static void test_turns(void **state)
{
	(void)state;
	seen.no_content = true;
	seen.signing = TLS_SIGNING_MAX;
	for (unsigned i = 0; i < 4; i++)
		signing_wanted(sessions[i]);
	assert_int_equal(seen.requests, 0);
	answer(NULL, 0);
	assert_int_equal(seen.turns, 0);
	seen.signing = TLS_SIGNING_MAX - 2;
	signing_stop(sessions[5]);
	assert_int_equal(seen.turns, 2);
	assert_ptr_equal(seen.turn, sessions[1]);
	front.tls = NULL;
	signing_stop(sessions[5]);
	assert_int_equal(seen.turns, 2);
}

#define AT_FRONT(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_FRONT(test_a_request_and_its_answer),
		AT_FRONT(test_each_request_has_a_ticket_of_its_own),
		AT_FRONT(test_keys_is_started_anew),
		AT_FRONT(test_credits),
		AT_FRONT(test_the_end_of_those_that_wait),
		AT_FRONT(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
