/* See system_user.h. */
#include "users/system_user.h"

#include "sys/sandbox.h"

#include <stddef.h>
#include <sysexits.h>

int system_user_find(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
	if (sandbox_user(name, ret_uid, ret_gid, NULL) == 0)
		return 0;
	return err_set(err, EX_NOUSER,
		       "there is no system user \"%s\" to give up root for; make the users of "
		       "dist/sysusers.d/valija.conf: "
		       "systemd-sysusers dist/sysusers.d/valija.conf",
		       name);
}
