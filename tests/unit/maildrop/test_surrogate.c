/* Surrogates of headers: what is written of each kind of field, and that it has the size. */
#include "maildrop_test.h"

#include "maildrop/surrogate.h"

#include <pop3/message.h>

static char out[4096];

static uint64_t on_wire(const char *text, size_t size)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, (pop3_span){text, size});
	pop3_counter_finish(&counter);
	return counter.octets;
}

/* The surrogate of a message's header. */
static const char *of(const char *message)
{
	pop3_span header = {message, 0};
	size_t size;

	header.size = surrogate_header((pop3_span){message, strlen(message)});
	size = surrogate_size(header);
	assert_true(size < sizeof(out));
	assert_int_equal(surrogate_write(header, out), 0);
	assert_int_equal(on_wire(out, size), on_wire(message, header.size));
	out[size] = '\0';
	for (size_t i = 0; i < size; i++)
		assert_true(out[i] > 0);
	return out;
}

/* Somewhere in it, and how often. */
static unsigned has(const char *message, const char *part)
{
	const char *at = of(message);
	unsigned count = 0;

	while ((at = strstr(at, part))) {
		at += strlen(part);
		count++;
	}
	return count;
}

#define TRACE                                                                              \
	"Received: from a.example by b.example with UTF8LMTP id 1\n\tfor <jos\xc3\xa9@x>;" \
	" Thu, 1 Jan 2026 00:00:00 +0000\n"
#define PLAIN_TRACE                                                     \
	"Received: from c.example by d.example with ESMTP id 2; Thu, 1" \
	" Jan 2026 00:00:00 +0000\n"

static void fields(void **state)
{
	(void)state;
	/* base64 of ñandú is w7FhbmTDug==, of José Sm9zw6k= */
	assert_string_equal(of("Received: \xc3\xb1 12345678901234567890123456789\nA: b\n"
			       "Subject: \xc3\xb1"
			       "and\xc3\xba\n\nbody \xc3\xb1\n"),
			    "A: b\r\nSubject: =?utf-8?B?w7FhbmTDug==?=\r\n"
			    "X-Filler: xxxxxxxxxxxxxxx\r\n\r\n");
	assert_int_equal(has(TRACE "From: Jos\xc3\xa9 <ana@x>\n\n",
			     "From: =?utf-8?B?Sm9zw6k=?= <ana@x>\r\n"),
			 1);
	assert_int_equal(
		has(TRACE "To: \"Jos\xc3\xa9\" <jos\xc3\xa9@x>,\n Ana <ana@x>\n\n",
		    "To: =?utf-8?B?Sm9zw6k=?= <utf8@address.invalid>,\r\n Ana <ana@x>\r\n"),
		1);
	/* without a name, the address is to be read */
	assert_int_equal(has(TRACE "To: jos\xc3\xa9@x\n\n",
			     "To: =?utf-8?B?am9zw6lAeA==?= <utf8@address.invalid>\r\n"),
			 1);
	assert_int_equal(
		has(TRACE "Cc: \"a, \xc3\xb1\" <a@x>, (b, c) b@x\n\n", ",\r\n (b, c) b@x\r\n"), 1);
	assert_int_equal(has(TRACE "X-A: \xc3\xb1\n\n", "X-A"), 0);
	assert_int_equal(has(TRACE "Content-Type: a/b;\n name=\"\xc3\xb1@.pdf\"\n\n",
			     "Content-Type: a/b;\r\n name=\"???.pdf\"\r\n"),
			 1);
}

static void received_gives_way(void **state)
{
	(void)state;
	assert_int_equal(has(PLAIN_TRACE PLAIN_TRACE "Subject: \xc3\xb1\n\n", "Received"), 1);
	assert_int_equal(has(PLAIN_TRACE PLAIN_TRACE "Subject: \xc3\xb1\n\n", "utf-8"), 1);
	assert_int_equal(has(PLAIN_TRACE TRACE "Subject: \xc3\xb1\n\n", "Received"), 1);
}

/* Where nothing gives way: the size is kept, and no address is made of another one. */
static void no_room(void **state)
{
	(void)state;
	assert_string_equal(of("Subject: \xc3\xb1!\n\nb\n"), "Subject: ?\?!\r\n\r\n");
	assert_string_equal(of("From: \xc3\xb1@x\nTo: a@b\n\n"), "From: ???x\r\nTo: a@b\r\n\r\n");
	assert_string_equal(of("X: \xc3\xb1\r\n\r\n"), "X: ??\r\n\r\n");
	assert_string_equal(of("X-Long-Enough: \xc3\xb1\n"), "X-Filler: xxxxxxx\r\n");
	assert_string_equal(of("\xc3\xb1\n"), "??\r\n");
	assert_string_equal(of("X-Long-Enough: \xc3\xb1"), "X-Long-Enough: ??"); /* no line end */
}

static void long_words(void **state)
{
	char message[1200] = TRACE TRACE TRACE TRACE TRACE "Subject: ";
	size_t at = strlen(message);

	(void)state;
	for (int i = 0; i < 60; i++)
		at += (size_t)snprintf(message + at, sizeof(message) - at, "\xe2\x82\xac%s",
				       i % 7 ? "" : "x");
	snprintf(message + at, sizeof(message) - at, "\n\n");
	assert_true(has(message, "=?utf-8?B?") > 3);
	for (const char *line = out; *line; line = strchr(line, '\n') + 1)
		assert_true(strchr(line, '\n') - line <= 90);
}

/* Every size of what is left over gets a filler, or none. */
static void fillers(void **state)
{
	char message[1000];

	(void)state;
	for (int n = 0; n < 400; n++) {
		snprintf(message, sizeof(message), "Subject: \xc3\xb1\nX-%0*d: \xc3\xb1\n\n", n + 1,
			 0);
		(void)of(message);
		assert_int_equal(surrogate_header((pop3_span){out, strlen(out)}), strlen(out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),  cmocka_unit_test(received_gives_way),
		cmocka_unit_test(no_room), cmocka_unit_test(long_words),
		cmocka_unit_test(fillers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
