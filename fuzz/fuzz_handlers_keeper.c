/* A keeper against a hostile auth, a hostile front and a hostile front of LMTP.
 * The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/keeper/keeper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &keeper_role,
		.peers = {ROLE_AUTH, ROLE_FRONT, ROLE_LMTP},
		.peer_count = 3,
		.service = SERVICE_POP3,
		.has_clients = false,
		.has_workers = true,
	};

	handlers_run(&plan, data, size);
	return 0;
}
