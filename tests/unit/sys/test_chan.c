/* Channels: order, queueing, descriptors by the thousand, a peer that breaks the rules. */
#include "sys/chan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct side {
	struct chan chan;
	struct loop *loop;
	uint32_t next; /* number of the next packet that is due */
	uint32_t stop_at;
	unsigned fds; /* received */
	bool take_fds, finish_in_packet;
	bool several; /* numbers in a packet, at every eighth octet */
	unsigned packets;
	ino_t expected;
	const char *why;
	size_t last_size;
};

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int send_number(struct side *side, uint32_t number, size_t padding, const int *fds,
		       unsigned fd_count)
{
	static char zeros[CHAN_PACKET_MAX];
	struct iovec parts[] = {{&number, sizeof(number)}, {zeros, padding}};

	return chan_send(&side->chan, parts, 2, fds, fd_count);
}

static void packet(struct chan *chan, const void *data, size_t size, int *fds, unsigned fd_count)
{
	struct side *side = chan->context;
	struct stat st;
	uint32_t number;

	assert_int_equal((uintptr_t)data % _Alignof(max_align_t), 0);
	assert_true(size >= sizeof(number));
	memcpy(&number, data, sizeof(number));
	assert_int_equal(number, side->next++);
	for (size_t at = 8; side->several && at < size; at += 8, side->next++)
		assert_memory_equal((const char *)data + at, &side->next, sizeof(side->next));
	side->last_size = size;
	side->packets++;
	for (unsigned i = 0; i < fd_count; i++, side->fds++) {
		assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(fstat(fds[i], &st), 0);
		assert_int_equal(st.st_ino, side->expected);
		if (side->take_fds) {
			close(fds[i]);
			fds[i] = -1;
		}
	}
	if (side->next == side->stop_at)
		loop_stop(side->loop);
	if (side->finish_in_packet) {
		loop_stop(side->loop);
		chan_finish(chan);
		memset(side, 0xAA, sizeof(*side)); /* as if freed */
	}
}

static void broken(struct chan *chan, const char *why)
{
	struct side *side = chan->context;

	assert_null(side->why);
	side->why = why;
	chan_finish(chan);
	loop_stop(side->loop);
}

static const struct chan_handler handler = {.packet = packet, .broken = broken};

struct both {
	struct loop *loop;
	struct side a, b;
	unsigned fds_before;
};

static void start(struct both *both, size_t queue_max)
{
	int fds[2];

	memset(both, 0, sizeof(*both));
	both->fds_before = open_fds();
	both->loop = loop_create(NULL);
	assert_non_null(both->loop);
	assert_int_equal(chan_pair(fds, NULL), 0);
	both->a.loop = both->b.loop = both->loop;
	chan_init(&both->a.chan, both->loop, &fds[0], &handler, &both->a, queue_max);
	chan_init(&both->b.chan, both->loop, &fds[1], &handler, &both->b, queue_max);
	assert_int_equal(fds[0], -1);
}

/* Every descriptor that came or went is closed again. */
static void stop(struct both *both)
{
	if (both->a.loop == both->loop)
		chan_finish(&both->a.chan);
	if (both->b.loop == both->loop)
		chan_finish(&both->b.chan);
	loop_destroy(both->loop);
	assert_int_equal(open_fds(), both->fds_before);
}

/* More than the kernel takes: the rest is queued, all of it arrives in order. */
static void test_packets_keep_their_order(void **state)
{
	struct both both;
	uint32_t sent = 0;

	(void)state;
	start(&both, 8 * 1024 * 1024);
	while (both.a.chan.queue.octets < 4 * 1024 * 1024) {
		assert_int_equal(send_number(&both.a, sent, (sent * 7919) % 90000, NULL, 0), 0);
		sent++;
	}
	both.b.stop_at = sent;
	loop_run(both.loop);
	assert_int_equal(both.b.next, sent);
	assert_int_equal(both.a.chan.queue.octets, 0);
	/* a socket that nothing waits for is always writable: the loop would spin */
	assert_int_equal(both.a.chan.watch.wanted, LOOP_READ);
	assert_int_equal(both.b.chan.watch.wanted, LOOP_READ);
	stop(&both);
}

static void test_queue_has_a_limit(void **state)
{
	struct both both;
	uint32_t sent = 0;

	(void)state;
	start(&both, 10000);
	while (send_number(&both.a, sent, 1000, NULL, 0) == 0)
		sent++;
	assert_true(sent > 9);
	assert_true(both.a.chan.queue.octets <= 10000);
	assert_int_equal(send_number(&both.a, 0, CHAN_PACKET_MAX, NULL, 0), -1); /* too large */
	assert_int_equal(chan_send(&both.a.chan, NULL, 0, NULL, 0), -1);         /* empty */
	both.b.stop_at = sent;
	loop_run(both.loop);
	assert_int_equal(both.b.next, sent);
	assert_int_equal(send_number(&both.a, sent, CHAN_PACKET_MAX - 4, NULL, 0), 0);
	both.b.stop_at = sent + 1;
	loop_run(both.loop);
	assert_int_equal(both.b.last_size, CHAN_PACKET_MAX);
	stop(&both);
}

static void pass_descriptors(bool take)
{
	struct both both;
	int pipe_fds[2], four[4];
	struct stat st;

	start(&both, 1024 * 1024);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fstat(pipe_fds[0], &st), 0);
	both.b.expected = st.st_ino;
	both.b.take_fds = take;
	for (int i = 0; i < 4; i++)
		four[i] = pipe_fds[0];
	/* in rounds: what is in flight and queued must fit the descriptor limit */
	for (uint32_t sent = 0; sent < 1000;) {
		for (uint32_t i = 0; i < 50; i++, sent++)
			assert_int_equal(send_number(&both.a, sent, 4, four, 1 + sent % 4), 0);
		both.b.stop_at = sent;
		loop_run(both.loop);
	}
	assert_int_equal(both.b.fds, 2500);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	stop(&both);
}

static void test_descriptors_are_passed(void **state)
{
	(void)state;
	pass_descriptors(true);
}

static void test_descriptors_not_taken_are_closed(void **state)
{
	(void)state;
	pass_descriptors(false);
}

/* A queued packet keeps its descriptor although the sender closed its own. */
static void test_queued_descriptors_are_held(void **state)
{
	struct both both;
	int pipe_fds[2];
	struct stat st;
	uint32_t sent = 0;

	(void)state;
	start(&both, 1024 * 1024);
	while (!both.a.chan.queue.octets)
		assert_int_equal(send_number(&both.a, sent++, 50000, NULL, 0), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fstat(pipe_fds[0], &st), 0);
	both.b.expected = st.st_ino;
	assert_int_equal(send_number(&both.a, sent++, 0, pipe_fds, 1), 0);
	close(pipe_fds[0]);
	both.b.stop_at = sent;
	loop_run(both.loop);
	assert_int_equal(both.b.fds, 1);
	close(pipe_fds[1]);
	stop(&both);
}

static void test_queued_descriptors_are_closed_at_the_end(void **state)
{
	struct both both;
	int pipe_fds[2];
	uint32_t sent = 0;

	(void)state;
	start(&both, 1024 * 1024);
	while (!both.a.chan.queue.octets)
		assert_int_equal(send_number(&both.a, sent++, 50000, NULL, 0), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(send_number(&both.a, sent++, 0, pipe_fds, 2), 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	stop(&both); /* counts */
}

/* What a peer sent before it died arrives, even when a send to it fails first. */
static void test_peer_that_dies(void **state)
{
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	assert_int_equal(send_number(&both.a, 0, 10, NULL, 0), 0);
	assert_int_equal(send_number(&both.a, 1, 10, NULL, 0), 0);
	chan_finish(&both.a.chan);
	assert_int_equal(send_number(&both.b, 0, 10, NULL, 0), -1);
	assert_int_equal(send_number(&both.b, 0, 10, NULL, 0), -1);
	assert_null(both.b.why);
	loop_run(both.loop);
	assert_int_equal(both.b.next, 2);
	assert_string_equal(both.b.why, "the peer is gone");
	stop(&both);
}

/* It ends without having read what we sent: the kernel says "reset" first, and then what it had
 * sent is still to be read. */
static void test_peer_that_dies_with_packets_unread(void **state)
{
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	assert_int_equal(send_number(&both.a, 0, 0, NULL, 0), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(send_number(&both.b, i, 0, NULL, 0), 0);
	chan_finish(&both.b.chan);
	both.b.loop = NULL;
	chan_take_rest(&both.a.chan);
	assert_int_equal(both.a.next, 3);
	loop_run(both.loop);
	assert_string_equal(both.a.why, "the peer is gone");
	both.a.loop = NULL;
	stop(&both);
}

/* Too long a packet, too many descriptors: broken, nothing leaks. */
static void test_peer_that_breaks_the_rules(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		static char large[CHAN_PACKET_MAX + 1];
		struct both both;
		struct iovec part = {large, kind == 0 ? sizeof(large) : 4};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
		char control[CMSG_SPACE(9 * sizeof(int))] = {0};
		struct cmsghdr *header;
		int nine[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};

		start(&both, 1024 * 1024);
		if (kind == 1) {
			message.msg_control = control;
			message.msg_controllen = sizeof(control);
			header = CMSG_FIRSTHDR(&message);
			header->cmsg_level = SOL_SOCKET;
			header->cmsg_type = SCM_RIGHTS;
			header->cmsg_len = CMSG_LEN(sizeof(nine));
			memcpy(CMSG_DATA(header), nine, sizeof(nine));
		}
		assert_true(sendmsg(both.a.chan.fd, &message, 0) > 0);
		loop_run(both.loop);
		assert_string_equal(both.b.why, kind == 0 ? "a packet is too large"
							  : "descriptors are too many");
		assert_int_equal(both.b.next, 0);
		stop(&both);
	}
}

/* Without privileges the kernel lets only so many descriptors be under way (ETOOMANYREFS), and
 * there is no event when that is over. What was accepted arrives nevertheless. */
static void crowd(void)
{
	struct rlimit limit = {64, 64};
	struct both both;
	int pipe_fds[2], four[4];
	struct stat st;
	uint32_t sent = 0;

	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresuid(65534, 65534, 65534) < 0))
		_exit(2);
	start(&both, 1024 * 1024);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fstat(pipe_fds[0], &st), 0);
	both.b.expected = st.st_ino;
	both.b.take_fds = true;
	for (int i = 0; i < 4; i++)
		four[i] = pipe_fds[0];
	for (; sent < 22; sent++)
		assert_int_equal(send_number(&both.a, sent, 0, four, 4), 0);
	assert_true(both.a.chan.queue.octets > 0); /* though the socket has room for octets */
	both.b.stop_at = sent;
	loop_run(both.loop);
	assert_int_equal(both.b.fds, 4 * sent);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	stop(&both);
	_exit(0);
}

static void test_too_many_descriptors_under_way(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		crowd();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_pause_holds_packets_back(void **state)
{
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	chan_pause(&both.b.chan, true);
	both.a.stop_at = 1;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(send_number(&both.a, i, 0, NULL, 0), 0);
	/* the other direction goes on meanwhile */
	assert_int_equal(send_number(&both.b, 0, 0, NULL, 0), 0);
	loop_run(both.loop);
	assert_int_equal(both.a.next, 1);
	assert_int_equal(both.b.next, 0);
	chan_pause(&both.b.chan, false);
	both.b.stop_at = 3;
	loop_run(both.loop);
	assert_int_equal(both.b.next, 3);
	stop(&both);
}

static int post_number(struct side *side, uint32_t number)
{
	uint32_t posted[2] = {number, 0};
	struct iovec part = {posted, sizeof(posted)};

	return chan_post(&side->chan, &part, 1);
}

static void test_posted_together(void **state)
{
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	both.b.several = true;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(post_number(&both.a, i), 0);
	both.b.stop_at = 3;
	loop_run(both.loop);
	assert_int_equal(both.b.packets, 1);
	assert_int_equal(both.b.last_size, 24);
	/* in front of a packet, in the same packet */
	assert_int_equal(post_number(&both.a, 3), 0);
	assert_int_equal(send_number(&both.a, 4, 4, NULL, 0), 0);
	assert_int_equal(send_number(&both.a, 5, 4, NULL, 0), 0);
	both.b.stop_at = 6;
	loop_run(both.loop);
	assert_int_equal(both.b.packets, 3);
	/* more than may wait */
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(post_number(&both.a, 6 + i), 0);
	both.b.stop_at = 1006;
	loop_run(both.loop);
	assert_int_equal(both.b.packets, 3 + (1000 * 8 + CHAN_POST_MAX - 1) / CHAN_POST_MAX);
	/* nothing is left that would be sent again */
	both.a.stop_at = 1;
	assert_int_equal(send_number(&both.b, 0, 0, NULL, 0), 0);
	loop_run(both.loop);
	assert_int_equal(both.b.next, 1006);
	assert_int_equal(post_number(&both.a, 0), 0); /* lost, and freed */
	stop(&both);
}

/* Each begins at a multiple of 8 octets, and nothing stays: it may be a secret. */
static void test_posted_in_parts(void **state)
{
	static const char nothing[32];
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	both.b.several = true;
	for (uint32_t i = 0; i < 3; i++) {
		char text[] = "abc";
		struct iovec parts[] = {{&i, sizeof(i)}, {text, 3}, {NULL, 0}};

		assert_int_equal(chan_post(&both.a.chan, parts, 3), 0);
	}
	both.b.stop_at = 3;
	loop_run(both.loop);
	assert_int_equal(both.b.packets, 1);
	assert_int_equal(both.b.last_size, 23);
	assert_memory_equal(both.a.chan.posted, nothing, both.b.last_size);
	stop(&both);
}

/* One that does not fit begins a packet, and the one before it ends without filling. */
static void test_posted_to_the_brim(void **state)
{
	enum { FIRST = CHAN_POST_MAX / 8 };
	char packet[CHAN_POST_MAX + 8];
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	chan_pause(&both.b.chan, true);
	for (uint32_t i = 0; i < FIRST + 1; i++) {
		struct iovec part = {&i, sizeof(i)};

		assert_int_equal(chan_post(&both.a.chan, &part, 1), 0);
	}
	assert_int_equal(recv(both.b.chan.fd, packet, sizeof(packet), MSG_DONTWAIT),
			 CHAN_POST_MAX - 4);
	assert_int_equal(both.a.chan.posted_size, 4);
	both.b.next = FIRST;
	both.b.stop_at = FIRST + 1;
	chan_pause(&both.b.chan, false);
	loop_run(both.loop);
	assert_int_equal(both.b.last_size, 4);
	stop(&both);
}

/* A descriptor's packet is one of its own; one of the largest size has no room for more. */
static void test_posted_goes_first(void **state)
{
	struct both both;
	struct stat st;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	start(&both, 1024 * 1024);
	assert_int_equal(fstat(fd, &st), 0);
	both.b.expected = st.st_ino;
	assert_int_equal(post_number(&both.a, 0), 0);
	assert_int_equal(send_number(&both.a, 1, 4, &fd, 1), 0);
	assert_int_equal(post_number(&both.a, 2), 0);
	assert_int_equal(send_number(&both.a, 3, CHAN_PACKET_MAX - 4, NULL, 0), 0);
	both.b.stop_at = 4;
	loop_run(both.loop);
	assert_int_equal(both.b.packets, 4);
	assert_int_equal(both.b.fds, 1);
	stop(&both);
	close(fd);
}

/* The socket is full: what is posted waits in the queue behind the rest, and counts there. */
static void test_posted_behind_a_queue(void **state)
{
	struct both both;
	uint32_t sent = 0, limit;

	(void)state;
	start(&both, 100000);
	while (both.a.chan.queue.octets < 50000)
		assert_int_equal(send_number(&both.a, sent++, 1020, NULL, 0), 0);
	for (limit = sent + 100000; sent < limit && post_number(&both.a, sent) == 0; sent++)
		;
	assert_true(sent < limit); /* refused, not lost */
	assert_true(both.a.chan.queue.octets <= 100000);
	both.b.stop_at = sent;
	loop_run(both.loop);
	assert_int_equal(both.b.next, sent);
	/* posted when the socket is full and nobody has noticed yet */
	while (send(both.a.chan.fd, &sent, sizeof(sent), MSG_DONTWAIT) > 0)
		sent++;
	assert_int_equal(post_number(&both.a, sent), 0);
	assert_int_equal(both.a.chan.queue.octets, 0);
	both.b.stop_at = sent + 1;
	loop_run(both.loop);
	assert_int_equal(both.b.next, sent + 1);
	stop(&both);
}

static void test_posted_to_the_dead(void **state)
{
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	assert_int_equal(post_number(&both.a, 0), 0);
	chan_finish(&both.b.chan);
	both.b.loop = NULL;
	loop_run(both.loop);
	assert_non_null(both.a.why);
	both.a.loop = NULL;
	assert_int_equal(post_number(&both.a, 1), -1);
	stop(&both);
}

static void test_break_and_finish_from_inside(void **state)
{
	struct both both;

	(void)state;
	start(&both, 1024 * 1024);
	both.b.finish_in_packet = true;
	assert_int_equal(send_number(&both.a, 0, 0, NULL, 0), 0);
	assert_int_equal(send_number(&both.a, 1, 0, NULL, 0), 0);
	loop_run(both.loop);
	assert_true(both.b.loop != both.loop);
	chan_break(&both.a.chan, "test");
	chan_break(&both.a.chan, "again");
	assert_null(both.a.why); /* not from inside */
	assert_int_equal(send_number(&both.a, 1, 0, NULL, 0), -1);
	loop_run(both.loop);
	assert_string_equal(both.a.why, "test");
	stop(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_keep_their_order),
		cmocka_unit_test(test_queue_has_a_limit),
		cmocka_unit_test(test_descriptors_are_passed),
		cmocka_unit_test(test_descriptors_not_taken_are_closed),
		cmocka_unit_test(test_queued_descriptors_are_held),
		cmocka_unit_test(test_queued_descriptors_are_closed_at_the_end),
		cmocka_unit_test(test_peer_that_dies),
		cmocka_unit_test(test_peer_that_dies_with_packets_unread),
		cmocka_unit_test(test_peer_that_breaks_the_rules),
		cmocka_unit_test(test_too_many_descriptors_under_way),
		cmocka_unit_test(test_pause_holds_packets_back),
		cmocka_unit_test(test_posted_together),
		cmocka_unit_test(test_posted_in_parts),
		cmocka_unit_test(test_posted_to_the_brim),
		cmocka_unit_test(test_posted_goes_first),
		cmocka_unit_test(test_posted_behind_a_queue),
		cmocka_unit_test(test_posted_to_the_dead),
		cmocka_unit_test(test_break_and_finish_from_inside),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
