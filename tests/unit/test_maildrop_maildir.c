/* The Maildir driver as keepers use it: sessions, other programs on the same Maildir, deletions. */
#include "maildrop_test.h"

static void a_new_maildrop_is_empty_and_made(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = open_session(s);
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(m, &snapshot);
	assert_int_equal(snapshot.count, 0);
	assert_int_equal(snapshot.octets, 0);
	assert_true(has_file(s, "new") && has_file(s, "cur") && has_file(s, "tmp"));
	maildrop_sweep(m);
	maildrop_close(m);
}

static void messages_are_numbered_by_delivery(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	put_file(s, "cur/200.b.host:2,S", "second\n");
	put_file(s, "new/1000.c.host", "third, no line end");
	put_file(s, "cur/100.a.host,S=6,W=8:2,", ".one\n\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 1, "100.a.host", 8);
	assert_entry(m, 2, "200.b.host", 8);
	assert_entry(m, 3, "1000.c.host", 20);
	assert_int_equal(read_body(m, 3, text, sizeof(text)), MAILDROP_OK);
	assert_string_equal(text, "third, no line end");
	assert_int_equal(maildrop_body(m, 4, NULL, NULL), MAILDROP_GONE);
	assert_int_equal(maildrop_body(m, 0, NULL, NULL), MAILDROP_GONE);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1000.c.host:2,"));

	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 3, "1000.c.host", 20);
	assert_int_equal(read_body(m, 3, text, sizeof(text)), MAILDROP_OK);
	maildrop_close(m);
}

static void deletions_hold_and_only_those(void **state)
{
	static const uint32_t numbers[] = {1, 3};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "cur/1.a:2,", "a\n");
	put_file(s, "new/2.b", "b\n");
	put_file(s, "new/3.c", "c\n");
	m = open_session(s);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1.a:2,"));
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, numbers, 2, NULL), MAILDROP_OK);
	/* the files are still there: whatever happens now, their messages are gone */
	maildrop_close(m);
	assert_true(has_file(s, "cur/1.a:2,") && has_file(s, "new/3.c"));
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	assert_entry(m, 1, "2.b", 3);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1.a:2,") || has_file(s, "new/3.c"));
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_new_maildrop_is_empty_and_made, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(messages_are_numbered_by_delivery, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(deletions_hold_and_only_those, scratch_begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
