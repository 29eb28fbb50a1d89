/* See endpoint.h. Runs as the user, unconfined; the exchange itself is in a process of its own. */
#include "fetch/oauth/endpoint.h"

#include "base/text.h"
#include "fetch/account/password.h"
#include "fetch/https/https.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { CLIENT_FILE_MAX = 16384 };

static int read_client(struct fetch_oauth *oauth, struct err *err)
{
	int fd = fetch_open_secret(oauth->client_file, "client file", err);
	struct oauth_client client;
	char text[CLIENT_FILE_MAX];
	ssize_t n;
	int rc;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n < 0)
		return err_sys(err, EX_IOERR, errno, "cannot read %s", oauth->client_file);
	rc = oauth_client_read((pop3_span){text, (size_t)n}, &client);
	wipe(text, sizeof(text));
	if (rc < 0)
		return err_set(
			err, EX_CONFIG,
			"%s holds no client_id: it is to be the JSON file that the provider's "
			"page offers for download",
			oauth->client_file);
	memcpy(oauth->client_id, client.id, sizeof(client.id));
	memcpy(oauth->client_secret, client.secret, sizeof(client.secret));
	wipe(&client, sizeof(client));
	return 0;
}

int oauth_client(struct fetch_oauth *oauth, struct err *err)
{
	const char *page = oauth->provider ? oauth->provider->register_page : NULL;

	if (oauth->client_file[0] && !oauth->client_id[0] && read_client(oauth, err) < 0)
		return -1;
	if (oauth->client_id[0])
		return 0;
	return err_set(
		err, EX_CONFIG,
		"no client id: make one (a desktop or native application) at %s and put it "
		"into the configuration: oauth \"%.60s\" { client-id = ... }, or client-file",
		page ? page : "the page of the provider for developers", oauth->name);
}

void oauth_form_client(struct form *form, const struct fetch_oauth *oauth)
{
	form_add(form, "client_id", oauth->client_id);
	if (oauth->client_secret[0])
		form_add(form, "client_secret", oauth->client_secret);
}

static int judge(const char *url, const struct https_answer *http, struct oauth_answer *ret,
		 struct err *err)
{
	if (oauth_answer_take(http->status, (pop3_span){http->body, http->size}, ret) == 0)
		return 0;
	if (http->status >= 500 || http->status == 429)
		return err_set(err, EX_TEMPFAIL, "%s has a problem (status %d)", url, http->status);
	return err_set(err, EX_TEMPFAIL,
		       "%s gave an answer that is none of a token server (status %d)", url,
		       http->status);
}

int oauth_ask(const char *url, const struct form *form, struct oauth_answer *ret, struct err *err)
{
	struct https_answer *http;
	int rc;

	oauth_answer_init(ret);
	if (form->full)
		return err_set(err, EX_SOFTWARE, "the question to %s is too long", url);
	if (https_exchange(url, form->text, &http, err) < 0)
		return -1;
	rc = judge(url, http, ret, err);
	https_answer_free(http);
	return rc;
}

int oauth_refused(const struct fetch_oauth *oauth, const struct oauth_answer *answer,
		  struct err *err)
{
	const char *page = oauth->provider ? oauth->provider->register_page : NULL;
	bool client = strcmp(answer->error, "invalid_client") == 0 ||
		      strcmp(answer->error, "unauthorized_client") == 0;

	if (client)
		return err_set(err, EX_CONFIG,
			       "%s does not accept the client id or its secret (%s %s)%s%s",
			       oauth->name, answer->error, answer->words, page ? ": see " : "",
			       page ? page : "");
	return err_set(err, EX_UNAVAILABLE, "%s refuses (%s%s%s)", oauth->name, answer->error,
		       answer->words[0] ? ": " : "", answer->words);
}
