/* Owners of homes: answers that are kept, looks that are shared, and homes that hang. The fstatat
 * of this program stands for the filesystem, clock_ms for the loop's time. */
#include "server/auth/homes.h"

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	OWNER = 1000,
	KEPT_MS = 2000,
	MISSING_MS = 20,
	ANSWER_MS = 5000,
	OLD_MS = 60 * 60 * 1000,
	THREADS = 16,
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answers = PTHREAD_COND_INITIALIZER;
static bool hangs;
static unsigned looks;

static struct loop *loop;
static struct homes *homes;
static int root; /* the mail root: any folder */
static int roots[CONFIG_ROOTS_MAX];
static struct stat root_stat;
static uint64_t clock_ms = 1000000, last_key;
static unsigned settled_count, ticks;

uint64_t __wrap_loop_now(const struct loop *of);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);
int __wrap_fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags);
int __wrap_fstatat64(int fd, const char *restrict path, struct stat *restrict st, int flags);

uint64_t __wrap_loop_now(const struct loop *of)
{
	(void)of;
	return clock_ms;
}

/* Only the test moves the clock: a timer fires at once, and looks at it. */
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	(void)ms;
	__real_loop_timer_set(timer, 1);
	if (ticks && --ticks == 0)
		loop_stop(loop);
}

/* "hung…" does not answer for now; a path that ends in "none" is not there; what begins with
 * "root" is root's, a folder "link" is none, and "box" is a file. */
int __wrap_fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	const char *last = strrchr(path, '/');

	(void)fd;
	pthread_mutex_lock(&mutex);
	looks++;
	while (hangs && strncmp(path, "hung", 4) == 0)
		pthread_cond_wait(&answers, &mutex);
	pthread_mutex_unlock(&mutex);
	if (flags != AT_SYMLINK_NOFOLLOW || strcmp(last ? last + 1 : path, "none") == 0) {
		errno = ENOENT;
		return -1;
	}
	*st = (struct stat){.st_mode = 0700 | (strcmp(path, "link") == 0  ? S_IFLNK
					       : strcmp(path, "box") == 0 ? S_IFREG
									  : S_IFDIR),
			    .st_uid = strncmp(path, "root", 4) == 0 ? 0 : OWNER};
	return 0;
}

/* The same, where struct stat has 64 bits for the sizes of files by its own name. */
int __wrap_fstatat64(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	return __wrap_fstatat(fd, path, st, flags);
}

static void settled(void *context, uint64_t key)
{
	assert_ptr_equal(context, &last_key);
	last_key = key;
	settled_count++;
	loop_stop(loop);
}

static void set_hangs(bool now)
{
	pthread_mutex_lock(&mutex);
	hangs = now;
	pthread_cond_broadcast(&answers);
	pthread_mutex_unlock(&mutex);
}

static unsigned looks_now(void)
{
	unsigned now;

	pthread_mutex_lock(&mutex);
	now = looks;
	pthread_mutex_unlock(&mutex);
	return now;
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	loop = loop_create(&err);
	root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < CONFIG_ROOTS_MAX; i++)
		roots[i] = root;
	homes = loop ? homes_create(loop, roots, settled, &last_key, &err) : NULL;
	return root >= 0 && homes && fstat(root, &root_stat) == 0 ? 0 : -1;
}

static enum homes_answer owner(const char *path, uint32_t *uid, uint64_t *key)
{
	*uid = 77;
	return homes_owner(homes, 0, path, uid, key);
}

/* Asks, and waits for the answer. */
static void learn(const char *path)
{
	uint32_t uid;
	uint64_t key;

	assert_int_equal(owner(path, &uid, &key), HOMES_ASKED);
	loop_run(loop);
	assert_true(last_key == key);
}

static void expect(const char *path, enum homes_answer answer, uint32_t wanted)
{
	uint32_t uid;
	uint64_t key;

	assert_int_equal(owner(path, &uid, &key), answer);
	assert_int_equal(uid, wanted);
}

/* Asks for a mailbox of the second root, and returns its owner. */
static uint32_t mailbox_owner(const char *path)
{
	uint32_t uid = 77;
	uint64_t key;

	assert_int_equal(homes_owner(homes, 1, path, &uid, &key), HOMES_ASKED);
	loop_run(loop);
	assert_int_equal(homes_owner(homes, 1, path, &uid, &key), HOMES_KNOWN);
	return uid;
}

/* A mailbox is a file, of whom it belongs to. One that is not there is that of the folder above it,
 * or, where that is the root's own and of root, that of its user's entry. */
static void test_mailboxes(void **state)
{
	(void)state;
	homes_have_mboxes(homes, 1);
	assert_int_equal(mailbox_owner("box"), OWNER);
	assert_int_equal(mailbox_owner("home/none"), OWNER);
	assert_int_equal(mailbox_owner("none"), root_stat.st_uid ? root_stat.st_uid : HOMES_HIDDEN);
	assert_int_equal(mailbox_owner("roots/none"),
			 root_stat.st_uid ? root_stat.st_uid : HOMES_HIDDEN);
}

/* Some ticks of what looks for homes that hang. */
static void look_for_hung(void)
{
	ticks = 3;
	loop_run(loop);
}

static void test_requests_share_one_look_and_its_answer(void **state)
{
	unsigned before = looks_now();
	uint32_t uid;
	uint64_t key, again;

	(void)state;
	settled_count = 0;
	assert_int_equal(owner("ann", &uid, &key), HOMES_ASKED);
	assert_int_equal(owner("ann", &uid, &again), HOMES_ASKED);
	assert_true(key == again && key >= HOMES_KEY_FIRST);
	loop_run(loop);
	assert_true(last_key == key);
	assert_int_equal(settled_count, 1);
	assert_int_equal(looks_now(), before + 1);
	expect("ann", HOMES_KNOWN, OWNER);
	assert_int_equal(looks_now(), before + 1);
}

static void test_an_answer_is_kept_for_two_seconds(void **state)
{
	unsigned before = looks_now();

	(void)state;
	learn("kay");
	clock_ms += KEPT_MS - 1;
	expect("kay", HOMES_KNOWN, OWNER);
	assert_int_equal(looks_now(), before + 1);
	clock_ms += 1;
	learn("kay");
	assert_int_equal(looks_now(), before + 2);
}

static void test_a_home_that_is_not_there_is_the_roots_for_a_moment(void **state)
{
	(void)state;
	learn("none");
	expect("none", HOMES_KNOWN, root_stat.st_uid);
	clock_ms += MISSING_MS - 1;
	expect("none", HOMES_KNOWN, root_stat.st_uid);
	clock_ms += 1;
	learn("none");
}

static void test_a_home_that_is_not_there_is_of_the_folder_above(void **state)
{
	static const char *const homes_paths[] = {"ann/none", "ann/none/none"};
	static const char *const of_root[] = {"rootly/none", "rootly/none/none", "link/none"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		learn(homes_paths[i]);
		expect(homes_paths[i], HOMES_KNOWN, OWNER);
		clock_ms += MISSING_MS; /* it may be somebody else's in a moment */
		learn(homes_paths[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		learn(of_root[i]);
		expect(of_root[i], HOMES_KNOWN, root_stat.st_uid);
	}
}

static void test_a_forgotten_owner_is_looked_at_anew(void **state)
{
	unsigned before = looks_now();

	(void)state;
	learn("bob");
	homes_forget(homes, OWNER + 1); /* another's */
	expect("bob", HOMES_KNOWN, OWNER);
	homes_forget(homes, OWNER);
	learn("bob");
	assert_int_equal(looks_now(), before + 2);
}

static void turn_over(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* A home that answers again is known; nobody is called, since nobody waits for it any more. */
static void wait_for_answer(const char *path)
{
	struct loop_timer turn;
	uint32_t uid;
	uint64_t key;

	set_hangs(false);
	loop_timer_init(&turn, loop, turn_over, NULL);
	for (int i = 0; owner(path, &uid, &key) == HOMES_DOWN; i++) {
		assert_true(i < 20000);
		__real_loop_timer_set(&turn, 1);
		loop_run(loop);
	}
	expect(path, HOMES_KNOWN, OWNER);
}

static void test_a_home_that_hangs_is_down_and_others_go_on(void **state)
{
	uint32_t uid;
	uint64_t hung;

	(void)state;
	set_hangs(true);
	assert_int_equal(owner("hung", &uid, &hung), HOMES_ASKED);
	settled_count = 0;
	learn("cy"); /* it does not wait for the one that hangs */
	clock_ms += ANSWER_MS - 1;
	look_for_hung();
	assert_int_equal(settled_count, 1);
	expect("hung", HOMES_ASKED, 77);
	clock_ms += 1;
	loop_run(loop);
	assert_true(last_key == hung);
	assert_int_equal(settled_count, 2);
	expect("hung", HOMES_DOWN, 77);
	look_for_hung();
	assert_int_equal(settled_count, 2); /* once is enough */
	wait_for_answer("hung");
	assert_int_equal(settled_count, 2);
}

static void test_old_answers_serve_while_a_home_hangs(void **state)
{
	unsigned before;
	uint32_t uid;
	uint64_t hung;

	(void)state;
	learn("dan");
	set_hangs(true);
	assert_int_equal(owner("hung2", &uid, &hung), HOMES_ASKED);
	clock_ms += ANSWER_MS;
	loop_run(loop);
	assert_true(last_key == hung);
	before = looks_now();
	clock_ms += OLD_MS - ANSWER_MS + KEPT_MS - 1;
	expect("dan", HOMES_KNOWN, OWNER);
	assert_int_equal(looks_now(), before);
	clock_ms += 1;
	learn("dan");
	wait_for_answer("hung2");
	clock_ms += KEPT_MS;
	learn("dan"); /* nothing hangs: no old answer is needed */
}

static void test_no_thread_is_left_to_look(void **state)
{
	unsigned before;
	char path[16];
	uint32_t uid;
	uint64_t key;

	(void)state;
	set_hangs(true);
	settled_count = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(path, sizeof(path), "hung-%u", i);
		assert_int_equal(owner(path, &uid, &key), HOMES_ASKED);
	}
	clock_ms += ANSWER_MS;
	while (settled_count < THREADS)
		loop_run(loop);
	before = looks_now();
	expect("eve", HOMES_DOWN, 77);
	assert_int_equal(looks_now(), before);
	set_hangs(false);
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(path, sizeof(path), "hung-%u", i);
		wait_for_answer(path);
	}
	learn("eve");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_share_one_look_and_its_answer),
		cmocka_unit_test(test_an_answer_is_kept_for_two_seconds),
		cmocka_unit_test(test_a_home_that_is_not_there_is_the_roots_for_a_moment),
		cmocka_unit_test(test_a_home_that_is_not_there_is_of_the_folder_above),
		cmocka_unit_test(test_a_forgotten_owner_is_looked_at_anew),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_a_home_that_hangs_is_down_and_others_go_on),
		cmocka_unit_test(test_old_answers_serve_while_a_home_hangs),
		cmocka_unit_test(test_no_thread_is_left_to_look),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
