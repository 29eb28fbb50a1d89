/* Questions of keepers about maildrops that another generation's keeper may have: the monitor
 * passes them on to keepers of the same uid and the same mail folder, and answers to the one that
 * asked. */
#include "ipc/messages.h"
#include "server/monitor/generation.h"
#include "server/monitor/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { SLOTS = 5, MAIL_UID = 1000, OTHER_UID = 1001 };

static struct generation old, young;
static struct slot slots[SLOTS];
static unsigned sent[SLOTS]; /* messages to each of them */
static struct ipc_take last_take;
static struct ipc_taken last_taken;

int __wrap_ipc_send(struct chan *chan, enum ipc_type type, void *message);
int __wrap_ipc_send_texts(struct chan *chan, enum ipc_type type, void *message,
			  const pop3_span *texts, unsigned count);

static void count(const struct chan *chan)
{
	for (unsigned i = 0; i < SLOTS; i++)
		sent[i] += chan == &slots[i].chan;
}

int __wrap_ipc_send(struct chan *chan, enum ipc_type type, void *message)
{
	assert_int_equal(type, IPC_TAKEN);
	last_taken = *(const struct ipc_taken *)message;
	count(chan);
	return 0;
}

int __wrap_ipc_send_texts(struct chan *chan, enum ipc_type type, void *message,
			  const pop3_span *texts, unsigned n)
{
	assert_int_equal(type, IPC_TAKE);
	assert_int_equal(n, 1);
	assert_int_equal(texts[0].size, 4);
	assert_memory_equal(texts[0].data, "anna", 4);
	last_take = *(const struct ipc_take *)message;
	count(chan);
	return 0;
}

/* Two keepers of one uid, one of another, one that is not there, and a front. */
static int begin(void **state)
{
	static const struct {
		enum ipc_role role;
		uint32_t uid;
		bool has_chan;
	} as[SLOTS] = {{ROLE_KEEPER, MAIL_UID, true},
		       {ROLE_KEEPER, MAIL_UID, true},
		       {ROLE_KEEPER, OTHER_UID, true},
		       {ROLE_KEEPER, MAIL_UID, false},
		       {ROLE_FRONT, MAIL_UID, true}};

	(void)state;
	memset(&old, 0, sizeof(old));
	memset(slots, 0, sizeof(slots));
	memset(sent, 0, sizeof(sent));
	old.config.root_count = 1;
	snprintf(old.config.roots[0].path, sizeof(old.config.roots[0].path), "/srv/mail");
	young = old;
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].role = as[i].role;
		slots[i].uid = as[i].uid;
		slots[i].has_chan = as[i].has_chan;
		slots[i].instance = 10 + i;
		slots[i].next = i + 1 < SLOTS ? &slots[i + 1] : NULL;
	}
	old.slots = slots;
	return 0;
}

static const struct take_from from = {.generation = &young, .instance = 77, .uid = MAIL_UID};

static void pass_on_take(uint64_t asker)
{
	struct {
		struct ipc_take take;
		char path[4];
	} message = {.take = {.head = {.type = IPC_TAKE, .tail = 4, .texts = {4}},
			      .asker = asker,
			      .number = 5,
			      .idle = 60000,
			      .take = 1},
		     .path = "anna"};

	generation_take(&old, &from, IPC_TAKE, &message);
}

static void expect_sent(const unsigned wanted[SLOTS])
{
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(sent[i], wanted[i]);
}

static void test_a_question_goes_to_keepers_of_that_uid(void **state)
{
	(void)state;
	pass_on_take(4711); /* who asks is not what the message says */
	expect_sent((unsigned[SLOTS]){1, 1, 0, 0, 0});
	assert_int_equal(last_take.asker, 77);
	assert_int_equal(last_take.number, 5);
	assert_int_equal(last_take.idle, 60000);
	assert_int_equal(last_take.take, 1);
}

static void test_another_mail_folder(void **state)
{
	(void)state;
	snprintf(old.config.roots[0].path, sizeof(old.config.roots[0].path), "/srv/mails");
	pass_on_take(0);
	expect_sent((unsigned[SLOTS]){0});
}

/* The folder may have another place in that generation's configuration. */
static void test_the_folder_at_another_place(void **state)
{
	(void)state;
	old.config.root_count = 2;
	old.config.roots[1] = old.config.roots[0];
	snprintf(old.config.roots[0].path, sizeof(old.config.roots[0].path), "/srv/new");
	pass_on_take(0);
	expect_sent((unsigned[SLOTS]){1, 1, 0, 0, 0});
	assert_int_equal(last_take.root, 1);
}

static void answer(uint64_t asker)
{
	struct ipc_taken message = {
		.head.type = IPC_TAKEN, .asker = asker, .number = 5, .idle = 3, .taken = 1};

	generation_take(&old, &from, IPC_TAKEN, &message);
}

static void test_threat_109_an_answer_goes_to_the_keeper_that_asked(void **state)
{
	(void)state;
	answer(11);
	expect_sent((unsigned[SLOTS]){0, 1, 0, 0, 0});
	assert_int_equal(last_taken.number, 5);
	assert_int_equal(last_taken.taken, 1);
	answer(12); /* of another uid */
	answer(13); /* that is not there */
	answer(14); /* no keeper */
	answer(99); /* nobody */
	expect_sent((unsigned[SLOTS]){0, 1, 0, 0, 0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_question_goes_to_keepers_of_that_uid, begin),
		cmocka_unit_test_setup(test_another_mail_folder, begin),
		cmocka_unit_test_setup(test_the_folder_at_another_place, begin),
		cmocka_unit_test_setup(test_threat_109_an_answer_goes_to_the_keeper_that_asked,
				       begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
