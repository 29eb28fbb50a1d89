/*
 * The driver http: a program of the site's own is asked, one JSON object a question, over HTTPS, or
 * over HTTP on a Unix socket or the loopback.
 */
#include "base/secret.h"
#include "base/text.h"
#include "lookup/driver.h"
#include "lookup/http/message.h"
#include "lookup/web/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct http {
	const char *url;
	char *secret; /* the header with the token, or "" */
	struct web_site *site;
};

static int make_header(struct http *http, const char *token, struct err *err)
{
	static const char name[] = "Authorization: Bearer ";
	size_t n = strlen(token);

	for (size_t i = 0; i < n; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return err_set(
				err, EX_DATAERR,
				"token_file: the token has a character that cannot stand in a "
				"header of HTTP: only letters, digits and signs, in one line");
	http->secret = calloc(1, sizeof(name) + n);
	if (!http->secret)
		return err_set(err, EX_OSERR, "out of memory");
	if (n) {
		memcpy(http->secret, name, sizeof(name));
		memcpy(http->secret + sizeof(name) - 1, token, n + 1);
	}
	return 0;
}

static int read_settings(struct http *http, const struct lookup_database *database, struct err *err)
{
	const char *socket = lookup_text(database, "socket");

	http->url = lookup_text(database, "url");
	if (!*http->url && !*socket)
		return err_set(err, EX_CONFIG,
			       "url = \"https://…\" or socket = \"/PATH\" is needed: "
			       "the program that knows the users");
	if (!*http->url)
		http->url = "http://localhost/";
	if (web_check_url("url", http->url, true, err) < 0)
		return -1;
	return make_header(http, lookup_secret(database, "token_file"), err);
}

static int open_driver(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		       struct err *err)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return err_set(err, EX_OSERR, "out of memory");
	if (read_settings(http, database, err) < 0 ||
	    web_site_create(lookup_text(database, "ca_file"), lookup_text(database, "socket"),
			    sandbox, &http->site, err) < 0) {
		free(http->secret);
		free(http);
		return -1;
	}
	*ret = http;
	return 0;
}

static void exchange(const struct http *http, struct web *web, pop3_span body,
		     const struct message_names *names, const struct lookup_question *question,
		     struct lookup_answer *answer)
{
	struct web_request request = {.url = http->url,
				      .body = body,
				      .type = "application/json",
				      .secret = http->secret,
				      .timeout = lookup_time_left(question),
				      .max = MESSAGE_ANSWER_MAX};
	struct web_answer *got = malloc(sizeof(*got));

	if (!got) {
		lookup_down(answer, "out of memory");
		return;
	}
	if (web_exchange(web, &request, got) < 0)
		lookup_down(answer, "%s", got->why);
	else if (got->status != 200)
		lookup_down(answer, "HTTP status %ld%s", got->status,
			    got->status == 401 || got->status == 403 ? ": see token_file" : "");
	else
		message_read((pop3_span){got->body, got->size}, names, answer);
	wipe(got->body, got->size); /* a stored password may be in it */
	free(got);
}

static void ask(void *state, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	const struct http *http = state;
	struct message_names names;
	char *body;
	int n;

	answer->status = LOOKUP_UNKNOWN;
	if (question->kind == LOOKUP_TOKEN)
		return;
	if (question->kind == LOOKUP_PASSWORD && !question->secret.size) {
		answer->status = LOOKUP_WRONG;
		return;
	}
	body = malloc(MESSAGE_REQUEST_MAX);
	if (!*connection)
		*connection = web_create(http->site);
	n = body && *connection ? message_write(question, &names, body, MESSAGE_REQUEST_MAX) : -1;
	if (n < 0)
		lookup_down(answer, "out of memory");
	else if (n > 0)
		exchange(http, *connection, (pop3_span){body, (size_t)n}, &names, question, answer);
	else if (names.count)
		answer->status = LOOKUP_WRONG; /* a password that JSON cannot carry */
	if (body)
		wipe(body, MESSAGE_REQUEST_MAX);
	free(body);
}

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_HTTP,
	.open = open_driver,
	.ask = ask,
};
