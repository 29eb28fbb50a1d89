/* Auth against a hostile front, a hostile front of LMTP, two hostile keepers and a hostile mta.
 * The steps of an input: handlers.h. */
#include "handlers.h"
#include "server/auth/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handlers_plan plan = {
		.role = &auth_role,
		.peers = {ROLE_FRONT, ROLE_LMTP, ROLE_KEEPER, ROLE_KEEPER, ROLE_MTA},
		.peer_count = 5,
		.service = SERVICE_POP3,
		.has_clients = false,
		.has_workers = true,
	};

	handlers_run(&plan, data, size);
	return 0;
}
