/* What the files of the client machine share. Private to libpop3. */
#ifndef POP3_SRC_CLIENT_PRIVATE_H
#define POP3_SRC_CLIENT_PRIVATE_H

#include <pop3/client.h>

/* What comes next from the server. */
enum p3_client_phase {
	P3_CLIENT_FIRST,   /* the first line of the oldest unanswered command's reply */
	P3_CLIENT_LISTING, /* lines of CAPA, LIST, UIDL */
	P3_CLIENT_BODY,    /* a message */
	P3_CLIENT_TLS,     /* nothing, until the handshake is done */
};

/* client_parse.c: the numbers and ids in a first line or a listing's line. */
void p3_client_parse_reply(pop3_span text, struct pop3_client_event *event, bool all);
void p3_client_parse_item(pop3_span line, struct pop3_client_event *event);

#endif
