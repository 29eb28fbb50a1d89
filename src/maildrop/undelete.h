/*
 * Requests to maildrop_undelete, and their outcomes. For commands.
 */
#ifndef MAILDROP_UNDELETE_H
#define MAILDROP_UNDELETE_H

#include "maildrop/deleted.h"

#include <stddef.h>

enum undelete_outcome {
	UNDELETE_NOT_KEPT,   /* nor is it in the maildrop */
	UNDELETE_BACK,       /* it was kept, and is in the maildrop now */
	UNDELETE_THERE,      /* it is in the maildrop already */
	UNDELETE_OVER_QUOTA, /* it does not fit */
	UNDELETE_NO_MESSAGE, /* what is kept under its name is no file of the owner's */
};

struct undelete_item {
	char id[POP3_UNIQUE_ID_MAX + 1];
	uint64_t inode;                /* of its file; 0: any, the one that was deleted last */
	uint64_t stored;               /* ret, of one that is back: octets */
	enum undelete_outcome outcome; /* ret */
};

struct undelete {
	struct undelete_item *items; /* their order changes */
	size_t count;
	uint64_t max_octets, max_messages; /* of the maildrop afterwards; 0: no limit */
	struct deleted_by by;              /* for the journal */
};

#endif
