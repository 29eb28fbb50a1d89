/*
 * The driver for LDAP directories. A worker has two connections: one for searches, logged in as the
 * database's own user, and one that the passwords of users are tried on, by logging in. See
 * lookup/driver.h.
 */
#include "lookup/driver.h"

#include "base/log.h"
#include "base/text.h"
#include "lookup/ldap/dial.h"
#include "lookup/ldap/escape.h"
#include "lookup/ldap/link.h"
#include "lookup/ldap/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	FILTER_MAX = 8192,
	DN_MAX = 4096,
	VERIFY_BIND = 0, /* places of the choices of `verify` and `bind_mechanism` */
	VERIFY_HASH = 1,
	BIND_EXTERNAL = 1,
};

struct ldap {
	struct link_site site;
	const char *base, *filter, *recipient_filter, *user_dn;
	const char *group, *group_attribute;
	bool hash;           /* passwords are judged by auth */
	bool group_of_entry; /* the entry names its groups */
	enum client_scope scope;
	struct map map;
	const char *attributes[MAP_MAX + 1];
	const char *list_attribute;
	char list_filter[FILTER_MAX]; /* "": there is none */
	char nobody[DN_MAX];          /* an entry that is not there */
};

/* The connections of a worker. */
struct worker {
	struct link search, login;
};

/* ---- settings ---- */

static int read_servers(struct ldap *ldap, const struct lookup_database *database, struct err *err)
{
	struct client_options *options = &ldap->site.options;
	const char *address;

	servers_init(&ldap->site.servers);
	for (size_t i = 0; (address = lookup_item(database, "servers", i)); i++) {
		if (client_check(address, err) < 0 ||
		    servers_add(&ldap->site.servers, address, err) < 0)
			return -1;
		if (strncmp(address, "ldaps:", 6) == 0 || options->starttls)
			options->tls = true;
		if (ldap->site.external && strncmp(address, "ldapi:", 6) != 0)
			return err_set(err, EX_CONFIG,
				       "bind_mechanism = external is for ldapi:// addresses only");
		if (client_is_open(address, options))
			log_warning("database %s: passwords go to %s as plain text: use ldaps:// "
				    "or starttls = yes",
				    database->settings->name, address);
	}
	return 0;
}

static int read_login(struct ldap *ldap, const struct lookup_database *database, struct err *err)
{
	const char *password = lookup_secret(database, "bind_password_file");

	ldap->site.external = lookup_number(database, "bind_mechanism") == BIND_EXTERNAL;
	ldap->site.bind_dn = lookup_text(database, "bind_dn");
	ldap->site.password = span_of(password);
	if (ldap->site.external && *ldap->site.bind_dn)
		return err_set(err, EX_CONFIG, "bind_mechanism = external takes no bind_dn");
	if (*ldap->site.bind_dn && !*password)
		return err_set(err, EX_CONFIG,
			       "bind_dn needs bind_password_file, with a password in it");
	if (!*ldap->site.bind_dn && *password)
		return err_set(err, EX_CONFIG, "bind_password_file needs bind_dn");
	return 0;
}

/* Whether a text with placeholders can be filled in, and means another entry for each user. */
static int check_template(const char *name, const char *text, bool filter, struct err *err)
{
	const struct lookup_question question = {.names = {"a@b"}, .name_count = 1, .service = ""};
	char buf[FILTER_MAX];

	if (lookup_expand(text, &question, 0, filter_escape, buf, sizeof(buf), err) < 0)
		return err_prefix(err, "%s", name);
	if (filter && !filter_is_whole(buf))
		return err_set(err, EX_CONFIG, "%s = \"%s\": not one filter in parentheses", name,
			       text);
	if (!strstr(text, "{user}") && !strstr(text, "{local}"))
		return err_set(err, EX_CONFIG,
			       "%s = \"%s\" finds the same entry for all users: "
			       "write {user} or {local} in it",
			       name, text);
	return 0;
}

static int read_search(struct ldap *ldap, const struct lookup_database *database, struct err *err)
{
	ldap->base = lookup_text(database, "base");
	ldap->scope = (enum client_scope)lookup_number(database, "scope");
	ldap->filter = lookup_text(database, "filter");
	ldap->recipient_filter = lookup_text(database, "recipient_filter");
	ldap->user_dn = lookup_text(database, "user_dn");
	if (!*ldap->recipient_filter)
		ldap->recipient_filter = ldap->filter;
	if (!*ldap->base == !*ldap->user_dn)
		return err_set(err, EX_CONFIG, "set either base (and filter) or user_dn");
	if (check_template("filter", ldap->filter, true, err) < 0 ||
	    check_template("recipient_filter", ldap->recipient_filter, true, err) < 0 ||
	    (*ldap->user_dn && check_template("user_dn", ldap->user_dn, false, err) < 0))
		return -1;
	snprintf(ldap->nobody, sizeof(ldap->nobody), "cn=valija-nobody,%s", ldap->base);
	return 0;
}

static int read_group(struct ldap *ldap, const struct lookup_database *database, struct err *err)
{
	ldap->group = lookup_text(database, "group");
	ldap->group_attribute = lookup_text(database, "group_attribute");
	if (!attribute_is_valid(ldap->group_attribute))
		return err_set(err, EX_CONFIG, "group_attribute = \"%s\" is no attribute",
			       ldap->group_attribute);
	ldap->group_of_entry = strncasecmp(ldap->group_attribute, "memberOf", 8) == 0 ||
			       strncasecmp(ldap->group_attribute, "isMemberOf", 10) == 0;
	return 0;
}

static int read_map(struct ldap *ldap, const struct lookup_database *database, struct err *err)
{
	const char *row;
	unsigned used = 0;

	ldap->hash = lookup_number(database, "verify") == VERIFY_HASH;
	for (size_t i = 0; (row = lookup_item(database, "attributes", i)); i++)
		if (map_add(&ldap->map, row, err) < 0)
			return -1;
	if (!ldap->hash && map_has(&ldap->map, "password"))
		return err_set(err, EX_CONFIG,
			       "attributes: a password is read with verify = hash only");
	if (ldap->hash && !map_has(&ldap->map, "password") &&
	    map_add(&ldap->map, "userPassword=password", err) < 0)
		return -1;
	for (unsigned i = 0; i < ldap->map.count; i++)
		if (ldap->map.rows[i].attribute[0])
			ldap->attributes[used++] = ldap->map.rows[i].attribute;
	return 0;
}

/* Any user, in the place of a placeholder. */
static int any_user(pop3_span value, char *buf, size_t size)
{
	(void)value;
	if (size < 2)
		return -1;
	buf[0] = '*';
	return 1;
}

/* The same filter for all users, unless list_filter is another one. */
static int read_list(struct ldap *ldap, const struct lookup_database *database, struct err *err)
{
	const struct lookup_question all = {.names = {"a@b"}, .name_count = 1, .service = ""};
	const char *filter = lookup_text(database, "list_filter");

	ldap->list_attribute = lookup_text(database, "list_attribute");
	for (unsigned i = 0; i < ldap->map.count && !*ldap->list_attribute; i++)
		if (strcmp(ldap->map.rows[i].field, "user") == 0 && !ldap->map.rows[i].text)
			ldap->list_attribute = ldap->map.rows[i].attribute;
	if (!*ldap->list_attribute)
		ldap->list_attribute = "uid";
	if (!attribute_is_valid(ldap->list_attribute))
		return err_set(err, EX_CONFIG, "list_attribute = \"%s\" is no attribute",
			       ldap->list_attribute);
	if (*ldap->user_dn && !*filter)
		return 0;
	if (lookup_expand(*filter ? filter : ldap->filter, &all, 0, any_user, ldap->list_filter,
			  sizeof(ldap->list_filter), err) < 0)
		return err_prefix(err, "list_filter");
	if (!filter_is_whole(ldap->list_filter))
		return err_set(err, EX_CONFIG,
			       "list_filter = \"%s\": not one filter in parentheses", filter);
	return 0;
}

static int open_driver(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		       struct err *err)
{
	struct ldap *ldap = calloc(1, sizeof(*ldap));

	if (!ldap)
		return err_set(err, EX_OSERR, "out of memory");
	ldap->site.options = (struct client_options){
		.starttls = lookup_number(database, "starttls") != 0,
		.insecure = lookup_number(database, "insecure_certificates") != 0,
		.referrals = lookup_number(database, "referrals") != 0,
		.ca_file = lookup_text(database, "ca_file")};
	if (read_login(ldap, database, err) < 0 || read_servers(ldap, database, err) < 0 ||
	    read_search(ldap, database, err) < 0 || read_group(ldap, database, err) < 0 ||
	    read_map(ldap, database, err) < 0 || read_list(ldap, database, err) < 0 ||
	    client_prepare(&ldap->site.options, err) < 0) {
		free(ldap);
		return -1;
	}
	/* addresses of servers: the resolver's files, modules of the name service */
	sandbox_add_path(sandbox, "/etc", SANDBOX_READ);
	sandbox_add_path(sandbox, "/usr", SANDBOX_READ);
	sandbox_add_path(sandbox, "/run", SANDBOX_READ);
	*ret = ldap;
	return 0;
}

/* ---- entries ---- */

/* A question under way. */
struct asking {
	struct ldap *ldap;
	const struct lookup_question *question;
	struct lookup_answer *answer;
	struct client_search searches[IPC_LOOKUP_NAMES_MAX];
	char *texts[IPC_LOOKUP_NAMES_MAX]; /* that the searches point to */
	unsigned count;
	int found;   /* number of the search that found the entry; −1: none did */
	char *dn;    /* of the entry */
	bool member; /* it may be used */
};

static int out_of_memory(struct lookup_answer *answer)
{
	lookup_down(answer, "out of memory");
	return -1;
}

static int escape_text(const char *text, int (*escape)(pop3_span, char *, size_t), char *buf,
		       size_t size)
{
	int n = escape(span_of(text), buf, size);

	if (n < 0)
		return -1;
	buf[n] = '\0';
	return 0;
}

/* Writes the filter for an entry, and its membership where the entry names its groups. */
static int write_filter(const struct ldap *ldap, const struct lookup_question *question,
			unsigned name, char *buf, struct err *err)
{
	const char *filter =
		question->purpose == LOOKUP_RECIPIENT ? ldap->recipient_filter : ldap->filter;
	char own[FILTER_MAX / 2], group[FILTER_MAX / 4];

	if (*ldap->user_dn)
		snprintf(own, sizeof(own), "(objectClass=*)");
	else if (lookup_expand(filter, question, name, filter_escape, own, sizeof(own), err) < 0)
		return -1;
	if (!*ldap->group || !ldap->group_of_entry) {
		snprintf(buf, FILTER_MAX, "%s", own);
		return 0;
	}
	if (escape_text(ldap->group, filter_escape, group, sizeof(group)) < 0)
		return err_set(err, EX_CONFIG, "group is too long");
	snprintf(buf, FILTER_MAX, "(&%s(%s=%s))", own, ldap->group_attribute, group);
	return 0;
}

/* Writes filter NUL base NUL of one spelling. */
static int write_search(struct asking *asking, unsigned name, struct err *err)
{
	const struct ldap *ldap = asking->ldap;
	struct client_search *search = &asking->searches[name];
	char *text = asking->texts[name] = malloc(FILTER_MAX + DN_MAX);

	if (!text)
		return err_set(err, EX_OSERR, "out of memory");
	if (write_filter(ldap, asking->question, name, text, err) < 0)
		return -1;
	*search = (struct client_search){.filter = text, .base = ldap->base, .scope = ldap->scope};
	if (!*ldap->user_dn)
		return 0;
	if (lookup_expand(ldap->user_dn, asking->question, name, dn_escape, text + FILTER_MAX,
			  DN_MAX, err) < 0)
		return -1;
	search->base = text + FILTER_MAX;
	search->scope = CLIENT_BASE;
	return 0;
}

/* Takes the answers: the best spelling that exists counts. */
static void take_entry(struct asking *asking)
{
	for (unsigned i = 0; i < asking->count && asking->found < 0; i++)
		if (asking->searches[i].entries)
			asking->found = (int)i;
}

/* Whether the entry is a member of the group, by the group's own list. */
static enum client_result is_member(const struct ldap *ldap, struct client *client, const char *of,
				    bool *ret, uint64_t deadline, struct err *err)
{
	static const char *const none[] = {NULL};
	char filter[FILTER_MAX], dn[DN_MAX];
	struct client_search search = {.base = ldap->group, .filter = filter, .scope = CLIENT_BASE};
	enum client_result result;

	if (escape_text(of, filter_escape, dn, sizeof(dn)) < 0) {
		err_set(err, EX_DATAERR, "the name of the entry is too long");
		return CLIENT_FAILED;
	}
	snprintf(filter, sizeof(filter), "(%s=%s)", ldap->group_attribute, dn);
	result = client_search(client, &search, 1, none, deadline, err);
	*ret = search.entries > 0;
	client_forget(&search, 1);
	if (result == CLIENT_ABSENT) {
		err_set(err, EX_CONFIG, "group %s is not there, or bind_dn may not see it",
			ldap->group);
		return CLIENT_FAILED;
	}
	return result;
}

/* Adds the fields of the entry to the answer. */
static void take_fields(struct asking *asking, struct client *client)
{
	const struct map *map = &asking->ldap->map;
	struct map_values values;

	for (unsigned i = 0; i < map->count; i++) {
		const struct map_row *row = &map->rows[i];
		void *held = NULL;

		values.count = 0;
		if (row->attribute[0] && client)
			held = client_values(client, &asking->searches[asking->found],
					     row->attribute, &values);
		map_apply(row, &values, asking->question, (unsigned)asking->found, asking->answer);
		client_values_end(held);
	}
}

/* A step on the connection for searches. */
static enum client_result find_entry(struct client *client, void *context, uint64_t deadline,
				     struct err *err)
{
	struct asking *asking = context;
	const struct ldap *ldap = asking->ldap;
	enum client_result result;

	asking->found = -1;
	asking->member = true;
	asking->answer->size = 0;
	result = client_search(client, asking->searches, asking->count, ldap->attributes, deadline,
			       err);
	if (result == CLIENT_DONE)
		take_entry(asking);
	if (asking->found >= 0 && *ldap->group && !ldap->group_of_entry)
		result = is_member(ldap, client, asking->searches[asking->found].dn,
				   &asking->member, deadline, err);
	if (result == CLIENT_DONE && asking->found >= 0 && asking->member) {
		asking->answer->matched = (unsigned)asking->found;
		asking->answer->status = LOOKUP_FOUND;
		asking->dn = strdup(asking->searches[asking->found].dn);
		if (asking->searches[asking->found].entries > 1)
			lookup_bad(asking->answer, "there are two entries: see filter");
		else if (!asking->dn)
			(void)out_of_memory(asking->answer);
		else
			take_fields(asking, client);
	}
	client_forget(asking->searches, asking->count);
	return result;
}

/* Finds the entry and takes its fields. -1: the answer says what is wrong. 0: nobody is there. */
static int search(struct asking *asking, struct worker *worker)
{
	struct ldap *ldap = asking->ldap;
	struct err err = {0};

	switch (link_do(&worker->search, &ldap->site, find_entry, asking,
			asking->question->deadline, &err)) {
	case CLIENT_DONE:
		break;
	case CLIENT_ABSENT:
		if (*ldap->user_dn)
			return 0;
		lookup_down(asking->answer, "base %s is not there, or bind_dn may not see it",
			    ldap->base);
		return -1;
	case CLIENT_FAILED:
	case CLIENT_LOST:
	case CLIENT_WRONG:
	case CLIENT_REFUSED:
		lookup_down(asking->answer, "%s", err.text);
		return -1;
	}
	if (asking->answer->status == LOOKUP_BAD_ENTRY || asking->answer->status == LOOKUP_DOWN)
		return -1;
	return asking->dn ? 1 : 0;
}

/* ---- passwords ---- */

struct login {
	const char *dn;
	pop3_span password;
};

/* A step on the connection for logins. */
static enum client_result log_in(struct client *client, void *context, uint64_t deadline,
				 struct err *err)
{
	const struct login *login = context;

	return client_bind(client, login->dn, login->password, deadline, err);
}

static enum client_result try_login(struct asking *asking, struct worker *worker, const char *dn,
				    struct err *err)
{
	struct login login = {.dn = dn, .password = asking->question->secret};

	return link_do(&worker->login, &asking->ldap->site, log_in, &login,
		       asking->question->deadline, err);
}

/* Tries the password of the entry that was found, or, for one who is not there, of an entry that is
 * not there either: the time of the answer does not tell who exists. */
static void verify(struct asking *asking, struct worker *worker, const char *dn, bool there)
{
	struct lookup_answer *answer = asking->answer;
	struct err err = {0};
	enum client_result result = try_login(asking, worker, dn, &err);

	if (!there) {
		answer->status = LOOKUP_UNKNOWN;
		return;
	}
	switch (result) {
	case CLIENT_DONE:
		answer->status = LOOKUP_FOUND;
		return;
	case CLIENT_WRONG:
	case CLIENT_ABSENT:
		answer->status = LOOKUP_WRONG;
		return;
	case CLIENT_REFUSED:
		answer->status = LOOKUP_REFUSED;
		return;
	case CLIENT_FAILED:
	case CLIENT_LOST:
		lookup_down(answer, "%s", err.text);
	}
}

/* The entry's name is known without a search, and nothing is needed of the entry. */
static bool needs_search(const struct ldap *ldap, const struct lookup_question *question)
{
	return question->kind == LOOKUP_FIND || !*ldap->user_dn || *ldap->group ||
	       map_reads(&ldap->map);
}

static void ask_about(struct asking *asking, struct worker *worker)
{
	const struct ldap *ldap = asking->ldap;
	bool password = asking->question->kind == LOOKUP_PASSWORD;
	const char *dn = *ldap->user_dn ? asking->searches[0].base : ldap->nobody;
	int found = 1;

	if (needs_search(ldap, asking->question))
		found = search(asking, worker);
	else
		asking->found = 0;
	if (found < 0)
		return;
	if (asking->dn)
		dn = asking->dn;
	if (password)
		verify(asking, worker, dn, found > 0);
	else
		asking->answer->status = found ? LOOKUP_FOUND : LOOKUP_UNKNOWN;
	if (asking->answer->status == LOOKUP_FOUND && !asking->dn)
		take_fields(asking, NULL);
}

/* The slapd of a site that forbids it to itself keeps hashes from bind_dn: not a user without a
 * password, which nobody wants. */
static void check_hash(const struct asking *asking)
{
	const struct lookup_answer *answer = asking->answer;

	if (answer->status != LOOKUP_FOUND || !asking->ldap->hash ||
	    asking->question->purpose == LOOKUP_RECIPIENT)
		return;
	for (size_t at = 0; at < answer->size;) {
		const char *name = answer->fields + at;

		if (strcmp(name, "password") == 0)
			return;
		at += strlen(name) + 1;
		at += strlen(answer->fields + at) + 1;
	}
	lookup_bad(asking->answer, "no userPassword: bind_dn may not read it, or there is none");
}

/* Whether the directory has to be asked. */
static bool is_for_us(const struct ldap *ldap, const struct lookup_question *question,
		      struct lookup_answer *answer)
{
	switch (question->kind) {
	case LOOKUP_FIND:
		return true;
	case LOOKUP_PASSWORD: /* an empty one is no login: RFC 4513, 5.1.2 */
		answer->status = LOOKUP_WRONG;
		if (ldap->hash)
			lookup_down(answer, "verify = hash: auth judges passwords");
		return question->secret.size > 0 && !ldap->hash;
	case LOOKUP_TOKEN:
	case LOOKUP_ACCESS:
	case LOOKUP_KINDS:
		break;
	}
	answer->status = LOOKUP_UNKNOWN; /* a directory knows no tokens */
	return false;
}

static void ask(void *state, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct asking asking = {.ldap = state, .question = question, .answer = answer, .found = -1};
	struct worker *worker = *connection ? *connection : calloc(1, sizeof(*worker));
	struct err err;

	*connection = worker;
	if (!worker) {
		(void)out_of_memory(answer);
		return;
	}
	worker->search.logged_in = true;
	if (!is_for_us(asking.ldap, question, answer))
		return;
	asking.count = question->name_count;
	for (unsigned i = 0; i < asking.count; i++)
		if (write_search(&asking, i, &err) < 0) {
			lookup_down(answer, "%s", err.text);
			goto out;
		}
	ask_about(&asking, worker);
	check_hash(&asking);
out:
	for (unsigned i = 0; i < asking.count; i++)
		free(asking.texts[i]);
	free(asking.dn);
}

/* ---- lists ---- */

struct ldap_list {
	const struct ldap *ldap;
	struct lookup_listing *listing;
	enum client_result result; /* of a question about an entry */
	struct err err;
};

static bool list_entry(void *context, struct client *client, const char *dn, pop3_span value)
{
	struct ldap_list *list = context;
	const struct ldap *ldap = list->ldap;
	bool member = true;

	if (*ldap->group && !ldap->group_of_entry) {
		list->result =
			is_member(ldap, client, dn, &member, list->listing->deadline, &list->err);
		if (list->result != CLIENT_DONE)
			return false;
	}
	return !member || lookup_list(list->listing, value.data ? value.data : "", value.size);
}

/* A step on the connection for searches. */
static enum client_result list_all(struct client *client, void *context, uint64_t deadline,
				   struct err *err)
{
	struct ldap_list *list = context;
	const struct ldap *ldap = list->ldap;
	char filter[FILTER_MAX + FILTER_MAX / 2], group[FILTER_MAX / 4];
	struct client_search search = {
		.base = ldap->base, .filter = ldap->list_filter, .scope = ldap->scope};
	enum client_result result;

	if (*ldap->group && ldap->group_of_entry) {
		if (escape_text(ldap->group, filter_escape, group, sizeof(group)) < 0)
			return err_set(err, EX_CONFIG, "group is too long"), CLIENT_FAILED;
		snprintf(filter, sizeof(filter), "(&%s(%s=%s))", ldap->list_filter,
			 ldap->group_attribute, group);
		search.filter = filter;
	}
	list->result = CLIENT_DONE;
	result =
		client_list(client, &search, ldap->list_attribute, list_entry, list, deadline, err);
	if (result == CLIENT_DONE && list->result != CLIENT_DONE) {
		*err = list->err;
		return list->result;
	}
	return result;
}

static void list(void *state, void **connection, struct lookup_listing *listing)
{
	struct ldap_list list = {.ldap = state, .listing = listing};
	struct worker *worker = *connection ? *connection : calloc(1, sizeof(*worker));
	struct ldap *ldap = state;
	struct err err = {0};

	*connection = worker;
	if (!worker) {
		lookup_down(&listing->answer, "out of memory");
		return;
	}
	worker->search.logged_in = true;
	if (!*ldap->list_filter || !*ldap->base)
		lookup_down(&listing->answer, "user_dn finds no entries: it has no base");
	else if (link_do(&worker->search, &ldap->site, list_all, &list, listing->deadline, &err) !=
		 CLIENT_DONE)
		lookup_down(&listing->answer, "%s", err.text);
}

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_LDAP,
	.open = open_driver,
	.ask = ask,
	.list = list,
};
