/* The index of a session in memory files that nobody can change any more: a base of all messages,
 * and a delta without changes. A base is kept with the box while what it says is true. */
#include "maildrop/rados/pool_private.h"

#include "base/descriptor.h"
#include "base/random.h"
#include "maildrop/index/format.h"
#include "maildrop/index/write.h"
#include "maildrop/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL };

/* The name of a record is the id in hex digits. */
static void fill(const struct drop_log *log, const struct drop_message *message,
		 struct index_message *ret)
{
	char buf[DROP_ID_TEXT];
	pop3_span id = drop_log_unique_id(log, message, buf);

	ret->octets = message->octets;
	ret->stored = message->stored;
	ret->flags = message->flags & DROP_WIRE_FORM ? INDEX_WIRE_FORM : 0;
	if (message->id_size)
		ret->flags |= INDEX_OWN_ID;
	ret->id_size = (uint8_t)id.size;
	memcpy(ret->id, id.data, id.size);
	drop_id_text(message->id, ret->name);
	ret->name_size = DROP_ID_TEXT - 1;
}

static int add_all(struct index_writer *writer, const struct drop_log *log)
{
	struct index_message message = {0};

	for (size_t i = 0; i < log->count; i++) {
		if (!log->messages[i].added || log->messages[i].deleted)
			continue;
		fill(log, &log->messages[i], &message);
		if (index_writer_add(writer, &message, DROP_ID_TEXT - 1) < 0)
			return -1;
	}
	return 0;
}

static int write_base(int fd, uint64_t id, const struct drop_log *log)
{
	struct index_stamp stamps[INDEX_DIRECTORIES] = {{0}};
	struct index_writer writer;
	int result;

	if (log->live > INDEX_COUNT_MAX) {
		errno = EFBIG;
		return -1;
	}
	if (index_writer_init(&writer, &maildrop_kernel, fd, id, (uint32_t)log->live) < 0)
		return -1;
	result = add_all(&writer, log);
	if (result == 0)
		result = index_writer_finish(&writer, stamps);
	index_writer_abort(&writer);
	return result;
}

static int make_base(const struct drop_log *log, uint64_t *ret_id)
{
	int fd = maildrop_kernel.memory_file("valija-base");

	if (fd >= 0 && random_octets(ret_id, sizeof(*ret_id)) == 0 &&
	    write_base(fd, *ret_id, log) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	close_fd(&fd);
	return -1;
}

static int make_delta(uint64_t id)
{
	unsigned char header[INDEX_DELTA_HEADER];

	index_delta_header_encode(id, header);
	return seal_octets("valija-delta", header, sizeof(header));
}

/* The base of what the box knows, as a descriptor of the session's own. */
static int base_of(struct box *box, uint64_t *ret_id)
{
	if (box->base_fd < 0 || box->base_changes != box->changes) {
		close_fd(&box->base_fd);
		box->base_fd = make_base(&box->log, &box->base_id);
		box->base_changes = box->changes;
	}
	*ret_id = box->base_id;
	return box->base_fd < 0 ? -1 : fcntl(box->base_fd, F_DUPFD_CLOEXEC, 0);
}

static int copy_messages(struct pool_session *session, const struct drop_log *log)
{
	session->messages = malloc((log->live + 1) * sizeof(*session->messages));
	if (!session->messages)
		return -1;
	for (size_t i = 0; i < log->count; i++) {
		const struct drop_message *from = &log->messages[i];
		struct pool_message *to = &session->messages[session->count];

		if (!from->added || from->deleted)
			continue;
		memcpy(to->id, from->id, DROP_ID);
		to->octets = from->octets;
		to->stored = from->stored;
		to->flags = from->flags;
		to->body_crc = from->body_crc;
		session->count++;
	}
	return 0;
}

static void fill_snapshot(struct pool_session *session, uint64_t octets)
{
	session->maildrop.snapshot = (struct maildrop_snapshot){.base_fd = session->base_fd,
								.delta_fd = session->delta_fd,
								.delta_size = INDEX_DELTA_HEADER,
								.count = session->count,
								.octets = octets};
}

int snapshot_take(struct pool_session *session, struct box *box)
{
	uint64_t id;

	session->base_fd = base_of(box, &id);
	if (session->base_fd >= 0)
		session->delta_fd = make_delta(id);
	if (session->delta_fd < 0 || copy_messages(session, &box->log) < 0)
		return -1;
	fill_snapshot(session, box->log.octets);
	return 0;
}

int snapshot_empty(struct pool_session *session)
{
	struct drop_log nothing;
	uint64_t id;

	drop_log_init(&nothing);
	session->base_fd = make_base(&nothing, &id);
	if (session->base_fd >= 0)
		session->delta_fd = make_delta(id);
	fill_snapshot(session, 0);
	return session->delta_fd < 0 ? -1 : 0;
}
