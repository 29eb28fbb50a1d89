/* See fields.h. Values are hostile until they are checked here: the users file and every database
 * come through these functions. */
#include "users/fields.h"

#include "base/text.h"
#include "users/networks.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <stdio.h>
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

/* The root of the mail: what stands before the part with the first placeholder. */
static size_t root_size(const char *mail)
{
	size_t n = strcspn(mail, "{");

	if (!mail[n])
		return n;
	while (n > 0 && mail[n] != '/')
		n--;
	return n;
}

/* An absolute home comes from another server's file: below our mail root it is the same folder. A
 * user with a home elsewhere must not be shown an empty maildrop in its place. */
static int set_home(pop3_span home, const char *mail_root, struct user *user, struct err *err)
{
	char shown[128];
	size_t n = mail_root ? root_size(mail_root) : 0;

	while (home.size > 1 && home.data[home.size - 1] == '/')
		home.size--;
	text_escape(shown, sizeof(shown) - 1, home);
	if (home.size && home.data[0] == '/') {
		if (n == 0 || home.size <= n + 1 || memcmp(home.data, mail_root, n) != 0 ||
		    home.data[n] != '/') {
			err_set(err, EX_CONFIG,
				"the home %s of %s is not below the mail directory %.*s: move the "
				"mail "
				"there, or leave the field empty",
				shown, user->name, (int)n, mail_root ? mail_root : "");
			return -1;
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
		return -1;
	}
	return 0;
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
static int set_mail(pop3_span mail, pop3_span home, const char *mail_root, struct user *user,
		    struct err *err)
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
	return -1;
}

/* Two numbers. uid 0 is refused; words are not used, and err says so. */
static int set_ids(const struct user_fields *fields, struct err *err)
{
	struct user *user = fields->user;
	uint64_t number[2];

	if (fields->uid.size == 0 && fields->gid.size == 0)
		return 0;
	if (span_number(fields->uid, UINT32_MAX - 1, &number[0]) < 0 ||
	    span_number(fields->gid, UINT32_MAX - 1, &number[1]) < 0) {
		err_set(err, EX_CONFIG, "uid and gid of %s are not both numbers: not used",
			user->name);
		return 0;
	}
	if (number[0] == 0)
		return err_set(err, EX_CONFIG,
			       "the uid of %s is 0: give root's mail to a user of its own",
			       user->name);
	user->uid = (uint32_t)number[0];
	user->gid = (uint32_t)number[1];
	user->has_ids = true;
	return 0;
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

/* Dovecot's "*:storage=1G:messages=1000", "*:bytes=…"; storage is in kilobytes where it has no
 * unit. */
static int set_quota_rule(pop3_span rule, struct user *user)
{
	if (!take_prefix(&rule, "*:"))
		return -1;
	while (rule.size) {
		const char *end = memchr(rule.data, ':', rule.size);
		pop3_span part = {rule.data, end ? (size_t)(end - rule.data) : rule.size};
		uint64_t *to = &user->quota_octets, number, factor = 1;

		rule.data += part.size + (end != NULL);
		rule.size -= part.size + (end != NULL);
		if (take_prefix(&part, "messages="))
			to = &user->quota_messages;
		else if (take_prefix(&part, "storage="))
			factor = part.size && part.data[part.size - 1] <= '9' ? 1024 : 1;
		else if (!take_prefix(&part, "bytes="))
			return -1;
		if (parse_size(part, &number) < 0 || number > (1ull << 60) / factor)
			return -1;
		*to = number * factor;
	}
	return 0;
}

/* "y", "yes", "1" … and, since a client that is not let in is the safe side, anything but a plain
 * no. */
static bool is_set(pop3_span value)
{
	static const char *const no[] = {"0", "n", "no", "f", "false", "off"};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (span_equal_nocase(value, span_of(no[i])))
			return false;
	return true;
}

static int set_networks(pop3_span value, struct user *user, struct err *err)
{
	if (!networks_valid(value))
		return err_set(err, EX_CONFIG,
			       "allow_networks of %s is no list of networks such as 192.0.2.0/24, "
			       "2001:db8::/32: no login for this user until it is one",
			       user->name);
	if (span_copy(value, user->networks, sizeof(user->networks)) < 0)
		return err_set(err, EX_CONFIG, "allow_networks of %s has more than %zu octets",
			       user->name, sizeof(user->networks) - 1);
	return 0;
}

static int set_secret(pop3_span value, struct user *user, struct err *err)
{
	if (span_copy(value, user->secret, sizeof(user->secret)) < 0)
		return err_set(err, EX_CONFIG, "the password field is longer than %d octets",
			       USER_SECRET_MAX);
	return 0;
}

static bool has_controls(pop3_span value)
{
	for (size_t i = 0; i < value.size; i++)
		if ((unsigned char)value.data[i] < 0x20 || value.data[i] == 0x7f)
			return true;
	return false;
}

void user_fields_begin(struct user_fields *fields, struct user *user, const char *mail_root)
{
	*fields = (struct user_fields){.user = user, .mail_root = mail_root};
	user->has_ids = user->nologin = false;
	user->uid = user->gid = 0;
	user->quota_messages = user->quota_octets = 0;
	user->home[0] = user->secret[0] = user->networks[0] = '\0';
}

static int set_size(pop3_span value, uint64_t *to, struct err *err)
{
	if (parse_size(value, to) == 0)
		return 0;
	return err_set(err, EX_CONFIG, "a quota has to be a number, perhaps with K, M or G");
}

static int set_quota_messages(pop3_span value, struct user *user, struct err *err)
{
	return set_size(value, &user->quota_messages, err);
}

static int set_quota_octets(pop3_span value, struct user *user, struct err *err)
{
	return set_size(value, &user->quota_octets, err);
}

static int set_rule(pop3_span value, struct user *user, struct err *err)
{
	if (set_quota_rule(value, user) == 0)
		return 0;
	return err_set(err, EX_CONFIG,
		       "quota_rule: only \"*:storage=SIZE:messages=NUMBER\" is known here");
}

static int set_nologin(pop3_span value, struct user *user, struct err *err)
{
	(void)err;
	user->nologin = is_set(value);
	return 0;
}

/* A field is set at once, or its value is kept until all are known. */
static const struct field {
	const char *name;
	int (*set)(pop3_span value, struct user *user, struct err *err); /* NULL: it is kept */
	size_t kept; /* where, in struct user_fields */
} known[] = {
	{"password", set_secret, 0},
	{"home", NULL, offsetof(struct user_fields, home)},
	{"mail", NULL, offsetof(struct user_fields, mail)},
	{"maildir", NULL, offsetof(struct user_fields, maildir)},
	{"uid", NULL, offsetof(struct user_fields, uid)},
	{"gid", NULL, offsetof(struct user_fields, gid)},
	{"quota_messages", set_quota_messages, 0},
	{"quota_octets", set_quota_octets, 0},
	{"quota_rule", set_rule, 0},
	{"nologin", set_nologin, 0},
	{"allow_networks", set_networks, 0},
	{"allow_nets", set_networks, 0},
};

static const struct field *find_field(pop3_span name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_equal(name, span_of(known[i].name)))
			return &known[i];
	return NULL;
}

enum user_field user_fields_set(struct user_fields *fields, pop3_span name, pop3_span value,
				struct err *err)
{
	const struct field *field;
	char shown[64];

	if (has_controls(value)) {
		text_escape(shown, sizeof(shown), name);
		err_set(err, EX_CONFIG, "the field %s holds a control character", shown);
		return USER_FIELD_BAD;
	}
	(void)take_prefix(&name, "userdb_");
	field = find_field(name);
	if (!field)
		return USER_FIELD_UNKNOWN;
	if (field->set)
		return field->set(value, fields->user, err) < 0 ? USER_FIELD_BAD : USER_FIELD_TAKEN;
	memcpy((char *)fields + field->kept, &value, sizeof(value));
	return USER_FIELD_TAKEN;
}

/* A Maildir below the home, or wherever an absolute path says. */
static int set_maildir(const struct user_fields *fields, struct err *err)
{
	struct user *user = fields->user;
	pop3_span below = fields->maildir;
	char path[2 * USER_HOME_MAX];
	pop3_span home = fields->home.size ? fields->home : span_of(user->name);
	int n;

	if (below.data[0] == '/')
		return set_home(below, fields->mail_root, user, err);
	n = snprintf(path, sizeof(path), "%.*s/%.*s", (int)home.size, home.data, (int)below.size,
		     below.data);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, EX_CONFIG, "the maildir of %s is too long", user->name);
	return set_home((pop3_span){path, (size_t)n}, fields->mail_root, user, err);
}

/* The home that the setting mail computes of the name. */
static int set_by_template(const struct user_fields *fields, struct err *err)
{
	static const struct {
		const char *word;
		char variable;
	} words[] = {{"{user}", 'u'}, {"{local}", 'n'}, {"{domain}", 'd'}};
	const char *at = fields->mail_root + root_size(fields->mail_root) + 1;
	char path[USER_HOME_MAX + 1];
	size_t used = 0;

	while (*at) {
		pop3_span value = {at, 1};
		size_t n = 1;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strncmp(at, words[i].word, strlen(words[i].word)) == 0) {
				(void)variable(words[i].variable, (pop3_span){"", 0}, fields->user,
					       &value);
				n = strlen(words[i].word);
			}
		if (value.size >= sizeof(path) - used)
			return err_set(err, EX_CONFIG, "the home of %s is too long",
				       fields->user->name);
		memcpy(path + used, value.data, value.size);
		used += value.size;
		at += n;
	}
	return set_home((pop3_span){path, used}, fields->mail_root, fields->user, err);
}

int user_fields_end(struct user_fields *fields, struct err *err)
{
	if (set_ids(fields, err) < 0)
		return -1;
	if (!user_name_addressable(span_of(fields->user->name))) {
		char shown[128];

		text_escape(shown, sizeof(shown) - 1, span_of(fields->user->name));
		return err_set(err, EX_CONFIG,
			       "no mail can be addressed to %s (%s): give the user another name, "
			       "and the old one as home",
			       shown, names_unaddressable);
	}
	if (fields->mail.data)
		return set_mail(fields->mail, fields->home, fields->mail_root, fields->user, err);
	if (fields->maildir.size)
		return set_maildir(fields, err);
	if (!fields->home.size && fields->mail_root &&
	    fields->mail_root[root_size(fields->mail_root)])
		return set_by_template(fields, err);
	return set_home(fields->home, fields->mail_root, fields->user, err);
}
