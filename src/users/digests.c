/* See digests.h. */
#include "users/digests.h"

#include "base/text.h"

#include <openssl/evp.h>
#include <string.h>

struct digest_scheme {
	const char *name;
	const char *digest;
	size_t size;
	bool salted; /* salt behind the digest */
};

static const struct digest_scheme schemes[] = {
	{"SHA", "SHA1", 20, false},      {"SHA1", "SHA1", 20, false},
	{"SHA256", "SHA256", 32, false}, {"SHA512", "SHA512", 64, false},
	{"SSHA", "SHA1", 20, true},      {"SSHA256", "SHA256", 32, true},
	{"SSHA512", "SHA512", 64, true}, {"SMD5", "MD5", 16, true},
	{"PLAIN-MD5", "MD5", 16, false}, {"LDAP-MD5", "MD5", 16, false},
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
	unsigned char digest[EVP_MAX_MD_SIZE];
	char stored[256];
	EVP_MD_CTX *context;
	bool good, equal;
	int n;

	if (!scheme)
		return SCHEME_BROKEN;
	/* base64 of these sizes never has twice as many characters as the digest octets */
	n = !scheme->salted && payload.size == 2 * scheme->size
		    ? from_hex(payload, stored, sizeof(stored))
		    : base64_decode(payload, stored, sizeof(stored));
	if (n < (int)scheme->size || (!scheme->salted && n != (int)scheme->size))
		return SCHEME_BROKEN;
	context = EVP_MD_CTX_new();
	good = context &&
	       EVP_DigestInit_ex(context, EVP_get_digestbyname(scheme->digest), NULL) == 1 &&
	       EVP_DigestUpdate(context, password->bytes, password->size) == 1 &&
	       EVP_DigestUpdate(context, stored + scheme->size, (size_t)n - scheme->size) == 1 &&
	       EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);
	equal = good && secret_equal((pop3_span){stored, scheme->size},
				     (pop3_span){(const char *)digest, scheme->size});
	wipe(digest, sizeof(digest));
	if (!good)
		return SCHEME_BROKEN;
	return equal ? SCHEME_MATCH : SCHEME_MISMATCH;
}
