/* Texts and parts of a URL, for account.c and place.c. Pure: they come from the user's command line
 * and configuration, trusted but checked. */
#include "fetch/account/url.h"

#include "base/text.h"
#include "fetch/account/account.h"
#include "fetch/account/idn.h"

#include <string.h>
#include <sysexits.h>

int fetch_text(char *to, size_t size, const char *from, const char *field, struct err *err)
{
	size_t n = strlen(from);

	if (n >= size)
		return err_set(err, EX_USAGE, "%s is longer than %zu octets", field, size - 1);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)from[i] < 0x20 || from[i] == 0x7f)
			return err_set(err, EX_USAGE, "%s holds a control character", field);
	memcpy(to, from, n + 1);
	return 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int fetch_url_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%') {
			int high = hex_value(text[1]);
			int low = high < 0 ? -1 : hex_value(text[2]);

			if (low < 0 || high * 16 + low == 0)
				return -1;
			*to++ = (char)(high * 16 + low);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
	return 0;
}

static int set_user(struct fetch_account *account, pop3_span text, struct err *err)
{
	char user[3 * FETCH_TEXT_MAX];

	if (memchr(text.data, ':', text.size))
		return err_set(err, EX_USAGE,
			       "a password in the URL would be seen by everybody on this machine: "
			       "use --password-file");
	if (text.size == 0 || span_copy(text, user, sizeof(user)) < 0 || fetch_url_decode(user) < 0)
		return err_set(err, EX_USAGE, "the URL's user name cannot be read");
	return fetch_text(account->user, sizeof(account->user), user, "the user name", err);
}

static int set_port(struct fetch_account *account, const char *text, struct err *err)
{
	uint64_t port;

	if (span_number(span_of(text), 65535, &port) < 0 || port == 0)
		return err_set(err, EX_USAGE, "\"%.32s\" is no port", text);
	account->port = (uint16_t)port;
	return 0;
}

/* HOST[:PORT] or [ADDRESS][:PORT] */
static int set_host(struct fetch_account *account, const char *text, struct err *err)
{
	char host[sizeof(account->host)];
	const char *end, *colon;
	size_t n;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end)
			return err_set(err, EX_USAGE, "the URL's address has no \"]\"");
		n = (size_t)(end - text);
		colon = end + 1;
	} else {
		n = strcspn(text, ":/");
		colon = text + n;
	}
	if (n == 0 || n >= sizeof(account->host))
		return err_set(err, EX_USAGE, "the URL has no host that can be used");
	memcpy(host, text, n);
	host[n] = '\0';
	if (fetch_host_to_ascii(host, account->host, sizeof(account->host), err) < 0)
		return -1;
	if (strcmp(colon, "/") == 0 || *colon == '\0')
		return 0;
	if (*colon != ':')
		return err_set(err, EX_USAGE, "the URL goes on behind the host: \"%.64s\"", colon);
	return set_port(account, colon + 1, err);
}

int fetch_url_authority(struct fetch_account *account, const char *text, struct err *err)
{
	const char *at = strrchr(text, '@');

	if (!at)
		return err_set(err, EX_USAGE, "the URL names no user: pop3s://USER@HOST");
	if (set_user(account, (pop3_span){text, (size_t)(at - text)}, err) < 0)
		return -1;
	return set_host(account, at + 1, err);
}
