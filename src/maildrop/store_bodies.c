/* See store_bodies.h. */
#include "maildrop/store_bodies.h"

#include "base/descriptor.h"
#include "maildrop/header_octets.h"
#include "maildrop/surrogate.h"
#include "maildrop/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <pop3/message.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <unistd.h>

/* Reads a part of a file, so that the page cache has it. */
static uint64_t warm(int fd, uint64_t offset, uint64_t size)
{
	char scratch[65536];
	uint64_t done = 0;

	while (done < size) {
		size_t want =
			size - done < sizeof(scratch) ? (size_t)(size - done) : sizeof(scratch);
		ssize_t n = pread(fd, scratch, want, (off_t)(offset + done));

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

/* Reads a part of a file, less at its end. */
static uint64_t read_part(int fd, uint64_t offset, char *data, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)(offset + done));

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

static int read_whole(const struct maildrop_body *body, char *data, bool now)
{
	uint64_t done = 0;

	while (done < body->stored) {
		struct iovec part = {data + done, body->stored - done};
		ssize_t n = preadv2(body->fd, &part, 1, (off_t)(body->offset + done),
				    now ? RWF_NOWAIT : 0);

		if (n <= 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

static bool as_announced(const struct maildrop_body *body, const char *data)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, (pop3_span){data, body->stored});
	pop3_counter_finish(&counter);
	return counter.octets == body->octets;
}

static bool fits(const struct store_fetch *op, const struct maildrop_body *body)
{
	return op->room && body->stored <= STORE_VALUE_MAX &&
	       body->stored <= op->room_size - op->used;
}

static void put_value(struct store_fetch *op, uint32_t number, uint64_t octets, uint64_t stored)
{
	op->values[op->ready++] = (struct store_value){octets, number, (uint32_t)stored};
	op->used += (uint32_t)stored;
	op->form = STORE_VALUES;
}

static bool header_is_utf8(pop3_span message)
{
	struct header_octets octets;

	header_octets_init(&octets);
	header_octets_feed(&octets, message);
	return header_octets_kind(&octets) == HEADER_UTF8;
}

static enum maildrop_status no_memory(struct err *err)
{
	err_sys(err, EX_OSERR, ENOMEM, "a header in ASCII");
	return MAILDROP_TEMP;
}

/* The message at the end of what is used of room gets its surrogate. WAIT: it has no room. */
static enum maildrop_status replace(struct store_fetch *op, uint32_t *stored)
{
	char *at = op->room + op->used, *copy;
	pop3_span header = {at, surrogate_header((pop3_span){at, *stored})};
	size_t size = surrogate_size(header);
	uint64_t all = *stored + (size - header.size);
	int result;

	if (all > STORE_VALUE_MAX || all > op->room_size - op->used)
		return MAILDROP_WAIT;
	copy = malloc(size);
	result = copy ? surrogate_write(header, copy) : -1;
	if (result == 0) {
		memmove(at + size, at + header.size, *stored - header.size);
		memcpy(at, copy, size);
		*stored = (uint32_t)all;
	}
	free(copy);
	return result < 0 ? no_memory(&op->op.err) : MAILDROP_OK;
}

/* A client without UTF8, and a message that is to be added: NEEDS_UTF8; WAIT as replace. */
static enum maildrop_status suit_client(struct store_fetch *op, uint32_t *stored)
{
	if (op->utf8 == MAILDROP_AS_STORED ||
	    !header_is_utf8((pop3_span){op->room + op->used, *stored}))
		return MAILDROP_OK;
	return op->utf8 == MAILDROP_REFUSE_UTF8 ? MAILDROP_NEEDS_UTF8 : replace(op, stored);
}

/* Adds one body that fits. GONE: it cannot be read, or is not what the index says; others as
 * suit_client. */
static enum maildrop_status add(struct store_fetch *op, uint32_t number,
				const struct maildrop_body *body, bool now)
{
	uint32_t stored = (uint32_t)body->stored;
	char *to = op->room + op->used;
	enum maildrop_status status;

	if (read_whole(body, to, now) < 0 || !as_announced(body, to))
		return MAILDROP_GONE;
	status = suit_client(op, &stored);
	if (status == MAILDROP_OK)
		put_value(op, number, body->octets, stored);
	return status;
}

static enum maildrop_status take_value(void *context, uint32_t number, uint64_t octets,
				       uint32_t *stored)
{
	struct store_fetch *op = context;
	enum maildrop_status status = suit_client(op, stored);

	if (status == MAILDROP_OK)
		put_value(op, number, octets, *stored);
	return status;
}

/* Of a store that gives several at once. OK, and none is ready: the first one is large. */
static enum maildrop_status add_values(struct maildrop *maildrop, struct store_fetch *op, bool now)
{
	struct maildrop_values values = {.first = op->first,
					 .count = op->count,
					 .now = now,
					 .most = STORE_VALUE_MAX,
					 .room = op->room,
					 .room_size = op->room_size,
					 .take = take_value,
					 .context = op};

	return maildrop_values(maildrop, &values, &op->op.err);
}

bool store_bodies_now(struct maildrop *maildrop, struct store_fetch *op)
{
	if (maildrop_gives_values(maildrop)) {
		(void)add_values(maildrop, op, true);
		return op->ready > 0;
	}
	for (uint32_t i = 0; i < op->count; i++) {
		struct maildrop_body body;
		enum maildrop_status added = MAILDROP_OK;
		bool full;

		if (maildrop_body_now(maildrop, op->first + i, &body) != MAILDROP_OK)
			return false;
		full = !fits(op, &body);
		if (!full)
			added = add(op, op->first + i, &body, true);
		close(body.fd);
		if (full || added == MAILDROP_NEEDS_UTF8 || added == MAILDROP_WAIT)
			break;
		if (added != MAILDROP_OK)
			return false;
	}
	return op->ready > 0;
}

/* The header of a large message, as far as it can be read. */
static bool large_header_is_utf8(const struct maildrop_body *body)
{
	struct header_octets octets;
	char piece[16384];
	uint64_t at = 0, n;

	header_octets_init(&octets);
	do {
		n = body->stored - at < sizeof(piece) ? body->stored - at : sizeof(piece);
		n = read_part(body->fd, body->offset + at, piece, n);
		at += n;
	} while (header_octets_feed(&octets, (pop3_span){piece, n}) && n);
	return header_octets_kind(&octets) == HEADER_UTF8;
}

enum { HEADER_MAX = 1 << 20 }; /* a longer one gets no surrogate */

/* The rest of a message behind another header, in a file in memory. -1 with errno. */
static int put_behind(const struct maildrop_body *body, uint64_t from, int fd, uint64_t at)
{
	char piece[65536];
	uint64_t n;

	for (; from < body->stored; from += n, at += n) {
		n = body->stored - from < sizeof(piece) ? body->stored - from : sizeof(piece);
		n = read_part(body->fd, body->offset + from, piece, n);
		errno = ESTALE;
		if (n == 0 || maildrop_pwrite(&maildrop_kernel, fd, piece, n, (off_t)at) < 0)
			return -1;
	}
	return 0;
}

static int copy_behind(struct maildrop_body *body, pop3_span header, uint64_t from)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int fd = maildrop_kernel.memory_file("message");

	if (fd < 0)
		return -1;
	if (maildrop_pwrite(&maildrop_kernel, fd, header.data, header.size, 0) < 0 ||
	    put_behind(body, from, fd, header.size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0) {
		close_fd(&fd);
		return -1;
	}
	close(body->fd);
	body->fd = fd;
	body->offset = 0;
	body->stored = header.size + (body->stored - from);
	body->wire_form = false;
	return 0;
}

/* The same for a large message: a copy of it, in memory, with the surrogate. */
static enum maildrop_status replace_large(struct store_fetch *op, struct maildrop_body *body)
{
	uint64_t most = body->stored < HEADER_MAX ? body->stored : HEADER_MAX;
	char *text = malloc(most ? most : 1), *out = NULL;
	enum maildrop_status status = MAILDROP_OK;
	pop3_span header = {text, 0};
	size_t size;

	if (!text)
		return no_memory(&op->op.err);
	header.size = read_part(body->fd, body->offset, text, most);
	header.size = surrogate_header(header);
	if (header.size == most && most < body->stored) {
		free(text);
		return MAILDROP_NEEDS_UTF8;
	}
	size = surrogate_size(header);
	out = malloc(size ? size : 1);
	if (!out || surrogate_write(header, out) < 0) {
		status = no_memory(&op->op.err);
	} else if (copy_behind(body, (pop3_span){out, size}, header.size) < 0) {
		err_sys(&op->op.err, EX_TEMPFAIL, errno, "a copy with a header in ASCII");
		status = MAILDROP_TEMP;
	}
	free(out);
	free(text);
	return status;
}

/* As suit_client. */
static enum maildrop_status suit_large(struct store_fetch *op, struct maildrop_body *body)
{
	if (op->utf8 == MAILDROP_AS_STORED || !large_header_is_utf8(body))
		return MAILDROP_OK;
	return op->utf8 == MAILDROP_REFUSE_UTF8 ? MAILDROP_NEEDS_UTF8 : replace_large(op, body);
}

/* A large message: the descriptor goes out only if whoever reads it never has to wait. */
static enum maildrop_status lend(struct store_fetch *op, struct maildrop_body *body)
{
	enum maildrop_status status = suit_large(op, body);
	enum maildrop_lending lending;

	if (status != MAILDROP_OK) {
		close(body->fd);
		return status;
	}
	lending = maildrop_lending(body->fd);
	op->body = *body;
	op->form = lending == MAILDROP_LEND_VALUE ? STORE_STREAM : STORE_FILE;
	op->in_memory = lending == MAILDROP_LEND_MEMORY;
	op->window = 0;
	if (op->form == STORE_STREAM) {
		close(op->body.fd);
		op->body.fd = -1;
		return MAILDROP_OK;
	}
	op->window = warm(body->fd, body->offset,
			  body->stored < op->window_max ? body->stored : op->window_max);
	return MAILDROP_OK;
}

static enum maildrop_status wrong(struct maildrop *maildrop, struct store_fetch *op,
				  uint32_t number)
{
	err_set(&op->op.err, 0, "it cannot be read, or is not what the index says");
	(void)maildrop_body_wrong(maildrop, number, &op->op.err);
	return MAILDROP_GONE;
}

/* One by one: those that fit, or a large one. */
static enum maildrop_status add_bodies(struct maildrop *maildrop, struct store_fetch *op)
{
	enum maildrop_status status = MAILDROP_OK;

	for (uint32_t i = 0; i < op->count && status == MAILDROP_OK; i++) {
		uint32_t number = op->first + i;
		struct maildrop_body body;

		status = maildrop_body(maildrop, number, &body, &op->op.err);
		if (status != MAILDROP_OK)
			break;
		status = fits(op, &body) ? add(op, number, &body, false) : MAILDROP_WAIT;
		if (status == MAILDROP_WAIT) { /* it has no room */
			if (i)
				close(body.fd);
			return i ? MAILDROP_OK : lend(op, &body);
		}
		if (status == MAILDROP_GONE)
			status = wrong(maildrop, op, number);
		close(body.fd);
	}
	return status;
}

void store_bodies(struct maildrop *maildrop, struct store_fetch *op)
{
	enum maildrop_status status = MAILDROP_OK;

	if (op->room && maildrop_gives_values(maildrop))
		status = add_values(maildrop, op, false);
	if (status == MAILDROP_OK && !op->ready)
		status = add_bodies(maildrop, op);
	/* a failure behind these bodies is reported when that message is asked for */
	op->op.status = op->ready ? MAILDROP_OK : status;
}

void store_bodies_slice(struct maildrop *maildrop, struct store_slice *op)
{
	struct maildrop_body body;
	uint64_t size = 0;

	op->op.status = maildrop_body(maildrop, op->number, &body, &op->op.err);
	if (op->op.status != MAILDROP_OK)
		return;
	if (op->offset < body.stored)
		size = op->size < body.stored - op->offset ? op->size : body.stored - op->offset;
	if (op->room)
		op->size = read_part(body.fd, body.offset + op->offset, op->room, size);
	else
		op->size = warm(body.fd, body.offset + op->offset, size);
	close(body.fd);
	if (op->size)
		return;
	op->op.status = MAILDROP_GONE;
	err_set(&op->op.err, 0, "it became shorter while it was read");
}
