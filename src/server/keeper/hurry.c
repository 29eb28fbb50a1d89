/* See hurry.h. The question whether the mail is here has that effect: it finds the maildrop in use.
 * Nobody waits for it. */
#include "server/keeper/hurry.h"

#include <stdlib.h>

enum { HURRIES_MAX = 64 }; /* under way; a login beyond does without */

struct hurry {
	struct store_open open;
	struct keeper *keeper;
	struct keeper_place *place;
};

static void looked(struct store_op *op)
{
	struct hurry *hurry = CONTAINER(op, struct hurry, open.op);
	struct keeper *keeper = hurry->keeper;

	keeper_place_release(keeper, hurry->place);
	free(hurry);
	keeper->hurries--;
	keeper_done(keeper);
}

void keeper_hurry(struct peer *auth, const struct ipc_hurry *message)
{
	struct keeper *keeper = auth->child->state;
	struct keeper_root *root = keeper_root_of(keeper, message->root);
	struct hurry *hurry;

	if (!root) {
		peer_break(auth, "a maildrop in a folder that is not there");
		return;
	}
	if (keeper->hurries >= HURRIES_MAX || root->away ||
	    !(store_abilities(root->store) & STORE_MOVES))
		return;
	hurry = calloc(1, sizeof(*hurry));
	if (hurry)
		hurry->place = keeper_place_take(keeper, root, ipc_text(message, 0));
	if (!hurry || !hurry->place)
		abort();
	hurry->keeper = keeper;
	hurry->open.who.flags = STORE_MIGRATES | STORE_LOOKS;
	hurry->open.op.done = looked;
	keeper->hurries++;
	keeper_begin(keeper);
	store_open(root->store, &hurry->place->where, &hurry->open);
}
