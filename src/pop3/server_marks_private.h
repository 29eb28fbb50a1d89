/*
 * Setting and clearing deletion marks, for the server machine alone; asking for them is public
 * (pop3/server.h).
 */
#ifndef POP3_SRC_SERVER_MARKS_PRIVATE_H
#define POP3_SRC_SERVER_MARKS_PRIVATE_H

#include <pop3/server.h>

/* number: in range and not marked; octets: the size of that message. Marks must be lent. */
void p3_marks_set(struct pop3_server *server, uint32_t number, uint64_t octets);
void p3_marks_clear(struct pop3_server *server);

#endif
