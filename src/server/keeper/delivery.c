/*
 * LMTP deliveries at a keeper. A recipient exists only because auth opened it for this transaction
 * of this front. Its quota is checked before RCPT is answered. DELIVER brings the sealed message,
 * which is delivered once for each recipient's maildrop, and answered when the store has it. On the
 * keeper's loop; see keeper.h.
 */
#include "server/keeper/delivery.h"

#include "server/keeper/guard.h"
#include "server/keeper/location.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/text.h"
#include "config/remote.h"
#include "server/counters.h"
#include "server/keeper/envelope.h"
#include "server/keeper/notice.h"
#include "server/keeper/usage.h"
#include "server/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	RECIPIENTS_MAX = 2 * IPC_RECIPIENTS_MAX, /* of one session, with the targets of aliases */
	/* of one front; more is refused, as an honest front may have to wait */
	FRONT_ASKED = 4096,
	FRONT_RECIPIENTS = 1 << 17,
	/* more than an honest front has sessions, and the ends of some are on their way */
	FRONT_TRANSACTIONS = 8192,
};

struct recipient {
	struct recipient *next;
	struct keeper_place *place;
	uint32_t index, transaction;
	struct maildrop_quota quota;
	bool placed;       /* the user's entry says where the maildrop is */
	const char *user;  /* behind the address */
	const char *there; /* whom it is for at another server; behind user */
	char address[];    /* for Delivered-To */
};

/* The recipients that a front's session may deliver to now. */
struct transaction {
	struct table_node node; /* key: session */
	struct recipient *recipients;
	uint32_t count;
};

/* One message for all its recipients at this keeper: freed with the last job. */
struct delivery_message {
	int fd;
	bool utf8; /* it came with SMTPUTF8 */
	uint64_t size;
	unsigned references;
	char headers[IPC_HEADERS_MAX + 1];
};

/* A maildrop that is not there takes three steps more: the register has the intention, the folders
 * are made, the register has the maildrop. Then the message is delivered. One that the register has
 * already may have been made by `valija deliver` since: it is looked for once more. A notice may
 * follow the message. */
enum step { STEP_DELIVER, STEP_MAKE, STEP_DELIVER_MADE, STEP_DELIVER_AGAIN, STEP_NOTICE };

struct delivery_job {
	union {
		struct store_op op;
		struct store_usage usage;
		struct store_deliver deliver;
	} store; /* the operation under way */
	enum step step;
	struct keeper *keeper;
	struct delivery_message *sealed_message; /* NULL: only the quota is checked */
	struct recipient *recipient;
	struct recipient *also; /* other addresses of this maildrop: one copy, a reply to each */
	struct delivery_job *before; /* of the same message; only while DELIVER is read */
	uint64_t front, session;
	uint64_t since; /* counters_clock */
	uint32_t transaction;
	enum maildrop_status status;
	struct err err;
	char file[MAILDROP_NAME_MAX], message_id[ENVELOPE_ID_MAX]; /* for the log */
	char *text; /* header lines, then room for the beginning of the message */
};

/* Octets of the header lines of one recipient: ipc_check bounds the address. */
#define LINES_MAX (IPC_HEADERS_MAX + IPC_TEXT_MAX + 32)

static struct keeper_front *front_of(struct peer *front)
{
	return front->data;
}

static void free_recipient(struct keeper *keeper, struct recipient *recipient)
{
	keeper_place_release(keeper, recipient->place);
	free(recipient);
}

static void release_message(struct delivery_message *sealed_message)
{
	if (--sealed_message->references)
		return;
	close(sealed_message->fd);
	free(sealed_message);
}

/* ---- answers ---- */

static enum reason reason_of(const struct keeper *keeper, enum maildrop_status status)
{
	switch (status) {
	case MAILDROP_OK:
		return REASON_OK;
	case MAILDROP_OVER_QUOTA:
		return keeper_over_quota_reason(keeper);
	case MAILDROP_FULL:
		return REASON_DISK_FULL;
	case MAILDROP_GUARDED:
		return REASON_GUARD;
	case MAILDROP_IN_USE:
	case MAILDROP_TEMP:
	case MAILDROP_UNPROVEN:
	case MAILDROP_PERM:
	case MAILDROP_GONE:
	case MAILDROP_ABSENT:
	case MAILDROP_WAIT:
	case MAILDROP_LOST:
	case MAILDROP_UNKNOWN:
	case MAILDROP_CANCELLED:
	case MAILDROP_NEEDS_UTF8:
	case MAILDROP_ELSEWHERE:
	case MAILDROP_REFUSED:
	case MAILDROP_TOO_SOON:
		break;
	}
	return REASON_MAILDROP_TEMP;
}

static bool is_full(const struct store_reply *reply)
{
	return reply->enhanced[0] && strcmp(reply->enhanced + 1, ".2.2") == 0;
}

/* Of another server's reply its class goes on, with words of ours, and what most senders ask for:
 * who is not there, and whose mailbox is full. */
static enum reason reason_there(const struct delivery_job *job)
{
	const struct store_reply *reply = &job->store.deliver.reply;

	if (job->status == MAILDROP_OK)
		return REASON_OK;
	if (job->status == MAILDROP_REFUSED)
		return is_full(reply)                          ? REASON_OVER_QUOTA_PERM
		       : strcmp(reply->enhanced, "5.1.1") == 0 ? REASON_NO_SUCH_USER
							       : REASON_REMOTE_REFUSED;
	return is_full(reply) && reply->code / 100 == 4 ? REASON_OVER_QUOTA : REASON_MAILDROP_TEMP;
}

static void answer(const struct delivery_job *job, uint32_t index, enum ipc_type type,
		   enum reason reason)
{
	struct peer *front = child_peer(job->keeper->child, ROLE_LMTP, job->front);
	struct ipc_recipient_answer message = {.session = job->session,
					       .transaction = job->transaction,
					       .index = index,
					       .reason = reason,
					       .on_demand = type == IPC_RCPT_READY &&
							    job->keeper->on_demand};

	if (front)
		peer_send(front, type, &message);
}

/* ---- recipients ---- */

static struct transaction *transaction_of(struct peer *front, uint64_t session, bool make)
{
	struct table_node *node = table_find(&front_of(front)->transactions, session);
	struct transaction *transaction;

	if (node || !make)
		return node ? CONTAINER(node, struct transaction, node) : NULL;
	if (front_of(front)->transactions.count >= FRONT_TRANSACTIONS) {
		peer_break(front, "it never ends its transactions");
		return NULL;
	}
	transaction = calloc(1, sizeof(*transaction));
	if (transaction)
		table_add(&front_of(front)->transactions, &transaction->node, session);
	return transaction;
}

static bool has_quota(const struct recipient *recipient)
{
	return recipient->quota.max_messages || recipient->quota.max_octets;
}

/* The recipient's quota is known, or why it is not (err); frees the job. */
static void quota_known(struct delivery_job *job)
{
	struct peer *front = child_peer(job->keeper->child, ROLE_LMTP, job->front);
	struct transaction *transaction = NULL;
	struct keeper *keeper = job->keeper;

	if (front) {
		front_of(front)->asked--;
		transaction = transaction_of(front, job->session, job->status == MAILDROP_OK);
	}
	if (job->status == MAILDROP_OK && transaction && transaction->count < RECIPIENTS_MAX &&
	    front_of(front)->recipients < FRONT_RECIPIENTS) {
		answer(job, job->recipient->index, IPC_RCPT_READY, REASON_OK);
		job->recipient->next = transaction->recipients;
		transaction->recipients = job->recipient;
		transaction->count++;
		front_of(front)->recipients++;
	} else {
		if (job->status != MAILDROP_OK && job->status != MAILDROP_OVER_QUOTA)
			log_error("%s: quota not checked: %s", job->recipient->place->path,
				  job->store.op.err.text);
		answer(job, job->recipient->index, IPC_RCPT_REFUSED,
		       reason_of(keeper, job->status == MAILDROP_OK ? MAILDROP_TEMP : job->status));
		free_recipient(keeper, job->recipient);
	}
	free(job);
}

static void counted(struct store_op *op)
{
	struct delivery_job *job = CONTAINER(op, struct delivery_job, store.op);
	struct keeper *keeper = job->keeper;

	job->status = op->status;
	if (op->status == MAILDROP_OK &&
	    keeper_over_quota(&job->recipient->quota, &job->store.usage.usage, 0))
		job->status = MAILDROP_OVER_QUOTA;
	quota_known(job);
	keeper_done(keeper);
}

static struct delivery_job *new_job(struct keeper *keeper, uint64_t front, uint64_t session,
				    struct recipient *recipient)
{
	struct delivery_job *job = calloc(1, sizeof(*job));

	if (!job)
		abort();
	job->keeper = keeper;
	job->front = front;
	job->session = session;
	job->transaction = recipient->transaction;
	job->recipient = recipient;
	return job;
}

static void refuse(struct peer *front, uint64_t session, uint32_t transaction, uint32_t index)
{
	struct ipc_recipient_answer refusal = {.session = session,
					       .transaction = transaction,
					       .index = index,
					       .reason = REASON_MAILDROP_TEMP};

	peer_send(front, IPC_RCPT_REFUSED, &refusal);
}

static struct recipient *new_recipient(struct keeper *keeper, struct keeper_root *root,
				       pop3_span path, const pop3_span texts[3])
{
	struct recipient *recipient =
		calloc(1, sizeof(*recipient) + texts[0].size + texts[1].size + texts[2].size + 3);
	char *at;

	if (recipient)
		recipient->place = keeper_place_take(keeper, root, path);
	if (!recipient || !recipient->place)
		abort();
	at = recipient->address;
	memcpy(at, texts[0].data, texts[0].size);
	recipient->user = at += texts[0].size + 1;
	memcpy(at, texts[1].data, texts[1].size);
	recipient->there = at += texts[1].size + 1;
	memcpy(at, texts[2].data, texts[2].size);
	return recipient;
}

void keeper_recipient(struct peer *auth, const struct ipc_recipient_open *message)
{
	struct keeper *keeper = auth->child->state;
	struct peer *front = child_peer(auth->child, ROLE_LMTP, message->front);
	const pop3_span texts[] = {ipc_text(message, 2), ipc_text(message, 0), {"", 0}};
	struct keeper_root *root = keeper_root_of(keeper, message->root);
	struct recipient *recipient;
	struct delivery_job *job;

	if (!front)
		return;
	if (!root) {
		peer_break(auth, "a maildrop in a folder that is not there");
		return;
	}
	if (front_of(front)->asked >= FRONT_ASKED || root->away) {
		refuse(front, message->session, message->transaction, message->index);
		return;
	}
	recipient = new_recipient(keeper, root, ipc_text(message, 1), texts);
	recipient->placed = message->placed;
	recipient->index = message->index;
	recipient->transaction = message->transaction;
	recipient->quota = (struct maildrop_quota){message->quota_messages, message->quota_octets};
	job = new_job(keeper, message->front, message->session, recipient);
	front_of(front)->asked++;
	if (!has_quota(recipient) || !(store_abilities(root->store) & STORE_QUOTA)) {
		quota_known(job);
		return;
	}
	job->store.op.done = counted;
	keeper_begin(keeper);
	store_usage(root->store, &recipient->place->where, &job->store.usage);
}

void keeper_recipient_remote(struct peer *auth, const struct ipc_recipient_remote *message,
			     pop3_span path)
{
	struct keeper *keeper = auth->child->state;
	struct peer *front = child_peer(auth->child, ROLE_LMTP, message->front);
	const pop3_span texts[] = {ipc_text(message, 2), ipc_text(message, 0),
				   ipc_text(message, 1)};
	struct recipient *recipient;

	if (!front)
		return;
	recipient = new_recipient(keeper, &keeper->remotes, path, texts);
	recipient->index = message->index;
	recipient->transaction = message->transaction;
	front_of(front)->asked++;
	quota_known(new_job(keeper, message->front, message->session, recipient));
}

/* ---- messages ---- */

/* The header lines of this recipient. Return-Path stays the first line (RFC 5321 section 4.4); it
 * and Delivered-To are of the server that delivers. */
static size_t write_lines(const struct delivery_job *job, char ret[LINES_MAX])
{
	const char *headers = job->sealed_message->headers;
	size_t first = strcspn(headers, "\n");
	const char *rest = headers + first + (headers[first] != '\0');

	if (job->recipient->place->root->remote)
		return (size_t)snprintf(ret, LINES_MAX, "%s", rest);
	return (size_t)snprintf(ret, LINES_MAX, "%.*sDelivered-To: %s\r\n%s", (int)(rest - headers),
				headers, job->recipient->address, rest);
}

static void delivery_done(struct store_op *op);

static void begin_delivery(struct delivery_job *job)
{
	struct store_deliver *op = &job->store.deliver;
	struct keeper *keeper = job->keeper;

	if (!job->text)
		job->text = malloc(LINES_MAX + ENVELOPE_HEAD);
	if (!job->text)
		abort();
	memset(op, 0, sizeof(*op));
	op->op.done = delivery_done;
	op->delivery =
		(struct maildrop_delivery){.message_fd = job->sealed_message->fd,
					   .message_size = job->sealed_message->size,
					   .headers = {job->text, write_lines(job, job->text)},
					   .quota = job->recipient->quota,
					   .ret_name = job->file};
	op->recipient = span_of(job->recipient->there);
	op->sender = envelope_sender(job->sealed_message->headers);
	op->utf8 = job->sealed_message->utf8;
	op->counts = keeper->child->config->quota_notices && has_quota(job->recipient);
	op->head = job->text + LINES_MAX;
	op->head_room = ENVELOPE_HEAD;
	keeper_begin(keeper);
	store_deliver(job->recipient->place->root->store, &job->recipient->place->where, op);
}

/* The message made the mailbox nearly full: a notice follows it. It counts for no quota of this
 * delivery. A failure is logged, and costs nothing else. False: there is none. */
static bool begin_notice(struct delivery_job *job)
{
	static const char headers[] = "Return-Path: <>\r\n";
	struct store_deliver *op = &job->store.deliver;
	const struct config *config = job->keeper->child->config;
	char text[NOTICE_MAX];
	unsigned percent = 0;
	size_t size = 0;
	int fd = -1;

	if (op->counted)
		size = notice_if_passed(&job->recipient->quota, &op->before, &op->after,
					job->recipient->address, config->host_name, text, &percent);
	if (size)
		fd = memfd_create("notice", MFD_CLOEXEC);
	if (fd < 0 || write_all(fd, text, size) < 0) {
		if (size)
			log_warning("%s: no notice that it is %u %% full: no memory",
				    job->recipient->place->path, percent);
		close_fd(&fd);
		return false;
	}
	job->step = STEP_NOTICE;
	memset(op, 0, sizeof(*op));
	op->op.done = delivery_done;
	op->delivery = (struct maildrop_delivery){
		.message_fd = fd, .message_size = size, .headers = {headers, sizeof(headers) - 1}};
	keeper_begin(job->keeper);
	store_deliver(job->recipient->place->root->store, &job->recipient->place->where, op);
	return true;
}

static bool is_over_quota(const struct delivery_job *job)
{
	return job->status == MAILDROP_OVER_QUOTA ||
	       (job->status != MAILDROP_OK && job->recipient->place->root->remote &&
		is_full(&job->store.deliver.reply));
}

/* Where the message went, and for whom. */
static void add_server(struct record *record, const struct delivery_job *job)
{
	const struct config *config = job->keeper->child->config;
	const char *path = job->recipient->place->path;
	int remote = config_remote_find(config, (pop3_span){path, strcspn(path, "/")});
	char server[CONFIG_NAME_MAX + 16];

	if (remote < 0)
		return;
	record_words(record, RECORD_KEY_SERVER,
		     config_remote_text(&config->remotes[remote], "lmtp", server, sizeof(server)));
	record_text(record, RECORD_KEY_THERE, span_of(job->recipient->there));
}

static void log_delivery(const struct delivery_job *job)
{
	const struct recipient *recipient = job->recipient;
	const char *headers = job->sealed_message->headers;
	struct record record;

	record_begin(&record,
		     job->status == MAILDROP_OK ? RECORD_DELIVERED
		     : is_over_quota(job)       ? RECORD_OVER_QUOTA
						: RECORD_DELIVERY_FAILED,
		     NULL, job->front, job->session);
	record_number(&record, RECORD_KEY_SIZE, job->sealed_message->size);
	record_text(&record, RECORD_KEY_CLIENT, envelope_client(headers));
	record_text(&record, RECORD_KEY_USER, span_of(recipient->user));
	record_text(&record, RECORD_KEY_RECIPIENT, span_of(recipient->address));
	record_text(&record, RECORD_KEY_SENDER, envelope_sender(headers));
	record_text(&record, RECORD_KEY_MESSAGE_ID, span_of(job->message_id));
	if (recipient->place->root->remote)
		add_server(&record, job);
	if (job->status == MAILDROP_OK && recipient->place->root->remote) {
		record_text(&record, RECORD_KEY_ANSWER, span_of(job->store.deliver.reply.words));
	} else if (job->status == MAILDROP_OK) {
		record_words(&record, RECORD_KEY_FILE, job->file);
	} else {
		record_text(&record, RECORD_KEY_MAILDROP, span_of(recipient->place->path));
		record_words(&record, RECORD_KEY_REASON,
			     job->status == MAILDROP_OVER_QUOTA ? "over quota" : job->err.text);
	}
	record_write(&record);
}

static void delivered(struct delivery_job *job)
{
	struct keeper *keeper = job->keeper;
	enum reason reason = job->recipient->place->root->remote ? reason_there(job)
								 : reason_of(keeper, job->status);

	log_delivery(job);
	if (job->status == MAILDROP_GUARDED)
		keeper_guard_tripped(keeper, job->recipient->place);
	counters_took(COUNTER_DELIVERY_SECONDS, job->since);
	if (job->status == MAILDROP_OK)
		counters_add(COUNTER_DELIVERED_OCTETS, job->sealed_message->size);
	if (job->status == MAILDROP_OK && !job->recipient->place->root->remote)
		keeper_location_seen(keeper, job->recipient->place);
	job->recipient->next = job->also;
	while (job->recipient) {
		struct recipient *recipient = job->recipient;

		job->recipient = recipient->next;
		counters_add(COUNTER_DELIVERIES + (size_t)reason, 1);
		answer(job, recipient->index, IPC_DELIVERED, reason);
		free_recipient(keeper, recipient);
	}
	release_message(job->sealed_message);
	free(job->text);
	free(job);
}

static void made(struct store_op *op);

/* The register has the intention, or the maildrop, on the disk: the next step. */
static void registered(void *context, bool allowed, const char *why)
{
	struct delivery_job *job = context;

	bool first = job->step == STEP_DELIVER;

	if (!allowed)
		snprintf(job->err.text, sizeof(job->err.text), "%s", why);
	if (!allowed && !first) {
		job->status = MAILDROP_TEMP;
		delivered(job);
		return;
	}
	job->step = !allowed ? STEP_DELIVER_AGAIN : first ? STEP_MAKE : STEP_DELIVER_MADE;
	if (job->step != STEP_MAKE) {
		begin_delivery(job);
		return;
	}
	memset(&job->store, 0, sizeof(job->store));
	job->store.op.done = made;
	keeper_begin(job->keeper);
	store_make(job->recipient->place->root->store, &job->recipient->place->where,
		   &job->store.op);
}

static void ask_location(struct delivery_job *job, enum ipc_location_ask ask)
{
	struct keeper_whose whose = {job->recipient->user, job->recipient->placed};

	keeper_location_ask(job->keeper, ask, job->recipient->place, &whose, registered, job);
}

static void made(struct store_op *op)
{
	struct delivery_job *job = CONTAINER(op, struct delivery_job, store.op);
	struct keeper *keeper = job->keeper;

	job->status = op->status;
	job->err = op->err;
	if (op->status == MAILDROP_OK)
		ask_location(job, LOCATION_MADE);
	else
		delivered(job);
	keeper_done(keeper);
}

/* The message was delivered, or not. */
static void message_done(struct delivery_job *job)
{
	const struct store_deliver *op = &job->store.deliver;

	envelope_message_id((pop3_span){op->head, op->head_size}, job->message_id);
	job->status = op->op.status;
	if (job->step == STEP_DELIVER_AGAIN && job->status == MAILDROP_ABSENT)
		job->status = MAILDROP_TEMP; /* err says why none is made */
	else if (job->status != MAILDROP_OK)
		job->err = op->op.err;
	if (job->step == STEP_DELIVER && job->status == MAILDROP_ABSENT &&
	    store_abilities(job->recipient->place->root->store) & STORE_MAKES)
		ask_location(job, LOCATION_MAKE);
	else if (!begin_notice(job))
		delivered(job);
}

static void delivery_done(struct store_op *op)
{
	struct delivery_job *job = CONTAINER(op, struct delivery_job, store.op);
	struct keeper *keeper = job->keeper;

	if (job->step != STEP_NOTICE) {
		message_done(job);
	} else {
		if (op->status != MAILDROP_OK)
			log_warning("%s: no notice that it is nearly full: %s",
				    job->recipient->place->path, op->err.text);
		close(job->store.deliver.delivery.message_fd);
		delivered(job);
	}
	keeper_done(keeper);
}

/*
 * A memory file must be sealed, as an honest front does. A file of the spool cannot be: a front
 * that an attacker owns may change or cut it while it is copied. So the copy reads each octet once,
 * by pread(), and counts what it has read; a file that is cut fails the delivery. What such a front
 * could write into the file, it could have sent as well. The descriptor must not write: keepers of
 * other users get the same file.
 */
static bool can_be_copied(int fd, uint64_t size)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK;
	int seals = fcntl(fd, F_GET_SEALS), flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < size)
		return false;
	if ((seals & wanted) == wanted && seals >= 0)
		return true;
	/* not a memory file; one of tmpfs refuses seals in this way */
	return (seals < 0 || seals == F_SEAL_SEAL) &&
	       (flags & (O_ACCMODE | O_PATH | O_DIRECT)) == O_RDONLY;
}

static struct delivery_message *new_message(const struct ipc_deliver *message, int *fd)
{
	size_t numbers = message->count * sizeof(uint32_t);
	struct delivery_message *sealed_message;

	if (!can_be_copied(*fd, message->size))
		return NULL;
	sealed_message = calloc(1, sizeof(*sealed_message));
	if (!sealed_message)
		return NULL;
	memcpy(sealed_message->headers, ipc_tail(message) + numbers, message->head.tail - numbers);
	sealed_message->size = message->size;
	sealed_message->utf8 = message->utf8 != 0;
	sealed_message->references = 1;
	sealed_message->fd = *fd;
	*fd = -1;
	return sealed_message;
}

static struct recipient *take_recipient(struct keeper_front *front, struct transaction *transaction,
					uint32_t number, uint32_t index)
{
	for (struct recipient **at = &transaction->recipients; *at; at = &(*at)->next) {
		struct recipient *recipient = *at;

		if (recipient->transaction != number || recipient->index != index)
			continue;
		*at = recipient->next;
		transaction->count--;
		front->recipients--;
		return recipient;
	}
	return NULL;
}

static bool same_quota(const struct maildrop_quota *a, const struct maildrop_quota *b)
{
	return a->max_messages == b->max_messages && a->max_octets == b->max_octets;
}

/* Starts the delivery to recipient, unless one of this message to the same maildrop is under way
 * (jobs, the last one first): an address that was given twice, or two of one user, get one copy. */
static void deliver_one(struct peer *front, const struct ipc_deliver *message,
			struct delivery_message *sealed_message, struct recipient *recipient,
			struct delivery_job **jobs)
{
	struct keeper *keeper = front->child->state;
	struct delivery_job *job = *jobs;

	while (job && (job->recipient->place != recipient->place ||
		       !same_quota(&job->recipient->quota, &recipient->quota)))
		job = job->before;
	if (job) {
		recipient->next = job->also;
		job->also = recipient;
		return;
	}
	job = new_job(keeper, front->instance, message->session, recipient);
	job->before = *jobs;
	*jobs = job;
	job->sealed_message = sealed_message;
	job->since = counters_clock();
	sealed_message->references++;
	begin_delivery(job);
}

void keeper_deliver(struct peer *front, const struct ipc_deliver *message, int *fd)
{
	struct transaction *transaction = transaction_of(front, message->session, false);
	struct delivery_message *sealed_message = new_message(message, fd);
	struct delivery_job *jobs = NULL;
	struct recipient *recipient;
	uint32_t index;

	if (!sealed_message) {
		peer_break(front, "a delivery that does not add up");
		return;
	}
	for (uint32_t i = 0; i < message->count && transaction; i++) {
		memcpy(&index, ipc_tail(message) + i * sizeof(index), sizeof(index));
		while ((recipient = take_recipient(front_of(front), transaction,
						   message->transaction, index)))
			deliver_one(front, message, sealed_message, recipient, &jobs);
	}
	release_message(sealed_message);
}

static void end_transaction(struct peer *front, struct transaction *transaction)
{
	struct keeper *keeper = front->child->state;

	while (transaction->recipients) {
		struct recipient *recipient = transaction->recipients;

		transaction->recipients = recipient->next;
		front_of(front)->recipients--;
		free_recipient(keeper, recipient);
	}
	table_remove(&front_of(front)->transactions, &transaction->node);
	free(transaction);
}

void keeper_forget(struct peer *front, const struct ipc_transaction *message)
{
	struct transaction *transaction = transaction_of(front, message->session, false);
	struct keeper *keeper = front->child->state;
	struct recipient **at;

	if (!transaction)
		return;
	at = &transaction->recipients;
	while (*at) {
		struct recipient *recipient = *at;

		if (recipient->transaction != message->transaction) {
			at = &recipient->next;
			continue;
		}
		*at = recipient->next;
		transaction->count--;
		front_of(front)->recipients--;
		free_recipient(keeper, recipient);
	}
	if (!transaction->recipients)
		end_transaction(front, transaction);
}

static void end_one(struct table_node *node, void *context)
{
	end_transaction(context, CONTAINER(node, struct transaction, node));
}

void keeper_transactions_end(struct peer *front)
{
	table_each(&front_of(front)->transactions, end_one, front);
}
