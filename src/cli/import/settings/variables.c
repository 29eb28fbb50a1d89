/* See variables.h. */
#include "cli/import/settings/variables.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct word {
	const char *text;
	enum variable variable;
};

static const struct word letters[] = {{"%", VARIABLE_PERCENT}, {"u", VARIABLE_USER},
				      {"n", VARIABLE_LOCAL},   {"d", VARIABLE_DOMAIN},
				      {"h", VARIABLE_HOME},    {"s", VARIABLE_SERVICE},
				      {"r", VARIABLE_ADDRESS}, {NULL, VARIABLE_UNKNOWN}};
static const struct word words[] = {
	{"user", VARIABLE_USER},   {"username", VARIABLE_LOCAL},    {"domain", VARIABLE_DOMAIN},
	{"home", VARIABLE_HOME},   {"service", VARIABLE_SERVICE},   {"protocol", VARIABLE_SERVICE},
	{"rip", VARIABLE_ADDRESS}, {"remote_ip", VARIABLE_ADDRESS}, {NULL, VARIABLE_UNKNOWN},
};

static enum variable find(const struct word *list, const char *text, size_t size)
{
	while (list->text && (strlen(list->text) != size || strncmp(list->text, text, size) != 0))
		list++;
	return list->variable;
}

/* A value behind a filter of 2.4. Names have small letters here. */
static enum variable filtered(enum variable variable, const char *filter, size_t size)
{
	enum variable part = find(words, filter, size);

	if (size == strlen("lower") && strncmp(filter, "lower", size) == 0)
		return variable;
	if (variable == VARIABLE_USER && (part == VARIABLE_LOCAL || part == VARIABLE_DOMAIN))
		return part;
	return VARIABLE_UNKNOWN;
}

/* Between the braces. */
static enum variable long_form(const char *text, size_t size)
{
	enum variable variable = VARIABLE_NONE;

	while (size) {
		const char *bar = memchr(text, '|', size);
		size_t n = bar ? (size_t)(bar - text) : size, from = 0, end = n;

		while (from < end && isspace((unsigned char)text[from]))
			from++;
		while (end > from && isspace((unsigned char)text[end - 1]))
			end--;
		variable = variable == VARIABLE_NONE ? find(words, text + from, end - from)
						     : filtered(variable, text + from, end - from);
		n += bar != NULL;
		text += n;
		size -= n;
	}
	return variable == VARIABLE_NONE ? VARIABLE_UNKNOWN : variable;
}

enum variable variable_take(const char **at)
{
	const char *text = *at, *end;
	enum variable variable;

	if (*text != '%') {
		(*at)++;
		return VARIABLE_NONE;
	}
	text++;
	text += *text == 'L';
	if (*text == '{' && (end = strchr(text, '}'))) {
		*at = end + 1;
		return long_form(text + 1, (size_t)(end - text) - 1);
	}
	variable = *text ? find(letters, text, 1) : VARIABLE_UNKNOWN;
	*at = text + (*text != '\0');
	return variable;
}

const char *variable_placeholder(enum variable variable)
{
	static const char *const texts[] = {
		[VARIABLE_PERCENT] = "%",         [VARIABLE_USER] = "{user}",
		[VARIABLE_LOCAL] = "{local}",     [VARIABLE_DOMAIN] = "{domain}",
		[VARIABLE_SERVICE] = "{service}", [VARIABLE_ADDRESS] = "{address}",
		[VARIABLE_UNKNOWN] = NULL};

	return texts[variable];
}

static bool append(char *ret, size_t size, const char *text, size_t n)
{
	size_t used = strlen(ret);

	if (n >= size - used)
		return false;
	memcpy(ret + used, text, n);
	ret[used + n] = '\0';
	return true;
}

static bool expand_more(const char *text, const char *home, char *ret, size_t size)
{
	bool ok = true;

	if (home && *text == '~' && (text[1] == '/' || !text[1])) {
		ok = expand_more(home, NULL, ret, size);
		text++;
	}
	while (ok && *text) {
		const char *from = text;
		enum variable variable = variable_take(&text);
		const char *placeholder = variable_placeholder(variable);

		if (variable == VARIABLE_HOME)
			ok = home && expand_more(home, NULL, ret, size);
		else if (variable == VARIABLE_NONE)
			ok = append(ret, size, from, 1);
		else
			ok = placeholder && append(ret, size, placeholder, strlen(placeholder));
	}
	return ok;
}

bool variables_expand(const char *text, const char *home, char *ret, size_t size)
{
	*ret = '\0';
	return expand_more(text, home, ret, size);
}

const char *variables_below_home(const char *text)
{
	const char *at = text;

	if (*text == '~')
		at = text + 1;
	else if (variable_take(&at) != VARIABLE_HOME)
		return NULL;
	if (*at && *at != '/')
		return NULL;
	return at + strspn(at, "/");
}
