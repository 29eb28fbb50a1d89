/*
 * HTTP exchanges for drivers, over libcurl: bounded in time and size, to places that the
 * configuration names. HTTPS, or plain HTTP where nobody can listen: a Unix socket, the loopback.
 * One struct web a thread keeps its connection; one struct web_site is shared by the threads and
 * knows that a server does not answer, so that questions do not queue up behind attempts.
 */
#ifndef LOOKUP_WEB_WEB_H
#define LOOKUP_WEB_WEB_H

#include "base/err.h"
#include "sys/sandbox.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>

enum {
	WEB_URL_MAX = 2048,
	WEB_ANSWER_MAX = 256 * 1024,
};

struct web_site;
struct web;

/* ca_file: certificates to trust instead of the system's; socket: a Unix socket that all exchanges
 * go to; "": none. Opens what is read later, and adds it to the sandbox. Lives as long as the
 * process. */
int web_site_create(const char *ca_file, const char *socket, struct sandbox *sandbox,
		    struct web_site **ret, struct err *err);
/* Whether an exchange may go there: https://, or, if plain, also http:// to the loopback. setting
 * is its name, for err. */
int web_check_url(const char *setting, const char *url, bool plain, struct err *err);

/* NULL: no memory. */
struct web *web_create(struct web_site *site);
void web_destroy(struct web *web);

struct web_request {
	const char *url;
	pop3_span body;     /* data NULL: GET, which follows a few redirects to https:// */
	const char *type;   /* of the body */
	const char *secret; /* a header with a secret, or "" */
	unsigned timeout;   /* milliseconds */
	size_t max;         /* octets of the answer, at most WEB_ANSWER_MAX */
};

struct web_answer {
	long status; /* of HTTP */
	size_t size;
	char why[256]; /* what failed, if there is no answer */
	char body[WEB_ANSWER_MAX + 1];
};

/* Returns 0 with an answer of whatever status, or -1 with why. */
int web_exchange(struct web *web, const struct web_request *request, struct web_answer *ret);

#endif
