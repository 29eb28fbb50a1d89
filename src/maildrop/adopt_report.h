/* What became of a maildrop whose unique ids were to be brought from another server, whichever kind
 * of store it is of. */
#ifndef MAILDROP_ADOPT_REPORT_H
#define MAILDROP_ADOPT_REPORT_H

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
	uint32_t bad;     /* lines of the other server's list that make no sense */
	char why[256];    /* of the first of `again` */
};

#endif
