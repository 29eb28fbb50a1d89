/* See root_stores.h. */
#include "server/monitor/root_stores.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

_Static_assert((int)CONFIG_MAILDIR == (int)STORE_MAILDIR && (int)CONFIG_MBOX == (int)STORE_MBOX &&
		       (int)CONFIG_RADOS == (int)STORE_RADOS,
	       "the configuration names the stores as the maildrops do");

static int another_kind(const struct config *config, const struct config_root *root, int written,
			struct err *err)
{
	const char *wanted = mail_store_word((int)config->store - 1);

	if (written < 0)
		return err_set(err, EX_CONFIG,
			       "store = \"%s\", but nothing in %s says so, and a folder without a "
			       "word has Maildirs: see that its filesystem is mounted, then: "
			       "valija mark --store %s %s",
			       wanted, root->path, wanted, root->path);
	return err_set(err, EX_CONFIG,
		       "store = \"%s\", but %s is marked as a folder of the kind %s (its "
		       "file " MAIL_STORE_NAME
		       "): take the setting out, or, if the mail there is of the "
		       "other kind: valija mark --store %s %s",
		       wanted, root->path, mail_store_word(written), wanted, root->path);
}

static int check_retention(const struct config *config, const struct config_root *root,
			   const char *has, struct err *err)
{
	if (!config->keep_deleted_seconds && !config->delete_after_seconds)
		return 0;
	return err_set(err, EX_CONFIG,
		       "retention: messages are kept, or deleted for their age, in Maildirs only, "
		       "and %s has %s: leave keep_deleted and delete_after out",
		       root->path, has);
}

/* One keeper program serves all folders of a site: that of RADOS has no use for files. */
static int check_rados(const struct config *config, const struct mail_folder *mail, struct err *err)
{
	const char *path = config->roots[0].path;

	if (config->root_count > 1)
		return err_set(
			err, EX_CONFIG,
			"store = \"rados\": name one folder in mail, not %u: maildrops in RADOS "
			"and others are not served by one valijad",
			(unsigned)config->root_count);
	if (!*config->rados_pool)
		return err_set(err, EX_CONFIG,
			       "%s has maildrops in RADOS, but the section rados names no pool: "
			       "rados { pool = \"NAME\" }",
			       path);
	if (geteuid() == 0 && mail->uid == 0)
		return err_set(err, EX_CONFIG,
			       "%s belongs to root, and the keeper of its maildrops would be root: "
			       "chown valija-rados: %s (systemd-sysusers makes that user)",
			       path, path);
	return check_retention(config, &config->roots[0], "maildrops in RADOS", err);
}

int root_stores_resolve(struct config *config, const struct mail_folder *mail, struct err *err)
{
	for (uint32_t i = 0; i < config->root_count; i++) {
		struct config_root *root = &config->roots[i];
		int written = mail[i].facts.store;

		root->store = written < 0 ? CONFIG_MAILDIR : (uint32_t)written;
		if (config->store != CONFIG_STORE_AUTO && config->store != root->store + 1)
			return another_kind(config, root, written, err);
		if (root->store == CONFIG_MBOX && check_retention(config, root, "mboxes", err) < 0)
			return -1;
		if (root->store == CONFIG_RADOS && check_rados(config, &mail[i], err) < 0)
			return -1;
	}
	return 0;
}

bool root_stores_need_locker(const struct mail_folder *mail)
{
	return mail->uid == 0 && mail->gid != 0 && (mail->mode & (S_IWGRP | S_IWOTH)) == S_IWGRP;
}

void root_stores_warn(const struct config *config, const struct mail_folder *mail, bool root,
		      void (*warn)(const char *text))
{
	char text[CONFIG_PATH_MAX + 256];

	for (uint32_t i = 0; i < config->root_count; i++) {
		if (config->roots[i].store != CONFIG_MBOX || (mail[i].mode & S_IWOTH) ||
		    mail[i].uid != 0 || (root && root_stores_need_locker(&mail[i])))
			continue;
		if (!root && geteuid() == mail[i].uid)
			continue;
		snprintf(text, sizeof(text),
			 "no lock file can be made beside the mailboxes in %s: what users delete "
			 "is not shown to them any more, but stays in the files; %s",
			 config->roots[i].path,
			 root ? "give it a group that may write there, as chgrp mail and chmod "
				"2775 do"
			      : "start valijad as root");
		warn(text);
	}
}
