/* The program valija-upload, started before the process confines itself, and orders to it; for
 * upload.c. */
#ifndef FETCH_SINK_UPLOADER_H
#define FETCH_SINK_UPLOADER_H

#include "base/err.h"
#include "fetch/upload/upload.h"

struct uploader;

int uploader_start(const struct upload_setup *setup, struct uploader **ret, struct err *err);
void uploader_stop(struct uploader *uploader); /* NULL: none */
/* One order and its answer; fd stays the caller's. A program that is gone is UPLOAD_BROKEN. */
void uploader_order(struct uploader *uploader, enum upload_verb verb, const char *id, int fd,
		    struct upload_answer *ret);
void uploader_renew(struct uploader *uploader, const struct secret *secret);

#endif
