/* See messages.h. In every process of valijad; what it checks may come from a process that an
 * attacker owns. */
#include "ipc/messages.h"

#include <assert.h>

struct row {
	const char *name;
	uint32_t size, from, to, tail_max;
	uint8_t fds_min, fds_max;
};

static const struct row rows[IPC_COUNT] = {
#define X(name_, struct_, from_, to_, min_, max_, tail_) \
	[IPC_##name_] = {.name = #name_,                 \
			 .size = sizeof(struct struct_), \
			 .from = (from_),                \
			 .to = (to_),                    \
			 .tail_max = (tail_),            \
			 .fds_min = (min_),              \
			 .fds_max = (max_)},
	IPC_MESSAGES(X)
#undef X
};

#define X(name_, struct_, from_, to_, min_, max_, tail_)                                     \
	_Static_assert(sizeof(struct struct_) % 8 == 0, #struct_ " has padding at its end"); \
	_Static_assert(sizeof(struct struct_) + (tail_) <= CHAN_PACKET_MAX,                  \
		       #name_ " fits no packet");                                            \
	_Static_assert((max_) <= CHAN_FDS_MAX, #name_ " has too many descriptors");
IPC_MESSAGES(X)
#undef X

const char *ipc_name(uint32_t type)
{
	return type > IPC_NONE && type < IPC_COUNT ? rows[type].name : "unknown message";
}

const char *ipc_role_name(enum ipc_role role)
{
	static const char *const names[ROLE_COUNT] = {"monitor", "front", "lmtp", "auth", "keeper"};

	return names[role];
}

enum ipc_type ipc_check(const void *data, size_t size, unsigned fd_count, enum ipc_role from,
			enum ipc_role to, const char **ret_why)
{
	const struct ipc_head *head = data;
	const struct row *row;

	if (size < sizeof(*head) || head->type <= IPC_NONE || head->type >= IPC_COUNT) {
		*ret_why = "no such message";
		return IPC_NONE;
	}
	row = &rows[head->type];
	if (!(row->from & 1u << from) || !(row->to & 1u << to)) {
		*ret_why = "a message that this process may not send";
		return IPC_NONE;
	}
	if (size < row->size || size - row->size != head->tail || head->tail > row->tail_max) {
		*ret_why = "a message of the wrong size";
		return IPC_NONE;
	}
	if (fd_count < row->fds_min || fd_count > row->fds_max) {
		*ret_why = "a message with the wrong number of descriptors";
		return IPC_NONE;
	}
	return (enum ipc_type)head->type;
}

size_t ipc_first(const void *data, size_t size)
{
	const struct ipc_head *head = data;
	uint64_t first;

	if (size < sizeof(*head) || head->type <= IPC_NONE || head->type >= IPC_COUNT)
		return size;
	first = (uint64_t)rows[head->type].size + head->tail;
	return first < size && first % 8 == 0 ? (size_t)first : size;
}

const char *ipc_tail(const void *message)
{
	const struct ipc_head *head = message;

	return (const char *)message + rows[head->type].size;
}

int ipc_send(struct chan *chan, enum ipc_type type, void *message, const struct iovec *tail,
	     unsigned tail_count, const int *fds, unsigned fd_count)
{
	struct iovec parts[4];
	struct ipc_head *head = message;
	size_t size = 0;

	assert(tail_count <= 3 && type > IPC_NONE && type < IPC_COUNT);
	parts[0] = (struct iovec){message, rows[type].size};
	for (unsigned i = 0; i < tail_count; i++) {
		parts[i + 1] = tail[i];
		size += tail[i].iov_len;
	}
	assert(size <= rows[type].tail_max && fd_count >= rows[type].fds_min &&
	       fd_count <= rows[type].fds_max);
	head->type = type;
	head->tail = (uint32_t)size;
	return chan_send(chan, parts, tail_count + 1, fds, fd_count);
}

int ipc_post(struct chan *chan, enum ipc_type type, void *message)
{
	struct ipc_head *head = message;

	assert(type > IPC_NONE && type < IPC_COUNT && !rows[type].fds_min);
	head->type = type;
	head->tail = 0;
	return chan_post(chan, message, rows[type].size);
}
