/* See find.h. In the process of a person's command. What DNS says is unsigned: it chooses a row of
 * the table, or a server in the address's own domain, or a person has to agree. */
#include "fetch/setup/find.h"

#include "base/text.h"
#include "fetch/https/https.h"
#include "fetch/setup/autoconfig.h"
#include "fetch/setup/dns.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

/* Mail exchangers of organizations whose mail a provider keeps. */
static const struct {
	const char *suffix, *provider;
} exchangers[] = {{".google.com", "google"},
		  {".googlemail.com", "google"},
		  {".mail.protection.outlook.com", "microsoft"},
		  {".mx.microsoft", "microsoft"},
		  {".yahoodns.net", "yahoo"}};

static const char *domain_of(const char *address)
{
	return strrchr(address, '@') + 1;
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n >= m && strcasecmp(name + n - m, suffix) == 0;
}

static void use_provider(const struct fetch_provider *provider, const char *address,
			 struct found *ret)
{
	*ret = (struct found){.provider = provider, .port = 995, .tls = FETCH_TLS_IMPLICIT};
	snprintf(ret->host, sizeof(ret->host), "%s", provider->host);
	snprintf(ret->user, sizeof(ret->user), "%s", address);
	ret->tokens_only = !provider->password;
}

/* 1: a row has this domain. */
static int from_table(const char *address, struct found *ret, struct err *err)
{
	const struct fetch_provider *provider = fetch_provider_of(address);

	if (!provider)
		return 0;
	if (!provider->host)
		return err_set(err, EX_UNAVAILABLE, "%s has no POP3", provider->name);
	use_provider(provider, address, ret);
	snprintf(ret->from, sizeof(ret->from), "known: %.60s", provider->name);
	return 1;
}

static int from_srv(const char *address, struct found *ret)
{
	static const struct {
		const char *service;
		enum fetch_tls tls;
	} services[] = {{"_pop3s._tcp", FETCH_TLS_IMPLICIT}, {"_pop3._tcp", FETCH_TLS_STARTTLS}};
	const char *domain = domain_of(address);

	for (size_t i = 0; i < 2; i++) {
		struct dns_target target;
		char own[FETCH_TEXT_MAX + 1];

		if (dns_srv(services[i].service, domain, &target) <= 0 || !target.name[0] ||
		    !target.port)
			continue; /* "." says: not offered */
		*ret = (struct found){.port = target.port, .tls = services[i].tls};
		snprintf(ret->host, sizeof(ret->host), "%.255s", target.name);
		snprintf(ret->user, sizeof(ret->user), "%.255s", address);
		snprintf(ret->from, sizeof(ret->from), "DNS: %s.%.50s", services[i].service,
			 domain);
		snprintf(own, sizeof(own), ".%.255s", domain);
		ret->foreign = strcasecmp(target.name, domain) != 0 && !ends_in(target.name, own);
		return 1;
	}
	return 0;
}

static int from_mx(const char *address, struct found *ret)
{
	struct dns_target target;

	if (dns_mx(domain_of(address), &target) <= 0)
		return 0;
	for (size_t i = 0; i < sizeof(exchangers) / sizeof(exchangers[0]); i++) {
		if (!ends_in(target.name, exchangers[i].suffix))
			continue;
		use_provider(fetch_provider_named(exchangers[i].provider), address, ret);
		snprintf(ret->from, sizeof(ret->from), "its mail goes to %.50s", target.name);
		return 1;
	}
	return 0;
}

static int from_page(const char *url, const char *address, struct found *ret)
{
	struct https_answer *answer;
	struct err ignored = {0};
	int rc = 0;

	if (https_exchange(url, NULL, &answer, &ignored) < 0)
		return 0;
	if (answer->status == 200)
		rc = autoconfig_read((pop3_span){answer->body, answer->size}, address, ret);
	https_answer_free(answer);
	if (rc <= 0)
		return 0;
	snprintf(ret->from, sizeof(ret->from), "autoconfig: %.60s", url + strlen("https://"));
	if (!ret->port)
		ret->port = ret->tls == FETCH_TLS_IMPLICIT ? 995 : 110;
	if (!ret->user[0])
		snprintf(ret->user, sizeof(ret->user), "%.255s", address);
	return 1;
}

static int from_autoconfig(const struct find *find, struct found *ret)
{
	static const char *const pages[] = {
		"https://autoconfig.%s/mail/config-v1.1.xml",
		"https://%s/.well-known/autoconfig/mail/config-v1.1.xml",
		"https://autoconfig.thunderbird.net/v1.1/%s", /* of domains, not of addresses */
	};

	if (find->autoconfig)
		return from_page(find->autoconfig, find->address, ret);
	for (size_t i = 0; i < 3; i++) {
		const char *mark = strstr(pages[i], "%s");
		char url[600];

		snprintf(url, sizeof(url), "%.*s%s%s", (int)(mark - pages[i]), pages[i],
			 domain_of(find->address), mark + 2);
		if (from_page(url, find->address, ret) > 0)
			return 1;
	}
	return 0;
}

int find_server(const struct find *find, struct found *ret, struct err *err)
{
	int rc;

	if (find->autoconfig)
		return from_autoconfig(find, ret);
	rc = from_table(find->address, ret, err);
	if (rc != 0 || find->no_lookup)
		return rc;
	if (from_srv(find->address, ret) > 0 || from_mx(find->address, ret) > 0)
		return 1;
	return from_autoconfig(find, ret);
}
