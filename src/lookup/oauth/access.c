/* See access.h. */
#include "lookup/oauth/access.h"

#include "base/log.h"
#include "base/text.h"
#include "oauth/grant_folder.h"
#include "oauth/refresh.h"
#include "users/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	CONSENT = EX_NOPERM,
	ANSWER_MAX = 64 * 1024,
	NEW_SECONDS = 300 /* a token that is so new and refused is not the reason */
};

struct access {
	const struct lookup_database *database;
	const char *url, *client_id, *client_secret;
	int folder;
};

/* One question, for the callbacks of oauth_access. */
struct errand {
	const struct access *access;
	struct web *web;
	const struct lookup_question *question;
	struct grant_file file;
};

int access_create(const struct lookup_database *database, struct sandbox *sandbox,
		  struct access **ret, struct err *err)
{
	const char *url = lookup_text(database, "token_url");
	const char *folder = lookup_text(database, "grants");
	struct access *access;

	*ret = NULL;
	if (!*url)
		return 0;
	if (!*lookup_text(database, "client_id"))
		return err_set(err, EX_CONFIG, "token_url needs client_id: our name there");
	if (web_check_url("token_url", url, false, err) < 0)
		return -1;
	access = calloc(1, sizeof(*access));
	if (!access)
		return err_set(err, EX_OSERR, "out of memory");
	access->folder =
		grant_folder_open(folder, sandbox->change_ids ? sandbox->uid : geteuid(), err);
	if (access->folder < 0) {
		free(access);
		return -1;
	}
	sandbox_add_path(sandbox, folder, SANDBOX_READ | SANDBOX_WRITE);
	sandbox->role = SANDBOX_GRANTS;
	access->database = database;
	access->url = url;
	access->client_id = lookup_text(database, "client_id");
	access->client_secret = lookup_secret(database, "client_secret_file");
	*ret = access;
	return 0;
}

/* ---- what oauth_access asks for ---- */

static int client(void *context, const char **ret_id, const char **ret_secret, struct err *err)
{
	const struct errand *errand = context;

	(void)err;
	*ret_id = errand->access->client_id;
	*ret_secret = errand->access->client_secret;
	return 0;
}

static int ask(void *context, const struct form *form, struct oauth_answer *ret, struct err *err)
{
	const struct errand *errand = context;
	const struct web_request request = {.url = errand->access->url,
					    .body = {form->text, form->used},
					    .type = "application/x-www-form-urlencoded",
					    .secret = "",
					    .timeout = lookup_time_left(errand->question),
					    .max = ANSWER_MAX};
	struct web_answer *answer;
	int rc;

	oauth_answer_init(ret);
	if (form->full)
		return err_set(err, EX_SOFTWARE, "the question to token_url is too long");
	answer = malloc(sizeof(*answer));
	if (!answer)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	answer->size = 0;
	rc = web_exchange(errand->web, &request, answer);
	if (rc < 0)
		err_set(err, EX_TEMPFAIL, "token_url: %.200s", answer->why);
	else if (oauth_answer_take(answer->status, (pop3_span){answer->body, answer->size}, ret) <
		 0)
		rc = err_set(err, EX_TEMPFAIL,
			     "token_url: no answer of a token server (HTTP status %ld)",
			     answer->status);
	wipe(answer->body, answer->size);
	free(answer);
	return rc;
}

static int keep(void *context, const struct grant *grant, struct err *err)
{
	const struct errand *errand = context;

	return grant_file_save(&errand->file, grant, err);
}

static void refused(void *context, const struct oauth_answer *answer, struct err *err)
{
	(void)context;
	err_set(err, EX_UNAVAILABLE,
		"token_url refuses us (%s%s%s): see client_id and client_secret_file",
		answer->error, answer->words[0] ? ": " : "", answer->words);
}

static void ended(void *context, const struct grant *grant, const struct oauth_answer *answer,
		  int64_t now, struct err *err)
{
	(void)context;
	(void)grant;
	(void)now;
	err_set(err, CONSENT, "the provider does not accept the refresh token any more (%s)",
		answer->words[0] ? answer->words : answer->error);
}

/* ---- a question ---- */

static void say_consent(const struct errand *errand, const char *why)
{
	char shown[300];

	text_escape(shown, sizeof(shown) - 1, span_of(errand->question->names[0]));
	log_warning("database %s: %s has to consent again: valija remote login %s: %s",
		    errand->access->database->settings->name, shown, shown, why);
}

static void give(const struct grant *grant, struct lookup_answer *answer)
{
	answer->status = LOOKUP_FOUND;
	answer->matched = 0;
	answer->expires = grant->expires > 0 ? (uint64_t)grant->expires : 0;
	lookup_field(answer, "access_token", grant->access.bytes, grant->access.size);
}

/* Whether the token that was refused has just been made: each login would spend a refresh token,
 * for nothing. */
static bool is_new(const struct grant *grant, pop3_span refused, int64_t now)
{
	return refused.size &&
	       secret_equal(refused, (pop3_span){grant->access.bytes, grant->access.size}) &&
	       now >= grant->refreshed && now - grant->refreshed < NEW_SECONDS;
}

static void use_grant(struct errand *errand, struct grant *grant, struct lookup_answer *answer)
{
	const struct oauth_source source = {.name = errand->access->database->settings->name,
					    .consent = CONSENT,
					    .client = client,
					    .ask = ask,
					    .keep = keep,
					    .refused = refused,
					    .ended = ended,
					    .context = errand};
	const pop3_span token = errand->question->secret;
	struct secret *bad = NULL;
	struct err err;
	int rc;

	if (token.size) {
		bad = malloc(sizeof(*bad));
		if (!bad || secret_set(bad, token) < 0) {
			free(bad);
			lookup_down(answer, "out of memory");
			return;
		}
	}
	rc = is_new(grant, token, time(NULL)) ? 0
					      : oauth_access(&source, grant, bad, time(NULL), &err);
	if (bad)
		secret_finish(bad);
	free(bad);
	if (rc == 0) {
		give(grant, answer);
	} else if (err.code == CONSENT) {
		answer->status = LOOKUP_REFUSED;
		say_consent(errand, err.text);
	} else {
		lookup_down(answer, "%s", err.text);
	}
}

void access_ask(struct access *access, struct web *web, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct errand errand = {.access = access, .web = web, .question = question};
	struct grant *grant = malloc(sizeof(*grant));
	char name[USER_NAME_MAX + 1];
	pop3_span key = user_name_key(span_of(question->names[0]), name);
	struct err err;
	int rc;

	name[key.size] = '\0';
	answer->status = LOOKUP_UNKNOWN;
	if (!grant) {
		lookup_down(answer, "out of memory");
		return;
	}
	grant_init(grant);
	rc = grant_file_open(access->folder, name, geteuid(), (int64_t)question->deadline,
			     &errand.file, &err);
	if (rc == 0) {
		rc = grant_file_load(&errand.file, grant, &err);
		if (rc > 0)
			use_grant(&errand, grant, answer);
		grant_file_close(&errand.file);
	}
	if (rc < 0)
		lookup_down(answer, "%s", err.text);
	grant_finish(grant);
	free(grant);
}
