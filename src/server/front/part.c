/* See part.h. */
#include "server/front/part.h"

#include "base/text.h"
#include "server/front/session.h"
#include "server/record.h"

#include <unistd.h>

/* ---- opened, closed ---- */

void part_send_close(struct peer *keeper, uint64_t session)
{
	struct ipc_session message = {.session = session};

	/* at once, not at the end of the turn: a client that reconnects after the last reply must
	 * not get [IN-USE] */
	ipc_send(&keeper->chan, IPC_CLOSE, &message);
}

void part_open(struct part *part, struct session *session, struct link *keeper,
	       const struct ipc_opened *message, int *fds)
{
	*part = (struct part){.session = session,
			      .base_fd = fds[0],
			      .delta_fd = fds[1],
			      .delta_size = message->delta_size,
			      .octets = message->octets,
			      .count = message->count,
			      .remote = message->remote};
	fds[0] = fds[1] = -1;
	link_join(keeper, &part->keeper);
}

bool part_is_open(const struct part *part)
{
	return part->session != NULL;
}

void part_close(struct part *part)
{
	struct link *keeper = link_of(&part->keeper);

	if (!part_is_open(part))
		return;
	if (keeper) {
		/* CLOSE goes first: the credit that comes back is used again at once */
		part_send_close(link_peer(keeper), part->session->client.node.key);
		link_part(&part->keeper);
	}
	body_destroy(part->body);
	index_view_destroy(part->view);
	close(part->base_fd);
	close(part->delta_fd);
	*part = (struct part){0};
}

void part_trim(struct part *part)
{
	if (part->view)
		index_view_trim(part->view);
}

void part_put_away(struct part *part)
{
	body_trim(part->body);
	index_view_destroy(part->view);
	part->view = NULL;
}

/* ---- the index ---- */

static void index_wrong(struct part *part, const struct err *err)
{
	struct session *session = part->session;
	struct ipc_session message = {.session = session->client.node.key};
	struct record record;

	record_begin(&record, RECORD_INDEX_WRONG, session->address,
		     session->front->frame.child->instance, session->client.node.key);
	if (session->ending.user) /* else a login that is not over */
		record_text(&record, RECORD_KEY_USER, span_of(session->ending.user));
	record_words(&record, RECORD_KEY_REASON, err->text);
	record_write(&record);
	ipc_send(link_chan(&part->keeper), IPC_INDEX_WRONG, &message);
}

static bool have_view(struct part *part)
{
	struct err err;

	if (part->view)
		return true;
	if (index_view_create(part->base_fd, part->delta_fd, part->delta_size, part->count,
			      part->octets, &part->view, &err) == 0)
		return true;
	index_wrong(part, &err);
	return false;
}

int part_entries(struct part *part, uint32_t first, bool with_ids, struct index_entry *ret,
		 uint32_t n)
{
	struct err err;
	int got;

	if (!have_view(part))
		return -1;
	got = index_view_read(part->view, first, with_ids, ret, n, &err);
	if (got > 0)
		return got;
	index_wrong(part, &err);
	return -1;
}

/* ---- QUIT ---- */

int64_t part_delete_marked(const struct part *part, uint32_t before)
{
	struct session *session = part->session;
	uint32_t *numbers = session->front->numbers, count = 0;
	struct ipc_delete message = {.session = session->client.node.key};
	int64_t all = 0;

	for (uint32_t n = 1; n <= part->count; n++) {
		if (pop3_server_marked(&session->pop3, before + n))
			numbers[count++] = n;
		if (count && (count == IPC_NUMBERS_MAX || n == part->count)) {
			pop3_span tail = {(const char *)numbers, count * sizeof(*numbers)};

			message.count = count;
			if (ipc_send_all(link_chan(&part->keeper), IPC_DELETE, &message, &tail, 1,
					 NULL, 0) < 0)
				return -1;
			all += count;
			count = 0;
		}
	}
	return all;
}
