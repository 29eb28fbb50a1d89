/* Worker threads: order in lanes, several at once without, bounds, the end. */
#include "sys/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOBS = 3000, LANES = 7 };

struct lane_log {
	struct job_lane lane;
	atomic_int inside; /* jobs of the lane running now */
	int ran, done;     /* next number that is due */
};

struct numbered {
	struct job job;
	struct lane_log *log;
	struct loop *loop;
	int *left;
	int number;
	bool alone;
};

static void numbered_run(struct job *job)
{
	struct numbered *numbered = (struct numbered *)job;

	if (!numbered->log)
		return;
	numbered->alone = atomic_fetch_add(&numbered->log->inside, 1) == 0 &&
			  numbered->log->ran == numbered->number;
	numbered->log->ran++;
	atomic_fetch_sub(&numbered->log->inside, 1);
}

static void numbered_done(struct job *job)
{
	struct numbered *numbered = (struct numbered *)job;
	struct loop *loop = numbered->loop;
	int *left = numbered->left;

	if (numbered->log) {
		assert_true(numbered->alone);
		assert_int_equal(numbered->log->done++, numbered->number);
	}
	free(numbered);
	if (--*left == 0)
		loop_stop(loop);
}

static void test_lanes_keep_order(void **state)
{
	struct loop *loop = *state;
	struct workers *workers = workers_create(loop, 4, 0, JOBS, NULL);
	struct lane_log logs[LANES] = {0};
	int left = JOBS, numbers[LANES] = {0};

	assert_non_null(workers);
	for (int i = 0; i < LANES; i++)
		job_lane_init(&logs[i].lane);
	for (int i = 0; i < JOBS; i++) {
		struct numbered *numbered = calloc(1, sizeof(*numbered));
		int lane = i % (LANES + 1);

		numbered->job.run = numbered_run;
		numbered->job.done = numbered_done;
		numbered->loop = loop;
		numbered->left = &left;
		if (lane < LANES) { /* every eighth is in none */
			numbered->log = &logs[lane];
			numbered->job.lane = &logs[lane].lane;
			numbered->number = numbers[lane]++;
		}
		assert_int_equal(workers_add(workers, &numbered->job, false), 0);
	}
	assert_false(job_lane_idle(&logs[0].lane));
	loop_run(loop);
	for (int i = 0; i < LANES; i++) {
		assert_true(job_lane_idle(&logs[i].lane));
		assert_int_equal(logs[i].done, numbers[i]);
	}
	workers_destroy(workers);
}

/* Jobs that hold their threads until they are let go. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int inside;
	bool open;
};

struct held {
	struct job job;
	struct gate *gate;
	int *done;
};

static void held_run(struct job *job)
{
	struct gate *gate = ((struct held *)job)->gate;

	pthread_mutex_lock(&gate->mutex);
	gate->inside++;
	pthread_cond_broadcast(&gate->changed);
	while (!gate->open)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

static void held_done(struct job *job)
{
	++*((struct held *)job)->done;
}

static void wait_inside(struct gate *gate, int count)
{
	pthread_mutex_lock(&gate->mutex);
	while (gate->inside < count)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

static void open_gate(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}

static void test_queue_is_bounded_and_the_end_waits(void **state)
{
	struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};
	struct workers *workers = workers_create(*state, 2, 0, 3, NULL);
	struct job_lane lane;
	struct held jobs[8];
	int done = 0;

	job_lane_init(&lane);
	for (int i = 0; i < 8; i++)
		jobs[i] = (struct held){
			.job = {.run = held_run, .done = held_done}, .gate = &gate, .done = &done};
	for (int i = 0; i < 2; i++)
		assert_int_equal(workers_add(workers, &jobs[i].job, false), 0);
	wait_inside(&gate, 2); /* both threads are busy: jobs without a lane run side by side */
	for (int i = 2; i < 5; i++)
		assert_int_equal(workers_add(workers, &jobs[i].job, false), 0);
	assert_int_equal(workers_add(workers, &jobs[5].job, false), -1);
	assert_int_equal(workers_add(workers, &jobs[5].job, true), -1); /* has no lane */
	jobs[5].job.lane = jobs[6].job.lane = &lane;
	assert_int_equal(workers_add(workers, &jobs[5].job, false), -1);
	assert_int_equal(workers_add(workers, &jobs[5].job, true), 0);
	assert_int_equal(workers_add(workers, &jobs[6].job, true), 0);
	assert_int_equal(done, 0);
	open_gate(&gate);
	workers_destroy(workers);
	assert_int_equal(done, 7);
	assert_true(job_lane_idle(&lane));
}

/* Things that hang, one after the other: each gets fewer threads, and the last one is for whoever
 * waits for none of them. */
static void test_shares_leave_threads_over(void **state)
{
	enum { THREADS = 16, SHARES = 3, EACH = 40 };
	static const int most[SHARES] = {12, 15, 16}; /* threads in use with so many shares */
	struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};
	struct workers *workers = workers_create(*state, THREADS, 0, 10, NULL);
	struct job_share shares[SHARES];
	static struct job_lane lanes[SHARES * EACH + 1];
	static struct held jobs[SHARES * EACH + 1];
	int done = 0;

	for (int i = 0; i < SHARES * EACH + 1; i++) {
		job_lane_init(&lanes[i]);
		jobs[i] = (struct held){.job = {.run = held_run,
						.done = held_done,
						.lane = &lanes[i],
						.what = "waiting"},
					.gate = &gate,
					.done = &done};
	}
	for (int s = 0; s < SHARES; s++) {
		job_share_init(&shares[s]);
		for (int i = 0; i < EACH; i++) {
			jobs[s * EACH + i].job.share = &shares[s];
			assert_int_equal(workers_add(workers, &jobs[s * EACH + i].job, true), 0);
		}
		wait_inside(&gate, most[s]);
		assert_int_equal(shares[s].running, most[s] - (s ? most[s - 1] : 0));
		assert_string_equal(job_lane_doing(workers, &lanes[s * EACH]), "waiting");
		assert_null(job_lane_doing(workers, &lanes[s * EACH + EACH - 1]));
	}
	open_gate(&gate);
	workers_destroy(workers); /* what was held runs, too */
	assert_int_equal(done, SHARES * EACH);
	for (int s = 0; s < SHARES; s++)
		assert_int_equal(shares[s].running, 0);
}

/* One share, threads few: it gets all but one, or the only one. */
static void test_a_share_of_few_threads(void **state)
{
	static const int threads[] = {1, 2, 4}, most[] = {1, 1, 3};

	for (size_t t = 0; t < 3; t++) {
		struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};
		struct workers *workers = workers_create(*state, (unsigned)threads[t], 0, 10, NULL);
		struct job_share share;
		struct held jobs[6], other;
		int done = 0;

		job_share_init(&share);
		for (int i = 0; i < 6; i++) {
			jobs[i] = (struct held){
				.job = {.run = held_run, .done = held_done, .share = &share},
				.gate = &gate,
				.done = &done};
			assert_int_equal(workers_add(workers, &jobs[i].job, false), 0);
		}
		wait_inside(&gate, most[t]);
		other = (struct held){
			.job = {.run = held_run, .done = held_done}, .gate = &gate, .done = &done};
		assert_int_equal(workers_add(workers, &other.job, false), 0);
		if (threads[t] > 1)
			wait_inside(&gate, most[t] + 1); /* it runs beside them */
		assert_int_equal(share.running, most[t]);
		open_gate(&gate);
		workers_destroy(workers);
		assert_int_equal(done, 7);
	}
}

static int set_up(void **state)
{
	*state = loop_create(NULL);
	return *state ? 0 : -1;
}

struct niced {
	struct job job;
	struct loop *loop;
	int nice;
};

static void niced_run(struct job *job)
{
	((struct niced *)job)->nice = getpriority(PRIO_PROCESS, 0);
}

static void niced_done(struct job *job)
{
	loop_stop(((struct niced *)job)->loop);
}

/* The threads get out of the loop's way, the loop keeps its priority. */
static void test_threads_with_a_lower_priority(void **state)
{
	int before = getpriority(PRIO_PROCESS, 0), lower = before < 10 ? 10 : 19;
	struct workers *workers = workers_create(*state, 1, lower, 1, NULL);
	struct niced niced = {.job = {.run = niced_run, .done = niced_done}, .loop = *state};

	assert_non_null(workers);
	assert_int_equal(workers_add(workers, &niced.job, false), 0);
	loop_run(*state);
	assert_int_equal(niced.nice, lower);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
	workers_destroy(workers);
}

static int tear_down(void **state)
{
	loop_destroy(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lanes_keep_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shares_leave_threads_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_share_of_few_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queue_is_bounded_and_the_end_waits, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_threads_with_a_lower_priority, set_up,
						tear_down),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
