/* Directories: a file that the args of 2.3 name, or settings of 2.4. */
#include "cli/import/settings/translation.h"
#include "cli/import/settings/variables.h"

#include <string.h>
#include <strings.h>

struct directory {
	const char *name; /* of the section */
	setting hosts, uris, tls, ca, dn, password, base, scope, bind, bind_dn, filter, user_filter,
		iterate_filter, attributes, user_attributes;
};

static void take_file(struct translation *t, struct directory *ret)
{
	ret->hosts = take(t, "", "hosts");
	ret->uris = take(t, "", "uris");
	ret->tls = take(t, "", "tls");
	ret->ca = take(t, "", "tls_ca_cert_file");
	ret->dn = take(t, "", "dn");
	ret->password = take(t, "", "dnpass");
	ret->base = take(t, "", "base");
	ret->scope = take(t, "", "scope");
	ret->bind = take(t, "", "auth_bind");
	ret->bind_dn = take(t, "", "auth_bind_userdn");
	ret->filter = take(t, "", "pass_filter");
	ret->user_filter = take(t, "", "user_filter");
	ret->iterate_filter = take(t, "", "iterate_filter");
	ret->attributes = take(t, "", "pass_attrs");
	ret->user_attributes = take(t, "", "user_attrs");
}

static setting either(struct translation *t, unsigned block, const char *keys)
{
	setting common = take(t, "", keys), own = take_in(t, block, keys);

	return own ? own : common;
}

static void take_blocks(struct translation *t, struct directory *ret, const unsigned blocks[2])
{
	ret->uris = either(t, blocks[0], "ldap_uris");
	ret->tls = either(t, blocks[0], "ldap_starttls");
	ret->ca = either(t, blocks[0], "ssl_client_ca_file");
	ret->dn = either(t, blocks[0], "ldap_auth_dn");
	ret->password = either(t, blocks[0], "ldap_auth_dn_password");
	ret->base = either(t, blocks[0], "ldap_base");
	ret->scope = either(t, blocks[0], "ldap_scope");
	ret->bind = take_in(t, blocks[0], "bind|ldap_bind|passdb_ldap_bind");
	ret->bind_dn =
		take_in(t, blocks[0], "bind_userdn|ldap_bind_userdn|passdb_ldap_bind_userdn");
	ret->filter = take_in(t, blocks[0], "filter|ldap_filter|passdb_ldap_filter");
	ret->user_filter = take_in(t, blocks[1], "filter|ldap_filter|userdb_ldap_filter");
	ret->iterate_filter = take_in(
		t, blocks[1], "iterate_filter|ldap_iterate_filter|userdb_ldap_iterate_filter");
}

/* ---- attributes ---- */

static const char *field_of(const char *name)
{
	static const char *const known[] = {"user", "home",       "uid",       "gid",
					    "mail", "quota_rule", "allow_nets"};

	if (strncmp(name, "userdb_", 7) == 0)
		name += 7;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i], name) == 0)
			return known[i];
	return NULL;
}

/* "uid=user", "=home=/var/vmail/%{ldap:uid}". False: it has no counterpart. */
static bool attribute_text(const char *item, char *ret, size_t size)
{
	char attribute[64], field[64], text[256];
	const char *variable, *end;

	if (sscanf(item, "%63[^=]=%63[^=]", attribute, field) == 2 && field_of(field)) {
		snprintf(ret, size, "%s=%s", attribute, field_of(field));
		return true;
	}
	if (sscanf(item, "=%63[^=]=%255[^\n]", field, text) != 2 || !field_of(field))
		return false;
	variable = strstr(text, "%{ldap:");
	end = variable ? strchr(variable, '}') : NULL;
	if (!end) {
		snprintf(ret, size, "=%s=%s", field_of(field), text);
		return !strchr(text, '%');
	}
	snprintf(ret, size, "%.*s=%s=%.*s{value}%s", (int)(end - variable - 7), variable + 7,
		 field_of(field), (int)(variable - text), text, end + 1);
	return !strchr(end, '%') && memchr(text, '%', (size_t)(variable - text)) == NULL;
}

static void put_attribute(struct translation *t, setting about, const char *item,
			  const char **between)
{
	char text[512], field[64] = "";

	sscanf(item, "%*[^=]=%63[^=]", field);
	if (strcmp(field, "password") == 0)
		return;
	if (!t->users.homes_used && strstr(item, "home"))
		return;
	if (!attribute_text(item, text, sizeof(text))) {
		note(t, about, SETTINGS_TO_DO,
		     "an attribute is not taken: look whether users need it, and write it into "
		     "attributes");
		return;
	}
	fputs(*between, t->parts[PART_OWN]);
	put_quoted(t->parts[PART_OWN], text);
	*between = ", ";
}

static void put_attributes(struct translation *t, setting about, const char **between)
{
	const char *at = value_of(about);
	char item[512];

	while (*(at += strspn(at, ", "))) {
		size_t n = strcspn(at, ",");

		snprintf(item, sizeof(item), "%.*s", (int)n, at);
		put_attribute(t, about, item, between);
		at += n;
	}
}

/* ---- the section ---- */

static void put_setting(struct translation *t, const char *name, const char *value)
{
	fprintf(t->parts[PART_OWN], "\t%s = ", name);
	put_quoted(t->parts[PART_OWN], value);
	fputc('\n', t->parts[PART_OWN]);
}

static void put_expanded(struct translation *t, const char *name, setting value)
{
	char text[1024];

	if (!value || !*value->value)
		return;
	if (variables_expand(value->value, NULL, text, sizeof(text)))
		put_setting(t, name, text);
	else
		note(t, value, SETTINGS_TO_DO,
		     "a variable in it has no counterpart: write %s in valija.conf", name);
}

static void put_servers(struct translation *t, const struct directory *directory)
{
	FILE *out = t->parts[PART_OWN];
	const char *at = value_of(directory->hosts), *between = "{";
	char text[300];

	fputs("\tservers = ", out);
	if (directory->uris || !*at) {
		put_list(out, directory->uris ? directory->uris->value : "ldap://127.0.0.1");
		fputc('\n', out);
		return;
	}
	while (*(at += strspn(at, " "))) {
		size_t n = strcspn(at, " ");

		snprintf(text, sizeof(text), "ldap://%.*s", (int)(n < 250 ? n : 250), at);
		fputs(between, out);
		put_quoted(out, text);
		between = ", ";
		at += n;
	}
	fputs("}\n", out);
}

static void put_password(struct translation *t, const struct directory *directory)
{
	char name[64];

	if (!directory->password || !*directory->password->value)
		return;
	snprintf(name, sizeof(name), "%s.secret", directory->name);
	if (is_hidden(directory->password)) {
		put_setting(t, "bind_password_file", SETTINGS_FILL_IN);
		note(t, directory->password, SETTINGS_TO_DO,
		     "it is hidden: write it into a file with mode 0600 that bind_password_file "
		     "names");
		return;
	}
	put_setting(t, "bind_password_file", name);
	secret(t, name, directory->password->value);
}

static void put_search(struct translation *t, const struct directory *directory)
{
	const char *scope = value_of(directory->scope), *between = "\tattributes = {";

	put_expanded(t, "base", directory->base);
	if (strncmp(scope, "one", 3) == 0)
		put_setting(t, "scope", "one");
	put_expanded(t, "filter", directory->filter ? directory->filter : directory->user_filter);
	if (directory->filter && directory->user_filter &&
	    strcmp(directory->filter->value, directory->user_filter->value) != 0)
		put_expanded(t, "recipient_filter", directory->user_filter);
	put_expanded(t, "list_filter", directory->iterate_filter);
	put_attributes(t, directory->attributes, &between);
	put_attributes(t, directory->user_attributes, &between);
	fputs(*between == ',' ? "}\n" : "", t->parts[PART_OWN]);
	put_setting(t, "verify", is_yes(directory->bind) ? "bind" : "hash");
	if (directory->bind_dn && *directory->bind_dn->value)
		note(t, directory->bind_dn, SETTINGS_KEPT,
		     "the entry of a user is searched, and the password tried on it; user_dn does "
		     "without the search");
}

static void put_section(struct translation *t, const struct directory *directory)
{
	fprintf(t->parts[PART_OWN], "\ndatabase \"%s\" {\n\tdriver = ldap\n", directory->name);
	put_servers(t, directory);
	if (is_yes(directory->tls))
		put_setting(t, "starttls", "yes");
	if (directory->ca && *directory->ca->value)
		put_setting(t, "ca_file", directory->ca->value + (*directory->ca->value == '<'));
	if (directory->dn && *directory->dn->value)
		put_setting(t, "bind_dn", directory->dn->value);
	put_password(t, directory);
	put_search(t, directory);
	fputs("}\n", t->parts[PART_OWN]);
}

static void work_on_file(struct translation *inner, void *context)
{
	struct directory *directory = context;

	take_file(inner, directory);
	put_section(inner, directory);
}

void translate_ldap(struct translation *t, const char *name, const char *file,
		    const unsigned blocks[2])
{
	struct directory directory = {.name = name};

	if (file) {
		translate_named_file(t, file, work_on_file, &directory);
		return;
	}
	take_blocks(t, &directory, blocks);
	put_section(t, &directory);
}
