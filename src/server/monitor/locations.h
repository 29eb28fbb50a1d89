/*
 * The monitor's side of the register of maildrops (maildrop/register.h), which it alone writes
 * while valijad runs: keepers ask before an empty maildrop is shown or one is made. The mail itself
 * is not touched here: that may hang. A keeper that was taken over can enter locations, and cannot
 * take out any.
 */
#ifndef SERVER_MONITOR_LOCATIONS_H
#define SERVER_MONITOR_LOCATIONS_H

#include "ipc/messages.h"
#include "maildrop/mail_root.h"
#include "maildrop/register.h"
#include "sys/loop.h"

struct locations {
	struct mail_register *reg; /* NULL: there is no place for one */
	const char *mail;          /* the mail folder, as configured */
	struct loop_timer flush;
	bool flushing, warned;
};

/* root: was looked at. mail must live as long as locations. */
void locations_init(struct locations *locations, struct loop *loop, const struct mail_root *root,
		    const char *mail);
void locations_finish(struct locations *locations);
/* Answers a keeper's question on its channel. */
void locations_answer(struct locations *locations, struct chan *chan,
		      const struct ipc_location *question);

#endif
