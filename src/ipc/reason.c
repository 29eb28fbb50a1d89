/* See reason.h. */
#include "ipc/reason.h"

static const struct reason_row rows[REASON_COUNT] = {
#define X(name_, code_, reply_, enhanced_, words_, spanish_, log_) \
	[REASON_##name_] = {.code = POP3_CODE_##code_,             \
			    .reply = (reply_),                     \
			    .enhanced = (enhanced_),               \
			    .words = (words_),                     \
			    .spanish = (spanish_),                 \
			    .log = (log_)},
	IPC_REASONS(X)
#undef X
};

const struct reason_row *reason_row(uint32_t reason)
{
	return &rows[reason < REASON_COUNT ? reason : REASON_MAILDROP_TEMP];
}

const char *reason_words(uint32_t reason, enum pop3_language language)
{
	const struct reason_row *row = reason_row(reason);

	switch (language) {
	case POP3_ENGLISH:
		return row->words;
	case POP3_SPANISH:
		return row->spanish;
	case POP3_LANGUAGE_COUNT:
		break;
	}
	return row->words;
}
