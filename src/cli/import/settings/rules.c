/* Logins, limits, quota, and the site's name. */
#include "cli/import/settings/translation.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- logins ---- */

struct mechanism {
	const char *dovecot, *ours;
};

static const struct mechanism mechanisms[] = {{"plain", "PLAIN"},
					      {"login", "LOGIN"},
					      {"cram-md5", "CRAM-MD5"},
					      {"scram-sha-1", "SCRAM-SHA-1"},
					      {"scram-sha-256", "SCRAM-SHA-256"},
					      {"scram-sha-1-plus", "SCRAM-SHA-1-PLUS"},
					      {"scram-sha-256-plus", "SCRAM-SHA-256-PLUS"}};

static const char *mechanism_of(const char *word, size_t n)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(*mechanisms); i++)
		if (strlen(mechanisms[i].dovecot) == n &&
		    strncasecmp(word, mechanisms[i].dovecot, n) == 0)
			return mechanisms[i].ours;
	return NULL;
}

static bool is_word(const char *word, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(word, name, n) == 0;
}

static void note_mechanism(struct translation *t, setting about, const char *word, size_t n)
{
	if (is_word(word, n, "apop"))
		put_plain(t, PART_LOGIN, "apop", "yes");
	else if (is_word(word, n, "oauthbearer") || is_word(word, n, "xoauth2"))
		note(t, about, SETTINGS_TO_DO,
		     "tokens need a section database with driver = oauth, and their mechanisms are "
		     "announced then");
	else if (is_word(word, n, "external"))
		note(t, about, SETTINGS_TO_DO,
		     "logins by certificates: write login.client_ca, EXTERNAL into "
		     "login.mechanisms, and the field external into the entries of users");
	else
		note(t, about, SETTINGS_TO_DO,
		     "the mechanism %.*s is not known here: programs that are set to it have to "
		     "take another one",
		     (int)(n < 40 ? n : 40), word);
}

static void put_mechanisms(struct translation *t)
{
	setting about = take_pop3(t, "auth_mechanisms");
	const char *at = value_of(about), *between = "mechanisms = {";
	FILE *out = t->parts[PART_LOGIN];
	char list[8][24];
	size_t count = 0;

	while (*(at += strspn(at, " ,"))) {
		size_t n = strcspn(at, " ,");
		const char *ours = mechanism_of(at, n);

		if (ours && count < 8)
			snprintf(list[count++], sizeof(list[0]), "%s", ours);
		else
			note_mechanism(t, about, at, n);
		at += n;
	}
	for (size_t i = 0; i < count; i++) {
		bool twice = false;

		for (size_t k = 0; k < i; k++)
			twice |= strcmp(list[k], list[i]) == 0;
		if (twice)
			continue;
		fputs(between, out);
		put_quoted(out, list[i]);
		between = ", ";
	}
	fputs(count ? "}\n" : "", out);
}

static void put_logins(struct translation *t)
{
	setting tls = take_pop3(t, "ssl"), plain = take_pop3(t, "disable_plaintext_auth"),
		clear = take_pop3(t, "auth_allow_cleartext"),
		realm = take(t, "", "auth_default_realm|auth_default_domain"),
		delay = take(t, "", "auth_failure_delay");
	char text[32];

	put_mechanisms(t);
	if ((is_no(plain) || is_yes(clear)) && strcasecmp(value_of(tls), "required") != 0)
		put_plain(t, PART_LOGIN, "plain_without_tls", "yes");
	if (*value_of(realm))
		put(t, PART_LOGIN, "realm", realm->value);
	if (delay && time_text(delay->value, text, sizeof(text)))
		put_plain(t, PART_LOGIN, "failure_delay", text);
	else if (delay)
		note(t, delay, SETTINGS_TO_DO, "this time is not understood: login.failure_delay");
}

/* ---- limits ---- */

static void put_limits(struct translation *t)
{
	setting sessions = take_pop3(t, "mail_max_userip_connections");

	if (!sessions)
		return;
	if (!isdigit((unsigned char)*sessions->value)) {
		put_plain(t, PART_LIMITS, "sessions_per_user", "0");
		return;
	}
	fprintf(t->parts[PART_LIMITS], "sessions_per_user = %lu\n",
		strtoul(sessions->value, NULL, 10) % 1000001);
	note(t, sessions, SETTINGS_KEPT,
	     "it is limits.sessions_per_user, which counts those of one user from all addresses");
}

/* ---- quota ---- */

/* "1G", "100 MB", "5%": of the default unit where there is none. False: it is no size. */
static bool size_text(const char *value, const char *standard_unit, char *ret, size_t size)
{
	size_t digits = strspn(value, "0123456789");
	const char *unit = value + digits + strspn(value + digits, " ");
	unsigned long long number = strtoull(value, NULL, 10);
	char letter = (char)toupper((unsigned char)*unit);

	if (!digits || digits > 12)
		return false;
	if (!letter || letter == ':')
		snprintf(ret, size, "%llu%s", number, standard_unit);
	else if (letter == 'T')
		snprintf(ret, size, "%lluG", number * 1024);
	else if (strchr("KMG", letter))
		snprintf(ret, size, "%llu%c", number, letter);
	else if (letter == 'B')
		snprintf(ret, size, "%llu", number);
	else
		return false;
	return true;
}

static bool rule_part(const char *rule, const char *name, char *ret, size_t size)
{
	const char *at = strstr(rule, name);

	if (!at || (at != rule && at[-1] != ':'))
		return false;
	at += strlen(name);
	snprintf(ret, size, "%.*s", (int)strcspn(at, ":"), at);
	return true;
}

/* "*:storage=1G:messages=1000", of all folders together. */
static void put_rule(struct translation *t, setting rule)
{
	char part[64], text[64];
	bool understood = false;

	if (!rule)
		return;
	if (strncmp(rule->value, "*:", 2) == 0) {
		if (rule_part(rule->value + 2, "storage=", part, sizeof(part)) &&
		    size_text(part, "K", text, sizeof(text))) {
			put_plain(t, PART_QUOTA, "octets", text);
			understood = true;
		} else if (rule_part(rule->value + 2, "bytes=", part, sizeof(part)) &&
			   size_text(part, "", text, sizeof(text))) {
			put_plain(t, PART_QUOTA, "octets", text);
			understood = true;
		}
		if (rule_part(rule->value + 2, "messages=", part, sizeof(part)) &&
		    size_text(part, "", text, sizeof(text))) {
			put_plain(t, PART_QUOTA, "messages", text);
			understood = true;
		}
	}
	if (!understood)
		note(t, rule, SETTINGS_TO_DO,
		     "this rule is not understood: write quota.octets and quota.messages");
	else
		note(t, rule, SETTINGS_KEPT,
		     "it is quota.octets and quota.messages, which count the inbox alone: there is "
		     "room for what folders of IMAP have besides");
}

static setting quota_block(struct translation *t, const char *keys)
{
	setting common = take(t, "", keys);

	for (size_t i = 0; !common && i < t->conf->count; i++) {
		setting one = &t->conf->settings[i];

		if (strncmp(one->section, "quota ", 6) == 0 && !*one->key &&
		    !strchr(one->section, '/'))
			common = take_in(t, one->block, keys);
	}
	return common;
}

static void put_quota(struct translation *t)
{
	setting rule = take(t, "plugin", "quota_rule"),
		octets = quota_block(t, "quota_storage_size|storage_size"),
		messages = quota_block(t, "quota_message_count|message_count"),
		over = take(t, "plugin", "quota_exceeded_message"),
		later = take_pop3(t, "quota_full_tempfail");
	char text[64];

	put_rule(t, rule);
	if (octets && size_text(octets->value, "", text, sizeof(text)))
		put_plain(t, PART_QUOTA, "octets", text);
	else if (octets && strcasecmp(octets->value, "unlimited") != 0)
		note(t, octets, SETTINGS_TO_DO, "this size is not understood: quota.octets");
	if (messages && size_text(messages->value, "", text, sizeof(text)))
		put_plain(t, PART_QUOTA, "messages", text);
	if (over)
		note(t, over, SETTINGS_KEPT, "senders get a text of our own");
	/* Dovecot's default is to send the mail back */
	if (rule || octets || messages)
		put(t, PART_QUOTA, "over", is_yes(later) ? "temporary" : "permanent");
}

void translate_rules(struct translation *t)
{
	setting host = take(t, "", "hostname");

	if (host && *host->value)
		put(t, PART_TOP, "hostname", host->value);
	put_logins(t);
	put_limits(t);
	put_quota(t);
}
