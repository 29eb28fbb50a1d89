/* See site.h. In monitor, auth and `valija deliver`, with their rights. */
#include "users/site.h"

#include "config/path.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

int site_users_open(const struct config *config, int users_fd, struct users **ret, struct err *err)
{
	struct user_mail mail = {.config = config};

	return users_open_passwd_file(users_fd, config_file_name(config->users), &mail, ret, err);
}

int site_recipients_open(const struct config *config, int aliases_fd, struct users *users,
			 struct recipients **ret, struct err *err)
{
	struct recipients_settings settings = {
		.delimiters = config->recipient_delimiter,
		.domains = config->domains,
		.catch_all = config->catch_all,
		.config = config,
		.aliases_dir_fd = aliases_fd,
		.aliases_file = aliases_fd >= 0 ? config_file_name(config->aliases) : NULL};

	return recipients_open(&settings, users, ret, err);
}

void site_recipients_check(const struct config *config, struct recipients *recipients,
			   bool postmasters, void (*warn)(const char *text))
{
	bool delivers = config->aliases[0] != '\0';

	for (uint32_t i = 0; i < config->listener_count; i++)
		delivers = delivers || config->listeners[i].service == SERVICE_LMTP;
	if (delivers)
		recipients_check(recipients, postmasters, warn);
}

static bool may_enter(int folder_fd)
{
	struct stat st;

	if (fstat(folder_fd, &st) < 0)
		return false;
	if (st.st_uid == geteuid())
		return st.st_mode & S_IXUSR;
	return st.st_mode & (st.st_gid == getegid() ? S_IXGRP : S_IXOTH);
}

int site_explain(const char *file, int folder_fd, const char *user, struct err *err)
{
	char folder[CONFIG_PATH_MAX], *name;

	if (!user || (err->code != EX_NOPERM && err->errnum != EACCES && err->errnum != EPERM))
		return err_prefix(err, "cannot use %s", file);
	if (may_enter(folder_fd))
		return err_prefix(err,
				  "the process that checks passwords runs as %s (try: chgrp %s %s; "
				  "chmod 640 %s)",
				  user, user, file, file);
	snprintf(folder, sizeof(folder), "%s", file);
	name = dirname(folder);
	return err_prefix(err,
			  "the process that checks passwords runs as %s and cannot enter the "
			  "folder %s (try: chmod o+x %s)",
			  user, name, name);
}

struct site_quota site_quota(const struct config *config, const struct user *user)
{
	return (struct site_quota){
		.messages = user->quota_messages ? user->quota_messages : config->quota_messages,
		.octets = user->quota_octets ? user->quota_octets : config->quota_octets};
}

uint32_t site_login_delay(const struct config *config, const struct user *user)
{
	uint32_t max = config->login_delay_max;

	if (!max || !user->has_login_delay)
		return config->login_delay_seconds;
	return user->login_delay < max ? user->login_delay : max;
}
