/*
 * Command lines of the server machine, for server.c alone: whole lines in, a reply or an event out.
 */
#ifndef POP3_SRC_SERVER_COMMAND_PRIVATE_H
#define POP3_SRC_SERVER_COMMAND_PRIVATE_H

#include "pop3/words_private.h"

#include <pop3/server.h>

/*
 * line: whole, without its CRLF, in server->line (for p3_sasl_line: in the lent buffer, if one is
 * lent). Either queues a reply and returns NONE (or SASL_CANCEL), or returns the event that the
 * program must answer.
 */
enum pop3_event_type p3_command(struct pop3_server *server, pop3_span line,
				struct pop3_event *event);
enum pop3_event_type p3_sasl_line(struct pop3_server *server, pop3_span line,
				  struct pop3_event *event);
/* line: the beginning of one that is too long. POP3_EVENT_SASL_START if it is an AUTH with a long
 * initial response, the beginning of which stays in server->line; else NONE. */
enum pop3_event_type p3_long_auth(struct pop3_server *server, pop3_span line,
				  struct pop3_event *event);
/* A line that is no command: "-ERR" and the word, and the end of the session after too many in a
 * row. */
void p3_refuse(struct pop3_server *server, enum p3_word word);

#endif
