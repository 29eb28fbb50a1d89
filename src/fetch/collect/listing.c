/* LIST and UIDL, for collect.c, in the confined process; messages belong to the transfer. The
 * listing is the server's: it is accepted only within bounds. */
#include "fetch/collect/transfer.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

void transfer_finish(struct transfer *transfer)
{
	free(transfer->messages);
	transfer->messages = NULL;
	transfer->count = transfer->capacity = 0;
}

void transfer_delivery_id(const struct transfer *transfer, const struct seen *entry, bool partial,
			  char ret[DELIVERY_ID_SIZE])
{
	delivery_id_of_message(transfer->key, journal_identity(transfer->journal, entry), partial,
			       ret);
}

const char *transfer_unique_id(const struct transfer *t, const struct message *message,
			       char buf[UNIQUE_ID_TEXT_MAX])
{
	uint32_t entry = message->entry != JOURNAL_NONE ? message->entry : message->doubt;
	pop3_span identity;

	buf[0] = '\0';
	if (entry == JOURNAL_NONE)
		return buf;
	identity = journal_identity(t->journal, journal_at(t->journal, entry));
	if (identity.data[0] == 'u' || identity.data[0] == 'h')
		snprintf(buf, UNIQUE_ID_TEXT_MAX, "%s", identity.data + 1);
	return buf;
}

static struct message *message_at(struct transfer *t, uint32_t number, struct err *err)
{
	if (number == 0 || number > t->account->limits.listing_lines) {
		err_set(err, EX_PROTOCOL, "the server lists a message %u, more than is believed",
			number);
		return NULL;
	}
	if (number > t->capacity) {
		uint32_t capacity = t->capacity + t->capacity / 2;
		struct message *messages;

		capacity = capacity < number ? number + 255 : capacity;
		messages = reallocarray(t->messages, capacity, sizeof(*messages));
		if (!messages) {
			err_sys(err, EX_OSERR, errno, "listing of %u messages", number);
			return NULL;
		}
		t->messages = messages;
		t->capacity = capacity;
	}
	while (t->count < number)
		t->messages[t->count++] =
			(struct message){.entry = JOURNAL_NONE, .doubt = JOURNAL_NONE};
	return &t->messages[number - 1];
}

static int note_size(struct transfer *t, const struct pop3_client_event *event, struct err *err)
{
	struct message *message;

	if (event->malformed && event->number == 0) {
		t->unread_lines++;
		return 0;
	}
	message = message_at(t, event->number, err);
	if (!message)
		return -1;
	message->listed = true;
	message->size = event->octets; /* 0 of a line without a readable size: unknown */
	t->listed++;
	return 0;
}

static int note_unique_id(struct transfer *t, const struct pop3_client_event *event,
			  struct err *err)
{
	char identity[JOURNAL_IDENTITY_MAX];
	struct message *message;
	struct seen *seen;
	size_t size;

	if (event->malformed) {
		t->useless_ids++;
		return 0;
	}
	message = message_at(t, event->number, err);
	if (!message)
		return -1;
	size = journal_identity_of_id(event->text, identity);
	message->entry = journal_intern(t->journal, (pop3_span){identity, size});
	if (message->entry == JOURNAL_NONE)
		return err_sys(err, EX_OSERR, ENOMEM, "listing");
	seen = journal_at(t->journal, message->entry);
	seen->twice |= seen->listed;
	seen->listed = true;
	return 0;
}

/* Two messages under one unique id are not identified by it: both are identified by their
 * contents. */
static void drop_duplicates(struct transfer *t)
{
	uint32_t twice = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		struct message *message = &t->messages[i];

		if (message->entry != JOURNAL_NONE &&
		    journal_at(t->journal, message->entry)->twice) {
			message->entry = JOURNAL_NONE;
			twice++;
		}
	}
	if (twice)
		report_warning(t->report,
			       "the server gave %u messages unique ids that are not unique", twice);
}

/* "+OK 3 messages (320 octets)", as in RFC 1939; other words give no number to compare. */
static void note_announced(struct transfer *t, pop3_span text)
{
	const char *blank = text.size ? memchr(text.data, ' ', text.size) : NULL;
	size_t n = blank ? (size_t)(blank - text.data) : 0;
	uint64_t count;

	t->announced = 0;
	if (n && text.size >= n + 8 &&
	    span_equal_nocase((pop3_span){blank + 1, 7}, SPAN_LITERAL("message")) &&
	    span_number((pop3_span){text.data, n}, UINT32_MAX, &count) == 0)
		t->announced = (uint32_t)count;
}

static int take_listing(struct transfer *t, struct pop3_client_event *event, struct err *err)
{
	char words[160];

	if (event->type == POP3_CLIENT_REPLY && event->command == POP3_STAT) {
		if (event->ok && !event->malformed && event->count == 0)
			return 0; /* some servers refuse to list what is empty */
		return err_set(err, EX_UNAVAILABLE,
			       "the server does not list its messages (its answer: %s)",
			       t->list_refused);
	}
	if (event->type == POP3_CLIENT_REPLY && !event->ok) {
		if (event->command == POP3_LIST)
			snprintf(t->list_refused, sizeof(t->list_refused), "%s",
				 dialog_words(event, words, sizeof(words)));
		else
			t->no_unique_ids = true;
	} else if (event->type == POP3_CLIENT_REPLY && event->command == POP3_LIST) {
		note_announced(t, event->text);
	}
	if (event->type != POP3_CLIENT_LINE)
		return 0;
	return event->command == POP3_LIST ? note_size(t, event, err)
					   : note_unique_id(t, event, err);
}

static int converse(struct transfer *t, struct err *err)
{
	static const enum pop3_command commands[] = {POP3_UIDL, POP3_LIST, POP3_STAT};
	struct pop3_client_event event;
	int64_t sent = fetch_now();
	bool first = true;
	unsigned next = 0, last = 2; /* STAT only when LIST is refused */

	do {
		while (next < last && (next == 0 || t->pipelining ||
				       pop3_client_unanswered(&t->dialog->client) == 0))
			if (dialog_send_next(t->dialog, commands[next++], (pop3_span){0}, err) < 0)
				return -1;
		if (dialog_next(t->dialog, &event, err) < 0)
			return -1;
		if (first)
			t->round_trip_ms = fetch_now() - sent;
		first = false;
		if (take_listing(t, &event, err) < 0)
			return -1;
		last = t->list_refused[0] ? 3 : 2;
	} while (next < last || pop3_client_unanswered(&t->dialog->client));
	return 0;
}

/* A second session in one run starts with a listing of its own. */
static void forget_listing(struct transfer *t)
{
	for (uint32_t i = 0; i < journal_count(t->journal); i++) {
		struct seen *seen = journal_at(t->journal, i);

		seen->listed = seen->twice = false;
	}
}

static bool unlisted(const struct message *message)
{
	return !message->listed && message->entry != JOURNAL_NONE;
}

/* UIDL names it, and lines of LIST could not be read: it is on the server, its size is not known.
 */
static void believe_unique_ids(struct transfer *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->unread_lines && unlisted(&t->messages[i])) {
			t->messages[i].listed = true;
			t->unread_lines--;
			t->listed++;
		}
}

/* A message that is on the server and not understood from the listing is not left out in silence.
 */
static void report_doubts(struct transfer *t)
{
	uint32_t without = 0, missing;

	for (uint32_t i = 0; i < t->count; i++)
		without += unlisted(&t->messages[i]);
	missing = t->unread_lines + without;
	if (t->useless_ids)
		report_warning(t->report,
			       "%u lines of the server's UIDL give no usable unique id: their "
			       "messages are known by their contents, and read again in each run",
			       t->useless_ids);
	if (t->unread_lines)
		report_warning(
			t->report,
			"%u lines of the server's LIST cannot be read: their messages were not "
			"collected (--record shows the lines)",
			t->unread_lines);
	if (without)
		report_warning(t->report,
			       "%u messages that the server's UIDL names are not in its LIST: they "
			       "were not collected",
			       without);
	if (t->announced > t->listed + missing) {
		missing = t->announced - t->listed;
		report_warning(t->report,
			       "the server announces %u messages and lists %u: the others were not "
			       "collected",
			       t->announced, t->listed);
	}
	t->totals.failed += missing;
}

int transfer_list(struct transfer *t, struct err *err)
{
	forget_listing(t);
	if (converse(t, err) < 0) {
		t->trouble_under_pipelining = t->pipelining && t->dialog->closed;
		return -1;
	}
	believe_unique_ids(t);
	drop_duplicates(t);
	report_doubts(t);
	return 0;
}
