/* See names.h. Names come from the network and from files: all are hostile. */
#include "users/names.h"

#include "base/text.h"
#include "lmtp/address.h"

#include <string.h>

const char names_unaddressable[] =
	"an address is UTF-8 without control characters, with a domain behind \"@\"";

static unsigned char fold(char octet)
{
	unsigned char c = (unsigned char)octet;

	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

pop3_span user_name_key(pop3_span name, char *buf)
{
	for (size_t i = 0; i < name.size; i++)
		buf[i] = (char)fold(name.data[i]);
	return (pop3_span){buf, name.size};
}

bool user_name_same(pop3_span a, pop3_span b)
{
	if (span_equal(a, b))
		return true;
	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++)
		if (fold(a.data[i]) != fold(b.data[i]))
			return false;
	return true;
}

uint32_t user_name_hash(pop3_span name)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < name.size; i++)
		hash = (hash ^ fold(name.data[i])) * 16777619u;
	return hash ^ hash >> 15;
}

bool user_name_valid(pop3_span name)
{
	/* a set of octets: up to blank, "/" and ":", DEL */
	static const uint64_t refused[4] = {(1ull << 33) - 1 + (1ull << '/') + (1ull << ':'),
					    1ull << (0x7f - 64), 0, 0};

	if (name.size == 0 || name.size > USER_NAME_MAX || strchr("-.#", name.data[0]))
		return false;
	if (text_mark_size(name))
		return false;
	for (size_t i = 0; i < name.size; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (refused[c >> 6] >> (c & 63) & 1)
			return false;
	}
	return true;
}

static bool is_ascii(pop3_span text)
{
	unsigned char all = 0;

	for (size_t i = 0; i < text.size; i++)
		all |= (unsigned char)text.data[i];
	return all < 0x80;
}

static bool is_address(pop3_span text)
{
	struct lmtp_address address;

	return lmtp_address_check(text, true, true, &address) == LMTP_ADDRESS_OK;
}

/* The local part in quotes, for what is not atoms and dots (RFC 5321 section 4.1.2). */
static bool is_address_in_quotes(pop3_span name, size_t local)
{
	char quoted[2 * USER_NAME_MAX + 2];
	size_t n = 0;

	quoted[n++] = '"';
	for (size_t i = 0; i < local; i++) {
		if (name.data[i] == '"' || name.data[i] == '\\')
			quoted[n++] = '\\';
		quoted[n++] = name.data[i];
	}
	quoted[n++] = '"';
	memcpy(quoted + n, name.data + local, name.size - local);
	return is_address((pop3_span){quoted, n + name.size - local});
}

bool user_name_addressable(pop3_span name)
{
	const char *at = name.size ? memrchr(name.data, '@', name.size) : NULL;
	size_t local = at ? (size_t)(at - name.data) : name.size;

	if (local == 0 || name.size > USER_NAME_MAX)
		return false;
	/* in ASCII only the domain is left to check, as quotes make the rest valid; this fast path
	 * matters: a file of a million names is read at each change */
	if (local <= (LMTP_LOCAL_PART_MAX - 2) / 2 && is_ascii(name))
		return !at || lmtp_domain_valid((pop3_span){at + 1, name.size - local - 1});
	return (is_address(name) && name.data[0] != '"') || is_address_in_quotes(name, local);
}

/* The domain that domain is an alias of; empty: none. */
static pop3_span unaliased(const char *aliases, pop3_span domain)
{
	while (*(aliases += strspn(aliases, " "))) {
		size_t n = strcspn(aliases, " ");
		const char *equals = memchr(aliases, '=', n);

		if (equals &&
		    span_equal_nocase(domain, (pop3_span){aliases, (size_t)(equals - aliases)}))
			return (pop3_span){equals + 1, n - (size_t)(equals + 1 - aliases)};
		aliases += n;
	}
	return (pop3_span){"", 0};
}

pop3_span user_name_unaliased(const struct config *config, pop3_span name,
			      char buf[USER_NAME_MAX + 1])
{
	const char *at = name.size ? memrchr(name.data, '@', name.size) : NULL;
	size_t local = at ? (size_t)(at - name.data) + 1 : 0;
	pop3_span domain;

	if (!at || !config || !config->domain_aliases[0])
		return name;
	domain = unaliased(config->domain_aliases,
			   (pop3_span){name.data + local, name.size - local});
	if (!domain.size || local + domain.size > USER_NAME_MAX)
		return name;
	memcpy(buf, name.data, local);
	memcpy(buf + local, domain.data, domain.size);
	return (pop3_span){buf, local + domain.size};
}
