/* Commands and replies over a wire, for login.c and collect, which own the struct dialog. In the
 * fetch process; the parser of libpop3 bounds what the server sends. */
#include "fetch/session/dialog.h"

#include "base/text.h"
#include "fetch/session/transcript.h"

#include <string.h>
#include <sysexits.h>

void dialog_init(struct dialog *dialog, enum pop3_line_ends line_ends, uint64_t max_lines,
		 int64_t reply_ms)
{
	memset(dialog, 0, sizeof(*dialog));
	wire_init(&dialog->wire);
	pop3_client_init(&dialog->client, line_ends, max_lines);
	dialog->reply_ms = reply_ms;
	dialog->wire.rate_window = reply_ms;
}

void dialog_finish(struct dialog *dialog)
{
	wire_finish(&dialog->wire);
}

int dialog_send(struct dialog *dialog, enum pop3_command command, uint32_t number, uint64_t lines,
		pop3_span text, struct err *err)
{
	size_t cap;
	char *room = wire_room(&dialog->wire, &cap);
	int n = pop3_client_command(&dialog->client, command, number, lines, text, room, cap);

	if (n == -1 || n == -2)
		return 1;
	if (n < 0)
		return err_set(err, EX_DATAERR,
			       "user name, password or mechanism cannot be sent: too long, or a "
			       "line break inside");
	record_sent(dialog->record, command, (pop3_span){room, (size_t)n});
	wire_queued(&dialog->wire, (size_t)n);
	return 0;
}

static int ended(struct dialog *dialog, struct err *err)
{
	dialog->closed = true;
	return err_set(err, EX_TEMPFAIL, "the server closed the connection in the middle%s",
		       pop3_client_unanswered(&dialog->client) > 1 ? " of pipelined commands" : "");
}

int dialog_next(struct dialog *dialog, struct pop3_client_event *ret, struct err *err)
{
	for (;;) {
		pop3_span in = wire_input(&dialog->wire);
		size_t before = in.size;
		enum pop3_client_event_type type;
		const char *from = in.data;
		char words[200];
		int got;

		/* also without input: the last octets may have been one event and be another */
		type = pop3_client_next(&dialog->client, &in, dialog->scratch,
					sizeof(dialog->scratch), ret);
		record_received(dialog->record, (pop3_span){from, before - in.size}, type);
		wire_take(&dialog->wire, before - in.size);
		if (type == POP3_CLIENT_BAD) {
			dialog->closed = true;
			text_escape(words, sizeof(words) - 1, ret->text);
			return err_set(err, EX_PROTOCOL, "the server broke the protocol: %s",
				       words);
		}
		/* between long replies a round trip may bring a few octets only */
		if (type != POP3_CLIENT_MORE && type != POP3_CLIENT_BODY &&
		    type != POP3_CLIENT_LINE)
			dialog->wire.rate_since = 0;
		if (type != POP3_CLIENT_MORE)
			return 0;
		got = wire_wait(&dialog->wire, dialog->reply_ms, err);
		if (got < 0)
			dialog->closed = true;
		if (got <= 0)
			return got < 0 ? -1 : ended(dialog, err);
	}
}

int dialog_send_next(struct dialog *dialog, enum pop3_command command, pop3_span text,
		     struct err *err)
{
	int sent = dialog_send(dialog, command, 0, 0, text, err);

	return sent > 0 ? err_set(err, EX_SOFTWARE, "no room for a command") : sent;
}

int dialog_ask(struct dialog *dialog, enum pop3_command command, pop3_span text,
	       struct pop3_client_event *ret, struct err *err)
{
	return dialog_send_next(dialog, command, text, err) < 0 ? -1
								: dialog_next(dialog, ret, err);
}

const char *dialog_words(const struct pop3_client_event *event, char *buf, size_t size)
{
	text_escape(buf, size - 1, event->text);
	return buf[0] ? buf : "(without a word)";
}
