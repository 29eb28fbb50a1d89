/* See entries.h. */
#include "server/auth/entries.h"

#include "base/secret.h"
#include "base/table.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	struct table_node node;
	struct entry *older, *newer;
	struct entry_found found;
	uint32_t purpose, uid, gid, root, target_count;
	uint32_t noted; /* the day of the last login that the database was told */
	uint64_t quota_messages, quota_octets;
	const char *database;
	uint32_t login_delay;
	bool has_ids, nologin, placed, has_login_delay;
	size_t size; /* of text */
	char text[]; /* name asked, name, home, secret, networks, each with its NUL; targets */
};

struct entries {
	struct table table;
	struct entry *oldest, *newest;
	uint32_t most;
};

struct entries *entries_create(uint32_t most)
{
	struct entries *entries = calloc(1, sizeof(*entries));

	if (!entries)
		return NULL;
	table_init(&entries->table);
	entries->most = most;
	return entries;
}

static uint64_t key_of(uint32_t purpose, pop3_span name, char key[USER_NAME_MAX + 1])
{
	pop3_span canonical = user_name_key(name, key);

	key[canonical.size] = '\0';
	return hash_octets(key, canonical.size) ^ purpose;
}

static struct entry *find(const struct entries *entries, uint32_t purpose, pop3_span name)
{
	char key[USER_NAME_MAX + 1];
	struct table_node *node;

	if (name.size > USER_NAME_MAX)
		return NULL;
	for (node = table_find(&entries->table, key_of(purpose, name, key)); node;
	     node = table_next(node)) {
		struct entry *entry = CONTAINER(node, struct entry, node);

		if (entry->purpose == purpose && strcmp(entry->text, key) == 0)
			return entry;
	}
	return NULL;
}

static void drop(struct entries *entries, struct entry *entry)
{
	*(entry->older ? &entry->older->newer : &entries->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &entries->newest) = entry->older;
	table_remove(&entries->table, &entry->node);
	wipe(entry->text, entry->size);
	free(entry);
}

bool entries_noted(struct entries *entries, uint32_t purpose, pop3_span name, uint32_t day)
{
	struct entry *entry = find(entries, purpose, name);
	bool noted = entry && entry->noted == day;

	if (entry)
		entry->noted = day;
	return noted;
}

uint32_t entries_forget(struct entries *entries, uint32_t purpose, pop3_span name)
{
	struct entry *entry = find(entries, purpose, name);

	if (entry)
		drop(entries, entry);
	return entry != NULL;
}

uint32_t entries_forget_all(struct entries *entries)
{
	uint32_t count = 0;

	for (; entries->oldest; count++)
		drop(entries, entries->oldest);
	return count;
}

static size_t targets_size(const struct finding *finding)
{
	const char *at = finding->targets;

	for (uint32_t i = 0; i < finding->alias.count; i++)
		at += strlen(at) + 1;
	return (size_t)(at - finding->targets);
}

static char *put_text(char *to, const char *text)
{
	size_t n = strlen(text) + 1;

	memcpy(to, text, n);
	return to + n;
}

void entries_put(struct entries *entries, uint32_t purpose, pop3_span name,
		 const struct finding *finding, const struct entry_found *found)
{
	const struct user *user = &finding->user;
	char key[USER_NAME_MAX + 1], *to;
	struct entry *entry = find(entries, purpose, name);
	uint32_t noted = entry ? entry->noted : 0;
	size_t targets = finding->alias.count ? targets_size(finding) : 0, size;
	uint64_t hash;

	if (entry)
		drop(entries, entry);
	if (!entries->most || name.size > USER_NAME_MAX)
		return;
	hash = key_of(purpose, name, key);
	size = strlen(key) + strlen(user->name) + strlen(user->home) + strlen(user->secret) +
	       strlen(user->networks) + 5 + targets;
	entry = calloc(1, sizeof(*entry) + size);
	if (!entry)
		return;
	*entry = (struct entry){.found = *found,
				.purpose = purpose,
				.noted = noted,
				.uid = user->uid,
				.gid = user->gid,
				.root = user->root,
				.placed = user->placed,
				.has_ids = user->has_ids,
				.nologin = user->nologin,
				.quota_messages = user->quota_messages,
				.quota_octets = user->quota_octets,
				.has_login_delay = user->has_login_delay,
				.login_delay = user->login_delay,
				.database = finding->database,
				.target_count = finding->alias.count,
				.size = size};
	to = put_text(entry->text, key);
	to = put_text(to, user->name);
	to = put_text(to, user->home);
	to = put_text(to, user->secret);
	to = put_text(to, user->networks);
	if (targets)
		memcpy(to, finding->targets, targets);
	if (entries->table.count >= entries->most)
		drop(entries, entries->oldest);
	table_add(&entries->table, &entry->node, hash);
	entry->older = entries->newest;
	*(entries->newest ? &entries->newest->newer : &entries->oldest) = entry;
	entries->newest = entry;
}

static const char *take_text(const char *from, char *to, size_t size)
{
	size_t n = strlen(from) + 1;

	if (n <= size)
		memcpy(to, from, n);
	return from + n;
}

struct finding *entries_get(const struct entries *entries, uint32_t purpose, pop3_span name,
			    uint64_t now, struct entry_found *ret)
{
	const struct entry *entry = find(entries, purpose, name);
	struct finding *finding;
	const char *at;
	size_t rest;

	if (!entry || entry->found.kept_until <= now)
		return NULL;
	finding = calloc(1, sizeof(*finding));
	if (!finding)
		return NULL;
	finding->status = USERS_FOUND;
	finding->cached = true;
	finding->database = entry->database;
	finding->user.uid = entry->uid;
	finding->user.gid = entry->gid;
	finding->user.root = entry->root;
	finding->user.placed = entry->placed;
	finding->user.has_ids = entry->has_ids;
	finding->user.nologin = entry->nologin;
	finding->user.quota_messages = entry->quota_messages;
	finding->user.quota_octets = entry->quota_octets;
	finding->user.has_login_delay = entry->has_login_delay;
	finding->user.login_delay = entry->login_delay;
	at = take_text(entry->text, finding->name, sizeof(finding->name));
	at = take_text(at, finding->user.name, sizeof(finding->user.name));
	at = take_text(at, finding->user.home, sizeof(finding->user.home));
	at = take_text(at, finding->user.secret, sizeof(finding->user.secret));
	at = take_text(at, finding->user.networks, sizeof(finding->user.networks));
	rest = entry->size - (size_t)(at - entry->text);
	if (entry->target_count) {
		finding->targets = malloc(rest);
		if (!finding->targets) {
			finding_free(finding);
			return NULL;
		}
		memcpy(finding->targets, at, rest);
		finding_set_alias(finding, entry->target_count);
	}
	*ret = entry->found;
	return finding;
}
