/* Index objects, read whole. See tool.h. */
#include "rados/tool/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	PIECE = 4 << 20, /* octets of a reading */
	TRIES_MAX = 10,
};

static const char PREFIX[] = "x/";

const char *tool_maildrop(const char *index_name)
{
	return index_name + sizeof(PREFIX) - 1;
}

void tool_index_finish(struct tool_index *index)
{
	drop_log_finish(&index->log);
}

/* ---- reading ---- */

struct octets {
	char *data;
	size_t size, room;
};

static int make_room(struct octets *octets, struct err *err)
{
	char *more;

	if (octets->room - octets->size >= PIECE)
		return 0;
	more = realloc(octets->data, octets->room * 2 + PIECE);
	if (!more)
		return err_set(err, EX_OSERR, "out of memory");
	octets->data = more;
	octets->room = octets->room * 2 + PIECE;
	return 0;
}

/* One generation of its data, to the end. As engine_index: ENGINE_CHANGED: another one came. -1:
 * err. */
static int read_once(struct tool *tool, struct tool_index *index, struct octets *octets,
		     enum engine_result *ret, struct err *err)
{
	struct engine_index piece = {.op.done = tool_ended};

	do {
		if (make_room(octets, err) < 0)
			return -1;
		piece.offset = octets->size;
		piece.room = octets->data + octets->size;
		piece.room_size = PIECE;
		engine_index(tool->engine, index->name, &piece);
		engine_wait(tool->engine, &piece.op);
		*ret = piece.op.result;
		if (*ret == ENGINE_CHANGED || *ret == ENGINE_ABSENT)
			return 0;
		if (*ret != ENGINE_OK)
			return tool_failed(&piece.op, index->name, err);
		octets->size += piece.got;
		memcpy(index->generation, piece.generation, sizeof(index->generation));
		if (*index->generation)
			piece.expect = index->generation;
		index->version = piece.version;
	} while (piece.got && octets->size < piece.size);
	return 0;
}

static uint64_t count_duplicates(pop3_span octets, const struct drop_log *log)
{
	struct drop_frame frame;
	uint64_t records = 0, messages = 0;
	size_t at = 0, size;

	while (at < octets.size &&
	       (size = drop_frame_decode((pop3_span){octets.data + at, octets.size - at},
					 &frame)) != 0) {
		records += frame.kind == DROP_ADD;
		at += size;
	}
	for (size_t i = 0; i < log->count; i++)
		messages += log->messages[i].added;
	return records - messages;
}

static int feed(struct tool_index *index, const struct octets *octets, struct err *err)
{
	pop3_span all = {octets->data, octets->size};

	drop_log_init(&index->log);
	if (drop_log_feed(&index->log, all, err) < 0) {
		if (err->code != EX_DATAERR) {
			drop_log_finish(&index->log);
			return -1;
		}
		index->damaged = true;
	}
	index->duplicates = count_duplicates(all, &index->log);
	return 1;
}

int tool_index_read(struct tool *tool, const char *name, struct tool_index *ret, struct err *err)
{
	enum engine_result result = ENGINE_CHANGED;
	struct octets octets = {0};
	int rc = 0;

	*ret = (struct tool_index){0};
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	for (int i = 0; rc == 0 && result == ENGINE_CHANGED && i < TRIES_MAX; i++) {
		octets.size = 0;
		rc = read_once(tool, ret, &octets, &result, err);
	}
	if (rc == 0 && result == ENGINE_CHANGED)
		rc = err_set(err, EX_TEMPFAIL, "%s is replaced again and again", name);
	else if (rc == 0 && result == ENGINE_OK)
		rc = feed(ret, &octets, err);
	free(octets.data);
	return rc;
}

/* ---- names ---- */

static bool add_name(void *context, const char *name)
{
	struct tool_names *names = context;
	char **more = names->names;

	if (names->count == names->room) {
		more = realloc(names->names, (names->room * 2 + 64) * sizeof(*more));
		if (!more)
			abort();
		names->names = more;
		names->room = names->room * 2 + 64;
	}
	names->names[names->count] = strdup(name);
	if (!names->names[names->count++])
		abort();
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int tool_indexes(struct tool *tool, struct tool_names *ret, struct err *err)
{
	*ret = (struct tool_names){0};
	for (unsigned i = 0; i < tool->maildrop_count; i++) {
		char name[ENGINE_NAME_MAX];

		if (snprintf(name, sizeof(name), "%s%s", PREFIX, tool->maildrops[i]) >=
		    (int)sizeof(name))
			return err_set(err, EX_USAGE, "%s is too long", tool->maildrops[i]);
		add_name(ret, name);
	}
	if (!tool->maildrop_count &&
	    engine_list(tool->engine, ENGINE_INDEXES, PREFIX, add_name, ret, err) < 0)
		return -1;
	if (ret->count)
		qsort(ret->names, ret->count, sizeof(*ret->names), compare);
	return 0;
}

void tool_names_finish(struct tool_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
}
