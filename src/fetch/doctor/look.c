/* See look.h. Commands go out one by one, or together where pipelining is tried. */
#include "fetch/doctor/look.h"

#include "base/table.h"
#include "base/text.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { RFC_ID_MAX = 70, NOOPS = 8 };

void look_finish(struct look *look)
{
	free(look->messages);
	look->messages = NULL;
}

static pop3_span take_word(pop3_span *line)
{
	pop3_span word = {line->data, 0};

	while (word.size < line->size && line->data[word.size] != ' ')
		word.size++;
	line->data += word.size;
	line->size -= word.size;
	while (line->size && *line->data == ' ')
		line->data++, line->size--;
	return word;
}

static void note_capability(struct look_capabilities *c, pop3_span line)
{
	pop3_span name = take_word(&line), first = take_word(&line);

	c->pipelining |= span_equal_nocase(name, SPAN_LITERAL("PIPELINING"));
	c->uidl |= span_equal_nocase(name, SPAN_LITERAL("UIDL"));
	c->top |= span_equal_nocase(name, SPAN_LITERAL("TOP"));
	c->stls |= span_equal_nocase(name, SPAN_LITERAL("STLS"));
	c->sasl |= span_equal_nocase(name, SPAN_LITERAL("SASL"));
	c->user |= span_equal_nocase(name, SPAN_LITERAL("USER"));
	if (span_equal_nocase(name, SPAN_LITERAL("LOGIN-DELAY")))
		span_number(first, 1000000, &c->login_delay);
	if (span_equal_nocase(name, SPAN_LITERAL("EXPIRE")))
		c->expires_at_once = span_equal(first, SPAN_LITERAL("0"));
	if (span_equal_nocase(name, SPAN_LITERAL("IMPLEMENTATION")))
		text_show(c->implementation, sizeof(c->implementation) - 1, first);
}

static int ask_capabilities(struct dialog *dialog, struct look_capabilities *ret, struct err *err)
{
	struct pop3_client_event event;

	*ret = (struct look_capabilities){0};
	if (dialog_ask(dialog, POP3_CAPA, (pop3_span){0}, &event, err) < 0)
		return -1;
	ret->answered = event.ok;
	while (event.ok && event.type != POP3_CLIENT_END) {
		if (dialog_next(dialog, &event, err) < 0)
			return -1;
		if (event.type == POP3_CLIENT_LINE && !event.malformed)
			note_capability(ret, event.text);
	}
	return 0;
}

static void quit(struct dialog *dialog)
{
	struct pop3_client_event event;

	if (!dialog->closed)
		dialog_ask(dialog, POP3_QUIT, (pop3_span){0}, &event, NULL);
}

/* The purpose of a session. */
struct visit {
	const struct fetch_account *account;
	const struct secret *password; /* NULL: no login */
	bool pipelined, bodies;
	int (*steps)(struct look *look, struct dialog *dialog, const struct visit *visit,
		     struct err *err);
};

/* One session: connected, its steps, QUIT. */
static int pay_visit(struct look *look, const struct visit *visit, struct err *err)
{
	const struct fetch_limits *limits = &visit->account->limits;
	struct dialog *dialog = malloc(sizeof(*dialog));
	int64_t began = fetch_now();
	int rc;

	if (!dialog)
		return err_sys(err, EX_OSERR, errno, "memory");
	dialog_init(dialog, POP3_TO_LF, limits->listing_lines,
		    (int64_t)limits->reply_seconds * 1000);
	dialog->wire.minimum_rate = limits->minimum_rate;
	rc = wire_connect(&dialog->wire, visit->account, err);
	look->connect_ms = fetch_now() - began;
	if (rc == 0)
		rc = visit->steps(look, dialog, visit, err);
	if (rc == 0)
		quit(dialog);
	dialog_finish(dialog);
	free(dialog);
	return rc;
}

static int outside(struct look *look, struct dialog *dialog, const struct visit *visit,
		   struct err *err)
{
	int64_t began = fetch_now();
	int rc = fetch_greet(dialog, visit->account, err);

	look->greeting_ms = fetch_now() - began;
	if (rc < 0)
		return rc;
	if (dialog->wire.tls)
		tls_client_peer(dialog->wire.tls, &look->peer);
	return ask_capabilities(dialog, &look->before, err);
}

int look_outside(struct look *look, const struct fetch_account *account, struct err *err)
{
	return pay_visit(look, &(struct visit){.account = account, .steps = outside}, err);
}

static struct look_message *message_at(struct look *look, uint32_t number)
{
	if (number == 0 || number > 1000000)
		return NULL;
	if (number > look->capacity) {
		uint32_t capacity = number + number / 2 + 256;
		struct look_message *messages =
			reallocarray(look->messages, capacity, sizeof(*messages));

		if (!messages)
			return NULL;
		look->messages = messages;
		look->capacity = capacity;
	}
	while (look->count < number)
		look->messages[look->count++] = (struct look_message){0};
	return &look->messages[number - 1];
}

static void note_id(struct look *look, const struct pop3_client_event *event)
{
	struct look_message *message = message_at(look, event->number);

	look->uidl_count++;
	if (event->malformed || !message) {
		look->useless_ids++;
		return;
	}
	look->long_ids += event->text.size > RFC_ID_MAX;
	for (size_t i = 0; i < event->text.size; i++)
		if (event->text.data[i] < 0x21 || event->text.data[i] > 0x7e) {
			look->odd_ids++;
			break;
		}
	message->id = hash_octets(event->text.data, event->text.size) | 1;
}

static void note_size(struct look *look, const struct pop3_client_event *event)
{
	struct look_message *message = message_at(look, event->number);

	look->list_count++;
	look->bad_lines += !message;
	look->bad_sizes += message && event->malformed;
	if (!message)
		return;
	message->listed = true;
	message->size = event->octets;
	look->list_octets += event->octets;
}

static void note_event(struct look *look, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_LINE && event->command == POP3_LIST)
		note_size(look, event);
	else if (event->type == POP3_CLIENT_LINE && event->command == POP3_UIDL)
		note_id(look, event);
	if (event->type != POP3_CLIENT_REPLY)
		return;
	if (event->command == POP3_LIST)
		look->list_ok = event->ok;
	if (event->command == POP3_UIDL)
		look->uidl_ok = event->ok;
	if (event->command == POP3_STAT) {
		look->stat_ok = event->ok && !event->malformed;
		look->stat_count = event->count;
		look->stat_octets = event->octets;
	}
}

/* STAT, LIST and UIDL, each after the answer to the one before, or all at once. */
static int list(struct look *look, struct dialog *dialog, bool pipelined, struct err *err)
{
	static const enum pop3_command commands[] = {POP3_STAT, POP3_LIST, POP3_UIDL};
	unsigned total = 3 + (pipelined ? NOOPS : 0);
	struct pop3_client_event event;
	unsigned next = 0;

	while (next < total || pop3_client_unanswered(&dialog->client)) {
		while (next < total &&
		       (pipelined || pop3_client_unanswered(&dialog->client) == 0)) {
			if (dialog_send_next(dialog, next < 3 ? commands[next] : POP3_NOOP,
					     (pop3_span){0}, err) < 0)
				return -1;
			next++;
		}
		if (dialog_next(dialog, &event, err) < 0)
			return -1;
		note_event(look, &event);
	}
	return 0;
}

/* TOP n 0 or RETR n. Octets, those behind the headers' blank line, and whether it was refused. */
static int read_message(struct dialog *dialog, enum pop3_command command, uint32_t number,
			bool *ret_ok, uint64_t *ret_octets, uint64_t *ret_behind, struct err *err)
{
	struct pop3_client_event event = {.ok = true};
	bool line_start = true, body = false;

	*ret_ok = false;
	*ret_octets = *ret_behind = 0;
	if (dialog_send(dialog, command, number, 0, (pop3_span){0}, err) != 0)
		return -1;
	do {
		if (dialog_next(dialog, &event, err) < 0)
			return -1;
		if (event.type == POP3_CLIENT_REPLY)
			*ret_ok = event.ok;
		for (size_t i = 0; event.type == POP3_CLIENT_BODY && i < event.text.size; i++) {
			bool end = event.text.data[i] == '\n';

			*ret_behind += body && end;
			body |= line_start && end;
			line_start = end;
		}
	} while (*ret_ok && event.type != POP3_CLIENT_END);
	*ret_octets = event.octets;
	return 0;
}

static int try_top(struct look *look, struct dialog *dialog, struct err *err)
{
	uint64_t octets;

	for (uint32_t i = 0; i < look->count && !look->top_asked; i++) {
		if (!look->messages[i].listed)
			continue;
		look->top_asked = true;
		if (read_message(dialog, POP3_TOP, i + 1, &look->top_ok, &octets, &look->top_lines,
				 err) < 0)
			return -1;
	}
	return 0;
}

static int try_bodies(struct look *look, struct dialog *dialog, struct err *err)
{
	for (uint32_t i = 0; i < look->count && look->bodies < LOOK_BODIES; i++) {
		const struct look_message *message = &look->messages[i];
		uint64_t octets, unused;
		bool ok;

		if (!message->listed || !message->size || message->size > LOOK_BODY_MAX)
			continue;
		if (read_message(dialog, POP3_RETR, i + 1, &ok, &octets, &unused, err) < 0)
			return -1;
		if (!ok)
			continue;
		look->wrong_sizes += octets != message->size;
		look->read_ids[look->bodies++] = message->id;
	}
	return 0;
}

static int inside(struct look *look, struct dialog *dialog, const struct visit *visit,
		  struct err *err)
{
	int64_t began = fetch_now();
	int rc = fetch_login(dialog, visit->account, visit->password, &look->profile, err);

	look->login_ms = fetch_now() - began;
	if (rc < 0)
		return rc;
	began = fetch_now();
	if (list(look, dialog, visit->pipelined, err) < 0)
		return -1;
	look->listing_ms = fetch_now() - began;
	if (visit->pipelined)
		return 0;
	if (ask_capabilities(dialog, &look->after, err) < 0 || try_top(look, dialog, err) < 0)
		return -1;
	return visit->bodies ? try_bodies(look, dialog, err) : 0;
}

int look_inside(struct look *look, const struct fetch_account *account,
		const struct secret *password, bool pipelined, bool bodies, struct err *err)
{
	return pay_visit(look,
			 &(struct visit){.account = account,
					 .password = password,
					 .pipelined = pipelined,
					 .bodies = bodies,
					 .steps = inside},
			 err);
}
