/* See web.h. */
#include "lookup/web/web.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "https/easy.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	CA_FILE_MAX = 1 << 20,
	CONNECT_MS = 5000,
	REDIRECTS_MAX = 3,
	ADDRESSES_MS = 60 * 1000, /* a host is looked up again after so long */
	PAUSE_MIN_MS = 1000,      /* after the first failure to connect; doubled by each other */
	PAUSE_MAX_MS = 30 * 1000,
};

struct web_site {
	char *ca; /* NULL: the system's */
	size_t ca_size;
	char socket[108];
	pthread_mutex_t lock; /* of what follows */
	uint64_t pause, pause_ends;
	char why[256]; /* of the failure that began the pause */
};

struct web {
	struct web_site *site;
	CURL *curl;
	char host[300]; /* "HOST:PORT" that was looked up last */
	uint64_t looked_up;
	struct curl_slist *addresses;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the site ---- */

static int read_authorities(struct web_site *site, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;

	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno, "ca_file: %s", path);
	site->ca = malloc(CA_FILE_MAX + 1);
	if (site->ca)
		n = read_all(fd, site->ca, CA_FILE_MAX + 1);
	close(fd);
	if (n < 0)
		return err_set(err, EX_NOINPUT, "ca_file: %s cannot be read", path);
	if (n > CA_FILE_MAX || !memmem(site->ca, (size_t)n, "-----BEGIN CERTIFICATE-----", 27))
		return err_set(err, EX_DATAERR,
			       "ca_file: %s is no file of certificates in PEM form of at most "
			       "%d octets",
			       path, CA_FILE_MAX);
	site->ca_size = (size_t)n;
	return 0;
}

int web_site_create(const char *ca_file, const char *socket, struct sandbox *sandbox,
		    struct web_site **ret, struct err *err)
{
	struct web_site *site = calloc(1, sizeof(*site));

	if (!site || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(site);
		return err_set(err, EX_OSERR, "out of memory");
	}
	pthread_mutex_init(&site->lock, NULL);
	if (span_copy(span_of(socket), site->socket, sizeof(site->socket)) < 0) {
		err_set(err, EX_CONFIG, "socket: the path has more than %zu octets",
			sizeof(site->socket) - 1);
		goto fail;
	}
	if (*ca_file && read_authorities(site, ca_file, err) < 0)
		goto fail;
	/* certificates, the resolver and what it loads */
	sandbox_add_path(sandbox, "/etc", SANDBOX_READ);
	sandbox_add_path(sandbox, "/usr", SANDBOX_READ);
	sandbox_add_path(sandbox, "/run", SANDBOX_READ);
	sandbox_add_path(sandbox, "/dev/null", SANDBOX_READ);
	sandbox_add_path(sandbox, getenv("SSL_CERT_FILE"), SANDBOX_READ);
	sandbox_add_path(sandbox, getenv("SSL_CERT_DIR"), SANDBOX_READ);
	/* the resolver of the C library knows no deadline but its own */
	setenv("RES_OPTIONS", "timeout:2 attempts:2", 0);
	*ret = site;
	return 0;
fail:
	free(site->ca);
	free(site);
	return -1;
}

/* Parts of a URL, each to be freed by curl_free. -1: it is none. */
static int take_apart(const char *url, char **scheme, char **host, char **port)
{
	CURLU *parts = curl_url();
	int rc = -1;

	*scheme = *host = *port = NULL;
	if (parts && strlen(url) < WEB_URL_MAX &&
	    curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_SCHEME, scheme, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_HOST, host, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_PORT, port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    strlen(*host) < 256 && strlen(*port) < 8)
		rc = 0;
	curl_url_cleanup(parts);
	return rc;
}

static bool is_loopback(const char *host)
{
	unsigned a, b, c, d;
	char rest;

	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       (sscanf(host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) == 4 && a == 127);
}

int web_check_url(const char *setting, const char *url, bool plain, struct err *err)
{
	char *scheme, *host, *port;
	int rc = 0;

	if (strchr(url, '@')) /* a password, in a file that every process reads */
		return err_set(err, EX_CONFIG, "%s: a URL without \"@\"", setting);
	if (take_apart(url, &scheme, &host, &port) < 0)
		rc = err_set(err, EX_CONFIG,
			     "%s = \"%s\": not a URL, such as https://id.example.org/", setting,
			     url);
	else if (strcmp(scheme, "https") != 0 &&
		 !(plain && strcmp(scheme, "http") == 0 && is_loopback(host)))
		rc = err_set(
			err, EX_CONFIG, "%s = \"%s\": the URL begins with https://%s", setting, url,
			plain ? ", or is of this machine (http://127.0.0.1/, http://[::1]/)" : "");
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return rc;
}

/* While a pause lasts, nobody tries: -1 with why. */
static int check_pause(struct web_site *site, char *why, size_t size)
{
	uint64_t now = now_ms();
	int rc = 0;

	pthread_mutex_lock(&site->lock);
	if (now < site->pause_ends) {
		snprintf(why, size, "%s", site->why);
		rc = -1;
	}
	pthread_mutex_unlock(&site->lock);
	return rc;
}

/* Only a server that cannot be reached makes a pause, not one that is slow with one question:
 * whoever finds that question would shut all the others out. */
static void note_reached(struct web_site *site, bool reached, const char *why)
{
	uint64_t now = now_ms();

	pthread_mutex_lock(&site->lock);
	if (reached) {
		site->pause = site->pause_ends = 0;
	} else if (now >= site->pause_ends) {
		site->pause = site->pause ? site->pause * 2 : PAUSE_MIN_MS;
		if (site->pause > PAUSE_MAX_MS)
			site->pause = PAUSE_MAX_MS;
		site->pause_ends = now + site->pause;
		snprintf(site->why, sizeof(site->why), "%s", why);
	}
	pthread_mutex_unlock(&site->lock);
}

/* ---- one thread's connection ---- */

struct web *web_create(struct web_site *site)
{
	struct web *web = calloc(1, sizeof(*web));
	CURL *curl = web ? curl_easy_init() : NULL;

	if (!curl) {
		free(web);
		return NULL;
	}
	web->site = site;
	web->curl = curl;
	return web;
}

void web_destroy(struct web *web)
{
	if (!web)
		return;
	curl_easy_cleanup(web->curl);
	curl_slist_free_all(web->addresses);
	free(web);
}

/* Host names are looked up here: see https/easy.h. A name that cannot be looked up is left to
 * libcurl, for its words. */
static void look_up(struct web *web, const char *host, const char *port)
{
	uint64_t now = now_ms();
	char place[sizeof(web->host)];

	if (*host == '[') /* an address */
		return;
	snprintf(place, sizeof(place), "%s:%s", host, port);
	if (strcmp(place, web->host) == 0 && now - web->looked_up < ADDRESSES_MS)
		return;
	curl_easy_setopt(web->curl, CURLOPT_RESOLVE, NULL);
	curl_slist_free_all(web->addresses);
	web->addresses = NULL;
	web->host[0] = '\0';
	if (!*web->site->socket &&
	    easy_resolve(host, (unsigned)strtoul(port, NULL, 10), &web->addresses) != 0)
		return;
	snprintf(web->host, sizeof(web->host), "%s", place);
	web->looked_up = now;
}

struct taken {
	struct web_answer *answer;
	size_t max;
	bool too_long;
};

static size_t take(char *data, size_t unit, size_t count, void *context)
{
	struct taken *taken = context;
	size_t size = unit * count;

	if (size > taken->max - taken->answer->size) {
		taken->too_long = true;
		return 0; /* ends the transfer */
	}
	memcpy(taken->answer->body + taken->answer->size, data, size);
	taken->answer->size += size;
	return size;
}

static void prepare(struct web *web, const struct web_request *request, struct curl_slist *headers,
		    struct taken *taken, char *words)
{
	CURL *curl = web->curl;
	struct web_site *site = web->site;

	curl_easy_reset(curl); /* keeps the connection */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "valija");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, taken);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)request->max);
	if (*site->socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, site->socket);
	if (site->ca) {
		struct curl_blob blob = {site->ca, site->ca_size, CURL_BLOB_NOCOPY};

		curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	} else {
		easy_authorities(curl);
	}
	if (request->body.data) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request->body.size);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
	}
}

/* One hop. The scheme of the URL was judged, or is https. */
static CURLcode perform(struct web *web, const char *url, const char *schemes, uint64_t ends)
{
	char *scheme, *host, *port;
	uint64_t now;

	if (take_apart(url, &scheme, &host, &port) == 0)
		look_up(web, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	now = now_ms();
	if (now >= ends)
		return CURLE_OPERATION_TIMEDOUT;
	curl_easy_setopt(web->curl, CURLOPT_PROTOCOLS_STR, schemes);
	curl_easy_setopt(web->curl, CURLOPT_URL, url);
	curl_easy_setopt(web->curl, CURLOPT_RESOLVE, web->addresses);
	curl_easy_setopt(web->curl, CURLOPT_TIMEOUT_MS, (long)(ends - now));
	curl_easy_setopt(web->curl, CURLOPT_CONNECTTIMEOUT_MS,
			 ends - now < CONNECT_MS ? (long)(ends - now) : (long)CONNECT_MS);
	return curl_easy_perform(web->curl);
}

/* A request with a body goes where it was meant to go, nowhere else. */
static CURLcode go(struct web *web, const struct web_request *request, struct taken *taken)
{
	uint64_t ends = now_ms() + request->timeout;
	CURLcode code = perform(web, request->url, "http,https", ends);

	for (int i = 0; code == CURLE_OK && !request->body.data; i++) {
		char *next = NULL, *copy;

		curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &taken->answer->status);
		if (curl_easy_getinfo(web->curl, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || !next)
			break;
		if (i == REDIRECTS_MAX)
			return CURLE_TOO_MANY_REDIRECTS;
		copy = strdup(next);
		taken->answer->size = 0;
		code = copy ? perform(web, copy, "https", ends) : CURLE_OUT_OF_MEMORY;
		free(copy);
	}
	if (code == CURLE_OK)
		curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &taken->answer->status);
	return code;
}

static bool was_reached(struct web *web)
{
	curl_off_t sent = 0;

	curl_easy_getinfo(web->curl, CURLINFO_PRETRANSFER_TIME_T, &sent);
	return sent > 0;
}

static const char *words_of(CURLcode code, const struct taken *taken, const char *words)
{
	if (taken->too_long || code == CURLE_FILESIZE_EXCEEDED)
		return "the answer is too long";
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return "it redirects to a URL that does not begin with https://";
	return *words ? words : curl_easy_strerror(code);
}

static struct curl_slist *make_headers(const struct web_request *request)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json"), *more;
	char type[128];

	snprintf(type, sizeof(type), "Content-Type: %s", request->type ? request->type : "");
	more = headers && request->body.data ? curl_slist_append(headers, type) : headers;
	if (more && request->body.data) /* no 100-continue: bodies are small */
		more = curl_slist_append(more, "Expect:");
	if (more && request->secret && *request->secret)
		more = curl_slist_append(more, request->secret);
	if (!more)
		curl_slist_free_all(headers);
	return more;
}

int web_exchange(struct web *web, const struct web_request *request, struct web_answer *ret)
{
	struct taken taken = {.answer = ret, .max = request->max};
	char words[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers;
	CURLcode code;

	ret->size = 0;
	ret->status = 0;
	ret->why[0] = '\0';
	if (check_pause(web->site, ret->why, sizeof(ret->why)) < 0)
		return -1;
	headers = make_headers(request);
	if (!headers) {
		snprintf(ret->why, sizeof(ret->why), "out of memory");
		return -1;
	}
	prepare(web, request, headers, &taken, words);
	code = go(web, request, &taken);
	curl_easy_setopt(web->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	ret->body[ret->size] = '\0';
	if (code != CURLE_OK)
		snprintf(ret->why, sizeof(ret->why), "%s", words_of(code, &taken, words));
	note_reached(web->site, code == CURLE_OK || was_reached(web), ret->why);
	return code == CURLE_OK ? 0 : -1;
}
