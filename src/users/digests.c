/* See digests.h. In auth's workers; the stored form comes from the users file. */
#include "users/digests.h"

#include "base/digest.h"
#include "base/text.h"

#include <string.h>

struct digest_scheme {
	const char *name;
	enum digest_kind kind;
	bool salted; /* salt behind the digest */
};

static const struct digest_scheme schemes[] = {
	{"SHA", DIGEST_SHA_1, false},      {"SHA1", DIGEST_SHA_1, false},
	{"SHA256", DIGEST_SHA_256, false}, {"SHA512", DIGEST_SHA_512, false},
	{"SSHA", DIGEST_SHA_1, true},      {"SSHA256", DIGEST_SHA_256, true},
	{"SSHA512", DIGEST_SHA_512, true}, {"SMD5", DIGEST_MD5, true},
	{"PLAIN-MD5", DIGEST_MD5, false},  {"LDAP-MD5", DIGEST_MD5, false},
};

static const struct digest_scheme *find(pop3_span name)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (span_equal_nocase(name, span_of(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

bool digest_scheme_known(pop3_span name)
{
	return find(name) != NULL;
}

static int from_hex(pop3_span text, char *buf, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	if (text.size % 2 || text.size / 2 > size)
		return -1;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;

		if (!at)
			return -1;
		buf[i / 2] = (char)(i % 2 ? buf[i / 2] | (at - digits) : (at - digits) << 4);
	}
	return (int)(text.size / 2);
}

enum scheme_verdict digest_verify(pop3_span name, pop3_span payload, const struct secret *password)
{
	const struct digest_scheme *scheme = find(name);
	unsigned char made[DIGEST_MAX];
	char stored[256];
	struct digest digest;
	size_t size;
	bool equal;
	int n;

	if (!scheme)
		return SCHEME_BROKEN;
	size = digest_size(scheme->kind);
	/* base64 of these sizes never has twice as many characters as the digest octets */
	n = !scheme->salted && payload.size == 2 * size
		    ? from_hex(payload, stored, sizeof(stored))
		    : base64_decode(payload, stored, sizeof(stored));
	if (n < (int)size || (!scheme->salted && n != (int)size))
		return SCHEME_BROKEN;
	digest_init(&digest, scheme->kind);
	digest_add(&digest, password->bytes, password->size);
	digest_add(&digest, stored + size, (size_t)n - size);
	digest_finish(&digest, made);
	equal = secret_equal((pop3_span){stored, size}, (pop3_span){(const char *)made, size});
	wipe(made, sizeof(made));
	return equal ? SCHEME_MATCH : SCHEME_MISMATCH;
}
