/* See lent.h. */
#include "server/front/lent.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

void lent_init(struct lent *lent)
{
	*lent = (struct lent){.fd = -1};
}

void lent_close(struct lent *lent, bool whole)
{
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
	lent->offset = message->offset;
	lent->left = message->stored;
	lent->window = message->offset + message->window;
	lent->wire_form = message->wire_form;
	lent->state = LENT_READY;
}

bool lent_waits(const struct lent *lent)
{
	return lent->state != LENT_READY;
}

/* ---- by sendfile ---- */

enum lent_step lent_send_file(struct lent *lent, struct conn *conn)
{
	uint64_t size = lent->left - 2;

	if (!lent->wire_form || lent->left <= 2 || !lent->whole || !conn_can_send_file(conn))
		return LENT_BY_VALUE;
	if (lent->offset >= lent->window)
		return LENT_WANTS;
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

/* The next piece of the file, without waiting for a disk. */
static enum lent_step read_piece(const struct lent *lent, char *buf, size_t size, size_t *ret_size)
{
	struct iovec part = {buf, lent->left < size ? lent->left : size};
	ssize_t n;

	*ret_size = 0;
	if (part.iov_len == 0)
		return LENT_DONE;
	n = preadv2(lent->fd, &part, 1, (off_t)lent->offset, RWF_NOWAIT);
	/* within the window the keeper has just read it */
	if (n < 0 && (errno == EOPNOTSUPP || (errno == EAGAIN && lent->offset < lent->window)))
		n = pread(lent->fd, buf, part.iov_len, (off_t)lent->offset);
	if (n < 0 && errno == EAGAIN)
		return LENT_WANTS;
	if (n <= 0)
		return LENT_BROKEN;
	*ret_size = (size_t)n;
	return LENT_DONE;
}

enum lent_step lent_render(struct lent *lent, struct pop3_server *pop3, char *scratch, char *out,
			   size_t cap, size_t *used)
{
	while (pop3_server_want(pop3) == POP3_WANT_BODY && cap - *used >= 64) {
		size_t had, wrote;
		enum lent_step step = read_piece(lent, scratch, CONN_SCRATCH, &had);
		pop3_span in = {scratch, had};

		if (step != LENT_DONE)
			return step;
		wrote = pop3_server_body(pop3, &in, had == lent->left, out + *used, cap - *used);
		*used += wrote;
		lent->offset += had - in.size;
		lent->left -= had - in.size;
		if (!wrote && had == in.size)
			break;
	}
	return LENT_DONE;
}

/* ---- slices ---- */

void lent_ask(struct lent *lent, struct ipc_slice *message)
{
	message->number = lent->number;
	message->offset = lent->offset;
	message->size = lent->left < IPC_WINDOW_MAX ? lent->left : IPC_WINDOW_MAX;
	lent->size = message->size;
	lent->state = LENT_ASKED;
}

bool lent_fits(const struct lent *lent, enum ipc_type type, const void *message)
{
	const struct ipc_slice *slice = message;

	if (type != IPC_SLICE_READY)
		return ((const struct ipc_body_failed *)message)->number == lent->number;
	return slice->number == lent->number && slice->offset == lent->offset &&
	       slice->size <= lent->size;
}

void lent_slice(struct lent *lent, const struct ipc_slice *message)
{
	lent->state = LENT_READY;
	lent->window = lent->offset + message->size;
}
