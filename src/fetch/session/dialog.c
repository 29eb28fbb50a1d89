/* Commands and replies over a wire, for login.c and collect, which own the struct dialog. In the
 * fetch process; the parser of libpop3 bounds what the server sends. */
#include "fetch/session/dialog.h"

#include "base/text.h"
#include "fetch/interrupt.h"
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
	dialog->last = command;
	record_sent(dialog->record, command, (pop3_span){room, (size_t)n});
	wire_queued(&dialog->wire, (size_t)n);
	return 0;
}

/* The state in which a session ended; "" where the caller names it. */
static const char *state(const struct dialog *dialog)
{
	switch (dialog->last) {
	case POP3_CAPA:
		return "after CAPA: ";
	case POP3_STLS:
		return "after STLS: ";
	case POP3_UTF8:
		return "after UTF8: ";
	case POP3_USER:
	case POP3_PASS:
	case POP3_APOP:
	case POP3_AUTH:
	case POP3_SASL:
		return "at the login (some servers end so when the password is wrong): ";
	case POP3_STAT:
	case POP3_LIST:
	case POP3_UIDL:
		return "in the listing: ";
	case POP3_GREETING:
	case POP3_RETR:
	case POP3_TOP:
	case POP3_DELE:
	case POP3_RSET:
	case POP3_NOOP:
	case POP3_QUIT:
	case POP3_LANG:
	case POP3_COMMAND_COUNT:
		break;
	}
	return "";
}

static int ended(struct dialog *dialog, struct err *err)
{
	dialog->closed = true;
	return err_set(err, EX_TEMPFAIL, "%sthe server closed the connection in the middle%s",
		       state(dialog),
		       pop3_client_unanswered(&dialog->client) > 1 ? " of pipelined commands" : "");
}

static int name_state(const struct dialog *dialog, struct err *err)
{
	const char *where = state(dialog);

	if (*where && err && !fetch_interrupted())
		err_prefix(err, "%.*s", (int)strlen(where) - 2, where);
	return -1;
}

/* Another protocol's greeting. */
static const char *other_protocol(pop3_span text)
{
	static const struct {
		const char *begins, *words;
	} kinds[] = {{"* ", "; this looks like an IMAP server: POP3 has port 995 or 110"},
		     {"220", "; this looks like an SMTP server: POP3 has port 995 or 110"},
		     {"HTTP/", "; this looks like a web server"}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (text.size >= strlen(kinds[i].begins) &&
		    memcmp(text.data, kinds[i].begins, strlen(kinds[i].begins)) == 0)
			return kinds[i].words;
	return "";
}

static int broken(struct dialog *dialog, const char *why, pop3_span sent, struct err *err)
{
	char line[100];

	dialog->closed = true;
	while (sent.size && strchr("\r\n", sent.data[sent.size - 1]))
		sent.size--;
	text_show(line, sizeof(line) - 1, sent);
	return err_set(err, EX_PROTOCOL, "%sthe server broke the protocol: %s (it sent \"%s\"%s)",
		       state(dialog), why, line,
		       dialog->last == POP3_GREETING ? other_protocol(sent) : "");
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
			text_escape(words, sizeof(words) - 1, ret->text);
			return broken(dialog, words, (pop3_span){from, before - in.size}, err);
		}
		/* between long replies a round trip may bring a few octets only */
		if (type != POP3_CLIENT_MORE && type != POP3_CLIENT_BODY &&
		    type != POP3_CLIENT_LINE)
			dialog->wire.rate_since = 0;
		if (type != POP3_CLIENT_MORE)
			return 0;
		got = wire_wait(&dialog->wire, dialog->reply_ms, err);
		if (got == 0)
			return ended(dialog, err);
		if (got < 0) {
			dialog->closed = true;
			return name_state(dialog, err);
		}
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
	text_show(buf, size - 1, event->text);
	return buf[0] ? buf : "(without a word)";
}
