/*
 * The store whose maildrops are in Ceph RADOS (docs/many-machines.md, docs/rados-format.md): a log
 * in an index object, messages in objects of their own. Native: everything is asynchronous on the
 * keeper's loop. It is in no program but those that register it (store_register), since they alone
 * are linked with librados.
 */
#ifndef MAILDROP_RADOS_RADOS_H
#define MAILDROP_RADOS_RADOS_H

#include "maildrop/store.h"

/* Of the site, and what tests change; lives as long as the store. */
struct rados_settings {
	const char *conf, *pool, *bodies, *user;
	bool single_copy;    /* pools without replicas are used */
	unsigned timeout_ms; /* of an operation; 0: as is usual */
	unsigned connect_ms; /* the first try is waited for so long */
	unsigned lease_s;    /* 0: as is usual */
	uint64_t young_ms;   /* a delivery is given up when it is so old; 0: as is usual */
	unsigned again_ms;   /* an append that was not answered is tried again after that; 0: as is
				usual */
	unsigned slack;      /* octets that deletions may take in a log; 0: as is usual */
};

/* For store_register. settings->rados is set. root_fd: not used. */
struct store *store_rados_create(const struct store_host *host,
				 const struct maildrop_settings *settings, int root_fd,
				 struct err *err);
/* Nothing is under way, also not what nobody waits for. */
bool store_rados_idle(const struct store *store);
/* For tests: everything under way has ended, but leases are not waited for. */
void store_rados_destroy(struct store *store);

#endif
