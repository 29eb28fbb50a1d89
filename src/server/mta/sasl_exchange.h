/*
 * An exchange: one login at an MTA. Each is a session at auth, from CONNECT to DISCONNECT, so that
 * the limits and delays of its client's address are those of POP3. Responses go to auth at once:
 * none is kept here. On mta's loop.
 */
#ifndef SERVER_MTA_SASL_EXCHANGE_H
#define SERVER_MTA_SASL_EXCHANGE_H

#include "server/mta/fields.h"
#include "server/mta/sasl_output.h"

struct sasl_exchange {
	struct table_node node; /* key: the number of the session at auth */
	struct sasl_exchange *next;
	struct sasl_session *session;
	struct loop_deadline deadline;
	struct loop_timer delay; /* set while the verdict is held back */
	uint32_t id;             /* the MTA's */
	uint64_t ticket, asked_at;
	enum ipc_type asked; /* the request that is unanswered; IPC_NONE: none */
	uint8_t mechanism;   /* counters_mechanism */
	bool slow;           /* that request uses no credit */
	bool denied;         /* the verdict is there */
	enum reason reason;  /* … */
};

/* The deadlines of mta, which exchanges use. */
void sasl_exchanges_init(struct mta *mta);
void sasl_exchange_start(struct sasl_session *session, const struct fields *fields);
/* NULL: there is none of that id. */
struct sasl_exchange *sasl_exchange_find(const struct sasl_session *session, uint32_t id);
void sasl_exchange_respond(struct sasl_exchange *exchange, pop3_span response);
/* The exchange is given up; nothing is said. */
void sasl_exchange_end(struct sasl_exchange *exchange);
/* A message of auth about the exchange of that number, if there still is one. */
void sasl_exchange_message(struct mta *mta, uint64_t number, enum ipc_type type,
			   const void *message);
/* auth is gone: no exchange gets a verdict. */
void sasl_exchanges_fail(struct mta *mta);

#endif
