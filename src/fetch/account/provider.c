/* See provider.h. Pure. The rows are facts of late 2026; a wrong one can be set right by
 * configuration. */
#include "fetch/account/provider.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#define MICROSOFT "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/"

static const struct fetch_provider providers[] = {
	{
		.name = "google",
		.domains = "gmail.com googlemail.com",
		.host = "pop.gmail.com",
		.authorize = "https://accounts.google.com/o/oauth2/v2/auth",
		.token = "https://oauth2.googleapis.com/token",
		.scope = "https://mail.google.com/",
		.parameters = "&access_type=offline&prompt=consent",
		.initial_response = FETCH_YES,
		.password = true,
		.testing = true,
		.register_page = "https://console.cloud.google.com/auth/clients",
		.publish_page = "https://console.cloud.google.com/auth/audience",
		.pop_page = "https://mail.google.com/mail/u/0/#settings/fwdandpop",
		.password_page = "https://myaccount.google.com/apppasswords",
	},
	{
		/* puts mail into Gmail, and can neither read nor delete any */
		.name = "gmail-import",
		.authorize = "https://accounts.google.com/o/oauth2/v2/auth",
		.token = "https://oauth2.googleapis.com/token",
		.scope = "https://www.googleapis.com/auth/gmail.insert "
			 "https://www.googleapis.com/auth/gmail.labels",
		.parameters = "&access_type=offline&prompt=consent",
		.testing = true,
		.register_page = "https://console.cloud.google.com/auth/clients",
		.publish_page = "https://console.cloud.google.com/auth/audience",
	},
	{
		.name = "microsoft",
		.domains = "outlook.com hotmail.com live.com msn.com hotmail.de outlook.de "
			   "hotmail.co.uk hotmail.fr outlook.fr live.de live.fr live.co.uk "
			   "live.nl hotmail.es outlook.es hotmail.it outlook.it",
		.host = "outlook.office365.com",
		.authorize = MICROSOFT "authorize",
		.token = MICROSOFT "token",
		.device = MICROSOFT "devicecode",
		.scope = "https://outlook.office.com/POP.AccessAsUser.All offline_access",
		.redirect = "http://localhost",
		.initial_response = FETCH_NO,
		.register_page = "https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/"
				 "ApplicationsListBlade",
		.pop_page = "https://outlook.live.com/mail/0/options/mail/forwarding",
	},
	{
		.name = "yahoo",
		.domains = "yahoo.com ymail.com rocketmail.com yahoo.co.uk yahoo.de yahoo.fr "
			   "yahoo.it yahoo.es yahoo.ca yahoo.co.in yahoo.com.br",
		.host = "pop.mail.yahoo.com",
		.authorize = "https://api.login.yahoo.com/oauth2/request_auth",
		.token = "https://api.login.yahoo.com/oauth2/get_token",
		.scope = "mail-w",
		.password = true,
		.password_page = "https://login.yahoo.com/account/security",
	},
	{
		.name = "aol",
		.domains = "aol.com aim.com aol.de aol.co.uk",
		.host = "pop.aol.com",
		.authorize = "https://api.login.aol.com/oauth2/request_auth",
		.token = "https://api.login.aol.com/oauth2/get_token",
		.scope = "mail-w",
		.password = true,
		.password_page = "https://login.aol.com/account/security",
	},
	{
		.name = "gmx",
		.domains = "gmx.de gmx.net gmx.at gmx.ch",
		.host = "pop.gmx.net",
		.password = true,
		.pop_page = "https://www.gmx.net/mail/ (Settings, POP3/IMAP)",
	},
	{
		.name = "web.de",
		.domains = "web.de",
		.host = "pop3.web.de",
		.password = true,
		.pop_page = "https://web.de/ (Settings, POP3/IMAP)",
	},
	{
		.name = "gmx.com",
		.domains = "gmx.com gmx.us gmx.co.uk gmx.fr gmx.es",
		.host = "pop.gmx.com",
		.password = true,
		.pop_page = "https://www.gmx.com/mail/ (Settings, POP3 & IMAP)",
	},
	{
		.name = "icloud",
		.domains = "icloud.com me.com mac.com",
	},
};

enum { PROVIDER_COUNT = sizeof(providers) / sizeof(providers[0]) };

const struct fetch_provider *fetch_provider_at(unsigned i)
{
	return i < PROVIDER_COUNT ? &providers[i] : NULL;
}

const struct fetch_provider *fetch_provider_named(const char *name)
{
	for (size_t i = 0; i < PROVIDER_COUNT; i++)
		if (strcasecmp(providers[i].name, name) == 0)
			return &providers[i];
	return NULL;
}

static bool has_domain(const char *list, const char *domain)
{
	size_t n = strlen(domain);

	while (list && *list) {
		size_t word = strcspn(list, " ");

		if (word == n && strncasecmp(list, domain, n) == 0)
			return true;
		list += word + strspn(list + word, " ");
	}
	return false;
}

const struct fetch_provider *fetch_provider_of(const char *address)
{
	const char *at = strrchr(address, '@');

	for (size_t i = 0; at && i < PROVIDER_COUNT; i++)
		if (has_domain(providers[i].domains, at + 1))
			return &providers[i];
	return NULL;
}

void fetch_oauth_init(struct fetch_oauth *oauth, const char *name)
{
	*oauth = (struct fetch_oauth){.provider = fetch_provider_named(name)};
	snprintf(oauth->name, sizeof(oauth->name), "%s", name);
}

/* The row's value unless there is one, with the tenant put in. */
static void complete(char *to, size_t size, const char *row, const char *tenant)
{
	const char *mark;

	if (!to[0] && row)
		snprintf(to, size, "%s", row);
	mark = strstr(to, "{tenant}");
	if (mark) {
		char whole[FETCH_URL_MAX];

		snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(mark - to), to, tenant,
			 mark + strlen("{tenant}"));
		snprintf(to, size, "%s", whole);
	}
}

int fetch_oauth_complete(struct fetch_oauth *oauth, struct err *err)
{
	static const struct fetch_provider none = {.name = ""};
	const struct fetch_provider *row = oauth->provider ? oauth->provider : &none;
	const char *tenant = oauth->tenant[0] ? oauth->tenant : "common";
	const char *const urls[] = {oauth->token, oauth->authorize, oauth->device};

	if (tenant[strcspn(tenant, "/?#%{} ")])
		return err_set(err, EX_CONFIG, "\"%.80s\" is no tenant", tenant);
	complete(oauth->authorize, sizeof(oauth->authorize), row->authorize, tenant);
	complete(oauth->token, sizeof(oauth->token), row->token, tenant);
	complete(oauth->device, sizeof(oauth->device), row->device, tenant);
	complete(oauth->scope, sizeof(oauth->scope), row->scope, tenant);
	complete(oauth->redirect, sizeof(oauth->redirect), row->redirect, tenant);
	if (!oauth->token[0])
		return err_set(
			err, EX_CONFIG,
			"the provider \"%.80s\" is not known, or has no OAuth: a section oauth "
			"\"%.80s\" names its token, authorize or device address and its scope",
			oauth->name, oauth->name);
	for (size_t i = 0; i < 3; i++)
		if (urls[i][0] && strncmp(urls[i], "https://", 8) != 0)
			return err_set(err, EX_CONFIG, "\"%.200s\" does not begin with https://",
				       urls[i]);
	return 0;
}
