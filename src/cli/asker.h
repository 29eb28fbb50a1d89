/*
 * Asks one database of users from the command line, as auth does: the same program is started as a
 * child, gets the same configuration and secrets, and answers one question. With the rights of the
 * caller; answers are checked as auth checks them.
 */
#ifndef CLI_ASKER_H
#define CLI_ASKER_H

#include "config/config.h"
#include "ipc/messages.h"

#include <pop3/span.h>

struct asker_answer {
	enum lookup_status status;
	size_t size; /* of fields */
	char fields[IPC_ANSWER_MAX];
	char said[512]; /* by its process, for the log: why it is down … */
};

/* Asks for the entry of name, or, password not NULL, whether that is right. Waits for the
 * database's own time at most. -1 with err: the program could not be started, or ended. */
int asker_ask(const struct config *config, const struct config_database *database, pop3_span name,
	      const pop3_span *password, struct asker_answer *ret, struct err *err);

/* Asks for an access token of name for a remote server, as it is done for a session; the caller
 * wipes ret. */
int asker_access(const struct config *config, const struct config_database *database,
		 pop3_span name, struct asker_answer *ret, struct err *err);

/* Whether the users of such a database can be listed. */
bool asker_can_list(const struct config_database *database);
/* Calls each with the name of each user, as the database has it, in any order. -1 with err: not
 * all of them came. said, of size octets: what its process logged. */
int asker_list(const struct config *config, const struct config_database *database,
	       void (*each)(void *context, pop3_span name), void *context, char *said, size_t size,
	       struct err *err);

#endif
