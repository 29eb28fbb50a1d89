/*
 * Deletion marks of a session (RFC 1939 section 5, DELE and RSET): one bit a message in storage
 * that the program lends. The lowest part of the server machine: calls nothing of it. Message
 * numbers come checked from server_command.c, or unchecked from the program.
 */
#include "pop3/server_marks_private.h"

#include <assert.h>
#include <string.h>

bool pop3_server_has_marks(const struct pop3_server *server)
{
	return server->marks;
}

void pop3_server_lend_marks(struct pop3_server *server, uint8_t *marks)
{
	assert(!server->marks);
	server->marks = marks;
}

bool pop3_server_marked(const struct pop3_server *server, uint32_t number)
{
	if (!server->marks || number < 1 || number > server->count)
		return false;
	return server->marks[(number - 1) / 8] >> ((number - 1) % 8) & 1;
}

uint32_t pop3_server_marked_count(const struct pop3_server *server)
{
	return server->deleted;
}

void p3_marks_set(struct pop3_server *server, uint32_t number, uint64_t octets)
{
	assert(server->marks && number >= 1 && number <= server->count);
	assert(!pop3_server_marked(server, number));
	server->marks[(number - 1) / 8] |= (uint8_t)(1u << ((number - 1) % 8));
	server->deleted++;
	server->deleted_octets += octets;
}

void p3_marks_clear(struct pop3_server *server)
{
	if (server->deleted)
		memset(server->marks, 0, ((size_t)server->count + 7) / 8);
	server->deleted = 0;
	server->deleted_octets = 0;
}
