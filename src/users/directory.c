/* See directory.h. In auth: on its loop and in its workers. */
#include "users/directory.h"

#include "base/secret.h"
#include "base/text.h"
#include "config/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

void finding_free(struct finding *finding)
{
	if (!finding)
		return;
	free(finding->targets);
	if (finding->access)
		wipe(finding->access, strlen(finding->access));
	free(finding->access);
	wipe(finding, sizeof(*finding));
	free(finding);
}

void finding_set_alias(struct finding *finding, uint32_t targets)
{
	finding->alias = (struct alias){
		.name = finding->name, .targets = finding->targets, .count = targets};
}

bool directory_has_databases(const struct config *config, uint32_t purpose)
{
	for (uint32_t i = 0; config && i < config->database_count; i++)
		if (config->databases[i].purposes & purpose)
			return true;
	return false;
}

static bool could_have(const struct config *config, uint32_t purpose, pop3_span name)
{
	for (uint32_t i = 0; config && i < config->database_count; i++)
		if ((config->databases[i].purposes & purpose) &&
		    config_database_could_have(config, &config->databases[i], name))
			return true;
	return false;
}

pop3_span directory_name(struct users *users, const struct config *config, pop3_span name,
			 char buf[USER_NAME_MAX + 1])
{
	pop3_span whole = user_name_unaliased(config, name, buf);
	struct user user;
	struct err err;
	bool bare;
	int n;

	if (!config || !config->realm[0] || !name.size || memchr(name.data, '@', name.size))
		return whole;
	bare = users_find(users, name, &user, &err) != USERS_UNKNOWN;
	wipe(&user, sizeof(user));
	if (bare)
		return name;
	n = snprintf(buf, USER_NAME_MAX + 1, "%.*s@%s", (int)name.size, name.data, config->realm);
	return n > 0 && n <= USER_NAME_MAX ? (pop3_span){buf, (size_t)n} : name;
}

enum users_status directory_find(struct users *users, const struct config *config, uint32_t purpose,
				 const struct finding *findings, pop3_span name, struct user *ret,
				 const struct finding **ret_finding, struct err *err)
{
	enum users_status status = users_find(users, name, ret, err);

	*ret_finding = NULL;
	if (status != USERS_UNKNOWN || !user_name_valid(name) || !could_have(config, purpose, name))
		return status;
	while (findings && !user_name_same(span_of(findings->name), name))
		findings = findings->next;
	if (!findings)
		return USERS_ASK;
	*ret_finding = findings;
	if (findings->status == USERS_FOUND || findings->status == USERS_UNSERVED)
		*ret = findings->user;
	if (findings->status == USERS_DOWN || findings->status == USERS_UNSERVED)
		err_set(err, EX_TEMPFAIL, "database %s: %s",
			findings->database ? findings->database : "", findings->why);
	return findings->status;
}
