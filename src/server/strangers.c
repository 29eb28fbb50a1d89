/* See strangers.h. In fronts, unprivileged. */
#include "server/strangers.h"

#include <stdlib.h>
#include <string.h>

/* Connections of one network. */
struct stranger_block {
	struct table_node node;
	uint32_t count, most; /* more than most: it is crowded */
};

struct level {
	unsigned octets; /* of the address that count */
	uint32_t most;
};

static const struct level levels_four[STRANGER_BLOCKS] = {{16, 1}, {15, 16}, {0, 0}};
static const struct level levels_six[STRANGER_BLOCKS] = {{8, 1}, {7, 4}, {6, 16}};

static const struct level *levels_of(const uint8_t address[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(address, mapped, sizeof(mapped)) == 0 ? levels_four : levels_six;
}

/* The length of the network is hashed, too. Two with one hash are counted as one: that costs their
 * clients a little of their precedence, so the address itself need not be kept. */
static struct stranger_block *find_block(const struct strangers *strangers,
					 const uint8_t address[16], const struct level *level,
					 uint64_t *ret_key)
{
	struct table_node *node;
	uint8_t network[17] = {(uint8_t)level->octets};

	memcpy(network + 1, address, level->octets);
	*ret_key = hash_octets(network, 1 + level->octets);
	node = table_find(&strangers->blocks, *ret_key);
	return node ? CONTAINER(node, struct stranger_block, node) : NULL;
}

static struct stranger_block *take_block(struct strangers *strangers, const uint8_t address[16],
					 const struct level *level)
{
	uint64_t key;
	struct stranger_block *block;

	if (!level->octets)
		return NULL;
	block = find_block(strangers, address, level, &key);
	if (!block) {
		block = calloc(1, sizeof(*block));
		if (!block)
			return NULL;
		block->most = level->most;
		table_add(&strangers->blocks, &block->node, key);
	}
	block->count++;
	return block;
}

void strangers_init(struct strangers *strangers)
{
	*strangers = (struct strangers){.oldest = NULL};
	table_init(&strangers->blocks);
}

static void append(struct strangers *strangers, struct stranger *stranger)
{
	stranger->newer = NULL;
	stranger->older = strangers->newest;
	if (strangers->newest)
		strangers->newest->newer = stranger;
	else
		strangers->oldest = stranger;
	strangers->newest = stranger;
}

static void take_off(struct strangers *strangers, struct stranger *stranger)
{
	if (stranger->older)
		stranger->older->newer = stranger->newer;
	else
		strangers->oldest = stranger->newer;
	if (stranger->newer)
		stranger->newer->older = stranger->older;
	else
		strangers->newest = stranger->older;
}

void strangers_add(struct strangers *strangers, struct stranger *stranger,
		   const uint8_t address[16])
{
	const struct level *levels = levels_of(address);

	for (unsigned i = 0; i < STRANGER_BLOCKS; i++)
		stranger->blocks[i] = take_block(strangers, address, &levels[i]);
	append(strangers, stranger);
	stranger->listed = true;
	strangers->count++;
}

void strangers_remove(struct strangers *strangers, struct stranger *stranger)
{
	if (!stranger->listed)
		return;
	for (unsigned i = 0; i < STRANGER_BLOCKS; i++) {
		struct stranger_block *block = stranger->blocks[i];

		stranger->blocks[i] = NULL;
		if (!block || --block->count)
			continue;
		table_remove(&strangers->blocks, &block->node);
		free(block);
	}
	take_off(strangers, stranger);
	stranger->listed = false;
	strangers->count--;
}

void strangers_renew(struct strangers *strangers, struct stranger *stranger)
{
	if (!stranger->listed || strangers->newest == stranger)
		return;
	take_off(strangers, stranger);
	append(strangers, stranger);
}

bool strangers_crowded(const struct strangers *strangers, const uint8_t address[16])
{
	const struct level *levels = levels_of(address);
	uint64_t key;

	for (unsigned i = 0; i < STRANGER_BLOCKS && levels[i].octets; i++) {
		const struct stranger_block *block =
			find_block(strangers, address, &levels[i], &key);

		if (block && block->count >= block->most)
			return true;
	}
	return false;
}

static bool is_crowded(const struct stranger *stranger)
{
	for (unsigned i = 0; i < STRANGER_BLOCKS; i++)
		if (stranger->blocks[i] && stranger->blocks[i]->count > stranger->blocks[i]->most)
			return true;
	return false;
}

struct stranger *strangers_victim(const struct strangers *strangers,
				  bool (*may)(const struct stranger *stranger, bool crowded,
					      const void *context),
				  const void *context)
{
	struct stranger *oldest = NULL, *stranger = strangers->oldest;

	for (int i = 0; stranger && i < STRANGER_LOOKS; i++, stranger = stranger->newer) {
		bool crowded = is_crowded(stranger);

		if (!may(stranger, crowded, context))
			continue;
		if (crowded)
			return stranger;
		if (!oldest)
			oldest = stranger;
	}
	return oldest;
}
