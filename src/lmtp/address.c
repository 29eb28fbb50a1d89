/*
 * The grammar of mail addresses: checks, takes apart and unquotes (RFC 5321 section 4.1.2, RFC 6531
 * section 3.3). Pure functions on text that is hostile; spans that are returned point into it.
 */
#include "lmtp/address.h"

#include <string.h>

/* Octets of the UTF-8 sequence at s (at most n), 0: none that is valid. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
	static const unsigned char lowest[] = {0, 0, 0xC2, 0xE0, 0xF0};
	size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
	unsigned char low = 0x80, high = 0xBF;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < lowest[length] || s[0] > 0xF4 || n < length)
		return 0;
	/* shortest form only, no surrogates, nothing above U+10FFFF */
	if (s[0] == 0xE0)
		low = 0xA0;
	else if (s[0] == 0xED)
		high = 0x9F;
	else if (s[0] == 0xF0)
		low = 0x90;
	else if (s[0] == 0xF4)
		high = 0x8F;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return length;
}

bool lmtp_utf8_valid(pop3_span text)
{
	const unsigned char *s = (const unsigned char *)text.data;

	for (size_t i = 0, step; i < text.size; i += step)
		if ((step = utf8_sequence(s + i, text.size - i)) == 0)
			return false;
	return true;
}

/* Characters of U+0080–U+009F are control characters to some terminals. */
static bool has_c1_controls(pop3_span text)
{
	for (size_t i = 1; i < text.size; i++)
		if ((unsigned char)text.data[i - 1] == 0xC2 && (unsigned char)text.data[i] < 0xA0)
			return true;
	return false;
}

static bool is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_atext(unsigned char c)
{
	return c >= 0x80 || is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Octets of the local part at the front of text, 0: it is none. Dots may stand anywhere: there are
 * mailboxes called "a..b" and "a.", and not every MTA puts them in quotes. */
static size_t dot_string(pop3_span text)
{
	size_t i = 0;
	bool atom = false;

	for (; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (is_atext(c))
			atom = true;
		else if (c != '.')
			break;
	}
	return atom ? i : 0;
}

static size_t quoted_string(pop3_span text)
{
	for (size_t i = 1; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '"')
			return i + 1;
		if (c == '\\' && (++i == text.size || (unsigned char)text.data[i] >= 0x80))
			return 0;
		c = (unsigned char)text.data[i];
		if (c < 0x20 || c == 0x7F)
			return 0;
	}
	return 0;
}

static bool is_literal(pop3_span domain)
{
	if (domain.size < 3 || domain.data[0] != '[' || domain.data[domain.size - 1] != ']')
		return false;
	for (size_t i = 1; i < domain.size - 1; i++) {
		unsigned char c = (unsigned char)domain.data[i];

		if (!is_alnum(c) && !(c && strchr(".:-", c)))
			return false;
	}
	return true;
}

/* Labels of letters, digits and hyphens; "_" is not in the grammar but in the world. */
static bool is_domain(pop3_span domain)
{
	size_t label = 0;

	for (size_t i = 0; i < domain.size; i++) {
		unsigned char c = (unsigned char)domain.data[i];

		if (c == '.') {
			if (label == 0 || domain.data[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_alnum(c) && c < 0x80 && c != '_' && !(c == '-' && label))
			return false;
		if (++label > 63 && c < 0x80)
			return false;
	}
	return label && domain.data[domain.size - 1] != '-';
}

bool lmtp_domain_valid(pop3_span domain)
{
	return domain.size <= LMTP_DOMAIN_MAX && (is_literal(domain) || is_domain(domain));
}

enum lmtp_address_status lmtp_address_check(pop3_span text, bool bare_local, bool utf8,
					    struct lmtp_address *ret_address)
{
	struct lmtp_address found = {{text.data, 0}, {text.data, 0}};
	bool ascii = true;

	for (size_t i = 0; i < text.size; i++)
		ascii = ascii && (unsigned char)text.data[i] < 0x80;
	if (!ascii && !utf8)
		return LMTP_ADDRESS_NOT_ASCII;
	if (!ascii && (!lmtp_utf8_valid(text) || has_c1_controls(text)))
		return LMTP_ADDRESS_BAD;
	if (text.size == 0)
		return LMTP_ADDRESS_BAD;
	found.local.size = text.data[0] == '"' ? quoted_string(text) : dot_string(text);
	if (found.local.size == 0)
		return LMTP_ADDRESS_BAD;
	if (found.local.size > LMTP_LOCAL_PART_MAX)
		return LMTP_ADDRESS_LONG;
	if (found.local.size == text.size && bare_local) {
		*ret_address = found;
		return LMTP_ADDRESS_OK;
	}
	if (found.local.size == text.size || text.data[found.local.size] != '@')
		return LMTP_ADDRESS_BAD;
	found.domain.data = text.data + found.local.size + 1;
	found.domain.size = text.size - found.local.size - 1;
	if (found.domain.size > LMTP_DOMAIN_MAX)
		return LMTP_ADDRESS_LONG;
	if (!lmtp_domain_valid(found.domain))
		return LMTP_ADDRESS_BAD;
	*ret_address = found;
	return LMTP_ADDRESS_OK;
}

bool lmtp_sender_writable(pop3_span text)
{
	bool quoted = false, escaped = false;

	if (text.size > LMTP_SENDER_MAX || !lmtp_utf8_valid(text) || has_c1_controls(text))
		return false;
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < 0x20 || c == 0x7F || (!quoted && strchr(" <>(),;\\", c)))
			return false;
		if (c == '"' && !escaped)
			quoted = !quoted;
		escaped = quoted && c == '\\' && !escaped;
	}
	return !quoted;
}

size_t lmtp_address_unquote(const struct lmtp_address *address, char *out)
{
	const char *local = address->local.data;
	size_t size = 0, i = 0, end = address->local.size;

	if (local[0] == '"') {
		i = 1;
		end--;
	}
	for (; i < end; i++) {
		if (local[0] == '"' && local[i] == '\\')
			i++;
		out[size++] = local[i];
	}
	if (address->domain.size == 0)
		return size;
	out[size++] = '@';
	for (i = 0; i < address->domain.size; i++) {
		char c = address->domain.data[i];

		out[size++] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	return size;
}
