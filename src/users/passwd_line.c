/* See passwd_line.h. Every line is hostile until it is checked here: no other file of users parses
 * one. */
#include "users/passwd_line.h"

#include "base/text.h"
#include "users/fields.h"

#include <string.h>
#include <sysexits.h>

static bool take_prefix(pop3_span *word, const char *prefix)
{
	size_t n = strlen(prefix);

	if (word->size < n || memcmp(word->data, prefix, n) != 0)
		return false;
	word->data += n;
	word->size -= n;
	return true;
}

/* Extra fields: a field that restricts logins is an error or obeyed, never ignored; fields for
 * other programs are ignored. */
static int set_extra(pop3_span word, struct user_fields *fields, struct err *err)
{
	const char *equals = word.size ? memchr(word.data, '=', word.size) : NULL;
	pop3_span name = {word.data, equals ? (size_t)(equals - word.data) : word.size};
	pop3_span value = {"", 0};

	if (equals)
		value = (pop3_span){equals + 1, word.size - name.size - 1};
	(void)take_prefix(&name, "userdb_");
	if (span_equal(name, SPAN_LITERAL("nologin")))
		value = SPAN_LITERAL("yes"); /* as Dovecot: "nologin=" and "nologin=no" are set */
	else if (!equals || span_equal(name, SPAN_LITERAL("password")))
		return 0;
	if (user_fields_set(fields, name, value, err) != USER_FIELD_BAD)
		return 0;
	if (span_equal(name, SPAN_LITERAL("allow_nets")) ||
	    span_equal(name, SPAN_LITERAL("allow_networks"))) {
		fields->user->nologin = true;
		return 0;
	}
	return -1;
}

static pop3_span take_until(pop3_span *rest, char separator)
{
	const char *end = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
	pop3_span part = {rest->data, end ? (size_t)(end - rest->data) : rest->size};

	rest->data += part.size + (end ? 1 : 0);
	rest->size -= part.size + (end ? 1 : 0);
	return part;
}

pop3_span passwd_line_name(pop3_span line)
{
	return take_until(&line, ':');
}

static bool blank(pop3_span line)
{
	for (size_t i = 0; i < line.size; i++)
		if (line.data[i] != ' ' && line.data[i] != '\t')
			return false;
	return true;
}

static int set_name(pop3_span name, struct user *user, struct err *err)
{
	if (text_mark_size(name))
		return err_set(err, EX_CONFIG,
			       "a byte-order mark in front of the name: remove it, or write the "
			       "name anew");
	if (!user_name_valid(name) || span_copy(name, user->name, sizeof(user->name)) < 0)
		return err_set(err, EX_CONFIG,
			       "not a user name: 1 to %d octets, no blank, no \"/\", not beginning "
			       "with \"-\" or \".\"",
			       USER_NAME_MAX);
	return 0;
}

enum passwd_line passwd_line_parse(pop3_span line, const char *mail_root, struct user *ret,
				   struct err *err)
{
	pop3_span rest = line, field[7]; /* name secret uid gid gecos home shell; rest: extra */
	struct user_fields fields;

	err->text[0] = '\0';
	if (line.size == 0 || line.data[0] == '#' || blank(line))
		return PASSWD_LINE_EMPTY;
	for (size_t i = 0; i < line.size; i++)
		if ((unsigned char)line.data[i] < 0x20 && line.data[i] != '\t') {
			err_set(err, EX_CONFIG, "a control character");
			return PASSWD_LINE_BAD;
		}
	if (!memchr(line.data, ':', line.size)) {
		err_set(err, EX_CONFIG, "no colon: write NAME:{SCHEME}SECRET");
		return PASSWD_LINE_BAD;
	}
	for (size_t i = 0; i < 7; i++)
		field[i] = take_until(&rest, ':');
	if (set_name(field[0], ret, err) < 0)
		return PASSWD_LINE_BAD;
	user_fields_begin(&fields, ret, mail_root);
	fields.uid = field[2];
	fields.gid = field[3];
	fields.home = field[5];
	if (span_copy(field[1], ret->secret, sizeof(ret->secret)) < 0) {
		err_set(err, EX_CONFIG, "the password field is longer than %d octets",
			USER_SECRET_MAX);
		return PASSWD_LINE_BAD;
	}
	while (rest.size)
		if (set_extra(take_until(&rest, ' '), &fields, err) < 0)
			return PASSWD_LINE_BAD;
	return user_fields_end(&fields, err) < 0 ? PASSWD_LINE_UNSERVED : PASSWD_LINE_ENTRY;
}

bool passwd_line_next(pop3_span *text, pop3_span *ret_line, bool *ret_ended)
{
	const char *end;

	if (text->size == 0)
		return false;
	end = memchr(text->data, '\n', text->size);
	*ret_ended = end != NULL;
	*ret_line = take_until(text, '\n');
	if (ret_line->size && ret_line->data[ret_line->size - 1] == '\r')
		ret_line->size--;
	return true;
}
