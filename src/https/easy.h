/* Settings of libcurl that the programs valija-https and valija-upload share: names are looked up
 * before libcurl is asked, and certificates are trusted as on the POP3 side. */
#ifndef HTTPS_EASY_H
#define HTTPS_EASY_H

#include <curl/curl.h>

/*
 * Looks a host up, for CURLOPT_RESOLVE: libcurl itself would do it in a thread with a pair of
 * sockets, which the sandbox refuses. *ret_list is the caller's; NULL if host is an address.
 * Returns 0, or what getaddrinfo(3) said.
 */
int easy_resolve(const char *host, unsigned port, struct curl_slist **ret_list);
/* The same variables by which OpenSSL, and so the POP3 side, finds other authorities. */
void easy_authorities(CURL *curl);

#endif
