/* A small LMTP client on a blocking socket with deadlines; for lmtp.c. */
#ifndef FETCH_SINK_LMTP_CLIENT_H
#define FETCH_SINK_LMTP_CLIENT_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>

struct lmtp_client {
	int fd; /* −1: not connected */
	size_t at, end;
	char in[2048];
	char line[600]; /* the last line of the last reply */
};

void lmtp_client_init(struct lmtp_client *client);
void lmtp_client_close(struct lmtp_client *client); /* sends QUIT */
/* Connects and greets if that is not done yet. target: HOST:PORT or a path that begins with "/". */
int lmtp_client_open(struct lmtp_client *client, const char *target, struct err *err);
/* MAIL, RCPT, DATA. Returns 354, or the code that refused (text in err), or -1: connection lost. */
int lmtp_client_begin(struct lmtp_client *client, const char *recipient, struct err *err);
int lmtp_client_send(struct lmtp_client *client, pop3_span text, struct err *err);
/* A whole reply: its code; -1: none came. */
int lmtp_client_reply(struct lmtp_client *client, struct err *err);
/* The refusal of the last reply says that the mailbox is full (RFC 3463, X.2.2): that passes. */
bool lmtp_client_full(const struct lmtp_client *client);
int lmtp_client_refused(struct lmtp_client *client, int code, struct err *err);

#endif
