/*
 * `valija rados import`: Maildirs become maildrops, with the unique ids and the order that their
 * sessions show. Under the session lock of the Maildir and that of the maildrop, which gets a new
 * generation before it is looked at: whatever an earlier call that was stopped has sent, what its
 * log says then is all that there will be, and what it has is not brought again.
 */
#include "rados/tool/folder.h"
#include "rados/tool/tool.h"

#include "base/crc32c.h"
#include "base/random.h"
#include "base/text.h"
#include "maildrop/index/view.h"
#include "maildrop/rados/body_name.h"
#include "maildrop/store.h"

#include <pop3/message.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	BATCH = 16,             /* messages of an append */
	BATCH_OCTETS = 8 << 20, /* with which one ends */
	UNIQUE_SIZE = POP3_UNIQUE_ID_MAX + 1,
};

struct importing {
	struct tool *tool;
	int root;
	uint64_t maildrops, brought, octets, there;
};

struct message {
	char unique[UNIQUE_SIZE], name[BODY_NAME_MAX];
	char *data;
	uint64_t size;
	struct drop_frame frame;
	unsigned char record[DROP_FRAME_MAX];
	size_t record_size;
	struct tool_op put;
};

/* A maildrop under way. */
struct source {
	const char *path;
	struct maildrop *maildrop;
	struct index_view *view;
	struct maildrop_snapshot snapshot;
	char (*known)[UNIQUE_SIZE]; /* unique ids that the log has, sorted */
	size_t known_count;
	struct tool_lock lock;
	struct tool_index index;
	struct message batch[BATCH];
	unsigned batch_count;
	uint64_t batch_octets;
};

/* ---- what is there ---- */

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Deleted ones as well: they do not come back. */
static int learn_known(struct source *source, struct err *err)
{
	const struct drop_log *log = &source->index.log;

	source->known = malloc((log->count + 1) * sizeof(*source->known));
	if (!source->known)
		return err_set(err, EX_OSERR, "out of memory");
	for (size_t i = 0; i < log->count; i++) {
		char own[DROP_ID_TEXT];
		pop3_span unique = drop_log_unique_id(log, &log->messages[i], own);

		if (span_copy(unique, source->known[source->known_count], UNIQUE_SIZE) == 0)
			source->known_count++;
	}
	qsort(source->known, source->known_count, sizeof(*source->known), compare);
	return 0;
}

static bool is_known(const struct source *source, const char *unique)
{
	return source->known_count &&
	       bsearch(unique, source->known, source->known_count, sizeof(*source->known), compare);
}

/* ---- messages ---- */

static int read_octets(const struct maildrop_body *body, char *data)
{
	uint64_t done = 0;

	while (done < body->stored) {
		ssize_t n = pread(body->fd, data + done, body->stored - done,
				  (off_t)(body->offset + done));

		if (n <= 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

static void fill_frame(struct message *message, time_t arrived)
{
	pop3_span octets = {message->data, message->size};
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, octets);
	pop3_counter_finish(&counter);
	message->frame = (struct drop_frame){
		.kind = DROP_ADD,
		.octets = counter.octets,
		.stored = message->size,
		.arrived = (uint64_t)arrived,
		.flags = counter.wire_form && !counter.dots ? DROP_WIRE_FORM : 0,
		.body_crc = crc32c(0, message->data, message->size),
		.unique_id = span_of(message->unique)};
}

/* The message with the number into memory. -1: err. */
static int load(struct source *source, uint32_t number, struct message *message, struct err *err)
{
	struct maildrop_body body;
	struct stat st;
	int rc = 0;

	if (maildrop_body(source->maildrop, number, &body, err) != MAILDROP_OK)
		return -1;
	message->size = body.stored;
	message->data = malloc(body.stored + 1);
	if (!message->data || fstat(body.fd, &st) < 0 || read_octets(&body, message->data) < 0)
		rc = err_set(err, EX_TEMPFAIL, "message %u cannot be read, or memory is short",
			     number);
	close(body.fd);
	if (rc < 0)
		return -1;
	fill_frame(message, st.st_mtime);
	if (random_octets(message->frame.id, DROP_ID) < 0)
		return err_set(err, EX_OSERR, "the kernel has no random octets");
	message->record_size = drop_frame_encode(&message->frame, message->record);
	return 0;
}

static void begin_put(struct importing *x, const struct source *source, struct message *message,
		      uint32_t chunk)
{
	uint64_t at = (uint64_t)chunk * ENGINE_CHUNK, left = message->size - at;
	struct engine_put put = {
		.name = message->name,
		.octets = {message->data + at, left < ENGINE_CHUNK ? left : ENGINE_CHUNK},
		.owner = span_of(source->path),
		.details = {(const char *)message->record, message->record_size}};

	body_name(message->frame.id, chunk, message->name);
	tool_op_init(&message->put);
	engine_put(x->tool->engine, &put, &message->put.op);
}

static int end_put(struct importing *x, struct message *message, struct err *err)
{
	tool_op_wait(x->tool, &message->put);
	return message->put.op.result == ENGINE_OK
		       ? 0
		       : tool_failed(&message->put.op, message->name, err);
}

/* Its first object last, which is waited for later. */
static int put_body(struct importing *x, const struct source *source, struct message *message,
		    struct err *err)
{
	for (uint32_t chunk = body_chunks(message->size); --chunk;) {
		begin_put(x, source, message, chunk);
		if (end_put(x, message, err) < 0)
			return -1;
	}
	begin_put(x, source, message, 0);
	return 0;
}

/* ---- batches: bodies at once, then one append ---- */

static int append(struct importing *x, struct source *source, struct err *err)
{
	struct engine_if condition = {.generation = source->index.generation,
				      .cookie = source->lock.cookie};
	struct engine_op op = {.done = tool_ended};
	unsigned char octets[BATCH * DROP_FRAME_MAX];
	size_t size = 0;

	if (tool_lock_keep(x->tool, &source->lock, err) < 0)
		return -1;
	for (unsigned i = 0; i < source->batch_count; i++) {
		memcpy(octets + size, source->batch[i].record, source->batch[i].record_size);
		size += source->batch[i].record_size;
	}
	engine_append(x->tool->engine, source->index.name, &condition,
		      (pop3_span){(const char *)octets, size}, &op);
	engine_wait(x->tool->engine, &op);
	return op.result == ENGINE_OK ? 0 : tool_failed(&op, source->index.name, err);
}

/* What was put and is not appended is an orphan: the sweep removes it. */
static int end_batch(struct importing *x, struct source *source, bool whole, struct err *err)
{
	int rc = whole ? 0 : -1;

	for (unsigned i = 0; i < source->batch_count; i++)
		if (source->batch[i].put.op.done &&
		    end_put(x, &source->batch[i], rc == 0 ? err : NULL) < 0)
			rc = -1;
	if (rc == 0 && source->batch_count)
		rc = append(x, source, err);
	for (unsigned i = 0; i < source->batch_count; i++) {
		x->brought += rc == 0;
		x->octets += rc == 0 ? source->batch[i].size : 0;
		free(source->batch[i].data);
	}
	source->batch_count = 0;
	source->batch_octets = 0;
	return rc;
}

static int take_message(struct importing *x, struct source *source, uint32_t number,
			pop3_span unique, struct err *err)
{
	struct message *message = &source->batch[source->batch_count];

	*message = (struct message){0};
	if (span_copy(unique, message->unique, UNIQUE_SIZE) < 0)
		return err_set(err, EX_DATAERR, "message %u has no unique id", number);
	if (is_known(source, message->unique)) {
		x->there++;
		return 0;
	}
	tool_pace(x->tool);
	if (x->tool->dry_run) {
		x->brought++;
		return 0;
	}
	source->batch_count++;
	if (load(source, number, message, err) < 0 || put_body(x, source, message, err) < 0)
		return end_batch(x, source, false, err);
	source->batch_octets += message->size;
	if (source->batch_count == BATCH || source->batch_octets >= BATCH_OCTETS)
		return end_batch(x, source, true, err);
	return 0;
}

static int take_messages(struct importing *x, struct source *source, struct err *err)
{
	struct index_entry entries[64];
	uint32_t number = 1;
	int n = 1;

	while (number <= source->snapshot.count) {
		n = index_view_read(source->view, number, true, entries, 64, err);
		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			if (take_message(x, source, number + (uint32_t)i, entries[i].unique_id,
					 err) < 0)
				return -1;
		number += (uint32_t)n;
	}
	if (n < 0 || number <= source->snapshot.count)
		return end_batch(x, source, false, err);
	return end_batch(x, source, true, err);
}

/* ---- one maildrop ---- */

static int make_index(struct importing *x, const char *name, struct err *err)
{
	char generation[ENGINE_GENERATION + 1];
	struct engine_op op = {.done = tool_ended};

	if (tool_random_text(generation, err) < 0)
		return -1;
	engine_make(x->tool->engine, name, generation, &op);
	engine_wait(x->tool->engine, &op);
	return op.result == ENGINE_OK || op.result == ENGINE_EXISTS ? 0
								    : tool_failed(&op, name, err);
}

static int import_locked(struct importing *x, struct source *source, struct err *err)
{
	int rc = tool_fence(x->tool, &source->lock, &source->index, err);

	if (rc < 0)
		return -1;
	rc = learn_known(source, err);
	if (rc == 0)
		rc = take_messages(x, source, err);
	tool_index_finish(&source->index);
	return rc;
}

/* Nothing is written to the cluster. */
static int look(struct importing *x, struct source *source, const char *name, struct err *err)
{
	int rc = tool_index_read(x->tool, name, &source->index, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return take_messages(x, source, err);
	rc = source->index.damaged ? -1 : learn_known(source, err);
	if (rc == 0)
		rc = take_messages(x, source, err);
	tool_index_finish(&source->index);
	return rc;
}

static int bring(struct importing *x, struct source *source, struct err *err)
{
	char name[ENGINE_NAME_MAX];
	int rc;

	snprintf(name, sizeof(name), "x/%s", source->path);
	if (x->tool->dry_run)
		return look(x, source, name, err);
	if (make_index(x, name, err) < 0)
		return -1;
	rc = tool_lock_take(x->tool, name, &source->lock, err);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, EX_TEMPFAIL, "a session has the maildrop");
	rc = import_locked(x, source, err);
	tool_lock_give(x->tool, &source->lock);
	return rc;
}

static int import_one(struct importing *x, const char *path, struct err *err)
{
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = x->tool->config->host_name};
	struct source *source = calloc(1, sizeof(*source));
	int rc;

	if (!source)
		return err_set(err, EX_OSERR, "out of memory");
	source->path = path;
	rc = maildrop_open(&settings, x->root, path, &source->maildrop, err) == MAILDROP_OK ? 0
											    : -1;
	if (rc == 0) {
		maildrop_snapshot(source->maildrop, &source->snapshot);
		rc = index_view_create(source->snapshot.base_fd, source->snapshot.delta_fd,
				       source->snapshot.delta_size, source->snapshot.count,
				       source->snapshot.octets, &source->view, err);
	}
	if (rc == 0)
		rc = bring(x, source, err);
	index_view_destroy(source->view);
	if (source->maildrop)
		maildrop_close(source->maildrop);
	free(source->known);
	free(source);
	x->maildrops += rc == 0;
	return rc;
}

/* One that cannot be brought does not stop the others. */
static int import_each(void *context, const char *path, struct err *err)
{
	struct importing *x = context;
	struct err one = {0};

	(void)err;
	if (!folder_path_is_safe(path))
		err_set(&one, EX_DATAERR, "this is no path below a mail folder");
	else if (import_one(x, path, &one) == 0)
		return 0;
	tool_leave_out(x->tool, path, &one);
	return 0;
}

int import_command(struct tool *tool, struct err *err)
{
	struct importing x = {.tool = tool, .root = folder_open(tool->folder, err)};
	int rc = 0;

	if (x.root < 0)
		return -1;
	for (unsigned i = 0; i < tool->maildrop_count; i++)
		(void)import_each(&x, tool->maildrops[i], err);
	if (!tool->maildrop_count)
		rc = folder_scan(x.root, import_each, &x, err);
	close(x.root);
	if (rc < 0)
		return -1;
	printf("%" PRIu64 " maildrops: %" PRIu64 " messages%s%s, %" PRIu64 " were there\n",
	       x.maildrops, x.brought, tool->dry_run ? " would be" : "", " brought", x.there);
	return EX_OK;
}
