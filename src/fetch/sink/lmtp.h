/* The LMTP sink, a client of RFC 2033. Opened by sink.c alone. */
#ifndef FETCH_SINK_LMTP_H
#define FETCH_SINK_LMTP_H

#include "fetch/sink/sink.h"

/* The caller owns *ret and ends it through its destroy. */
int sink_lmtp_open(const struct sink_settings *settings, struct sink **ret, struct err *err);

#endif
