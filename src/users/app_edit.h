/*
 * Changes to the app passwords of a site, for `valija user app`: the file app-passwords beside the
 * users file is written anew and renamed into place, both flushed, under the lock of the users
 * file. With the rights of the caller. The file gets owner, group and mode of the users file, and a
 * key of its own with the first app password.
 */
#ifndef USERS_APP_EDIT_H
#define USERS_APP_EDIT_H

#include "base/err.h"
#include "users/app_password.h"

#include <pop3/span.h>

/* users_path: of the users file, which must be there. app: name (any case), label, networks,
 * expires and no_delete are the caller's; created and digest are filled in. The password is
 * shown; the caller wipes it. err->code is EX_CANTCREAT where the user has one of that label. */
int app_edit_add(const char *users_path, struct app_password *app, char shown[APP_SHOWN_MAX],
		 struct err *err);
/* label NULL: all of the user's. *ret_count: how many were revoked, 0 with success where there was
 * none. */
int app_edit_revoke(const char *users_path, const char *name, const char *label,
		    unsigned *ret_count, struct err *err);
/* Calls each with every app password of name (NULL: of all users), in the order of the file. */
int app_edit_list(const char *users_path, const char *name,
		  void (*each)(void *argument, const struct app_password *app), void *argument,
		  struct err *err);

#endif
