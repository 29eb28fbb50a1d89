/*
 * The flight recorder: each process of valijad has a ring of events of fixed size in a memory file
 * of its own, which the monitor makes, hands on and keeps (monitor/pages.h). Recording is a copy
 * into that memory: no packet, no system call, no lock. What does not fit into an event is cut.
 * The ring outlives its process: the next process of that role writes on behind it.
 *
 * A ring has three lanes, so that what goes well does not push out what went wrong, and dialogues
 * that somebody follows (front/trace.h) neither. A lane is written by one thread, the loop's. There
 * are no secrets in it.
 *
 * The reader is control. It maps rings for reading only and believes nothing of them: an event is
 * copied out, and is none unless its number, its kind and the roles that may write it fit.
 */
#ifndef SERVER_RECORDER_H
#define SERVER_RECORDER_H

#include "server/record_form.h"

#include <stdatomic.h>

enum {
	RECORDER_FIELDS = 104,
	RECORDER_EVENT = 160, /* octets of one event, and of the ring's head */
	RECORDER_PAGE = 4096, /* a ring is a number of these */
	RECORDER_SIZE_MAX = 4 << 20,
	RECORDER_ALL_MAX = 2560 * RECORDER_PAGE, /* octets of all rings: 64 Ki events */
};

struct recorder_event {
	_Atomic uint64_t number; /* from 1; 0: none, or being written */
	uint64_t ms;             /* loop_now */
	uint64_t front, session;
	uint8_t address[16];
	uint8_t event, has_address, has_session, unused;
	uint32_t size; /* of the fields */
	uint8_t fields[RECORDER_FIELDS];
};

struct recorder_head {
	char magic[8];
	uint64_t hash;                /* of the table: another build's ring is not read */
	_Atomic uint64_t last[LANES]; /* number of the last event */
	uint8_t unused[RECORDER_EVENT - 16 - 8 * LANES];
};

_Static_assert(sizeof(struct recorder_event) == RECORDER_EVENT, "size of an event");
_Static_assert(sizeof(struct recorder_head) == RECORDER_EVENT, "size of the head");

/* A ring that is mapped. size and capacities are the reader's own, from the file. */
struct recorder {
	struct recorder_head *head; /* NULL: none */
	struct recorder_event *lanes[LANES];
	uint32_t events[LANES];
	size_t size;
};

/* Makes a ring of size octets, a multiple of RECORDER_PAGE, in a memory file whose size is sealed.
 * -1: errno. */
int recorder_make(size_t size);
/* Maps the ring of fd. False: it is none. */
bool recorder_open(int fd, bool may_write, struct recorder *ret);
void recorder_close(struct recorder *recorder);

/* From now on this process records there. NULL: nowhere. */
void recorder_use(const struct recorder *recorder);
/* Copies a record into the ring. ms: loop_now. */
void recorder_add(const struct record_view *view, uint64_t ms);

/* An event as it was copied out. */
struct recorder_copy {
	uint64_t number, ms;
	uint8_t address[16];
	uint8_t fields[RECORDER_FIELDS];
	struct record_view view; /* points into this struct: recorder_view */
};

/* Copies the event in a slot of a lane out, as a process of role may have written it. False: there
 * is none, or it is being written. */
bool recorder_read(const struct recorder *recorder, enum ipc_role role, enum record_lane lane,
		   uint32_t slot, struct recorder_copy *ret);
/* The record of a copy that may have been moved. */
struct record_view recorder_view(const struct recorder_copy *copy);

#endif
