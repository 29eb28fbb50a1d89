/* LIST and UIDL, for collect.c, in the confined process; messages belong to the transfer. The
 * listing is the server's: it is accepted only within bounds. */
#include "fetch/collect/transfer.h"

#include "base/text.h"

#include <errno.h>
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

	if (event->malformed) {
		report_warning(t->report, "a line of the server's LIST cannot be read");
		return 0;
	}
	message = message_at(t, event->number, err);
	if (!message)
		return -1;
	message->listed = true;
	message->size = event->octets;
	return 0;
}

static int note_unique_id(struct transfer *t, const struct pop3_client_event *event,
			  struct err *err)
{
	char identity[1 + POP3_UNIQUE_ID_MAX];
	struct message *message;
	struct seen *seen;

	if (event->malformed || event->text.size > POP3_UNIQUE_ID_MAX) {
		report_warning(t->report, "a line of the server's UIDL cannot be used");
		return 0;
	}
	message = message_at(t, event->number, err);
	if (!message)
		return -1;
	identity[0] = 'u';
	memcpy(identity + 1, event->text.data, event->text.size);
	message->entry = journal_intern(t->journal, (pop3_span){identity, 1 + event->text.size});
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

static int take_listing(struct transfer *t, struct pop3_client_event *event, struct err *err)
{
	char words[160];

	if (event->type == POP3_CLIENT_REPLY && !event->ok) {
		if (event->command == POP3_LIST)
			return err_set(err, EX_UNAVAILABLE,
				       "the server does not list its messages (its answer: %s)",
				       dialog_words(event, words, sizeof(words)));
		t->no_unique_ids = true;
	}
	if (event->type != POP3_CLIENT_LINE)
		return 0;
	return event->command == POP3_LIST ? note_size(t, event, err)
					   : note_unique_id(t, event, err);
}

static int converse(struct transfer *t, struct err *err)
{
	static const enum pop3_command commands[] = {POP3_UIDL, POP3_LIST};
	struct pop3_client_event event;
	int64_t sent = fetch_now();
	bool first = true;
	unsigned next = 0;

	do {
		while (next < 2 && (next == 0 || t->pipelining ||
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
	} while (next < 2 || pop3_client_unanswered(&t->dialog->client));
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

int transfer_list(struct transfer *t, struct err *err)
{
	forget_listing(t);
	if (converse(t, err) < 0) {
		t->trouble_under_pipelining = t->pipelining && t->dialog->closed;
		return -1;
	}
	drop_duplicates(t);
	return 0;
}
