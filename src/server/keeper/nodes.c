/*
 * See nodes.h. What goes to other machines: a letter that says what it is, then
 *
 *     K, F    id: 8 octets; uid: 4; the text of NODES
 *     B, U    seconds, uid, bits, flags: 4 octets each; address: 16; the text of BAN
 *
 * numbers from their lowest octet on. A letter that is not known is of a later version.
 */
#include "server/keeper/nodes.h"

#include "base/little_endian.h"
#include "base/log.h"
#include "ipc/messages.h"

#include <string.h>

enum { KICK = 'K', FLUSH = 'F', BAN = 'B', UNBAN = 'U', ORDER_HEAD = 13, BAN_HEAD = 33 };

_Static_assert(ORDER_HEAD + IPC_TEXT_MAX <= STORE_TELL_MAX, "a store tells of all that NODES has");
_Static_assert(BAN_HEAD + IPC_BAN_WHY_MAX <= STORE_TELL_MAX, "the same of NODES_BAN");

/* ---- to them ---- */

static void tell(struct keeper *keeper, char *octets, size_t head, pop3_span text)
{
	memcpy(octets + head, text.data, text.size);
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++) {
		struct store *store = keeper->roots[i].store;

		if (!store || !(store_abilities(store) & STORE_NODES))
			continue;
		store_tell(store, (pop3_span){octets, head + text.size});
		return;
	}
}

void keeper_nodes_tell(struct keeper *keeper, const struct ipc_nodes *message)
{
	char octets[STORE_TELL_MAX] = {message->what == NODES_KICK ? KICK : FLUSH};

	le_put(octets + 1, message->id, 8);
	le_put(octets + 9, message->uid, 4);
	tell(keeper, octets, ORDER_HEAD, ipc_text(message, 0));
}

void keeper_nodes_tell_ban(struct keeper *keeper, const struct ipc_ban *message)
{
	char octets[STORE_TELL_MAX] = {message->act == BAN_ADD ? BAN : UNBAN};

	le_put(octets + 1, message->seconds, 4);
	le_put(octets + 5, message->uid, 4);
	le_put(octets + 9, message->bits, 4);
	le_put(octets + 13, message->flags, 4);
	memcpy(octets + 17, message->address, sizeof(message->address));
	tell(keeper, octets, BAN_HEAD, ipc_text(message, 0));
}

/* ---- from them ---- */

static pop3_span behind(pop3_span octets, size_t head)
{
	return (pop3_span){octets.data + head, octets.size - head};
}

static void take_order(struct keeper *keeper, pop3_span octets)
{
	pop3_span text = behind(octets, ORDER_HEAD);
	struct ipc_nodes message = {.id = le_get(octets.data + 1, 8),
				    .what = octets.data[0] == KICK ? NODES_KICK : NODES_FLUSH,
				    .uid = (uint32_t)le_get(octets.data + 9, 4)};

	if (text.size > IPC_TEXT_MAX || (message.what == NODES_KICK && !text.size))
		return;
	for (struct peer *peer = keeper->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_AUTH)
			peer_send_texts(peer, IPC_NODES, &message, &text, 1);
}

static void take_ban(struct keeper *keeper, pop3_span octets)
{
	pop3_span text = behind(octets, BAN_HEAD);
	struct ipc_ban message = {.act = octets.data[0] == BAN ? BAN_ADD : BAN_REMOVE,
				  .seconds = (uint32_t)le_get(octets.data + 1, 4),
				  .uid = (uint32_t)le_get(octets.data + 5, 4),
				  .bits = (uint32_t)le_get(octets.data + 9, 4),
				  .flags = (uint32_t)le_get(octets.data + 13, 4)};

	memcpy(message.address, octets.data + 17, sizeof(message.address));
	/* else the monitor would break with this process */
	if (text.size > IPC_BAN_WHY_MAX || message.bits > 128 || message.flags > BAN_FLAGS_ALL ||
	    message.seconds > IPC_BAN_SECONDS_MAX || (message.act == BAN_ADD && !message.seconds))
		return;
	(void)ipc_send_texts(&keeper->child->monitor, IPC_NODES_BAN, &message, &text, 1);
}

void keeper_store_told(void *context, pop3_span octets)
{
	struct keeper *keeper = context;
	char letter = octets.size ? octets.data[0] : 0;

	if ((letter == KICK || letter == FLUSH) && octets.size >= ORDER_HEAD)
		take_order(keeper, octets);
	else if ((letter == BAN || letter == UNBAN) && octets.size >= BAN_HEAD)
		take_ban(keeper, octets);
}
