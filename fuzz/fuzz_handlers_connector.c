/* A connector against a hostile auth, three hostile fronts and a hostile server, which it dials.
 * The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/keeper/keeper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &connector_role,
		.peers = {ROLE_AUTH, ROLE_FRONT, ROLE_FRONT, ROLE_LMTP},
		.peer_count = 4,
		.service = SERVICE_POP3,
		.has_workers = true,
		.dials = true,
	};

	handlers_run(&plan, data, size);
	return 0;
}
