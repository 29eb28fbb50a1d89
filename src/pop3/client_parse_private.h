/*
 * Numbers and unique ids in a server's replies, for client.c alone.
 */
#ifndef POP3_SRC_CLIENT_PARSE_PRIVATE_H
#define POP3_SRC_CLIENT_PARSE_PRIVATE_H

#include <pop3/client.h>

/* text: behind "+OK "; all: the command had no number. Fills in the event's numbers. */
void p3_client_parse_reply(pop3_span text, struct pop3_client_event *event, bool all);
/* line: one of a LIST or UIDL listing. */
void p3_client_parse_item(pop3_span line, struct pop3_client_event *event);

#endif
