/* A connection of an MTA, and what is said on it: the part that the connection and its exchanges
 * share. On mta's loop. */
#ifndef SERVER_MTA_SASL_OUTPUT_H
#define SERVER_MTA_SASL_OUTPUT_H

#include "server/mta/root.h"

struct sasl_exchange;

struct sasl_session {
	struct client client;
	struct mta *mta;
	struct sasl_exchange *exchanges;
	unsigned exchange_count;
	bool believed; /* its uid is one of an MTA */
	bool greeted, has_version, has_process;
	bool over;       /* closed when the output is out */
	bool gone;       /* its connection is over */
	uint32_t number; /* CUID */
	char *line;      /* the beginning of a line; NULL: none */
	size_t line_size;
	char *out; /* not sent yet; NULL: nothing */
	size_t out_size, out_at;
};

/* Adds a line to the output. text holds no line end. */
void sasl_session_say(struct sasl_session *session, const char *text, size_t size);
/* Closes the connection when what was said before is out. */
void sasl_session_end(struct sasl_session *session);
/* Takes up to cap octets of it. Returns how many. */
size_t sasl_session_pull(struct sasl_session *session, char *out, size_t cap);

#endif
