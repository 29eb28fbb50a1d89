/* See answer.h. */
#include "fetch/upload/answer.h"

#include "base/text.h"

enum upload_result answer_set(struct upload_answer *ret, enum upload_result result, int code,
			      pop3_span words)
{
	ret->result = result;
	ret->code = code;
	text_escape(ret->words, sizeof(ret->words) - 1, words);
	return result;
}

enum upload_result answer_words(struct upload_answer *ret, enum upload_result result, int code,
				const char *words)
{
	return answer_set(ret, result, code, span_of(words));
}
