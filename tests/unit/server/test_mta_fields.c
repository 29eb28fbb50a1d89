/* Lines of the auth protocol: what is read from them, and what is refused. */
#include "server/mta/fields.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct fields fields;

static enum fields_line parse(const char *line)
{
	return fields_parse(span_of(line), &fields);
}

static void assert_span(pop3_span span, const char *text)
{
	assert_int_equal(span.size, strlen(text));
	assert_memory_equal(span.data, text, span.size);
}

static void test_an_exchange(void **state)
{
	static const uint8_t four[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 7};

	(void)state;
	assert_int_equal(parse("AUTH\t17\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\t"
			       "rip=192.0.2.7\trport=4711\tsecured\tresp=AGE=\tb"),
			 FIELDS_AUTH);
	assert_int_equal(fields.id, 17);
	assert_span(fields.mechanism, "PLAIN");
	assert_true(fields.secured && fields.has_address && !fields.bad_address);
	assert_memory_equal(fields.address, four, 16);
	assert_int_equal(fields.port, 4711);
	assert_true(fields.has_response);
	assert_span(fields.response, "AGE=\tb"); /* the last: all of the rest */
}

static void test_without_parameters(void **state)
{
	(void)state;
	assert_int_equal(parse("AUTH\t0\tLOGIN"), FIELDS_AUTH);
	assert_false(fields.secured || fields.has_address || fields.has_response);
	assert_true(fields_is_local(fields.address));
	assert_int_equal(parse("AUTH\t1\tPLAIN\tresp="), FIELDS_AUTH);
	assert_false(fields.has_response);
	assert_int_equal(fields.response.size, 0);
	assert_int_equal(parse("AUTH\t1\tPLAIN\tresp=="), FIELDS_AUTH);
	assert_true(fields.has_response);
	assert_int_equal(fields.response.size, 0);
	assert_int_equal(parse("AUTH\t1\tPLAIN\tsecured=tls"), FIELDS_AUTH);
	assert_true(fields.secured);
	assert_int_equal(parse("AUTH\t1\tPLAIN\tsecuredish"), FIELDS_AUTH);
	assert_false(fields.secured);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *line;
		bool local, bad;
	} rows[] = {
		{"AUTH\t1\tP\trip=127.1.2.3", true, false},
		{"AUTH\t1\tP\trip=::1", true, false},
		{"AUTH\t1\tP\trip=unknown", true, false},
		{"AUTH\t1\tP\trip=::ffff:192.0.2.1", false, false},
		{"AUTH\t1\tP\trip=fe80::1%eth0", false, false},
		{"AUTH\t1\tP\trip=2001:db8::1", false, false},
		{"AUTH\t1\tP\trip=192.0.2.256", true, true},
		{"AUTH\t1\tP\trip=", true, true},
		{"AUTH\t1\tP\trip=mail.example.org", true, true},
		{"AUTH\t1\tP\trip=1111:2222:3333:4444:5555:6666:7777:8888:9999:0", true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].line), FIELDS_AUTH);
		assert_int_equal(fields_is_local(fields.address), rows[i].local);
		assert_int_equal(fields.bad_address, rows[i].bad);
	}
}

static void test_other_lines(void **state)
{
	static const struct {
		const char *line;
		enum fields_line kind;
	} rows[] = {
		{"VERSION\t1\t0", FIELDS_VERSION},
		{"VERSION\t1", FIELDS_VERSION},
		{"VERSION\t2\t0", FIELDS_BAD},
		{"VERSION", FIELDS_BAD},
		{"CPID\t4711", FIELDS_CPID},
		{"CPID\t-1", FIELDS_BAD},
		{"CPID\t4294967296", FIELDS_BAD},
		{"AUTH", FIELDS_BAD},
		{"AUTH\t\tPLAIN", FIELDS_BAD},
		{"AUTH\t4294967296\tPLAIN", FIELDS_BAD},
		{"CONT\t7\t", FIELDS_CONT},
		{"CONT\tx\t", FIELDS_BAD},
		{"CANCEL\t7", FIELDS_CANCEL},
		{"CANCEL", FIELDS_BAD},
		{"", FIELDS_OTHER},
		{"GET / HTTP/1.1", FIELDS_OTHER},
		{"auth\t1\tPLAIN", FIELDS_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(parse(rows[i].line), rows[i].kind);
	assert_int_equal(parse("CONT\t7\tYWJj"), FIELDS_CONT);
	assert_span(fields.response, "YWJj");
}

static void test_escaping(void **state)
{
	const char text[] = "a\tb\nc\rd\001e\0f";
	char buf[64];
	size_t n;

	(void)state;
	n = fields_escape((pop3_span){text, sizeof(text) - 1}, buf, sizeof(buf));
	assert_span((pop3_span){buf, n}, "a\001tb\001nc\001rd\0011e\0010f");
	n = fields_escape(SPAN_LITERAL("\t\t\t"), buf, 5); /* no half of one */
	assert_span((pop3_span){buf, n}, "\001t\001t");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_exchange), cmocka_unit_test(test_without_parameters),
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_other_lines),
		cmocka_unit_test(test_escaping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
