/* SipHash-2-4 gives the values of its authors' vectors. */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct siphash_key counted_key(void)
{
	unsigned char octets[SIPHASH_KEY_SIZE];

	for (unsigned i = 0; i < sizeof(octets); i++)
		octets[i] = (unsigned char)i;
	return siphash_key_of(octets);
}

static void test_vectors(void **state)
{
	static const struct {
		size_t size;
		uint64_t value;
	} rows[] = {{0, 0x726fdb47dd0e0e31u},
		    {1, 0x74f839c593dc67fdu},
		    {7, 0xab0200f58b01d137u},
		    {8, 0x93f5f5799a932462u},
		    {15, 0xa129ca6149be45e5u}};
	struct siphash_key key = counted_key();
	unsigned char octets[16];

	(void)state;
	for (unsigned i = 0; i < sizeof(octets); i++)
		octets[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_true(siphash(&key, octets, rows[i].size) == rows[i].value);
}

static void test_a_number_is_its_octets(void **state)
{
	static const unsigned char octets[] = {8, 7, 6, 5, 4, 3, 2, 1};
	struct siphash_key key = counted_key();

	(void)state;
	assert_true(siphash_number(&key, 0x0102030405060708u) == siphash(&key, octets, 8));
}

static void test_another_key_another_value(void **state)
{
	struct siphash_key key = counted_key(), other = key;

	(void)state;
	other.words[1] ^= 1;
	assert_false(siphash(&key, "anna", 4) == siphash(&other, "anna", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_a_number_is_its_octets),
		cmocka_unit_test(test_another_key_another_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
