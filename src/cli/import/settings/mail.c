/* Where the mail is: mail_location of 2.3, mail_driver and mail_path of 2.4. */
#include "cli/import/settings/translation.h"
#include "cli/import/settings/variables.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Texts of Dovecot. */
struct location {
	char driver[32], path[CONFIG_PATH_MAX], inbox[CONFIG_PATH_MAX];
	setting about;
};

/* Of POP3 it is the namespace with the inbox. */
static setting inbox_namespace(struct translation *t)
{
	setting found = NULL;

	for (size_t i = 0; i < t->conf->count; i++) {
		const struct dovecot_setting *one = &t->conf->settings[i];

		if (strncmp(one->section, "namespace", 9) == 0 && strcmp(one->key, "inbox") == 0 &&
		    is_yes(one))
			found = one;
	}
	return found;
}

static setting take_location(struct translation *t, const char *keys)
{
	setting inbox = inbox_namespace(t), common = take_pop3(t, keys);
	setting own = inbox ? take_in(t, inbox->block, keys) : NULL;

	return own && *own->value ? own : common;
}

static void take_option(struct translation *t, struct location *ret, const char *option, size_t n)
{
	if (strncmp(option, "INBOX=", 6) == 0)
		snprintf(ret->inbox, sizeof(ret->inbox), "%.*s", (int)n - 6, option + 6);
	else if (strncmp(option, "CONTROL=", 8) == 0)
		note(t, ret->about, SETTINGS_TO_DO,
		     "the lists of unique ids are in another folder (CONTROL=): give it to `valija "
		     "import dovecot` as --from DIR");
	else if (n)
		note(t, ret->about, SETTINGS_KEPT,
		     "%.*s is about Dovecot's own files and other folders: POP3 shows the inbox "
		     "alone",
		     (int)strcspn(option, "=:"), option);
}

/* "maildir:~/Maildir:INDEX=/x:INBOX=/y" */
static void split(struct translation *t, const char *text, struct location *ret)
{
	size_t n = strcspn(text, ":");

	snprintf(ret->driver, sizeof(ret->driver), "%.*s", (int)n, text);
	text += n + (text[n] == ':');
	n = strcspn(text, ":");
	snprintf(ret->path, sizeof(ret->path), "%.*s", (int)n, text);
	for (text += n; *text; text += n) {
		text++;
		n = strcspn(text, ":");
		take_option(t, ret, text, n);
	}
}

static bool find_location(struct translation *t, struct location *ret)
{
	setting location = take_location(t, "mail_location|location");
	setting driver = take_location(t, "mail_driver|driver"),
		path = take_location(t, "mail_path|path"),
		inbox = take_location(t, "mail_inbox_path|inbox_path"),
		control = take_location(t, "mail_control_path|control_path");

	*ret = (struct location){.about = driver ? driver : location};
	if (!driver && location && *location->value) {
		split(t, location->value, ret);
		return true;
	}
	if (!driver)
		return false;
	snprintf(ret->driver, sizeof(ret->driver), "%s", driver->value);
	snprintf(ret->path, sizeof(ret->path), "%s", value_of(path));
	snprintf(ret->inbox, sizeof(ret->inbox), "%s", value_of(inbox));
	if (control)
		note(t, control, SETTINGS_TO_DO,
		     "the lists of unique ids are in another folder: give it to `valija import "
		     "dovecot` as --from DIR");
	return true;
}

/* ---- the result ---- */

/* mail: of valija.conf; its folder is what stands before the first placeholder. */
static void put_mail(struct translation *t, const char *mail)
{
	size_t n = strcspn(mail, "{");

	put(t, PART_TOP, "mail", mail);
	while (mail[n] && n > 1 && mail[n - 1] != '/')
		n--;
	while (n > 1 && mail[n - 1] == '/')
		n--;
	free(t->ret->folder);
	t->ret->folder = strndup(mail, n);
	t->failed |= !t->ret->folder;
}

static void cut_slashes(char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
}

static void put_unknown(struct translation *t, const struct location *location, const char *why)
{
	put(t, PART_TOP, "mail", SETTINGS_FILL_IN);
	if (location->about)
		note(t, location->about, SETTINGS_TO_DO, "%s: write mail = ... in valija.conf",
		     why);
	else
		note_nowhere(t, "mail_location", SETTINGS_TO_DO,
			     "%s: write mail = ... in valija.conf", why);
}

/* Below homes that are not known before a user is: below is what stands behind the home. */
static void put_below_homes(struct translation *t, const struct location *location,
			    const char *below)
{
	struct sources *users = &t->users;
	char text[CONFIG_PATH_MAX];

	if (!variables_expand(below, NULL, text, sizeof(text))) {
		put_unknown(t, location, "a variable has no counterpart");
		return;
	}
	cut_slashes(text);
	if (users->system && !users->database && !users->homes_in_file) {
		put_mail(t, "/home");
		snprintf(t->system_maildir, sizeof(t->system_maildir), "%s", text);
		return;
	}
	if (*users->home_guess) {
		put_mail(t, users->home_guess);
		note(t, location->about, SETTINGS_TO_DO,
		     "mail = \"%.200s\" is the folder above the homes as far as they can be seen: "
		     "look whether all homes are below it",
		     users->home_guess);
	} else {
		put_unknown(t, location,
			    "the mail is in the users' homes: the folder above them is not seen");
	}
	put(t, PART_TOP, "maildir", text);
	snprintf(t->system_maildir, sizeof(t->system_maildir), "%s", text);
}

static void put_location(struct translation *t, const struct location *location, const char *path)
{
	const char *below = variables_below_home(path);
	char text[CONFIG_PATH_MAX];

	t->users.homes_used = below != NULL;
	if (below && !t->users.home) {
		put_below_homes(t, location, below);
	} else if (!variables_expand(path, t->users.home, text, sizeof(text)) || *text != '/') {
		put_unknown(t, location, "a variable of the path has no counterpart");
	} else if (!strchr(text, '{')) {
		put_unknown(t, location, "the path is the same for all users");
	} else {
		cut_slashes(text);
		put_mail(t, text);
		/* a user whose entry has a home has the mail below it */
		if (below && (t->users.homes_in_file || t->users.database) && *below)
			put(t, PART_TOP, "maildir", below);
	}
}

static void put_mbox(struct translation *t, struct location *location)
{
	size_t n = strlen(location->path);

	if (!*location->inbox)
		snprintf(location->inbox, sizeof(location->inbox), "%.*s%sinbox", 480,
			 location->path, n && location->path[n - 1] == '/' ? "" : "/");
	t->ret->mboxes = true;
	put_location(t, location, location->inbox);
	put_plain(t, PART_TOP, "store", "mbox");
}

void translate_mail(struct translation *t)
{
	struct location location;

	if (!find_location(t, &location)) {
		put_unknown(t, &location,
			    "it is not set, and Dovecot looks for each user's mail: a common place "
			    "is needed");
	} else if (strcmp(location.driver, "maildir") == 0) {
		put_location(t, &location, *location.path ? location.path : "~/Maildir");
	} else if (strcmp(location.driver, "mbox") == 0) {
		put_mbox(t, &location);
	} else {
		put_unknown(
			t, &location,
			"mail in this form is not read here: convert it to Maildir with `doveadm "
			"sync` first");
	}
}
