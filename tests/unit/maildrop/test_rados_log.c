/* The log of a maildrop in RADOS: frames, what is read of them, compaction. */
#include "maildrop/rados/log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static unsigned char octets[1 << 16];
static size_t size;

static int start(void **state)
{
	(void)state;
	size = 0;
	return 0;
}

static void add(unsigned char id, uint64_t stored, const char *unique_id)
{
	struct drop_frame frame = {.kind = DROP_ADD,
				   .octets = stored + 1,
				   .stored = stored,
				   .arrived = 7,
				   .flags = DROP_WIRE_FORM,
				   .body_crc = 0xdeadbeef,
				   .unique_id = {unique_id, strlen(unique_id)}};

	memset(frame.id, id, DROP_ID);
	size += drop_frame_encode(&frame, octets + size);
}

static void del(unsigned char id)
{
	struct drop_frame frame = {.kind = DROP_DEL};

	memset(frame.id, id, DROP_ID);
	size += drop_frame_encode(&frame, octets + size);
}

static void read_all(struct drop_log *log)
{
	drop_log_init(log);
	assert_int_equal(drop_log_feed(log, (pop3_span){(const char *)octets, size}, NULL), 0);
	assert_int_equal(log->size, size);
}

static struct drop_message *find(const struct drop_log *log, unsigned char id)
{
	unsigned char key[DROP_ID];

	memset(key, id, DROP_ID);
	return drop_log_find(log, key);
}

static void a_frame_comes_back_as_it_was(void **state)
{
	struct drop_frame frame;

	(void)state;
	add(3, 1000, "00000001.4af3");
	assert_int_equal(size, DROP_FRAME_ADD + 13);
	assert_int_equal(drop_frame_decode((pop3_span){(const char *)octets, size}, &frame), size);
	assert_int_equal(frame.kind, DROP_ADD);
	assert_int_equal(frame.id[0], 3);
	assert_int_equal(frame.octets, 1001);
	assert_int_equal(frame.stored, 1000);
	assert_int_equal(frame.arrived, 7);
	assert_int_equal(frame.flags, DROP_WIRE_FORM);
	assert_int_equal(frame.body_crc, 0xdeadbeef);
	assert_int_equal(frame.unique_id.size, 13);
	assert_memory_equal(frame.unique_id.data, "00000001.4af3", 13);
}

/* The format is in docs/rados-format.md, and objects of a version before must be read for ever. */
static void the_octets_are_those_of_the_format(void **state)
{
	static const unsigned char expected[] = {
		0x18, 0x00, 0x02, 0x00, 0x90, 0xe9, 0xb4, 0x7e, 1, 1, 1, 1,
		1,    1,    1,    1,    1,    1,    1,    1,    1, 1, 1, 1,
	};

	(void)state;
	del(1);
	assert_int_equal(size, sizeof(expected));
	assert_memory_equal(octets, expected, sizeof(expected));
}

static void any_changed_octet_is_noticed(void **state)
{
	struct drop_frame frame;

	(void)state;
	add(3, 1000, "x");
	for (size_t i = 0; i < size; i++) {
		octets[i] ^= 1;
		assert_int_equal(drop_frame_decode((pop3_span){(const char *)octets, size}, &frame),
				 0);
		octets[i] ^= 1;
	}
	for (size_t n = 0; n < size; n++)
		assert_int_equal(drop_frame_decode((pop3_span){(const char *)octets, n}, &frame),
				 0);
}

static void messages_are_in_the_order_of_their_records(void **state)
{
	struct drop_log log;
	char buf[DROP_ID_TEXT];
	pop3_span id;

	(void)state;
	add(9, 10, "");
	add(4, 20, "foreign");
	read_all(&log);
	assert_int_equal(log.count, 2);
	assert_int_equal(log.live, 2);
	assert_int_equal(log.stored, 30);
	assert_int_equal(log.octets, 32);
	id = drop_log_unique_id(&log, &log.messages[0], buf);
	assert_int_equal(id.size, 32);
	assert_memory_equal(id.data, "09090909090909090909090909090909", 32);
	id = drop_log_unique_id(&log, &log.messages[1], buf);
	assert_int_equal(id.size, 7);
	assert_memory_equal(id.data, "foreign", 7);
	drop_log_finish(&log);
}

static void a_record_that_comes_twice_counts_once(void **state)
{
	struct drop_log log;

	(void)state;
	add(1, 10, "");
	add(2, 20, "");
	add(1, 10, "");
	read_all(&log);
	assert_int_equal(log.count, 2);
	assert_int_equal(log.live, 2);
	assert_int_equal(log.stored, 30);
	drop_log_finish(&log);
}

static void a_deleted_message_stays_so_whatever_comes_behind(void **state)
{
	struct drop_log log;

	(void)state;
	add(1, 10, "");
	del(1);
	add(1, 10, "");
	del(1);
	del(2);
	add(2, 5, "");
	read_all(&log);
	assert_int_equal(log.live, 0);
	assert_int_equal(log.stored, 0);
	assert_int_equal(log.octets, 0);
	assert_int_equal(log.live_size, 0);
	assert_true(find(&log, 1)->deleted && find(&log, 2)->deleted);
	drop_log_finish(&log);
}

static void damage_keeps_what_came_before(void **state)
{
	struct drop_log log;
	struct err err = {0};

	(void)state;
	add(1, 10, "");
	add(2, 20, "");
	octets[size - 1] ^= 1;
	drop_log_init(&log);
	assert_int_equal(drop_log_feed(&log, (pop3_span){(const char *)octets, size}, &err), -1);
	assert_string_equal(err.text, "its log is damaged at octet 56");
	assert_int_equal(log.live, 1);
	drop_log_finish(&log);
}

static void a_compaction_drops_what_is_gone_alone(void **state)
{
	struct drop_log log, again;
	unsigned char *shorter;
	size_t n;

	(void)state;
	add(1, 10, "a");
	add(2, 20, "b");
	add(3, 30, "c");
	del(1);
	del(2);
	read_all(&log);
	find(&log, 1)->gone = true;
	assert_int_equal(drop_log_compact(&log, &shorter, &n), 0);
	drop_log_init(&again);
	assert_int_equal(drop_log_feed(&again, (pop3_span){(const char *)shorter, n}, NULL), 0);
	assert_int_equal(again.count, 2);
	assert_int_equal(again.live, 1);
	assert_null(find(&again, 1));
	assert_true(find(&again, 2)->added && find(&again, 2)->deleted);
	assert_int_equal(find(&again, 2)->stored, 20);
	assert_int_equal(find(&again, 3)->id_size, 1);
	drop_log_finish(&again);
	drop_log_finish(&log);
	free(shorter);
}

/* A later version wrote something that this one does not know: it must not be lost. */
static void a_log_of_a_later_version_is_read_and_not_compacted(void **state)
{
	struct drop_frame frame = {.kind = (enum drop_kind)9};
	struct drop_log log;
	unsigned char *shorter;
	size_t n;

	(void)state;
	add(1, 10, "");
	size += drop_frame_encode(&frame, octets + size);
	add(2, 10, "");
	read_all(&log);
	assert_int_equal(log.live, 2);
	assert_int_equal(log.unknown, 1);
	assert_int_equal(drop_log_compact(&log, &shorter, &n), -1);
	drop_log_finish(&log);
}

static void many_messages_are_found(void **state)
{
	struct drop_frame frame = {.kind = DROP_ADD, .stored = 1};
	unsigned char one[DROP_FRAME_MAX];
	struct drop_log log;

	(void)state;
	drop_log_init(&log);
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(frame.id, &i, sizeof(i));
		assert_int_equal(drop_log_feed(&log,
					       (pop3_span){(const char *)one,
							   drop_frame_encode(&frame, one)},
					       NULL),
				 0);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(frame.id, &i, sizeof(i));
		assert_ptr_equal(drop_log_find(&log, frame.id), &log.messages[i]);
	}
	memset(frame.id, 0xff, DROP_ID);
	assert_null(drop_log_find(&log, frame.id));
	drop_log_finish(&log);
}

static void ids_have_one_form(void **state)
{
	unsigned char id[DROP_ID];
	char text[DROP_ID_TEXT];

	(void)state;
	assert_int_equal(drop_id_of((pop3_span){"00112233445566778899aabbccddeeff", 32}, id), 0);
	drop_id_text(id, text);
	assert_string_equal(text, "00112233445566778899aabbccddeeff");
	assert_int_equal(drop_id_of((pop3_span){"00112233445566778899AABBCCDDEEFF", 32}, id), -1);
	assert_int_equal(drop_id_of((pop3_span){"00112233445566778899aabbccddeeff", 31}, id), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_frame_comes_back_as_it_was, start),
		cmocka_unit_test_setup(the_octets_are_those_of_the_format, start),
		cmocka_unit_test_setup(any_changed_octet_is_noticed, start),
		cmocka_unit_test_setup(messages_are_in_the_order_of_their_records, start),
		cmocka_unit_test_setup(a_record_that_comes_twice_counts_once, start),
		cmocka_unit_test_setup(a_deleted_message_stays_so_whatever_comes_behind, start),
		cmocka_unit_test_setup(damage_keeps_what_came_before, start),
		cmocka_unit_test_setup(a_compaction_drops_what_is_gone_alone, start),
		cmocka_unit_test_setup(a_log_of_a_later_version_is_read_and_not_compacted, start),
		cmocka_unit_test_setup(many_messages_are_found, start),
		cmocka_unit_test(ids_have_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
