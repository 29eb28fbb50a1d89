/* A front of LMTP against a hostile auth, two hostile keepers and hostile clients.
 * The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/lmtp/lmtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &lmtp_role,
		.peers = {ROLE_AUTH, ROLE_KEEPER, ROLE_KEEPER},
		.peer_count = 3,
		.service = SERVICE_LMTP,
		.has_clients = true,
		.has_workers = true,
	};

	handlers_run(&plan, data, size);
	return 0;
}
