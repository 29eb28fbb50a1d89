/* Maildirs of Courier: its list of unique ids in each version, and what is made of it. */
#include "maildrop_test.h"

#include "maildrop/maildir/adopt/sizelist.h"
#include "maildrop/maildir/bring.h"
#include "maildrop/maildir/foreign.h"

#include "base/text.h"

#define LIST "courierpop3dsizelist"
#define ID_ROOM 128

static void parse(const char *text, struct sizelist *ret)
{
	struct err err;

	assert_int_equal(sizelist_parse(span_of(text), ret, &err), 0);
}

static void assert_id(const struct sizelist *list, uint32_t entry, const char *id)
{
	char text[ID_ROOM];

	assert_in_range(entry, 0, list->count - 1);
	assert_int_equal(sizelist_id(&list->entries[entry], text, sizeof(text)), strlen(id));
	assert_string_equal(text, id);
}

static void assert_file(const struct sizelist *list, uint32_t entry, const char *file)
{
	assert_in_range(entry, 0, list->count - 1);
	assert_true(span_equal(list->entries[entry].file, span_of(file)));
}

/* The ids of versions 2 and 3 are those that Courier 1.0.16 of Debian 12 gives. */
static void lists_of_each_version(void **state)
{
	struct sizelist list;

	(void)state;
	parse("1000.a:2,S 17\n2000.with a space:2, 19\n", &list); /* 0 */
	assert_int_equal(list.count, 2);
	assert_int_equal(list.bad, 0);
	assert_file(&list, 0, "1000.a");
	assert_id(&list, 0, "1000.a");
	assert_file(&list, 1, "2000.with a space");
	assert_id(&list, 1, "2000.with+20a+20space");
	sizelist_finish(&list);

	parse("/1 9\n1000.a:2,S 17 7\n2000.b:2, 19 0\n", &list);
	assert_int_equal(list.count, 2);
	assert_id(&list, 0, "UID7");
	assert_id(&list, 1, "2000.b");
	sizelist_finish(&list);

	parse("/2 9 1795942478\n1000.a:2,S 17 7:1795942478\n2000.b:2, 19 8:0\n"
	      "3000.c 1 0:1795942478\n4000.d 1 5\n",
	      &list);
	assert_int_equal(list.count, 4);
	assert_id(&list, 0, "UID7-1795942478");
	assert_id(&list, 1, "UID8");
	assert_id(&list, 2, "3000.c");
	assert_id(&list, 3, "UID5");
	sizelist_finish(&list);

	parse("/3 9 1795942478\n1000.a:2,S 17 7:1795942478:0\n2000.b:2, 19 0:3:1\n", &list);
	assert_int_equal(list.count, 2);
	assert_id(&list, 0, "UID7-1795942478");
	assert_id(&list, 1, "2000.b");
	sizelist_finish(&list);

	parse("/3 1 1795942478\n", &list);
	assert_int_equal(list.count, 0);
	assert_int_equal(list.bad, 0);
	sizelist_finish(&list);
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const bad[] = {"",         "\n",        "/4 1 1\n", "/0 1 1\n",
					  "/x 1 1\n", "/3\n",      "/ 3\n",    "/3 1 1",
					  "hello\n",  "1000.a 17", "/",        "3 V7 N9\nx 1 1\n"};
	struct sizelist list;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(sizelist_parse(span_of(bad[i]), &list, &err), -1);
		assert_non_null(strstr(err.text, "none that Courier writes"));
	}
}

static void lines_that_make_no_sense_are_counted(void **state)
{
	char text[1024], name[257];
	struct sizelist list;

	(void)state;
	memset(name, 'n', 256);
	name[256] = '\0';
	snprintf(text, sizeof(text),
		 "/3 9 1\n"
		 "no-size 7:1:0\n"
		 " 17 7:1:0\n"
		 ":2,S 17 7:1:0\n"
		 "1.a x 7:1:0\n"
		 "1.b 17 7:x:0\n"
		 "1.c 17 7:1:0:0\n"
		 "1.d 17 -7:1:0\n"
		 "1.e 17 18446744073709551616:1:0\n"
		 "\n"
		 "%s 17 7:1:0\n" /* 256 octets */
		 "%s 17 7:1:0\n" /* 255 */
		 "1.f 17 18446744073709551615:18446744073709551615:0\n"
		 "2.cut 17 7:17959",
		 name, name + 1);
	parse(text, &list);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.bad, 11);
	assert_id(&list, 1, "UID18446744073709551615-18446744073709551615");
	sizelist_finish(&list);
}

/* As Courier sorts: by the number in front, then octet by octet up to the flags. */
static void messages_stand_in_the_order_of_their_names(void **state)
{
	static const char *const order[] = {"-5.x",
					    "+7.x",
					    "9.x",
					    "10.a,S=1",
					    "10.a",
					    "10.b\xe4",
					    "10.b",
					    "10.bc",
					    "99999999999999999999.a",
					    "99999999999999999999.b"};
	const size_t n = sizeof(order) / sizeof(*order);
	char text[1024] = "/3 9 1\n", line[64];
	struct sizelist list;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "%s:2, 1 %zu:1:0\n", order[(i * 7) % n],
			 (i * 7) % n + 1);
		strcat(text, line);
	}
	parse(text, &list);
	assert_int_equal(list.count, n);
	for (uint32_t i = 0; i < n; i++)
		assert_file(&list, i, order[i]);
	sizelist_finish(&list);
	/* without flags and with them, twice */
	parse("/3 9 1\n5.a:2,S 1 1:1:0\n5.a:2, 1 2:1:0\n5.a 1 3:1:0\n", &list);
	assert_id(&list, 0, "UID3-1");
	assert_id(&list, 1, "UID1-1");
	assert_id(&list, 2, "UID2-1");
	sizelist_finish(&list);
}

static void ids_of_names_are_coded(void **state)
{
	char text[ID_ROOM];
	struct sizelist list;

	(void)state;
	parse("/2 1 1\n1.M9+q'.\"\x7f\xe4~!,S=21:2,S 17 0:0\n", &list);
	assert_id(&list, 0, "1.M9+2Bq+27.+22+7F+E4~!,S=21");
	assert_int_equal(sizelist_id(&list.entries[0], text, 20), 0);
	sizelist_finish(&list);
	parse("/2 1 1\n1.a 17 7:1\n", &list);
	assert_int_equal(sizelist_id(&list.entries[0], text, strlen("UID7-1")), 0);
	assert_int_equal(sizelist_id(&list.entries[0], text, strlen("UID7-1") + 1), 6);
	sizelist_finish(&list);
}

/* ---- Maildirs ---- */

static const struct mail_origin courier = {.server = ORIGIN_COURIER};
static const struct mail_origin dovecot = {.server = ORIGIN_DOVECOT,
					   .format = ORIGIN_DOVECOT_FORMAT};

static void put_courier(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "cur/3000.c,S=2:2,RS", "c\n");
	put_file(s, "cur/1000.a:2,S", "a\n");
	put_file(s, "cur/2000.b:2,", "b\n");
	put_file(s, "new/500.never-shown", "of nobody\n");
	put_file(s, LIST,
		 "/3 9 16\n2000.b:2, 3 2:16:0\n1000.a:2, 3 7:16:0\n2500.gone:2, 3 8:16:0\n"
		 "3000.c,S=2:2, 3 0:0:0\n");
}

static void assert_brought(struct scratch *s)
{
	struct maildrop *m = open_session(s);

	assert_int_equal(session_count(m), 4);
	assert_entry(m, 1, "UID7-16", 3);
	assert_entry(m, 2, "UID2-16", 3);
	assert_entry(m, 3, "3000.c,S=2", 3);
	assert_entry(m, 4, "500.never-shown", strlen("of nobody\r\n"));
	maildrop_sweep(m);
	maildrop_close(m);
}

static int folder_of(const struct scratch *s)
{
	return openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void assert_refused(struct scratch *s, const char *words)
{
	struct maildrop *m = NULL;
	struct maildrop_usage usage;
	struct err err;

	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, words));
	assert_non_null(strstr(err.text, "valija import none"));
	assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, &err), MAILDROP_PERM);
	assert_false(has_file(s, "valija-lock"));
	assert_false(has_file(s, "valija-uidl"));
}

static void ids_and_order_are_brought(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	int folder;

	put_courier(s);
	folder = folder_of(s);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			maildir_bring(folder, folder, HOME, &courier, i == 0, &report, &err), 0);
		assert_int_equal(report.is, i == 2 ? ADOPT_OURS : ADOPT_FOREIGN);
		assert_int_equal(report.lists, i == 2 ? 0 : ORIGIN_HAS(ORIGIN_COURIER));
		assert_int_equal(report.brought, i == 2 ? 0 : 3);
		assert_int_equal(report.fresh, i == 2 ? 0 : 1);
		assert_int_equal(report.again, 0);
		assert_int_equal(has_file(s, "valija-uidl"), i > 0);
	}
	close(folder);
	assert_brought(s);
	/* a lost index is a lost cache */
	remove_file(s, "valija-base");
	remove_file(s, "valija-delta");
	remove_file(s, "valija-lock");
	assert_brought(s);
}

static void the_record_says_whose_ids(void **state)
{
	struct scratch *s = *state;
	struct mail_origin is;
	struct err err;

	assert_int_equal(mail_origin_write(s->root, &courier, &err), 0);
	assert_int_equal(mail_origin_read(&maildrop_kernel, s->root, &is, &err), 1);
	assert_int_equal(is.server, ORIGIN_COURIER);
	put_courier(s);
	assert_brought(s);
}

static void nobody_gets_new_ids_in_silence(void **state)
{
	struct scratch *s = *state;
	struct maildir_foreign found;
	struct err err;

	put_courier(s);
	assert_refused(s,
		       "Courier filled it, and its clients know Courier's unique ids: run valija "
		       "import courier");
	maildir_foreign_find(s->root, &found);
	assert_string_equal(found.refused, HOME);
	assert_int_equal(found.lists, ORIGIN_HAS(ORIGIN_COURIER));
	/* of two servers: a person says which */
	put_file(s, "dovecot-uidlist", "3 V16 N9\n1 :1000.a\n");
	assert_refused(s,
		       "Dovecot and Courier filled it: run valija import dovecot or valija import "
		       "courier");
	maildir_foreign_find(s->root, &found);
	assert_int_equal(found.lists, ORIGIN_HAS(ORIGIN_COURIER) | ORIGIN_HAS(ORIGIN_DOVECOT));
	assert_int_equal(mail_origin_write(s->root, &courier, &err), 0);
	maildir_foreign_find(s->root, &found);
	assert_string_equal(found.refused, "");
	assert_string_equal(found.unopened, "");
	assert_brought(s);
}

static void a_list_of_another_server_than_the_records_refuses(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	int folder;

	put_courier(s);
	assert_int_equal(mail_origin_write(s->root, &dovecot, &err), 0);
	assert_refused(s, "valija import courier, or valija import none, for its user (--user): it "
			  "has no dovecot-uidlist");
	folder = folder_of(s);
	assert_int_equal(maildir_bring(folder, folder, HOME, &dovecot, false, &report, &err),
			 MAILDROP_PERM);
	assert_int_equal(maildir_bring(folder, folder, HOME, &courier, false, &report, &err), 0);
	close(folder);
	assert_brought(s);
}

static void new_ids_where_they_are_wanted(void **state)
{
	struct scratch *s = *state;
	const struct mail_origin none = {.server = ORIGIN_NONE};
	struct maildrop *m;
	struct err err;

	put_courier(s);
	assert_int_equal(mail_origin_write(s->root, &none, &err), 0);
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 1, "500.never-shown", strlen("of nobody\r\n"));
	assert_entry(m, 2, "1000.a", 3);
	maildrop_close(m);
}

static void a_list_that_is_none_refuses(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err;

	put_courier(s);
	assert_int_equal(mail_origin_write(s->root, &courier, &err), 0);
	put_file(s, LIST, "");
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, LIST ": its first line"));
	remove_file(s, LIST);
	assert_int_equal(symlinkat("/etc/passwd", s->root, HOME "/" LIST), 0);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, LIST));
	assert_false(has_file(s, "valija-uidl"));
}

/* Ids of names may be longer than POP3 allows; two lines may give one id. */
static void ids_that_pop3_cannot_have_are_counted(void **state)
{
	struct scratch *s = *state;
	char name[128], line[256];
	struct adopt_report report;
	struct err err;
	int folder;

	make_maildir(s);
	snprintf(name, sizeof(name), "cur/1000.%070d:2,", 7);
	put_file(s, name, "a\n");
	put_file(s, "cur/2000.b:2,", "b\n");
	put_file(s, "cur/3000.c:2,", "c\n");
	snprintf(line, sizeof(line), "/2 9 1\n%s 3 0:0\n2000.b 3 7:1\n3000.c 3 7:1\n", name + 4);
	put_file(s, LIST, line);
	folder = folder_of(s);
	assert_int_equal(maildir_bring(folder, folder, HOME, &courier, false, &report, &err), 0);
	close(folder);
	assert_int_equal(report.brought, 1);
	assert_int_equal(report.again, 2);
	assert_non_null(strstr(report.why, "more than 70 octets"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_each_version),
		cmocka_unit_test(what_is_no_list_is_refused),
		cmocka_unit_test(lines_that_make_no_sense_are_counted),
		cmocka_unit_test(messages_stand_in_the_order_of_their_names),
		cmocka_unit_test(ids_of_names_are_coded),
		cmocka_unit_test_setup_teardown(ids_and_order_are_brought, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(the_record_says_whose_ids, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(nobody_gets_new_ids_in_silence, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_list_of_another_server_than_the_records_refuses,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(new_ids_where_they_are_wanted, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_list_that_is_none_refuses, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(ids_that_pop3_cannot_have_are_counted,
						scratch_begin, scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
