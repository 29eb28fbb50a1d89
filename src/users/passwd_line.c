/* See passwd_line.h. Every line is hostile until it is checked here: no other file of users parses
 * one. */
#include "users/passwd_line.h"

#include "base/text.h"

#include <string.h>
#include <sysexits.h>

/* A path below the mail root, as maildrop_open takes it: no empty, "." or ".." component, no
 * component that begins with ".". */
static bool home_valid(pop3_span home)
{
	bool start = true;

	for (size_t i = 0; i < home.size; i++) {
		unsigned char c = (unsigned char)home.data[i];

		if (c < 0x20 || c == 0x7f || (start && (c == '.' || c == '/')))
			return false;
		start = c == '/';
	}
	return home.size > 0 && !start;
}

/* An absolute home comes from another server's file: below our mail root it is the same folder. A
 * user with a home elsewhere must not be shown an empty maildrop in its place. */
static enum passwd_line set_home(pop3_span home, const char *mail_root, struct user *user,
				 struct err *err)
{
	char shown[128];
	size_t n = mail_root ? strlen(mail_root) : 0;

	while (home.size > 1 && home.data[home.size - 1] == '/')
		home.size--;
	text_escape(shown, sizeof(shown) - 1, home);
	if (home.size && home.data[0] == '/') {
		if (n == 0 || home.size <= n + 1 || memcmp(home.data, mail_root, n) != 0 ||
		    home.data[n] != '/') {
			err_set(err, EX_CONFIG,
				"the home %s of %s is not below the mail directory %s: move the "
				"mail "
				"there, or leave the field empty",
				shown, user->name, mail_root ? mail_root : "");
			return PASSWD_LINE_UNSERVED;
		}
		home.data += n + 1;
		home.size -= n + 1;
	}
	if ((home.size && !home_valid(home)) ||
	    span_copy(home, user->home, sizeof(user->home)) < 0) {
		err_set(err, EX_CONFIG,
			"the home %s of %s has an empty component, one with a dot at its start, or "
			"more "
			"than %d octets",
			shown, user->name, USER_HOME_MAX);
		return PASSWD_LINE_UNSERVED;
	}
	return PASSWD_LINE_ENTRY;
}

static bool take_prefix(pop3_span *word, const char *prefix)
{
	size_t n = strlen(prefix);

	if (word->size < n || memcmp(word->data, prefix, n) != 0)
		return false;
	word->data += n;
	word->size -= n;
	return true;
}

/* What "%x" of a mail location stands for. -1: not known here. */
static int variable(char name, pop3_span home, const struct user *user, pop3_span *ret)
{
	pop3_span whole = span_of(user->name);
	const char *at = strchr(user->name, '@');
	size_t local = at ? (size_t)(at - user->name) : whole.size;

	switch (name) {
	case 'h':
		*ret = home.size ? home : whole;
		return 0;
	case 'u':
		*ret = whole;
		return 0;
	case 'n':
		*ret = (pop3_span){whole.data, local};
		return 0;
	case 'd':
		*ret = at ? span_of(at + 1) : (pop3_span){"", 0};
		return 0;
	case '%':
		*ret = SPAN_LITERAL("%");
		return 0;
	}
	return -1;
}

/* PATH of maildir:PATH, with "~/", %h, %u, %n and %d as Dovecot has them. Returns its size, or -1:
 * something else in it, or more than size octets. */
static int expand(pop3_span path, pop3_span home, const struct user *user, char *buf, size_t size)
{
	pop3_span value = home.size ? home : span_of(user->name);
	size_t used = 0, i = 0;

	if (path.size >= 1 && path.data[0] == '~') {
		if (path.size > 1 && path.data[1] != '/')
			return -1; /* somebody else's home */
		if (value.size >= size)
			return -1;
		memcpy(buf, value.data, value.size);
		used = value.size;
		i = 1;
	}
	for (; i < path.size; i++) {
		value = (pop3_span){path.data + i, 1};
		if (path.data[i] == '%' &&
		    (++i == path.size || variable(path.data[i], home, user, &value) < 0))
			return -1;
		if (value.size >= size - used)
			return -1;
		memcpy(buf + used, value.data, value.size);
		used += value.size;
	}
	return (int)used;
}

/* The mail location of another server's file: a Maildir is understood, anything else is not served
 * rather than shown empty in a place where it is not. */
static enum passwd_line set_mail(pop3_span mail, pop3_span home, const char *mail_root,
				 struct user *user, struct err *err)
{
	char path[USER_HOME_MAX + 256], shown[128];
	pop3_span where = mail;
	int size = -1;

	while (home.size > 1 && home.data[home.size - 1] == '/')
		home.size--;
	if (take_prefix(&where, "maildir:") && where.size && !memchr(where.data, ':', where.size))
		size = expand(where, home, user, path, sizeof(path));
	if (size > 0)
		return set_home((pop3_span){path, (size_t)size}, mail_root, user, err);
	text_escape(shown, sizeof(shown) - 1, mail);
	err_set(err, EX_CONFIG,
		"the mail of %s is said to be in %s: only maildir:PATH is known here, with ~/, "
		"%%h, "
		"%%u, %%n and %%d and no options: take userdb_mail out, and write the folder of "
		"the "
		"mail into the field home",
		user->name, shown[0] ? shown : "nothing");
	return PASSWD_LINE_UNSERVED;
}

static enum passwd_line set_ids(pop3_span uid, pop3_span gid, struct user *user, struct err *err)
{
	uint64_t number[2];

	if (uid.size == 0 && gid.size == 0)
		return PASSWD_LINE_ENTRY;
	if (span_number(uid, UINT32_MAX - 1, &number[0]) < 0 ||
	    span_number(gid, UINT32_MAX - 1, &number[1]) < 0) {
		err_set(err, EX_CONFIG, "uid and gid of %s are not both numbers: not used",
			user->name);
		return PASSWD_LINE_ENTRY;
	}
	if (number[0] == 0) {
		err_set(err, EX_CONFIG, "the uid of %s is 0: give root's mail to a user of its own",
			user->name);
		return PASSWD_LINE_UNSERVED;
	}
	user->uid = (uint32_t)number[0];
	user->gid = (uint32_t)number[1];
	user->has_ids = true;
	return PASSWD_LINE_ENTRY;
}

/* "500", "20K", "1G" */
static int parse_size(pop3_span text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	uint64_t number, factor = 1;
	const char *unit;

	if (text.size && (unit = memchr(units, text.data[text.size - 1] & ~0x20, 4)) &&
	    text.data[text.size - 1] > '9') {
		factor = 1ull << 10 * (unit - units + 1);
		text.size--;
	}
	if (span_number(text, (1ull << 60) / factor, &number) < 0)
		return -1;
	*ret = number * factor;
	return 0;
}

/* Extra fields: a field that restricts logins is an error or obeyed, never ignored; fields for
 * other programs are ignored. */
static int set_extra(pop3_span word, struct user *user, pop3_span *ret_mail, struct err *err)
{
	bool good = true;

	(void)take_prefix(&word, "userdb_");
	if (take_prefix(&word, "quota_messages="))
		good = parse_size(word, &user->quota_messages) == 0;
	else if (take_prefix(&word, "quota_octets="))
		good = parse_size(word, &user->quota_octets) == 0;
	else if (take_prefix(&word, "mail="))
		*ret_mail = word;
	else if (span_equal(word, SPAN_LITERAL("nologin")) || take_prefix(&word, "nologin="))
		user->nologin = true;
	else if (take_prefix(&word, "allow_nets=")) {
		user->nologin = true;
		err_set(err, EX_CONFIG,
			"allow_nets of %s is not known here: no login for this user until it is "
			"taken "
			"out",
			user->name);
	}
	if (!good)
		return err_set(err, EX_CONFIG,
			       "a quota has to be a number, perhaps with K, M or G");
	return 0;
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

static enum passwd_line refuse_name(pop3_span name, struct err *err)
{
	char shown[128];

	text_escape(shown, sizeof(shown) - 1, name);
	err_set(err, EX_CONFIG,
		"no mail can be addressed to %s (%s): give the user another name, and the old one "
		"as home",
		shown, names_unaddressable);
	return PASSWD_LINE_UNSERVED;
}

enum passwd_line passwd_line_parse(pop3_span line, const char *mail_root, struct user *ret,
				   struct err *err)
{
	pop3_span mail = {0}, rest = line,
		  field[7]; /* name secret uid gid gecos home shell; rest: extra */
	enum passwd_line status;

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
	ret->has_ids = ret->nologin = false;
	ret->uid = ret->gid = 0;
	ret->quota_messages = ret->quota_octets = 0;
	if (set_name(field[0], ret, err) < 0)
		return PASSWD_LINE_BAD;
	if (span_copy(field[1], ret->secret, sizeof(ret->secret)) < 0) {
		err_set(err, EX_CONFIG, "the password field is longer than %d octets",
			USER_SECRET_MAX);
		return PASSWD_LINE_BAD;
	}
	status = set_ids(field[2], field[3], ret, err);
	while (rest.size)
		if (set_extra(take_until(&rest, ' '), ret, &mail, err) < 0)
			return PASSWD_LINE_BAD;
	if (status != PASSWD_LINE_ENTRY)
		return status;
	if (!user_name_addressable(field[0]))
		return refuse_name(field[0], err);
	return mail.data ? set_mail(mail, field[5], mail_root, ret, err)
			 : set_home(field[5], mail_root, ret, err);
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
