/*
 * A role of valijad inside a fuzz target: its real handlers on a loop of its own, in a thread,
 * while the target plays the monitor (honest, but for 0x5i), every process that the role talks to
 *and the clients (both hostile). Only the sandbox is left out. Every input begins with new channels
 *and no session.
 *
 * An input is a list of steps:
 *
 *	0x0i n octets        client i (0–3, connected when first needed) sends n octets; for a
 *	                     connector: the server that it dialled, in its connection i
 *	0x1i                 client i hangs up
 *	0x2i type flags f t fixed tail
 *	                     peer i sends a message of that row (type + 0x80, where type is 0x80
 *	                     to 0xbf; + 0xd0 from 0xc0 on): f octets of its struct behind the
 *	                     head, t octets of tail; texts are cut at line feeds. flags 1, 2, 4: the
 *	                     first, second, third 8 octets behind the head are those of the last
 *	                     message that the role sent; 8: of its second, third, fourth 8 octets
 *	                     instead; 0x30: which descriptor goes with it
 *	0x3i n octets        peer i sends a packet of n octets, whatever they are
 *	0x4i                 peer i dies and is started again
 *	0x5i                 how the monitor answers a keeper's questions about locations from here
 *	                     on: yes (0, at first), no, another question's number, not at all
 *	other                a turn of the loop
 */
#ifndef FUZZ_HANDLERS_H
#define FUZZ_HANDLERS_H

#include "server/child.h"

#include <stddef.h>
#include <stdint.h>

enum { HANDLERS_PEERS_MAX = 5 };

struct handlers_plan {
	const struct child_role *role;
	enum ipc_role peers[HANDLERS_PEERS_MAX]; /* instances 10, 11, … */
	unsigned peer_count;
	enum config_service service; /* of the clients' connections, for a front */
	bool has_clients, has_workers;
	bool dials; /* the clients are servers, which the role dials */
};

/* Runs one input; starts the role at the first call. */
void handlers_run(const struct handlers_plan *plan, const uint8_t *data, size_t size);

#endif
