/* The header of the PROXY protocol: each header whole, octet by octet and with what follows it;
 * what is none. */
#include "server/proxy_header.h"

#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR_LEN "\0\x0c"
#define FOUR                                                                                   \
	"\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\0\x6e" /* 192.0.2.1:56324 → 198.51.100.1:110 \
							*/
#define V2(text) text, sizeof(text) - 1

static const uint8_t client[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};

static enum proxy_status take(struct proxy_header *header, const char *text, size_t size,
			      size_t piece, size_t *ret_used)
{
	enum proxy_status status = PROXY_MORE;
	size_t at = 0, used;

	memset(header, 0, sizeof(*header));
	while (at < size && status == PROXY_MORE) {
		size_t n = size - at < piece ? size - at : piece;

		status = proxy_header_take(header, (const uint8_t *)text + at, n, &used);
		assert_true(used <= n && (status != PROXY_MORE || used == n));
		at += used;
	}
	*ret_used = at;
	return status;
}

/* Good whole, in pieces of every size, and with octets of the client behind it, which stay. */
static struct proxy_header good(const char *text, size_t size)
{
	struct proxy_header first, header;
	char *more = malloc(size + 5);
	size_t used;

	assert_int_equal(take(&first, text, size, size, &used), PROXY_DONE);
	assert_int_equal(used, size);
	for (size_t piece = 1; piece < size; piece++) {
		assert_int_equal(take(&header, text, size, piece, &used), PROXY_DONE);
		assert_int_equal(used, size);
		assert_memory_equal(&header, &first, sizeof(first));
	}
	for (size_t cut = 1; cut < size; cut++)
		assert_int_equal(take(&header, text, cut, cut, &used), PROXY_MORE);
	memcpy(more, text, size);
	memcpy(more + size, "USER\n", 5);
	assert_int_equal(take(&header, more, size + 5, size + 5, &used), PROXY_DONE);
	assert_int_equal(used, size);
	free(more);
	return first;
}

static void bad(const char *text, size_t size)
{
	struct proxy_header header;
	size_t used;

	assert_int_equal(take(&header, text, size, size, &used), PROXY_BAD);
	assert_int_equal(take(&header, text, size, 1, &used), PROXY_BAD);
}

static void good_line(const char *text, const uint8_t *address, unsigned port)
{
	struct proxy_header header = good(text, strlen(text));

	assert_int_equal(header.local, address == NULL);
	if (!address)
		return;
	assert_memory_equal(header.address, address, 16);
	assert_int_equal(header.port, port);
	assert_false(header.tls);
}

static void test_lines_of_version_1(void **state)
{
	static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};

	(void)state;
	good_line("PROXY TCP4 192.0.2.1 198.51.100.1 56324 110\r\n", client, 56324);
	good_line("PROXY TCP4 192.0.2.1 198.51.100.1 0 65535\r\n", client, 0);
	good_line("PROXY TCP6 2001:db8::7 ::1 65535 995\r\n", six, 65535);
	good_line("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 995\r\n", client, 1);
	good_line("PROXY UNKNOWN\r\n", NULL, 0);
	good_line("PROXY UNKNOWN ffff:f...f:ffff whatever this is\r\n", NULL, 0);
	/* the longest there may be: 107 octets */
	good_line("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  NULL, 0);
}

static void test_lines_that_are_none(void **state)
{
	static const char *const lines[] = {
		"USER anna\r\n",
		"\x16\x03\x01\x02",
		"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
		"PROXYTCP4 192.0.2.1 198.51.100.1 1 2\r\n",
		"PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
		"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\r\n",
		"PROXY TCP4 192.0.2.1\r198.51.100.1 1 2\r\n",
		"PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
		"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
		"PROXY TCP4 2001:db8::7 198.51.100.1 1 2\r\n",
		"PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
		"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
		"PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
		"PROXY TCP4\r\n",
		"PROXY \r\n",
		"PROXY\r\n",
		"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		bad(lines[i], strlen(lines[i]));
	bad(V2("PROXY TCP4 192.0.2.1\0 198.51.100.1 1 2\r\n"));
}

static void test_addresses_of_version_2(void **state)
{
	static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
	struct proxy_header header = good(V2(SIGNATURE "\x21\x11" FOUR_LEN FOUR));
	char unix_path[16 + 216];

	(void)state;
	assert_false(header.local);
	assert_memory_equal(header.address, client, 16);
	assert_int_equal(header.port, 56324);
	header = good(V2(SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
				   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\0\x6e"));
	assert_memory_equal(header.address, six, 16);
	assert_int_equal(header.port, 56324);
	memset(unix_path, 'p', sizeof(unix_path));
	memcpy(unix_path, SIGNATURE "\x21\x31\0\xd8", 16);
	assert_true(good(unix_path, sizeof(unix_path)).local);
}

static void test_connections_of_the_proxy_itself(void **state)
{
	(void)state;
	assert_true(good(V2(SIGNATURE "\x20\0\0\0")).local);
	assert_true(good(V2(SIGNATURE "\x20\x11" FOUR_LEN FOUR)).local);
	assert_true(good(V2(SIGNATURE "\x20\xff\0\x05xxxxx")).local);
	assert_true(good(V2(SIGNATURE "\x21\0\0\0")).local);
	assert_true(good(V2(SIGNATURE "\x21\0\0\x04\x04\0\x01x")).local);
}

static void test_headers_of_version_2_that_are_none(void **state)
{
	(void)state;
	bad(V2("\r\n\r\n\0\r\nQUIX\n\x21\x11" FOUR_LEN FOUR));
	bad(V2("\r\n\r\nUSER"));
	bad(V2(SIGNATURE "\x11\x11" FOUR_LEN FOUR)); /* version 1 in the form of 2 */
	bad(V2(SIGNATURE "\x31\x11" FOUR_LEN FOUR));
	bad(V2(SIGNATURE "\x22\x11" FOUR_LEN FOUR)); /* an unknown command */
	bad(V2(SIGNATURE "\x21\x12" FOUR_LEN FOUR)); /* UDP */
	bad(V2(SIGNATURE "\x21\x41" FOUR_LEN FOUR)); /* an unknown family */
	bad(V2(SIGNATURE "\x21\x11\0\x0b" FOUR));    /* shorter than its addresses */
	bad(V2(SIGNATURE "\x21\x21" FOUR_LEN FOUR));
	bad(V2(SIGNATURE "\x21\x11\0\0"));
	bad(V2(SIGNATURE "\x21\x11\0\x0d" FOUR "\x04"));        /* a cut TLV */
	bad(V2(SIGNATURE "\x21\x11\0\x0e" FOUR "\x04\0"));      /* the same */
	bad(V2(SIGNATURE "\x21\x11\0\x10" FOUR "\x04\0\x02x")); /* longer than the header */
	bad(V2(SIGNATURE "\x21\x11\0\x13" FOUR "\x20\0\x04\x01\0\0\0")); /* TLS without verify */
}

/* PP2_TYPE_SSL: client 1, verify 0, then parts. */
#define TLS_HEAD "\x20\0\x0f\x01\0\0\0\0"
#define VERSION "\x21\0\x07TLSv1.3"

static void test_what_it_says_of_tls(void **state)
{
	struct proxy_header header = good(V2(SIGNATURE "\x21\x11\0\x1e" FOUR TLS_HEAD VERSION));

	(void)state;
	assert_true(header.tls);
	assert_string_equal(header.tls_version, "TLSv1.3");
	/* in front of and behind other TLVs and parts; an empty one of each */
	header = good(V2(SIGNATURE "\x21\x11\0\x2b" FOUR "\x04\0\x01x"
				   "\x20\0\x12\x01\0\0\0\0\x23\0\0" VERSION "\x05\0\0\x30\0\0"));
	assert_true(header.tls);
	assert_string_equal(header.tls_version, "TLSv1.3");
	/* the client did not use TLS */
	header = good(V2(SIGNATURE "\x21\x11\0\x14" FOUR "\x20\0\x05\0\0\0\0\0"));
	assert_false(header.tls);
	/* a version without end is cut */
	header = good(V2(SIGNATURE "\x21\x11\0\x2b" FOUR "\x20\0\x1c\x01\0\0\0\0"
				   "\x21\0\x14"
				   "TLSv1.3.TLSv1.3.TLSv"));
	assert_string_equal(header.tls_version, "TLSv1.3.TLSv1.3");
	bad(V2(SIGNATURE "\x21\x11\0\x1e" FOUR "\x20\0\x0f\x01\0\0\0\0\x21\0\x08TLSv1.3"));
	bad(V2(SIGNATURE "\x21\x11\0\x15" FOUR "\x20\0\x06\x01\0\0\0\0\x21"));
	bad(V2(SIGNATURE "\x21\x11\0\x1c" FOUR "\x20\0\x05\x01\0\0\0\0"
			 "\x20\0\x05\0\0\0\0\0")); /* twice */
}

static void test_its_checksum(void **state)
{
	char text[] = SIGNATURE "\x21\x11\0\x17" FOUR "\x03\0\x04\0\0\0\0\x04\0\x01x";
	const size_t size = sizeof(text) - 1;
	uint32_t crc = crc32c(0, text, size);

	(void)state;
	for (int i = 0; i < 4; i++)
		text[31 + i] = (char)(crc >> (24 - 8 * i));
	good(text, size);
	for (size_t i = 16; i < size; i++) { /* one octet of it is another */
		struct proxy_header header;
		size_t used;

		if (i >= 28 && i < 31)
			continue; /* the head of the TLV itself */
		text[i] ^= 1;
		assert_int_not_equal(take(&header, text, size, size, &used), PROXY_DONE);
		text[i] ^= 1;
	}
	bad(V2(SIGNATURE "\x21\x11\0\x12" FOUR "\x03\0\x03\0\0\0"));
	bad(V2(SIGNATURE "\x21\x11\0\x1a" FOUR "\x03\0\x04\0\0\0\0\x03\0\x04\0\0\0\0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_version_1),
		cmocka_unit_test(test_lines_that_are_none),
		cmocka_unit_test(test_addresses_of_version_2),
		cmocka_unit_test(test_connections_of_the_proxy_itself),
		cmocka_unit_test(test_headers_of_version_2_that_are_none),
		cmocka_unit_test(test_what_it_says_of_tls),
		cmocka_unit_test(test_its_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
