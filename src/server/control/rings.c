/* See rings.h. */
#include "server/control/rings.h"

#include "base/log.h"

#include <string.h>

void rings_add(struct rings *rings, const struct ipc_ring *message, int fd)
{
	struct ring *ring = &rings->list[rings->count];

	if (rings->count == RINGS_MAX || !recorder_open(fd, false, &ring->recorder)) {
		log_warning("what a process of role %s records is not seen by `valija explain`",
			    ipc_role_name((enum ipc_role)message->role));
		return;
	}
	ring->role = (enum ipc_role)message->role;
	ring->id = message->id;
	memcpy(ring->writers, message->writers, sizeof(ring->writers));
	rings->count++;
}

void rings_writer(struct rings *rings, const struct ipc_ring *message)
{
	for (unsigned i = 0; i < rings->count; i++)
		if (rings->list[i].id == message->id)
			memcpy(rings->list[i].writers, message->writers,
			       sizeof(rings->list[i].writers));
}

/* A front can invent sessions of its own, and nothing about those of others. */
static bool is_its_own(const struct ring *ring, const struct recorder_copy *copy)
{
	if (ring->role != ROLE_FRONT && ring->role != ROLE_LMTP && ring->role != ROLE_MTA)
		return true;
	for (unsigned i = 0; i < IPC_WRITERS; i++)
		if (ring->writers[i] && ring->writers[i] == copy->view.front)
			return true;
	return !copy->view.has_session;
}

bool rings_read(const struct rings *rings, struct ring_place place, struct recorder_copy *ret)
{
	const struct ring *ring = &rings->list[place.ring];

	return recorder_read(&ring->recorder, ring->role, (enum record_lane)place.lane, place.slot,
			     ret) &&
	       is_its_own(ring, ret);
}

bool rings_next(const struct rings *rings, struct ring_place *place)
{
	if (++place->slot < rings->list[place->ring].recorder.events[place->lane])
		return true;
	place->slot = 0;
	if (++place->lane < LANES)
		return true;
	place->lane = 0;
	return ++place->ring < rings->count;
}
