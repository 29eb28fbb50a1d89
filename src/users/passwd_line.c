/* See passwd_line.h. Every line is hostile until it is checked here: no other file of users parses
 * one. */
#include "users/passwd_line.h"

#include "base/text.h"
#include "users/fields.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static void note_first(struct err *first, const char *what, pop3_span name, const char *why)
{
	char shown[64];

	text_escape(shown, sizeof(shown), name);
	if (!first->text[0])
		err_set(first, EX_CONFIG, "%s %s %s", what, shown, why);
}

/* A word of extra without "=". */
static void set_flag(pop3_span name, struct user_fields *fields, struct err *refusal)
{
	if (span_equal(name, SPAN_LITERAL("nologin")))
		fields->user->nologin = true;
	else if (span_equal(name, SPAN_LITERAL("remote")))
		snprintf(fields->user->remote, sizeof(fields->user->remote), "?");
	else if (span_equal(name, SPAN_LITERAL("external")))
		fields->user->external = true;
	else if (!user_field_is_passed_over(name))
		note_first(refusal, "the word", name,
			   "is no field, or has no value, and may be one that restricts: take it "
			   "out, or write what is meant with the fields of valija-users(5)");
}

/* A field in extra. One that is not known, and may restrict, shuts its user out, and the first of
 * them is the reason (refusal); a value that is not understood is an error of the line. */
static int set_extra(pop3_span word, struct user_fields *fields, struct err *refusal,
		     struct err *err)
{
	const char *equals = word.size ? memchr(word.data, '=', word.size) : NULL;
	pop3_span name = {word.data, equals ? (size_t)(equals - word.data) : word.size};
	pop3_span value = {"", 0};
	struct err why;

	(void)span_take_prefix(&name, SPAN_LITERAL("userdb_"));
	if (!word.size) /* two blanks */
		return 0;
	/* as Dovecot: "nologin=" and "nologin=no" are set */
	if (!equals || span_equal(name, SPAN_LITERAL("nologin"))) {
		set_flag(name, fields, refusal);
		return 0;
	}
	if (span_equal(name, SPAN_LITERAL("password"))) {
		note_first(refusal, "the field", name,
			   "is the second field of the line, and no word behind the seventh");
		return 0;
	}
	value = (pop3_span){equals + 1, (size_t)(word.data + word.size - (equals + 1))};
	switch (user_fields_set(fields, name, value, &why)) {
	case USER_FIELD_TAKEN:
		return 0;
	case USER_FIELD_UNKNOWN:
		if (!refusal->text[0])
			*refusal = why;
		return 0;
	case USER_FIELD_BAD:
		*err = why;
		break;
	}
	if (span_equal(name, SPAN_LITERAL("allow_nets")) ||
	    span_equal(name, SPAN_LITERAL("allow_networks"))) {
		fields->user->nologin = true;
		return 0;
	}
	return -1;
}

pop3_span passwd_line_name(pop3_span line)
{
	return span_take_until(&line, ':');
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

enum passwd_line passwd_line_parse(pop3_span line, const struct user_mail *mail, struct user *ret,
				   struct err *err)
{
	pop3_span rest = line, field[7]; /* name secret uid gid gecos home shell; rest: extra */
	struct err refusal = {.text = ""};
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
		field[i] = span_take_until(&rest, ':');
	if (set_name(field[0], ret, err) < 0)
		return PASSWD_LINE_BAD;
	user_fields_begin(&fields, ret, mail);
	fields.uid = field[2];
	fields.gid = field[3];
	fields.words.home = field[5];
	if (span_copy(field[1], ret->secret, sizeof(ret->secret)) < 0) {
		err_set(err, EX_CONFIG, "the password field is longer than %d octets",
			USER_SECRET_MAX);
		return PASSWD_LINE_BAD;
	}
	while (rest.size)
		if (set_extra(span_take_until(&rest, ' '), &fields, &refusal, err) < 0)
			return PASSWD_LINE_BAD;
	/* a section that could not be read has its refusal already */
	if (user_fields_end(&fields, err) < 0 &&
	    !(refusal.text[0] && strcmp(fields.user->remote, "?") == 0))
		return PASSWD_LINE_UNSERVED;
	if (!refusal.text[0])
		return PASSWD_LINE_ENTRY;
	ret->remote_section = 0;
	*err = refusal;
	return PASSWD_LINE_UNSERVED;
}

bool passwd_line_next(pop3_span *text, pop3_span *ret_line, bool *ret_ended)
{
	const char *end;

	if (text->size == 0)
		return false;
	end = memchr(text->data, '\n', text->size);
	*ret_ended = end != NULL;
	*ret_line = span_take_until(text, '\n');
	if (ret_line->size && ret_line->data[ret_line->size - 1] == '\r')
		ret_line->size--;
	return true;
}
