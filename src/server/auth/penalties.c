/* See penalties.h. */
#include "server/auth/penalties.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "server/auth/session.h"
#include "server/lines.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	MANY = 4, /* failures: if there is no room for all rows, others are left out first */
	BUCKETS_MAX = 512, /* that are looked at in a turn for a page */
};

static uint64_t now_of(const struct auth *auth)
{
	return loop_now(auth->child->loop);
}

/* ---- to the next auth ---- */

struct gathering {
	struct ipc_penalty *rows;
	uint32_t count, least, most; /* failures, from least on and below most */
};

static void gather(const struct ipc_penalty *row, void *context)
{
	struct gathering *gathering = context;

	if (row->failures >= gathering->least && row->failures < gathering->most &&
	    gathering->count < IPC_PENALTIES_MAX)
		gathering->rows[gathering->count++] = *row;
}

void penalties_send(struct auth *auth)
{
	struct gathering gathering = {.least = MANY, .most = UINT32_MAX};
	struct ipc_penalties message = {.count = 0};
	int fd;

	if (auth->limits.changes == auth->penalties_sent)
		return;
	gathering.rows = malloc(IPC_PENALTIES_MAX * sizeof(*gathering.rows));
	if (!gathering.rows)
		return; /* at the next tick */
	limits_penalties(&auth->limits, now_of(auth), gather, &gathering);
	gathering.most = MANY;
	gathering.least = 0;
	limits_penalties(&auth->limits, now_of(auth), gather, &gathering);
	message.count = gathering.count;
	fd = seal_octets("penalties", gathering.rows, gathering.count * sizeof(*gathering.rows));
	free(gathering.rows);
	if (fd >= 0 && ipc_send_fds(&auth->child->monitor, IPC_PENALTIES, &message, &fd, 1) == 0)
		auth->penalties_sent = auth->limits.changes;
	close_fd(&fd);
}

/* An intruder may have written the file: it is copied, and each row is judged. */
static int copy_rows(int fd, uint32_t count, struct ipc_penalty **ret)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	size_t size = count * sizeof(**ret);
	int has = fcntl(fd, F_GET_SEALS);
	struct ipc_penalty *rows;

	if (has < 0 || (has & seals) != seals || lseek(fd, 0, SEEK_END) != (off_t)size)
		return -1;
	rows = malloc(size + 1);
	if (!rows || pread(fd, rows, size, 0) != (ssize_t)size) {
		free(rows);
		return -1;
	}
	*ret = rows;
	return 0;
}

void penalties_take(struct auth *auth, const struct ipc_penalties *message, int fd)
{
	struct ipc_penalty *rows;

	if (copy_rows(fd, message->count, &rows) < 0) {
		log_warning("the penalties of another auth process cannot be read: those of this "
			    "one count");
		return;
	}
	for (uint32_t i = 0; i < message->count; i++)
		limits_take_penalty(&auth->limits, &rows[i], now_of(auth));
	free(rows);
}

/* ---- for a person ---- */

struct listing {
	struct auth *auth;
	struct ipc_penalty_page page;
	struct ipc_penalty rows[IPC_PENALTY_ROWS_MAX];
};

static void list_row(const struct ipc_penalty *row, void *context)
{
	struct listing *listing = context;

	if (listing->page.count == IPC_PENALTY_ROWS_MAX)
		return; /* a bucket with so many is none of a sound table */
	listing->rows[listing->page.count] = *row;
	listing->rows[listing->page.count++].last = now_of(listing->auth) - row->last;
}

void penalties_list(struct peer *control, const struct ipc_penalty_ask *ask)
{
	struct auth *auth = control->child->state;
	struct listing *listing = calloc(1, sizeof(*listing));
	uint64_t cursor = ask->cursor;
	unsigned buckets = 0;
	pop3_span tail;

	if (!listing) {
		peer_break(control, "no memory for an answer");
		return;
	}
	listing->auth = auth;
	listing->page.number = ask->number;
	listing->page.status = WHO_REFUSED;
	if (lines_obeyed(&auth->control, ask->uid, ask->gid)) {
		do
			cursor = limits_penalties_from(&auth->limits, now_of(auth), cursor,
						       list_row, listing);
		while (cursor && ++buckets < BUCKETS_MAX &&
		       listing->page.count < IPC_PENALTY_ROWS_MAX / 2);
		listing->page.status = cursor ? WHO_MORE : WHO_END;
		listing->page.cursor = cursor;
	}
	tail = (pop3_span){(const char *)listing->rows,
			   listing->page.count * sizeof(*listing->rows)};
	peer_send_parts(control, IPC_PENALTY_PAGE, &listing->page, &tail, 1);
	free(listing);
}
