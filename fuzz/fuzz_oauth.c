/*
 * Readers of tokens in `valija fetch`: the first octet chooses the reader, the others are what came
 * over the network. Checked: results are bounded and printable, whatever came.
 */
#include "oauth/answer.h"
#include "oauth/grant.h"
#include "fetch/oauth/redirect.h"
#include "fetch/session/bearer.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void printable(const char *text, size_t cap)
{
	assert(strlen(text) < cap);
	for (; *text; text++)
		assert(*text >= 0x20 && *text < 0x7f);
}

static void read_status(pop3_span in)
{
	char status[BEARER_STATUS_MAX];

	bearer_status(in, status);
	assert(status[0]);
	printable(status, sizeof(status));
}

static void read_answer(pop3_span in)
{
	struct oauth_answer answer;

	oauth_answer_init(&answer);
	if (oauth_answer_read(in, &answer) == 0) {
		assert((answer.access.size > 0) != (answer.error[0] != '\0'));
		assert(strlen(answer.access.bytes) == answer.access.size);
		assert(strlen(answer.refresh.bytes) == answer.refresh.size);
		assert(answer.expires_in >= 0 && answer.expires_in <= 366 * 86400);
		printable(answer.access.bytes, SECRET_MAX + 1);
		printable(answer.refresh.bytes, SECRET_MAX + 1);
	} else {
		assert(!answer.error[0]);
	}
	printable(answer.error, sizeof(answer.error));
	printable(answer.words, sizeof(answer.words));
	oauth_answer_finish(&answer);
}

static void read_device(pop3_span in)
{
	struct oauth_device device;

	if (oauth_device_read(in, &device) < 0)
		return;
	printable(device.user_code, sizeof(device.user_code));
	printable(device.link, sizeof(device.link));
	printable(device.device_code, sizeof(device.device_code));
	assert(device.user_code[0] && device.link[0] && device.device_code[0]);
	assert(device.interval > 0 && device.interval <= 60);
	assert(device.expires_in > 0 && device.expires_in <= 3600);
}

static void read_client(pop3_span in)
{
	struct oauth_client client;

	if (oauth_client_read(in, &client) < 0)
		return;
	assert(client.id[0]);
	printable(client.id, sizeof(client.id));
	printable(client.secret, sizeof(client.secret));
}

/* A request or a pasted address; the state is the one of the corpus. */
static void read_redirect(pop3_span in)
{
	struct redirect redirect;
	pop3_span target = redirect_target(in);
	enum redirect_kind kind = redirect_read(redirect_query(target.size ? target : in),
						"state-of-ours", &redirect);

	printable(redirect.code, sizeof(redirect.code));
	printable(redirect.words, sizeof(redirect.words));
	assert((kind == REDIRECT_CODE) == (redirect.code[0] != '\0'));
}

/* What was read can be written, and reads the same. */
static void read_grant(pop3_span in)
{
	struct grant *one = calloc(1, sizeof(*one)), *two = calloc(1, sizeof(*two));
	char *text = malloc(GRANT_TEXT_MAX);

	assert(one && two && text);
	grant_init(one);
	grant_init(two);
	if (grant_read(in, one) == 0) {
		int n = grant_write(one, text, GRANT_TEXT_MAX);

		assert(n > 0 && grant_read((pop3_span){text, (size_t)n}, two) == 0);
		assert(memcmp(one, two, sizeof(*one)) == 0);
	}
	free(one);
	free(two);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in;

	if (size == 0)
		return 0;
	in = (pop3_span){(const char *)data + 1, size - 1};
	switch (data[0]) {
	case 's': /* a server's status behind a refused token */
		read_status(in);
		break;
	case 't': /* a token endpoint's answer */
		read_answer(in);
		break;
	case 'd': /* a device endpoint's */
		read_device(in);
		break;
	case 'c': /* a provider's file with a client id */
		read_client(in);
		break;
	case 'r': /* what a browser brings back */
		read_redirect(in);
		break;
	case 'g': /* a grant in file or keyring */
		read_grant(in);
		break;
	}
	return 0;
}
