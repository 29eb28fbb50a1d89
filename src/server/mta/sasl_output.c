/* See sasl_output.h. */
#include "server/mta/sasl_output.h"

#include <stdlib.h>
#include <string.h>

void sasl_session_end(struct sasl_session *session)
{
	session->over = true;
	conn_wake(&session->client.conn);
}

void sasl_session_say(struct sasl_session *session, const char *text, size_t size)
{
	char *grown = realloc(session->out, session->out_size + size + 1);

	if (!grown) {
		conn_abort(&session->client.conn);
		return;
	}
	session->out = grown;
	memcpy(grown + session->out_size, text, size);
	grown[session->out_size + size] = '\n';
	session->out_size += size + 1;
	conn_wake(&session->client.conn);
}

size_t sasl_session_pull(struct sasl_session *session, char *out, size_t cap)
{
	size_t left = session->out_size - session->out_at, n = left < cap ? left : cap;

	if (!n)
		return 0;
	memcpy(out, session->out + session->out_at, n);
	session->out_at += n;
	if (session->out_at == session->out_size) {
		free(session->out);
		session->out = NULL;
		session->out_size = session->out_at = 0;
	}
	return n;
}
