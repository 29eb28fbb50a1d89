/* The keeper's end of the process that makes lock files: what it asks, which answers it takes, and
 * what the store learns when nobody answers. The test plays the locker; its answers are there
 * before the question, so that nothing has to be waited for. */
#include "base/text.h"
#include "ipc/messages.h"
#include "server/keeper/locker.h"
#include "sys/chan_ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY "0123456789abcdef0123456789abcdef"

static struct keeper_locker locker;
static int ours = -1; /* the end of the locker process */

static void connect_locker(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	if (ours >= 0)
		close(ours);
	ours = ends[0];
	keeper_locker_take(&locker, &ends[1]);
	assert_int_equal(ends[1], -1);
}

static int begin(void **state)
{
	(void)state;
	keeper_locker_init(&locker);
	connect_locker();
	return 0;
}

static int end(void **state)
{
	int none = -1;

	(void)state;
	keeper_locker_take(&locker, &none);
	if (ours >= 0)
		close(ours);
	ours = -1;
	return pthread_mutex_destroy(&locker.mutex);
}

static void answer(uint64_t number, uint32_t errnum)
{
	struct ipc_lock_answer message = {.number = number, .errnum = errnum};

	assert_int_equal(ipc_ask_texts(ours, IPC_LOCK_ANSWER, &message, NULL, 0), 0);
}

static void assert_asked(uint64_t number, enum ipc_lock_what what, const char *name,
			 const char *key)
{
	_Alignas(8) char packet[1024];
	ssize_t n = chan_ask_receive(ours, packet, sizeof(packet), 0);
	const struct ipc_lock *asked = (const struct ipc_lock *)packet;
	const char *why;

	assert_true(n > 0);
	assert_int_equal(ipc_check(packet, (size_t)n, 0, ROLE_KEEPER, ROLE_LOCKER, &why), IPC_LOCK);
	assert_true(asked->number == number);
	assert_int_equal(asked->what, what);
	assert_true(span_equal(ipc_text(packet, 0), span_of(name)));
	assert_true(span_equal(ipc_text(packet, 1), span_of(key)));
}

static void assert_nothing_asked(void)
{
	char packet[1024];

	assert_int_equal(chan_ask_receive(ours, packet, sizeof(packet), 0), -1);
}

static void each_question(void **state)
{
	const struct mbox_locker *to = &locker.locker;

	(void)state;
	answer(1, 0);
	assert_int_equal(to->take(to->context, "box", KEY), 0);
	assert_asked(1, LOCK_TAKE, "box", KEY);
	answer(2, 0);
	assert_int_equal(to->take(to->context, "box", NULL), 0);
	assert_asked(2, LOCK_TAKE, "box", "");
	answer(3, 0);
	assert_int_equal(to->mark(to->context, "box"), 0);
	assert_asked(3, LOCK_MARK, "box", "");
	answer(4, ENOENT);
	to->release(to->context, "box");
	assert_asked(4, LOCK_RELEASE, "box", "");
	assert_nothing_asked();
}

static void its_refusals(void **state)
{
	static const int errors[] = {EEXIST, EUCLEAN, EPERM, EINVAL, ENOENT};
	const struct mbox_locker *to = &locker.locker;

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		answer(i + 1, (uint32_t)errors[i]);
		errno = 0;
		assert_int_equal(to->take(to->context, "box", KEY), -1);
		assert_int_equal(errno, errors[i]);
	}
	answer(6, EIO);
	assert_int_equal(to->mark(to->context, "box"), -1);
	assert_int_equal(errno, EIO);
}

/* Answers to questions that were given up are not those of the next one; but there cannot be any
 * number of them. */
static void answers_that_came_too_late(void **state)
{
	const struct mbox_locker *to = &locker.locker;

	(void)state;
	locker.number = 100;
	for (unsigned i = 0; i < 16; i++)
		answer(i, EEXIST);
	answer(101, 0);
	assert_int_equal(to->take(to->context, "box", KEY), 0);
	for (unsigned i = 0; i < 17; i++)
		answer(i, 0);
	answer(102, 0);
	assert_int_equal(to->take(to->context, "box", KEY), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Messages that are no answer, and the end of the locker, count as a lock that is held: the next
 * locker may come. */
static void no_answer(void **state)
{
	const struct mbox_locker *to = &locker.locker;
	struct ipc_lock message = {.number = 1};
	const pop3_span texts[] = {span_of("box"), span_of("")};

	(void)state;
	assert_int_equal(ipc_ask_texts(ours, IPC_LOCK, &message, texts, 2), 0);
	assert_int_equal(to->take(to->context, "box", KEY), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(send(ours, "short", 5, 0), 5);
	assert_int_equal(to->take(to->context, "box", KEY), -1);
	assert_int_equal(errno, EAGAIN);
	close(ours);
	ours = -1;
	assert_int_equal(to->take(to->context, "box", KEY), -1);
	assert_int_equal(errno, EAGAIN);
	connect_locker();
	answer(4, 0);
	assert_int_equal(to->take(to->context, "box", KEY), 0);
}

/* Where there is none, nobody makes lock files: the mailbox is never cut. */
static void no_locker(void **state)
{
	const struct mbox_locker *to = &locker.locker;
	char name[IPC_TEXT_MAX + 2];
	int none = -1;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[IPC_TEXT_MAX] = '\0';
	answer(1, 0);
	assert_int_equal(to->take(to->context, name, NULL), 0);
	assert_asked(1, LOCK_TAKE, name, "");
	name[IPC_TEXT_MAX] = 'a'; /* longer than a packet has room for */
	name[IPC_TEXT_MAX + 1] = '\0';
	assert_int_equal(to->take(to->context, name, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_nothing_asked();
	keeper_locker_take(&locker, &none);
	assert_int_equal(to->take(to->context, "box", KEY), -1);
	assert_int_equal(errno, EACCES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_question), TEST(its_refusals), TEST(answers_that_came_too_late),
		TEST(no_answer),     TEST(no_locker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
