/* The IMAP and the Gmail sink, through the program valija-upload. Opened by sink.c alone. */
#ifndef FETCH_SINK_UPLOAD_H
#define FETCH_SINK_UPLOAD_H

#include "fetch/sink/sink.h"

/* The caller owns *ret and ends it through its destroy. */
int sink_upload_open(const struct sink_settings *settings, struct sink **ret, struct err *err);

#endif
