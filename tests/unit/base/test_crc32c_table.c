/* CRC-32C: the table, which only processors without the instruction use, and the instruction agree;
 * else an index would be damaged for another machine. Its functions are seen from inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.c"

static void test_published(void **state)
{
	(void)state;
	assert_int_equal(~crc_table(~0u, (const unsigned char *)"123456789", 9), 0xe3069283);
	assert_int_equal(~crc_table(~0u, (const unsigned char *)"", 0), 0);
}

static void test_the_table_and_the_instruction_agree(void **state)
{
#if defined(__x86_64__)
	static unsigned char data[3 * 3 * RUN + 64];
	static const size_t sizes[] = {3 * RUN - 1, 3 * RUN, 3 * RUN + 9, 2 * 3 * RUN + 7};

	(void)state;
	if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul"))
		skip(); /* the table is all there is */
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * i >> 5 ^ i * 7);
	for (size_t from = 0; from < 16; from++) {
		for (size_t n = 0; n <= 300; n++)
			for (uint32_t crc = 0; crc < 2; crc++)
				assert_int_equal(crc_table(crc - 1, data + from, n),
						 crc_sse42(crc - 1, data + from, n));
		for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++)
			assert_int_equal(crc_table(from, data + from, sizes[k]),
					 crc_sse42(from, data + from, sizes[k]));
	}
#else
	(void)state;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_the_table_and_the_instruction_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
