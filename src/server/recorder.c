/* See recorder.h. In every process of valijad. */
#include "server/recorder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC "valrecor"

enum {
	VERSION = 1,
	TROUBLE_PART = 3, /* of 8: the lane of what went wrong */
	TRACE_PART = 1,   /* that of dialogues that somebody follows */
};

static struct recorder own;

/* FNV-1a over all words and places. */
static uint64_t table_hash(void)
{
	uint64_t hash = 0xcbf29ce484222325 ^ (VERSION + sizeof(struct recorder_event));

	for (unsigned i = 0; i < RECORD_EVENT_COUNT + RECORD_KEY_COUNT; i++) {
		bool event = i < RECORD_EVENT_COUNT;
		const char *word =
			event ? record_event_word((enum record_event)i)
			      : record_key_word((enum record_key)(i - RECORD_EVENT_COUNT));

		for (; *word; word++)
			hash = (hash ^ (unsigned char)*word) * 0x100000001b3;
		hash = (hash ^ i) * 0x100000001b3;
	}
	return hash;
}

/* ---- the ring ---- */

static bool is_size(off_t size)
{
	return size >= RECORDER_PAGE && size <= RECORDER_SIZE_MAX && size % RECORDER_PAGE == 0;
}

int recorder_make(size_t size)
{
	int fd = memfd_create("recorder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct recorder_head head = {.hash = table_hash()};

	if (fd < 0)
		return -1;
	memcpy(head.magic, MAGIC, sizeof(head.magic));
	if (ftruncate(fd, (off_t)size) < 0 ||
	    pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void divide(struct recorder *ret)
{
	struct recorder_event *events = (struct recorder_event *)(void *)(ret->head + 1);
	uint32_t all = (uint32_t)(ret->size / RECORDER_EVENT) - 1;

	ret->events[LANE_TROUBLE] = all * TROUBLE_PART / 8;
	ret->events[LANE_TRACE] = all * TRACE_PART / 8;
	ret->events[LANE_USUAL] = all - ret->events[LANE_TROUBLE] - ret->events[LANE_TRACE];
	ret->lanes[LANE_USUAL] = events;
	ret->lanes[LANE_TROUBLE] = events + ret->events[LANE_USUAL];
	ret->lanes[LANE_TRACE] = ret->lanes[LANE_TROUBLE] + ret->events[LANE_TROUBLE];
}

bool recorder_open(int fd, bool may_write, struct recorder *ret)
{
	int seals = fcntl(fd, F_GET_SEALS);
	off_t size = lseek(fd, 0, SEEK_END);
	void *memory;

	/* beyond the end of a file that was cut, reading a mapping raises SIGBUS */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || !is_size(size))
		return false;
	memory = mmap(NULL, (size_t)size, may_write ? PROT_READ | PROT_WRITE : PROT_READ,
		      MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return false;
	*ret = (struct recorder){.head = memory, .size = (size_t)size};
	divide(ret);
	if (memcmp(ret->head->magic, MAGIC, sizeof(ret->head->magic)) == 0 &&
	    ret->head->hash == table_hash())
		return true;
	recorder_close(ret);
	return false;
}

void recorder_close(struct recorder *recorder)
{
	if (recorder->head)
		munmap(recorder->head, recorder->size);
	recorder->head = NULL;
}

/* ---- writing ---- */

void recorder_use(const struct recorder *recorder)
{
	own = recorder ? *recorder : (struct recorder){.head = NULL};
}

/* Takes as many fields as there is room for; a text that is too long is cut. */
static uint32_t copy_fields(const struct record_view *view, uint8_t to[RECORDER_FIELDS])
{
	struct record_view rest = *view;
	uint32_t used = 0;
	const uint8_t *at = rest.fields;
	struct record_field field;

	if (view->size <= RECORDER_FIELDS) {
		memcpy(to, view->fields, view->size);
		return (uint32_t)view->size;
	}
	for (; record_next(&rest, &field); at = rest.fields) {
		size_t size = (size_t)(rest.fields - at), room = RECORDER_FIELDS - used;

		if (size > room && (field.kind == RECORD_NUMBER || room < 2 * RECORD_FIELD_HEAD))
			continue;
		if (size > room) {
			size = room;
			memcpy(to + used, at, size);
			record_put_head(to + used, field.key, RECORD_TEXT_CUT,
					size - RECORD_FIELD_HEAD);
		} else {
			memcpy(to + used, at, size);
		}
		used += (uint32_t)size;
	}
	return used;
}

void recorder_add(const struct record_view *view, uint64_t ms)
{
	enum record_lane lane = record_event_lane(view->event);
	struct recorder_event *event;
	uint64_t number;

	if (!own.head)
		return;
	number = atomic_load_explicit(&own.head->last[lane], memory_order_relaxed) + 1;
	event = &own.lanes[lane][number % own.events[lane]];
	atomic_store_explicit(&event->number, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	event->ms = ms;
	event->front = view->front;
	event->session = view->session;
	event->has_address = view->address != NULL;
	if (view->address)
		memcpy(event->address, view->address, sizeof(event->address));
	event->has_session = view->has_session;
	event->event = (uint8_t)view->event;
	event->size = copy_fields(view, event->fields);
	atomic_store_explicit(&event->number, number, memory_order_release);
	atomic_store_explicit(&own.head->last[lane], number, memory_order_release);
}

/* ---- reading ---- */

bool recorder_read(const struct recorder *recorder, enum ipc_role role, enum record_lane lane,
		   uint32_t slot, struct recorder_copy *ret)
{
	struct recorder_event *event = &recorder->lanes[lane][slot];
	uint64_t number = atomic_load_explicit(&event->number, memory_order_acquire);
	struct recorder_event copy;

	if (number == 0 || number % recorder->events[lane] != slot)
		return false;
	memcpy(&copy, event, sizeof(copy));
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&event->number, memory_order_relaxed) != number)
		return false; /* it was written over meanwhile */
	if (copy.event >= RECORD_EVENT_COUNT || copy.size > RECORDER_FIELDS ||
	    record_event_lane((enum record_event)copy.event) != lane ||
	    !(record_event_roles((enum record_event)copy.event) & 1u << role))
		return false;
	*ret = (struct recorder_copy){.number = number, .ms = copy.ms};
	memcpy(ret->address, copy.address, sizeof(ret->address));
	memcpy(ret->fields, copy.fields, sizeof(ret->fields));
	ret->view = (struct record_view){.event = (enum record_event)copy.event,
					 .address = copy.has_address ? ret->address : NULL,
					 .has_session = copy.has_session != 0,
					 .front = copy.front,
					 .session = copy.session,
					 .size = copy.size};
	ret->view = recorder_view(ret);
	return true;
}

struct record_view recorder_view(const struct recorder_copy *copy)
{
	struct record_view view = copy->view;

	view.fields = copy->fields;
	if (view.address)
		view.address = copy->address;
	return view;
}
