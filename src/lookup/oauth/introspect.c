/* See introspect.h. */
#include "lookup/oauth/introspect.h"

#include "base/secret.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FORM_MAX = 64 * 1024,
	HEADER_MAX = 8192,
};

/* A text that grows; what does not fit sets full. */
struct text {
	char *data;
	size_t size, room;
	bool full;
};

static void put(struct text *text, pop3_span more)
{
	if (text->full || more.size >= text->room - text->size) {
		text->full = true;
		return;
	}
	memcpy(text->data + text->size, more.data, more.size);
	text->size += more.size;
	text->data[text->size] = '\0';
}

/* application/x-www-form-urlencoded; RFC 6749 section 2.3.1 wants it in Basic, too. */
static void put_encoded(struct text *text, pop3_span value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._";
	char code[4];

	for (size_t i = 0; i < value.size; i++) {
		if (memchr(plain, value.data[i], sizeof(plain) - 1)) {
			put(text, (pop3_span){value.data + i, 1});
		} else {
			snprintf(code, sizeof(code), "%%%02X", (unsigned char)value.data[i]);
			put(text, span_of(code));
		}
	}
}

static void put_field(struct text *text, const char *name, pop3_span value)
{
	if (text->size)
		put(text, SPAN_LITERAL("&"));
	put(text, span_of(name));
	put(text, SPAN_LITERAL("="));
	put_encoded(text, value);
}

static int make_header(const struct introspection *how, char *header)
{
	static const char name[] = "Authorization: Basic ";
	char pair[HEADER_MAX / 2] = "";
	struct text text = {.data = pair, .room = sizeof(pair)};
	int n;

	header[0] = '\0';
	if (!*how->client_id || how->in_body)
		return 0;
	put_encoded(&text, span_of(how->client_id));
	put(&text, SPAN_LITERAL(":"));
	put_encoded(&text, span_of(how->client_secret));
	memcpy(header, name, sizeof(name));
	n = text.full ? -1
		      : base64_encode((pop3_span){pair, text.size}, header + sizeof(name) - 1,
				      HEADER_MAX - sizeof(name) + 1);
	wipe(pair, sizeof(pair));
	return n;
}

static void make_form(const struct introspection *how, pop3_span token, struct text *form)
{
	put_field(form, "token", token);
	put_field(form, "token_type_hint", SPAN_LITERAL("access_token"));
	if (!how->in_body || !*how->client_id)
		return;
	put_field(form, "client_id", span_of(how->client_id));
	put_field(form, "client_secret", span_of(how->client_secret));
}

int introspection_read(pop3_span text, json_t **ret, char why[256])
{
	json_t *json =
		json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES, NULL);
	const json_t *active = json_object_get(json, "active");

	if (!json_is_boolean(active)) {
		json_decref(json);
		snprintf(why, 256,
			 "introspection_url: the answer is no JSON object with \"active\"");
		return -1;
	}
	if (!json_is_true(active)) {
		json_decref(json);
		return 0;
	}
	*ret = json;
	return 1;
}

static int judge_answer(const struct web_answer *answer, json_t **ret, char why[256])
{
	if (answer->status == 200)
		return introspection_read((pop3_span){answer->body, answer->size}, ret, why);
	if (answer->status == 401 || answer->status == 403)
		snprintf(why, 256,
			 "introspection_url: the issuer refuses us (HTTP status %ld): see "
			 "client_id, client_secret_file and client_auth",
			 answer->status);
	else
		snprintf(why, 256, "introspection_url: HTTP status %ld", answer->status);
	return -1;
}

int introspect(const struct introspection *how, struct web *web, pop3_span token, unsigned timeout,
	       json_t **ret, char why[256])
{
	struct web_answer *answer = malloc(sizeof(*answer));
	struct text form = {.data = malloc(FORM_MAX), .room = FORM_MAX};
	char header[HEADER_MAX];
	struct web_request request = {.url = how->url,
				      .type = "application/x-www-form-urlencoded",
				      .secret = header,
				      .timeout = timeout,
				      .max = 64 * 1024};
	int rc = -1;

	snprintf(why, 256, "out of memory, or client_id and client_secret_file are too long");
	if (answer)
		answer->size = 0;
	if (!answer || !form.data || make_header(how, header) < 0)
		goto out;
	make_form(how, token, &form);
	if (form.full)
		goto out;
	request.body = (pop3_span){form.data, form.size};
	if (web_exchange(web, &request, answer) == 0)
		rc = judge_answer(answer, ret, why);
	else
		snprintf(why, 256, "introspection_url: %.200s", answer->why);
out:
	if (answer)
		wipe(answer->body, answer->size);
	if (form.data)
		wipe(form.data, FORM_MAX);
	wipe(header, sizeof(header));
	free(answer);
	free(form.data);
	return rc;
}
