/* See domains.h. */
#include "server/mta/domains.h"

#include "base/text.h"
#include "config/database.h"

#include <string.h>

/* words: separated by blanks; of each, what stands in front of "=" counts. */
static bool among(const char *words, pop3_span domain)
{
	for (const char *p = words; *(p += strspn(p, " ")); p += strcspn(p, " "))
		if (span_equal_nocase(domain, (pop3_span){p, strcspn(p, " =")}))
			return true;
	return false;
}

static bool database_has(const struct config *config, const struct config_database *database,
			 pop3_span domain)
{
	const char *item;

	if (!(database->purposes & CONFIG_FOR_RECIPIENT))
		return false;
	for (size_t i = 0; (item = config_database_item(config, database, "domains", i)); i++)
		if (span_equal_nocase(domain, span_of(item)))
			return true;
	return false;
}

bool domains_have(const struct config *config, pop3_span domain)
{
	if (!domain.size)
		return false;
	if (among(config->domains, domain) || among(config->realm, domain) ||
	    among(config->domain_aliases, domain))
		return true;
	for (uint32_t i = 0; i < config->database_count; i++)
		if (database_has(config, &config->databases[i], domain))
			return true;
	return false;
}
