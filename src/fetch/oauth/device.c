/* See flow.h: the device authorization grant. The process of a person's command, unconfined. */
#include "fetch/oauth/flow.h"

#include "fetch/https/https.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { INTERVAL_MAX = 60, SLOWER_SECONDS = 5 };

#define GRANT_TYPE "urn:ietf:params:oauth:grant-type:device_code"

/* An error of the device endpoint has the form of one of the token endpoint. */
static int refused_device(const struct fetch_oauth *oauth, const struct https_answer *http,
			  struct err *err)
{
	struct oauth_answer answer;
	int rc;

	oauth_answer_init(&answer);
	if (http->status >= 400 && http->status < 500 &&
	    oauth_answer_read((pop3_span){http->body, http->size}, &answer) == 0 && answer.error[0])
		rc = oauth_refused(oauth, &answer, err);
	else
		rc = err_set(err, EX_TEMPFAIL,
			     "%s gave an answer that is none of a token server (status %d)",
			     oauth->device, http->status);
	oauth_answer_finish(&answer);
	return rc;
}

static int begin(const struct fetch_oauth *oauth, struct form *form, struct oauth_device *ret,
		 struct err *err)
{
	struct https_answer *http;
	int rc = 0;

	form_init(form, "");
	form_add(form, "client_id", oauth->client_id);
	form_add(form, "scope", oauth->scope);
	if (https_exchange(oauth->device, form->text, &http, err) < 0)
		return -1;
	if (http->status != 200 || oauth_device_read((pop3_span){http->body, http->size}, ret) < 0)
		rc = refused_device(oauth, http, err);
	https_answer_free(http);
	return rc;
}

static void form_poll(struct form *form, const struct fetch_oauth *oauth,
		      const struct oauth_device *device)
{
	form_init(form, "");
	form_add(form, "grant_type", GRANT_TYPE);
	form_add(form, "device_code", device->device_code);
	oauth_form_client(form, oauth);
}

/* 1: ask again, after *interval seconds. */
static int judge(const struct fetch_oauth *oauth, struct oauth_answer *answer, int64_t *interval,
		 struct err *err)
{
	if (answer->access.size)
		return 0;
	if (strcmp(answer->error, "authorization_pending") == 0)
		return 1;
	if (strcmp(answer->error, "slow_down") == 0) {
		*interval += SLOWER_SECONDS;
		return 1;
	}
	if (strcmp(answer->error, "expired_token") == 0)
		return err_set(err, EX_UNAVAILABLE,
			       "the code was not entered in time: start the login again");
	if (strcmp(answer->error, "access_denied") == 0 ||
	    strcmp(answer->error, "authorization_declined") == 0)
		return err_set(err, EX_NOPERM, "consent was refused (%s)",
			       answer->words[0] ? answer->words : answer->error);
	return oauth_refused(oauth, answer, err);
}

/* Trouble on the way is no answer: asked again, more slowly (RFC 8628 section 3.5). */
static int ask(const struct fetch_oauth *oauth, const struct form *form, int64_t *interval,
	       struct oauth_answer *ret, struct err *err)
{
	struct err why = {0};
	int rc;

	if (oauth_ask(oauth->token, form, ret, &why) < 0) {
		if (why.code == EX_TEMPFAIL) {
			*interval = *interval * 2 < INTERVAL_MAX ? *interval * 2 : INTERVAL_MAX;
			return 1;
		}
		if (err)
			*err = why;
		return -1;
	}
	rc = judge(oauth, ret, interval, err);
	if (rc != 0)
		oauth_answer_finish(ret);
	return rc;
}

static int wait_for_consent(const struct fetch_oauth *oauth, const struct form *form,
			    const struct oauth_device *device, struct oauth_answer *ret,
			    struct err *err)
{
	int64_t end = fetch_now() + device->expires_in * 1000, interval = device->interval;

	for (;;) {
		int rc;

		if (fetch_now() + interval * 1000 > end)
			return err_set(err, EX_UNAVAILABLE,
				       "the code was not entered in time: start the login again");
		poll(NULL, 0, (int)interval * 1000);
		rc = ask(oauth, form, &interval, ret, err);
		if (rc <= 0)
			return rc;
	}
}

int oauth_device(const struct fetch_oauth *oauth, struct oauth_answer *ret, struct err *err)
{
	struct form *form = malloc(sizeof(*form));
	struct oauth_device *device = malloc(sizeof(*device));
	int rc = -1;

	if (!form || !device) {
		err_sys(err, EX_OSERR, ENOMEM, "memory");
	} else if (begin(oauth, form, device, err) == 0) {
		printf("Open this page, on any device, and enter the code %s:\n\n    %s\n\n"
		       "Waiting for %lld minutes.\n",
		       device->user_code, device->link, (long long)device->expires_in / 60);
		fflush(stdout);
		form_poll(form, oauth, device);
		rc = wait_for_consent(oauth, form, device, ret, err);
	}
	if (form)
		wipe(form, sizeof(*form));
	if (device)
		wipe(device, sizeof(*device));
	free(form);
	free(device);
	return rc;
}
