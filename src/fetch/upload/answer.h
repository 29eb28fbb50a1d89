/* An answer's fields, from text of servers. Pure; for the whole room. */
#ifndef FETCH_UPLOAD_ANSWER_H
#define FETCH_UPLOAD_ANSWER_H

#include "fetch/upload/upload.h"

#include <pop3/span.h>

/* words is escaped. Return result. */
enum upload_result answer_set(struct upload_answer *ret, enum upload_result result, int code,
			      pop3_span words);
enum upload_result answer_words(struct upload_answer *ret, enum upload_result result, int code,
				const char *words);

#endif
