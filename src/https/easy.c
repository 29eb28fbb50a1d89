/* See easy.h. */
#include "https/easy.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ADDRESSES_MAX = 8 };

/* "HOST:PORT:ADDRESS,ADDRESS" */
static void list_addresses(const struct addrinfo *all, const char *host, unsigned port, char *buf,
			   size_t size)
{
	size_t used = (size_t)snprintf(buf, size, "%s:%u:", host, port);
	unsigned count = 0;

	for (const struct addrinfo *one = all; one && count < ADDRESSES_MAX; one = one->ai_next) {
		char text[NI_MAXHOST];

		if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof(text), NULL, 0,
				NI_NUMERICHOST) != 0 ||
		    used + strlen(text) + 4 > size)
			continue;
		used += (size_t)snprintf(buf + used, size - used,
					 one->ai_family == AF_INET6 ? "%s[%s]" : "%s%s",
					 count ? "," : "", text);
		count++;
	}
}

int easy_resolve(const char *host, unsigned port, struct curl_slist **ret_list)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *all;
	char text[NI_MAXHOST + 16 + ADDRESSES_MAX * 64];
	int code;

	*ret_list = NULL;
	if (getaddrinfo(host, NULL, &hints, &all) == 0) { /* nothing to look up */
		freeaddrinfo(all);
		return 0;
	}
	hints.ai_flags = 0;
	code = getaddrinfo(host, NULL, &hints, &all);
	if (code)
		return code;
	list_addresses(all, host, port, text, sizeof(text));
	freeaddrinfo(all);
	*ret_list = curl_slist_append(NULL, text);
	return 0;
}

void easy_authorities(CURL *curl)
{
	const char *file = getenv("SSL_CERT_FILE"), *folder = getenv("SSL_CERT_DIR");

	if (file && *file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, file);
	if (folder && *folder)
		curl_easy_setopt(curl, CURLOPT_CAPATH, folder);
}
