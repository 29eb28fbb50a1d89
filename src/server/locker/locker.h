/*
 * The process that makes lock files beside mboxes, in one mail folder whose group may write there
 * (/var/mail of Debian: root:mail, 2775): it has that group, and keepers never do. A keeper is
 * known by the uid that the monitor gave it, and gets NAME.lock for mailboxes of that uid only;
 * nothing else is made or removed. A lock goes when its keeper does, unless there is a journal
 * behind it: that one waits for the next session of the same mailbox.
 */
#ifndef SERVER_LOCKER_LOCKER_H
#define SERVER_LOCKER_LOCKER_H

#include "server/child.h"

extern const struct child_role locker_role;

#endif
