/*
 * `valija rados sweep`: bodies that no record tells of, and of deleted messages, are removed. The
 * rules of docs/models.md: an orphan is 7 days old, at least (audit.h); its maildrop gets a new
 * generation, under the lock and at the version that was read, before the body goes; then no record
 * of it can come, for a delivery of that age is refused. One new generation does for all orphans of
 * a maildrop that were found in that reading.
 */
#include "rados/tool/audit.h"

#include "maildrop/rados/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct sweep {
	struct tool *tool;
	struct tool_bodies bodies;
	time_t now; /* by the cluster's clock */
	uint64_t orphans, octets, leftovers, young, left;
};

static int remove_one(struct sweep *sweep, const char *what, const char *owner,
		      const struct tool_body *body, struct err *err)
{
	char id[DROP_ID_TEXT];

	drop_id_text(body->id, id);
	tool_pace(sweep->tool);
	printf("%s%s %s %s\n", sweep->tool->dry_run ? "would-remove-" : "remove-", what, owner, id);
	return sweep->tool->dry_run ? 0 : tool_remove_body(sweep->tool, body->id, body->last, err);
}

/* ---- what the logs tell of ---- */

static int remove_leftovers(struct sweep *sweep, const struct tool_index *index, struct err *err)
{
	for (size_t i = 0; i < index->log.count; i++) {
		const struct drop_message *message = &index->log.messages[i];
		struct tool_body *body = tool_bodies_find(&sweep->bodies, message->id);

		if (!body || !message->deleted)
			continue;
		body->deleted = true;
		sweep->leftovers++;
		if (remove_one(sweep, "deleted", tool_maildrop(index->name), body, err) < 0)
			return -1;
	}
	return 0;
}

static void note_added(struct sweep *sweep, const struct tool_index *index)
{
	for (size_t i = 0; i < index->log.count; i++) {
		struct tool_body *body =
			tool_bodies_find(&sweep->bodies, index->log.messages[i].id);

		if (body && !index->log.messages[i].deleted)
			body->added = true;
	}
}

static int read_logs(struct sweep *sweep, struct err *err)
{
	struct tool_names names;
	int rc = tool_indexes(sweep->tool, &names, err);

	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		struct tool_index index;
		int found = tool_index_read(sweep->tool, names.names[i], &index, err);

		if (found == 0)
			continue;
		/* what a log says that cannot be read is not known: its bodies look like orphans */
		if (found < 0 || index.damaged) {
			rc = -1;
			err_prefix(err, "%s", tool_maildrop(names.names[i]));
			if (found > 0)
				tool_index_finish(&index);
			continue;
		}
		note_added(sweep, &index);
		rc = remove_leftovers(sweep, &index, err);
		tool_index_finish(&index);
	}
	tool_names_finish(&names);
	return rc;
}

/* ---- orphans ---- */

static int remove_unknown(struct sweep *sweep, const struct tool_index *index,
			  const struct orphan *items, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		/* a record came since the logs were read */
		if (index && drop_log_find(&index->log, items[i].body->id))
			continue;
		if (remove_one(sweep, "orphan", items[i].owner, items[i].body, err) < 0)
			return -1;
		sweep->orphans++;
		sweep->octets += items[i].size;
	}
	return 0;
}

static int sweep_maildrop(struct sweep *sweep, const struct orphan *items, size_t count,
			  struct err *err)
{
	char name[ENGINE_NAME_MAX + 2];
	struct tool_index index;
	struct tool_lock lock;
	int rc;

	snprintf(name, sizeof(name), "x/%s", items->owner);
	if (sweep->tool->dry_run)
		return remove_unknown(sweep, NULL, items, count, err);
	rc = tool_lock_take(sweep->tool, name, &lock, err);
	if (rc <= 0)
		return rc < 0 ? -1
			      : err_set(err, EX_TEMPFAIL,
					"a session has the maildrop; call it again later");
	rc = tool_fence(sweep->tool, &lock, &index, err);
	tool_lock_give(sweep->tool, &lock);
	if (rc < 0)
		return -1;
	rc = remove_unknown(sweep, &index, items, count, err);
	tool_index_finish(&index);
	return rc;
}

/* How many from the first on are of one maildrop. */
static size_t group_size(const struct orphans *orphans, size_t first)
{
	size_t n = 1;

	while (first + n < orphans->count &&
	       strcmp(orphans->items[first + n].owner, orphans->items[first].owner) == 0)
		n++;
	return n;
}

static void note_new(struct sweep *sweep, const struct orphan *orphan)
{
	struct err err = {0};

	if (orphan->noted || sweep->tool->dry_run)
		return;
	tool_pace(sweep->tool);
	if (orphan_note(sweep->tool, orphan, sweep->now, &err) < 0)
		tool_leave_out(sweep->tool, "a body", &err);
}

/* Young ones have no owner here: they are a group of their own. */
static void sweep_group(struct sweep *sweep, const struct orphan *items, size_t count)
{
	struct err err = {0};
	size_t young = 0;

	for (size_t i = 0; i < count; i++) {
		if (!items[i].young)
			continue;
		young++;
		note_new(sweep, &items[i]);
	}
	sweep->young += young;
	if (!items->has_index)
		sweep->left += count - young;
	else if (sweep_maildrop(sweep, items, count, &err) < 0)
		tool_leave_out(sweep->tool, items->owner, &err);
}

static int sweep_orphans(struct sweep *sweep, struct err *err)
{
	struct orphans orphans;
	int rc = orphans_find(sweep->tool, &sweep->bodies, &orphans, err);

	sweep->now = orphans.now;
	for (size_t i = 0, n; rc == 0 && i < orphans.count; i += n) {
		n = group_size(&orphans, i);
		sweep_group(sweep, &orphans.items[i], n);
	}
	orphans_finish(&orphans);
	return rc;
}

int sweep_command(struct tool *tool, struct err *err)
{
	struct sweep sweep = {.tool = tool};
	int rc;

	if (tool->maildrop_count)
		return err_set(err, EX_USAGE, "it sweeps the pool, not single maildrops");
	if (mark_look(tool->engine, err) != 1)
		return err->code ? -1
				 : err_set(err, EX_CONFIG,
					   "pool %s or %s has no mark: nothing is removed",
					   tool->pool, tool->bodies);
	rc = tool_bodies_list(tool, &sweep.bodies, err);
	if (rc == 0)
		rc = read_logs(&sweep, err);
	if (rc == 0)
		rc = sweep_orphans(&sweep, err);
	tool_bodies_finish(&sweep.bodies);
	if (rc < 0)
		return -1;
	printf("%" PRIu64 " orphans of %" PRIu64 " octets and %" PRIu64
	       " bodies of deleted messages %s; %" PRIu64
	       " were seen first by a sweep of the last 7 days; %" PRIu64
	       " of maildrops without an index stay\n",
	       sweep.orphans, sweep.octets, sweep.leftovers,
	       tool->dry_run ? "would be removed" : "removed", sweep.young, sweep.left);
	return EX_OK;
}
