/* See carrier.h. */
#include "fetch/upload/carrier.h"

#include "base/text.h"
#include "fetch/upload/head.h"
#include "https/easy.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { STALL_SECONDS = 120 };

/* TLS begins behind it, with the server. No variable of the environment has a say. */
static void set_proxy(CURL *curl, const struct upload_proxy *proxy)
{
	bool ipv6 = strchr(proxy->host, ':') != NULL;
	char host[UPLOAD_TEXT_MAX + 2] = "";

	if (proxy->kind)
		snprintf(host, sizeof(host), "%s%s%s", ipv6 ? "[" : "", proxy->host,
			 ipv6 ? "]" : "");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROXY, host);
	if (!proxy->kind)
		return;
	curl_easy_setopt(curl, CURLOPT_PROXYPORT, (long)proxy->port);
	curl_easy_setopt(curl, CURLOPT_PROXYTYPE,
			 proxy->kind == UPLOAD_SOCKS5 ? (long)CURLPROXY_SOCKS5_HOSTNAME
						      : (long)CURLPROXY_HTTP);
	curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (!proxy->user[0])
		return;
	curl_easy_setopt(curl, CURLOPT_PROXYAUTH, (long)CURLAUTH_BASIC);
	curl_easy_setopt(curl, CURLOPT_PROXYUSERNAME, proxy->user);
	curl_easy_setopt(curl, CURLOPT_PROXYPASSWORD, proxy->password);
}

static int resolve(const char *host, uint16_t port, struct curl_slist **ret,
		   struct upload_answer *answer)
{
	int code = easy_resolve(host, port, ret);
	char text[UPLOAD_TEXT_MAX + 256];

	if (!code)
		return 0;
	snprintf(text, sizeof(text), "cannot look up %s: %s", host, gai_strerror(code));
	answer_set(answer, UPLOAD_BROKEN, code == EAI_AGAIN ? EX_TEMPFAIL : EX_NOHOST,
		   span_of(text));
	return -1;
}

/* As the POP3 side: pins alone stand for chain and name; with a file of authorities both hold. */
static void set_trust(CURL *curl, const struct upload_setup *setup)
{
	char pins[TLS_CLIENT_PINS_MAX * 64], base64[48];
	size_t used = 0;

	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	for (unsigned i = 0; i < setup->pin_count && i < TLS_CLIENT_PINS_MAX; i++) {
		base64_encode((pop3_span){(const char *)setup->pins[i], TLS_CLIENT_PIN_SIZE},
			      base64, sizeof(base64));
		used += (size_t)snprintf(pins + used, sizeof(pins) - used, "%ssha256//%s",
					 i ? ";" : "", base64);
	}
	if (used)
		curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, pins);
	if (setup->ca_file[0]) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, setup->ca_file);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	} else if (used) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	} else {
		easy_authorities(curl);
	}
}

int carrier_prepare(CURL *curl, const struct upload_setup *setup, const char *host, uint16_t port,
		    struct curl_slist **ret_list, struct upload_answer *ret)
{
	const struct upload_proxy *proxy = &setup->proxy;
	struct curl_slist *list = NULL;

	/* a proxy looks the server up */
	if (resolve(proxy->kind ? proxy->host : host, proxy->kind ? proxy->port : port, &list,
		    ret) < 0)
		return -1;
	curl_slist_free_all(*ret_list);
	*ret_list = list;
	curl_easy_setopt(curl, CURLOPT_RESOLVE, list);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	set_proxy(curl, proxy);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)setup->connect_seconds);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	set_trust(curl, setup);
	return 0;
}

/* A person has to mend that. */
static bool proxy_refused(CURL *curl)
{
	long status = 0, reason = CURLPX_OK;

	curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
	curl_easy_getinfo(curl, CURLINFO_PROXY_ERROR, &reason);
	return status == 407 || reason == CURLPX_NO_AUTH || reason == CURLPX_USER_REJECTED;
}

enum upload_result carrier_failed(CURL *curl, CURLcode code, const char *words,
				  struct upload_answer *ret)
{
	int exit_code = EX_TEMPFAIL;

	if (proxy_refused(curl) || code == CURLE_PEER_FAILED_VERIFICATION ||
	    code == CURLE_SSL_PINNEDPUBKEYNOTMATCH || code == CURLE_SSL_CACERT_BADFILE)
		exit_code = EX_NOPERM;
	else if (code == CURLE_USE_SSL_FAILED)
		exit_code = EX_UNAVAILABLE;
	else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_FILESIZE_EXCEEDED)
		exit_code = EX_PROTOCOL;
	return answer_set(ret, UPLOAD_BROKEN, exit_code,
			  span_of(words && words[0] ? words : curl_easy_strerror(code)));
}

pop3_span carrier_head(int fd, char *buf)
{
	size_t used = 0;
	ssize_t n;

	while (used < HEAD_READ_MAX &&
	       (n = pread(fd, buf + used, HEAD_READ_MAX - used, (off_t)used)) > 0)
		used += (size_t)n;
	return (pop3_span){buf, used};
}
