/* Messages that come a piece at a time: which piece is asked for, and when; where its octets are.
 */
#include "server/front/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	struct ipc_stream stream;
	char tail[64];
} answer;

struct pair {
	struct arena *writer, *reader;
	struct stream stream;
	struct ipc_stream asked;
	struct pop3_server pop3;
	char sent[256];
	size_t sent_size;
};

static int set_up(void **state)
{
	static struct pair pair;
	int fd;

	memset(&pair, 0, sizeof(pair));
	pair.writer = arena_create(&fd);
	assert_non_null(pair.writer);
	pair.reader = arena_open(fd);
	assert_non_null(pair.reader);
	close(fd);
	stream_open(&pair.stream, 7, true);
	pop3_encoder_init(&pair.pop3.encoder, POP3_ALL_LINES);
	*state = &pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	struct arena_lease leases[ARENA_SLOTS];

	stream_close(&pair->stream);
	for (int i = 0; i < ARENA_SLOTS; i++) { /* all are free again */
		leases[i] = arena_take(pair->reader);
		assert_non_null(leases[i].arena);
	}
	for (int i = 0; i < ARENA_SLOTS; i++)
		arena_return(&leases[i]);
	arena_release(pair->reader);
	arena_release(pair->writer);
	return 0;
}

size_t __wrap_pop3_server_body(struct pop3_server *server, pop3_span *in, bool last, char *out,
			       size_t cap);

size_t __wrap_pop3_server_body(struct pop3_server *server, pop3_span *in, bool last, char *out,
			       size_t cap)
{
	(void)last;
	return pop3_encoder_run(&server->encoder, in, out, cap);
}

static void ask(struct pair *pair, struct arena *arena)
{
	assert_true(stream_wants(&pair->stream));
	stream_ask(&pair->stream, arena, &pair->asked);
	assert_false(stream_wants(&pair->stream));
}

/* The STREAM that answers: in the slot that was named, if one was. */
static const struct ipc_stream *octets(struct pair *pair, const char *text, bool last)
{
	uint32_t size = (uint32_t)strlen(text), slot = pair->asked.slot;

	answer.stream = pair->asked;
	answer.stream.head.type = IPC_STREAM;
	answer.stream.size = size;
	answer.stream.last = last;
	answer.stream.head.tail = slot == IPC_NO_SLOT ? size : 0;
	memcpy(slot == IPC_NO_SLOT ? answer.tail : arena_slot(pair->writer, slot), text, size);
	assert_true(stream_fits(&pair->stream, IPC_STREAM, &answer.stream));
	return &answer.stream;
}

static void take(struct pair *pair, const char *text, bool last)
{
	assert_int_equal(stream_take(&pair->stream, octets(pair, text, last)), 0);
}

static size_t render(struct pair *pair, size_t cap)
{
	size_t n = stream_render(&pair->stream, &pair->pop3, pair->sent + pair->sent_size, cap);

	pair->sent_size += n;
	return n;
}

static void in_slots(void **state)
{
	struct pair *pair = *state;
	uint32_t first;

	ask(pair, pair->reader);
	assert_int_equal(pair->asked.number, 7);
	assert_int_equal(pair->asked.offset, 0);
	first = pair->asked.slot;
	assert_true(first < ARENA_SLOTS);
	assert_int_equal(render(pair, 64), 0);
	take(pair, "one\r\ntwo\r\n", false);
	ask(pair, pair->reader); /* ahead */
	assert_int_equal(pair->asked.offset, 10);
	assert_int_not_equal(pair->asked.slot, first);
	assert_int_equal(render(pair, 5), 5);
	take(pair, "three\r\n", false);
	assert_false(stream_wants(&pair->stream)); /* one is being sent, one is here */
	assert_int_equal(render(pair, 64), 5);
	ask(pair, pair->reader);
	assert_int_equal(pair->asked.slot, first); /* it is free again */
	assert_int_equal(render(pair, 64), 7);
	take(pair, "", true);
	assert_false(stream_wants(&pair->stream));
	assert_int_equal(pair->sent_size, 17);
	assert_memory_equal(pair->sent, "one\r\ntwo\r\nthree\r\n", 17);
}

static void by_value(void **state)
{
	struct pair *pair = *state;

	ask(pair, NULL);
	assert_int_equal(pair->asked.slot, IPC_NO_SLOT);
	take(pair, "one\r\n", false);
	memset(answer.tail, 'x', sizeof(answer.tail)); /* the packet is gone */
	ask(pair, pair->reader);
	take(pair, "two\r\n", true);
	assert_int_equal(render(pair, 64), 5);
	assert_int_equal(render(pair, 64), 5);
	assert_memory_equal(pair->sent, "one\r\ntwo\r\n", 10);
}

/* A connector may answer in the packet, and then the slot is free. */
static void by_value_though_there_is_a_slot(void **state)
{
	struct pair *pair = *state;

	ask(pair, pair->reader);
	pair->asked.slot = IPC_NO_SLOT;
	take(pair, "one\r\n", true);
	assert_int_equal(render(pair, 64), 5);
	assert_memory_equal(pair->sent, "one\r\n", 5);
}

static void a_top_asks_for_nothing_ahead(void **state)
{
	struct pair *pair = *state;

	stream_open(&pair->stream, 7, false);
	ask(pair, pair->reader);
	take(pair, "one\r\n", false);
	assert_false(stream_wants(&pair->stream));
	assert_int_equal(render(pair, 64), 5);
	assert_true(stream_wants(&pair->stream));
}

/* Waiting for a credit, the same piece is asked for twice: with one slot. */
static void asked_again(void **state)
{
	struct pair *pair = *state;
	uint32_t slot;

	ask(pair, pair->reader);
	slot = pair->asked.slot;
	stream_ask(&pair->stream, pair->reader, &pair->asked);
	assert_int_equal(pair->asked.slot, slot);
}

static void answers_that_do_not_fit(void **state)
{
	struct pair *pair = *state;
	struct ipc_body_failed failed = {.number = 7};
	struct ipc_stream stream;

	assert_false(stream_fits(&pair->stream, IPC_STREAM, &(struct ipc_stream){.number = 7}));
	assert_false(stream_fits(&pair->stream, IPC_BODY_FAILED, &failed));
	ask(pair, pair->reader);
	assert_true(stream_fits(&pair->stream, IPC_BODY_FAILED, &failed));
	failed.number = 8;
	assert_false(stream_fits(&pair->stream, IPC_BODY_FAILED, &failed));
	stream = *octets(pair, "one", false);
	stream.number++;
	assert_false(stream_fits(&pair->stream, IPC_STREAM, &stream));
	stream = *octets(pair, "one", false);
	stream.offset++;
	assert_false(stream_fits(&pair->stream, IPC_STREAM, &stream));
	stream = *octets(pair, "one", false);
	stream.slot++; /* another's */
	assert_false(stream_fits(&pair->stream, IPC_STREAM, &stream));
	take(pair, "one", false);
	stream_ask(&pair->stream, NULL, &pair->asked);
	stream = *octets(pair, "two", false);
	stream.slot = 0; /* none was named */
	assert_false(stream_fits(&pair->stream, IPC_STREAM, &stream));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_slots),
		TEST(by_value),
		TEST(by_value_though_there_is_a_slot),
		TEST(a_top_asks_for_nothing_ahead),
		TEST(asked_again),
		TEST(answers_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
