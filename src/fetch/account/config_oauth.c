/* See config_oauth.h. Texts are the user's own, but may be wrong in any way. */
#include "fetch/account/config_oauth.h"

#include "fetch/account/config_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

static int read_section(cfg_t *section, struct fetch_oauth *oauth, struct err *err)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} texts[] = {{"authorize", oauth->authorize, sizeof(oauth->authorize)},
		     {"token", oauth->token, sizeof(oauth->token)},
		     {"device", oauth->device, sizeof(oauth->device)},
		     {"scope", oauth->scope, sizeof(oauth->scope)},
		     {"redirect", oauth->redirect, sizeof(oauth->redirect)},
		     {"tenant", oauth->tenant, sizeof(oauth->tenant)},
		     {"client-id", oauth->client_id, sizeof(oauth->client_id)},
		     {"client-secret", oauth->client_secret, sizeof(oauth->client_secret)}};
	const char *file = cfg_getstr(section, "client-file");

	fetch_oauth_init(oauth, cfg_title(section));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *text = cfg_getstr(section, texts[i].name);

		if (text && fetch_text(texts[i].to, texts[i].size, text, texts[i].name, err) < 0)
			return -1;
	}
	if (file && config_path(oauth->client_file, sizeof(oauth->client_file), file, "client-file",
				err) < 0)
		return -1;
	return fetch_oauth_complete(oauth, err);
}

int config_oauth_read(cfg_t *cfg, struct fetch_config *config, struct err *err)
{
	unsigned count = cfg_size(cfg, "oauth");

	/* two more an account: accounts keep pointers, so the array does not move */
	config->oauth = calloc(count + 2 * cfg_size(cfg, "account") + 1, sizeof(*config->oauth));
	if (!config->oauth)
		return err_sys(err, EX_OSERR, errno, "memory");
	for (unsigned i = 0; i < count; i++) {
		cfg_t *section = cfg_getnsec(cfg, "oauth", i);

		if (read_section(section, &config->oauth[i], err) < 0) {
			err->code = EX_CONFIG;
			return err_prefix(err, "oauth \"%.80s\"", cfg_title(section));
		}
		config->oauth_count++;
	}
	return 0;
}

const struct fetch_oauth *config_oauth_named(struct fetch_config *config, const char *name,
					     struct err *err)
{
	struct fetch_oauth *oauth = NULL;

	for (unsigned i = 0; i < config->oauth_count && !oauth; i++)
		if (strcasecmp(config->oauth[i].name, name) == 0)
			oauth = &config->oauth[i];
	if (!oauth) {
		oauth = &config->oauth[config->oauth_count];
		fetch_oauth_init(oauth, name);
		if (fetch_oauth_complete(oauth, err) < 0)
			return NULL;
		config->oauth_count++;
	}
	return oauth;
}

int config_oauth_use(struct fetch_config *config, struct fetch_account *account, const char *name,
		     struct err *err)
{
	const struct fetch_oauth *oauth = config_oauth_named(config, name, err);

	if (!oauth)
		return -1;
	if (account->password_source != FETCH_PASSWORD_ASK)
		return err_set(err, EX_CONFIG, "the password comes from one place only");
	account->password_source = FETCH_TOKEN_OAUTH;
	account->oauth = oauth;
	if (account->initial_response == FETCH_UNKNOWN && oauth->provider)
		account->initial_response = oauth->provider->initial_response;
	return 0;
}
