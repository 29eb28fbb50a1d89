/*
 * Responses of OAUTHBEARER and XOAUTH2, and the challenge: the first octet chooses. Checked: a
 * token lies in the response and has no octet that a header of HTTP could not carry; what was read,
 * written as the other mechanism has it, reads the same; a challenge is JSON with the values that
 * went in.
 */
#include "users/bearer.h"

#include "base/text.h"

#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const struct bearer *bearer)
{
	size_t room = bearer->token.size + USER_NAME_MAX + 64;
	char *text = malloc(room);
	struct bearer again;
	int n;

	assert(text);
	n = snprintf(text, room, "user=%s\1auth=Bearer %.*s\1\1", bearer->user,
		     (int)bearer->token.size, bearer->token.data);
	assert(bearer_read(BEARER_XOAUTH2, (pop3_span){text, (size_t)n}, &again) == BEARER_OK);
	assert(strcmp(again.user, bearer->user) == 0);
	assert(span_equal(again.token, bearer->token));
	free(text);
}

static void read_response(enum bearer_mechanism mechanism, pop3_span in)
{
	struct bearer bearer;

	if (bearer_read(mechanism, in, &bearer) != BEARER_OK)
		return;
	assert(bearer.token.size > 0 && bearer.token.data > in.data);
	assert(bearer.token.data + bearer.token.size <= in.data + in.size - 2);
	for (size_t i = 0; i < bearer.token.size; i++)
		assert(bearer.token.data[i] > 0x20 && bearer.token.data[i] < 0x7f);
	if (*bearer.user)
		read_again(&bearer);
}

/* in: scope NUL URL */
static void write_challenge(enum bearer_mechanism mechanism, pop3_span in)
{
	char *text = calloc(1, in.size + 2), *buf = malloc(6 * in.size + 128);
	const char *scope = text, *url;
	json_t *json;
	int n;

	assert(text && buf);
	if (in.size)
		memcpy(text, in.data, in.size);
	url = scope + strlen(scope) + 1;
	n = bearer_challenge(mechanism, scope, url, buf, 6 * in.size + 128);
	assert(n > 0);
	json = json_loadb(buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	assert(json && json_is_string(json_object_get(json, "status")));
	assert((*scope != '\0') == (json_object_get(json, "scope") != NULL));
	json_decref(json);
	assert(bearer_challenge(mechanism, scope, url, buf, (size_t)n) == -1);
	free(text);
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in;

	if (size == 0)
		return 0;
	in = (pop3_span){(const char *)data + 1, size - 1};
	switch (data[0]) {
	case 'o':
		read_response(BEARER_OAUTHBEARER, in);
		break;
	case 'x':
		read_response(BEARER_XOAUTH2, in);
		break;
	case 'c':
		write_challenge(BEARER_OAUTHBEARER, in);
		break;
	case 'd':
		write_challenge(BEARER_XOAUTH2, in);
		break;
	}
	return 0;
}
