/*
 * Plays the dialogues tests/transcripts/lmtp_*.txt against the LMTP machine:  play_lmtp FILE...
 * The format is that of README.md beside this file: C:, C-, S:, E:, escapes; settings max-size,
 * max-recipients, max-bad-commands, no-smtputf8, refused.
 *
 * A dialogue is played in step (a reply must be there where it is written, not later), then with
 * the client's octets at once, one by one and split at every place, with replies pulled in bits:
 * the same replies and events must come. E: lines name all events or are left out.
 *
 * The program behind the machine is made up: local parts say what becomes of them (see below).
 */
#include "base/text.h"
#include "lmtp/lmtp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *data;
	size_t size;
};

static void add(struct text *text, const char *data, size_t size)
{
	text->data = realloc(text->data, text->size + size + 1);
	if (!text->data)
		abort();
	memcpy(text->data + text->size, data, size);
	text->size += size;
	text->data[text->size] = '\0';
}

static void add_string(struct text *text, const char *string)
{
	add(text, string, strlen(string));
}

static void add_escaped(struct text *text, pop3_span octets)
{
	char one[8];

	for (size_t i = 0; i < octets.size; i++) {
		unsigned char c = (unsigned char)octets.data[i];

		if (c == '\r' || c == '\n')
			snprintf(one, sizeof(one), c == '\r' ? "\\r" : "\\n");
		else if (c == '\\' || c < 0x20 || c > 0x7E)
			snprintf(one, sizeof(one), c == '\\' ? "\\\\" : "\\x%02x", c);
		else
			snprintf(one, sizeof(one), "%c", c);
		add_string(text, one);
	}
}

struct dialogue {
	struct lmtp_server_settings settings;
	struct text refused; /* the text of init_refused, if that is what is tried */
	struct text client, server, events;
	/* where each S: line must be complete: octets of the client's before it */
	size_t server_at[1024], client_at[1024];
	size_t lines;
};

struct run {
	struct lmtp_server server;
	struct lmtp_outcome outcomes[64];
	char outcome_of[64][32], sender[32];
	struct text output, events, content;
	size_t pull_cap;
	bool ended;
};

/* --- the program behind the machine --- */

static bool named(pop3_span address, const char *local)
{
	return address.size >= strlen(local) && memcmp(address.data, local, strlen(local)) == 0;
}

static void flush_content(struct run *run)
{
	if (run->content.size) {
		add_string(&run->events, "CONTENT ");
		add_escaped(&run->events, (pop3_span){run->content.data, run->content.size});
		add_string(&run->events, "\n");
	}
	run->content.size = 0;
}

static void event_with(struct run *run, const char *name, const struct lmtp_event *event)
{
	char numbers[64];

	add_string(&run->events, name);
	add_string(&run->events, " <");
	add_escaped(&run->events, event->path);
	add_string(&run->events, "> ");
	add_escaped(&run->events, event->address);
	if (event->type == LMTP_EVENT_MAIL)
		snprintf(numbers, sizeof(numbers), " size=%llu%s%s\n",
			 (unsigned long long)event->size,
			 event->body == LMTP_BODY_8BITMIME ? " 8bit" : "",
			 event->utf8 ? " utf8" : "");
	else
		snprintf(numbers, sizeof(numbers), " #%u\n", event->index);
	add_string(&run->events, numbers);
}

static void on_mail(struct run *run, const struct lmtp_event *event)
{
	event_with(run, "MAIL", event);
	snprintf(run->sender, sizeof(run->sender), "%.*s", (int)event->address.size,
		 event->address.data);
	if (named(event->address, "refused"))
		lmtp_server_reply(&run->server, 451, "4.7.1", "Not now");
	else
		lmtp_server_reply(&run->server, 250, "2.1.0", "Sender ok");
}

static void on_rcpt(struct run *run, const struct lmtp_event *event)
{
	event_with(run, "RCPT", event);
	if (named(event->address, "unknown")) {
		lmtp_server_reply(&run->server, 550, "5.1.1", "No such user");
	} else if (named(event->address, "down")) {
		lmtp_server_reply(&run->server, 451, "4.3.0", "User database is down");
	} else {
		snprintf(run->outcome_of[event->index], sizeof(run->outcome_of[0]), "%.*s",
			 (int)event->address.size, event->address.data);
		lmtp_server_reply(&run->server, 250, "2.1.5", "Recipient ok");
	}
}

static void on_end(struct run *run, uint64_t size)
{
	uint32_t n = lmtp_server_accepted(&run->server);
	char line[64];

	flush_content(run);
	snprintf(line, sizeof(line), "END %llu\n", (unsigned long long)size);
	add_string(&run->events, line);
	if (strncmp(run->sender, "all", 3) == 0) {
		lmtp_server_reply_all(&run->server, 451, "4.3.0", "Nobody gets it");
		return;
	}
	lmtp_server_lend(&run->server, run->outcomes);
	while (n-- > 0) { /* the last is known first */
		const char *name = run->outcome_of[n];

		if (strncmp(name, "full", 4) == 0)
			lmtp_server_reply_recipient(&run->server, n, 452, "4.2.2", "Over quota");
		else if (strncmp(name, "broken", 6) == 0)
			lmtp_server_reply_recipient(&run->server, n, 451, "4.3.0", "Try later");
		else
			lmtp_server_reply_recipient(&run->server, n, 250, "2.0.0", "Delivered");
	}
}

static void on_event(struct run *run, const struct lmtp_event *event)
{
	switch (event->type) {
	case LMTP_EVENT_MAIL:
		on_mail(run, event);
		break;
	case LMTP_EVENT_RCPT:
		on_rcpt(run, event);
		break;
	case LMTP_EVENT_DATA:
		add_string(&run->events, "DATA\n");
		if (strncmp(run->sender, "nodata", 6) == 0)
			lmtp_server_reply(&run->server, 452, "4.3.1", "No room");
		else
			lmtp_server_reply_data_go(&run->server);
		break;
	case LMTP_EVENT_CONTENT:
		if (strncmp(run->sender, "nospace", 7) == 0)
			lmtp_server_fail_content(&run->server, 452, "4.3.1", "No room left");
		else
			add(&run->content, event->text.data, event->text.size);
		break;
	case LMTP_EVENT_END:
		on_end(run, event->size);
		break;
	case LMTP_EVENT_RESET:
		run->content.size = 0; /* what came of it depends on the split */
		add_string(&run->events, "RESET\n");
		break;
	case LMTP_EVENT_NONE:
	case LMTP_EVENT_COUNT:
		break;
	}
}

/* --- running --- */

static void feed(struct run *run, pop3_span in)
{
	char scratch[LMTP_SCRATCH_MIN], out[LMTP_REPLY_MAX];
	struct lmtp_event event;

	for (;;) {
		switch (lmtp_server_want(&run->server)) {
		case LMTP_WANT_OUTPUT:
			add(&run->output, out, lmtp_server_pull(&run->server, out, run->pull_cap));
			continue;
		case LMTP_WANT_INPUT:
			lmtp_server_take_back(&run->server);
			if (in.size == 0)
				return;
			lmtp_server_next(&run->server, &in, scratch, sizeof(scratch), &event);
			on_event(run, &event);
			continue;
		case LMTP_WANT_CLOSE:
			run->ended = true;
			return;
		case LMTP_WANT_REPLY:
		case LMTP_WANT_DATA_REPLIES:
			abort(); /* every event was replied to */
		}
	}
}

static struct run *run_create(const struct dialogue *dialogue, size_t pull_cap)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		abort();
	run->pull_cap = pull_cap;
	add_string(&run->output, "");
	add_string(&run->events, "");
	if (dialogue->refused.size)
		lmtp_server_init_refused(&run->server, &dialogue->settings, dialogue->refused.data);
	else
		lmtp_server_init(&run->server, &dialogue->settings);
	return run;
}

static void run_destroy(struct run *run)
{
	free(run->output.data);
	free(run->events.data);
	free(run->content.data);
	free(run);
}

static bool same(const char *file, const char *what, const struct text *expected,
		 const struct text *got)
{
	if (expected->size == got->size && memcmp(expected->data, got->data, got->size) == 0)
		return true;
	fprintf(stderr, "%s: %s differ\n--- expected\n%s--- got\n%s", file, what, expected->data,
		got->data);
	return false;
}

static bool check_end(const char *file, const struct dialogue *dialogue, const struct run *run)
{
	bool good = same(file, "replies", &dialogue->server, &run->output);

	if (dialogue->events.size)
		good = same(file, "events", &dialogue->events, &run->events) && good;
	return good;
}

static bool in_step(const char *file, const struct dialogue *dialogue)
{
	struct run *run = run_create(dialogue, LMTP_REPLY_MAX);
	size_t given = 0;
	bool good = true;

	for (size_t i = 0; i < dialogue->lines && good; i++) {
		size_t to = dialogue->client_at[i];
		struct text expected = {dialogue->server.data, dialogue->server_at[i]};

		feed(run, (pop3_span){dialogue->client.data + given, to - given});
		given = to;
		if (run->output.size < expected.size ||
		    memcmp(run->output.data, expected.data, expected.size) != 0) {
			fprintf(stderr, "%s: the reply that ends at octet %zu is not there\n", file,
				expected.size);
			good = same(file, "replies", &expected, &run->output);
		}
	}
	feed(run, (pop3_span){dialogue->client.data + given, dialogue->client.size - given});
	good = good && check_end(file, dialogue, run);
	run_destroy(run);
	return good;
}

/* The client's octets in pieces: up to split, then step by step. */
static bool in_pieces(const char *file, const struct dialogue *dialogue, size_t split, size_t step,
		      size_t pull_cap)
{
	struct run *run = run_create(dialogue, pull_cap);
	bool good;

	feed(run, (pop3_span){dialogue->client.data, split});
	for (size_t at = split; at < dialogue->client.size; at += step) {
		size_t n = dialogue->client.size - at;

		feed(run, (pop3_span){dialogue->client.data + at, n < step ? n : step});
	}
	good = check_end(file, dialogue, run);
	if (!good)
		fprintf(stderr, "%s: split at %zu, then by %zu\n", file, split, step);
	run_destroy(run);
	return good;
}

/* --- reading --- */

static void add_unescaped(struct text *text, const char *line)
{
	for (; *line; line++) {
		char c = *line;

		if (c == '\\') {
			c = *++line;
			if (c == 'x') {
				char digits[3] = {line[1], line[1] ? line[2] : '\0', '\0'};

				c = (char)strtoul(digits, NULL, 16);
				line += 2;
			} else if (c != '\\') {
				c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : '\0';
			}
		}
		add(text, &c, 1);
	}
}

static bool read_setting(struct dialogue *dialogue, const char *line)
{
	struct lmtp_server_settings *settings = &dialogue->settings;
	unsigned long number = 0;

	if (sscanf(line, "max-size: %lu", &number) == 1)
		settings->max_size = number;
	else if (sscanf(line, "max-recipients: %lu", &number) == 1)
		settings->max_recipients = (uint32_t)number;
	else if (sscanf(line, "max-bad-commands: %lu", &number) == 1)
		settings->max_bad_commands = (uint32_t)number;
	else if (strcmp(line, "no-smtputf8: yes") == 0)
		settings->smtputf8 = false;
	else if (strncmp(line, "refused: ", 9) == 0)
		add_string(&dialogue->refused, line + 9);
	else
		return false;
	return true;
}

/* {TEXT*COUNT} is TEXT so many times; everything else is as add_unescaped takes it. */
static void expand(struct text *text, const char *line)
{
	const char *open;
	struct text piece = {NULL, 0};

	while ((open = strchr(line, '{')) != NULL) {
		const char *star = strchr(open, '*'), *close = strchr(open, '}');

		if (!star || !close)
			break;
		piece.size = 0;
		add(&piece, line, (size_t)(open - line));
		add_unescaped(text, piece.data);
		for (long n = strtol(star + 1, NULL, 10); n > 0; n--)
			add(text, open + 1, (size_t)(star - open - 1));
		line = close + 1;
	}
	add_unescaped(text, line);
	free(piece.data);
}

static bool read_line(struct dialogue *dialogue, const char *line)
{
	if (line[0] == '\0' || line[0] == '#')
		return true;
	if (strncmp(line, "C: ", 3) == 0 || strncmp(line, "C- ", 3) == 0) {
		expand(&dialogue->client, line + 3);
		add_string(&dialogue->client, line[1] == ':' ? "\r\n" : "");
		return true;
	}
	if (strcmp(line, "C:") == 0) {
		add_string(&dialogue->client, "\r\n");
		return true;
	}
	if (strncmp(line, "S: ", 3) == 0) {
		if (dialogue->lines == sizeof(dialogue->server_at) / sizeof(size_t))
			return false;
		add_string(&dialogue->server, line + 3);
		add_string(&dialogue->server, "\r\n");
		dialogue->server_at[dialogue->lines] = dialogue->server.size;
		dialogue->client_at[dialogue->lines++] = dialogue->client.size;
		return true;
	}
	if (strncmp(line, "E: ", 3) == 0) {
		add_string(&dialogue->events, line + 3);
		add_string(&dialogue->events, "\n");
		return true;
	}
	return read_setting(dialogue, line);
}

static bool read_dialogue(const char *file, struct dialogue *dialogue)
{
	FILE *in = fopen(file, "r");
	char *line = NULL;
	size_t cap = 0, number = 0;
	ssize_t n;
	bool good = true;

	if (!in) {
		perror(file);
		return false;
	}
	while (good && (n = getline(&line, &cap, in)) >= 0) {
		number++;
		while (n > 0 && line[n - 1] == '\n')
			line[--n] = '\0';
		good = read_line(dialogue, line);
		if (!good)
			fprintf(stderr, "%s:%zu: cannot read this line\n", file, number);
	}
	free(line);
	fclose(in);
	if (good && dialogue->lines == 0) {
		fprintf(stderr, "%s: no reply is expected\n", file);
		good = false;
	}
	return good;
}

static bool run_file(const char *file)
{
	struct dialogue *dialogue = calloc(1, sizeof(*dialogue));
	bool good;

	if (!dialogue)
		abort();
	dialogue->settings = (struct lmtp_server_settings){
		.host_name = "mail.example.org", .max_recipients = 10, .smtputf8 = true};
	add_string(&dialogue->client, "");
	add_string(&dialogue->server, "");
	good = read_dialogue(file, dialogue) && in_step(file, dialogue) &&
	       in_pieces(file, dialogue, dialogue->client.size, 1, LMTP_REPLY_MAX) &&
	       in_pieces(file, dialogue, 0, 1, 7) && in_pieces(file, dialogue, 0, 3, 1);
	for (size_t split = 1; good && split < dialogue->client.size; split++)
		good = in_pieces(file, dialogue, split, dialogue->client.size, LMTP_REPLY_MAX);
	free(dialogue->client.data);
	free(dialogue->server.data);
	free(dialogue->events.data);
	free(dialogue->refused.data);
	free(dialogue);
	return good;
}

int main(int argc, char **argv)
{
	int bad = 0;

	for (int i = 1; i < argc; i++)
		bad += !run_file(argv[i]);
	printf("%d dialogues, %d failed\n", argc - 1, bad);
	return argc < 2 || bad;
}
