/* See deliver_input.h. Not as root: with the rights of the mail's owner or of the caller; the
 * message is hostile. */
#include "cli/deliver_input.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	BLOCK = 65536,
};
#define IN_MEMORY_MAX (16u << 20)
enum {
	FROM_LINE_MAX = 1024,
};

struct reader {
	struct deliver_input input;
	uint64_t max_size;
	bool in_memory, last_cr;
	size_t from_size;
	enum { AT_START, IN_FROM_LINE, IN_MESSAGE } state;
	char from[FROM_LINE_MAX];
	char out[2 * BLOCK];
};

bool deliver_sender(const char *text, size_t size, char ret[LMTP_ADDRESS_MAX + 1])
{
	struct lmtp_address address;

	if (size >= 2 && text[0] == '<' && text[size - 1] == '>') {
		text++;
		size -= 2;
	}
	if (size == 0 ||
	    span_equal_nocase((pop3_span){text, size}, SPAN_LITERAL("MAILER-DAEMON"))) {
		ret[0] = '\0';
		return true;
	}
	if (lmtp_address_check((pop3_span){text, size}, true, true, &address) != LMTP_ADDRESS_OK ||
	    size > LMTP_ADDRESS_MAX)
		return false;
	memcpy(ret, text, size);
	ret[size] = '\0';
	return true;
}

/* ---- storage ---- */

static int open_unnamed(struct err *err)
{
	const char *directory = getenv("TMPDIR");
	char name[512];
	int fd;

	if (!directory || directory[0] != '/')
		directory = "/var/tmp";
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if ((size_t)snprintf(name, sizeof(name), "%s/valija-XXXXXX", directory) >= sizeof(name))
		errno = ENAMETOOLONG;
	else if ((fd = mkostemp(name, O_CLOEXEC)) >= 0)
		unlink(name);
	if (fd < 0)
		err_sys(err, EX_TEMPFAIL, errno, "cannot make a file in %s (set TMPDIR)",
			directory);
	return fd;
}

/* Moves the content of the memory file to a file on disk: a large message must not fill the
 * memory. */
static int move_to_disk(struct reader *reader, struct err *err)
{
	int fd = open_unnamed(err);
	off_t at = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while ((n = pread(reader->input.fd, reader->out, BLOCK, at)) > 0) {
		if (write_all(fd, reader->out, (size_t)n) < 0) {
			n = -1;
			break;
		}
		at += n;
	}
	if (n < 0) {
		err_sys(err, EX_TEMPFAIL, errno, "cannot keep the message");
		close(fd);
		return -1;
	}
	close(reader->input.fd);
	reader->input.fd = fd;
	reader->in_memory = false;
	return 0;
}

static int keep(struct reader *reader, const char *data, size_t size, struct err *err)
{
	reader->input.size += size;
	if (reader->max_size && reader->input.size > reader->max_size)
		return err_set(err, EX_DATAERR, "the message is larger than max_size allows");
	if (write_all(reader->input.fd, data, size) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot keep the message");
	return 0;
}

/* ---- form ---- */

/* "From SENDER date": the sender is the second word. */
static void take_from_line(struct reader *reader)
{
	const char *start = reader->from + 5, *end = reader->from + reader->from_size;
	const char *space;

	while (start < end && *start == ' ')
		start++;
	for (space = start; space < end && *space != ' ';)
		space++;
	if (space > start)
		reader->input.has_sender =
			deliver_sender(start, (size_t)(space - start), reader->input.sender);
}

/* Looks whether the message begins with "From ". Returns how many octets of data belong to that
 * line; what was taken for its beginning and is not stays in reader->from. */
static size_t skip_from_line(struct reader *reader, const char *data, size_t size)
{
	size_t i = 0;

	for (; i < size && reader->state == AT_START; i++) {
		if (data[i] != "From "[reader->from_size]) {
			reader->state = IN_MESSAGE;
			return i;
		}
		reader->from[reader->from_size++] = data[i];
		if (reader->from_size == 5)
			reader->state = IN_FROM_LINE;
	}
	for (; i < size && reader->state == IN_FROM_LINE; i++) {
		if (data[i] == '\n') {
			take_from_line(reader);
			reader->from_size = 0;
			reader->state = IN_MESSAGE;
		} else if (data[i] != '\r' && reader->from_size < FROM_LINE_MAX) {
			reader->from[reader->from_size++] = data[i];
		}
	}
	return i;
}

static int convert(struct reader *reader, const char *data, size_t size, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n' && !reader->last_cr)
			reader->out[n++] = '\r';
		reader->out[n++] = data[i];
		reader->last_cr = data[i] == '\r';
	}
	if (reader->in_memory && reader->input.size + n > IN_MEMORY_MAX) {
		/* the buffer is needed for copying: its content is written first */
		if (keep(reader, reader->out, n, err) < 0)
			return -1;
		return move_to_disk(reader, err);
	}
	return keep(reader, reader->out, n, err);
}

static int feed(struct reader *reader, const char *data, size_t size, struct err *err)
{
	size_t skipped = 0;

	if (reader->state != IN_MESSAGE)
		skipped = skip_from_line(reader, data, size);
	if (reader->state == IN_MESSAGE && reader->from_size) {
		size_t n = reader->from_size;

		reader->from_size = 0; /* no "From " line after all: it is the message's */
		if (convert(reader, reader->from, n, err) < 0)
			return -1;
	}
	return size > skipped ? convert(reader, data + skipped, size - skipped, err) : 0;
}

static int read_to_end(struct reader *reader, int fd, struct err *err)
{
	char *block = malloc(BLOCK);
	ssize_t n = -1;
	int rc = 0;

	while (block && rc == 0 && (n = read(fd, block, BLOCK)) != 0) {
		if (n > 0)
			rc = feed(reader, block, (size_t)n, err);
		else if (errno != EINTR)
			rc = err_sys(err, EX_TEMPFAIL, errno, "cannot read standard input");
	}
	free(block);
	if (!block)
		return err_sys(err, EX_TEMPFAIL, ENOMEM, "cannot read the message");
	if (rc == 0 && reader->state == AT_START && reader->from_size) {
		reader->state = IN_MESSAGE; /* the whole message is "Fro" or less */
		rc = feed(reader, NULL, 0, err);
	}
	return rc;
}

int deliver_input_read(int fd, uint64_t max_size, struct deliver_input *ret, struct err *err)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int rc = -1;

	if (!reader)
		return err_sys(err, EX_TEMPFAIL, ENOMEM, "cannot read the message");
	reader->max_size = max_size;
	reader->in_memory = true;
	reader->input.fd = memfd_create("message", MFD_CLOEXEC);
	if (reader->input.fd < 0)
		err_sys(err, EX_TEMPFAIL, errno, "cannot make a memory file");
	else if ((rc = read_to_end(reader, fd, err)) == 0 && reader->input.size == 0)
		rc = err_set(err, EX_DATAERR, "there is no message on standard input");
	if (rc == 0)
		*ret = reader->input;
	else
		deliver_input_finish(&reader->input);
	free(reader);
	return rc;
}

void deliver_input_finish(struct deliver_input *input)
{
	if (input->fd >= 0)
		close(input->fd);
	input->fd = -1;
}
