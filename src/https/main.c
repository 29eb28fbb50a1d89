/*
 * `valija-https`: one HTTPS exchange, for `valija fetch`, which starts it (fetch/https). A program
 * of its own, so that libcurl and what it brings along are in no process that holds mail or its
 * state, and cost a run nothing that needs none.
 *
 * Standard input: a line "GET URL" or "POST URL", then the body (a form) up to its end. Standard
 * output: a line with the status of the answer, then its body, at most ANSWER_MAX octets. When
 * there is no answer: exit status 75 (or 76: an answer too long, 77: the certificate), and one line
 * that says why. Nothing secret is in its arguments or environment. It runs as the user, confined:
 * it reads certificates and the settings of the resolver, and writes nothing.
 */
#include "base/descriptor.h"
#include "base/secret.h"
#include "https/easy.h"
#include "sys/sandbox.h"

#include <curl/curl.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	REQUEST_MAX = 32768,
	ANSWER_MAX = 262144,
	CONNECT_SECONDS = 20,
	TOTAL_SECONDS = 60,
	REDIRECTS_MAX = 3,
};

struct exchange {
	char request[REQUEST_MAX + 1];
	size_t request_size;
	const char *url, *body;
	bool post;
	char answer[ANSWER_MAX];
	size_t answer_size;
	bool too_long;
};

static int say(const char *text)
{
	printf("%s\n", text);
	return EX_TEMPFAIL;
}

static int read_request(struct exchange *e)
{
	ssize_t n = read_all(STDIN_FILENO, e->request, REQUEST_MAX);
	char *end;

	if (n < 0)
		return -1;
	e->request_size = (size_t)n;
	end = memchr(e->request, '\n', e->request_size);
	if (!end || memchr(e->request, '\0', e->request_size))
		return -1;
	*end = '\0';
	e->body = end + 1;
	e->post = strncmp(e->request, "POST ", 5) == 0;
	if (!e->post && strncmp(e->request, "GET ", 4) != 0)
		return -1;
	e->url = strchr(e->request, ' ') + 1;
	return 0;
}

static size_t take(char *data, size_t unit, size_t count, void *context)
{
	struct exchange *e = context;
	size_t size = unit * count;

	if (size > ANSWER_MAX - e->answer_size) {
		e->too_long = true;
		return 0; /* ends the transfer */
	}
	memcpy(e->answer + e->answer_size, data, size);
	e->answer_size += size;
	return size;
}

/* The URL's host, looked up. What cannot be looked up is left to libcurl, for its words. */
static struct curl_slist *look_up(const char *url)
{
	char *host = NULL, *port = NULL;
	struct curl_slist *list = NULL;
	CURLU *parts = curl_url();

	if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && strlen(host) < 256 &&
	    curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		(void)easy_resolve(host, (unsigned)strtoul(port, NULL, 10), &list);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	return list;
}

static void prepare(CURL *curl, struct exchange *e, struct curl_slist *headers)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TOTAL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)ANSWER_MAX);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "valija-fetch");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, e);
	if (e->post)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, e->body);
	easy_authorities(curl);
}

static int confine(void)
{
	struct sandbox sandbox = {.role = SANDBOX_FETCH, .allow_connect = true};
	struct err err = {0};

	sandbox_add_path(&sandbox, "/etc", SANDBOX_READ);
	sandbox_add_path(&sandbox, "/usr", SANDBOX_READ);
	sandbox_add_path(&sandbox, "/run", SANDBOX_READ);
	sandbox_add_path(&sandbox, "/dev/null", SANDBOX_READ);
	sandbox_add_path(&sandbox, getenv("SSL_CERT_FILE"), SANDBOX_READ);
	sandbox_add_path(&sandbox, getenv("SSL_CERT_DIR"), SANDBOX_READ);
	if (sandbox_enter(&sandbox, &err) == 0)
		return 0;
	say(err.text);
	return -1;
}

static int failed(const struct exchange *e, CURLcode code, const char *words)
{
	if (e->too_long || code == CURLE_FILESIZE_EXCEEDED) {
		say("the answer is too long");
		return EX_PROTOCOL;
	}
	say(words[0] ? words : curl_easy_strerror(code));
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE
		       ? EX_NOPERM
		       : EX_TEMPFAIL;
}

/* Goes where redirects lead, each host looked up before; a form with secrets is sent where it was
 * meant to go, nowhere else. */
static CURLcode perform(CURL *curl, struct exchange *e, long *ret_status)
{
	CURLcode code = CURLE_TOO_MANY_REDIRECTS;
	char *next = NULL;

	for (int i = 0; i <= REDIRECTS_MAX; i++) {
		char *url = strdup(next ? next : e->url);
		struct curl_slist *addresses = url ? look_up(url) : NULL;

		if (!url)
			return CURLE_OUT_OF_MEMORY;
		e->answer_size = 0;
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_RESOLVE, addresses);
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
		curl_easy_setopt(curl, CURLOPT_RESOLVE, NULL);
		curl_slist_free_all(addresses);
		free(url);
		if (code != CURLE_OK || e->post ||
		    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || !next)
			return code;
	}
	return CURLE_TOO_MANY_REDIRECTS;
}

static int exchange(struct exchange *e)
{
	char words[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json, text/xml");
	CURL *curl = curl_easy_init();
	long status = 0;
	CURLcode code;

	if (!curl || !headers)
		return say("no memory");
	prepare(curl, e, headers);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	code = perform(curl, e, &status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return failed(e, code, words);
	printf("%ld\n", status);
	return fwrite(e->answer, 1, e->answer_size, stdout) == e->answer_size && fflush(stdout) == 0
		       ? EX_OK
		       : EX_IOERR;
}

int main(void)
{
	struct exchange *e = calloc(1, sizeof(*e));
	int code;

	signal(SIGPIPE, SIG_IGN);
	if (!e || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return say("no memory");
	if (read_request(e) < 0) {
		say("the request cannot be read: valija fetch starts this program");
		code = EX_USAGE;
	} else if (confine() < 0) {
		code = EX_OSERR;
	} else {
		code = exchange(e);
	}
	wipe(e, sizeof(*e));
	free(e);
	return code;
}
