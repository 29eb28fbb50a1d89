/*
 * The headers of a message in an mbox from which other POP3 servers make its unique id: Dovecot's
 * X-IMAPbase and X-UID, X-UIDL, and the digests of Dovecot and popa3d. Pure; every octet is
 * hostile.
 */
#ifndef MAILDROP_MBOX_ADOPT_NOTES_H
#define MAILDROP_MBOX_ADOPT_NOTES_H

#include "base/digest.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define MBOX_POPA3D_ID 17 /* octets of an id of popa3d, with its NUL */

struct mbox_notes {
	/* of X-IMAPbase, or c-client's X-IMAP, of the first message in the file */
	uint32_t uidvalidity; /* 0: there is none */
	uint32_t last_uid;    /* the highest number that was given */
	uint32_t uid;         /* X-UID; 0: none that counts */
	pop3_span xuidl;      /* the first one, without white space around; data NULL: none */
	char dovecot_md5[DIGEST_NAME_MAX]; /* of header values (mbox_md5 = apop3d) */
	char popa3d_id[MBOX_POPA3D_ID];    /* of the same headers as lines */
};

/* head: the headers of a message, with the empty line behind them or not. first: of the first
 * message in the file. The span points into head. */
void mbox_notes_read(pop3_span head, bool first, struct mbox_notes *ret);

#endif
