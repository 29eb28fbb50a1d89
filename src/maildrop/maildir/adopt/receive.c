/* See receive.h. In `valija import`, with the rights of the mail's owner. */
#include "maildrop/maildir/adopt/receive.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "maildrop/maildir/adopt/id_list.h"
#include "maildrop/maildir/adopt/ids_file.h"
#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/files/scan.h"
#include "maildrop/maildir/update/uidl.h"

#include <pop3/message.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FOLDER "valija-import" /* in which messages are until all of them are there */
#define BEGUN "begun"          /* a message that is being copied there */
#define CHUNK (256 * 1024)
#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

struct receiving {
	struct maildir_place *place;
	const struct mail_origin *origin;
	const struct maildir_incoming *incoming;
	struct adopt_report *report;
	bool dry_run;
	bool *left_out; /* of incoming: messages whose file is not there */
	char *chunk;
	int folder;   /* FOLDER; -1: not open */
	char *before; /* valija-uidl */
	size_t before_size;
};

/* ---- valija-uidl ---- */

/* The line " origin 7 cyrus format=dovecot" of that server, with what follows it; data NULL: there
 * is none. *ret_count: its number. */
static pop3_span find_origin(pop3_span text, enum origin_server server, uint64_t *ret_count)
{
	while (text.size) {
		pop3_span from = text, line = span_take_until(&text, '\n'), count;
		struct mail_origin origin;

		if (!span_take_prefix(&line, SPAN_LITERAL(UIDL_ORIGIN)))
			continue;
		count = span_take_until(&line, ' ');
		if (span_number(count, INDEX_COUNT_MAX, ret_count) == 0 &&
		    mail_origin_parse(line, &origin) == 0 && origin.server == server)
			return from;
	}
	return (pop3_span){0};
}

static int read_ids(struct maildir_place *place, char **ret, size_t *ret_size, struct err *err)
{
	struct err local = {0};

	*ret = NULL;
	*ret_size = 0;
	if (id_list_text(place, place->dir, UIDL_NAME, ret, ret_size, &local) == 0 ||
	    (local.errnum == ENOENT && !*ret))
		return 0;
	if (err)
		*err = local;
	return err_prefix(err, "maildrop %s", place->home);
}

/* Lines go out in this order: those that the file had, one of the origin, those of the messages. */
static int write_ids(const struct receiving *r)
{
	const struct maildir_incoming *incoming = r->incoming;
	size_t room = r->before_size + UIDL_ORIGIN_MAX + 1, size = r->before_size;
	char text[ORIGIN_TEXT_MAX], *lines;
	int result;

	for (uint32_t i = 0; i < incoming->count; i++)
		room += UIDL_LINE_MAX(POP3_UNIQUE_ID_MAX, sizeof(incoming->messages[i].unique));
	lines = malloc(room);
	if (!lines) {
		errno = ENOMEM;
		return -1;
	}
	if (size)
		memcpy(lines, r->before, size);
	if (size && lines[size - 1] != '\n')
		lines[size++] = '\n';
	mail_origin_print(r->origin, text);
	size += (size_t)snprintf(lines + size, UIDL_ORIGIN_MAX, UIDL_ORIGIN "%" PRIu64 " %s\n",
				 r->report->brought, text);
	for (uint32_t i = 0; i < incoming->count; i++)
		if (!r->left_out[i])
			size += maildir_uidl_line(lines + size, span_of(incoming->messages[i].id),
						  span_of(incoming->messages[i].unique));
	result = maildir_ids_replace(r->place, lines, size);
	free(lines);
	return result;
}

/* ---- the folder beside cur ---- */

struct names {
	char **names;
	size_t count, room;
};

static int take_name(void *context, pop3_span name, uint64_t inode)
{
	struct names *names = context;

	(void)inode;
	if (names->count == names->room) {
		size_t room = names->room ? names->room * 2 : 1024;
		char **grown = realloc(names->names, room * sizeof(*grown));

		if (!grown)
			return -1;
		names->names = grown;
		names->room = room;
	}
	names->names[names->count] = strndup(name.data, name.size);
	return names->names[names->count] ? (names->count++, 0) : -1;
}

static void names_finish(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
}

/* Takes each file of the folder to cur, or, to < 0, away. */
static int empty_folder(const struct receiving *r, int to)
{
	const struct maildrop_syscalls *sys = r->place->sys;
	struct names names = {0};
	int result = maildir_scan(r->place, FOLDER, take_name, &names);

	for (size_t i = 0; result == 0 && i < names.count; i++)
		result = to < 0 ? sys->unlinkat(r->folder, names.names[i], 0)
				: sys->renameat2(r->folder, names.names[i], to, names.names[i], 0);
	names_finish(&names);
	return result;
}

static int open_folder(struct receiving *r, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	const struct maildrop_syscalls *sys = r->place->sys;

	if (make && sys->mkdirat(r->place->dir, FOLDER, 0700) < 0 && errno != EEXIST)
		return -1;
	r->folder = sys->openat(r->place->dir, FOLDER, flags, 0);
	return r->folder < 0 && (make || errno != ENOENT) ? -1 : 0;
}

static int remove_folder(struct receiving *r)
{
	if (r->folder < 0)
		return 0;
	close(r->folder);
	r->folder = -1;
	return r->place->sys->unlinkat(r->place->dir, FOLDER, AT_REMOVEDIR);
}

/* The second half, also of a call that was cut off: the ids are on the disk. */
static enum maildrop_status show_all(struct receiving *r, struct err *err)
{
	struct maildir_place *place = r->place;
	int cur = maildir_directory(place, INDEX_CUR);

	if (r->folder < 0)
		return MAILDROP_OK;
	if (cur < 0 || empty_folder(r, cur) < 0 || place->sys->fsync(cur) < 0 ||
	    remove_folder(r) < 0 || place->sys->fsync(place->dir) < 0)
		return maildir_failed(place, errno, FOLDER, "cannot be emptied", err);
	return MAILDROP_OK;
}

/* ---- messages ---- */

/* 0; -1 with errno: of the source, if *ret_source is set. */
static int copy_octets(struct receiving *r, int from, int to, struct pop3_counter *counter,
		       bool *ret_source)
{
	off_t at = 0;
	ssize_t n;

	while ((n = maildrop_pread(r->place->sys, from, r->chunk, CHUNK, at)) > 0) {
		pop3_counter_feed(counter, (pop3_span){r->chunk, (size_t)n});
		if (maildrop_pwrite(r->place->sys, to, r->chunk, (size_t)n, at) < 0)
			return -1;
		at += n;
	}
	*ret_source = n < 0;
	return n < 0 ? -1 : 0;
}

static void say_left_out(struct receiving *r, uint32_t number, const char *why)
{
	r->left_out[number] = true;
	if (r->report->again++ == 0)
		snprintf(r->report->why, sizeof(r->report->why), "%.70s: %.160s",
			 r->incoming->messages[number].id, why);
}

static enum maildrop_status copy_one(struct receiving *r, uint32_t number, int from,
				     struct err *err)
{
	const struct maildir_incoming_message *m = &r->incoming->messages[number];
	const struct timespec times[2] = {{.tv_sec = m->seconds}, {.tv_sec = m->seconds}};
	const struct maildrop_syscalls *sys = r->place->sys;
	struct pop3_counter counter;
	char name[INDEX_NAME_MAX];
	bool source = false;
	int to = sys->openat(r->folder, BEGUN, O_RDWR | O_CREAT | O_TRUNC | FILE_FLAGS, 0600);
	int result = to < 0 ? -1 : 0;

	pop3_counter_init(&counter);
	if (result == 0)
		result = copy_octets(r, from, to, &counter, &source);
	pop3_counter_finish(&counter);
	if (result == 0)
		result = sys->futimens(to, times);
	snprintf(name, sizeof(name), "%s,S=%" PRIu64 ",W=%" PRIu64 ":2,%s", m->unique,
		 counter.stored, counter.octets, m->flags);
	if (result == 0)
		result = sys->renameat2(r->folder, BEGUN, r->folder, name, 0);
	if (to >= 0)
		close(to);
	if (result < 0 && source) {
		err_sys(err, EX_NOINPUT, errno, "maildrop %s: the message %s cannot be read",
			r->place->home, m->id);
		return MAILDROP_TEMP;
	}
	return result < 0 ? maildir_failed(r->place, errno, FOLDER, "cannot be written to", err)
			  : MAILDROP_OK;
}

static enum maildrop_status take_one(struct receiving *r, uint32_t number, struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;
	struct err local = {0};
	int from = r->incoming->open(r->incoming->context, number, &local);

	if (from < 0 && local.errnum == ENOENT) {
		say_left_out(r, number, "its file is not there");
		return MAILDROP_OK;
	}
	if (from < 0) {
		if (err)
			*err = local;
		return MAILDROP_TEMP;
	}
	if (!r->dry_run)
		status = copy_one(r, number, from, err);
	r->report->brought += status == MAILDROP_OK;
	close(from);
	return status;
}

/* One flush for all: a flush of each file costs a hundred times as much. The table of calls has
 * none of this kind, for nothing else in a maildrop has the time to wait for the whole filesystem.
 */
static int flush_folder(const struct receiving *r)
{
	return syncfs(r->folder) < 0 ? -1 : r->place->sys->fsync(r->folder);
}

static enum maildrop_status take_all(struct receiving *r, struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;

	if (!r->dry_run && (open_folder(r, true) < 0 || empty_folder(r, -1) < 0))
		return maildir_failed(r->place, errno, FOLDER, "cannot be made", err);
	r->report->messages = r->incoming->count;
	for (uint32_t i = 0; status == MAILDROP_OK && i < r->incoming->count; i++)
		status = take_one(r, i, err);
	if (r->dry_run || status < 0)
		return status;
	if (flush_folder(r) < 0)
		return maildir_failed(r->place, errno, FOLDER, "cannot be flushed", err);
	if (write_ids(r) < 0)
		return maildir_failed(r->place, errno, UIDL_NAME, "cannot be written", err);
	return show_all(r, err);
}

static enum maildrop_status receive(struct receiving *r, struct err *err)
{
	uint64_t count;

	if (read_ids(r->place, &r->before, &r->before_size, err) < 0)
		return MAILDROP_TEMP;
	if (!find_origin((pop3_span){r->before, r->before_size}, r->origin->server, &count).data)
		return take_all(r, err);
	r->report->is = ADOPT_OURS;
	if (r->dry_run)
		return MAILDROP_OK;
	if (open_folder(r, false) < 0)
		return maildir_failed(r->place, errno, FOLDER, "cannot be opened", err);
	return show_all(r, err);
}

/* A maildrop of nobody gets its lock file here; one that another server filled is for the command
 * of that server. */
static enum maildrop_status lock(struct maildir_place *place, bool dry_run, struct err *err)
{
	unsigned lists;
	enum adopt_is is;
	char demand[ORIGIN_DEMAND_MAX];

	if (maildir_whose(place, place->dir, &is, &lists) < 0)
		return maildir_failed(place, errno, NULL, "cannot be read", err);
	if (is == ADOPT_FOREIGN) {
		mail_origin_demand(lists, demand);
		err_set(err, EX_CONFIG, "maildrop %s: %s", place->home, demand);
		return MAILDROP_PERM;
	}
	if (dry_run)
		return MAILDROP_OK;
	if (!maildir_place_has_lock(place) && errno == ENOENT)
		place->lock = place->sys->openat(place->dir, LOCK_NAME,
						 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (place->lock < 0)
		return maildir_failed(place, errno, LOCK_NAME, "cannot be opened", err);
	if (maildir_lock(place, LOCK_SESSION, false) == 0)
		return MAILDROP_OK;
	if (errno != EAGAIN)
		return maildir_failed(place, errno, LOCK_NAME, "cannot be locked", err);
	err_set(err, EX_TEMPFAIL, "maildrop %s: a session has it: call this again later",
		place->home);
	return MAILDROP_IN_USE;
}

enum maildrop_status maildir_receive_all(struct maildir_place *place,
					 const struct mail_origin *origin,
					 const struct maildir_incoming *incoming, bool dry_run,
					 struct adopt_report *ret, struct err *err)
{
	struct receiving r = {.place = place,
			      .origin = origin,
			      .incoming = incoming,
			      .report = ret,
			      .dry_run = dry_run,
			      .folder = -1};
	enum maildrop_status status = MAILDROP_OK;

	if (place->dir >= 0)
		status = lock(place, dry_run, err);
	if (status < 0)
		return status;
	r.left_out = calloc((size_t)incoming->count + 1, sizeof(*r.left_out));
	r.chunk = malloc(CHUNK);
	if (!r.left_out || !r.chunk)
		status = maildir_failed(place, ENOMEM, NULL, "cannot be written to", err);
	else
		status = place->dir < 0 ? take_all(&r, err) : receive(&r, err);
	if (r.folder >= 0)
		close(r.folder);
	if (place->dir >= 0 && !dry_run)
		maildir_unlock(place, LOCK_SESSION);
	free(r.left_out);
	free(r.chunk);
	free(r.before);
	return status;
}

/* ---- undo ---- */

struct undoing {
	struct hash_map parts;
	struct names names;
};

static int take_received(void *context, pop3_span name, uint64_t inode)
{
	struct undoing *undoing = context;
	uint8_t size = maildir_name_unique(name);

	if (!hash_map_find(&undoing->parts, hash_octets(name.data, size)))
		return 0;
	return take_name(&undoing->names, name, inode);
}

/* The unique parts that stand behind the line of the origin. -1: no memory. */
static int take_parts(struct undoing *undoing, pop3_span from, uint64_t count)
{
	hash_map_init(&undoing->parts, (size_t)count + 1);
	(void)span_take_until(&from, '\n');
	for (; count && from.size; count--) {
		pop3_span line = span_take_until(&from, '\n');
		uint64_t *at;

		(void)span_take_until(&line, ' ');
		at = hash_map_put(&undoing->parts, hash_octets(line.data, line.size));
		if (!at)
			return -1;
		*at = 1;
	}
	return 0;
}

static int remove_received(struct maildir_place *place, struct undoing *undoing)
{
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		int folder = maildir_directory(place, (enum index_directory)d);

		if (folder < 0 ||
		    maildir_scan(place, maildir_directory_names[d], take_received, undoing) < 0)
			return -1;
		for (size_t i = 0; i < undoing->names.count; i++)
			if (place->sys->unlinkat(folder, undoing->names.names[i], 0) < 0)
				return -1;
		names_finish(&undoing->names);
		undoing->names = (struct names){0};
		if (place->sys->fsync(folder) < 0)
			return -1;
	}
	return 0;
}

/* Files first: without their lines they would be other messages. */
static int undo(struct receiving *r, pop3_span from, uint64_t count)
{
	struct undoing undoing = {0};
	int result = take_parts(&undoing, from, count);

	if (result == 0)
		result = remove_received(r->place, &undoing);
	if (result == 0)
		result = open_folder(r, false);
	if (result == 0 && r->folder >= 0)
		result = empty_folder(r, -1);
	if (result == 0)
		result = remove_folder(r);
	if (result == 0)
		result = maildir_ids_replace(r->place, r->before, (size_t)(from.data - r->before));
	hash_map_finish(&undoing.parts);
	names_finish(&undoing.names);
	return result;
}

static enum maildrop_status undo_locked(struct receiving *r, enum origin_server server,
					struct undo_report *ret, struct err *err)
{
	int used = maildir_has(r->place, r->place->dir, BASE_NAME);
	pop3_span from = {0};
	uint64_t count = 0;

	if (used < 0)
		return maildir_failed(r->place, errno, BASE_NAME, "cannot be read", err);
	if (read_ids(r->place, &r->before, &r->before_size, err) < 0)
		return MAILDROP_TEMP;
	from = find_origin((pop3_span){r->before, r->before_size}, server, &count);
	if (!from.data)
		return MAILDROP_OK;
	ret->is = used ? UNDO_USED : UNDO_DONE;
	if (used || r->dry_run || undo(r, from, count) == 0)
		return MAILDROP_OK;
	return maildir_failed(r->place, errno, NULL, "cannot be written to", err);
}

enum maildrop_status maildir_receive_undo(struct maildir_place *place, enum origin_server server,
					  bool dry_run, struct undo_report *ret, struct err *err)
{
	struct receiving r = {.place = place, .dry_run = dry_run, .folder = -1};
	enum maildrop_status status = lock(place, dry_run, err);

	*ret = (struct undo_report){.is = UNDO_NOTHING};
	if (status < 0)
		return status;
	status = undo_locked(&r, server, ret, err);
	if (r.folder >= 0)
		close(r.folder);
	if (!dry_run)
		maildir_unlock(place, LOCK_SESSION);
	free(r.before);
	return status;
}
