/*
 * Answers of the Gmail API: status and JSON to a result; labels. Pure but for memory; answers are
 * hostile, and at most VERDICT_BODY_MAX octets. For gmail.c.
 */
#ifndef FETCH_UPLOAD_VERDICT_H
#define FETCH_UPLOAD_VERDICT_H

#include "fetch/upload/upload.h"

#include <pop3/span.h>

enum {
	VERDICT_BODY_MAX = 1 << 20, /* a thousand labels are 200 KB */
	LABEL_ID_MAX = 100,
};

/* Of an import: status of HTTP, wait in seconds (Retry-After, 0: none). */
enum upload_result verdict_import(long status, pop3_span body, uint32_t wait,
				  struct upload_answer *ret);
/* Of messages.list: whether there is one. */
enum upload_result verdict_list(long status, pop3_span body, uint32_t wait,
				struct upload_answer *ret);
/* The id of a label in the answer of labels.list, exactly of this name or else of one that differs
 * in case only. 0: found; 1: it is not there; -1: the answer is none. */
int verdict_label(pop3_span body, const char *name, char ret[LABEL_ID_MAX]);
/* The id in the answer of labels.create. */
int verdict_label_made(pop3_span body, char ret[LABEL_ID_MAX]);

#endif
