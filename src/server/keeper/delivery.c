/*
 * LMTP deliveries at a keeper. A recipient exists only because auth opened it for this transaction
 * of this front. Its quota is checked before RCPT is answered. DELIVER brings the sealed message,
 * which is written once for each recipient in the lane of the recipient's maildrop, and answered
 * when it is on disk. On the keeper's loop and in its workers; see keeper.h.
 */
#include "server/keeper/delivery.h"

#include "server/keeper/location.h"

#include "base/log.h"
#include "base/text.h"
#include "server/keeper/envelope.h"
#include "server/keeper/notice.h"
#include "server/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
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
	struct keeper_lane *lane;
	uint32_t index, transaction;
	struct maildrop_quota quota;
	const char *user; /* behind the address */
	char address[];   /* for Delivered-To */
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
	uint64_t size;
	unsigned references;
	char headers[IPC_HEADERS_MAX + 1];
};

/* A maildrop that is not there takes three steps more: the register has the intention, the folders
 * are made, the register has the maildrop. Then the message is delivered. One that the register has
 * already may have been made by `valija deliver` since: it is looked for once more. */
enum step { STEP_DELIVER, STEP_MAKE, STEP_DELIVER_MADE, STEP_DELIVER_AGAIN };

struct delivery_job {
	struct job job;
	enum step step;
	struct keeper *keeper;
	struct delivery_message *sealed_message; /* NULL: only the quota is checked */
	struct recipient *recipient;
	struct recipient *also; /* other addresses of this maildrop: one copy, a reply to each */
	struct delivery_job *before; /* of the same message; only while DELIVER is read */
	uint64_t front, session;
	uint32_t transaction;
	enum maildrop_status status;
	struct err err;
	char file[MAILDROP_NAME_MAX], message_id[ENVELOPE_ID_MAX]; /* for the log */
};

static struct keeper_front *front_of(struct peer *front)
{
	return front->data;
}

static void free_recipient(struct keeper *keeper, struct recipient *recipient)
{
	keeper_lane_release(keeper, recipient->lane);
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
		return keeper->child->config->quota_permanent ? REASON_OVER_QUOTA_PERM
							      : REASON_OVER_QUOTA;
	case MAILDROP_FULL:
		return REASON_DISK_FULL;
	case MAILDROP_IN_USE:
	case MAILDROP_TEMP:
	case MAILDROP_PERM:
	case MAILDROP_GONE:
	case MAILDROP_ABSENT:
	case MAILDROP_WAIT:
		break;
	}
	return REASON_MAILDROP_TEMP;
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

static void quota_run(struct job *base)
{
	struct delivery_job *job = (struct delivery_job *)base;
	const struct maildrop_quota *quota = &job->recipient->quota;
	struct maildrop_usage usage;

	job->status = MAILDROP_OK;
	if (!quota->max_messages && !quota->max_octets)
		return;
	job->status = maildrop_usage(&job->keeper->settings, job->keeper->mail_fd,
				     job->recipient->lane->path, &usage, &job->err);
	if (job->status == MAILDROP_OK &&
	    ((quota->max_messages && usage.messages >= quota->max_messages) ||
	     (quota->max_octets && usage.octets >= quota->max_octets)))
		job->status = MAILDROP_OVER_QUOTA;
}

static void quota_done(struct job *base)
{
	struct delivery_job *job = (struct delivery_job *)base;
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
			log_error("%s: quota not checked: %s", job->recipient->lane->path,
				  job->err.text);
		answer(job, job->recipient->index, IPC_RCPT_REFUSED,
		       reason_of(keeper, job->status == MAILDROP_OK ? MAILDROP_TEMP : job->status));
		free_recipient(keeper, job->recipient);
	}
	free(job);
	keeper_job_over(keeper);
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

static void refuse(struct peer *front, const struct ipc_recipient_open *message)
{
	struct ipc_recipient_answer refusal = {.session = message->session,
					       .transaction = message->transaction,
					       .index = message->index,
					       .reason = REASON_MAILDROP_TEMP};

	peer_send(front, IPC_RCPT_REFUSED, &refusal);
}

void keeper_recipient(struct peer *auth, const struct ipc_recipient_open *message)
{
	struct keeper *keeper = auth->child->state;
	struct peer *front = child_peer(auth->child, ROLE_LMTP, message->front);
	pop3_span user = ipc_text(message, 0), address = ipc_text(message, 2);
	struct recipient *recipient;
	struct delivery_job *job;

	if (!front)
		return;
	if (front_of(front)->asked >= FRONT_ASKED || atomic_load(&keeper->mail_away)) {
		refuse(front, message);
		return;
	}
	recipient = calloc(1, sizeof(*recipient) + address.size + 1 + user.size + 1);
	if (recipient)
		recipient->lane = keeper_lane_take(keeper, ipc_text(message, 1));
	if (!recipient || !recipient->lane)
		abort();
	memcpy(recipient->address, address.data, address.size);
	memcpy(recipient->address + address.size + 1, user.data, user.size);
	recipient->user = recipient->address + address.size + 1;
	recipient->index = message->index;
	recipient->transaction = message->transaction;
	recipient->quota = (struct maildrop_quota){message->quota_messages, message->quota_octets};
	job = new_job(keeper, message->front, message->session, recipient);
	front_of(front)->asked++;
	job->job.run = quota_run;
	job->job.done = quota_done;
	keeper_add_job(keeper, recipient->lane, &job->job, "counting for its quota");
}

/* ---- messages ---- */

static void make_run(struct delivery_job *job)
{
	job->status = maildrop_make(&job->keeper->settings, job->keeper->mail_fd,
				    job->recipient->lane->path, &job->err);
}

static bool usage_of(const struct delivery_job *job, struct maildrop_usage *ret)
{
	struct err err;

	return maildrop_usage(&job->keeper->settings, job->keeper->mail_fd,
			      job->recipient->lane->path, ret, &err) == MAILDROP_OK;
}

/* Whether this user gets notices; then with what there was before the delivery. */
static bool may_notice(const struct delivery_job *job, struct maildrop_usage *ret)
{
	const struct maildrop_quota *quota = &job->recipient->quota;

	return job->keeper->child->config->quota_notices &&
	       (quota->max_messages || quota->max_octets) && usage_of(job, ret);
}

static void message_run(struct delivery_job *job)
{
	char headers[IPC_HEADERS_MAX + IPC_TEXT_MAX + 32]; /* ipc_check bounds the address */
	/* Return-Path stays the first line (RFC 5321 section 4.4) */
	size_t first = strcspn(job->sealed_message->headers, "\n");
	const char *rest = job->sealed_message->headers + first +
			   (job->sealed_message->headers[first] != '\0');
	int size = snprintf(headers, sizeof(headers), "%.*sDelivered-To: %s\r\n%s",
			    (int)(rest - job->sealed_message->headers),
			    job->sealed_message->headers, job->recipient->address, rest);
	struct maildrop_delivery delivery = {.message_fd = job->sealed_message->fd,
					     .message_size = job->sealed_message->size,
					     .headers = {headers, (size_t)size},
					     .quota = job->recipient->quota,
					     .ret_name = job->file};

	struct maildrop_usage before, after;
	bool notices = may_notice(job, &before);

	envelope_message_id(job->sealed_message->fd, job->sealed_message->size, job->message_id);
	job->status = maildrop_deliver(&job->keeper->settings, job->keeper->mail_fd,
				       job->recipient->lane->path, &delivery, &job->err);
	if (notices && job->status == MAILDROP_OK && usage_of(job, &after))
		notice_if_passed(&job->keeper->settings, job->keeper->mail_fd,
				 job->recipient->lane->path, &job->recipient->quota, &before,
				 &after, job->recipient->address,
				 job->keeper->child->config->host_name);
}

/* The maildrop was absent, and err says why none is made. */
static void again_run(struct delivery_job *job)
{
	struct err why = job->err;

	message_run(job);
	if (job->status != MAILDROP_ABSENT)
		return;
	job->status = MAILDROP_TEMP;
	job->err = why;
}

static void log_delivery(const struct delivery_job *job)
{
	const struct recipient *recipient = job->recipient;
	const char *headers = job->sealed_message->headers;
	struct record record;

	record_begin(&record,
		     job->status == MAILDROP_OK           ? RECORD_DELIVERED
		     : job->status == MAILDROP_OVER_QUOTA ? RECORD_OVER_QUOTA
							  : RECORD_DELIVERY_FAILED,
		     NULL, job->front, job->session);
	record_number(&record, RECORD_KEY_SIZE, job->sealed_message->size);
	record_text(&record, RECORD_KEY_CLIENT, envelope_client(headers));
	record_text(&record, RECORD_KEY_USER, span_of(recipient->user));
	record_text(&record, RECORD_KEY_RECIPIENT, span_of(recipient->address));
	record_text(&record, RECORD_KEY_SENDER, envelope_sender(headers));
	record_text(&record, RECORD_KEY_MESSAGE_ID, span_of(job->message_id));
	if (job->status == MAILDROP_OK) {
		record_words(&record, RECORD_KEY_FILE, job->file);
	} else {
		record_text(&record, RECORD_KEY_MAILDROP, span_of(recipient->lane->path));
		record_words(&record, RECORD_KEY_REASON,
			     job->status == MAILDROP_OVER_QUOTA ? "over quota" : job->err.text);
	}
	record_write(&record);
}

static void deliver_run(struct job *base)
{
	struct delivery_job *job = (struct delivery_job *)base;

	if (atomic_load(&job->keeper->mail_away)) {
		job->status = MAILDROP_TEMP;
		err_set(&job->err, EX_TEMPFAIL, KEEPER_MAIL_AWAY);
		return;
	}
	switch (job->step) {
	case STEP_MAKE:
		make_run(job);
		break;
	case STEP_DELIVER_AGAIN:
		again_run(job);
		break;
	case STEP_DELIVER:
	case STEP_DELIVER_MADE:
		message_run(job);
	}
}

static void delivered(struct delivery_job *job)
{
	struct keeper *keeper = job->keeper;

	log_delivery(job);
	if (job->status == MAILDROP_OK)
		keeper_location_seen(keeper, job->recipient->lane);
	job->recipient->next = job->also;
	while (job->recipient) {
		struct recipient *recipient = job->recipient;

		job->recipient = recipient->next;
		answer(job, recipient->index, IPC_DELIVERED, reason_of(keeper, job->status));
		free_recipient(keeper, recipient);
	}
	release_message(job->sealed_message);
	free(job);
}

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
	keeper_add_job(job->keeper, job->recipient->lane, &job->job,
		       job->step == STEP_MAKE ? "making the maildrop" : "a delivery");
}

static void deliver_done(struct job *base)
{
	struct delivery_job *job = (struct delivery_job *)base;
	struct keeper *keeper = job->keeper;
	const struct keeper_lane *lane = job->recipient->lane;

	if (job->step == STEP_DELIVER && job->status == MAILDROP_ABSENT)
		keeper_location_ask(keeper, LOCATION_MAKE, lane, registered, job);
	else if (job->step == STEP_MAKE && job->status == MAILDROP_OK)
		keeper_location_ask(keeper, LOCATION_MADE, lane, registered, job);
	else
		delivered(job);
	keeper_job_over(keeper);
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

	while (job && (job->recipient->lane != recipient->lane ||
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
	sealed_message->references++;
	job->job.run = deliver_run;
	job->job.done = deliver_done;
	keeper_add_job(keeper, recipient->lane, &job->job, "a delivery");
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
