/*
 * The record of an account's collected messages: one append-only file of checksummed batches, held
 * by a lock for the whole run, loaded at its start. journal_commit appends what was added since and
 * flushes it: when it returns, it is on disk. A batch that a power cut tore is dropped as a whole;
 * damage before the end is an error, for ignoring it would fetch everything again. Compaction
 * writes a new file and renames it in.
 */
#ifndef FETCH_JOURNAL_JOURNAL_H
#define FETCH_JOURNAL_JOURNAL_H

#include "base/err.h"
#include "fetch/syscalls.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	JOURNAL_IDENTITY_MAX = 260, /* see journal_identity_of_id, journal_is_unlisted_kind */
	JOURNAL_DEATHS_MAX = 250,
	JOURNAL_VALUE_MAX = 320,
};
#define JOURNAL_NONE UINT32_MAX

enum seen_state {
	SEEN_UNKNOWN, /* listed by the server, never collected */
	SEEN_WHOLE,   /* delivered */
	SEEN_PARTIAL, /* its headers were delivered */
	SEEN_MARKED,  /* passed over on request: never collected, and deleted by keep-days alone,
		       * counted from its time; of time 0: never deleted */
	SEEN_REFUSED, /* by the destination, for good: kept aside here, never deleted there */
};

struct seen {
	uint64_t announced; /* size in the listing when it was collected */
	uint64_t octets;    /* received, wire form */
	uint64_t head_hash; /* of its stable headers, head.h */
	int64_t time;       /* of collection, microseconds since 1970: unique in a run */
	int64_t absent;     /* not listed since, in seconds; 0: it was listed last time */
	uint32_t identity;  /* where the text is, see journal_identity */
	uint8_t state;      /* enum seen_state */
	uint8_t deaths; /* sessions that broke at it; time is the last one's, in seconds, if unknown
			 */
	bool remove;    /* its deletion is decided: that it vanishes is no surprise */
	bool renamed;   /* its unique id is not the one it was delivered under */
	bool sending;   /* on its way to the destination when its run was cut; time as for deaths */
	bool listed;    /* in this session's listing */
	bool twice;     /* listed more than once: names no single message */
};

enum journal_kind {
	JOURNAL_HEAD,
	JOURNAL_SEEN,
	JOURNAL_ABSENT,
	JOURNAL_GONE,
	JOURNAL_REMOVE,
	JOURNAL_DEATH,
	JOURNAL_SENDING,
	JOURNAL_MEMORY
};

/* One line of the file. */
struct journal_record {
	enum journal_kind kind;
	struct seen seen;   /* SEEN: without identity; ABSENT, SENDING: time; DEATH: time, deaths */
	pop3_span identity; /* SEEN, ABSENT, GONE, REMOVE, DEATH, SENDING */
	pop3_span key, value;
};

struct journal;

/* Opens name in dir (made if missing) and locks it. title goes into its first line, for people. */
int journal_open(const struct fetch_files *files, int dir, const char *name, const char *title,
		 struct journal **ret, struct err *err);
void journal_close(struct journal *journal);

uint32_t journal_count(const struct journal *journal);
struct seen *journal_at(struct journal *journal, uint32_t index); /* until the next intern */
pop3_span journal_identity(const struct journal *journal, const struct seen *seen);
/* An entry identified by contents ('c' and a digest) or by nothing but a size ('n'), not by a
 * unique id: no listing shows whether its message is there. */
bool journal_is_unlisted_kind(const struct journal *journal, const struct seen *seen);
/* The identity of a server's unique id: 'u' and the id if it is printable ASCII, else 'h' and a
 * digest. Returns its size; id: 1 to 255 octets. */
size_t journal_identity_of_id(pop3_span id, char ret[JOURNAL_IDENTITY_MAX]);
/* Finds; JOURNAL_NONE if it is not there. */
uint32_t journal_find(const struct journal *journal, pop3_span identity);
/* Finds or makes an entry of state SEEN_UNKNOWN, which is not written. JOURNAL_NONE: no memory. */
uint32_t journal_intern(struct journal *journal, pop3_span identity);

/* Append records of an entry's present values; on disk after journal_commit. */
int journal_write_seen(struct journal *journal, uint32_t index, struct err *err);
int journal_write_absent(struct journal *journal, uint32_t index, struct err *err);
int journal_write_remove(struct journal *journal, uint32_t index, struct err *err);
/* A session broke at it: one more of its deaths. */
int journal_write_death(struct journal *journal, uint32_t index, int64_t now, struct err *err);
int journal_write_gone(struct journal *journal, uint32_t index, struct err *err);
/* Before a message goes to a destination that can be asked for it. now: seconds. */
int journal_write_sending(struct journal *journal, uint32_t index, int64_t now, struct err *err);
int journal_commit(struct journal *journal, struct err *err);

/* Small things to remember: the mechanism used, the sink. NULL: nothing known. */
const char *journal_recall(const struct journal *journal, const char *key);
int journal_remember(struct journal *journal, const char *key, const char *value, struct err *err);

/* Rewrites the file if much of it is of no use any more; drops what is absent since before. */
int journal_tidy(struct journal *journal, int64_t before, struct err *err);

/* Pure: one line without its line break. -1: malformed. */
int journal_parse(pop3_span line, struct journal_record *ret);
/* Pure: the checksum that closes a batch; "C GROUP LINES CRC". */
int journal_parse_close(pop3_span line, uint64_t *ret_group, uint64_t *ret_lines, uint32_t *ret_crc,
			size_t *ret_covered);

#endif
