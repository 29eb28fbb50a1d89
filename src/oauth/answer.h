/*
 * Answers of token servers, and the file in which a provider hands out a client id: JSON from
 * outside, read here only. Pure. The caller finishes what was filled: it holds secrets.
 */
#ifndef OAUTH_ANSWER_H
#define OAUTH_ANSWER_H

#include "base/err.h"
#include "base/secret.h"

#include <stdint.h>

enum { OAUTH_CODE_MAX = 64, OAUTH_WORDS_MAX = 160, OAUTH_LINK_MAX = 300, OAUTH_DEVICE_MAX = 2048 };

/* Of a token endpoint (RFC 6749 sections 5.1 and 5.2). */
struct oauth_answer {
	struct secret access;        /* size 0: none */
	struct secret refresh;       /* size 0: none: the old one stays good */
	int64_t expires_in;          /* seconds, 0: not said */
	char error[OAUTH_CODE_MAX];  /* "": none; else printable, "invalid_grant" … */
	char words[OAUTH_WORDS_MAX]; /* error_description, printable */
};

/* Of a device endpoint (RFC 8628 section 3.2). */
struct oauth_device {
	char device_code[OAUTH_DEVICE_MAX];
	char user_code[OAUTH_CODE_MAX], link[OAUTH_LINK_MAX]; /* printable */
	int64_t expires_in, interval;                         /* seconds, within bounds */
};

struct oauth_client {
	char id[512], secret[512];
};

void oauth_answer_init(struct oauth_answer *answer);
void oauth_answer_finish(struct oauth_answer *answer);
/* 0: a token or an error code is in it; -1: it is no such answer. */
int oauth_answer_read(pop3_span json, struct oauth_answer *ret);
/* The same of an answer with an HTTP status: servers in trouble, and what stands between us and
 * them, answer in HTML or not at all. -1: ret is empty. */
int oauth_answer_take(long status, pop3_span body, struct oauth_answer *ret);
/* The end of its access token, seconds since 1970: an hour from now if it does not say. */
int64_t oauth_answer_end(const struct oauth_answer *answer, int64_t now);
int oauth_device_read(pop3_span json, struct oauth_device *ret);
/* {"installed": {"client_id", "client_secret"}}, {"web": …}, or the two at the top. */
int oauth_client_read(pop3_span json, struct oauth_client *ret);

#endif
