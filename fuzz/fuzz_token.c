/*
 * Input of the driver oauth: the first octet chooses between a token, claims, a set of keys and
 * an answer of introspection. Checked: only a signature of a public key's algorithm is good, and
 * results are bounded. The corpus has tokens that the keys below have signed.
 */
#include "lookup/oauth/claims.h"
#include "lookup/oauth/introspect.h"
#include "lookup/oauth/jwt.h"
#include "lookup/oauth/signature.h"

#include "base/text.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys[] =
	"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"wpgcF1qtiTdzVLYIzg6B6oy76qK9vqvb_o"
	"7TXlOQ2wQaE2OMt40yGEeZKdvmnEMeQYwzzlMzMl32RikNNqkkZQXKeEAI5_SXIwWktBrWo0PF5jJ_unOPMX"
	"Z6j4NAnQ_J7jtfvffn2QuGZrqYZplmwCFGsSXKl07iJIYQi3boVL64z6hkDq4Xri2QNu2hNI4wVOz4QK4pRt"
	"-ksHywwjSOa_xAieeDEnPyUlOmSFFjvYHmem0K_1bGThS8e0JTsyxQZTQc-VOpqTdRUzWgzQzzlq7YNgUbxh"
	"HMjozwtmwySoQpj83ijX0Z9xP54yUb8GAPgbL48QmsR5lEDDHKzBXUhw\",\"e\":\"AQAB\"},{\"kty\":"
	"\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"2-VBtb7m-Ti-JHG9xliZyKy0CRUVeJy40XKD5"
	"KOiQY4\",\"y\":\"BnSwSoiS0ZMAIqo7ygpVcfl_CY4xCSn4mWWQhcodIkE\"},{\"kty\":\"OKP\",\"k"
	"id\":\"d\",\"crv\":\"Ed25519\",\"x\":\"Kg5OZwzjULtgyuAqwODdQ6rmk4GCeNRf57nw2tvENgc\""
	"}]}";

static void judge(const json_t *json)
{
	static const char *const audiences[] = {"mail", "other"};
	static const struct claims_rules rules = {.issuer = "https://id.example",
						  .audiences = audiences,
						  .audience_count = 2,
						  .scope = "mail",
						  .user_claim = "email",
						  .needs_expiry = true,
						  .needs_issuer = true};
	struct claims claims;
	const char *why;

	memset(&claims, 0x5a, sizeof(claims));
	if (claims_judge(json, &rules, 1800000000, &claims, &why) != CLAIMS_GOOD) {
		assert(why && claims.user[0] == 0x5a);
		return;
	}
	assert(claims.user[0] && memchr(claims.user, '\0', sizeof(claims.user)));
	assert(claims.expires + CLAIMS_LEEWAY > 1800000000);
}

static void read_token(pop3_span in)
{
	const char *why;
	struct key_set *set = key_set_read(span_of(keys), &why);
	struct jwt jwt;

	assert(set);
	if (jwt_read(in, &jwt, &why) == JWT_OK) {
		if (signature_verify(set, &jwt) == SIGNATURE_GOOD)
			assert(strncmp(jwt.algorithm, "RS", 2) == 0 ||
			       strncmp(jwt.algorithm, "PS", 2) == 0 ||
			       strcmp(jwt.algorithm, "ES256") == 0 ||
			       strcmp(jwt.algorithm, "EdDSA") == 0);
		judge(jwt.claims);
		jwt_finish(&jwt);
	} else {
		assert(why);
	}
	key_set_release(set);
}

static void read_claims(pop3_span in)
{
	json_t *json = json_loadb(in.size ? in.data : "", in.size, JSON_REJECT_DUPLICATES, NULL);

	if (json)
		judge(json);
	json_decref(json);
}

static void read_keys(pop3_span in)
{
	const char *why = NULL;
	struct key_set *set = key_set_read(in, &why);

	assert(!set == (why != NULL));
	key_set_release(set);
}

static void read_introspection(pop3_span in)
{
	char why[256] = "";
	json_t *json = NULL;
	int rc = introspection_read(in, &json, why);

	assert((rc == 1) == (json != NULL) && (rc < 0) == (why[0] != '\0'));
	if (json)
		judge(json);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in;

	if (size == 0)
		return 0;
	in = (pop3_span){(const char *)data + 1, size - 1};
	switch (data[0]) {
	case 't':
		read_token(in);
		break;
	case 'c':
		read_claims(in);
		break;
	case 'k':
		read_keys(in);
		break;
	case 'i':
		read_introspection(in);
		break;
	}
	return 0;
}
