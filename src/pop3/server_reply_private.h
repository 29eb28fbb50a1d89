/*
 * Replies of the server machine and what they offer, for the files of this folder alone. The order
 * of the server machine's files, each calling only those behind it: server.c (lines),
 * server_command.c (commands), server_reply.c (replies), server_marks.c (deletion marks).
 */
#ifndef POP3_SRC_SERVER_REPLY_PRIVATE_H
#define POP3_SRC_SERVER_REPLY_PRIVATE_H

#include "pop3/words_private.h"

#include <pop3/server.h>

/* The output that pop3_server_pull() is at; only the lists have more than one piece. */
enum p3_output {
	P3_OUTPUT_LINE,
	P3_OUTPUT_CAPABILITIES,
	P3_OUTPUT_MECHANISMS,
	P3_OUTPUT_LANGUAGES
};

/* Mechanisms offered now, "": none. */
const char *p3_mechanisms(const struct pop3_server *server);
/* USER and PASS are allowed now. */
bool p3_plain_login(const struct pop3_server *server);

/* Queues one line; the want becomes OUTPUT, then after. The text is copied. */
void p3_reply(struct pop3_server *server, const char *status, const char *text,
	      enum pop3_want after);
/* The same with a text of the machine, in the session's language. */
void p3_reply_word(struct pop3_server *server, const char *status, enum p3_word word,
		   enum pop3_want after);
/* "+OK tag …" in the language of the session, which is new (RFC 6856 section 3). */
void p3_reply_language(struct pop3_server *server);
/* "-ERR [code] text" */
void p3_reply_code(struct pop3_server *server, enum pop3_code code, const char *text);
/* "+OK host … stamp"; the stamp only if server->apop, the host only if there is room. */
void p3_reply_greeting(struct pop3_server *server, pop3_span host, pop3_span stamp);
/* "+OK n messages (m octets)" of those that are not marked. */
void p3_reply_totals(struct pop3_server *server, enum pop3_want after);
/* "+OK n m", the drop listing of STAT. */
void p3_reply_stat(struct pop3_server *server);
void p3_reply_list(struct pop3_server *server, enum p3_output list);

#endif
