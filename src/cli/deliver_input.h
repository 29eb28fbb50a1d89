/*
 * The message that `valija deliver` reads from standard input: made into the form that arrives over
 * LMTP (every line break CRLF), in a memory file, or in an unnamed file when it is large. The "From
 * " line that mbox writers put in front is taken off. Never holds more than a block in memory.
 */
#ifndef CLI_DELIVER_INPUT_H
#define CLI_DELIVER_INPUT_H

#include "base/err.h"
#include "lmtp/address.h"

#include <stdbool.h>
#include <stdint.h>

struct deliver_input {
	int fd; /* -1: none */
	uint64_t size;
	bool has_sender; /* the "From " line named one that is an address, or nobody */
	char sender[LMTP_ADDRESS_MAX + 1];
};

/* Reads fd to its end. max_size: octets that are taken at most, 0 no limit. err->code says whether
 * another try may help (EX_TEMPFAIL) or not (EX_DATAERR). */
int deliver_input_read(int fd, uint64_t max_size, struct deliver_input *ret, struct err *err);
void deliver_input_finish(struct deliver_input *input);

/* Whether text can stand as a sender; "", "<>" and MAILER-DAEMON (what Postfix says for it) are the
 * null sender, copied as "". */
bool deliver_sender(const char *text, size_t size, char ret[LMTP_ADDRESS_MAX + 1]);

#endif
