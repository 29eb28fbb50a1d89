/*
 * The recorder's rings of all processes (server/recorder.h), as control reads them. Nothing in them
 * is believed: an event counts only in a ring of a role that writes it, and a front's only about
 * sessions of the fronts that have written there, as the monitor says. In control.
 */
#ifndef SERVER_CONTROL_RINGS_H
#define SERVER_CONTROL_RINGS_H

#include "server/recorder.h"

enum { RINGS_MAX = 1024 }; /* more than the monitor makes */

struct ring {
	struct recorder recorder;
	enum ipc_role role;
	uint32_t id;
	uint64_t writers[IPC_WRITERS];
};

struct rings {
	unsigned count;
	struct ring list[RINGS_MAX];
};

/* RING; the descriptor stays the caller's. */
void rings_add(struct rings *rings, const struct ipc_ring *message, int fd);
/* RING_WRITER */
void rings_writer(struct rings *rings, const struct ipc_ring *message);

/* A place in them. */
struct ring_place {
	uint16_t ring;
	uint8_t lane;
	uint32_t slot;
};

/* Copies the event out. False: there is none that is believed. */
bool rings_read(const struct rings *rings, struct ring_place place, struct recorder_copy *ret);
/* Goes on to the next place; from {0} all are visited. False: there is no further one. */
bool rings_next(const struct rings *rings, struct ring_place *place);

#endif
