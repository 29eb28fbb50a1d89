/*
 * Plays a transcript against the client machine: gives it the commands of C: and the octets of S:,
 * and writes its events down, one a line, as E: has them. For tests only.
 */
#include "transcript.h"

#include <pop3/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"GREETING", "CAPA", "STLS", "USER", "PASS", "APOP", "AUTH",
				    "SASL",     "STAT", "LIST", "UIDL", "RETR", "TOP",  "DELE",
				    "RSET",     "NOOP", "QUIT", "UTF8", "LANG"};
_Static_assert(sizeof(names) / sizeof(names[0]) == POP3_COMMAND_COUNT, "every command");

struct reader {
	const struct transcript *transcript;
	const struct step *step;
	struct cutting *cutting;
	struct pop3_client client;
	struct buffer log, body;
};

static void log_body(struct reader *reader)
{
	if (reader->body.size == 0)
		return;
	buffer_print(&reader->log, "body \"");
	buffer_quote(&reader->log, (pop3_span){reader->body.data, reader->body.size});
	buffer_print(&reader->log, "\"\n");
	reader->body.size = 0;
}

static void log_event(struct reader *reader, const struct pop3_client_event *event)
{
	static const char *const types[] = {"more", "", "challenge", "line", "body", "end", "bad"};
	struct buffer *log = &reader->log;
	const char *type = types[event->type];

	log_body(reader);
	if (event->type == POP3_CLIENT_REPLY)
		type = event->ok ? "ok" : "err";
	buffer_print(log, "%s %s", names[event->command], type);
	if (event->code != POP3_CODE_NONE)
		buffer_print(log, " code=%d", event->code);
	if (event->number != 0)
		buffer_print(log, " number=%u", (unsigned)event->number);
	if (event->count != 0)
		buffer_print(log, " count=%u", (unsigned)event->count);
	if (event->octets != 0)
		buffer_print(log, " octets=%llu", (unsigned long long)event->octets);
	if (event->malformed)
		buffer_print(log, " malformed");
	if (event->text.size != 0) {
		buffer_print(log, " \"");
		buffer_quote(log, event->text);
		buffer_print(log, "\"");
	}
	buffer_print(log, "\n");
}

static void feed(struct reader *reader, pop3_span in)
{
	struct pop3_client_event event;
	char scratch[512];
	bool bad = false;

	while (in.size != 0 && !bad) {
		pop3_span slice = {in.data, cutting_next(reader->cutting, in.size)};
		size_t size = slice.size;
		/* with scratch of this size a body comes in pieces whatever the input */
		size_t room = 63 + cutting_next(reader->cutting, sizeof(scratch) - 63);

		while (pop3_client_next(&reader->client, &slice, scratch, room, &event) !=
		       POP3_CLIENT_MORE) {
			bad = event.type == POP3_CLIENT_BAD;
			if (event.type == POP3_CLIENT_BODY)
				buffer_add(&reader->body, event.text.data, event.text.size);
			else
				log_event(reader, &event);
			if (bad)
				break;
		}
		if (slice.size != 0 && !bad)
			transcript_fail(reader->transcript, reader->step, "input is not taken");
		in.data += size;
		in.size -= size;
	}
}

static enum pop3_command command_of(pop3_span keyword)
{
	for (int i = POP3_CAPA; i < POP3_COMMAND_COUNT; i++) {
		if (i != POP3_SASL && strlen(names[i]) == keyword.size &&
		    memcmp(names[i], keyword.data, keyword.size) == 0)
			return (enum pop3_command)i;
	}
	return POP3_SASL;
}

/* What the program would ask for to get this line. The machine must render the same. */
static void command(struct reader *reader, const struct step *step)
{
	const char *text = step->text.data;
	size_t size = step->text.size - 2, keyword = strcspn(text, " \r");
	enum pop3_command command = command_of((pop3_span){text, keyword});
	pop3_span rest = {text + keyword, size - keyword};
	char *end = NULL;
	char out[20000];

	if (rest.size != 0) {
		rest.data++;
		rest.size--;
	}
	if (command == POP3_SASL)
		rest = (pop3_span){text, size};
	uint32_t number = (uint32_t)strtoul(rest.data, &end, 10);
	uint64_t lines = command == POP3_TOP ? strtoull(end, NULL, 10) : 0;
	int n = pop3_client_command(&reader->client, command, number, lines, rest, out,
				    sizeof(out));

	if (n < 0) {
		log_body(reader);
		buffer_print(&reader->log, "refused %d\n", n);
	} else if ((size_t)n != size + 2 || memcmp(out, text, size + 2) != 0) {
		transcript_fail(reader->transcript, step, "the client says %.*s", n, out);
	}
}

static void mark(struct reader *reader, const struct step *step)
{
	if (strcmp(step->text.data, "TLS") != 0)
		transcript_fail(reader->transcript, step, "unknown mark");
	if (pop3_client_tls_started(&reader->client, (pop3_span){NULL, 0}))
		buffer_print(&reader->log, "TLS\n");
	else
		buffer_print(&reader->log, "no TLS\n");
}

static void expect_event(struct reader *reader, size_t *at)
{
	const struct step *step = reader->step;

	if (*at == reader->log.size)
		log_body(reader);
	const char *got = reader->log.data + *at;
	size_t size = *at < reader->log.size ? strcspn(got, "\n") : 0;
	size_t want = step->text.size;
	bool prefix = want >= 3 && strcmp(step->text.data + want - 3, "...") == 0;
	struct buffer quoted = {NULL, 0, 0};

	buffer_add(&quoted, step->text.data, prefix ? want - 3 : want);
	if (*at >= reader->log.size || (prefix ? size < quoted.size : size != quoted.size) ||
	    memcmp(got, quoted.data, quoted.size) != 0)
		transcript_fail(reader->transcript, step, "the event is: %.*s", (int)size,
				size != 0 ? got : "none");
	buffer_free(&quoted);
	*at += size + 1;
}

static enum pop3_line_ends line_ends(const struct transcript *transcript)
{
	const char *value = transcript_setting(transcript, "line-ends");

	return value != NULL && strcmp(value, "lf") == 0 ? POP3_TO_LF : POP3_KEEP_CRLF;
}

struct buffer play_client(const struct transcript *transcript, struct cutting *cutting)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	const char *max = transcript_setting(transcript, "max-lines");
	struct buffer stream = {NULL, 0, 0}, log;
	size_t seen = 0;

	reader->transcript = transcript;
	reader->cutting = cutting;
	pop3_client_init(&reader->client, line_ends(transcript),
			 max != NULL ? strtoull(max, NULL, 10) : 1000);
	for (const struct step *step = transcript->steps;; step++) {
		reader->step = step;
		if (step->kind == STEP_SERVER)
			buffer_add(&stream, step->text.data, step->text.size);
		if (stream.size != 0 && (cutting->in_step || step->kind != STEP_SERVER)) {
			feed(reader, (pop3_span){stream.data, stream.size});
			stream.size = 0;
		}
		if (step->kind == STEP_EVENT && cutting->in_step)
			expect_event(reader, &seen);
		if (cutting->in_step && seen != reader->log.size &&
		    (step->kind == STEP_CLIENT || step->kind == STEP_MARK ||
		     step->kind == STEP_END))
			transcript_fail(transcript, step, "an event that nobody expects: %s",
					reader->log.data + seen);
		if (step->kind == STEP_CLIENT)
			command(reader, step);
		if (step->kind == STEP_MARK)
			mark(reader, step);
		if (step->kind == STEP_END)
			break;
	}
	log_body(reader);
	log = reader->log;
	buffer_free(&stream);
	buffer_free(&reader->body);
	free(reader);
	return log;
}
