/* The outcome for a maildrop whose unique ids were to be brought from another server, or taken
 * back, whichever kind of store it is of. */
#ifndef MAILDROP_ADOPT_REPORT_H
#define MAILDROP_ADOPT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

enum adopt_is {
	ADOPT_FOREIGN, /* another server's: it has messages and ids, and was never ours */
	ADOPT_OURS,    /* has files of ours: its ids stay */
	ADOPT_PLAIN, /* no other server's ids are there, or no message: ids are made by our rule */
};

struct adopt_report {
	enum adopt_is is;
	unsigned lists; /* ADOPT_FOREIGN: servers whose lists are there, ORIGIN_HAS */
	uint64_t messages;
	uint64_t brought; /* of them: with the id that the other server gave */
	uint64_t fresh;   /* the other server never showed them */
	uint64_t again;   /* the id cannot be brought: clients load them again */
	uint64_t hidden;  /* beside them: the other server hid them from POP3, and they stay so */
	uint32_t bad;     /* lines of the other server's list that make no sense */
	char why[256];    /* of the first of `again` */
};

enum undo_is {
	UNDO_NOTHING, /* nothing was brought, and nothing is to be given */
	UNDO_DONE,    /* it is the other server's again, or would be */
	UNDO_USED,    /* it was used here since: its ids stay ours */
};

struct undo_report {
	enum undo_is is;
	uint64_t messages; /* whose ids the other server is to show; 0 if it was not used here */
	uint64_t saved;    /* of them: ids that were written into the other server's list */
	uint64_t added;    /* of them: messages that the list did not have */
	uint64_t again;    /* ids that it cannot be given: clients load these messages again */
	bool reordered;    /* the list was given the order of messages, too */
	char why[256];     /* of the first of `again` */
};

#endif
