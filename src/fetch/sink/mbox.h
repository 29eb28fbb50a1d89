/* The mbox sink, appended to under locks. Opened by sink.c alone. */
#ifndef FETCH_SINK_MBOX_H
#define FETCH_SINK_MBOX_H

#include "fetch/sink/sink.h"

/* The caller owns *ret and ends it through its destroy. */
int sink_mbox_open(const struct sink_settings *settings, struct sink **ret, struct err *err);

#endif
