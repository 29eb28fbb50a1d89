/*
 * What a client speaks that sends what POP3 does not have: most come to a wrong port, and their
 * people read the reply. Called by server_command.c.
 */
#ifndef POP3_SRC_SERVER_FOREIGN_PRIVATE_H
#define POP3_SRC_SERVER_FOREIGN_PRIVATE_H

#include <pop3/span.h>

/* The text of the -ERR to a line whose keyword is unknown: printable ASCII. arg: the rest behind
 * the first space; its data is NULL where there is none. */
const char *p3_foreign_words(pop3_span keyword, pop3_span arg);

#endif
