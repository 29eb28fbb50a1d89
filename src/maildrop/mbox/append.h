/*
 * A message at the end of an mbox, in the form mboxrd: ">" before each line of it that begins with
 * "From " behind any number of ">". For every writer of ours: sessions' deliveries, `valija
 * deliver`, `valija fetch`. The caller holds the locks.
 */
#ifndef MAILDROP_MBOX_APPEND_H
#define MAILDROP_MBOX_APPEND_H

#include "maildrop/mbox/calls.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <time.h>

struct mbox_append {
	const struct mbox_calls *calls;
	int fd;            /* the mailbox, for reading and writing */
	pop3_span sender;  /* of the envelope, empty: MAILER-DAEMON */
	time_t time;       /* of the "From " line */
	pop3_span headers; /* in front of the message: whole lines */
	int message_fd;    /* read from 0 to its end */
	bool from_crlf;    /* message and headers have CRLF: stored with LF */
};

/*
 * 0: it is in the file, and not flushed. -1 with errno, and the file is as it was before: EBADMSG:
 * it is no mbox; or what reading or writing failed with. If the file could not be made as short as
 * before, *ret_torn is set: a part of the message is at its end.
 */
int mbox_append(const struct mbox_append *append, bool *ret_torn);

#endif
