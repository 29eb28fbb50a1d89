/* See credit.h. */
#include "server/mta/credit.h"

bool mta_has_credit(struct mta *mta)
{
	if (mta->unanswered < IPC_AUTH_CREDITS && mta->exchanges.count < mta->exchanges_max)
		return true;
	mta->starved = true;
	return false;
}

static void wake_one(struct table_node *node, void *context)
{
	(void)context;
	conn_wake(&CONTAINER(node, struct client, node)->conn);
}

void mta_wake_all(struct mta *mta)
{
	table_each(&mta->frame.clients, wake_one, NULL);
}

void mta_go_on(struct mta *mta)
{
	if (!mta->starved)
		return;
	mta->starved = false;
	mta_wake_all(mta);
}
