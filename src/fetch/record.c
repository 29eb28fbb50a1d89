/* See record.h. The file is readable by its owner only: it holds mail. */
#include "fetch/record.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct record {
	FILE *file;
	bool line_open; /* an S: line waits for its end */
};

int record_open(const char *file, const char *title, struct record **ret, struct err *err)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct record *record = calloc(1, sizeof(*record));

	if (record && fd >= 0)
		record->file = fdopen(fd, "w");
	if (!record || !record->file) {
		err_sys(err, EX_CANTCREAT, errno, "cannot write the transcript %s", file);
		free(record);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	fprintf(record->file, "# %s\n", title);
	*ret = record;
	return 0;
}

void record_close(struct record *record)
{
	if (!record)
		return;
	if (record->line_open)
		fputs("\n", record->file);
	fclose(record->file);
	free(record);
}

/* Octets that are not printable as \xHH; CRLF ends the line and is not written. */
static void put_octets(FILE *file, pop3_span text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c >= 0x20 && c <= 0x7e && c != '\\')
			fputc(c, file);
		else
			fprintf(file, "\\x%02x", c);
	}
}

static void end_line(struct record *record)
{
	if (record->line_open)
		fputs("\n", record->file); /* the server stopped in the middle of a line */
	record->line_open = false;
}

void record_note(struct record *record, const char *text)
{
	if (!record)
		return;
	end_line(record);
	fprintf(record->file, "# %s\n", text);
}

void record_sent(struct record *record, enum pop3_command command, pop3_span line)
{
	size_t keep = line.size >= 2 ? line.size - 2 : 0;
	const char *space;

	if (!record)
		return;
	end_line(record);
	fputs("C: ", record->file);
	if (command == POP3_SASL) {
		keep = 0;
	} else if (command == POP3_PASS || command == POP3_APOP || command == POP3_AUTH) {
		space = memchr(line.data, ' ', keep);
		keep = space ? (size_t)(space - line.data) + 1 : keep;
		if (command == POP3_AUTH && space) { /* the mechanism is no secret */
			space = memchr(line.data + keep, ' ', line.size - 2 - keep);
			keep = space ? (size_t)(space - line.data) + 1 : line.size - 2;
		}
	}
	put_octets(record->file, (pop3_span){line.data, keep});
	fputs(line.size >= 2 && keep < line.size - 2 ? "<masked>\n" : "\n", record->file);
}

void record_received(struct record *record, pop3_span raw, enum pop3_client_event_type type,
		     const struct pop3_client_event *event)
{
	if (!record || raw.size == 0)
		return;
	(void)event;
	if (type == POP3_CLIENT_CHALLENGE) {
		end_line(record);
		fputs("S: + <masked>\n", record->file);
		return;
	}
	while (raw.size) {
		const char *end = memchr(raw.data, '\n', raw.size);
		bool whole = end && end > raw.data && end[-1] == '\r';
		size_t n = end ? (size_t)(end - raw.data) + 1 : raw.size;

		if (!record->line_open)
			fputs("S: ", record->file);
		put_octets(record->file, (pop3_span){raw.data, whole ? n - 2 : n});
		record->line_open = !whole;
		if (whole)
			fputs("\n", record->file);
		raw.data += n;
		raw.size -= n;
	}
}
