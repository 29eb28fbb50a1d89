/*
 * The counters pages of all processes (server/counters.h), and the memory in which status keeps the
 * samples of the last day. A page belongs to a role for as long as valijad runs: a process of that
 * role counts in it, and when that has ended, the next one counts on in it. So no sum of all pages
 * ever goes back, and nothing is added up here. Gauges end with their process. So does the ring of
 * events beside it: it outlives a process that crashed, and the next one records on behind. Runs in
 * the monitor; what stands in pages and rings is a child's, and is not read.
 */
#ifndef SERVER_MONITOR_PAGES_H
#define SERVER_MONITOR_PAGES_H

#include "base/err.h"
#include "server/counters.h"
#include "server/monitor/handover.h"

#include <stdbool.h>

/* The recorder's ring of whoever has the page (server/recorder.h). */
struct page_ring {
	int fd; /* to record; -1: none */
	uint32_t id;
	uint64_t writers[IPC_WRITERS]; /* instances, the last first; 0: none */
};

struct page {
	struct page *next;
	struct counters_page *memory;
	enum ipc_role role;
	int fd, read_fd; /* to count; only to read: -1: /proc is not there */
	bool taken;
	struct page_ring ring;
};

struct pages {
	struct page *first;
	unsigned count;
	bool full_said;
	int samples_fd; /* -1: none */
	bool same;      /* pages that another program handed on count what this one counts */
	uint32_t last_ring;
	size_t rings_size; /* octets of all rings */
	/* A ring was made, or another process writes on in it, after begin. */
	void (*ring_changed)(void *context, const struct page *page, bool is_new);
	/* A page was made, after begin. */
	void (*made)(void *context, const struct page *page);
	void *context;
};

/* own: makes the monitor's own page, in which it counts from now on; else pages_adopt does. Without
 * memory there are no counters, and a line in the log. */
void pages_init(struct pages *pages, void (*made)(void *, const struct page *), void *context,
		bool own);
void pages_finish(struct pages *pages);
/* For an upgrade: the pages go to the next program. Takes over their records, and samples_fd; not
 * same: that program counted other things, so its pages are of no use here and all begins anew. */
void pages_hand_on(const struct pages *pages, struct handover *ret);
void pages_adopt(struct pages *pages, bool same, int samples_fd, struct handover_reader *reader);
/* The page with that descriptor; NULL: there is none. */
struct page *pages_find(const struct pages *pages, int fd);
/* A page for a process; NULL: there are too many already, or there is no memory. */
struct page *pages_take(struct pages *pages, enum ipc_role role, uint32_t index,
			uint32_t generation);
/* That process, as a process of instance, is one of `of` in its place: it goes on recording in the
 * page's ring, or gets one of its share. */
void pages_give_ring(struct pages *pages, struct page *page, uint64_t instance, unsigned of,
		     bool on_demand);
/* The ring of the page, to be read only; the caller's to close. -1: there is none. */
int pages_ring_to_read(const struct page *page);
/* The process has ended. */
void pages_release(struct page *page);
/* The process cannot end: it keeps the page, but its gauges are over. */
void pages_abandon(struct page *page);

#endif
