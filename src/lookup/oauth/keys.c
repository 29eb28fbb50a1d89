/* See keys.h. */
#include "lookup/oauth/keys.h"

#include "base/descriptor.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	FRESH_MS = 3600 * 1000,
	TRUSTED_MS = 24 * 3600 * 1000, /* while no newer ones can be had */
	AGAIN_MS = 60 * 1000,
	FIRST_AGAIN_MS = 1000, /* while there are none at all */
};

struct keys {
	struct keys_source source;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t fetched;
	struct key_set *set;
	uint64_t good, tried; /* the last success and attempt; 0: none */
	bool fetching, failed;
	char why[256]; /* of the last failure */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

struct keys *keys_create(const struct keys_source *source)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	pthread_condattr_t attributes;

	if (!keys)
		return NULL;
	keys->source = *source;
	pthread_mutex_init(&keys->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&keys->fetched, &attributes);
	pthread_condattr_destroy(&attributes);
	return keys;
}

/* ---- fetching ---- */

static int read_file(const char *path, struct web_answer *answer)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read_all(fd, answer->body, WEB_ANSWER_MAX + 1);

	if (n < 0 || n > WEB_ANSWER_MAX)
		snprintf(answer->why, sizeof(answer->why), "jwks_file: %.160s: %s", path,
			 n < 0 ? strerror(errno) : "more than 256 KiB");
	if (fd >= 0)
		close(fd);
	if (n < 0 || n > WEB_ANSWER_MAX)
		return -1;
	answer->size = (size_t)n;
	return 0;
}

/* A page that is 200. */
static int get(struct web *web, const char *url, uint64_t deadline, struct web_answer *answer)
{
	uint64_t now = now_ms();
	struct web_request request = {.url = url,
				      .timeout = now < deadline ? (unsigned)(deadline - now) : 0,
				      .max = WEB_ANSWER_MAX};
	char why[sizeof(answer->why)];

	if (web_exchange(web, &request, answer) == 0) {
		if (answer->status == 200)
			return 0;
		snprintf(answer->why, sizeof(answer->why), "HTTP status %ld", answer->status);
	}
	snprintf(why, sizeof(why), "%s", answer->why);
	snprintf(answer->why, sizeof(answer->why), "%.120s: %.120s", url, why);
	return -1;
}

/* RFC 8414, OpenID Connect Discovery: the page has to be of the issuer that it was asked of. */
static int discover(struct web *web, const char *issuer, uint64_t deadline,
		    struct web_answer *answer, char url[WEB_URL_MAX])
{
	const char *end = *issuer && issuer[strlen(issuer) - 1] == '/' ? "" : "/";
	const char *named, *where, *why = NULL;
	struct err err = {0};
	json_t *json;

	snprintf(url, WEB_URL_MAX, "%s%s.well-known/openid-configuration", issuer, end);
	if (get(web, url, deadline, answer) < 0)
		return -1;
	json = json_loadb(answer->body, answer->size, JSON_REJECT_DUPLICATES, NULL);
	named = json_string_value(json_object_get(json, "issuer"));
	where = json_string_value(json_object_get(json, "jwks_uri"));
	if (!named || strcmp(named, issuer) != 0)
		why = "it does not name this issuer, letter for letter";
	else if (!where || web_check_url("jwks_uri", where, false, &err) < 0)
		why = "its jwks_uri is no URL that begins with https://";
	else
		snprintf(url, WEB_URL_MAX, "%s", where);
	json_decref(json);
	if (!why)
		return 0;
	snprintf(answer->why, sizeof(answer->why), "%.150s: %s", url, why);
	return -1;
}

static struct key_set *fetch(struct keys *keys, struct web *web, uint64_t deadline, char why[256])
{
	const struct keys_source *source = &keys->source;
	struct web_answer *answer = malloc(sizeof(*answer));
	char url[WEB_URL_MAX];
	struct key_set *set = NULL;
	const char *bad = NULL;
	int rc;

	if (!answer) {
		snprintf(why, 256, "out of memory");
		return NULL;
	}
	answer->size = 0;
	snprintf(url, sizeof(url), "%s", *source->file ? source->file : source->url);
	if (*source->file)
		rc = read_file(source->file, answer);
	else
		rc = *url ? 0 : discover(web, source->issuer, deadline, answer, url);
	if (rc == 0 && !*source->file)
		rc = get(web, url, deadline, answer);
	if (rc == 0)
		set = key_set_read((pop3_span){answer->body, answer->size}, &bad);
	if (rc < 0)
		snprintf(why, 256, "%s", answer->why);
	else if (!set)
		snprintf(why, 256, "%.150s: %s", url, bad);
	free(answer);
	return set;
}

/* ---- the cache ---- */

/* By the thread that set fetching, which holds the lock before and after. */
static void renew_keys(struct keys *keys, struct web *web, uint64_t deadline)
{
	struct key_set *old = NULL, *set;
	char why[256] = "";

	pthread_mutex_unlock(&keys->lock);
	set = fetch(keys, web, deadline, why);
	pthread_mutex_lock(&keys->lock);
	keys->fetching = false;
	keys->failed = !set;
	keys->tried = now_ms();
	if (set) {
		old = keys->set;
		keys->set = set;
		keys->good = keys->tried;
	} else {
		memcpy(keys->why, why, sizeof(keys->why));
	}
	pthread_cond_broadcast(&keys->fetched);
	key_set_release(old);
}

static bool is_due(const struct keys *keys, bool renew, uint64_t now)
{
	if (!keys->tried)
		return true;
	if (!keys->set)
		return now - keys->tried >= FIRST_AGAIN_MS;
	return now - keys->tried >= AGAIN_MS && (renew || now - keys->good >= FRESH_MS);
}

/* While another thread fetches what this one needs. */
static void await(struct keys *keys, uint64_t deadline)
{
	struct timespec until = {.tv_sec = (time_t)(deadline / 1000),
				 .tv_nsec = (long)(deadline % 1000) * 1000000};

	while (keys->fetching &&
	       pthread_cond_timedwait(&keys->fetched, &keys->lock, &until) != ETIMEDOUT)
		;
}

struct key_set *keys_get(struct keys *keys, struct web *web, bool renew, uint64_t deadline,
			 bool *ret_sure, char why[256])
{
	struct key_set *set = NULL;
	uint64_t now = now_ms();

	pthread_mutex_lock(&keys->lock);
	if (!keys->fetching && is_due(keys, renew, now)) {
		keys->fetching = true;
		renew_keys(keys, web, deadline);
	} else if (keys->fetching && (renew || !keys->set)) {
		await(keys, deadline);
	}
	now = now_ms();
	if (keys->set && now - keys->good < TRUSTED_MS)
		set = key_set_hold(keys->set);
	else
		snprintf(why, 256, "%s",
			 keys->fetching ? "the keys are still being fetched" : keys->why);
	*ret_sure = !keys->failed && !keys->fetching;
	pthread_mutex_unlock(&keys->lock);
	return set;
}
