/* See fields.h. Values are hostile until they are checked here: the users file and every database
 * come through these functions. */
#include "users/fields.h"

#include "base/text.h"
#include "config/remote.h"
#include "users/networks.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

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
	if (!span_take_prefix(&rule, SPAN_LITERAL("*:")))
		return -1;
	while (rule.size) {
		const char *end = memchr(rule.data, ':', rule.size);
		pop3_span part = {rule.data, end ? (size_t)(end - rule.data) : rule.size};
		uint64_t *to = &user->quota_octets, number, factor = 1;

		rule.data += part.size + (end != NULL);
		rule.size -= part.size + (end != NULL);
		if (span_take_prefix(&part, SPAN_LITERAL("messages=")))
			to = &user->quota_messages;
		else if (span_take_prefix(&part, SPAN_LITERAL("storage=")))
			factor = part.size && part.data[part.size - 1] <= '9' ? 1024 : 1;
		else if (!span_take_prefix(&part, SPAN_LITERAL("bytes=")))
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

void user_fields_begin(struct user_fields *fields, struct user *user, const struct user_mail *mail)
{
	*fields = (struct user_fields){.user = user};
	if (mail)
		fields->mail = *mail;
	user->has_ids = user->nologin = user->placed = user->external = false;
	user->has_login_delay = false;
	user->login_delay = 0;
	user->uid = user->gid = user->root = 0;
	user->remote_section = user->migrate_section = 0;
	user->remote[0] = user->remote_user[0] = user->remote_password[0] = '\0';
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

static int set_external(pop3_span value, struct user *user, struct err *err)
{
	(void)err;
	user->external = is_set(value);
	return 0;
}

static int set_login_delay(pop3_span value, struct user *user, struct err *err)
{
	uint64_t seconds;

	if (span_number(value, CONFIG_LOGIN_DELAY_MAX, &seconds) < 0)
		return err_set(err, EX_CONFIG,
			       "login_delay of %s has to be a number of seconds, %u at most",
			       user->name, CONFIG_LOGIN_DELAY_MAX);
	user->login_delay = (uint32_t)seconds;
	user->has_login_delay = true;
	return 0;
}

/* A name that is no section's stays one: an empty maildrop here would pass for that mail. */
static int set_remote(pop3_span value, struct user *user, struct err *err)
{
	(void)err;
	if (value.size == 0 || span_copy(value, user->remote, sizeof(user->remote)) < 0)
		snprintf(user->remote, sizeof(user->remote), "?");
	return 0;
}

static int set_remote_user(pop3_span value, struct user *user, struct err *err)
{
	if (span_copy(value, user->remote_user, sizeof(user->remote_user)) == 0)
		return 0;
	return err_set(err, EX_CONFIG, "remote_user of %s has more than %d octets", user->name,
		       USER_REMOTE_NAME_MAX);
}

static int set_remote_password(pop3_span value, struct user *user, struct err *err)
{
	if (span_copy(value, user->remote_password, sizeof(user->remote_password)) == 0)
		return 0;
	return err_set(err, EX_CONFIG, "remote_password of %s has more than %d octets", user->name,
		       USER_REMOTE_SECRET_MAX);
}

/* A field is set at once, or its value is kept until all are known. */
static const struct field {
	const char *name;
	int (*set)(pop3_span value, struct user *user, struct err *err); /* NULL: it is kept */
	size_t kept; /* where, in struct user_fields */
} known[] = {
	{"password", set_secret, 0},
	{"home", NULL, offsetof(struct user_fields, words.home)},
	{"mail", NULL, offsetof(struct user_fields, words.mail)},
	{"maildir", NULL, offsetof(struct user_fields, words.maildir)},
	{"uid", NULL, offsetof(struct user_fields, uid)},
	{"gid", NULL, offsetof(struct user_fields, gid)},
	{"quota_messages", set_quota_messages, 0},
	{"quota_octets", set_quota_octets, 0},
	{"quota_rule", set_rule, 0},
	{"nologin", set_nologin, 0},
	{"allow_networks", set_networks, 0},
	{"allow_nets", set_networks, 0},
	{"remote", set_remote, 0},
	{"remote_user", set_remote_user, 0},
	{"remote_password", set_remote_password, 0},
	{"migrate", NULL, offsetof(struct user_fields, migrate)},
	{"external", set_external, 0},
	{"login_delay", set_login_delay, 0},
};

/*
 * Dovecot's fields that are passed over, since they change neither whose mail it is, nor where it
 * is, nor who may read it: descriptions, priorities, limits of IMAP, access lists of folders that
 * POP3 does not show, quotas of other folders and what is said about them, words for logs. The
 * manual valija-users(5) has the same list. Whatever is not here or above is refused: it may be one
 * that restricts (fail, allow_real_nets), that lets in (nopassword, master), or that says where the
 * mail is (proxy, host, mail_path, chroot, sieve).
 */
static const char *const passed_over[] = {
	"acl_groups",
	"acl_user",
	"gecos",
	"mail_max_userip_connections",
	"nice",
	"nodelay",
	"quota",
	"quota_grace",
	"quota_rule2",
	"quota_rule3",
	"quota_vsizes",
	"quota_warning",
	"shell",
	"quota_warning2",
	"system_groups_user",
};
static const char *const passed_over_begins[] = {"event_", "imap_"};

bool user_field_is_passed_over(pop3_span name)
{
	for (size_t i = 0; i < sizeof(passed_over) / sizeof(passed_over[0]); i++)
		if (span_equal(name, span_of(passed_over[i])))
			return true;
	for (size_t i = 0; i < sizeof(passed_over_begins) / sizeof(passed_over_begins[0]); i++)
		if (span_take_prefix(&name, span_of(passed_over_begins[i])))
			return true;
	return false;
}

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
	pop3_span whole = name;
	char shown[64];

	if (has_controls(value)) {
		text_escape(shown, sizeof(shown), whole);
		err_set(err, EX_CONFIG, "the field %s holds a control character", shown);
		return USER_FIELD_BAD;
	}
	(void)span_take_prefix(&name, SPAN_LITERAL("userdb_"));
	field = find_field(name);
	if (!field && user_field_is_passed_over(name))
		return USER_FIELD_TAKEN;
	if (!field) {
		text_escape(shown, sizeof(shown), whole);
		err_set(err, EX_CONFIG,
			"there is no field %s, and it may be one that restricts: take it out, or "
			"write what is meant with the fields of valija-users(5)",
			shown);
		return USER_FIELD_UNKNOWN;
	}
	if (field->set)
		return field->set(value, fields->user, err) < 0 ? USER_FIELD_BAD : USER_FIELD_TAKEN;
	memcpy((char *)fields + field->kept, &value, sizeof(value));
	return USER_FIELD_TAKEN;
}

/* err has a note if clients are not told so much. */
static void check_login_delay(const struct user_fields *fields, struct err *err)
{
	const struct config *config = fields->mail.config;
	const struct user *user = fields->user;

	if (!config || !user->has_login_delay || user->login_delay <= config->login_delay_max)
		return;
	err_set(err, EX_CONFIG,
		"login_delay of %s is %u seconds, and pop3.login_delay_max allows %u: %s",
		user->name, user->login_delay, config->login_delay_max,
		config->login_delay_max ? "that is used" : "pop3.login_delay is used");
}

/* There is nothing here to be opened, or delivered to: a login asks for remote_section. */
static int refuse_remote(const struct user_fields *fields, struct err *err)
{
	const struct config *config = fields->mail.config;
	struct user *user = fields->user;
	int place = config ? config_remote_find(config, span_of(user->remote)) : -1;
	char shown[64];

	text_escape(shown, sizeof(shown) - 1, span_of(user->remote));
	if (place < 0)
		return err_set(
			err, EX_UNAVAILABLE,
			"the mail of %s is on another server (remote=%s), and valija.conf "
			"has no section remote \"%s\" { }: write one, or bring the mail here "
			"(valija fetch) and take the field out",
			user->name, shown, shown);
	user->remote_section = (uint32_t)place + 1;
	return err_set(err, EX_UNAVAILABLE,
		       "the mail of %s is on another server (remote=%s): there is no maildrop here",
		       user->name, shown);
}

/* The mail is here, and a part of it still elsewhere. The copying needs a password: where the other
 * server alone judges it, that has to be learned. */
static int set_migrate(const struct user_fields *fields, struct err *err)
{
	const struct config *config = fields->mail.config;
	struct user *user = fields->user;
	int place = config ? config_remote_find(config, fields->migrate) : -1;
	char shown[64];

	if (!fields->migrate.data)
		return 0;
	text_escape(shown, sizeof(shown) - 1, fields->migrate);
	if (place < 0)
		return err_set(err, EX_CONFIG,
			       "the mail of %s moves here from another server (migrate=%s), and "
			       "valija.conf has no section remote \"%s\" { }: write one",
			       user->name, shown, shown);
	user->migrate_section = (uint32_t)place + 1;
	if (config->remotes[place].credentials == CONFIG_REMOTE_SAME &&
	    !config->remotes[place].learn[0])
		return err_set(err, EX_CONFIG,
			       "the mail of %s moves here from another server (migrate=%s) while "
			       "nobody is logged in, and that section has credentials = same: call "
			       "valija migrate --make-key FILE, and write learn = "
			       "\"FILE" CONFIG_LEARN_SUFFIX
			       "\"; or write \"stored\", with remote_password or a master user's "
			       "password_file, or \"oauth\"",
			       user->name, shown);
	return 0;
}

int user_fields_end(struct user_fields *fields, struct err *err)
{
	if (fields->user->remote[0] && fields->migrate.data)
		return err_set(err, EX_CONFIG,
			       "%s has both remote= and migrate=: remote= for mail that stays "
			       "there, migrate= for mail that moves here",
			       fields->user->name);
	if (fields->user->remote[0])
		return refuse_remote(fields, err);
	if (set_migrate(fields, err) < 0)
		return -1;
	check_login_delay(fields, err);
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
	return user_location(&fields->mail, &fields->words, fields->user, err);
}
