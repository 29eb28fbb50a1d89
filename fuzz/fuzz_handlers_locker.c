/* The process that makes lock files against two hostile keepers, one of them of the user who has
 * the mailboxes "box" and "other". The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/locker/locker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &locker_role,
		.peers = {ROLE_KEEPER, ROLE_KEEPER},
		.peer_count = 2,
		.has_clients = false,
		.has_workers = false,
	};

	handlers_run(&plan, data, size);
	return 0;
}
