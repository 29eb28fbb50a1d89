/*
 * A POP3 dialogue: libpop3's client machine on a wire. Commands are queued and go out with the next
 * wait; events come one at a time. dialog_ask is the lock-step form for the few commands of a
 * login. Octets on the wire can be written to a transcript (transcript.h).
 */
#ifndef FETCH_SESSION_DIALOG_H
#define FETCH_SESSION_DIALOG_H

#include "fetch/session/wire.h"

#include <pop3/client.h>

struct record;

struct dialog {
	struct wire wire;
	struct pop3_client client;
	struct record *record; /* NULL: none */
	int64_t reply_ms;
	enum pop3_command last; /* sent; POP3_GREETING: none */
	bool closed;            /* the server has closed or broken the protocol: no more commands */
	char scratch[16384];
};

void dialog_init(struct dialog *dialog, enum pop3_line_ends line_ends, uint64_t max_lines,
		 int64_t reply_ms);
void dialog_finish(struct dialog *dialog);

/*
 * Queues a command. 0; 1: no room now, take events first; -1: it cannot be sent (err).
 */
int dialog_send(struct dialog *dialog, enum pop3_command command, uint32_t number, uint64_t lines,
		pop3_span text, struct err *err);
/* The same where nothing else waits to be sent, so that there is room: 0, or -1 with err. */
int dialog_send_next(struct dialog *dialog, enum pop3_command command, pop3_span text,
		     struct err *err);
/* The next event; never MORE and never BAD: -1 with err when the connection ends, breaks the
 * protocol or takes too long. */
int dialog_next(struct dialog *dialog, struct pop3_client_event *ret, struct err *err);

/* Sends one command and takes its reply line; lines of a multi-line reply are to be taken with
 * dialog_next. ret's text lives until the next call. -1: no reply came. */
int dialog_ask(struct dialog *dialog, enum pop3_command command, pop3_span text,
	       struct pop3_client_event *ret, struct err *err);

/* The server's answer in a form that is safe to print, UTF-8 or ASCII: returns buf. */
const char *dialog_words(const struct pop3_client_event *event, char *buf, size_t size);

#endif
