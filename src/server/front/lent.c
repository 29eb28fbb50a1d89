/* See lent.h. */
#include "server/front/lent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void lent_init(struct lent *lent)
{
	*lent = (struct lent){.fd = -1};
}

static void drop_slice(struct lent *lent)
{
	free(lent->slice);
	lent->slice = NULL;
	lent->slice_at = lent->slice_left = 0;
}

void lent_close(struct lent *lent, bool whole)
{
	drop_slice(lent);
	if (lent->fd >= 0)
		close(lent->fd);
	lent->fd = -1;
	lent->left = 0;
	lent->whole = whole;
}

void lent_take(struct lent *lent, const struct ipc_body_lent *message, int *fd)
{
	lent->fd = *fd;
	*fd = -1;
	lent->number = message->number;
	lent->begin = lent->offset = message->offset;
	lent->left = message->stored;
	lent->window = message->offset + message->window;
	lent->wire_form = message->wire_form;
	lent->in_memory = message->in_memory;
	lent->cold = lent->fd < 0;
	lent->state = LENT_READY;
}

bool lent_waits(const struct lent *lent)
{
	return lent->state != LENT_READY;
}

/* Reads what can be read without waiting. */
static ssize_t read_now(const struct lent *lent, char *buf, size_t size)
{
	struct iovec part = {buf, size};

	return preadv2(lent->fd, &part, 1, (off_t)lent->offset, lent->in_memory ? 0 : RWF_NOWAIT);
}

/* ---- by sendfile ---- */

enum lent_step lent_send_file(struct lent *lent, struct conn *conn)
{
	uint64_t size = lent->left - 2;

	char octet;

	if (!lent->wire_form || lent->left <= 2 || !lent->whole || lent->cold || lent->slice_left ||
	    !conn_can_send_file(conn))
		return LENT_BY_VALUE;
	if (lent->offset >= lent->window)
		return LENT_WANTS;
	/* sendfile cannot be asked not to wait: that the window is still in memory is */
	if (read_now(lent, &octet, 1) < 0) {
		lent->cold = true;
		return LENT_BY_VALUE;
	}
	if (size > lent->window - lent->offset)
		size = lent->window - lent->offset;
	lent->size = size;
	lent->state = LENT_SENDING;
	conn_send_file(conn, lent->fd, lent->offset, size);
	return LENT_DONE;
}

bool lent_file_sent(struct lent *lent, bool failed, struct pop3_server *pop3)
{
	if (failed || lent->state != LENT_SENDING)
		return false;
	lent->offset += lent->size;
	lent->left -= lent->size;
	lent->state = LENT_READY;
	pop3_server_body_sent(pop3, lent->size);
	return true;
}

/* ---- by value ---- */

/* The next piece, from the slice or by way of buf. */
static enum lent_step next_piece(struct lent *lent, char *buf, size_t size, pop3_span *ret)
{
	ssize_t n;

	*ret = (pop3_span){lent->slice + lent->slice_at, lent->slice_left};
	if (lent->slice_left || lent->left == 0)
		return LENT_DONE;
	if (lent->cold)
		return LENT_WANTS;
	n = read_now(lent, buf, lent->left < size ? lent->left : size);
	if (n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP)) {
		/* the keeper has read the window: what is not in memory now may not stay there
		 * the next time either */
		lent->cold = errno == EOPNOTSUPP || lent->offset < lent->window;
		return LENT_WANTS;
	}
	if (n <= 0)
		return LENT_BROKEN;
	*ret = (pop3_span){buf, (size_t)n};
	return LENT_DONE;
}

/* So many octets went out. Behind a slice the file is tried again, if there is one. */
static void went(struct lent *lent, uint64_t size)
{
	lent->offset += size;
	lent->left -= size;
	if (!lent->slice_left)
		return;
	lent->slice_at += (uint32_t)size;
	lent->slice_left -= (uint32_t)size;
	if (lent->slice_left)
		return;
	drop_slice(lent);
	lent->cold = lent->fd < 0;
}

enum lent_step lent_render(struct lent *lent, struct pop3_server *pop3, char *scratch, char *out,
			   size_t cap, size_t *used)
{
	while (pop3_server_want(pop3) == POP3_WANT_BODY && cap - *used >= 64) {
		pop3_span in;
		enum lent_step step = next_piece(lent, scratch, CONN_SCRATCH, &in);
		size_t had = in.size, wrote;

		if (step != LENT_DONE)
			return step;
		wrote = pop3_server_body(pop3, &in, had == lent->left, out + *used, cap - *used);
		*used += wrote;
		went(lent, had - in.size);
		if (!wrote && had == in.size)
			break;
	}
	return LENT_DONE;
}

/* ---- slices ---- */

void lent_ask(struct lent *lent, struct ipc_slice *message)
{
	uint64_t most = lent->cold ? IPC_BATCH_MAX : IPC_WINDOW_MAX;

	message->number = lent->number;
	message->offset = lent->offset - lent->begin;
	message->size = lent->left < most ? lent->left : most;
	message->by_value = lent->cold;
	lent->size = message->size;
	lent->state = LENT_ASKED;
}

bool lent_fits(const struct lent *lent, enum ipc_type type, const void *message)
{
	const struct ipc_slice *slice = message;

	if (type == IPC_BODY_FAILED)
		return ((const struct ipc_body_failed *)message)->number == lent->number;
	return slice->number == lent->number && slice->offset == lent->offset - lent->begin &&
	       slice->size <= lent->size && (type == IPC_SLICE) == lent->cold;
}

int lent_slice(struct lent *lent, const struct ipc_slice *message)
{
	lent->state = LENT_READY;
	if (!lent->cold) {
		lent->window = lent->offset + message->size;
		return 0;
	}
	lent->slice = malloc(message->size);
	if (!lent->slice)
		return -1;
	memcpy(lent->slice, ipc_tail(message), message->size);
	lent->slice_left = (uint32_t)message->size;
	return 0;
}
