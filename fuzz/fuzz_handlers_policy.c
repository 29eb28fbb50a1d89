/* mta and its policy service against a hostile auth and hostile clients.
 * The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/mta/mta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &mta_role,
		.peers = {ROLE_AUTH},
		.peer_count = 1,
		.service = SERVICE_POLICY,
		.has_clients = true,
	};

	handlers_run(&plan, data, size);
	return 0;
}
