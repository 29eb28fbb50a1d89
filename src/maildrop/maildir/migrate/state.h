/* A migration that is open. For the files of this folder. */
#ifndef MAILDROP_MAILDIR_MIGRATE_STATE_H
#define MAILDROP_MAILDIR_MIGRATE_STATE_H

#include "base/hash_map.h"
#include "maildrop/maildir/files/place.h"
#include "maildrop/maildir/migrate/journal.h"
#include "maildrop/maildir/migrate/migrate.h"
#include "maildrop/maildir/update/uidl.h"

#include <pop3/message.h>

#define JOURNAL_NAME "valija-migrate"
#define RECORD_NAME "valija-migrated"  /* the switch */
#define COPIES_NAME "valija-migrating" /* the folder of copies, until they are shown */
#define BEGUN_NAME ".begun"            /* in it: a message that is being copied */
#define WANTED_NAME ".wanted"          /* in it: its time tells that a client waits */
#define SWITCHING_NAME ".switching"    /* in it: a switch has begun, and may have shown copies */
#define MIGRATE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

enum copy_at {
	COPY_NOWHERE, /* its file is not there: deleted here, or lost */
	COPY_BESIDE,  /* in the folder of copies */
	COPY_SHOWN,   /* in cur or new */
};

/* An id that was ever copied. */
struct copy {
	char *id, *unique; /* one block */
	char *file;        /* its name; NULL: COPY_NOWHERE */
	uint8_t at;        /* enum copy_at */
	uint8_t folder;    /* COPY_SHOWN: enum index_directory */
	bool gone;         /* went there before the switch */
	bool kept;         /* of a switch: that server has it still */
};

struct migration {
	struct maildir_place place;
	char source[JOURNAL_SOURCE_MAX + 1];
	bool look, switched;
	int64_t switched_at;
	int copies_dir; /* -1: not there */
	struct copy *copies;
	size_t count, room;
	struct hash_map ids, uniques; /* of copies: place + 1 */
	uint64_t journal_size;        /* octets of it that are good */
	char *lines;                  /* to be appended to it */
	size_t lines_size, lines_room;
	struct maildir_uidl known; /* after the switch: valija-uidl */
	bool has_known;
	struct timespec wanted_at;
	uint64_t octets;
	/* the message that is being copied */
	char id[POP3_UNIQUE_ID_MAX + 1];
	int begun; /* -1: none */
	uint64_t begun_size;
	struct pop3_counter counter;
};

/* Words for a failure with errno. */
enum maildrop_status migrate_failed(const struct migration *m, const char *what, const char *doing,
				    struct err *err);
/* NULL: that id was never copied. */
struct copy *migrate_find(const struct migration *m, pop3_span id);
/* The place of an id in the list, which is entered if it is not there; file is taken. -1: memory.
 */
int migrate_enter(struct migration *m, pop3_span id, pop3_span unique, char *file, enum copy_at at);
/* Notes a line of the journal; -1: memory. */
int migrate_note(struct migration *m, const struct journal_line *line);
/* Appends the noted lines, and flushes. -1 with errno: none of them counts. */
int migrate_write_notes(struct migration *m);
/* Removes the file of a copy that has one. -1 with errno. */
int migrate_remove_file(struct migration *m, struct copy *copy);
/* Before the switch: removes files of copies that are gone. */
enum maildrop_status migrate_remove_gone(struct migration *m, struct err *err);
/* Reads the journal and looks where the copies are. */
enum maildrop_status migrate_load(struct migration *m, struct err *err);

#endif
