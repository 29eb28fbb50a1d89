/* The partitions of Cyrus, and where in them a user's INBOX is. For the files of this folder. */
#ifndef CLI_IMPORT_CYRUS_SPOOL_H
#define CLI_IMPORT_CYRUS_SPOOL_H

#include "base/hash_map.h"
#include "cli/import/cyrus/conf.h"
#include "cli/import/cyrus/lender.h"
#include "cli/import/cyrus/records.h"

struct cyrus_partition {
	const char *name, *data;
	const char *header, *index, *archive; /* where these files are; usually data */
};

/* An INBOX whose folder has the name of a number, as Cyrus 3.6 makes them. */
struct cyrus_named {
	char *name; /* "example.org!user.anna^b" */
	char *path; /* below the partition */
	unsigned partition;
};

struct cyrus_spool {
	const struct cyrus_conf *conf;
	struct lender lender;
	struct cyrus_partition *partitions;
	size_t partition_count, partition_room;
	struct cyrus_named *named;
	size_t named_count, named_room;
	struct hash_map names; /* of named: place + 1 */
};

enum { CYRUS_PATH_MAX = 1024 };

struct cyrus_mailbox {
	unsigned partition;
	char path[CYRUS_PATH_MAX]; /* below the partition; "": there is none */
};

/* conf must live as long. -1 with err; cyrus_spool_close must be called then, too. */
int cyrus_spool_open(struct cyrus_spool *spool, const struct cyrus_conf *conf, struct err *err);
void cyrus_spool_close(struct cyrus_spool *spool);
/* The INBOX of a user of ours, by the name that is used here. 1: *ret is set; 0: there is none; -1
 * with err: it is in two partitions, or that cannot be found out. */
int cyrus_spool_find(const struct cyrus_spool *spool, const char *user, struct cyrus_mailbox *ret,
		     struct err *err);
/* Its messages. -1 with err. */
int cyrus_spool_index(const struct cyrus_spool *spool, const struct cyrus_mailbox *mailbox,
		      struct cyrus_index *ret, struct err *err);
/* The file of a message; the caller's. -1 with err. */
int cyrus_spool_message(const struct cyrus_spool *spool, const struct cyrus_mailbox *mailbox,
			const struct cyrus_message *message, struct err *err);

#endif
