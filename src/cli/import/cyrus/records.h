/* The files of a mailbox of Cyrus, taken apart: cyrus.index, minor versions 6 to 20 (Cyrus 2.2 to
 * 3.12 and later), and the name in cyrus.header. Pure. For the files of this folder. */
#ifndef CLI_IMPORT_CYRUS_RECORDS_H
#define CLI_IMPORT_CYRUS_RECORDS_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	CYRUS_ANSWERED = 1 << 0,
	CYRUS_FLAGGED = 1 << 1,
	CYRUS_DELETED = 1 << 2,
	CYRUS_DRAFT = 1 << 3,
	CYRUS_SEEN = 1 << 4,
	CYRUS_ARCHIVED = 1 << 29, /* its file is in the archive's partition */
};

struct cyrus_message {
	uint32_t uid, flags;
	int64_t seconds; /* when it came */
	uint64_t size;   /* octets of its file */
};

struct cyrus_index {
	uint32_t version, uidvalidity;
	bool only_uids; /* ids are numbers alone, whatever the format is: an old mailbox */
	struct cyrus_message *messages; /* that POP3 shows, in its order */
	uint32_t count;
};

/* skip_deleted: popuseimapflags. -1 with err, which does not name the file: it is no such index,
 * has more than INDEX_COUNT_MAX messages, or memory is short. */
int cyrus_index_parse(pop3_span file, bool skip_deleted, struct cyrus_index *ret, struct err *err);
void cyrus_index_finish(struct cyrus_index *index);
/* Name of the mailbox ("example.org!user.anna^b") in a header of Cyrus 3.6 and later, which points
 * into file. Empty: it has none. */
pop3_span cyrus_header_name(pop3_span file);

#endif
