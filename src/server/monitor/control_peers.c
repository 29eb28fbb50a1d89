/* See control_peers.h. */
#include "server/monitor/control_peers.h"

#include "sys/sandbox.h"

#include <grp.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* False: there is no room for one more. */
static bool add(struct ipc_control_peers *peers, uint32_t uid)
{
	for (uint32_t i = 0; i < peers->count; i++)
		if (peers->uids[i] == uid)
			return true;
	if (peers->count == IPC_UIDS_MAX)
		return false;
	peers->uids[peers->count++] = uid;
	return true;
}

int control_peers_find(const struct config *config, struct ipc_control_peers *ret, struct err *err)
{
	struct ipc_control_peers peers = {.count = 0};
	const char *name = config->control_group;
	const struct group *group;

	add(&peers, 0);
	add(&peers, (uint32_t)geteuid());
	if (name[0]) {
		group = getgrnam(name);
		if (!group)
			return err_set(err, EX_NOUSER,
				       "control.group is \"%s\", and there is no such system group",
				       name);
		peers.has_group = 1;
		peers.gid = group->gr_gid;
		for (char **member = group->gr_mem; *member; member++) {
			uid_t uid;
			gid_t gid;

			if (sandbox_user(*member, &uid, &gid, NULL) == 0 && !add(&peers, uid))
				return err_set(err, EX_CONFIG,
					       "control.group: \"%s\" has more than %d members",
					       name, IPC_UIDS_MAX - 2);
		}
	}
	*ret = peers;
	return 0;
}
