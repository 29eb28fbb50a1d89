/* See pages.h. Runs in the monitor, as root when that is root. */
#include "server/monitor/pages.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "server/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PAGES_MAX = 768,             /* processes that count at a time */
	PAGES_OCTETS_MAX = 24 << 20, /* counters and recorder together */
};

#define ROUND_UP(size) (((size) + RECORDER_PAGE - 1) / RECORDER_PAGE * RECORDER_PAGE)
_Static_assert(PAGES_MAX *ROUND_UP(sizeof(struct counters_page)) + RECORDER_ALL_MAX <=
		       PAGES_OCTETS_MAX,
	       "memory of counters and recorder");

/* Octets of the rings of one generation, by role: together less than half of all, since a reload
 * has two. Roles that are not named, and keepers of an owner, have the least. */
static const uint32_t shares[ROLE_COUNT] = {
	[ROLE_FRONT] = 2 << 20,  [ROLE_AUTH] = 1280 << 10, [ROLE_KEEPER] = 384 << 10,
	[ROLE_LMTP] = 160 << 10, [ROLE_MTA] = 64 << 10,
};
enum { SHARE_LEAST = 2 * RECORDER_PAGE };

/* The descriptor for status cannot be mapped for writing: it is another open file of the same
 * memory. */
static int only_to_read(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static struct page *make(struct pages *pages, enum ipc_role role)
{
	struct page *page = calloc(1, sizeof(*page));

	if (!page)
		return NULL;
	page->role = role;
	page->ring.fd = -1;
	page->fd = counters_page_make(role, &page->memory);
	if (page->fd < 0) {
		log_warning("no page of counters: %s", strerror(errno));
		free(page);
		return NULL;
	}
	page->read_fd = only_to_read(page->fd);
	page->next = pages->first;
	pages->first = page;
	pages->count++;
	if (pages->made)
		pages->made(pages->context, page);
	return page;
}

static void make_samples(struct pages *pages)
{
	int fd = memfd_create("samples", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, COUNTERS_SAMPLES_SIZE) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		pages->samples_fd = fd;
	else if (fd >= 0)
		close(fd);
}

static void use_own(struct pages *pages)
{
	struct page *own = pages->first;

	while (own && own->role != ROLE_MONITOR)
		own = own->next;
	if (!own)
		own = make(pages, ROLE_MONITOR);
	if (own)
		own->taken = true;
	counters_use(own ? own->memory : NULL);
	if (pages->samples_fd < 0)
		make_samples(pages);
}

void pages_init(struct pages *pages, void (*made)(void *, const struct page *), void *context,
		bool own)
{
	*pages = (struct pages){.samples_fd = -1};
	if (own)
		use_own(pages);
	pages->made = made;
	pages->context = context;
}

void pages_finish(struct pages *pages)
{
	counters_use(NULL);
	while (pages->first) {
		struct page *page = pages->first;

		pages->first = page->next;
		munmap(page->memory, sizeof(*page->memory));
		close(page->fd);
		if (page->read_fd >= 0)
			close(page->read_fd);
		if (page->ring.fd >= 0)
			close(page->ring.fd);
		free(page);
	}
	if (pages->samples_fd >= 0)
		close(pages->samples_fd);
	pages->samples_fd = -1;
}

static void say_full(struct pages *pages)
{
	if (!pages->full_said)
		log_warning("%u processes count already: others are not in the metrics", PAGES_MAX);
	pages->full_said = true;
}

struct page *pages_take(struct pages *pages, enum ipc_role role, uint32_t index,
			uint32_t generation)
{
	struct page *page = pages->first;

	while (page && (page->taken || page->role != role))
		page = page->next;
	if (!page && pages->count >= PAGES_MAX)
		say_full(pages);
	else if (!page)
		page = make(pages, role);
	if (!page)
		return NULL;
	page->taken = true;
	page->memory->index = index;
	page->memory->generation = generation;
	atomic_fetch_add(&page->memory->slots[COUNTER_STARTS], 1);
	return page;
}

/* ---- rings ---- */

/* A ring of what is left, if that is less. 0: none. */
static size_t ring_size(const struct pages *pages, enum ipc_role role, unsigned of, bool on_demand)
{
	size_t size = on_demand || !of ? 0 : shares[role] / of, left;

	size = size / RECORDER_PAGE * RECORDER_PAGE;
	if (size < SHARE_LEAST)
		size = SHARE_LEAST;
	left = RECORDER_ALL_MAX - pages->rings_size;
	while (size > left)
		size = size / 2 / RECORDER_PAGE * RECORDER_PAGE;
	return size;
}

static bool make_ring(struct pages *pages, struct page *page, size_t size)
{
	if (!size)
		return false;
	page->ring.fd = recorder_make(size);
	if (page->ring.fd < 0) {
		log_warning("no memory for the recorder: %s", strerror(errno));
		return false;
	}
	page->ring.id = ++pages->last_ring;
	pages->rings_size += size;
	return true;
}

void pages_give_ring(struct pages *pages, struct page *page, uint64_t instance, unsigned of,
		     bool on_demand)
{
	bool is_new = page->ring.fd < 0;

	if (is_new && !make_ring(pages, page, ring_size(pages, page->role, of, on_demand)))
		return;
	memmove(page->ring.writers + 1, page->ring.writers,
		sizeof(page->ring.writers) - sizeof(page->ring.writers[0]));
	page->ring.writers[0] = instance;
	if (pages->ring_changed)
		pages->ring_changed(pages->context, page, is_new);
}

int pages_ring_to_read(const struct page *page)
{
	return page->ring.fd < 0 ? -1 : only_to_read(page->ring.fd);
}

static void end_gauges(struct page *page)
{
	for (size_t i = 0; i < counters_row_count(); i++) {
		const struct counter_row *row = counters_row(i);

		for (uint32_t n = 0; n < row->slots; n++)
			if (row->kind == GAUGE || row->kind == PEAK)
				atomic_store(&page->memory->slots[row->slot + n], 0);
	}
}

void pages_release(struct page *page)
{
	if (!page)
		return;
	end_gauges(page);
	page->taken = false;
}

void pages_abandon(struct page *page)
{
	if (page)
		end_gauges(page);
}

/* ---- upgrades ---- */

static void hand_on(const struct page *page, struct handover *ret)
{
	struct handover_page record;

	if (!page)
		return;
	hand_on(page->next, ret); /* the last one first: so their order stays */
	record = (struct handover_page){.role = page->role,
					.taken = page->taken,
					.fd = handover_fd(ret, page->fd),
					.read_fd = handover_fd(ret, page->read_fd),
					.ring_fd = handover_fd(ret, page->ring.fd),
					.ring_read_fd = -1,
					.ring = page->ring.id};
	memcpy(record.writers, page->ring.writers, sizeof(record.writers));
	handover_put(ret, HANDOVER_PAGE, &record, (pop3_span){"", 0});
}

void pages_hand_on(const struct pages *pages, struct handover *ret)
{
	hand_on(pages->first, ret);
}

/* A ring of another build is of no use here: its process writes on in it, and nobody reads it. */
static void adopt_ring(struct pages *pages, struct page_ring *ring,
		       const struct handover_page *record)
{
	struct recorder recorder;
	int read_fd = handover_take_fd(record->ring_read_fd); /* it is made when it is sent */

	close_fd(&read_fd);
	*ring = (struct page_ring){.fd = handover_take_fd(record->ring_fd), .id = record->ring};
	memcpy(ring->writers, record->writers, sizeof(ring->writers));
	if (record->ring > pages->last_ring)
		pages->last_ring = record->ring;
	if (ring->fd >= 0 && recorder_open(ring->fd, false, &recorder)) {
		pages->rings_size += recorder.size;
		recorder_close(&recorder);
		return;
	}
	close_fd(&ring->fd);
}

static void adopt(struct pages *pages, const struct handover_page *record)
{
	struct page *page = calloc(1, sizeof(*page)),
		    made = {.role = (enum ipc_role)record->role, .taken = record->taken};

	made.fd = handover_take_fd(record->fd);
	made.read_fd = handover_take_fd(record->read_fd);
	adopt_ring(pages, &made.ring, record);
	if (made.fd >= 0 && pages->same && pages->count < PAGES_MAX)
		made.memory = counters_page_open(made.fd, true);
	if (page && made.memory) {
		made.next = pages->first;
		*page = made;
		pages->first = page;
		pages->count++;
		return;
	}
	free(page);
	if (made.memory)
		munmap(made.memory, sizeof(*made.memory));
	close_fd(&made.fd);
	close_fd(&made.read_fd);
	close_fd(&made.ring.fd);
}

void pages_adopt(struct pages *pages, bool same, int samples_fd, struct handover_reader *reader)
{
	pages->same = same;
	pages->samples_fd = samples_fd;
	while (handover_kind(reader) == HANDOVER_PAGE)
		adopt(pages, handover_next(reader, NULL));
	use_own(pages);
}

struct page *pages_find(const struct pages *pages, int fd)
{
	struct page *page = pages->first;

	while (page && page->fd != fd)
		page = page->next;
	return page;
}
