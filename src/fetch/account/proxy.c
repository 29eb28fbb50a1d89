/* The URL of a proxy and the address to connect from, for options.c and config_file.c; declared in
 * account.h. Pure: the texts are the user's own. */
#include "fetch/account/account.h"

#include "base/text.h"
#include "fetch/account/idn.h"

#include <string.h>
#include <sysexits.h>

static int set_login(struct fetch_proxy *proxy, pop3_span text, bool secret, struct err *err)
{
	const char *colon = memchr(text.data, ':', text.size);
	pop3_span user = {text.data, colon ? (size_t)(colon - text.data) : text.size},
		  password = {0};

	if (colon)
		password = (pop3_span){colon + 1, text.size - user.size - 1};
	if (password.size && !secret)
		return err_set(
			err, EX_USAGE,
			"a proxy's password on the command line would be seen by everybody on "
			"this machine: put it into the configuration file");
	if (user.size == 0 || span_copy(user, proxy->user, sizeof(proxy->user)) < 0 ||
	    (password.size && span_copy(password, proxy->password, sizeof(proxy->password)) < 0))
		return err_set(err, EX_USAGE, "the proxy's user or password is empty or too long");
	return 0;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT, perhaps with a "/" behind. */
static int set_place(struct fetch_proxy *proxy, const char *text, struct err *err)
{
	bool bracket = *text == '[';
	size_t n = strcspn(text + bracket, bracket ? "]" : ":/");
	const char *rest = text + bracket + n;
	char host[FETCH_TEXT_MAX];
	uint64_t port;

	if (bracket && *rest++ != ']')
		return err_set(err, EX_USAGE, "the proxy's address has no \"]\"");
	if (n == 0 || span_copy((pop3_span){text + bracket, n}, host, sizeof(host)) < 0)
		return err_set(err, EX_USAGE, "the proxy has no host that can be used");
	if (fetch_host_to_ascii(host, proxy->host, sizeof(proxy->host), err) < 0)
		return -1;
	if (*rest == '\0' || strcmp(rest, "/") == 0)
		return 0;
	n = strcspn(rest + 1, "/");
	if (*rest != ':' || span_number((pop3_span){rest + 1, n}, 65535, &port) < 0 || port == 0 ||
	    (rest[1 + n] && rest[2 + n]))
		return err_set(err, EX_USAGE, "the proxy's port cannot be read: \"%.40s\"", rest);
	proxy->port = (uint16_t)port;
	return 0;
}

int fetch_proxy_url(struct fetch_proxy *ret, const char *text, bool secret, struct err *err)
{
	struct fetch_proxy proxy = {0};
	const char *at;

	if (strcmp(text, "none") == 0) {
		*ret = proxy;
		return 0;
	}
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return err_set(err, EX_USAGE,
				       "the proxy holds a blank or control character");
	if (strncmp(text, "socks5://", 9) == 0) {
		proxy.kind = FETCH_SOCKS5;
		proxy.port = 1080;
		text += 9;
	} else if (strncmp(text, "http://", 7) == 0) {
		proxy.kind = FETCH_HTTP;
		proxy.port = 8080;
		text += 7;
	} else {
		return err_set(
			err, EX_USAGE,
			"a proxy is socks5://HOST:PORT, http://HOST:PORT or none, not \"%.64s\"",
			text);
	}
	at = strrchr(text, '@');
	if (at && set_login(&proxy, (pop3_span){text, (size_t)(at - text)}, secret, err) < 0)
		return -1;
	if (set_place(&proxy, at ? at + 1 : text, err) < 0)
		return -1;
	*ret = proxy;
	return 0;
}

int fetch_account_source(struct fetch_account *account, const char *text, struct err *err)
{
	if (!text_is_address(text))
		return err_set(err, EX_USAGE,
			       "--source needs an address of this host, not \"%.64s\"", text);
	return fetch_text(account->source, sizeof(account->source), text, "--source", err);
}
