/*
 * One HTTPS exchange by the program valija-https (src/https), which is started for it. Called
 * before the fetch process confines itself, or by a process that does not. What comes back is
 * hostile until a parser has judged it.
 */
#ifndef FETCH_HTTPS_HTTPS_H
#define FETCH_HTTPS_HTTPS_H

#include "base/err.h"

#include <pop3/span.h>

enum { HTTPS_ANSWER_MAX = 262144 };

struct https_answer {
	int status; /* of HTTP, 100 to 599 */
	size_t size;
	char body[HTTPS_ANSWER_MAX + 1]; /* with a NUL behind it */
};

/* form: application/x-www-form-urlencoded, POST; NULL: GET. The answer is to be freed with
 * https_answer_free, which wipes it. -1: there is none, err says why (EX_TEMPFAIL: try again). */
int https_exchange(const char *url, const char *form, struct https_answer **ret, struct err *err);
void https_answer_free(struct https_answer *answer);

#endif
