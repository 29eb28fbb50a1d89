/*
 * The state that the two halves of the client machine share (client.c receives, client_command.c
 * sends). For this folder alone.
 */
#ifndef POP3_SRC_CLIENT_PRIVATE_H
#define POP3_SRC_CLIENT_PRIVATE_H

#include <pop3/client.h>

/* The next octets from the server are … */
enum p3_client_phase {
	P3_CLIENT_FIRST,   /* the first line of the oldest unanswered command's reply */
	P3_CLIENT_LISTING, /* lines of CAPA, LIST, UIDL */
	P3_CLIENT_BODY,    /* a message */
	P3_CLIENT_TLS,     /* none, until the handshake is done */
};

#endif
