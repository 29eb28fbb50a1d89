/* Common to both kinds of destination: their table of functions, and libcurl's settings. In the
 * program valija-upload. */
#ifndef FETCH_UPLOAD_CARRIER_H
#define FETCH_UPLOAD_CARRIER_H

#include "fetch/upload/answer.h"

#include <pop3/span.h>

#include <curl/curl.h>

struct carrier {
	void (*send)(struct carrier *, const char *id, int fd, struct upload_answer *);
	void (*ask)(struct carrier *, const char *id, int fd, struct upload_answer *);
	void (*renewed)(struct carrier *); /* the secret of the setup is another one now */
	void (*destroy)(struct carrier *);
};

/* The setup stays the caller's, and may change before renewed(). NULL: no memory. */
struct carrier *imap_create(const struct upload_setup *setup);
struct carrier *gmail_create(const struct upload_setup *setup);

/* Resolves host and port here, so that libcurl need not (its threads want a socket pair, which the
 * sandbox refuses), and sets them, trust, pins and times. *ret_list lives as long as curl. -1: ret
 * says why. */
int carrier_prepare(CURL *curl, const struct upload_setup *setup, const char *host, uint16_t port,
		    struct curl_slist **ret_list, struct upload_answer *ret);
/* A transfer of libcurl failed. */
enum upload_result carrier_failed(CURL *curl, CURLcode code, const char *words,
				  struct upload_answer *ret);
/* The message's beginning, for its headers. buf: HEAD_READ_MAX octets. */
pop3_span carrier_head(int fd, char *buf);

#endif
