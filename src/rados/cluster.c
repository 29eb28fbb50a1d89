/* See cluster.h. */
#include "rados/cluster.h"

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct engine_settings cluster_settings(const struct config *config)
{
	return (struct engine_settings){
		.conf = config->rados_conf,
		.pool = config->rados_pool,
		.bodies = *config->rados_bodies ? config->rados_bodies : config->rados_pool,
		.user = config->rados_user,
	};
}

int cluster_become_keeper(const struct config *config, struct err *err)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(config->roots[0].path, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", config->roots[0].path);
	if (st.st_uid == 0)
		return err_set(err, EX_CONFIG, "%s belongs to root: chown valija-rados: %s",
			       config->roots[0].path, config->roots[0].path);
	if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot become uid %u", (unsigned)st.st_uid);
	return 0;
}
