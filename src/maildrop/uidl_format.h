/*
 * Unique ids as Dovecot makes them of pop3_uidl_format: variables with offset, width, zeros and
 * modifiers (2.2, 2.3: "%08Xu%08Xv") or with filters (2.4: "%{uid | hex(8)}"). Pure.
 */
#ifndef MAILDROP_UIDL_FORMAT_H
#define MAILDROP_UIDL_FORMAT_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define UIDL_TEXT_MAX 1024 /* octets of what a format gives, with its NUL */

/* Of one message. A span whose data is NULL: Dovecot has it for other stores only. */
struct uidl_values {
	uint32_t uidvalidity, uid;
	pop3_span file; /* of a Maildir: name up to its flags, at most 255 octets */
	pop3_span guid; /* the same where Dovecot wrote no other one; of an mbox: as md5 */
	pop3_span md5;  /* of an mbox: of some headers, in hex digits */
};

/* Can ids be made of this format, in an mbox or in a Maildir? -1 with err: a variable, modifier or
 * filter that is not known, or one that Dovecot has for other stores only (%m, %f). */
int uidl_format_check(const char *format, bool mbox, struct err *err);
/* Writes the id and a NUL. Returns its size; 0: it is longer than fits, or the format is none. */
size_t uidl_format_expand(const char *format, const struct uidl_values *values,
			  char ret[UIDL_TEXT_MAX]);

#endif
