/*
 * The monitor's side of the register of maildrops (maildrop/register.h), which it alone writes
 * while valijad runs: keepers ask before an empty maildrop is shown or one is made. The register
 * lies on a disk that may be slow, so all of its reading, writing and flushing is a job in a worker
 * thread: questions that arrive during one are answered by the next, which flushes once for all of
 * them. The mail itself is not touched here. A keeper that was taken over can enter locations, and
 * cannot take out any.
 */
#ifndef SERVER_MONITOR_LOCATIONS_H
#define SERVER_MONITOR_LOCATIONS_H

#include "ipc/messages.h"
#include "maildrop/mail_root.h"
#include "sys/workers.h"

#include <stdbool.h>

struct locations;

/* The answer to a question of the process with that instance, which may have ended. */
typedef void locations_reply(void *context, uint64_t instance,
			     const struct ipc_location_answer *answer, pop3_span why);

/* root: was looked at. mail: the mail folder, as configured. NULL: no memory. */
struct locations *locations_create(struct workers *workers, struct loop *loop,
				   const struct mail_root *root, const char *mail,
				   locations_reply *reply, void *context);
/* reply is called no more; what was entered is flushed, by a job that frees the rest. NULL is
 * none. */
void locations_destroy(struct locations *locations);
/* Begins to flush what is entered. True: no question waits for its answer, and nothing for its
 * flush. NULL is always. */
bool locations_settle(struct locations *locations);
/* A question of the process with that instance; SEEN gets no reply. */
void locations_ask(struct locations *locations, uint64_t instance,
		   const struct ipc_location *question);
/* The same for the guard of unique ids; JUDGE alone gets a reply. */
void locations_guard(struct locations *locations, uint64_t instance,
		     const struct ipc_guard *question);

#endif
