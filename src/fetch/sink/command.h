/* The command sink, a command for each message. Opened by sink.c alone. */
#ifndef FETCH_SINK_COMMAND_H
#define FETCH_SINK_COMMAND_H

#include "fetch/sink/sink.h"

/* The caller owns *ret and ends it through its destroy. */
int sink_command_open(const struct sink_settings *settings, struct sink **ret, struct err *err);

#endif
