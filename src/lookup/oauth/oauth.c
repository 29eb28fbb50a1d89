/*
 * The driver oauth: whether a bearer token is good and whose it is, by the issuer's keys or by
 * asking the issuer. It knows tokens only: of a name or a password it says that it has no such
 * user, and another database is asked. With token_url it has users' grants at a provider, and
 * hands out access tokens for remote maildrops (access.h).
 */
#include "base/log.h"
#include "base/text.h"
#include "lookup/driver.h"
#include "lookup/oauth/access.h"
#include "lookup/oauth/claims.h"
#include "lookup/oauth/introspect.h"
#include "lookup/oauth/keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	AUDIENCES_MAX = 16,
	SAY_MAX = 10, /* refused tokens in the log in one second */
};

struct oauth {
	const struct lookup_database *database;
	struct claims_rules rules;
	const char *audiences[AUDIENCES_MAX];
	struct introspection introspection; /* url "": by keys */
	struct keys *keys;                  /* NULL: tokens are not judged, it has grants only */
	struct access *access;              /* NULL: it has no grants */
	struct web_site *site;
	pthread_mutex_t lock; /* of what follows */
	time_t second;
	unsigned said; /* in that second */
};

/* ---- settings ---- */

static int read_audiences(struct oauth *oauth, struct err *err)
{
	const char *value;
	size_t n = 0;

	for (; (value = lookup_item(oauth->database, "audience", n)); n++) {
		if (n == AUDIENCES_MAX)
			return err_set(err, EX_CONFIG, "audience: at most %d", AUDIENCES_MAX);
		oauth->audiences[n] = value;
	}
	oauth->rules.audiences = oauth->audiences;
	oauth->rules.audience_count = n;
	return 0;
}

static int check_introspection(struct oauth *oauth, struct err *err)
{
	const struct introspection *how = &oauth->introspection;

	if (*lookup_text(oauth->database, "jwks_url") || *lookup_text(oauth->database, "jwks_file"))
		return err_set(err, EX_CONFIG,
			       "introspection_url asks the issuer about each token, jwks_url and "
			       "jwks_file verify it here: choose one");
	if (*how->client_secret && !*how->client_id)
		return err_set(err, EX_CONFIG, "client_secret_file needs client_id");
	return web_check_url("introspection_url", how->url, false, err);
}

static int check_keys(struct oauth *oauth, struct keys_source *source, struct err *err)
{
	*source = (struct keys_source){.issuer = oauth->rules.issuer,
				       .url = lookup_text(oauth->database, "jwks_url"),
				       .file = lookup_text(oauth->database, "jwks_file")};
	if (!*oauth->rules.issuer)
		return err_set(err, EX_CONFIG,
			       "issuer = \"https://…\" is needed: what stands in the tokens (iss)");
	if (oauth->rules.audience_count == 0)
		return err_set(err, EX_CONFIG,
			       "audience is needed, what stands in the tokens (aud): without it a "
			       "token that the issuer gave for any other service would be good");
	if (*source->url && *source->file)
		return err_set(err, EX_CONFIG, "jwks_url and jwks_file: choose one");
	if (*source->url)
		return web_check_url("jwks_url", source->url, false, err);
	return *source->file ? 0 : web_check_url("issuer", oauth->rules.issuer, false, err);
}

/* A file that is replaced is another file: so its folder. */
static void add_folder(struct sandbox *sandbox, const char *file)
{
	const char *slash = strrchr(file, '/');
	char folder[CONFIG_PATH_MAX];

	if (slash &&
	    span_copy((pop3_span){file, (size_t)(slash - file) + 1}, folder, sizeof(folder)) == 0)
		sandbox_add_path(sandbox, folder, SANDBOX_READ);
}

static bool judges(const struct oauth *oauth)
{
	return config_database_judges_tokens(oauth->database->config, oauth->database->settings);
}

static int read_settings(struct oauth *oauth, struct keys_source *ret_source, struct err *err)
{
	const struct lookup_database *database = oauth->database;

	oauth->rules.issuer = lookup_text(database, "issuer");
	oauth->rules.scope = lookup_text(database, "scope");
	oauth->rules.user_claim = lookup_text(database, "user_claim");
	oauth->introspection = (struct introspection){
		.url = lookup_text(database, "introspection_url"),
		.client_id = lookup_text(database, "client_id"),
		.client_secret = lookup_secret(database, "client_secret_file"),
		.in_body = lookup_number(database, "client_auth") == 1};
	if (read_audiences(oauth, err) < 0)
		return -1;
	if (*oauth->introspection.url)
		return check_introspection(oauth, err);
	if (!judges(oauth))
		return 0;
	oauth->rules.needs_expiry = oauth->rules.needs_issuer = true;
	return check_keys(oauth, ret_source, err);
}

static int open_driver(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		       struct err *err)
{
	struct oauth *oauth = calloc(1, sizeof(*oauth));
	struct keys_source source = {.issuer = "", .url = "", .file = ""};

	if (!oauth)
		return err_set(err, EX_OSERR, "out of memory");
	oauth->database = database;
	pthread_mutex_init(&oauth->lock, NULL);
	if (read_settings(oauth, &source, err) < 0 ||
	    access_create(database, sandbox, &oauth->access, err) < 0 ||
	    web_site_create(lookup_text(database, "ca_file"), "", sandbox, &oauth->site, err) < 0) {
		free(oauth);
		return -1;
	}
	add_folder(sandbox, source.file);
	oauth->keys = keys_create(&source);
	if (!oauth->keys)
		return err_set(err, EX_OSERR, "out of memory");
	*ret = oauth;
	return 0;
}

/* ---- questions ---- */

/* For whoever sets it up: why a token was refused. */
static void refuse(struct oauth *oauth, const struct lookup_question *question, const char *why)
{
	char shown[300];
	time_t now = time(NULL);
	bool say;

	pthread_mutex_lock(&oauth->lock);
	if (now != oauth->second)
		oauth->said = 0;
	oauth->second = now;
	say = oauth->said++ < SAY_MAX;
	pthread_mutex_unlock(&oauth->lock);
	if (!say)
		return;
	text_escape(shown, sizeof(shown) - 1, span_of(question->names[0]));
	log_info("database %s: the token of \"%s\" is refused: %s", oauth->database->settings->name,
		 shown, why);
}

static void finish(struct oauth *oauth, const struct lookup_question *question,
		   const struct claims *claims, struct lookup_answer *answer)
{
	const char *name = question->names[0];

	if (*name && !span_equal_nocase(span_of(name), span_of(claims->user))) {
		answer->status = LOOKUP_WRONG;
		refuse(oauth, question, "it is another user's (see user_claim)");
		return;
	}
	answer->status = LOOKUP_FOUND;
	answer->matched = 0;
	answer->expires = claims->expires;
	lookup_field(answer, "user", claims->user, strlen(claims->user));
}

/* True: the claims are good. */
static bool judge_claims(struct oauth *oauth, const struct lookup_question *question,
			 const json_t *json, struct claims *ret, struct lookup_answer *answer)
{
	const char *why;
	enum claims_result result =
		claims_judge(json, &oauth->rules, (uint64_t)time(NULL), ret, &why);

	if (result == CLAIMS_GOOD)
		return true;
	answer->status = result == CLAIMS_OTHER ? LOOKUP_UNKNOWN : LOOKUP_WRONG;
	refuse(oauth, question, why);
	return false;
}

static void ask_issuer(struct oauth *oauth, struct web *web, const struct lookup_question *question,
		       struct lookup_answer *answer)
{
	struct claims claims;
	char why[256];
	json_t *json;
	int rc = introspect(&oauth->introspection, web, question->secret,
			    lookup_time_left(question), &json, why);

	if (rc < 0) {
		lookup_down(answer, "%s", why);
	} else if (rc == 0) {
		refuse(oauth, question, "the issuer says that it is not active");
	} else {
		if (judge_claims(oauth, question, json, &claims, answer))
			finish(oauth, question, &claims, answer);
		json_decref(json);
	}
}

/* A key that is not there is looked for once more. */
static enum signature verify(struct oauth *oauth, struct web *web,
			     const struct lookup_question *question, const struct jwt *jwt,
			     struct lookup_answer *answer)
{
	enum signature result = SIGNATURE_NO_KEY;
	char why[256];
	bool sure;

	for (int renew = 0; renew < 2 && result == SIGNATURE_NO_KEY; renew++) {
		struct key_set *set =
			keys_get(oauth->keys, web, renew, question->deadline, &sure, why);

		if (!set) {
			lookup_down(answer, "%s", why);
			return SIGNATURE_NO_KEY;
		}
		result = signature_verify(set, jwt);
		key_set_release(set);
	}
	if (result == SIGNATURE_NO_KEY && !sure)
		lookup_down(answer, "newer keys cannot be had");
	else if (result != SIGNATURE_GOOD)
		answer->status = LOOKUP_WRONG;
	return result;
}

static const char *words_of(enum signature result)
{
	switch (result) {
	case SIGNATURE_NO_KEY:
		return "the issuer has no key of that kid";
	case SIGNATURE_ALGORITHM:
		return "its algorithm (alg) is not taken, or does not fit the key";
	case SIGNATURE_GOOD:
	case SIGNATURE_WRONG:
		break;
	}
	return "its signature is wrong";
}

/* The claims first: an expired token of whoever makes the server fetch no keys. */
static void ask_keys(struct oauth *oauth, struct web *web, const struct lookup_question *question,
		     struct lookup_answer *answer)
{
	struct claims claims;
	enum signature result;
	enum jwt_result form;
	const char *why;
	struct jwt jwt;

	form = jwt_read(question->secret, &jwt, &why);
	if (form != JWT_OK) {
		answer->status = form == JWT_OTHER ? LOOKUP_UNKNOWN : LOOKUP_WRONG;
		refuse(oauth, question, why);
		return;
	}
	if (judge_claims(oauth, question, jwt.claims, &claims, answer)) {
		result = verify(oauth, web, question, &jwt, answer);
		if (result == SIGNATURE_GOOD)
			finish(oauth, question, &claims, answer);
		else if (answer->status == LOOKUP_WRONG)
			refuse(oauth, question, words_of(result));
	}
	jwt_finish(&jwt);
}

static void ask(void *state, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct oauth *oauth = state;

	answer->status = LOOKUP_UNKNOWN;
	if (question->kind == LOOKUP_ACCESS ? !oauth->access
					    : question->kind != LOOKUP_TOKEN || !judges(oauth))
		return;
	if (!*connection)
		*connection = web_create(oauth->site);
	if (!*connection)
		lookup_down(answer, "out of memory");
	else if (question->kind == LOOKUP_ACCESS)
		access_ask(oauth->access, *connection, question, answer);
	else if (*oauth->introspection.url)
		ask_issuer(oauth, *connection, question, answer);
	else
		ask_keys(oauth, *connection, question, answer);
}

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_OAUTH,
	.open = open_driver,
	.ask = ask,
};
