/*
 * `valija rados check` and `stats`: each log against the bodies. Nothing stands still meanwhile:
 * bodies are listed first, so that what comes after that has its body; and what looks wrong is
 * looked at again, in the order that proves it (a body goes only after its DEL is in the log).
 */
#include "rados/tool/audit.h"

#include "base/crc32c.h"
#include "maildrop/rados/body_name.h"
#include "maildrop/rados/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { READ_SIZE = 1 << 20 };

struct counts {
	uint64_t maildrops, messages, octets, stored, log_octets, deleted;
	uint64_t duplicates, unknown;                                          /* of no harm */
	uint64_t dangling, damaged_logs, damaged_bodies, shared, mended, left; /* of harm */
	uint64_t orphans, young, without_index, leftovers;
};

struct check {
	struct tool *tool;
	struct tool_bodies bodies;
	struct counts counts;
};

/* ---- one message ---- */

static void print_message(const char *what, const struct tool_index *index,
			  const struct drop_message *message)
{
	char id[DROP_ID_TEXT], own[DROP_ID_TEXT];
	pop3_span unique = drop_log_unique_id(&index->log, message, own);

	drop_id_text(message->id, id);
	printf("%s %s %s %.*s\n", what, tool_maildrop(index->name), id, (int)unique.size,
	       unique.data);
}

/* Is every object of it there? 1, 0, -1: err. */
static int is_whole(struct tool *tool, const struct drop_message *message, struct err *err)
{
	uint64_t size;
	time_t changed;
	int rc = 1;

	for (uint32_t chunk = body_chunks(message->stored); rc == 1 && chunk--;) {
		char name[BODY_NAME_MAX];

		body_name(message->id, chunk, name);
		rc = tool_stat(tool, name, &size, &changed, err);
	}
	return rc;
}

/* Is it live in the log as it is now? 1, 0, -1: err. */
static int is_live(struct tool *tool, const char *name, const unsigned char id[DROP_ID],
		   struct err *err)
{
	struct drop_message *message;
	struct tool_index index;
	int rc = tool_index_read(tool, name, &index, err);

	if (rc <= 0)
		return rc;
	message = drop_log_find(&index.log, id);
	rc = message && message->added && !message->deleted;
	tool_index_finish(&index);
	return rc;
}

/* Writes that the message is deleted, if it is still so that its body is not there. 1: done; 0:
 * nothing is to be done; -1: err. */
static int mend_locked(struct tool *tool, struct tool_lock *lock,
		       const struct drop_message *message, struct err *err)
{
	struct drop_frame frame = {.kind = DROP_DEL};
	struct engine_if condition = {.cookie = lock->cookie};
	struct engine_op op = {.done = tool_ended};
	unsigned char octets[DROP_FRAME_MAX];
	struct tool_index index;
	struct drop_message *now;
	int rc;

	/* a pool of bodies that is another one has none of them */
	if (mark_look(tool->engine, err) != 1)
		return -1;
	rc = is_whole(tool, message, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (tool_index_read(tool, lock->name, &index, err) <= 0)
		return -1;
	now = drop_log_find(&index.log, message->id);
	rc = now && now->added && !now->deleted;
	memcpy(frame.id, message->id, DROP_ID);
	condition.generation = index.generation;
	if (rc) {
		engine_append(tool->engine, lock->name, &condition,
			      (pop3_span){(const char *)octets, drop_frame_encode(&frame, octets)},
			      &op);
		engine_wait(tool->engine, &op);
		if (op.result != ENGINE_OK)
			rc = tool_failed(&op, lock->name, err);
	}
	tool_index_finish(&index);
	return rc;
}

static int mend(struct tool *tool, const char *name, const struct drop_message *message,
		struct err *err)
{
	struct tool_lock lock;
	int rc = tool_lock_take(tool, name, &lock, err);

	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, EX_TEMPFAIL, "a session has the maildrop");
	rc = mend_locked(tool, &lock, message, err);
	tool_lock_give(tool, &lock);
	return rc;
}

/* The list has no body of it. */
static int look_again(struct check *check, const struct tool_index *index,
		      const struct drop_message *message, struct err *err)
{
	int rc = is_whole(check->tool, message, err);

	if (rc == 0)
		rc = is_live(check->tool, index->name, message->id, err) == 1 ? 0 : 1;
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	check->counts.dangling++;
	print_message("dangling", index, message);
	if (!check->tool->repair)
		return 0;
	rc = check->tool->dry_run ? 0 : mend(check->tool, index->name, message, err);
	if (rc < 0)
		return -1;
	check->counts.mended += rc == 1;
	if (rc == 1)
		print_message("mended", index, message);
	return 0;
}

static int read_body(struct check *check, const struct tool_index *index,
		     const struct drop_message *message, struct err *err)
{
	char *room = malloc(READ_SIZE);
	uint64_t at = 0;
	uint32_t crc = 0;
	ssize_t n = 1;

	if (!room)
		return err_set(err, EX_OSERR, "out of memory");
	while (n > 0 && at < message->stored) {
		n = tool_read_body(check->tool, message->id, at, room, READ_SIZE, err);
		crc = n > 0 ? crc32c(crc, room, (size_t)n) : crc;
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(room);
	if (n < 0 && is_live(check->tool, index->name, message->id, err) == 0)
		return 0; /* deleted meanwhile */
	if (n < 0)
		return -1;
	if (at != message->stored || crc != message->body_crc) {
		check->counts.damaged_bodies++;
		print_message("damaged-body", index, message);
	}
	return 0;
}

static int check_live(struct check *check, const struct tool_index *index,
		      const struct drop_message *message, struct err *err)
{
	struct tool_body *body = tool_bodies_find(&check->bodies, message->id);

	if (body && body->added && !body->deleted) {
		check->counts.shared++;
		print_message("shared", index, message);
	}
	if (body)
		body->added = true;
	if (!body || !body->first || body->parts < body_chunks(message->stored))
		return look_again(check, index, message, err);
	if (!check->tool->read)
		return 0;
	tool_pace(check->tool);
	return read_body(check, index, message, err);
}

/* ---- one maildrop ---- */

static void count(struct counts *counts, const struct tool_index *index)
{
	counts->maildrops++;
	counts->messages += index->log.live;
	counts->octets += index->log.octets;
	counts->stored += index->log.stored;
	counts->log_octets += index->log.size;
	counts->duplicates += index->duplicates;
	counts->unknown += index->log.unknown;
}

static int check_messages(struct check *check, const struct tool_index *index, struct err *err)
{
	for (size_t i = 0; i < index->log.count; i++) {
		const struct drop_message *message = &index->log.messages[i];
		struct tool_body *body;

		if (message->added && !message->deleted) {
			if (check_live(check, index, message, err) < 0)
				return -1;
			continue;
		}
		check->counts.deleted++;
		body = tool_bodies_find(&check->bodies, message->id);
		if (body && !body->added) {
			body->deleted = true;
			check->counts.leftovers++;
		}
	}
	return 0;
}

static int check_one(struct check *check, const char *name, struct err *err)
{
	struct tool_index index;
	int rc = tool_index_read(check->tool, name, &index, err);

	if (rc < 0)
		return -1;
	if (rc == 0) {
		printf("absent %s\n", tool_maildrop(name));
		check->counts.left += check->tool->maildrop_count != 0;
		return 0;
	}
	count(&check->counts, &index);
	if (index.damaged || !*index.generation) {
		check->counts.damaged_logs++;
		printf("damaged-log %s %s\n", tool_maildrop(name),
		       index.damaged ? err->text : "it has no generation of this version");
	}
	rc = check_messages(check, &index, err);
	tool_index_finish(&index);
	return rc;
}

/* ---- bodies that no log tells of ---- */

static void count_orphan(struct check *check, const struct orphan *orphan)
{
	char id[DROP_ID_TEXT];

	drop_id_text(orphan->body->id, id);
	if (orphan->young) {
		check->counts.young++;
		return;
	}
	check->counts.orphans++;
	check->counts.without_index += !orphan->has_index;
	printf("%s %s %s %" PRIu64 "\n", orphan->has_index ? "orphan" : "orphan-without-index",
	       *orphan->owner ? orphan->owner : "-", id, orphan->size);
}

static int check_orphans(struct check *check, struct err *err)
{
	struct orphans orphans;
	int rc = orphans_find(check->tool, &check->bodies, &orphans, err);

	for (size_t i = 0; rc == 0 && i < orphans.count; i++)
		count_orphan(check, &orphans.items[i]);
	orphans_finish(&orphans);
	return rc;
}

/* ---- the commands ---- */

static void print_counts(const struct check *check)
{
	const struct counts *c = &check->counts;

	printf("%" PRIu64 " maildrops, %" PRIu64 " messages, %" PRIu64 " octets stored, %" PRIu64
	       " octets of logs\n",
	       c->maildrops, c->messages, c->stored, c->log_octets);
	printf("%" PRIu64 " dangling, %" PRIu64 " damaged logs, %" PRIu64
	       " damaged bodies, %" PRIu64 " shared; %" PRIu64 " mended\n",
	       c->dangling, c->damaged_logs, c->damaged_bodies, c->shared, c->mended);
	printf("%" PRIu64 " orphans (%" PRIu64 " without an index), %" PRIu64
	       " that are too young to tell, %" PRIu64 " bodies of deleted messages, %" PRIu64
	       " records twice\n",
	       c->orphans, c->without_index, c->young, c->leftovers, c->duplicates);
}

static void advise(const struct check *check)
{
	const struct counts *c = &check->counts;

	if (c->dangling > c->mended)
		printf("dangling: the message is lost, or was deleted; sessions cannot read it. "
		       "`valija rados check --repair` takes it out of the list\n");
	if (c->damaged_logs)
		printf("damaged-log: its owner cannot log in, mail is put off. See "
		       "docs/many-machines.md\n");
	if (c->damaged_bodies)
		printf("damaged-body: what the pool has is not what was delivered: a backup has "
		       "it, perhaps\n");
	if (c->shared)
		printf("shared: two maildrops name one body: deleting it in one takes it from the "
		       "other\n");
	if (c->orphans)
		printf("orphan: mail that was never acknowledged. `valija rados sweep` removes "
		       "it\n");
}

int check_command(struct tool *tool, struct err *err)
{
	struct check check = {.tool = tool};
	struct tool_names names = {0};
	uint64_t harm;
	int rc;

	if (mark_look(tool->engine, err) != 1)
		return err->code ? -1
				 : err_set(err, EX_CONFIG,
					   "pool %s or %s has no mark: it is not the pool of a "
					   "site, or `valija rados init` was not run",
					   tool->pool, tool->bodies);
	rc = tool_bodies_list(tool, &check.bodies, err);
	if (rc == 0)
		rc = tool_indexes(tool, &names, err);
	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		struct err one = {0};

		if (check_one(&check, names.names[i], &one) < 0)
			tool_leave_out(tool, tool_maildrop(names.names[i]), &one);
	}
	/* with some maildrops only, the others' bodies would look like orphans */
	if (rc == 0 && !tool->maildrop_count && !tool->trouble)
		rc = check_orphans(&check, err);
	tool_names_finish(&names);
	tool_bodies_finish(&check.bodies);
	if (rc < 0)
		return -1;
	print_counts(&check);
	advise(&check);
	harm = check.counts.dangling - check.counts.mended + check.counts.damaged_logs +
	       check.counts.damaged_bodies + check.counts.shared + check.counts.left;
	return harm ? EX_DATAERR : EX_OK;
}

int stats_command(struct tool *tool, struct err *err)
{
	struct tool_names names = {0};
	struct counts counts = {0};
	int rc = tool_indexes(tool, &names, err);

	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		struct tool_index index;
		struct err one = {0};
		int found = tool_index_read(tool, names.names[i], &index, &one);

		if (found <= 0) {
			if (found < 0 || tool->maildrop_count) {
				if (found == 0)
					err_set(&one, EX_NOINPUT, "it is not there");
				tool_leave_out(tool, tool_maildrop(names.names[i]), &one);
			}
			continue;
		}
		count(&counts, &index);
		if (index.damaged)
			tool_leave_out(tool, tool_maildrop(names.names[i]), &one);
		if (tool->each)
			printf("maildrop %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			       tool_maildrop(names.names[i]), index.log.live, index.log.stored,
			       index.log.size);
		tool_index_finish(&index);
	}
	tool_names_finish(&names);
	if (rc < 0)
		return -1;
	printf("maildrops %" PRIu64 "\nmessages %" PRIu64 "\noctets %" PRIu64
	       "\nstored-octets %" PRIu64 "\nlog-octets %" PRIu64 "\nrecords-twice %" PRIu64 "\n",
	       counts.maildrops, counts.messages, counts.octets, counts.stored, counts.log_octets,
	       counts.duplicates);
	return EX_OK;
}
