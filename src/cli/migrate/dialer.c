/* See dialer.h. Everything that the other server sends is hostile; the writer's questions are
 * checked as well. */
#include "cli/migrate/dialer.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/migrate/link.h"
#include "maildrop/index/view.h"
#include "maildrop/remote/remote.h"
#include "sys/chan.h"
#include "sys/process.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

enum { DNS_PORT = 53, CHANNEL_FD = 3, ORDER_FD = 4, QUEUE_MAX = 1 << 20 };

/* The order, as it crosses: one program writes and reads it. */
struct order {
	char name[64], path[512], login[512], secret[SECRET_MAX];
	char host[256], verify[CONFIG_PATH_MAX];
	uint32_t secret_size, port, tls, timeout_seconds;
	bool token, change_ids;
	uid_t uid;
	gid_t gid;
};

/* ---- in the process that starts it ---- */

static int fill(const struct dialer_order *from, struct order *ret, struct err *err)
{
	const struct config_remote *section = from->section;

	*ret = (struct order){.port = section->port,
			      .tls = section->tls,
			      .timeout_seconds = section->timeout_seconds,
			      .token = section->credentials == CONFIG_REMOTE_OAUTH,
			      .change_ids = geteuid() == 0};
	if (from->secret.size > sizeof(ret->secret) ||
	    span_copy(span_of(section->name), ret->name, sizeof(ret->name)) < 0 ||
	    span_copy(span_of(section->host), ret->host, sizeof(ret->host)) < 0 ||
	    span_copy(span_of(section->verify), ret->verify, sizeof(ret->verify)) < 0 ||
	    span_copy(span_of(from->path), ret->path, sizeof(ret->path)) < 0 ||
	    span_copy(span_of(from->login), ret->login, sizeof(ret->login)) < 0)
		return err_set(err, EX_DATAERR, "the name or the password for it is too long");
	if (from->secret.size)
		memcpy(ret->secret, from->secret.data, from->secret.size);
	ret->secret_size = (uint32_t)from->secret.size;
	if (!ret->change_ids)
		return 0;
	return sandbox_user(CONFIG_USER_CONNECTOR, &ret->uid, &ret->gid, err);
}

/* In memory, because a secret stands in it. */
static int write_order(const struct dialer_order *from, struct err *err)
{
	struct order *order = calloc(1, sizeof(*order));
	int fd = memfd_create("order", MFD_CLOEXEC), rc = -1;

	if (!order || fd < 0)
		err_set(err, EX_OSERR, "no memory");
	else if (fill(from, order, err) == 0)
		rc = write(fd, order, sizeof(*order)) == (ssize_t)sizeof(*order)
			     ? 0
			     : err_sys(err, EX_OSERR, errno, "memory");
	if (order)
		wipe(order, sizeof(*order));
	free(order);
	if (rc < 0)
		close_fd(&fd);
	return rc < 0 ? -1 : fd;
}

pid_t dialer_start(const struct dialer_order *order, int channel, struct err *err)
{
	static char name[] = "valija", command[] = "migrate", dial[] = "--dial";
	char *const argv[] = {name, command, dial, NULL};
	int fds[2] = {channel, write_order(order, err)}, self;
	pid_t pid = -1;

	if (fds[1] < 0)
		return -1;
	self = process_self(err);
	if (self >= 0)
		pid = process_spawn(self, -1, argv, fds, 2, -1, err);
	close_fd(&self);
	close_fd(&fds[1]);
	return pid;
}

/* ---- the process ---- */

struct dialer {
	struct order order;
	struct remote_server server;
	struct loop *loop;
	struct store_host host;
	struct store *store;
	struct store_where where;
	struct chan chan;
	struct maildrop *maildrop; /* NULL: not open */
	struct maildrop_snapshot snapshot;
	struct index_view *view;
	bool busy; /* an operation is under way */
	bool dead; /* the session is over */
	uint32_t *deletes;
	uint32_t delete_count;
	union {
		struct store_open open;
		struct store_fetch fetch;
		struct store_slice slice;
		struct store_commit commit;
	} op;
	struct link_packet answer;
};

static void end(struct dialer *dialer)
{
	loop_stop(dialer->loop);
}

static void send_answer(struct dialer *dialer, size_t octets)
{
	struct iovec part = {&dialer->answer, LINK_HEAD + octets};

	dialer->busy = false;
	if (chan_send(&dialer->chan, &part, 1, NULL, 0) < 0)
		end(dialer);
}

static struct link_packet *answer(struct dialer *dialer, enum link_kind kind)
{
	struct link_packet *packet = &dialer->answer;

	packet->kind = kind;
	packet->number = packet->last = 0;
	packet->status = 0;
	packet->value = 0;
	return packet;
}

static void refuse(struct dialer *dialer, const struct store_op *op)
{
	struct link_packet *packet = answer(dialer, LINK_NO);
	size_t size = strlen(op->err.text);

	packet->status = op->status;
	packet->last = dialer->dead || !dialer->maildrop;
	memcpy(packet->octets, op->err.text, size);
	send_answer(dialer, size);
}

/* ---- answers of the store ---- */

/* The store has `own` while an operation is under way. */
static struct dialer *root;

static void opened(struct store_op *op)
{
	struct dialer *dialer = root;
	struct maildrop_snapshot *snapshot = &dialer->snapshot;
	struct link_packet *packet;

	if (op->status == MAILDROP_OK) {
		dialer->maildrop = dialer->op.open.maildrop;
		store_own(dialer->maildrop, dialer);
		maildrop_snapshot(dialer->maildrop, snapshot);
		if (index_view_create(snapshot->base_fd, snapshot->delta_fd, snapshot->delta_size,
				      snapshot->count, snapshot->octets, &dialer->view,
				      &op->err) < 0)
			op->status = MAILDROP_TEMP;
	}
	if (op->status != MAILDROP_OK) {
		refuse(dialer, op);
		return;
	}
	packet = answer(dialer, LINK_OPENED);
	packet->value = snapshot->count;
	packet->number = remote_replaced_ids(dialer->maildrop);
	send_answer(dialer, 0);
}

static void fetched(struct store_op *op)
{
	struct dialer *dialer = root;

	if (op->status != MAILDROP_OK) {
		refuse(dialer, op);
		return;
	}
	(void)answer(dialer, LINK_BODY);
	send_answer(dialer, 0);
}

static void sliced(struct store_op *op)
{
	struct dialer *dialer = root;
	struct link_packet *packet;

	if (op->status != MAILDROP_OK) {
		refuse(dialer, op);
		return;
	}
	packet = answer(dialer, LINK_OCTETS);
	packet->last = dialer->op.slice.last;
	send_answer(dialer, (size_t)dialer->op.slice.size);
}

static void committed(struct store_op *op)
{
	struct dialer *dialer = root;

	dialer->dead = true;
	if (op->status != MAILDROP_OK) {
		refuse(dialer, op);
		return;
	}
	(void)answer(dialer, LINK_DONE);
	send_answer(dialer, 0);
}

static void lost(void *owner, enum store_event what)
{
	struct dialer *dialer = owner;

	(void)what;
	dialer->dead = true;
}

/* ---- questions ---- */

static void open_maildrop(struct dialer *dialer)
{
	struct order *order = &dialer->order;

	dialer->op.open =
		(struct store_open){.op.done = opened,
				    .who = {.login = span_of(order->login),
					    .secret = {order->secret, order->secret_size}}};
	store_open(dialer->store, &dialer->where, &dialer->op.open);
	wipe(order->secret, sizeof(order->secret));
}

/* As many entries as the packet has room for. */
static void list(struct dialer *dialer, uint32_t first)
{
	struct link_packet *packet = answer(dialer, LINK_PAGE);
	struct index_entry entry;
	size_t size = 0;
	struct err err;
	int got = 1;

	while (LINK_OCTETS_MAX - size >= 9 + POP3_UNIQUE_ID_MAX &&
	       (got = index_view_read(dialer->view, first, true, &entry, 1, &err)) == 1) {
		memcpy(packet->octets + size, &entry.octets, 8);
		packet->octets[size + 8] = (char)entry.unique_id.size;
		memcpy(packet->octets + size + 9, entry.unique_id.data, entry.unique_id.size);
		size += 9 + entry.unique_id.size;
		packet->value++;
		first++;
	}
	if (got < 0)
		packet->kind = LINK_NO;
	send_answer(dialer, got < 0 ? 0 : size);
}

static void fetch(struct dialer *dialer, uint32_t number)
{
	dialer->op.fetch = (struct store_fetch){
		.op.done = fetched, .first = number, .count = 1, .body.fd = -1};
	store_fetch(dialer->maildrop, &dialer->op.fetch);
}

static void slice(struct dialer *dialer, uint32_t number, uint64_t offset)
{
	dialer->op.slice = (struct store_slice){.op.done = sliced,
						.number = number,
						.offset = offset,
						.size = LINK_OCTETS_MAX,
						.room = dialer->answer.octets};
	store_slice(dialer->maildrop, &dialer->op.slice);
}

/* Ascending, each once, or the process ends: that is no writer of ours. */
static bool take_deletes(struct dialer *dialer, const struct link_packet *packet, size_t size)
{
	size_t count = size / 4;
	uint32_t *grown = realloc(dialer->deletes, (dialer->delete_count + count + 1) * 4);

	if (!grown || size % 4)
		return false;
	dialer->deletes = grown;
	for (size_t i = 0; i < count; i++) {
		uint32_t number, last = dialer->delete_count ? grown[dialer->delete_count - 1] : 0;

		memcpy(&number, packet->octets + 4 * i, 4);
		if (number <= last || number > dialer->snapshot.count)
			return false;
		grown[dialer->delete_count++] = number;
	}
	(void)answer(dialer, LINK_DONE);
	send_answer(dialer, 0);
	return true;
}

static void quit(struct dialer *dialer)
{
	dialer->op.commit = (struct store_commit){
		.op.done = committed, .numbers = dialer->deletes, .count = dialer->delete_count};
	store_commit(dialer->maildrop, &dialer->op.commit);
}

/* False: it makes no sense now. */
static bool take(struct dialer *dialer, const struct link_packet *packet, size_t octets)
{
	bool open = dialer->view != NULL;
	bool in_range = open && packet->number >= 1 && packet->number <= dialer->snapshot.count;

	if (dialer->busy)
		return false;
	dialer->busy = true;
	switch (packet->kind) {
	case LINK_OPEN:
		if (dialer->maildrop)
			return false;
		open_maildrop(dialer);
		return true;
	case LINK_LIST:
		if (in_range)
			list(dialer, packet->number);
		return in_range;
	case LINK_FETCH:
		if (in_range)
			fetch(dialer, packet->number);
		return in_range;
	case LINK_SLICE:
		if (in_range)
			slice(dialer, packet->number, packet->value);
		return in_range;
	case LINK_DELETE:
		return open && take_deletes(dialer, packet, octets);
	case LINK_QUIT:
		if (open)
			quit(dialer);
		return open;
	default:
		return false;
	}
}

static void packet(struct chan *chan, const void *data, size_t size, int *fds, unsigned fd_count)
{
	struct dialer *dialer = chan->context;

	(void)fds;
	(void)fd_count;
	if (size < LINK_HEAD || size > sizeof(struct link_packet) ||
	    !take(dialer, data, size - LINK_HEAD))
		end(dialer);
}

/* The writer has ended, or wants no more: the connection is cut by the end of this process. */
static void broken(struct chan *chan, const char *why)
{
	(void)why;
	end(chan->context);
}

static const struct chan_handler handler = {packet, broken};

/* ---- the start ---- */

/* As of the server's connector (server/keeper/connector.c). */
static int confine(const struct order *order, struct err *err)
{
	struct sandbox sandbox = {.role = SANDBOX_CONNECTOR,
				  .change_ids = order->change_ids,
				  .uid = order->uid,
				  .gid = order->gid,
				  .allow_connect = true,
				  .empty_root = order->change_ids && text_is_address(order->host)};

	sandbox.ports[sandbox.port_count++] = (uint16_t)order->port;
	if (!text_is_address(order->host)) {
		sandbox.ports[sandbox.port_count++] = DNS_PORT;
		sandbox_add_path(&sandbox, "/etc", SANDBOX_READ);
		sandbox_add_path(&sandbox, "/usr", SANDBOX_READ);
		sandbox_add_path(&sandbox, "/run", SANDBOX_READ);
	}
	return sandbox_enter(&sandbox, err);
}

static int begin(struct dialer *dialer, struct err *err)
{
	const struct order *order = &dialer->order;
	bool pin = strncmp(order->verify, "sha256//", 8) == 0;
	int channel = CHANNEL_FD;

	dialer->loop = loop_create(err);
	if (!dialer->loop)
		return -1;
	dialer->host = (struct store_host){.loop = dialer->loop, .event = lost};
	dialer->server =
		(struct remote_server){.name = order->name,
				       .host = order->host,
				       .port = (uint16_t)order->port,
				       .tls = order->tls == CONFIG_REMOTE_TLS     ? REMOTE_TLS
					      : order->tls == CONFIG_REMOTE_CLEAR ? REMOTE_CLEAR
										  : REMOTE_STARTTLS,
				       .ca_file = pin ? NULL : order->verify,
				       .pin = pin ? order->verify : NULL,
				       .token = order->token,
				       .timeout_ms = order->timeout_seconds * 1000};
	dialer->where.path = order->path;
	dialer->store = remote_store_create(&dialer->host, &dialer->server, 1, err);
	if (!dialer->store || confine(order, err) < 0)
		return -1;
	chan_init(&dialer->chan, dialer->loop, &channel, &handler, dialer, QUEUE_MAX);
	return remote_store_start(dialer->store, err);
}

int dialer_main(void)
{
	struct dialer *dialer = root = calloc(1, sizeof(*dialer));
	struct err err = {0};

	log_open("valija migrate", LOG_LEVEL_ERROR);
	if (!dialer || pread(ORDER_FD, &dialer->order, sizeof(dialer->order), 0) !=
			       (ssize_t)sizeof(dialer->order)) {
		fprintf(stderr, "valija migrate: --dial is for this command itself\n");
		return EX_USAGE;
	}
	close(ORDER_FD);
	if (begin(dialer, &err) < 0) {
		fprintf(stderr, "valija migrate: %s\n", err.text);
		return EX_TEMPFAIL;
	}
	loop_run(dialer->loop);
	return EX_OK;
}
