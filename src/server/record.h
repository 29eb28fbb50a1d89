/*
 * Records: what happened to sessions and deliveries. All events and keys are in one table
 * (server/record_table.h), and one record makes the line of the log (server/record_form.h) and the
 * event of the flight recorder (server/recorder.h). In every child; a record is built in place and
 * written at once.
 *
 * A session's id is the same in all processes: the instance of its front, which no other process
 * since the first start of valijad has had, and its number there.
 */
#ifndef SERVER_RECORD_H
#define SERVER_RECORD_H

#include "base/log.h"
#include "server/record_table.h"
#include "sys/loop.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	RECORD_FIELDS_MAX = LOG_LINE_MAX,
};

struct record {
	enum record_event event;
	uint8_t address[16];
	bool has_address, has_session;
	const char *network; /* of a sum: stands in the place of the address; NULL: none */
	uint64_t front, session;
	size_t size;
	uint8_t fields[RECORD_FIELDS_MAX]; /* as server/record_form.h reads them */
};

/* address: 16 octets, IPv4 mapped, all zero: a Unix socket; NULL: this process does not know it.
 * front: the front's instance; 0: it is about no session. */
void record_begin(struct record *record, enum record_event event, const uint8_t *address,
		  uint64_t front, uint64_t session);
void record_number(struct record *record, enum record_key key, uint64_t number);
/* Text from outside. What does not fit is cut. */
void record_text(struct record *record, enum record_key key, pop3_span text);
/* Our own words: quotes, "\" and what is not printable ASCII in them as \xHH, the rest stays. */
void record_words(struct record *record, enum record_key key, const char *words);
/* By the loop's thread only. */
void record_write(const struct record *record);

/* Whether each record that has a line is written as an event in JSON, too. */
void record_set_events(bool on);
/* From here on lines that strangers cause are summed up, by a timer on loop, and this thread's
 * lines of one turn are written together. */
void record_start(struct loop *loop);
/* Whether a line that is no record may be written now, else it is counted as event. address: NULL
 * for none. */
bool record_may(enum record_event event, const uint8_t *address);
/* Writes all counts, at the end of the process. */
void record_finish(void);

#endif
