/* See peer_uids.h. */
#include "server/monitor/peer_uids.h"

#include "config/keys.h"
#include "sys/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static void add(struct ipc_uids *uids, uint32_t uid)
{
	for (uint32_t i = 0; i < uids->count; i++)
		if (uids->uids[i] == uid)
			return;
	if (uids->count < IPC_UIDS_MAX)
		uids->uids[uids->count++] = uid;
}

int peer_uids_find(const struct config *config, struct ipc_uids *ret, struct err *err)
{
	bool named = strcmp(config->sasl_peers, CONFIG_SASL_PEERS) != 0;
	struct ipc_uids uids = {.count = 0};
	char name[CONFIG_NAME_MAX];

	add(&uids, 0);
	add(&uids, (uint32_t)geteuid());
	for (const char *p = config->sasl_peers; *(p += strspn(p, " ")); p += strcspn(p, " ")) {
		uid_t uid;
		gid_t gid;

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, " "), p);
		if (sandbox_user(name, &uid, &gid, NULL) == 0)
			add(&uids, uid);
		else if (named)
			return err_set(err, EX_NOUSER,
				       "sasl.peers names \"%s\", and there is no such system user",
				       name);
	}
	*ret = uids;
	return 0;
}
