/* See site.h. In monitor, auth and `valija deliver`, with their rights. */
#include "users/site.h"

#include "config/path.h"

int site_users_open(const struct config *config, int users_fd, struct users **ret, struct err *err)
{
	return users_open_passwd_file(users_fd, config_file_name(config->users), config->mail, ret,
				      err);
}

int site_recipients_open(const struct config *config, int aliases_fd, struct users *users,
			 struct recipients **ret, struct err *err)
{
	struct recipients_settings settings = {
		.delimiters = config->recipient_delimiter,
		.domains = config->domains,
		.catch_all = config->catch_all,
		.aliases_dir_fd = aliases_fd,
		.aliases_file = aliases_fd >= 0 ? config_file_name(config->aliases) : NULL};

	return recipients_open(&settings, users, ret, err);
}

struct site_quota site_quota(const struct config *config, const struct user *user)
{
	return (struct site_quota){
		.messages = user->quota_messages ? user->quota_messages : config->quota_messages,
		.octets = user->quota_octets ? user->quota_octets : config->quota_octets};
}
