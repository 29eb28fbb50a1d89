/* Pages and DNS as `valija fetch setup` reads them, and sections as it writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "fetch/setup/autoconfig.h"
#include "fetch/setup/dns.h"
#include "fetch/setup/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE(servers) "<clientConfig><emailProvider>" servers "</emailProvider></clientConfig>"
#define SERVER(type, fields) "<incomingServer type='" type "'>" fields "</incomingServer>"
#define HOST(name, kind) "<hostname>" name "</hostname><socketType>" kind "</socketType>"

static void pages(void **state)
{
	static const struct {
		const char *xml, *host, *user;
		int rc;
		bool tokens;
	} cases[] = {
		{PAGE(SERVER("pop3", HOST("a.b", "SSL"))), "a.b", "", 1, false},
		{PAGE(SERVER("pop3", HOST("a.b", "STARTTLS")) SERVER("pop3", HOST("c.d", "SSL"))),
		 "c.d", "", 1, false},
		{PAGE(SERVER("pop3", HOST("a.b", "SSL")) SERVER("pop3", HOST("c.d", "SSL"))), "a.b",
		 "", 1, false},
		{PAGE(SERVER(
			 "pop3",
			 HOST("a.b", "SSL") "<username>%EMAILLOCALPART%/%EMAILDOMAIN%</username>")),
		 "a.b", "anna/example.org", 1, false},
		{PAGE(SERVER("pop3", HOST("a.b", "SSL") "<username>%EMAILADDRESS%</username>"
							"<authentication>OAuth2</authentication>")),
		 "a.b", "anna@example.org", 1, true},
		{PAGE(SERVER("pop3", HOST("a.b", "SSL") "<authentication>OAuth2</authentication>"
							"<authentication>password-cleartext"
							"</authentication>")),
		 "a.b", "", 1, false},
		{PAGE(SERVER("pop3", HOST("a.b", "plain"))), "", "", 0, false},
		{PAGE(SERVER("pop3", "<hostname>a.b</hostname>")), "", "", 0, false},
		{PAGE(SERVER("imap", HOST("a.b", "SSL"))), "", "", 0, false},
		{PAGE(SERVER("pop3", HOST("-oProxy", "SSL"))), "", "", 0, false},
		{PAGE(SERVER("pop3", HOST("a b", "SSL"))), "", "", 0, false},
		{"<other>" SERVER("pop3", HOST("a.b", "SSL")) "</other>", "", "", -1, false},
		{"<!DOCTYPE a>" PAGE(SERVER("pop3", HOST("a.b", "SSL"))), "", "", -1, false},
		{PAGE(SERVER("pop3", HOST("a.b", "SSL"))) "x", "", "", -1, false},
		{"", "", "", -1, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct found found = {0};

		assert_int_equal(autoconfig_read(span_of(cases[i].xml), "anna@example.org", &found),
				 cases[i].rc);
		assert_string_equal(found.host, cases[i].host);
		assert_string_equal(found.user, cases[i].user);
		assert_int_equal(found.tokens_only, cases[i].tokens);
	}
}

static void a_page_with_long_fields(void **state)
{
	char *xml = malloc(5000), *name = malloc(400);
	struct found found = {0};

	(void)state;
	assert_true(xml && name);
	memset(name, 'a', 399);
	name[399] = '\0';
	snprintf(xml, 5000, PAGE(SERVER("pop3", HOST("%s", "SSL"))), name);
	assert_int_equal(autoconfig_read(span_of(xml), "a@b", &found), 0);
	snprintf(xml, 5000, PAGE(SERVER("pop3", HOST("h", "SSL") "<username>%s</username>")), name);
	assert_int_equal(autoconfig_read(span_of(xml), "a@b", &found), 1);
	assert_string_equal(found.user, "");
	free(xml);
	free(name);
}

/* An answer of DNS: one record of a type with these octets. */
static size_t answer(unsigned char *out, unsigned type, const char *data, size_t size)
{
	static const unsigned char head[] = {0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0,
					     0, 0, 1,    'x',  0, 0, 0, 0, 1};
	const unsigned char record[] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0,
					0,    9,  0, (unsigned char)size};

	memcpy(out, head, sizeof(head));
	out[sizeof(head) - 3] = (unsigned char)type;
	memcpy(out + sizeof(head), record, sizeof(record));
	memcpy(out + sizeof(head) + sizeof(record), data, size);
	return sizeof(head) + sizeof(record) + size;
}

static void records(void **state)
{
	static const char good[] = "\0\1\0\2\3\343\3pop\1a\0", dot[] = "\0\0\0\0\0\0\0";
	static const char bad_name[] = "\0\1\0\2\3\343\3p;p\1a\0", cut[] = "\0\1\0\2\3";
	struct dns_target target;
	unsigned char octets[200];
	size_t n;

	(void)state;
	n = answer(octets, 33, good, sizeof(good) - 1);
	assert_int_equal(dns_srv_read((pop3_span){(char *)octets, n}, &target), 1);
	assert_string_equal(target.name, "pop.a");
	assert_int_equal(target.port, 995);
	assert_int_equal(dns_mx_read((pop3_span){(char *)octets, n}, &target), 0);
	assert_int_equal(dns_srv_read((pop3_span){(char *)octets, n - 1}, &target), -1);
	n = answer(octets, 33, dot, sizeof(dot) - 1);
	assert_int_equal(dns_srv_read((pop3_span){(char *)octets, n}, &target), 1);
	assert_string_equal(target.name, "");
	n = answer(octets, 33, bad_name, sizeof(bad_name) - 1);
	assert_int_equal(dns_srv_read((pop3_span){(char *)octets, n}, &target), 0);
	n = answer(octets, 33, cut, sizeof(cut) - 1);
	assert_int_equal(dns_srv_read((pop3_span){(char *)octets, n}, &target), 0);
	n = answer(octets, 15, "\0\5\1m\1a\0", 7);
	assert_int_equal(dns_mx_read((pop3_span){(char *)octets, n}, &target), 1);
	assert_string_equal(target.name, "m.a");
}

static void sections(void **state)
{
	struct section_text *text = calloc(1, sizeof(*text));

	(void)state;
	assert_non_null(text);
	section_open(text, "account", "a\"b");
	section_set(text, "to", "x\\y$z");
	section_set(text, "empty", "");
	section_set(text, "none", NULL);
	section_close(text);
	assert_string_equal(text->text, "\naccount 'a\"b' {\n\tto = 'x\\\\y$z'\n}\n");
	for (int i = 0; i < 5000; i++)
		section_set(text, "key", "value");
	assert_true(text->full && strlen(text->text) < WRITE_TEXT_MAX);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages),
		cmocka_unit_test(a_page_with_long_fields),
		cmocka_unit_test(records),
		cmocka_unit_test(sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
