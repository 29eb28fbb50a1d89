/* See recipients.h. On auth's loop and in `valija deliver`; `valijad -t` opens and closes only.
 * Addresses are hostile, the aliases file is the site's. */
#include "users/recipients.h"

#include "base/log.h"
#include "base/text.h"
#include "users/aliases.h"
#include "users/names.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	ADDRESS_MAX = 511,
	STEPS_MAX = 256, /* names looked up for one address: the bound for any aliases file */
};

struct recipients {
	pthread_mutex_t lock; /* aliases may be read again by any look-up */
	struct users *users;
	struct aliases *aliases;
	const struct config *config;
	char *delimiters, *domains, *catch_all;
};

/* The check of all names. */
struct check {
	struct recipients *recipients;
	void (*warn)(const char *text);
	struct user *users;
	unsigned count;                             /* of warnings */
	char last[sizeof(((struct err *)0)->text)]; /* warning: several names may have one cause */
};

/* One address being resolved. */
struct search {
	struct recipients *recipients;
	struct user *users;
	size_t count, max;
	const struct alias *followed[STEPS_MAX];
	size_t followed_count;
	struct step {
		const char *name;
		const struct alias *from;
	} steps[STEPS_MAX]; /* targets still to be looked at, in order */
	size_t step_count;
	struct check *check; /* NULL: a recipient of mail */
	const struct finding *findings;
	struct recipient_names *names; /* to be asked about; count 0: nothing is */
	bool passes_on;                /* users whose mail is on another server are found, too */
	char address[ADDRESS_MAX + 1]; /* that is being looked up; "": the catch-all */
	struct err *err;
};

enum found { FOUND, NOBODY, FAILED };

static void check_warn(struct check *check, const char *text)
{
	if (strcmp(check->last, text) == 0)
		return;
	snprintf(check->last, sizeof(check->last), "%s", text);
	if (++check->count < RECIPIENTS_WARNINGS_MAX)
		check->warn(text);
	else if (check->count == RECIPIENTS_WARNINGS_MAX)
		check->warn("more names lead to nobody: mend the ones above first");
}

static bool is_ours(const struct recipients *recipients, pop3_span domain)
{
	const char *rest = recipients->domains;
	bool any = false;

	while (rest[0]) {
		pop3_span one;

		rest += strspn(rest, " \t");
		one = (pop3_span){rest, strcspn(rest, " \t")};
		rest += one.size;
		any = any || one.size;
		if (one.size && span_equal_nocase(one, domain))
			return true;
	}
	return !any;
}

static enum found add_user(struct search *search, const struct user *user)
{
	for (size_t i = 0; i < search->count; i++)
		if (user_name_same(span_of(search->users[i].name), span_of(user->name)))
			return FOUND;
	if (search->count == search->max) {
		err_set(search->err, EX_CONFIG, "the address leads to more than %zu users",
			search->max);
		return FAILED;
	}
	search->users[search->count++] = *user;
	return FOUND;
}

/* A user whose mail is on another server, or whose entry cannot be used: err says so already. */
static enum found take_unserved(struct search *search, struct user *user)
{
	const struct config *config = search->recipients->config;
	const struct config_remote *remote;
	const char *to = user->remote_user;

	if (!config || !user->remote_section || user->remote_section > config->remote_count)
		return FAILED;
	remote = &config->remotes[user->remote_section - 1];
	if (!remote->lmtp_port)
		err_set(search->err, EX_UNAVAILABLE,
			"the mail of %s is on another server, and remote \"%s\" has no lmtp = "
			"\"HOST:PORT\" to pass mail on to: write it, or let the MTA send that mail "
			"there",
			user->name, remote->name);
	if (!remote->lmtp_port || !search->passes_on)
		return FAILED;
	if (!to[0] && strlen(search->address) < sizeof(user->mail_to))
		to = search->address;
	snprintf(user->mail_to, sizeof(user->mail_to), "%s", to[0] ? to : user->name);
	return add_user(search, user);
}

/* The place of an alias, for messages. */
static const char *place_of(const struct search *search, const struct alias *alias, char buf[300])
{
	if (alias->line)
		snprintf(buf, 300, "%s:%u", aliases_file_name(search->recipients->aliases),
			 alias->line);
	else
		snprintf(buf, 300, "an alias of a database");
	return buf;
}

/* Queues an alias's targets. NOBODY: they were queued before; this is a circle. */
static enum found follow(struct search *search, const struct alias *alias)
{
	const char *target = alias->targets;
	char place[300];

	for (size_t i = 0; i < search->followed_count; i++)
		if (search->followed[i] == alias)
			return NOBODY;
	if (search->followed_count == STEPS_MAX || alias->count > STEPS_MAX - search->step_count) {
		err_set(search->err, EX_CONFIG, "%s: %s leads to more than %u names",
			place_of(search, alias, place), alias->name, STEPS_MAX);
		return FAILED;
	}
	search->followed[search->followed_count++] = alias;
	for (uint32_t i = 0; i < alias->count; i++) {
		search->steps[search->step_count++] = (struct step){target, alias};
		target += strlen(target) + 1;
	}
	return FOUND;
}

/* Adds a name that databases have to be asked about. */
static enum found note_name(struct search *search, pop3_span name)
{
	struct recipient_names *names = search->names;

	if (names->count < RECIPIENT_NAMES_MAX &&
	    span_copy(name, names->names[names->count], USER_NAME_MAX + 1) >= 0)
		names->count++;
	return NOBODY;
}

/* An alias or a user of a database. */
static enum found take_found(struct search *search, const struct finding *finding,
			     const struct user *user)
{
	enum found found;

	if (!finding || !finding->alias.count)
		return add_user(search, user);
	found = follow(search, &finding->alias);
	return found == NOBODY ? FOUND : found; /* a circle */
}

static enum found look_up(struct search *search, pop3_span name)
{
	const struct alias *alias = NULL;
	const struct finding *finding;
	struct user user;
	enum found found;

	if (search->recipients->aliases)
		alias = aliases_find(search->recipients->aliases, name);
	if (alias && (found = follow(search, alias)) != NOBODY)
		return found;
	switch (directory_find(search->recipients->users, search->recipients->config,
			       CONFIG_FOR_RECIPIENT, search->findings, name, &user, &finding,
			       search->err)) {
	case USERS_FOUND:
		return take_found(search, finding, &user);
	case USERS_ASK:
		if (!alias)
			return note_name(search, name);
		break;
	case USERS_DOWN:
		return FAILED;
	case USERS_UNSERVED:
		return take_unserved(search, &user);
	case USERS_UNKNOWN:
		break;
	}
	return alias ? FOUND : NOBODY; /* an alias that was followed already adds no user */
}

/* Looks up name, then name without its sub-address. That ends where the local part (local octets)
 * does and may begin at any delimiter: the longest known name counts, or bob-smith+tag would be
 * mail for bob. */
static enum found look_up_sub(struct search *search, pop3_span name, size_t local)
{
	char shorter[ADDRESS_MAX];
	const char *delimiters = search->recipients->delimiters;
	enum found found = look_up(search, name);

	for (size_t at = local; found == NOBODY && --at > 0;) {
		if (!strchr(delimiters, name.data[at]))
			continue;
		memcpy(shorter, name.data, at);
		memcpy(shorter + at, name.data + local, name.size - local);
		found = look_up(search, (pop3_span){shorter, at + name.size - local});
	}
	return found;
}

/* "example.org." is the domain example.org, written from the root of all domains. */
static pop3_span without_root(pop3_span address)
{
	const char *at = address.size ? memrchr(address.data, '@', address.size) : NULL;

	if (at && address.data[address.size - 1] == '.')
		address.size--;
	return address;
}

static enum found look_up_address(struct search *search, pop3_span address)
{
	char unaliased[USER_NAME_MAX + 1];
	const char *at;
	size_t local;
	enum found found;

	address = user_name_unaliased(search->recipients->config, without_root(address), unaliased);
	at = address.size ? memrchr(address.data, '@', address.size) : NULL;
	local = at ? (size_t)(at - address.data) : address.size;
	if (local == 0 || address.size > ADDRESS_MAX || memchr(address.data, 0, address.size))
		return NOBODY;
	(void)span_copy(address, search->address, sizeof(search->address));
	if (at) {
		pop3_span domain = {at + 1, address.size - local - 1};

		found = look_up_sub(search, address, local);
		if (found != NOBODY || !is_ours(search->recipients, domain))
			return found;
	}
	/* "ceo@example.com"@example.org is not ceo@example.com */
	if (at && memchr(address.data, '@', local))
		return NOBODY;
	return look_up_sub(search, (pop3_span){address.data, local}, local);
}

static void warn_no_user(const struct search *search, const struct step *step)
{
	struct err text = {0};
	char place[300];

	err_set(&text, EX_CONFIG, "%s: %s, a target of %s, is no user and no alias",
		place_of(search, step->from, place), step->name, step->from->name);
	if (search->check)
		check_warn(search->check, text.text);
	else
		log_warning("%s", text.text);
}

/* Follows the targets of aliases, and theirs. A target that is no user is an error only if it is
 * the only one. */
static enum found follow_steps(struct search *search)
{
	char place[300];

	for (size_t i = 0; i < search->step_count; i++) {
		const struct step *step = &search->steps[i];
		enum found found = look_up_address(search, span_of(step->name));

		if (found == FAILED)
			return FAILED;
		if (search->names->count)
			return NOBODY;
		if (found == NOBODY)
			warn_no_user(search, step);
	}
	if (search->count)
		return FOUND;
	err_set(search->err, EX_CONFIG, "%s: %s leads to no user",
		place_of(search, search->followed[0], place), search->followed[0]->name);
	return FAILED;
}

static enum found catch_all(struct search *search, pop3_span address)
{
	const char *name = search->recipients->catch_all;
	char unaliased[USER_NAME_MAX + 1];
	const char *at;
	enum found found;

	if (!name[0])
		return NOBODY;
	address = user_name_unaliased(search->recipients->config, without_root(address), unaliased);
	at = address.size ? memrchr(address.data, '@', address.size) : NULL;
	if (at && !is_ours(search->recipients,
			   (pop3_span){at + 1, address.size - (size_t)(at + 1 - address.data)}))
		return NOBODY;
	search->address[0] = '\0';
	found = look_up(search, span_of(name));
	if (found != NOBODY || search->names->count)
		return found;
	err_set(search->err, EX_CONFIG, "catch_all: there is no user %s", name);
	return FAILED;
}

static enum recipient_status resolve(struct recipients *recipients, struct check *check,
				     bool passes_on, pop3_span address,
				     const struct finding *findings, struct user *ret_users,
				     size_t max, size_t *ret_count, struct recipient_names *names,
				     struct err *err)
{
	struct search *search = calloc(1, sizeof(*search));
	enum recipient_status status = RECIPIENT_DOWN;
	enum found found;

	if (!search) {
		err_sys(err, EX_OSERR, ENOMEM, "recipient look-up");
		return RECIPIENT_DOWN;
	}
	search->recipients = recipients;
	search->users = ret_users;
	search->max = max;
	search->check = check;
	search->findings = findings;
	search->names = names;
	search->passes_on = passes_on;
	names->count = 0;
	search->err = err;
	pthread_mutex_lock(&recipients->lock);
	if (recipients->aliases)
		aliases_refresh(recipients->aliases);
	found = look_up_address(search, address);
	if (found == NOBODY && !names->count)
		found = catch_all(search, address);
	if (found == FOUND && search->step_count && !names->count)
		found = follow_steps(search);
	pthread_mutex_unlock(&recipients->lock);
	if (found != FAILED && names->count) {
		status = RECIPIENT_ASK;
	} else if (found == FOUND) {
		*ret_count = search->count;
		status = RECIPIENT_FOUND;
	} else if (found == NOBODY) {
		status = RECIPIENT_UNKNOWN;
	}
	free(search);
	return status;
}

enum recipient_status recipients_find(struct recipients *recipients, pop3_span address,
				      struct user *ret_users, size_t max, size_t *ret_count,
				      struct err *err)
{
	struct recipient_names names;
	enum recipient_status status = resolve(recipients, NULL, false, address, NULL, ret_users,
					       max, ret_count, &names, err);

	if (status != RECIPIENT_ASK)
		return status;
	err_set(err, EX_TEMPFAIL, "a database may have %s, and valijad alone asks databases",
		names.names[0]);
	return RECIPIENT_DOWN;
}

enum recipient_status recipients_resolve(struct recipients *recipients, pop3_span address,
					 const struct finding *findings, struct user *ret_users,
					 size_t max, size_t *ret_count,
					 struct recipient_names *ret_names, struct err *err)
{
	return resolve(recipients, NULL, true, address, findings, ret_users, max, ret_count,
		       ret_names, err);
}

/* ---- the check ---- */

/* False: the address leads to nobody, for a reason that was not reported yet. */
static bool check_address(struct check *check, pop3_span address)
{
	struct recipient_names names;
	struct err err = {0};
	size_t count;

	switch (resolve(check->recipients, check, true, address, NULL, check->users,
			RECIPIENT_USERS_MAX, &count, &names, &err)) {
	case RECIPIENT_FOUND:
	case RECIPIENT_ASK: /* a database may have it: nobody asks it here */
		return true;
	case RECIPIENT_UNKNOWN:
		return false;
	case RECIPIENT_DOWN:
		check_warn(check, err.text);
		break;
	}
	return true;
}

static void check_postmaster(struct check *check, pop3_span domain)
{
	char address[ADDRESS_MAX + 1], text[ADDRESS_MAX + 256];

	if (snprintf(address, sizeof(address), "postmaster%s%.*s", domain.size ? "@" : "",
		     (int)domain.size, domain.data) >= (int)sizeof(address) ||
	    check_address(check, span_of(address)))
		return;
	snprintf(text, sizeof(text),
		 "%s is nobody's, but each domain must have one (add an alias such as "
		 "\"postmaster: USER\" to lmtp.aliases, or set lmtp.catch_all)",
		 address);
	check_warn(check, text);
}

/* The name of alias number n; copied, because a look-up may read the file again. */
static bool copy_alias(struct recipients *recipients, size_t n, char name[USER_NAME_MAX + 1])
{
	const struct alias *alias = NULL;

	pthread_mutex_lock(&recipients->lock);
	if (recipients->aliases)
		alias = aliases_nth(recipients->aliases, n);
	if (alias)
		snprintf(name, USER_NAME_MAX + 1, "%s", alias->name);
	pthread_mutex_unlock(&recipients->lock);
	return alias != NULL;
}

static void check_postmasters(struct check *check)
{
	const char *rest = check->recipients->domains + strspn(check->recipients->domains, " \t");

	if (!rest[0])
		check_postmaster(check, (pop3_span){rest, 0});
	while (rest[0]) {
		pop3_span domain = {rest, strcspn(rest, " \t")};

		check_postmaster(check, domain);
		rest += domain.size;
		rest += strspn(rest, " \t");
	}
}

/* Every name is looked up as a recipient is. The bound of warnings is no bound of the work: an
 * aliases file has a size, and a look-up a number of steps. */
void recipients_check(struct recipients *recipients, bool postmasters,
		      void (*warn)(const char *text))
{
	struct check check = {.recipients = recipients, .warn = warn};
	char name[USER_NAME_MAX + 1];

	check.users = calloc(RECIPIENT_USERS_MAX, sizeof(*check.users));
	if (!check.users)
		return;
	if (postmasters)
		check_postmasters(&check);
	if (recipients->catch_all[0]) /* if it is nobody, the error says so */
		check_address(&check, span_of(recipients->catch_all));
	for (size_t i = 0; check.count < RECIPIENTS_WARNINGS_MAX && copy_alias(recipients, i, name);
	     i++)
		check_address(&check, span_of(name));
	explicit_bzero(check.users, RECIPIENT_USERS_MAX * sizeof(*check.users));
	free(check.users);
}

/* ---- life ---- */

static char *copy(const char *text)
{
	return strdup(text ? text : "");
}

int recipients_open(const struct recipients_settings *settings, struct users *users,
		    struct recipients **ret, struct err *err)
{
	struct recipients *recipients = calloc(1, sizeof(*recipients));

	if (!recipients)
		return err_sys(err, EX_OSERR, ENOMEM, "recipients");
	pthread_mutex_init(&recipients->lock, NULL);
	recipients->users = users;
	recipients->config = settings->config;
	recipients->delimiters = copy(settings->delimiters);
	recipients->domains = copy(settings->domains);
	recipients->catch_all = copy(settings->catch_all);
	if (!recipients->delimiters || !recipients->domains || !recipients->catch_all) {
		err_sys(err, EX_OSERR, ENOMEM, "recipients");
		goto fail;
	}
	if (settings->aliases_file && settings->aliases_file[0] &&
	    aliases_open(settings->aliases_dir_fd, settings->aliases_file, &recipients->aliases,
			 err) < 0)
		goto fail;
	*ret = recipients;
	return 0;
fail:
	recipients_close(recipients);
	return -1;
}

void recipients_close(struct recipients *recipients)
{
	if (!recipients)
		return;
	aliases_close(recipients->aliases);
	free(recipients->delimiters);
	free(recipients->domains);
	free(recipients->catch_all);
	pthread_mutex_destroy(&recipients->lock);
	free(recipients);
}
