/* The sources of users: passdb and userdb of both versions. */
#include "cli/import/settings/translation.h"
#include "cli/import/settings/variables.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKS_MAX = 64 };

/* A section passdb or userdb. */
struct block {
	setting about;
	unsigned at;
	bool passwords;
	const char *driver;
	char path[CONFIG_PATH_MAX]; /* the last word of its args */
};

/* ---- one block ---- */

static bool is_block(const struct dovecot_setting *one, const char *word)
{
	size_t n = strlen(word);

	return !*one->key && strncmp(one->section, word, n) == 0 &&
	       (!one->section[n] || one->section[n] == ' ') && !strchr(one->section, '/');
}

/* A word of "a=b c=d /path". */
static bool args_word(const char *args, const char *name, char *ret, size_t size)
{
	size_t length = strlen(name);

	while (*(args += strspn(args, " "))) {
		size_t n = strcspn(args, " ");

		if (n > length && strncmp(args, name, length) == 0 && args[length] == '=') {
			snprintf(ret, size, "%.*s", (int)(n - length - 1), args + length + 1);
			return true;
		}
		args += n;
	}
	return false;
}

/* The path, which follows the options and may have blanks. */
static void args_path(const char *args, char *ret, size_t size)
{
	const char *slash = strchr(args, '/');

	while (slash && slash != args && slash[-1] != ' ')
		slash = strchr(slash + 1, '/');
	snprintf(ret, size, "%s", slash ? slash : "");
}

/* In 2.4 the name of a section is its driver, unless it names one. */
static struct block read_block(struct translation *t, setting about)
{
	struct block block = {.about = about, .at = about->block};
	const char *space = strchr(about->section, ' ');
	setting driver = take_in(t, block.at, "driver|passdb_driver|userdb_driver");
	setting args = take_in(t, block.at, "args");
	setting path = take_in(t, block.at,
			       "passwd_file_path|passdb_passwd_file_path|userdb_passwd_file_path");

	block.passwords = about->section[0] == 'p';
	block.driver = driver ? driver->value : space ? space + 1 : "";
	args_path(path ? path->value : value_of(args), block.path, sizeof(block.path));
	return block;
}

static size_t read_blocks(struct translation *t, struct block *blocks)
{
	size_t count = 0;

	for (size_t i = 0; i < t->conf->count && count < BLOCKS_MAX; i++) {
		setting one = &t->conf->settings[i];

		if (is_block(one, "passdb") || is_block(one, "userdb"))
			blocks[count++] = read_block(t, one);
	}
	return count;
}

static bool is_system(const struct block *block)
{
	static const char *const drivers[] = {"pam", "passwd", "shadow", "bsdauth"};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		if (strcmp(block->driver, drivers[i]) == 0)
			return true;
	return false;
}

static bool is_driver(const struct block *block, const char *driver)
{
	return strcmp(block->driver, driver) == 0;
}

/* Settings by which a section adds no users, in both versions. */
static const char *unusual(struct translation *t, const struct block *block)
{
	if (is_yes(take_in(t, block->at, "deny|passdb_deny")))
		return "users that Dovecot keeps out by this section: give them the field nologin";
	if (is_yes(take_in(t, block->at, "master|passdb_master")))
		return "master users, who read the mail of others, are not known here";
	if (is_yes(take_in(t, block->at, "pass")))
		return "two passwords for one login are not known here";
	return NULL;
}

/* ---- what all users have ---- */

/* Words of a userdb's fields that stand for all users. */
static void check_fields(struct translation *t, setting fields)
{
	const char *at = value_of(fields);

	while (*(at += strspn(at, " "))) {
		size_t n = strcspn(at, " ="), end = strcspn(at, " ");

		if (strncmp(at, "home=", 5) != 0 && strncmp(at, "uid=", 4) != 0 &&
		    strncmp(at, "gid=", 4) != 0)
			note(t, fields, SETTINGS_TO_DO,
			     "%.*s is said for all users of the section: write it into their "
			     "entries, or as a setting (quota, mail)",
			     (int)(n < 60 ? n : 60), at);
		at += end;
	}
}

static void find_home(struct translation *t, const struct block *block)
{
	static const char *const keys[] = {"args", "override_fields", "default_fields"};
	char section[256], home[CONFIG_PATH_MAX] = "";
	setting fields;

	for (size_t i = 0; !*home && i < sizeof(keys) / sizeof(*keys); i++)
		args_word(value_of(take_in(t, block->at, keys[i])), "home", home, sizeof(home));
	snprintf(section, sizeof(section), "%.200s/fields", block->about->section);
	fields = *home ? NULL : take(t, section, "home");
	if (fields)
		snprintf(home, sizeof(home), "%s", fields->value);
	if (*home && !t->users.home) {
		snprintf(t->users.home_text, sizeof(t->users.home_text), "%s", home);
		t->users.home = t->users.home_text;
	}
}

/* The folder that is above all homes of a passwd-file. */
static void common_folder(const char *text, char *ret)
{
	size_t size = 0;
	bool first = true;

	while (*text) {
		size_t n = strcspn(text, "\n");
		pop3_span line = {text, n}, home = {"", 0};

		for (int i = 0; i < 6; i++)
			home = span_take_until(&line, ':');
		text += n + (text[n] == '\n');
		while (home.size && home.data[home.size - 1] != '/')
			home.size--;
		if (!home.size || home.data[0] != '/' || home.size >= CONFIG_PATH_MAX)
			continue;
		if (first) {
			memcpy(ret, home.data, home.size);
			size = home.size;
			first = false;
		}
		while (size && (home.size < size || memcmp(ret, home.data, size) != 0))
			for (size--; size && ret[size - 1] != '/'; size--)
				;
	}
	ret[size > 1 ? size - 1 : 0] = '\0';
}

static void look_at_homes(struct translation *t, const char *path)
{
	size_t size = 0;
	char *text = t->source->read(t->source->context, path, &size);

	if (text && !*t->users.home_guess)
		common_folder(text, t->users.home_guess);
	free(text);
}

static void find_users_of(struct translation *t, const struct block *block)
{
	struct sources *users = &t->users;

	if (unusual(t, block))
		return;
	users->system |= is_system(block);
	users->system_logins |= is_system(block) && block->passwords;
	if (is_driver(block, "sql") || is_driver(block, "ldap"))
		users->database = true;
	else if (is_driver(block, "passwd-file") && block->passwords && !*users->file &&
		 !strchr(block->path, '%'))
		snprintf(users->file, sizeof(users->file), "%s", block->path);
	if (block->passwords)
		return;
	find_home(t, block);
	if (is_driver(block, "passwd-file")) {
		users->homes_in_file = true;
		look_at_homes(t, block->path);
	}
}

/* The first literal folder of a home in a query: "SELECT '/var/vmail/%d/%n' AS home". */
static void guess_home(struct translation *t, const char *path)
{
	size_t size = 0;
	char *text = *path ? t->source->read(t->source->context, path, &size) : NULL;
	const char *at = text ? strstr(text, "'/") : NULL;
	size_t n = at ? strcspn(at + 1, "%'{\n") : 0;

	while (n && at[n] != '/')
		n--;
	if (n > 1 && n < CONFIG_PATH_MAX && !*t->users.home_guess)
		snprintf(t->users.home_guess, sizeof(t->users.home_guess), "%.*s", (int)n - 1,
			 at + 1);
	free(text);
}

void find_users(struct translation *t)
{
	struct block *blocks = calloc(BLOCKS_MAX, sizeof(*blocks));
	size_t count = blocks ? read_blocks(t, blocks) : 0;
	setting home = take_pop3(t, "mail_home");

	t->failed |= !blocks;
	if (home)
		t->users.home = home->value;
	for (size_t i = 0; i < count; i++)
		find_users_of(t, &blocks[i]);
	for (size_t i = 0; i < count; i++)
		if (is_driver(&blocks[i], "sql"))
			guess_home(t, blocks[i].path);
	free(blocks);
}

/* ---- databases ---- */

static void put_system(struct translation *t, const struct block *block)
{
	FILE *out = t->parts[PART_OWN];
	setting first_uid = take(t, "", "first_valid_uid"),
		last_uid = take(t, "", "last_valid_uid");
	const char *args = value_of(take_in(t, block->at, "args|pam_service_name"));
	size_t n = strlen(args);

	while (n && args[n - 1] != ' ')
		n--;
	fputs("\ndatabase \"people\" {\n\tdriver = system\n", out);
	if (args[n] && args[n] != '*' && !strchr(args + n, '%') && !strchr(args + n, '=') &&
	    is_driver(block, "pam")) {
		fputs("\tservice = ", out);
		put_quoted(out, args + n);
		fputc('\n', out);
	}
	if (first_uid)
		fprintf(out, "\tmin_uid = %lu\n", strtoul(first_uid->value, NULL, 10));
	if (last_uid && strtoul(last_uid->value, NULL, 10))
		fprintf(out, "\tmax_uid = %lu\n", strtoul(last_uid->value, NULL, 10));
	if (*t->system_maildir && strcmp(t->system_maildir, "Maildir") != 0) {
		fputs("\tmaildir = ", out);
		put_quoted(out, t->system_maildir);
		fputc('\n', out);
	}
	fputs("}\n", out);
}

static void check_scheme(struct translation *t, const struct block *block)
{
	setting args = take_in(t, block->at, "args");
	setting named =
		take_in(t, block->at, "default_password_scheme|passdb_default_password_scheme");
	char scheme[64] = "CRYPT", format[64];

	args_word(value_of(args), "scheme", scheme, sizeof(scheme));
	if (named)
		snprintf(scheme, sizeof(scheme), "%s", named->value);
	if (block->passwords && !strstr(scheme, "CRYPT") && !strstr(scheme, "crypt"))
		note(t, named ? named : args, SETTINGS_TO_DO,
		     "passwords without {SCHEME} are of scheme %.40s there and of crypt(3) here: "
		     "write {%.40s} in front of those in the file",
		     scheme, scheme);
	if (args_word(value_of(args), "username_format", format, sizeof(format)) &&
	    strcmp(format, "%u") != 0 && strcmp(format, "%Lu") != 0)
		note(t, args, SETTINGS_TO_DO,
		     "names are looked up as they are given: username_format has no counterpart, "
		     "so look whether names in the file are those that users log in with");
}

static void put_file(struct translation *t, const struct block *block)
{
	static const char database[] =
		"\ndatabase \"file%zu\" {\n\tdriver = passwd-file\n\tfile = ";

	if (!block->passwords && !t->users.homes_used && *t->users.home_guess)
		note(t, block->about, SETTINGS_TO_DO,
		     "the mail is not below the homes, but a home is the Maildir here: empty the "
		     "sixth field of the lines");
	check_scheme(t, block);
	if (!block->passwords) {
		if (strcmp(block->path, t->users.file) != 0)
			note(t, block->about, SETTINGS_TO_DO,
			     "homes and owners of users are in a file of their own: bring them "
			     "into "
			     "the lines of the file with the passwords");
		return;
	}
	if (!*block->path || strchr(block->path, '%')) {
		note(t, block->about, SETTINGS_TO_DO,
		     "a users file for each domain: write a section database with driver = "
		     "passwd-file for each");
		return;
	}
	if (strcmp(block->path, t->users.file) == 0)
		return;
	fprintf(t->parts[PART_OWN], database, (size_t)block->at);
	put_quoted(t->parts[PART_OWN], block->path);
	fputs("\n}\n", t->parts[PART_OWN]);
	note(t, block->about, SETTINGS_TO_DO,
	     "the system user valija-lookup has to read that file: chgrp valija-lookup FILE; chmod "
	     "640 FILE");
}

/* The userdb, or passdb, of the same kind and file that comes first. */
static unsigned partner(const struct block *blocks, size_t count, const struct block *of)
{
	for (size_t i = 0; i < count; i++)
		if (blocks[i].passwords != of->passwords && is_driver(&blocks[i], of->driver))
			return blocks[i].at;
	return 0;
}

static void put_database(struct translation *t, const struct block *blocks, size_t count,
			 const struct block *block)
{
	unsigned pair[2] = {block->at, partner(blocks, count, block)};
	char name[32];

	snprintf(name, sizeof(name), "%s%u", block->driver, block->at);
	if (is_driver(block, "sql"))
		translate_sql(t, name, *block->path ? block->path : NULL, pair);
	else
		translate_ldap(t, name, *block->path ? block->path : NULL, pair);
}

static void put_block(struct translation *t, const struct block *blocks, size_t count, size_t at)
{
	const struct block *block = &blocks[at];
	const char *why = unusual(t, block);
	bool done = false;

	check_fields(t, take_in(t, block->at, "default_fields"));
	check_fields(t, take_in(t, block->at, "override_fields"));
	for (size_t i = 0; i < at; i++)
		done |= blocks[i].passwords && is_system(&blocks[i]);
	if (why)
		note(t, block->about, SETTINGS_TO_DO, "%s", why);
	else if (is_driver(block, "passwd-file"))
		put_file(t, block);
	else if (is_system(block) && block->passwords && !done)
		put_system(t, block);
	else if ((is_driver(block, "sql") || is_driver(block, "ldap")) && block->passwords)
		put_database(t, blocks, count, block);
	else if (block->passwords && is_system(block))
		note(t, block->about, SETTINGS_KEPT,
		     "users of the machine are one database, which asks PAM: that before it");
	else if (is_system(block) && !t->users.system_logins)
		note(t, block->about, SETTINGS_TO_DO,
		     "homes and owners come from the machine, but passwords do not: write both "
		     "into "
		     "the entries with the passwords");
	else if (block->passwords)
		note(t, block->about, SETTINGS_TO_DO,
		     "passwords of this driver have no counterpart: see DATABASES OF USERS in "
		     "valija.conf(5), where driver = http asks a program of the site's own");
	else if (is_driver(block, "static"))
		note(t, block->about, SETTINGS_KEPT,
		     "mail is worked on as the owner of the folder of all mail; a home that all "
		     "have "
		     "is in the setting mail");
	else if (!block->passwords && !is_system(block) && !is_driver(block, "prefetch") &&
		 !partner(blocks, count, block))
		note(t, block->about, SETTINGS_TO_DO,
		     "homes and owners of this driver have no counterpart: they belong to the "
		     "entry "
		     "with the password here");
}

static void put_users_file(struct translation *t)
{
	if (*t->users.file) {
		put(t, PART_TOP, "users", t->users.file);
		note_nowhere(t, "users", SETTINGS_TO_DO,
			     "the system user valija-auth has to read %.200s: setfacl -m "
			     "u:valija-auth:r FILE, or chgrp valija-auth FILE where Dovecot stays "
			     "off",
			     t->users.file);
		return;
	}
	put(t, PART_TOP, "users", "users");
	t->ret->own_users = true;
}

void translate_users(struct translation *t)
{
	struct block *blocks = calloc(BLOCKS_MAX, sizeof(*blocks));
	size_t count = blocks ? read_blocks(t, blocks) : 0;
	bool any = false;

	t->failed |= !blocks;
	put_users_file(t);
	for (size_t i = 0; i < count; i++) {
		any |= blocks[i].passwords;
		put_block(t, blocks, count, i);
	}
	if (!any)
		note_nowhere(t, "passdb", SETTINGS_TO_DO,
			     "there is none: add users with `valija user add`");
	/* their settings were read, or a note says what becomes of the whole section */
	for (size_t i = 0; i < count; i++)
		take_in(t, blocks[i].at, "args");
	free(blocks);
}
