/* The part that all attempts share, and the mechanisms that each may use. See login.h. Made on
 * auth's loop, then used by its workers, too. */
#include "users/login_attempt_private.h"

#include "base/random.h"
#include "base/text.h"
#include "config/database.h"
#include "users/derived.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

const char *const login_mechanism_names[MECHANISM_SASL_COUNT] = {
	"SCRAM-SHA-256-PLUS",
	"SCRAM-SHA-256",
	"SCRAM-SHA-1-PLUS",
	"SCRAM-SHA-1",
	"CRAM-MD5",
	"OAUTHBEARER",
	"XOAUTH2",
	"PLAIN",
	"LOGIN",
	"EXTERNAL",
};

/* Whether it proves the main password by keys that are stored. */
static bool needs_keys(enum mechanism mechanism)
{
	return mechanism <= MECHANISM_CRAM_MD5;
}

static void allow(struct login_service *service, pop3_span word)
{
	for (int i = 0; i < MECHANISM_SASL_COUNT; i++)
		if (!service->allowed[i] && !(service->app_only && needs_keys((enum mechanism)i)) &&
		    span_equal_nocase(word, span_of(login_mechanism_names[i]))) {
			service->allowed[i] = true;
			service->order[service->order_count++] = (enum mechanism)i;
		}
}

int login_service_create(struct users *users, const struct login_settings *settings,
			 struct login_service **ret, struct err *err)
{
	struct login_service *service = calloc(1, sizeof(*service));

	if (!service)
		return err_set(err, EX_OSERR, "out of memory");
	service->users = users;
	service->site = settings->config;
	service->config = directory_has_databases(settings->config, CONFIG_FOR_LOGIN)
				  ? settings->config
				  : NULL;
	service->keys_with_databases = settings->keys_with_databases;
	service->apps = settings->apps;
	service->app_only = settings->app_only;
	pthread_mutex_init(&service->lock, NULL);
	snprintf(service->host_name, sizeof(service->host_name), "%s",
		 settings->host_name && *settings->host_name ? settings->host_name : "localhost");
	for (const char *p = settings->mechanisms; p && *(p += strspn(p, " "));
	     p += strcspn(p, " "))
		allow(service, (pop3_span){p, strcspn(p, " ")});
	if (cache_create(settings->cache_entries, settings->cache_seconds, &service->cache, err) <
	    0)
		goto fail;
	if (derived_create(&service->derived, err) < 0)
		goto fail;
	if (sasl_context_create(&service->sasl, err) < 0)
		goto fail;
	if (random_octets(service->fake_key, sizeof(service->fake_key)) < 0) {
		err_sys(err, EX_OSERR, errno, "no random octets");
		goto fail;
	}
	*ret = service;
	return 0;
fail:
	login_service_destroy(service);
	return -1;
}

void login_service_forget(struct login_service *service, const char *user)
{
	cache_forget(service->cache, user);
}

void login_service_destroy(struct login_service *service)
{
	if (!service)
		return;
	cache_destroy(service->cache);
	derived_destroy(service->derived);
	sasl_context_destroy(service->sasl);
	pthread_mutex_destroy(&service->lock);
	wipe(service, sizeof(*service));
	free(service);
}

static bool takes_tokens(const struct config *config)
{
	for (uint32_t i = 0; config && i < config->database_count; i++)
		if (config_database_judges_tokens(config, &config->databases[i]) &&
		    (config->databases[i].purposes & CONFIG_FOR_LOGIN))
			return true;
	return false;
}

static bool is_usable(struct login_service *service, enum mechanism mechanism, bool tls)
{
	bool plain = users_any_with_plain_secret(service->users);

	if (mechanism == MECHANISM_OAUTHBEARER || mechanism == MECHANISM_XOAUTH2)
		return takes_tokens(service->config);
	/* a client that prefers SCRAM must not shut out a user whose database has no keys, nor one
	 * with an app password: there is a digest of it, and no keys */
	if (needs_keys(mechanism) && !service->keys_with_databases &&
	    (service->config || (service->apps && app_passwords_any(service->apps))))
		return false;
	plain = plain || (service->config && needs_keys(mechanism));
	switch (mechanism) {
	case MECHANISM_SCRAM_SHA_256_PLUS:
		return tls && (plain || users_any_with_scram(service->users, "SCRAM-SHA-256"));
	case MECHANISM_SCRAM_SHA_256:
		return plain || users_any_with_scram(service->users, "SCRAM-SHA-256");
	case MECHANISM_SCRAM_SHA_1_PLUS:
		return tls && (plain || users_any_with_scram(service->users, "SCRAM-SHA-1"));
	case MECHANISM_SCRAM_SHA_1:
		return plain || users_any_with_scram(service->users, "SCRAM-SHA-1");
	case MECHANISM_CRAM_MD5:
		return plain || users_any_with_cram_md5(service->users);
	case MECHANISM_PLAIN:
	case MECHANISM_LOGIN:
		return true;
	case MECHANISM_EXTERNAL: /* fronts know which client has a certificate */
	case MECHANISM_OAUTHBEARER:
	case MECHANISM_XOAUTH2:
	case MECHANISM_PASS:
	case MECHANISM_APOP:
	case MECHANISM_REFUSED:
		break;
	}
	return false;
}

void login_mechanisms(struct login_service *service, bool tls, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < service->order_count; i++) {
		const char *name = login_mechanism_names[service->order[i]];

		if (!is_usable(service, service->order[i], tls) || used + strlen(name) + 2 > size)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " " : "", name);
	}
}
