/* See bearer.h. */
#include "fetch/session/bearer.h"

#include "base/text.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ^A ends the fields of both forms. */
static bool plain(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
			return false;
	return text.size > 0;
}

static int fitting(int n, size_t cap)
{
	return n >= 0 && (size_t)n < cap ? n : -1;
}

int bearer_xoauth2(const char *user, pop3_span token, char *out, size_t cap)
{
	if (!plain(span_of(user)) || !plain(token))
		return -1;
	return fitting(snprintf(out, cap, "user=%s\1auth=Bearer %.*s\1\1", user, (int)token.size,
				token.data),
		       cap);
}

/* A saslname: "," and "=" are escaped (RFC 5801 section 4). */
static int put_name(const char *name, char *out, size_t cap)
{
	size_t used = 0;

	for (; *name; name++) {
		const char *as = *name == ',' ? "=2C" : *name == '=' ? "=3D" : NULL;

		if (used + 4 > cap)
			return -1;
		if (as)
			memcpy(out + used, as, 3);
		else
			out[used] = *name;
		used += as ? 3 : 1;
	}
	out[used] = '\0';
	return (int)used;
}

int bearer_oauthbearer(const char *user, const char *host, uint16_t port, pop3_span token,
		       char *out, size_t cap)
{
	char name[1024];

	if (!plain(span_of(user)) || !plain(span_of(host)) || !plain(token) ||
	    put_name(user, name, sizeof(name)) < 0)
		return -1;
	return fitting(snprintf(out, cap, "n,a=%s,\1host=%s\1port=%u\1auth=Bearer %.*s\1\1", name,
				host, port, (int)token.size, token.data),
		       cap);
}

void bearer_status(pop3_span json, char out[BEARER_STATUS_MAX])
{
	json_t *root = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
	json_t *status = json_object_get(root, "status");

	snprintf(out, BEARER_STATUS_MAX, "unknown");
	if (json_is_string(status) && json_string_length(status) > 0)
		text_escape(out, BEARER_STATUS_MAX - 1,
			    (pop3_span){json_string_value(status), json_string_length(status)});
	else if (json_is_integer(status))
		snprintf(out, BEARER_STATUS_MAX, "%lld", (long long)json_integer_value(status));
	json_decref(root);
}
