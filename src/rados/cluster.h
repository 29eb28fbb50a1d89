/* The cluster that a configuration names, and who may reach it: for the programs that have
 * librados.
 */
#ifndef RADOS_CLUSTER_H
#define RADOS_CLUSTER_H

#include "base/err.h"
#include "config/config.h"
#include "maildrop/rados/engine/engine.h"

enum { CLUSTER_CONNECT_MS = 15000 };

struct engine_settings cluster_settings(const struct config *config);
/* Root becomes who the keeper is, the owner of the mail folder: the keyring is to be readable for
 * that user. Others stay who they are. -1 with err. */
int cluster_become_keeper(const struct config *config, struct err *err);

#endif
