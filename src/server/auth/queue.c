/* See queue.h. */
#include "server/auth/queue.h"

#include <stdlib.h>
#include <string.h>

enum {
	TURNS_CALM = 8,    /* one in so many begins at QUEUE_CALM */
	TURNS_FAILED = 32, /* one in so many at QUEUE_FAILED */
};

struct queue_list {
	struct queue_entry *head, **tail;
	struct queue_source *next_source, **at; /* in the ring of the class; at NULL: not in it */
};

struct queue_source {
	struct table_node node;
	uint8_t network[16];
	bool loopback;
	uint32_t entries, running;
	struct queue_list lists[QUEUE_CLASSES];
};

void queue_init(struct queue *queue, uint32_t max, uint32_t threads)
{
	*queue = (struct queue){.max = max, .threads = threads};
	table_init(&queue->sources);
	for (int i = 0; i < QUEUE_CLASSES; i++)
		queue->rings[i].tail = &queue->rings[i].head;
}

static struct queue_source *find_source(struct queue *queue, const uint8_t network[16],
					bool loopback)
{
	uint64_t key = hash_octets(network, 16);
	struct queue_source *source;

	for (struct table_node *node = table_find(&queue->sources, key); node;
	     node = table_next(node)) {
		source = CONTAINER(node, struct queue_source, node);
		if (memcmp(source->network, network, 16) == 0)
			return source;
	}
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	memcpy(source->network, network, 16);
	source->loopback = loopback;
	for (int i = 0; i < QUEUE_CLASSES; i++)
		source->lists[i].tail = &source->lists[i].head;
	table_add(&queue->sources, &source->node, key);
	return source;
}

static void release_source(struct queue *queue, struct queue_source *source)
{
	if (source->entries)
		return;
	table_remove(&queue->sources, &source->node);
	free(source);
}

/* ---- rings ---- */

static void ring_add(struct queue_ring *ring, struct queue_source *source, enum queue_class class)
{
	struct queue_list *list = &source->lists[class];

	list->next_source = NULL;
	list->at = ring->tail;
	*ring->tail = source;
	ring->tail = &list->next_source;
}

static void ring_remove(struct queue_ring *ring, struct queue_source *source,
			enum queue_class class)
{
	struct queue_list *list = &source->lists[class];

	*list->at = list->next_source;
	if (list->next_source)
		list->next_source->lists[class].at = list->at;
	else
		ring->tail = list->at;
	list->at = NULL;
}

/* ---- entries ---- */

int queue_add(struct queue *queue, struct queue_entry *entry, const uint8_t network[16],
	      bool loopback, enum queue_class class)
{
	uint32_t most = class == QUEUE_PROVEN ? queue->max : queue->max - queue->max / 4;
	struct queue_source *source;
	struct queue_list *list;

	if (queue->waiting >= most || !(source = find_source(queue, network, loopback)))
		return -1;
	list = &source->lists[class];
	entry->source = source;
	entry->class = class;
	entry->next = NULL;
	entry->at = list->tail;
	*list->tail = entry;
	list->tail = &entry->next;
	source->entries++;
	queue->waiting++;
	if (!list->at)
		ring_add(&queue->rings[class], source, class);
	return 0;
}

static void stop_waiting(struct queue *queue, struct queue_entry *entry)
{
	struct queue_list *list = &entry->source->lists[entry->class];

	*entry->at = entry->next;
	if (entry->next)
		entry->next->at = entry->at;
	else
		list->tail = entry->at;
	entry->at = NULL;
	queue->waiting--;
	if (!list->head)
		ring_remove(&queue->rings[entry->class], entry->source, entry->class);
}

/* The next entry of a class: of the first network in the ring that has not as many hashes under way
 * as it may have. At most so many networks are passed over as there are threads. */
static struct queue_entry *take_of(struct queue *queue, enum queue_class class)
{
	struct queue_source *source = queue->rings[class].head;
	struct queue_entry *entry;

	while (source && source->running >= QUEUE_PER_NETWORK && !source->loopback)
		source = source->lists[class].next_source;
	if (!source)
		return NULL;
	entry = source->lists[class].head;
	stop_waiting(queue, entry);
	source->running++;
	queue->running++;
	if (source->lists[class].at) { /* the next turn is another network's */
		ring_remove(&queue->rings[class], source, class);
		ring_add(&queue->rings[class], source, class);
	}
	return entry;
}

struct queue_entry *queue_take(struct queue *queue)
{
	enum queue_class first = QUEUE_PROVEN;
	struct queue_entry *entry;

	if (queue->running >= queue->threads || !queue->waiting)
		return NULL;
	if (queue->taken % TURNS_FAILED == TURNS_FAILED - 1)
		first = QUEUE_FAILED;
	else if (queue->taken % TURNS_CALM == TURNS_CALM - 1)
		first = QUEUE_CALM;
	entry = take_of(queue, first);
	for (int i = 0; i < QUEUE_CLASSES && !entry; i++)
		entry = take_of(queue, (enum queue_class)i);
	if (entry)
		queue->taken++;
	return entry;
}

bool queue_waits(const struct queue_entry *entry)
{
	return entry->at != NULL;
}

void queue_leave(struct queue *queue, struct queue_entry *entry)
{
	struct queue_source *source = entry->source;

	if (!source)
		return;
	if (entry->at) {
		stop_waiting(queue, entry);
	} else {
		source->running--;
		queue->running--;
	}
	source->entries--;
	entry->source = NULL;
	release_source(queue, source);
}
