/* See spool.h. In the LMTP front, on its loop. */
#include "server/lmtp/spool.h"

#include <stdlib.h>
#include <string.h>

struct spool_sender {
	struct table_node node;
	uint64_t held;
	unsigned messages;
};

void spool_init(struct spool *spool, uint64_t max, uint64_t small,
		void (*evict)(struct spool *spool, struct spool_message *message))
{
	*spool = (struct spool){.max = max, .small = small, .evict = evict};
	table_init(&spool->senders);
}

uint64_t spool_key(const uint8_t address[16], uint32_t uid)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t none[16];
	uint64_t key = 0;

	/* the first octets of the three kinds differ: no network is in 4000::/16 or 8000::/16 */
	if (memcmp(address, none, sizeof(none)) == 0)
		return UINT64_C(1) << 63 | uid;
	if (memcmp(address, mapped, sizeof(mapped)) == 0) {
		for (int i = 12; i < 16; i++)
			key = key << 8 | address[i];
		return UINT64_C(1) << 62 | key;
	}
	for (int i = 0; i < 8; i++)
		key = key << 8 | address[i];
	return key;
}

/* ---- the list of messages that grow ---- */

static void append(struct spool *spool, struct spool_message *message)
{
	message->grows = true;
	message->next = NULL;
	message->previous = spool->last;
	if (spool->last)
		spool->last->next = message;
	else
		spool->first = message;
	spool->last = message;
}

static void take_off(struct spool *spool, struct spool_message *message)
{
	if (!message->grows)
		return;
	message->grows = false;
	if (message->previous)
		message->previous->next = message->next;
	else
		spool->first = message->next;
	if (message->next)
		message->next->previous = message->previous;
	else
		spool->last = message->previous;
}

/* ---- giving way ---- */

static bool is_slow(const struct spool_message *message, uint64_t now)
{
	return now - message->step_at > SPOOL_STEP_MS;
}

/* The oldest message with something to give that is slow. NULL: none. */
static struct spool_message *slow_message(const struct spool *spool,
					  const struct spool_message *but, uint64_t now)
{
	struct spool_message *message = spool->first;

	while (message && (message == but || !message->size || !is_slow(message, now)))
		message = message->next;
	return message;
}

/* The oldest message of the sender that holds most, of those with messages that can give way and
 * more than the sender of but. NULL: none. */
static struct spool_message *greedy_message(const struct spool *spool,
					    const struct spool_message *but)
{
	struct spool_message *found = NULL;

	for (struct spool_message *message = spool->first; message; message = message->next)
		if (message->size && message->sender->held > but->sender->held &&
		    (!found || message->sender->held > found->sender->held))
			found = message;
	return found;
}

/* Whether a message that has octets may have so many more. */
static bool has_room(const struct spool *spool, const struct spool_sender *sender, uint64_t octets,
		     uint64_t more)
{
	bool large = octets + more > spool->small;
	uint64_t room = spool->max;

	if (large && sender->held + more > spool->max / 4)
		room -= spool->max / 4;
	return more <= room && spool->held <= room - more;
}

/* The sender of that key, with one message more. NULL: no memory. */
static struct spool_sender *take_sender(struct spool *spool, uint64_t key)
{
	struct table_node *node = table_find(&spool->senders, key);
	struct spool_sender *sender = node ? CONTAINER(node, struct spool_sender, node) : NULL;

	if (!sender) {
		sender = calloc(1, sizeof(*sender));
		if (!sender)
			return NULL;
		table_add(&spool->senders, &sender->node, key);
	}
	sender->messages++;
	return sender;
}

bool spool_begin(struct spool *spool, struct spool_message *message, uint64_t key,
		 uint64_t declared, uint64_t now)
{
	struct spool_sender *sender = take_sender(spool, key);
	struct spool_message *slow;

	if (!sender)
		return false;
	*message = (struct spool_message){.sender = sender, .step_at = now};
	append(spool, message);
	while (!has_room(spool, sender, 0, declared)) {
		slow = slow_message(spool, message, now);
		if (!slow) {
			spool_end(spool, message);
			return false;
		}
		spool->evict(spool, slow);
	}
	return true;
}

bool spool_grow(struct spool *spool, struct spool_message *message, uint64_t size, uint64_t now)
{
	while (!has_room(spool, message->sender, message->size, size)) {
		struct spool_message *other = slow_message(spool, message, now);

		if (!other)
			other = greedy_message(spool, message);
		if (!other)
			return false;
		spool->evict(spool, other);
	}
	spool->held += size;
	message->sender->held += size;
	message->size += size;
	if (message->size - message->step_size >= SPOOL_STEP) {
		message->step_size = message->size;
		message->step_at = now;
	}
	return true;
}

bool spool_late(uint64_t begun, uint64_t octets, uint64_t now)
{
	return now - begun > SPOOL_TIME_MS + octets / SPOOL_OCTETS_A_SECOND * 1000;
}

void spool_complete(struct spool *spool, struct spool_message *message)
{
	take_off(spool, message);
}

void spool_end(struct spool *spool, struct spool_message *message)
{
	struct spool_sender *sender = message->sender;

	if (!sender)
		return;
	take_off(spool, message);
	spool->held -= message->size;
	sender->held -= message->size;
	message->sender = NULL;
	message->size = 0;
	if (--sender->messages)
		return;
	table_remove(&spool->senders, &sender->node);
	free(sender);
}
