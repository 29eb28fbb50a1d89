/* See jwt.h. */
#include "lookup/oauth/jwt.h"

#include "base/text.h"

#include <jose/b64.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* An object of JSON in base64url, without a name twice in it. NULL: it is none. */
static json_t *load(pop3_span text)
{
	size_t size = jose_b64_dec_buf(NULL, text.size, NULL, 0);
	char *buf = size == SIZE_MAX ? NULL : malloc(size + 1);
	json_t *json = NULL;

	if (buf && jose_b64_dec_buf(text.data, text.size, buf, size) == size)
		json = json_loadb(buf, size, JSON_REJECT_DUPLICATES, NULL);
	free(buf);
	if (json && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

/* Three parts with two dots between them. */
static int split(pop3_span token, pop3_span parts[3])
{
	for (int i = 0; i < 3; i++) {
		const char *dot = token.size ? memchr(token.data, '.', token.size) : NULL;
		size_t size = dot ? (size_t)(dot - token.data) : token.size;

		if ((dot != NULL) != (i < 2))
			return -1;
		parts[i] = (pop3_span){token.data, size};
		if (dot)
			token = (pop3_span){dot + 1, token.size - size - 1};
	}
	return 0;
}

/* Issuers sign other things with the same keys: a logout is no login. RFC 9068: "at+jwt". */
static bool type_fits(const json_t *type)
{
	static const char *const types[] = {"JWT", "at+jwt", "application/jwt",
					    "application/at+jwt"};

	if (!type)
		return true;
	for (size_t i = 0; json_is_string(type) && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(json_string_value(type), types[i]) == 0)
			return true;
	return false;
}

static const char *judge_header(struct jwt *jwt)
{
	const json_t *kid = json_object_get(jwt->header, "kid");

	jwt->algorithm = json_string_value(json_object_get(jwt->header, "alg"));
	jwt->kid = json_string_value(kid);
	if (!jwt->algorithm)
		return "its header names no algorithm";
	if (kid && !jwt->kid)
		return "its kid is no string";
	if (json_object_get(jwt->header, "crit") || json_object_get(jwt->header, "b64"))
		return "its header has extensions that are not known";
	if (!type_fits(json_object_get(jwt->header, "typ")))
		return "its type (typ) is not that of an access token";
	return NULL;
}

enum jwt_result jwt_read(pop3_span token, struct jwt *ret, const char **ret_why)
{
	struct jwt jwt = {0};
	pop3_span parts[3];

	*ret_why = "it is no signed token (JWT)";
	if (split(token, parts) < 0)
		return JWT_OTHER;
	jwt.head = parts[0];
	jwt.body = parts[1];
	jwt.signature = parts[2];
	jwt.header = load(jwt.head);
	if (!jwt.header)
		return JWT_OTHER;
	*ret_why = judge_header(&jwt);
	if (!*ret_why) {
		jwt.claims = load(jwt.body);
		if (!jwt.claims)
			*ret_why = "its claims are no JSON object, or one stands there twice";
	}
	if (*ret_why) {
		jwt_finish(&jwt);
		return JWT_BAD;
	}
	*ret = jwt;
	return JWT_OK;
}

void jwt_finish(struct jwt *jwt)
{
	json_decref(jwt->header);
	json_decref(jwt->claims);
	*jwt = (struct jwt){0};
}
