/* See store_bodies.h. */
#include "maildrop/store_bodies.h"

#include "maildrop/header_octets.h"

#include <pop3/message.h>
#include <sys/uio.h>
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

/* Adds one body that fits. GONE: it cannot be read, or is not what the index says; NEEDS_UTF8. */
static enum maildrop_status add(struct store_fetch *op, uint32_t number,
				const struct maildrop_body *body, bool now)
{
	char *to = op->room + op->used;

	if (read_whole(body, to, now) < 0 || !as_announced(body, to))
		return MAILDROP_GONE;
	if (op->no_utf8 && header_is_utf8((pop3_span){to, body->stored}))
		return MAILDROP_NEEDS_UTF8;
	put_value(op, number, body->octets, body->stored);
	return MAILDROP_OK;
}

static enum maildrop_status take_value(void *context, uint32_t number, uint64_t octets,
				       pop3_span stored)
{
	struct store_fetch *op = context;

	if (op->no_utf8 && header_is_utf8(stored))
		return MAILDROP_NEEDS_UTF8;
	put_value(op, number, octets, stored.size);
	return MAILDROP_OK;
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
		if (full || added == MAILDROP_NEEDS_UTF8)
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

/* A large message: the descriptor goes out only if whoever reads it never has to wait. */
static enum maildrop_status lend(struct store_fetch *op, const struct maildrop_body *body)
{
	enum maildrop_lending lending;

	if (op->no_utf8 && large_header_is_utf8(body)) {
		close(body->fd);
		return MAILDROP_NEEDS_UTF8;
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
		if (!fits(op, &body)) {
			if (i == 0)
				status = lend(op, &body);
			else
				close(body.fd);
			break;
		}
		status = add(op, number, &body, false);
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
