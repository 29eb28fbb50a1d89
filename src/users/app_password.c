/* See app_password.h. Every line is hostile until it is parsed here. */
#include "users/app_password.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "users/networks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

bool app_label_valid(pop3_span label)
{
	if (label.size < 1 || label.size > APP_LABEL_MAX || strchr("._+@-", label.data[0]))
		return false;
	for (size_t i = 0; i < label.size; i++) {
		char c = label.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    (!c || !strchr("._+@-", c)))
			return false;
	}
	return true;
}

int app_password_make(char shown[APP_SHOWN_MAX])
{
	unsigned char random[APP_LETTERS];
	char *to = shown;

	if (random_octets(random, sizeof(random)) < 0)
		return -1;
	for (int i = 0; i < APP_LETTERS; i++) {
		if (i && i % 4 == 0)
			*to++ = '-';
		*to++ = alphabet[random[i] % 32];
	}
	*to = '\0';
	wipe(random, sizeof(random));
	return 0;
}

bool app_password_form(pop3_span password, char letters[APP_LETTERS])
{
	size_t n = 0;

	for (size_t i = 0; i < password.size && n <= APP_LETTERS; i++) {
		char c = password.data[i];

		if (c == '-' || c == ' ')
			continue;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (!c || !strchr(alphabet, c) || n == APP_LETTERS)
			goto other;
		letters[n++] = c;
	}
	if (n == APP_LETTERS)
		return true;
other:
	wipe(letters, APP_LETTERS);
	return false;
}

void app_password_digest(const unsigned char key[APP_KEY], pop3_span name,
			 const char letters[APP_LETTERS], unsigned char ret[APP_DIGEST])
{
	char canonical[USER_NAME_MAX];
	struct hmac hmac;

	if (name.size > USER_NAME_MAX)
		name.size = USER_NAME_MAX;
	name = user_name_key(name, canonical);
	hmac_init(&hmac, DIGEST_SHA_256, key, APP_KEY);
	hmac_add(&hmac, name.data, name.size);
	hmac_add(&hmac, "", 1);
	hmac_add(&hmac, letters, APP_LETTERS);
	hmac_finish(&hmac, ret);
}

/* ---- lines ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(pop3_span hex, unsigned char *ret, size_t size)
{
	if (hex.size != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(hex.data[2 * i]), low = hex_digit(hex.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static int set_field(pop3_span word, struct app_password *app, struct err *err)
{
	if (span_equal(word, SPAN_LITERAL("no_delete"))) {
		app->no_delete = true;
		return 0;
	}
	if (span_take_prefix(&word, SPAN_LITERAL("created=")))
		return span_number(word, INT64_MAX, &app->created) == 0
			       ? 0
			       : err_set(err, EX_CONFIG, "created= has no number of seconds");
	if (span_take_prefix(&word, SPAN_LITERAL("expires=")))
		return span_number(word, INT64_MAX, &app->expires) == 0 && app->expires
			       ? 0
			       : err_set(err, EX_CONFIG, "expires= has no number of seconds");
	if (!span_take_prefix(&word, SPAN_LITERAL("networks=")))
		return err_set(err, EX_CONFIG, "a field that is not known");
	return networks_valid(word) && span_copy(word, app->networks, sizeof(app->networks)) == 0
		       ? 0
		       : err_set(err, EX_CONFIG, "networks= has no list of networks");
}

static int parse_entry(pop3_span line, struct app_password *ret, struct err *err)
{
	struct app_password app = {0};
	pop3_span name = span_take_until(&line, ':'), label = span_take_until(&line, ':'),
		  digest = span_take_until(&line, ':'), key;

	if (!user_name_valid(name))
		return err_set(err, EX_CONFIG, "not a user name in front");
	key = user_name_key(name, app.name);
	app.name[key.size] = '\0';
	if (!app_label_valid(label) || span_copy(label, app.label, sizeof(app.label)) < 0)
		return err_set(err, EX_CONFIG, "not a label behind the name");
	if (!parse_hex(digest, app.digest, sizeof(app.digest)))
		return err_set(err, EX_CONFIG, "no digest of 64 hex digits behind the label");
	while (line.size)
		if (set_field(span_take_until(&line, ' '), &app, err) < 0)
			return -1;
	*ret = app;
	return 0;
}

enum app_line app_line_parse(pop3_span line, unsigned char ret_key[APP_KEY],
			     struct app_password *ret, struct err *err)
{
	unsigned char key[APP_KEY];

	if (line.size == 0 || line.data[0] == '#')
		return APP_LINE_EMPTY;
	if (span_take_prefix(&line, SPAN_LITERAL("key "))) {
		if (!parse_hex(line, key, sizeof(key))) {
			err_set(err, EX_CONFIG, "a key that is not 64 hex digits");
			return APP_LINE_BAD;
		}
		memcpy(ret_key, key, sizeof(key));
		wipe(key, sizeof(key));
		return APP_LINE_KEY;
	}
	return parse_entry(line, ret, err) < 0 ? APP_LINE_BAD : APP_LINE_ENTRY;
}

size_t app_line_print(const struct app_password *app, char buf[APP_LINE_MAX])
{
	char hex[2 * APP_DIGEST + 1];
	size_t n;

	hex_encode(app->digest, APP_DIGEST, hex);
	n = (size_t)snprintf(buf, APP_LINE_MAX, "%s:%s:%s:created=%" PRIu64, app->name, app->label,
			     hex, app->created);
	if (app->expires)
		n += (size_t)snprintf(buf + n, APP_LINE_MAX - n, " expires=%" PRIu64, app->expires);
	if (app->no_delete)
		n += (size_t)snprintf(buf + n, APP_LINE_MAX - n, " no_delete");
	if (app->networks[0])
		n += (size_t)snprintf(buf + n, APP_LINE_MAX - n, " networks=%s", app->networks);
	buf[n++] = '\n';
	buf[n] = '\0';
	return n;
}

size_t app_key_print(const unsigned char key[APP_KEY], char buf[APP_LINE_MAX])
{
	memcpy(buf, "key ", 4);
	hex_encode(key, APP_KEY, buf + 4);
	memcpy(buf + 4 + 2 * APP_KEY, "\n", 2);
	return 4 + 2 * APP_KEY + 1;
}
