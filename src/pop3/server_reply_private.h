/*
 * What the three files of the server machine share: server.c collects lines, server_command.c
 * understands them, server_reply.c answers. Private to libpop3.
 */
#ifndef POP3_SRC_SERVER_REPLY_PRIVATE_H
#define POP3_SRC_SERVER_REPLY_PRIVATE_H

#include <pop3/server.h>

/* What pop3_server_pull() is giving out; only lists have more than one piece. */
enum p3_output { P3_OUTPUT_LINE, P3_OUTPUT_CAPABILITIES, P3_OUTPUT_MECHANISMS };

/* server_command.c: a whole line without its CRLF, in server->line (or, for SASL, in the lent
 * buffer). Either replies by itself (NONE, or SASL_CANCEL) or returns the event that the program
 * owes a reply. */
enum pop3_event_type p3_command(struct pop3_server *server, pop3_span line,
				struct pop3_event *event);
enum pop3_event_type p3_sasl_line(struct pop3_server *server, pop3_span line,
				  struct pop3_event *event);
/* A line that is no command: "-ERR text", and the end of the session after too many in a row. */
void p3_refuse(struct pop3_server *server, const char *text);
/* Mechanisms offered now; NULL or "": none. USER/PASS allowed now. */
const char *p3_mechanisms(const struct pop3_server *server);
bool p3_plain_login(const struct pop3_server *server);

/* server_reply.c: queues one line; the want becomes OUTPUT, then after. The text is copied. */
void p3_reply(struct pop3_server *server, const char *status, const char *text,
	      enum pop3_want after);
/* "+OK n messages (m octets)" of what is not marked. */
void p3_reply_totals(struct pop3_server *server, enum pop3_want after);
/* "+OK n m", the drop listing of STAT. */
void p3_reply_stat(struct pop3_server *server);
void p3_reply_list(struct pop3_server *server, enum p3_output list);

#endif
