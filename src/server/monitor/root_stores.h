/*
 * The kind of the maildrops of each mail folder: as it is written in the folder, compared with the
 * setting store. Runs in the monitor before its children start, with what mail_folder.h found.
 */
#ifndef SERVER_MONITOR_ROOT_STORES_H
#define SERVER_MONITOR_ROOT_STORES_H

#include "config/config.h"
#include "maildrop/store.h"
#include "server/monitor/mail_folder.h"

/* Fills in the store of each root of config; mail has what was found in each. -1 with err: the
 * setting asks for another kind, or what else is set does not go with mboxes. */
int root_stores_resolve(struct config *config, const struct mail_folder *mail, struct err *err);
/* Are lock files in that folder of mboxes made by a process with its group? For a monitor that is
 * root. */
bool root_stores_need_locker(const struct mail_folder *mail);
/* Says which folders of mboxes let no lock file be made, so that nothing is deleted there. */
void root_stores_warn(const struct config *config, const struct mail_folder *mail, bool root,
		      void (*warn)(const char *text));

#endif
