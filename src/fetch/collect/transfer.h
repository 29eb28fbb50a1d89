/*
 * The work of one session behind the login: listing, plan, collecting in a bounded pipeline,
 * batches made durable, DELE, QUIT. Owns nothing it is given.
 */
#ifndef FETCH_COLLECT_TRANSFER_H
#define FETCH_COLLECT_TRANSFER_H

#include "fetch/session/dialog.h"
#include "fetch/journal/journal.h"
#include "fetch/collect/plan.h"
#include "fetch/report/report.h"
#include "fetch/sink/sink.h"

struct transfer {
	struct dialog *dialog;
	const struct fetch_account *account;
	struct journal *journal;
	struct sink *sink;
	struct report *report;
	pop3_span key; /* names the account in delivery ids */
	bool pipelining;
	bool trouble_under_pipelining; /* out: the session died with several commands unanswered */
	int64_t round_trip_ms;

	struct message *messages;
	uint32_t count, capacity;
	bool no_unique_ids;
	uint32_t listed, announced; /* messages that LIST has; that its first line has, 0: none */
	uint32_t unread_lines,
		useless_ids;    /* lines of LIST without a number, of UIDL without an id */
	char list_refused[160]; /* the answer to LIST, "": it was not refused */
	uint8_t last_rank;      /* of the plan: messages of rank 0 go first */
	bool renewed;           /* ids may be new ones of known messages, and there is no TOP */
	bool dry;               /* nothing was done, nothing is to be remembered */
	struct report_totals totals;
};

void transfer_finish(struct transfer *transfer);
/* The delivery id of a message's journal entry; partial: of its headers alone. */
void transfer_delivery_id(const struct transfer *transfer, const struct seen *entry, bool partial,
			  char ret[DELIVERY_ID_SIZE]);
enum { UNIQUE_ID_TEXT_MAX = 300 };
/* A message's unique id for a person, as --whole and --leave-out take it; "": it has none. */
const char *transfer_unique_id(const struct transfer *transfer, const struct message *message,
			       char buf[UNIQUE_ID_TEXT_MAX]);
/* LIST and UIDL into messages. */
int transfer_list(struct transfer *transfer, struct err *err);
/* Carries out the plan in messages; ends with QUIT. */
int transfer_run(struct transfer *transfer, struct err *err);
/* QUIT alone. */
int transfer_quit(struct transfer *transfer, struct err *err);

#endif
