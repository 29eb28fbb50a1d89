/* The process keys against two hostile fronts. The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/keys/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &keys_role,
		.peers = {ROLE_FRONT, ROLE_FRONT},
		.peer_count = 2,
		.has_clients = false,
		.has_workers = false,
	};

	handlers_run(&plan, data, size);
	return 0;
}
