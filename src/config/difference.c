/* The difference of two configurations, setting by setting: for a person who asked for a reload. No
 * secret stands in a configuration, but text that a database's client library takes may have one in
 * it, so the text of databases is not shown. */
#include "config/database.h"
#include "config/remote.h"
#include "config/keys.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define NOT_SHOWN "(not shown)"

struct difference {
	const struct config *old, *new;
	config_differs *differs;
	void *context;
};

static void tell(const struct difference *d, const char *name, const char *old, const char *new,
		 enum config_scope scope)
{
	struct config_change change = {name, old, new, scope};

	d->differs(d->context, &change);
}

/* Listening sockets and the log are the monitor's; all else is read by the processes of a
 * generation, and a session stays with its own. */
static enum config_scope scope_of(const struct config_key *key)
{
	bool now = key->kind == KEY_LISTEN || strcmp(key->name, "log_to") == 0 ||
		   strcmp(key->name, "log_level") == 0 || strcmp(key->section, "control") == 0;

	return now ? CONFIG_AT_ONCE : CONFIG_NEW_SESSIONS;
}

static void compare_keys(const struct difference *d)
{
	for (size_t i = 0; i < config_key_count(); i++) {
		const struct config_key *key = config_key(i);
		char *old = config_key_text(key, d->old, d->old->directory);
		char *new = config_key_text(key, d->new, d->new->directory);
		char name[80];

		snprintf(name, sizeof(name), "%s%s%s", key->section, *key->section ? "." : "",
			 key->name);
		if (old && new &&strcmp(old, new) != 0)
			tell(d, name, old, new, scope_of(key));
		free(old);
		free(new);
	}
}

/* ---- certificates ---- */

static const char *no_text(const struct config_certificate *certificate, char *buf, size_t size)
{
	if (!certificate)
		return "";
	snprintf(buf, size, "\"%s\" with the key \"%s\"", certificate->certificate,
		 certificate->key);
	return buf;
}

static const struct config_certificate *certificate_at(const struct config *config, uint32_t i)
{
	return i < config->certificate_count ? &config->certificates[i] : NULL;
}

static void compare_certificates(const struct difference *d)
{
	char old[2 * CONFIG_PATH_MAX + 32], new[2 * CONFIG_PATH_MAX + 32], name[32];

	for (uint32_t i = 0; i < CONFIG_CERTIFICATES_MAX; i++) {
		const char *a = no_text(certificate_at(d->old, i), old, sizeof(old));
		const char *b = no_text(certificate_at(d->new, i), new, sizeof(new));

		snprintf(name, sizeof(name), "tls.%u", (unsigned)i + 1);
		if (strcmp(a, b) != 0)
			tell(d, name, a, b, CONFIG_NEW_SESSIONS);
	}
}

/* ---- databases ---- */

static const struct config_database *database_named(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->database_count; i++)
		if (strcmp(config->databases[i].name, name) == 0)
			return &config->databases[i];
	return NULL;
}

static bool same_item(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_value(const struct difference *d, const struct config_database *old,
		       const struct config_database *new, const char *key)
{
	const char *a, *b;
	size_t i = 0;

	do {
		a = config_database_item(d->old, old, key, i);
		b = config_database_item(d->new, new, key, i++);
		if (!same_item(a, b))
			return false;
	} while (a);
	return true;
}

static bool is_shown(const struct database_key *key)
{
	return key->kind != DATABASE_TEXT && key->kind != DATABASE_LIST &&
	       key->kind != DATABASE_SECRET;
}

static const char *shown(const struct database_key *key, const char *value)
{
	return !value || !*value ? "" : is_shown(key) ? value : NOT_SHOWN;
}

static void compare_database(const struct difference *d, const struct config_database *old,
			     const struct config_database *new)
{
	char name[160];

	for (size_t i = 0; i < config_database_key_count(); i++) {
		const struct database_key *key = config_database_key(i);

		if (!(key->drivers & 1u << new->driver) || same_value(d, old, new, key->name))
			continue;
		snprintf(name, sizeof(name), "database %s.%s", new->name, key->name);
		tell(d, name, shown(key, config_database_item(d->old, old, key->name, 0)),
		     shown(key, config_database_item(d->new, new, key->name, 0)),
		     CONFIG_NEW_SESSIONS);
	}
}

static bool same_order(const struct config *a, const struct config *b)
{
	for (uint32_t i = 0; i < a->database_count && i < b->database_count; i++)
		if (strcmp(a->databases[i].name, b->databases[i].name) != 0)
			return false;
	return a->database_count == b->database_count;
}

static char *names_of(const struct config *config)
{
	char *text = calloc(CONFIG_DATABASES_MAX, sizeof(config->databases->name) + 8);
	char *at = text;

	for (uint32_t i = 0; text && i < config->database_count; i++)
		at += sprintf(at, "%s\"%s\"", i ? ", " : "", config->databases[i].name);
	return text;
}

static void compare_databases(const struct difference *d)
{
	char *old = names_of(d->old), *new = names_of(d->new);
	char name[80];

	if (old && new && !same_order(d->old, d->new))
		tell(d, "database", old, new, CONFIG_NEW_SESSIONS);
	free(old);
	free(new);
	for (uint32_t i = 0; i < d->new->database_count; i++) {
		const struct config_database *b = &d->new->databases[i];
		const struct config_database *a = database_named(d->old, b->name);

		if (a && a->driver == b->driver) {
			compare_database(d, a, b);
		} else if (a) {
			snprintf(name, sizeof(name), "database %s.driver", b->name);
			tell(d, name, config_driver_name((enum config_driver)a->driver),
			     config_driver_name((enum config_driver)b->driver),
			     CONFIG_NEW_SESSIONS);
		}
	}
}

/* ---- remote sections ---- */

static const struct config_remote *remote_named(const struct config *config, const char *name)
{
	int place = config_remote_find(config, span_of(name));

	return place < 0 ? NULL : &config->remotes[place];
}

static void compare_remote(const struct difference *d, const struct config_remote *old,
			   const struct config_remote *new)
{
	char name[160], a[CONFIG_NAME_MAX + 16], b[CONFIG_NAME_MAX + 16];

	for (size_t i = 0; i < config_remote_key_count(); i++) {
		const char *key = config_remote_key(i)->name;
		const char *x = old ? config_remote_text(old, key, a, sizeof(a)) : "";
		const char *y = new ? config_remote_text(new, key, b, sizeof(b)) : "";

		snprintf(name, sizeof(name), "remote %s.%s", new ? new->name : old->name, key);
		if (strcmp(x, y) != 0)
			tell(d, name, x, y, CONFIG_NEW_SESSIONS);
	}
}

static void compare_remotes(const struct difference *d)
{
	for (uint32_t i = 0; i < d->new->remote_count; i++)
		compare_remote(d, remote_named(d->old, d->new->remotes[i].name),
			       &d->new->remotes[i]);
	for (uint32_t i = 0; i < d->old->remote_count; i++)
		if (!remote_named(d->new, d->old->remotes[i].name))
			compare_remote(d, &d->old->remotes[i], NULL);
}

void config_difference(const struct config *old, const struct config *new, config_differs *differs,
		       void *context)
{
	const struct difference d = {old, new, differs, context};

	compare_keys(&d);
	compare_certificates(&d);
	compare_databases(&d);
	compare_remotes(&d);
}
