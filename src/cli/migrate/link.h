/*
 * The packets between the two processes that move a maildrop: one has the network and no mail
 * (dialer.h), the other has the mail and no network (writer.h), and asks. One question at a time,
 * each with one answer; a listing and a body are pulled. The writer checks all of it: what comes
 * from the dialer is as hostile as the other server. For the files of this folder.
 */
#ifndef CLI_MIGRATE_LINK_H
#define CLI_MIGRATE_LINK_H

#include <pop3/client.h>

#include <stddef.h>
#include <stdint.h>

enum { LINK_OCTETS_MAX = 32768, LINK_DELETES_MAX = LINK_OCTETS_MAX / 4 };

enum link_kind {
	/* the writer's questions */
	LINK_OPEN = 1,
	LINK_LIST,   /* from that number on */
	LINK_FETCH,  /* that number */
	LINK_SLICE,  /* of it, from `value` on */
	LINK_DELETE, /* octets: numbers that QUIT deletes, ascending */
	LINK_QUIT,
	/* the dialer's answers */
	LINK_OPENED, /* value: messages; number: those whose ids are digests of what they are there
		      */
	LINK_PAGE,   /* value: entries; octets: of each its size (8) and id (1 and so many) */
	LINK_BODY,   /* octets follow */
	LINK_OCTETS, /* last: nothing follows */
	LINK_DONE,
	LINK_NO, /* status: an enum maildrop_status; octets: words; last: the session is over */
};

struct link_packet {
	uint32_t kind, number;
	int32_t status;
	uint32_t last;
	uint64_t value;
	char octets[LINK_OCTETS_MAX]; /* as many as the packet has */
};

#define LINK_HEAD offsetof(struct link_packet, octets)

#endif
