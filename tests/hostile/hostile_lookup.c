/* A program for databases of driver passwd-file that an attacker owns: it gives each answer twice.
 * Linked with --wrap=peer_send_parts; run by valijad in place of the real one. */
#include "server/child.h"

void __real_peer_send_parts(struct peer *peer, enum ipc_type type, void *message,
			    const pop3_span *parts, unsigned count);
void __wrap_peer_send_parts(struct peer *peer, enum ipc_type type, void *message,
			    const pop3_span *parts, unsigned count);

void __wrap_peer_send_parts(struct peer *peer, enum ipc_type type, void *message,
			    const pop3_span *parts, unsigned count)
{
	__real_peer_send_parts(peer, type, message, parts, count);
	if (type == IPC_ANSWER)
		__real_peer_send_parts(peer, type, message, parts, count);
}
