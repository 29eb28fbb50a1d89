/*
 * Files for large messages that an LMTP front is receiving: files without a name in the spool
 * folder, made at the front's request, since that process can open none. The front gets a
 * descriptor to write to and one that can only read, which it lends to keepers. A file is gone when
 * the last process has closed it, however that ends. Runs in the monitor, as root when that is
 * root.
 */
#ifndef SERVER_MONITOR_SPOOL_FILES_H
#define SERVER_MONITOR_SPOOL_FILES_H

#include "base/err.h"
#include "server/monitor/files.h"
#include "sys/chan.h"

#include <stdbool.h>
#include <stdint.h>

struct spool_files {
	int folder;     /* that of generation_files; -1: none */
	bool failed;    /* the log has said so */
	uint64_t since; /* of the requests in count; milliseconds */
	unsigned count;
};

/* Opens the folder, and makes a file in it to try. Returns 0, or -1 with err. */
int spool_files_open(const char *folder, int *ret, struct err *err);
/* needed: LMTP is served. Opens the state folder where none is configured: files owns it. A folder
 * that does not serve gets a line in the log: then messages are held in memory alone. */
void spool_files_init(struct spool_files *spool, struct generation_files *files, bool needed);
/* Answers a request for a file. */
void spool_files_send(struct spool_files *spool, struct chan *chan, uint64_t now);

#endif
