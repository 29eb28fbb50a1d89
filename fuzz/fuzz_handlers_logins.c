/* The process of last logins against two hostile auths. The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/logins/logins.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &logins_role,
		.peers = {ROLE_AUTH, ROLE_AUTH},
		.peer_count = 2,
		.has_clients = false,
		.has_workers = true,
	};

	handlers_run(&plan, data, size);
	return 0;
}
