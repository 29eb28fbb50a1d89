/* CRC-32C: published values, and the same sum however the octets are split and aligned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"

/* RFC 3720 B.4 and the check value of the catalogues. */
static void test_published(void **state)
{
	unsigned char block[32];

	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
	memset(block, 0, sizeof(block));
	assert_int_equal(crc32c(0, block, sizeof(block)), 0x8a9136aa);
	memset(block, 0xff, sizeof(block));
	assert_int_equal(crc32c(0, block, sizeof(block)), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		block[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, block, sizeof(block)), 0x46dd794e);
}

/* A bit at a time: what the table and the processor's instruction must agree with. */
static uint32_t model(const unsigned char *p, size_t n)
{
	uint32_t crc = ~0u;

	while (n--) {
		crc ^= *p++;
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

static void test_splits(void **state)
{
	unsigned char data[80];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 37 + 11);
	for (size_t from = 0; from < 9; from++) {
		for (size_t n = 0; from + n <= sizeof(data); n++) {
			uint32_t want = model(data + from, n);

			assert_int_equal(crc32c(0, data + from, n), want);
			assert_int_equal(crc32c(crc32c(0, data + from, n / 3), data + from + n / 3,
						n - n / 3),
					 want);
		}
	}
}

/* Around the lengths that go in several runs at once. */
static void test_long(void **state)
{
	static const size_t sizes[] = {1360, 2720, 4079, 4080, 4081, 4092, 8159, 8160, 8190};
	static unsigned char data[8200];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * i >> 3 ^ i);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
		for (size_t from = 0; from < 9; from += 3) {
			uint32_t want = model(data + from, sizes[k]);

			assert_int_equal(crc32c(0, data + from, sizes[k]), want);
			assert_int_equal(
				crc32c(crc32c(0, data + from, 16), data + from + 16, sizes[k] - 16),
				want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
