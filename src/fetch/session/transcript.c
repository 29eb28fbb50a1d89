/* Writes the transcript of --record, for dialog.c; run.c owns it from open to close. Secrets are
 * masked. The file is readable by its owner only: it holds mail. */
#include "fetch/session/transcript.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct record {
	FILE *file;
	size_t used;
	char part[4096]; /* received, waiting for the end of its line */
};

/* Octets that are not printable, or mean something in a transcript, as \xHH. */
static void put_octets(FILE *file, pop3_span text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		bool last = i + 1 == text.size && text.size > 1 && (c == ' ' || c == '.');

		if (c >= 0x20 && c <= 0x7e && c != '\\' && c != '{' && !last)
			fputc(c, file);
		else
			fprintf(file, "\\x%02x", c);
	}
}

static bool ends_line(const struct record *record)
{
	return record->used >= 2 && memcmp(record->part + record->used - 2, "\r\n", 2) == 0;
}

/* Octets received since the last line end: a line, or a part of one. */
static void flush_part(struct record *record)
{
	bool whole = ends_line(record);

	if (record->used == 0)
		return;
	fputs(whole ? "S: " : "S- ", record->file);
	put_octets(record->file, (pop3_span){record->part, record->used - (whole ? 2 : 0)});
	fputs("\n", record->file);
	record->used = 0;
}

int record_open(const char *file, const char *title, bool lf, struct record **ret, struct err *err)
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
	fprintf(record->file, "# %s\nside: client\n%s", title, lf ? "line-ends: lf\n" : "");
	*ret = record;
	return 0;
}

void record_close(struct record *record)
{
	if (!record)
		return;
	flush_part(record);
	fclose(record->file);
	free(record);
}

void record_tls(struct record *record)
{
	if (!record)
		return;
	flush_part(record);
	fputs("-- TLS --\n", record->file);
}

/* The octets of a command line that may be shown: all but the secret behind them. */
static size_t shown(enum pop3_command command, pop3_span line)
{
	const char *space = memchr(line.data, ' ', line.size);
	size_t keep = space ? (size_t)(space - line.data) + 1 : line.size;

	if (command == POP3_SASL)
		return 0;
	if (command == POP3_PASS || command == POP3_APOP)
		return keep;
	if (command != POP3_AUTH)
		return line.size;
	space = memchr(line.data + keep, ' ', line.size - keep); /* the mechanism is no secret */
	return space ? (size_t)(space - line.data) + 1 : line.size;
}

void record_sent(struct record *record, enum pop3_command command, pop3_span line)
{
	size_t keep;

	if (!record || line.size < 2)
		return;
	line.size -= 2;
	keep = shown(command, line);
	flush_part(record);
	fputs("C: ", record->file);
	if (keep < line.size && keep) /* up to the blank in front of the secret */
		put_octets(record->file, (pop3_span){line.data, keep - 1});
	else
		put_octets(record->file, (pop3_span){line.data, keep});
	if (keep < line.size || command == POP3_SASL)
		fputs(keep ? " <masked>" : "<masked>", record->file);
	fputs("\n", record->file);
}

static void put_received(struct record *record, pop3_span raw)
{
	while (raw.size) {
		const char *end = memchr(raw.data, '\n', raw.size);
		size_t n = end ? (size_t)(end - raw.data) + 1 : raw.size;

		if (n > sizeof(record->part) - record->used)
			n = sizeof(record->part) - record->used;
		memcpy(record->part + record->used, raw.data, n);
		record->used += n;
		if (ends_line(record) || record->used == sizeof(record->part))
			flush_part(record);
		raw.data += n;
		raw.size -= n;
	}
}

void record_received(struct record *record, pop3_span raw, enum pop3_client_event_type type)
{
	if (!record || raw.size == 0)
		return;
	if (type == POP3_CLIENT_CHALLENGE) {
		record->used = 0; /* a part of the challenge may be in it */
		fputs("S: + <masked>\n", record->file);
	} else {
		put_received(record, raw);
	}
}
