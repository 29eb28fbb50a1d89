/* A store that blocks, on a loop: each operation ends once, later, in order; what nobody wants any
 * more, or what is too late, is not begun. */
#include "maildrop_test.h"

#include "base/log.h"
#include "base/table.h"
#include "maildrop/store.h"
#include "sys/loop.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum maildrop_status __real_maildrop_open(const struct maildrop_settings *, int, const char *,
					  struct maildrop **, struct err *);
enum maildrop_status __wrap_maildrop_open(const struct maildrop_settings *, int, const char *,
					  struct maildrop **, struct err *);
uint64_t __real_loop_now(const struct loop *loop);
uint64_t __wrap_loop_now(const struct loop *loop);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);

static atomic_uint opens;    /* that a worker began */
static atomic_bool held;     /* it waits there */
static atomic_uint later_by; /* the loop's clock is so many milliseconds ahead */

enum { LOOK_MS = 1000, LOOK_REAL_MS = 10 }; /* the lanes look each second; here, more often */
static unsigned looks;

enum maildrop_status __wrap_maildrop_open(const struct maildrop_settings *settings, int root_fd,
					  const char *home, struct maildrop **ret, struct err *err)
{
	opens++;
	while (held)
		usleep(1000);
	return __real_maildrop_open(settings, root_fd, home, ret, err);
}

uint64_t __wrap_loop_now(const struct loop *loop)
{
	return __real_loop_now(loop) + later_by;
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	looks += ms == LOOK_MS;
	__real_loop_timer_set(timer, ms == LOOK_MS ? LOOK_REAL_MS : ms);
}

/* ---- a loop until all that began has ended ---- */

static struct loop *loop;
static struct store *store;
static struct store_host host;
static struct store_where where;
static unsigned under_way, ended;
static bool beginning;

static void ends(struct store_op *op)
{
	(void)op;
	assert_false(beginning); /* never inside the call that began it */
	ended++;
	if (--under_way == 0)
		loop_stop(loop);
}

static void wait_for_all(void)
{
	if (under_way)
		loop_run(loop);
}

#define BEGIN(operation, call)               \
	do {                                 \
		(operation)->op.done = ends; \
		under_way++;                 \
		beginning = true;            \
		call;                        \
		beginning = false;           \
	} while (0)

static void begin_store(struct scratch *s, enum store_kind kind)
{
	loop = loop_create(NULL);
	host = (struct store_host){.loop = loop, .threads = 2};
	store = store_create(kind, &host, &s->settings, s->root, NULL);
	assert_non_null(store);
	s->descriptors =
		count_descriptors() - 1; /* the loop and the store stay, the root does not */
	where = (struct store_where){.path = HOME};
	opens = ended = under_way = 0;
	held = false;
	later_by = 0;
}

static int begin(void **state)
{
	int rc = scratch_begin(state);
	struct scratch *s = *state;

	make_maildir(s);
	put_file(s, "cur/1.a:2,S", "a\n");
	put_file(s, "cur/2.b:2,", "b, longer\n");
	put_file(s, "cur/3.c:2,", ".c\n");
	begin_store(s, STORE_MAILDIR);
	return rc;
}

#define FROM "From a@example.org Sat Jan  1 12:34:56 2022\n"

static int begin_mbox(void **state)
{
	const char *text = FROM "\na\n\n" FROM "Status: RO\n\nb, longer\n\n" FROM "\n.c\n\n";
	int rc = scratch_begin(state);
	struct scratch *s = *state;
	int fd = openat(s->root, HOME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	begin_store(s, STORE_MBOX);
	return rc;
}

static int over(void **state)
{
	held = false;
	store_leave(store, &where);
	return scratch_end(state);
}

static struct maildrop *open_later(void)
{
	struct store_open op = {.who = {.session = 1}};

	BEGIN(&op, store_open(store, &where, &op));
	wait_for_all();
	assert_int_equal(op.op.status, MAILDROP_OK);
	return op.maildrop;
}

static void close_later(struct maildrop *maildrop)
{
	struct store_close op = {.hurry = false};

	BEGIN(&op, store_close(maildrop, &op));
	wait_for_all();
	assert_int_equal(op.op.status, MAILDROP_OK);
}

/* ---- tests ---- */

static void test_a_session(void **state)
{
	struct maildrop *maildrop = open_later();
	struct maildrop_snapshot snapshot;
	struct store_value values[4];
	char room[64];
	struct store_fetch fetch = {
		.first = 1, .count = 4, .room = room, .room_size = sizeof(room), .values = values};
	uint32_t numbers[] = {2};
	struct store_commit commit = {.numbers = numbers, .count = 1};
	struct store_open again = {.who = {.session = 2}};
	struct store_usage usage = {.usage = {0}};

	(void)state;
	maildrop_snapshot(maildrop, &snapshot);
	assert_int_equal(snapshot.count, 3);
	fetch.body.fd = 0;
	BEGIN(&fetch, store_fetch(maildrop, &fetch));
	wait_for_all();
	assert_int_equal(fetch.op.status, MAILDROP_OK);
	assert_int_equal(fetch.body.fd, -1); /* nothing is lent */
	assert_int_equal(fetch.form, STORE_VALUES);
	assert_int_equal(fetch.ready, 3); /* no more than there are */
	assert_memory_equal(room, "a\nb, longer\n.c\n", fetch.used);
	BEGIN(&again, store_open(store, &where, &again));
	BEGIN(&commit, store_commit(maildrop, &commit));
	wait_for_all();
	assert_int_equal(again.op.status, MAILDROP_IN_USE);
	assert_int_equal(commit.op.status, MAILDROP_OK);
	assert_false(store_try_close(maildrop)); /* there is something to sweep */
	close_later(maildrop);
	BEGIN(&usage, store_usage(store, &where, &usage));
	wait_for_all();
	assert_int_equal(usage.usage.messages, 2);
	assert_int_equal(ended, 6);
}

/* The same of an mbox: what is handed out is without headers of other programs, and what was
 * deleted is cut out of the file. */
static void test_a_session_in_an_mbox(void **state)
{
	struct scratch *s = *state;
	struct maildrop *maildrop = open_later();
	struct store_value values[4];
	char room[64], text[200];
	struct store_fetch fetch = {
		.first = 1, .count = 4, .room = room, .room_size = sizeof(room), .values = values};
	uint32_t numbers[] = {1, 3};
	struct store_commit commit = {.numbers = numbers, .count = 2};
	struct store_open again = {.who = {.session = 2}};
	ssize_t n;
	int fd;

	BEGIN(&fetch, store_fetch(maildrop, &fetch));
	wait_for_all();
	assert_int_equal(fetch.op.status, MAILDROP_OK);
	assert_int_equal(fetch.ready, 3);
	assert_memory_equal(room, "\na\n\nb, longer\n\n.c\n", fetch.used);
	BEGIN(&again, store_open(store, &where, &again));
	BEGIN(&commit, store_commit(maildrop, &commit));
	wait_for_all();
	assert_int_equal(again.op.status, MAILDROP_IN_USE);
	assert_int_equal(commit.op.status, MAILDROP_OK);
	close_later(maildrop);
	fd = openat(s->root, HOME, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	assert_string_equal(text, FROM "Status: RO\n\nb, longer\n\n");
}

/* What began behind a close finds the maildrop closed. */
static void test_operations_keep_their_order(void **state)
{
	struct maildrop *maildrop = open_later();
	struct store_slice slice = {.number = 1, .size = 100};
	struct store_close closing = {.hurry = true};
	struct store_open next = {.who = {.session = 2}};
	char room[100];

	(void)state;
	slice.room = room;
	BEGIN(&slice, store_slice(maildrop, &slice));
	BEGIN(&closing, store_close(maildrop, &closing));
	BEGIN(&next, store_open(store, &where, &next));
	wait_for_all();
	assert_int_equal(slice.op.status, MAILDROP_OK);
	assert_int_equal(slice.size, 2);
	assert_int_equal(closing.op.status, MAILDROP_OK);
	assert_int_equal(next.op.status, MAILDROP_OK);
	close_later(next.maildrop);
}

/* Two openings: the first one is under way, the second waits behind it. */
static void begin_two(struct store_open *first, struct store_open *second)
{
	held = true;
	BEGIN(first, store_open(store, &where, first));
	while (opens < 1)
		usleep(1000);
	BEGIN(second, store_open(store, &where, second));
}

static void test_a_cancelled_operation_is_not_begun(void **state)
{
	struct store_open first = {.who = {.session = 1}}, second = {.who = {.session = 2}};

	(void)state;
	begin_two(&first, &second);
	store_cancel(store, &first.op); /* it goes on, and its result is ours */
	store_cancel(store, &second.op);
	held = false;
	wait_for_all();
	assert_int_equal(ended, 2);
	assert_int_equal(first.op.status, MAILDROP_OK);
	assert_int_equal(second.op.status, MAILDROP_CANCELLED);
	assert_int_equal(opens, 1);
	close_later(first.maildrop);
}

static void test_a_commit_is_not_cancelled(void **state)
{
	struct maildrop *maildrop = open_later();
	uint32_t numbers[] = {1};
	struct store_commit commit = {.numbers = numbers, .count = 1};

	(void)state;
	BEGIN(&commit, store_commit(maildrop, &commit));
	store_cancel(store, &commit.op);
	wait_for_all();
	assert_int_equal(commit.op.status, MAILDROP_OK);
	close_later(maildrop);
}

static void let_go(struct loop_timer *timer)
{
	(void)timer;
	held = false;
}

static void stop(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

static void run_for(unsigned ms)
{
	struct loop_timer timer;

	loop_timer_init(&timer, loop, stop, NULL);
	loop_timer_set(&timer, ms);
	loop_run(loop);
	loop_timer_cancel(&timer);
}

/* A store that has nothing to do wakes nobody. */
static void test_nothing_is_looked_at_when_nothing_is_under_way(void **state)
{
	(void)state;
	looks = 0;
	close_later(open_later());
	assert_true(looks > 0);
	run_for(4 * LOOK_REAL_MS);
	looks = 0;
	run_for(4 * LOOK_REAL_MS);
	assert_int_equal(looks, 0);
	close_later(open_later());
	assert_true(looks > 0);
}

static char lines[1000];

static void keep_line(enum log_level level, const char *text, size_t size)
{
	size_t used = strlen(lines);

	(void)level;
	snprintf(lines + used, sizeof(lines) - used, "%.*s\n", (int)size, text);
}

/* And the log says what takes so long, once, and that it is over. */
static void test_what_is_too_late_is_not_begun(void **state)
{
	struct store_open first = {.who = {.session = 1}}, second = {.who = {.session = 2}};
	struct loop_timer timer;

	(void)state;
	lines[0] = '\0';
	log_set_output(keep_line);
	first.op.deadline = second.op.deadline = loop_now(loop) + 60000;
	begin_two(&first, &second);
	later_by = 60001;
	loop_timer_init(&timer, loop, let_go, NULL);
	loop_timer_set(&timer, 20 * LOOK_REAL_MS);
	wait_for_all();
	loop_timer_cancel(&timer);
	if (!strstr(lines, HOME ": opening it takes 6") ||
	    !strstr(lines, " s and goes on: its filesystem (device ") ||
	    strstr(strstr(lines, " takes ") + 1, " takes "))
		fail_msg("%s", lines);
	assert_int_equal(first.op.status, MAILDROP_OK);
	assert_int_equal(second.op.status, MAILDROP_TEMP);
	assert_int_equal(opens, 1);
	close_later(first.maildrop);
	if (!strstr(lines, HOME ": its filesystem answers again, after 6"))
		fail_msg("%s", lines);
	log_set_output(NULL);
}

static void test_a_root_that_is_away(void **state)
{
	struct maildrop *maildrop = open_later(), *other = NULL;
	struct store_open refused = {.who = {.session = 2}};
	struct store_usage usage = {.usage = {0}};
	struct store_where elsewhere = {.path = "berta"};
	struct store_who who = {.session = 3};

	(void)state;
	store_away(store, true);
	BEGIN(&refused, store_open(store, &elsewhere, &refused));
	BEGIN(&usage, store_usage(store, &elsewhere, &usage));
	wait_for_all();
	assert_int_equal(refused.op.status, MAILDROP_TEMP);
	assert_int_equal(usage.op.status, MAILDROP_TEMP);
	close_later(maildrop); /* what is open can be closed */
	assert_int_equal(store_try_open(store, &where, &who, &other), MAILDROP_WAIT);
	store_away(store, false);
	maildrop = open_later();
	close_later(maildrop);
	store_leave(store, &elsewhere);
}

static void test_making(void **state)
{
	struct store_where new_one = {.path = "carla"};
	struct store_deliver deliver = {.delivery = {.message_fd = -1}};
	struct {
		struct store_op op;
	} make = {.op = {.status = MAILDROP_TEMP}};
	char head[4], name[MAILDROP_NAME_MAX];
	int fd = memfd_create("message", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(write(fd, "A: b\r\n\r\n", 8), 8);
	deliver.delivery.message_fd = fd;
	deliver.delivery.message_size = 8;
	deliver.delivery.ret_name = name;
	deliver.head = head;
	deliver.head_room = sizeof(head);
	deliver.counts = true;
	BEGIN(&deliver, store_deliver(store, &new_one, &deliver));
	wait_for_all();
	assert_int_equal(deliver.op.status, MAILDROP_ABSENT);
	BEGIN(&make, store_make(store, &new_one, &make.op));
	BEGIN(&deliver, store_deliver(store, &new_one, &deliver));
	wait_for_all();
	assert_int_equal(make.op.status, MAILDROP_OK);
	assert_int_equal(deliver.op.status, MAILDROP_OK);
	assert_int_equal(deliver.head_size, 4);
	assert_memory_equal(head, "A: b", 4);
	assert_true(deliver.counted);
	assert_int_equal(deliver.before.messages, 0);
	assert_int_equal(deliver.after.messages, 1);
	close(fd);
	store_leave(store, &new_one);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, begin, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_a_session),
		cmocka_unit_test_setup_teardown(test_a_session_in_an_mbox, begin_mbox, over),
		WITH_STORE(test_operations_keep_their_order),
		WITH_STORE(test_a_cancelled_operation_is_not_begun),
		WITH_STORE(test_a_commit_is_not_cancelled),
		WITH_STORE(test_what_is_too_late_is_not_begun),
		WITH_STORE(test_nothing_is_looked_at_when_nothing_is_under_way),
		WITH_STORE(test_a_root_that_is_away),
		WITH_STORE(test_making),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
