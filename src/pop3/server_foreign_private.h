/*
 * The protocol of a client that sends commands which POP3 does not have: most come to a wrong port,
 * and their people read the reply. Called by server_command.c.
 */
#ifndef POP3_SRC_SERVER_FOREIGN_PRIVATE_H
#define POP3_SRC_SERVER_FOREIGN_PRIVATE_H

#include "pop3/words_private.h"

#include <pop3/span.h>

/* The text of the -ERR to a line whose keyword is unknown. arg: the rest behind
 * the first space; its data is NULL where there is none. */
enum p3_word p3_foreign_word(pop3_span keyword, pop3_span arg);

#endif
