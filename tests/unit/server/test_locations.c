/* The register's questions in the monitor: its disk may be slow, or fail, and the loop goes on. */
#include "server/monitor/locations.h"

#include "maildrop/register.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEEPER 7
enum { MOST = 16384 }; /* questions of one process that wait */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool shut, fails;
	int begun; /* calls of fsync */
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The linker's --wrap: a disk that keeps a flush waiting while it is shut. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	bool fails;

	(void)fd;
	pthread_mutex_lock(&disk.mutex);
	disk.begun++;
	pthread_cond_broadcast(&disk.changed);
	while (disk.shut)
		pthread_cond_wait(&disk.changed, &disk.mutex);
	fails = disk.fails;
	pthread_mutex_unlock(&disk.mutex);
	errno = EIO;
	return fails ? -1 : 0;
}

static void set_disk(bool shut, bool fails)
{
	pthread_mutex_lock(&disk.mutex);
	disk.shut = shut;
	disk.fails = fails;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.mutex);
}

static int flushes(void)
{
	int begun;

	pthread_mutex_lock(&disk.mutex);
	begun = disk.begun;
	pthread_mutex_unlock(&disk.mutex);
	return begun;
}

static void wait_for_flush(int before)
{
	pthread_mutex_lock(&disk.mutex);
	while (disk.begun == before)
		pthread_cond_wait(&disk.changed, &disk.mutex);
	pthread_mutex_unlock(&disk.mutex);
}

struct site {
	char folder[64];
	struct mail_root root;
	struct loop *loop;
	struct workers *workers;
	struct locations *locations;
	unsigned answers, wanted, allowed;
	uint64_t instance, number; /* of the last answer */
	char why[512];
	unsigned turns; /* of the timer */
	struct loop_timer timer;
};

static void reply(void *context, uint64_t instance, const struct ipc_location_answer *answer,
		  pop3_span why)
{
	struct site *site = context;

	site->answers++;
	site->allowed += answer->allowed;
	site->instance = instance;
	site->number = answer->number;
	snprintf(site->why, sizeof(site->why), "%.*s", (int)why.size, why.data);
	assert_int_equal(why.size == 0, answer->allowed);
	if (site->answers == site->wanted)
		loop_stop(site->loop);
}

static void tick(struct loop_timer *timer)
{
	struct site *site = timer->context;

	if (++site->turns == 3)
		loop_stop(site->loop);
	else
		loop_timer_set(timer, 1);
}

static int begin(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct err err;

	set_disk(false, false);
	snprintf(site->folder, sizeof(site->folder), "/tmp/valija-locations-XXXXXX");
	assert_non_null(mkdtemp(site->folder));
	snprintf(site->root.memory, sizeof(site->root.memory), "%s/mail-root-1", site->folder);
	site->loop = loop_create(&err);
	site->workers = workers_create(site->loop, 1, 0, 8, &err);
	assert_non_null(site->workers);
	loop_timer_init(&site->timer, site->loop, tick, site);
	site->locations =
		locations_create(site->workers, site->loop, &site->root, "/the/mail", reply, site);
	assert_non_null(site->locations);
	*state = site;
	return 0;
}

static int end(void **state)
{
	struct site *site = *state;
	DIR *folder = opendir(site->folder);
	struct dirent *entry;

	set_disk(false, false);
	locations_destroy(site->locations);
	workers_destroy(site->workers);
	loop_timer_cancel(&site->timer);
	loop_destroy(site->loop);
	while ((entry = readdir(folder)) != NULL)
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	rmdir(site->folder);
	free(site);
	return 0;
}

static void ask(struct site *site, uint64_t instance, uint64_t number, enum ipc_location_ask what,
		const char *path)
{
	struct {
		struct ipc_location head;
		char tail[64];
	} message = {.head = {.head = {.type = IPC_LOCATION}, .number = number, .ask = what}};

	message.head.head.tail = (uint32_t)strlen(path);
	message.head.head.texts[0] = (uint16_t)strlen(path);
	memcpy(message.tail, path, strlen(path));
	locations_ask(site->locations, instance, &message.head);
}

/* Runs the loop until so many answers have come. */
static void take(struct site *site, unsigned answers)
{
	site->wanted = site->answers + answers;
	loop_run(site->loop);
	assert_int_equal(site->answers, site->wanted);
}

/* Runs the loop for some turns: it must not stand still. */
static void turn(struct site *site)
{
	site->turns = site->wanted = 0;
	loop_timer_set(&site->timer, 1);
	loop_run(site->loop);
	assert_int_equal(site->turns, 3);
}

static enum register_kind kind(const struct site *site, const char *path)
{
	char file[MAIL_ROOT_MEMORY_MAX];
	enum register_kind found = REGISTER_KINDS;
	struct mail_register *reg;

	assert_int_equal(mail_root_register(&site->root, file), 0);
	reg = register_create(file);
	assert_int_equal(register_find(reg, (pop3_span){path, strlen(path)}, &found, NULL), 0);
	register_destroy(reg);
	return found;
}

static void the_loop_goes_on_during_a_flush(void **state)
{
	struct site *site = *state;
	int before = flushes();

	set_disk(true, false);
	ask(site, KEEPER, 1, LOCATION_MAKE, "anna");
	wait_for_flush(before);
	turn(site);
	assert_int_equal(site->answers, 0); /* nothing is promised before the disk has it */
	set_disk(false, false);
	take(site, 1);
	assert_int_equal(site->allowed, 1);
	assert_int_equal(site->instance, KEEPER);
	assert_int_equal(site->number, 1);
	assert_int_equal(kind(site, "anna"), REGISTER_MAKING);
	ask(site, KEEPER, 2, LOCATION_MADE, "anna");
	take(site, 1);
	assert_int_equal(kind(site, "anna"), REGISTER_MADE);
	ask(site, KEEPER, 3, LOCATION_LOOK, "anna");
	take(site, 1);
	assert_int_equal(site->allowed, 2);
	assert_non_null(strstr(site->why, "valija mark --forget anna /the/mail"));
}

/* All that arrive during a flush share the next one. */
static void many_share_a_flush(void **state)
{
	struct site *site = *state;
	int before = flushes(), one;
	char name[8];

	ask(site, KEEPER, 0, LOCATION_MAKE, "first");
	take(site, 1);
	one = flushes() - before;
	before = flushes();
	set_disk(true, false);
	ask(site, KEEPER, 0, LOCATION_MADE, "first");
	wait_for_flush(before);
	for (uint64_t i = 1; i <= 100; i++) {
		snprintf(name, sizeof(name), "u%u", (unsigned)i);
		ask(site, KEEPER + i % 3, i, LOCATION_MAKE, name);
	}
	set_disk(false, false);
	take(site, 101);
	assert_int_equal(site->allowed, 102);
	assert_int_equal(site->number, 100); /* in order */
	assert_int_equal(flushes() - before, 2 * one);
	assert_int_equal(kind(site, "u100"), REGISTER_MAKING);
}

/* No question that the flush was for is allowed; one that needs none is. */
static void a_flush_that_fails_allows_nothing(void **state)
{
	struct site *site = *state;

	set_disk(true, true);
	ask(site, KEEPER, 1, LOCATION_MAKE, "anna");
	ask(site, KEEPER, 2, LOCATION_MAKE, "bob");
	ask(site, KEEPER, 3, LOCATION_LOOK, "carol");
	set_disk(false, true);
	take(site, 3);
	assert_int_equal(site->allowed, 1);
	ask(site, KEEPER, 4, LOCATION_MAKE, "anna");
	take(site, 1);
	assert_int_equal(site->allowed, 1);
	assert_non_null(strstr(site->why, "cannot be flushed"));
	set_disk(false, false);
	ask(site, KEEPER, 5, LOCATION_MAKE, "anna");
	ask(site, KEEPER, 6, LOCATION_MAKE, "bob");
	take(site, 2);
	assert_int_equal(site->allowed, 3);
}

/* A process that asks without end is refused, and no other one. */
static void questions_are_bounded(void **state)
{
	struct site *site = *state;
	int before = flushes();

	set_disk(true, false);
	ask(site, KEEPER, 1, LOCATION_MAKE, "anna");
	wait_for_flush(before);
	for (unsigned i = 0; i < MOST; i++)
		ask(site, KEEPER, 2, LOCATION_LOOK, "bob");
	assert_int_equal(site->answers, 0);
	ask(site, KEEPER, 3, LOCATION_LOOK, "bob");
	assert_int_equal(site->answers, 1);
	assert_int_equal(site->number, 3);
	assert_non_null(strstr(site->why, "too many questions"));
	ask(site, KEEPER + 1, 4, LOCATION_LOOK, "bob");
	assert_int_equal(site->answers, 1);
	set_disk(false, false);
	take(site, MOST + 2);
	assert_int_equal(site->allowed, MOST + 2);
	ask(site, KEEPER, 5, LOCATION_LOOK, "bob");
	take(site, 1);
	assert_int_equal(site->allowed, MOST + 3);
}

/* The generation ends while its register is being flushed: nothing is answered, and all that was
 * entered is on the disk in the end. */
static void an_end_during_a_flush(void **state)
{
	struct site *site = *state;
	int before = flushes();

	set_disk(true, false);
	ask(site, KEEPER, 1, LOCATION_MAKE, "anna");
	wait_for_flush(before);
	ask(site, KEEPER, 2, LOCATION_SEEN, "bob");
	locations_destroy(site->locations);
	site->locations = NULL;
	set_disk(false, false);
	workers_destroy(site->workers);
	site->workers = NULL;
	assert_int_equal(site->answers, 0);
	assert_int_equal(kind(site, "anna"), REGISTER_MAKING);
}

static void an_opening_is_flushed_by_the_end(void **state)
{
	struct site *site = *state;
	int before = flushes();

	ask(site, KEEPER, 1, LOCATION_SEEN, "bob");
	ask(site, KEEPER, 2, LOCATION_LOOK, "new");
	take(site, 1);
	assert_int_equal(flushes(), before); /* a login waits for no disk */
	assert_int_equal(kind(site, "bob"), REGISTER_MADE);
	locations_destroy(site->locations);
	site->locations = NULL;
	workers_destroy(site->workers);
	site->workers = NULL;
	assert_true(flushes() > before);
}

static void no_place_for_a_register(void **state)
{
	struct site *site = *state;

	locations_destroy(site->locations);
	site->root.memory[0] = '\0';
	site->locations =
		locations_create(site->workers, site->loop, &site->root, "/the/mail", reply, site);
	ask(site, KEEPER, 1, LOCATION_SEEN, "anna");
	ask(site, KEEPER, 2, LOCATION_LOOK, "anna");
	ask(site, KEEPER, 3, LOCATION_MAKE, "anna");
	take(site, 2);
	assert_int_equal(site->allowed, 1);
	assert_non_null(strstr(site->why, "set STATE_DIRECTORY"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_loop_goes_on_during_a_flush),
		TEST(many_share_a_flush),
		TEST(a_flush_that_fails_allows_nothing),
		TEST(questions_are_bounded),
		TEST(an_end_during_a_flush),
		TEST(an_opening_is_flushed_by_the_end),
		TEST(no_place_for_a_register),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
