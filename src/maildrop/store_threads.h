/*
 * The stores that block, as stores that do not: the driver's calls are jobs in worker threads, one
 * after another for one maildrop, and the jobs of one filesystem never get all threads
 * (sys/workers.h). Calls on the loop; see store.h.
 */
#ifndef MAILDROP_STORE_THREADS_H
#define MAILDROP_STORE_THREADS_H

#include "maildrop/store.h"

struct store *store_threads_create(const struct maildrop_driver *driver,
				   const struct store_host *host,
				   const struct maildrop_settings *settings, int root_fd,
				   struct err *err);

#endif
