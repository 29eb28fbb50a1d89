/*
 * Deliveries, as docs/models.md describes them: the body, then its record under the generation that
 * was read, then the answer. An append whose outcome is unknown is tried again with the same id,
 * after three looks in this order: the generation; whether the body is there still (it is not: it
 * was delivered, and deleted); the delivery's own age. A body whose write was not answered is given
 * up with its id.
 */
#include "maildrop/rados/pool_private.h"

#include "base/crc32c.h"
#include "base/random.h"

#include <pop3/message.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	AT_ONCE_MAX = 65536, /* octets of a message that is prepared on the loop */
	BODIES_MAX = 3,      /* ids that are given up */
};

struct delivering {
	struct job job;
	struct pool *pool;
	struct box *box;
	struct store_deliver *op;
	struct engine_op put, append;
	struct engine_index index;
	struct engine_stat stat;
	struct pool_mark mark;
	struct box_reading reading;
	struct loop_timer again;
	char generation[ENGINE_GENERATION + 1];
	unsigned char id[DROP_ID];
	char *data; /* the message as it is stored */
	uint64_t size;
	struct drop_frame frame;
	unsigned char record[DROP_FRAME_MAX];
	size_t record_size;
	uint64_t since; /* pool_clock, before its body was written; 0: none was yet */
	uint32_t chunk; /* of the body, under way */
	unsigned bodies;
	bool doubt;    /* an append may have been applied */
	bool readable; /* of the message that was handed in */
};

static void end(struct delivering *d, enum maildrop_status status)
{
	struct store_deliver *op = d->op;
	struct pool *pool = d->pool;

	op->op.status = status;
	if (status == MAILDROP_OK && op->delivery.ret_name)
		body_name(d->id, 0, op->delivery.ret_name);
	if (status == MAILDROP_OK && op->counted) {
		op->after = op->before;
		op->after.messages++;
		op->after.octets += d->size;
	}
	op->counted = op->counted && status == MAILDROP_OK;
	loop_timer_cancel(&d->again);
	box_release(d->box);
	free(d->data);
	free(d);
	pool_done(pool);
	op->op.done(&op->op);
}

/* An append is not answered, and no further one may be sent. */
static void give_up(struct delivering *d, const struct engine_op *why)
{
	(void)pool_failed(why, box_name(d->box), &d->op->op.err);
	end(d, d->doubt ? MAILDROP_UNKNOWN : MAILDROP_TEMP);
}

static bool is_young(const struct delivering *d)
{
	return !d->since || pool_clock() - d->since < d->pool->young_ms;
}

/* ---- the record ---- */

static void read_generation(struct delivering *d);

static void try_again(struct loop_timer *timer)
{
	read_generation(timer->context);
}

static void appended(struct engine_op *op)
{
	struct delivering *d = CONTAINER(op, struct delivering, append);

	switch (op->result) {
	case ENGINE_OK:
		end(d, MAILDROP_OK);
		return;
	case ENGINE_CHANGED: /* a compaction, or a sweep */
		box_forget(d->box);
		read_generation(d);
		return;
	case ENGINE_UNKNOWN:
		d->doubt = true;
		loop_timer_set(&d->again, d->pool->again_ms);
		return;
	case ENGINE_FULL:
		(void)pool_failed(op, box_name(d->box), &d->op->op.err);
		end(d, d->doubt ? MAILDROP_UNKNOWN : MAILDROP_FULL);
		return;
	case ENGINE_DOWN:
	case ENGINE_ABSENT:
	case ENGINE_EXISTS:
	case ENGINE_LOCKED:
	case ENGINE_DENIED:
	case ENGINE_REFUSED:
		break;
	}
	give_up(d, op);
}

/* The generation was read; now the age, then the append. */
static void append(struct delivering *d)
{
	struct engine_if condition = {.generation = d->generation};

	if (!is_young(d)) {
		err_set(&d->op->op.err, EX_TEMPFAIL,
			"%s: the cluster did not answer for so long that the delivery was given up",
			box_name(d->box));
		end(d, d->doubt ? MAILDROP_UNKNOWN : MAILDROP_TEMP);
		return;
	}
	d->append.done = appended;
	engine_append(d->pool->engine, box_name(d->box), &condition,
		      (pop3_span){(const char *)d->record, d->record_size}, &d->append);
}

/* ---- the body ---- */

static void write_body(struct delivering *d);

static void fill_record(struct delivering *d)
{
	memcpy(d->frame.id, d->id, DROP_ID);
	d->record_size = drop_frame_encode(&d->frame, d->record);
}

static void body_written(struct engine_op *op)
{
	struct delivering *d = CONTAINER(op, struct delivering, put);
	char name[BODY_NAME_MAX];

	if (op->result == ENGINE_OK) {
		if (d->chunk--)
			write_body(d);
		else
			append(d);
		return;
	}
	/* one that may come later must not be taken for a body of this delivery */
	if ((op->result == ENGINE_UNKNOWN || op->result == ENGINE_EXISTS) &&
	    ++d->bodies < BODIES_MAX && is_young(d) && random_octets(d->id, DROP_ID) == 0) {
		fill_record(d);
		d->chunk = body_chunks(d->size) - 1;
		write_body(d);
		return;
	}
	body_name(d->id, d->chunk, name);
	(void)pool_failed(op, name, &d->op->op.err);
	end(d, op->result == ENGINE_FULL ? MAILDROP_FULL : MAILDROP_TEMP);
}

/* The first object last: a body whose first object is there is whole. */
static void write_body(struct delivering *d)
{
	uint64_t at = (uint64_t)d->chunk * ENGINE_CHUNK, left = d->size - at;
	char name[BODY_NAME_MAX];
	struct engine_put put = {
		.name = name,
		.octets = {d->data + at, left < ENGINE_CHUNK ? left : ENGINE_CHUNK},
		.owner = {d->box->path, strlen(d->box->path)},
		.details = {(const char *)d->record, d->record_size},
	};

	body_name(d->id, d->chunk, name);
	d->put.done = body_written;
	engine_put(d->pool->engine, &put, &d->put);
}

static void begin_body(struct delivering *d)
{
	if (random_octets(d->id, DROP_ID) < 0)
		abort();
	fill_record(d);
	d->since = pool_clock();
	d->chunk = body_chunks(d->size) - 1;
	write_body(d);
}

/* ---- the looks before an append ---- */

static void mark_looked_for(struct pool_mark *mark)
{
	struct delivering *d = CONTAINER(mark, struct delivering, mark);

	if (mark->there && is_young(d)) {
		end(d, MAILDROP_OK); /* it was delivered, and its owner has deleted it */
		return;
	}
	err_set(&d->op->op.err, EX_TEMPFAIL, "%s: %s", box_name(d->box),
		mark->there ? "nobody can tell whether the message was delivered"
			    : "the pool of bodies has no mark: it is not the one of this site");
	end(d, MAILDROP_UNKNOWN);
}

static void body_looked_for(struct engine_op *op)
{
	struct delivering *d = CONTAINER((struct engine_stat *)op, struct delivering, stat);

	if (op->result == ENGINE_OK) {
		append(d);
	} else if (op->result == ENGINE_ABSENT) {
		d->mark.done = mark_looked_for;
		pool_look_for_mark(d->pool, ENGINE_BODIES, &d->mark);
	} else if (is_young(d)) {
		loop_timer_set(&d->again, d->pool->again_ms);
	} else {
		give_up(d, op);
	}
}

static void go_on(struct delivering *d)
{
	char name[BODY_NAME_MAX];

	if (!d->since) {
		begin_body(d);
	} else if (!d->doubt) {
		append(d);
	} else {
		body_name(d->id, 0, name);
		d->stat = (struct engine_stat){.op.done = body_looked_for};
		engine_stat(d->pool->engine, name, &d->stat);
	}
}

static void index_mark_looked_for(struct pool_mark *mark)
{
	struct delivering *d = CONTAINER(mark, struct delivering, mark);

	if (d->since)
		err_set(&d->op->op.err, EX_TEMPFAIL, "%s went away during the delivery",
			box_name(d->box));
	else
		err_set(&d->op->op.err, EX_TEMPFAIL, "%s is not there%s", box_name(d->box),
			mark->there
				? ""
				: ", and the pool has no mark: it is not the pool of this site, or "
				  "`valija rados init` was not run");
	end(d, d->doubt      ? MAILDROP_UNKNOWN
	       : d->since    ? MAILDROP_TEMP
	       : mark->there ? MAILDROP_ABSENT
			     : MAILDROP_TEMP);
}

static void generation_read(struct engine_op *op)
{
	struct engine_index *index = (struct engine_index *)op;
	struct delivering *d = CONTAINER(index, struct delivering, index);

	if (op->result == ENGINE_ABSENT) {
		d->mark.done = index_mark_looked_for;
		pool_look_for_mark(d->pool, ENGINE_INDEXES, &d->mark);
	} else if (op->result == ENGINE_OK && index->generation[0]) {
		memcpy(d->generation, index->generation, sizeof(d->generation));
		go_on(d);
	} else if (op->result == ENGINE_UNKNOWN && d->doubt && is_young(d)) {
		loop_timer_set(&d->again, d->pool->again_ms);
	} else if (op->result == ENGINE_OK) {
		err_set(&d->op->op.err, EX_DATAERR, "%s has no generation of this version",
			box_name(d->box));
		end(d, d->doubt ? MAILDROP_UNKNOWN : MAILDROP_TEMP);
	} else {
		give_up(d, op);
	}
}

static void read_generation(struct delivering *d)
{
	d->index = (struct engine_index){.op.done = generation_read};
	engine_index(d->pool->engine, box_name(d->box), &d->index);
}

/* ---- quota ---- */

static bool over_quota(const struct delivering *d, const struct maildrop_usage *usage)
{
	const struct maildrop_quota *quota = &d->op->delivery.quota;

	return (quota->max_messages && usage->messages >= quota->max_messages) ||
	       (quota->max_octets && (usage->octets >= quota->max_octets ||
				      d->size > quota->max_octets - usage->octets));
}

static void was_read(struct box_reading *reading)
{
	struct delivering *d = CONTAINER(reading, struct delivering, reading);
	struct maildrop_usage usage = {d->box->log.live, d->box->log.stored};

	if (reading->status != MAILDROP_OK) {
		if (reading->status == MAILDROP_ABSENT) {
			d->mark.done = index_mark_looked_for;
			pool_look_for_mark(d->pool, ENGINE_INDEXES, &d->mark);
			return;
		}
		d->op->op.err = reading->err;
		end(d, MAILDROP_TEMP);
		return;
	}
	d->op->before = usage;
	d->op->counted = d->op->counts;
	if (over_quota(d, &usage)) {
		err_set(&d->op->op.err, EX_CANTCREAT, "over quota");
		end(d, MAILDROP_OVER_QUOTA);
		return;
	}
	memcpy(d->generation, d->box->generation, sizeof(d->generation));
	go_on(d);
}

/* ---- the beginning ---- */

static bool read_message(struct delivering *d)
{
	const struct maildrop_delivery *delivery = &d->op->delivery;
	uint64_t done = 0;

	while (done < delivery->message_size) {
		ssize_t n = pread(delivery->message_fd, d->data + delivery->headers.size + done,
				  delivery->message_size - done, (off_t)done);

		if (n <= 0)
			return false;
		done += (uint64_t)n;
	}
	return true;
}

static void count_octets(struct delivering *d)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, (pop3_span){d->data, d->size});
	pop3_counter_finish(&counter);
	d->frame = (struct drop_frame){.kind = DROP_ADD,
				       .octets = counter.octets,
				       .stored = d->size,
				       .arrived = (uint64_t)time(NULL),
				       .flags = counter.wire_form && !counter.dots ? DROP_WIRE_FORM
										   : 0,
				       .body_crc = crc32c(0, d->data, d->size)};
}

/* In a worker, if the message is large. */
static void prepare(struct job *job)
{
	struct delivering *d = CONTAINER(job, struct delivering, job);
	struct store_deliver *op = d->op;
	const struct maildrop_delivery *delivery = &op->delivery;

	free(d->data);
	d->data = malloc(d->size + 1);
	if (!d->data)
		return;
	if (delivery->headers.size)
		memcpy(d->data, delivery->headers.data, delivery->headers.size);
	d->readable = read_message(d);
	if (!d->readable)
		return;
	count_octets(d);
	if (op->head) {
		op->head_size = delivery->message_size < op->head_room
					? (uint32_t)delivery->message_size
					: op->head_room;
		memcpy(op->head, d->data + delivery->headers.size, op->head_size);
	}
}

static void prepared(struct job *job)
{
	struct delivering *d = CONTAINER(job, struct delivering, job);
	const struct maildrop_quota *quota = &d->op->delivery.quota;

	if (!d->readable) {
		err_set(&d->op->op.err, EX_TEMPFAIL,
			"no memory for the message, or it cannot be read");
		end(d, MAILDROP_TEMP);
	} else if (quota->max_messages || quota->max_octets || d->op->counts) {
		d->reading.done = was_read;
		box_read(d->box, &d->reading);
	} else if (d->box->known) {
		memcpy(d->generation, d->box->generation, sizeof(d->generation));
		go_on(d);
	} else {
		read_generation(d);
	}
}

void pool_deliver(struct pool *pool, struct store_where *where, struct store_deliver *op)
{
	struct delivering *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->pool = pool;
	d->op = op;
	d->box = box_take(pool, where->path);
	d->size = op->delivery.headers.size + op->delivery.message_size;
	d->job.run = prepare;
	d->job.done = prepared;
	loop_timer_init(&d->again, pool->store.host->loop, try_again, d);
	pool_begin(pool);
	if (d->size > AT_ONCE_MAX) {
		workers_add(pool->workers, &d->job, true);
		return;
	}
	prepare(&d->job);
	if (d->readable)
		prepared(&d->job);
	else
		workers_add(pool->workers, &d->job,
			    true); /* it fails there, not inside this call */
}
