/* See location.h. Words of entries are hostile. */
#include "users/location.h"

#include "base/text.h"
#include "config/database.h"
#include "config/path.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

const char *user_home(const struct user *user)
{
	return user->home[0] ? user->home : user->name;
}

static int not_below(pop3_span home, const struct user_mail *mail, const struct user *user,
		     struct err *err)
{
	bool one = mail->config && mail->config->root_count == 1;
	char shown[128];

	text_escape(shown, sizeof(shown) - 1, home);
	return err_set(err, EX_CONFIG,
		       "the home %s of %s is not below %s%s: move the mail there, or leave the "
		       "field empty",
		       shown, user->name, one ? "the mail directory " : "any mail directory",
		       one ? mail->config->roots[0].path : "");
}

static pop3_span without_slash(pop3_span path)
{
	while (path.size > 1 && path.data[path.size - 1] == '/')
		path.size--;
	return path;
}

/* A whole path comes from another server's file: below a mail folder of ours it is the same
 * maildrop. A user whose mail is elsewhere must not be shown an empty maildrop in its place. */
static int place(const struct user_mail *mail, pop3_span home, struct user *user, struct err *err)
{
	pop3_span whole = without_slash(home);
	char shown[128];

	home = whole;
	if (home.size && home.data[0] == '/') {
		pop3_span below = {"", 0};
		int root = mail->config ? config_root_find(mail->config, home, &below) : -1;

		if (root < 0 || !below.size)
			return not_below(home, mail, user, err);
		user->root = (uint32_t)root;
		user->placed = true;
		home = below;
	}
	if ((home.size && !config_below_valid(home)) ||
	    span_copy(home, user->home, sizeof(user->home)) < 0) {
		text_escape(shown, sizeof(shown) - 1, whole);
		return err_set(err, EX_CONFIG,
			       "the home %s of %s has an empty component, one with a dot at its "
			       "start, or more than %d octets",
			       shown, user->name, USER_HOME_MAX);
	}
	return 0;
}

/* The value of "%x" in a mail location. -1: not known here. */
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
static int place_mail(const struct user_mail *mail, const struct location_words *words,
		      struct user *user, struct err *err)
{
	static const char prefix[] = "maildir:";
	size_t n = sizeof(prefix) - 1;
	char path[USER_HOME_MAX + 256], shown[128];
	pop3_span where = words->mail;
	int size = -1;

	if (where.size > n && memcmp(where.data, prefix, n) == 0) {
		where = (pop3_span){where.data + n, where.size - n};
		if (!memchr(where.data, ':', where.size))
			size = expand(where, without_slash(words->home), user, path, sizeof(path));
	}
	user->placed = true;
	if (size > 0)
		return place(mail, (pop3_span){path, (size_t)size}, user, err);
	text_escape(shown, sizeof(shown) - 1, words->mail);
	return err_set(
		err, EX_CONFIG,
		"the mail of %s is said to be in %s: only maildir:PATH is known here, with ~/, "
		"%%h, %%u, %%n and %%d and no options: take userdb_mail out, and write the folder "
		"of the mail into the field home",
		user->name, shown[0] ? shown : "nothing");
}

/* Fills in a template with {user}, {local} and {domain}. Returns its size, or -1: it is too long.
 */
static int by_template(const char *template, const struct user *user, char buf[USER_HOME_MAX + 1])
{
	static const struct {
		const char *word;
		char variable;
	} words[] = {{"{user}", 'u'}, {"{local}", 'n'}, {"{domain}", 'd'}};
	const char *at = template[0] ? template : "{user}";
	size_t used = 0;

	while (*at) {
		pop3_span value = {at, 1};
		size_t n = 1;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strncmp(at, words[i].word, strlen(words[i].word)) == 0) {
				(void)variable(words[i].variable, (pop3_span){"", 0}, user, &value);
				n = strlen(words[i].word);
			}
		if (value.size > USER_HOME_MAX - used)
			return -1;
		memcpy(buf + used, value.data, value.size);
		used += value.size;
		at += n;
	}
	buf[used] = '\0';
	return (int)used;
}

/* A mailbox in the folder of mailboxes has no folder below it. */
static bool is_mbox_root(const struct config *config, const struct user *user)
{
	return config->roots[user->root].store == CONFIG_MBOX;
}

int user_location(const struct user_mail *mail, const struct location_words *words,
		  struct user *user, struct err *err)
{
	const char *template = "";
	pop3_span home = without_slash(words->home), below = words->maildir;
	char computed[USER_HOME_MAX + 1], path[2 * USER_HOME_MAX + CONFIG_PATH_MAX];
	int n;

	user->root =
		mail->config ? config_database_mail(mail->config, mail->database, &template) : 0;
	user->placed = home.size > 0;
	if (words->mail.data)
		return place_mail(mail, words, user, err);
	if (below.size && below.data[0] == '/')
		return place(mail, below, user, err);
	if (!below.size && mail->config && !(is_mbox_root(mail->config, user) && !home.size))
		below = span_of(mail->config->maildir);
	if (!home.size && !below.size && !template[0])
		return place(mail, home, user, err); /* the name */
	if (!home.size && by_template(template, user, computed) < 0)
		return err_set(err, EX_CONFIG, "the home of %s is too long", user->name);
	if (!home.size)
		home = span_of(computed);
	n = snprintf(path, sizeof(path), "%.*s%s%.*s", (int)home.size, home.data,
		     below.size ? "/" : "", (int)below.size, below.data);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, EX_CONFIG, "the maildir of %s is too long", user->name);
	return place(mail, (pop3_span){path, (size_t)n}, user, err);
}

/* ---- other places ---- */

/* The home that a folder of the setting mail has for the name, with or without maildir. */
static bool place_in(const struct config *config, const struct user *user, uint32_t root,
		     const char *maildir, char ret_home[USER_HOME_MAX + 1])
{
	char home[USER_HOME_MAX + 1];
	int n = by_template(config->roots[root].template, user, home);

	if (n < 0 || !config_below_valid((pop3_span){home, (size_t)n}))
		return false;
	n = snprintf(ret_home, USER_HOME_MAX + 1, "%s%s%s", home, maildir[0] ? "/" : "", maildir);
	return n > 0 && n <= USER_HOME_MAX;
}

/* The home of a maildrop that the setting maildir made of it. */
static bool above(const struct config *config, const char *home, char ret_home[USER_HOME_MAX + 1])
{
	size_t n = strlen(home), below = strlen(config->maildir);

	if (!below || n <= below + 1 || home[n - below - 1] != '/' ||
	    strcmp(home + n - below, config->maildir) != 0)
		return false;
	memcpy(ret_home, home, n - below - 1);
	ret_home[n - below - 1] = '\0';
	return true;
}

bool user_location_elsewhere(const struct config *config, const struct user *user, unsigned index,
			     uint32_t *ret_root, char ret_home[USER_HOME_MAX + 1])
{
	unsigned found = 0;

	*ret_root = user->root;
	if (above(config, user_home(user), ret_home) && found++ == index)
		return true;
	for (uint32_t i = 0; i < config->root_count && !user->placed; i++)
		for (int with = config->maildir[0] != '\0'; with >= 0; with--) {
			*ret_root = i;
			if (i != user->root &&
			    place_in(config, user, i, with ? config->maildir : "", ret_home) &&
			    found++ == index)
				return true;
		}
	return false;
}
