/* See fields.h. */
#include "server/mta/fields.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* The octets up to the next tab; they are taken from *line. */
static pop3_span next_field(pop3_span *line)
{
	const char *tab = line->size ? memchr(line->data, '\t', line->size) : NULL;
	pop3_span field = {line->data, tab ? (size_t)(tab - line->data) : line->size};
	size_t taken = field.size + (tab != NULL);

	line->data += taken;
	line->size -= taken;
	return field;
}

static bool begins(pop3_span field, const char *name, pop3_span *ret)
{
	size_t n = strlen(name);

	if (field.size < n || memcmp(field.data, name, n) != 0)
		return false;
	*ret = (pop3_span){field.data + n, field.size - n};
	return true;
}

static int read_number(pop3_span field, uint32_t *ret)
{
	uint64_t number;

	if (span_number(field, UINT32_MAX, &number) < 0)
		return -1;
	*ret = (uint32_t)number;
	return 0;
}

static void read_address(pop3_span text, struct fields *ret)
{
	char copy[INET6_ADDRSTRLEN];

	if (span_equal(text, SPAN_LITERAL("unknown")))
		return;
	ret->has_address = true;
	if (span_copy(text, copy, sizeof(copy)) == 0) {
		copy[strcspn(copy, "%")] = '\0'; /* the interface of a link-local address */
		if (inet_pton(AF_INET6, copy, ret->address) == 1)
			return;
		memcpy(ret->address, mapped, sizeof(mapped));
		if (inet_pton(AF_INET, copy, ret->address + sizeof(mapped)) == 1)
			return;
	}
	memset(ret->address, 0, sizeof(ret->address));
	ret->bad_address = true;
}

bool fields_is_local(const uint8_t address[16])
{
	static const uint8_t none[16], six[16] = {[15] = 1};

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return address[12] == 127;
	return memcmp(address, none, 16) == 0 || memcmp(address, six, 16) == 0;
}

/* The response may hold anything, so it is the last one. */
static void read_parameters(pop3_span line, struct fields *ret)
{
	pop3_span value;
	uint64_t port;

	while (line.size) {
		if (begins(line, "resp=", &value)) {
			/* "=" is SMTP's form of an empty one (RFC 4954 section 4); Exim sends
			 * nothing where its client sent none */
			ret->has_response = value.size > 0;
			if (!span_equal(value, SPAN_LITERAL("=")))
				ret->response = value;
			return;
		}
		pop3_span field = next_field(&line);

		if (span_equal(field, SPAN_LITERAL("secured")) || begins(field, "secured=", &value))
			ret->secured = true;
		else if (begins(field, "rip=", &value))
			read_address(value, ret);
		else if (begins(field, "rport=", &value) && span_number(value, 65535, &port) == 0)
			ret->port = (uint16_t)port;
	}
}

static enum fields_line read_auth(pop3_span line, struct fields *ret)
{
	if (read_number(next_field(&line), &ret->id) < 0)
		return FIELDS_BAD;
	ret->mechanism = next_field(&line);
	read_parameters(line, ret);
	return FIELDS_AUTH;
}

enum fields_line fields_parse(pop3_span line, struct fields *ret)
{
	pop3_span command = next_field(&line);

	*ret = (struct fields){.response = {"", 0}};
	if (span_equal(command, SPAN_LITERAL("AUTH")))
		return read_auth(line, ret);
	if (span_equal(command, SPAN_LITERAL("CONT"))) {
		if (read_number(next_field(&line), &ret->id) < 0)
			return FIELDS_BAD;
		ret->response = line;
		return FIELDS_CONT;
	}
	if (span_equal(command, SPAN_LITERAL("CANCEL")))
		return read_number(next_field(&line), &ret->id) < 0 ? FIELDS_BAD : FIELDS_CANCEL;
	if (span_equal(command, SPAN_LITERAL("VERSION")))
		return span_equal(next_field(&line), SPAN_LITERAL("1")) ? FIELDS_VERSION
									: FIELDS_BAD;
	if (span_equal(command, SPAN_LITERAL("CPID")))
		return read_number(next_field(&line), &ret->id) < 0 ? FIELDS_BAD : FIELDS_CPID;
	return FIELDS_OTHER;
}

size_t fields_escape(pop3_span text, char *buf, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < text.size && used + 2 <= size; i++) {
		char as = '\0';

		switch (text.data[i]) {
		case '\0':
			as = '0';
			break;
		case '\001':
			as = '1';
			break;
		case '\t':
			as = 't';
			break;
		case '\r':
			as = 'r';
			break;
		case '\n':
			as = 'n';
			break;
		}
		if (as) {
			buf[used++] = '\001';
			buf[used++] = as;
		} else {
			buf[used++] = text.data[i];
		}
	}
	return used;
}
