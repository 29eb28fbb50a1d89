/*
 * `valija rados export`: maildrops become Maildirs, with their unique ids and in their order: each
 * message is a file whose name begins with its id, and valija-uidl, written last, says which unique
 * id is whose, in the order of the log. Files that are there already stay, those of messages that
 * were deleted since go: it may be stopped and called again, and once more when deliveries have
 * stopped.
 */
#include "rados/tool/folder.h"
#include "rados/tool/tool.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PIECE = 1 << 20,
	NAME_SIZE = 128,
};

struct exporting {
	struct tool *tool;
	int root;
	char *room; /* PIECE octets */
	uint64_t maildrops, written, octets, there, gone;
};

/* A maildrop under way. */
struct target {
	const struct tool_index *index;
	int folder, cur, tmp;
	bool *there; /* by message: it has its file */
};

static void name_file(const struct drop_message *message, char ret[NAME_SIZE])
{
	char id[DROP_ID_TEXT];

	drop_id_text(message->id, id);
	snprintf(ret, NAME_SIZE, "%s,S=%" PRIu64 ",W=%" PRIu64 ":2,", id, message->stored,
		 message->octets);
}

/* ---- what is there ---- */

static int refuse_used(const struct target *target, const char *path, struct err *err)
{
	static const char *const names[] = {"valija-lock", "valija-base", "valija-delta",
					    "dovecot-uidlist", "courierpop3dsizelist"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (faccessat(target->folder, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return err_set(err, EX_CANTCREAT,
				       "%s/%s is there: a server has used this Maildir. Export to "
				       "another folder",
				       path, names[i]);
	return 0;
}

/* A file of cur/, or new/. */
static int take_file(struct exporting *x, const struct target *target, const char *file, bool cur,
		     struct err *err)
{
	pop3_span name = span_of(file), id = span_take_until(&name, ',');
	char right[NAME_SIZE];
	unsigned char octets[DROP_ID];
	struct drop_message *message;

	if (!cur || drop_id_of(id, octets) < 0)
		return err_set(err, EX_CANTCREAT,
			       "it has mail that was not exported (%s): export to another folder",
			       file);
	message = drop_log_find(&target->index->log, octets);
	if (message && message->added && !message->deleted) {
		name_file(message, right);
		target->there[message - target->index->log.messages] = strcmp(file, right) == 0;
		x->there += strcmp(file, right) == 0;
		return 0;
	}
	x->gone++;
	if (!x->tool->dry_run && unlinkat(target->cur, file, 0) < 0)
		return err_sys(err, EX_IOERR, errno, "%s", file);
	return 0;
}

static int take_files(struct exporting *x, const struct target *target, const char *name,
		      struct err *err)
{
	int fd = openat(target->folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return errno == ENOENT ? 0 : err_sys(err, EX_NOINPUT, errno, "%s", name);
	}
	while (rc == 0 && (entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			rc = take_file(x, target, entry->d_name, strcmp(name, "cur") == 0, err);
	closedir(folder);
	return rc;
}

/* ---- writing ---- */

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int fill(struct exporting *x, const struct drop_message *message, int fd, struct err *err)
{
	uint64_t at = 0;
	uint32_t crc = 0;
	ssize_t n = 1;

	while (n > 0 && at < message->stored) {
		n = tool_read_body(x->tool, message->id, at, x->room, PIECE, err);
		if (n < 0)
			return -1;
		if (write_all(fd, x->room, (size_t)n) < 0)
			return err_sys(err, EX_IOERR, errno, "a message cannot be written");
		crc = crc32c(crc, x->room, (size_t)n);
		at += (uint64_t)n;
	}
	if (at != message->stored || crc != message->body_crc)
		return err_set(err, EX_DATAERR, "its body is damaged");
	return 0;
}

/* A file in tmp/, whole and flushed, then its name in cur/. */
static int write_message(struct exporting *x, const struct target *target,
			 const struct drop_message *message, struct err *err)
{
	struct timespec times[2] = {{.tv_sec = (time_t)message->arrived},
				    {.tv_sec = (time_t)message->arrived}};
	char name[NAME_SIZE], id[DROP_ID_TEXT];
	int fd, rc;

	drop_id_text(message->id, id);
	name_file(message, name);
	fd = openat(target->tmp, id, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "tmp/%s", id);
	rc = fill(x, message, fd, err);
	if (rc == 0 && (futimens(fd, times) < 0 || fsync(fd) < 0 ||
			renameat(target->tmp, id, target->cur, name) < 0))
		rc = err_sys(err, EX_IOERR, errno, "cur/%s", name);
	if (rc < 0)
		(void)unlinkat(target->tmp, id, 0);
	close(fd);
	return rc;
}

static int write_messages(struct exporting *x, const struct target *target, struct err *err)
{
	const struct drop_log *log = &target->index->log;

	for (size_t i = 0; i < log->count; i++) {
		const struct drop_message *message = &log->messages[i];
		struct err one = {0};

		if (!message->added || message->deleted || target->there[i])
			continue;
		tool_pace(x->tool);
		if (!x->tool->dry_run && write_message(x, target, message, &one) < 0) {
			char what[DROP_ID_TEXT];

			if (one.code == EX_IOERR || one.code == EX_CANTCREAT) {
				*err = one;
				return -1;
			}
			drop_id_text(message->id, what);
			tool_leave_out(x->tool, what, &one);
			continue;
		}
		target->there[i] = true;
		x->written++;
		x->octets += message->stored;
	}
	return 0;
}

/* ---- unique ids ---- */

static void print_ids(const struct target *target, FILE *file)
{
	const struct drop_log *log = &target->index->log;
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += target->there[i];
	fprintf(file, " origin %zu rados\n", count);
	for (size_t i = 0; i < log->count; i++) {
		char own[DROP_ID_TEXT], id[DROP_ID_TEXT];
		pop3_span unique = drop_log_unique_id(log, &log->messages[i], own);

		drop_id_text(log->messages[i].id, id);
		if (target->there[i])
			fprintf(file, "%.*s %s\n", (int)unique.size, unique.data, id);
	}
}

static int write_ids(const struct target *target, struct err *err)
{
	int fd = openat(target->folder, "valija-uidl.new",
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	bool whole;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return err_sys(err, EX_CANTCREAT, errno, "valija-uidl.new");
	}
	print_ids(target, file);
	whole = fflush(file) == 0 && !ferror(file) && fsync(fd) == 0;
	if (fclose(file) != 0 || !whole || fsync(target->cur) < 0 ||
	    renameat(target->folder, "valija-uidl.new", target->folder, "valija-uidl") < 0 ||
	    fsync(target->folder) < 0)
		return err_sys(err, EX_IOERR, errno, "valija-uidl");
	return 0;
}

/* ---- one maildrop ---- */

static int open_target(struct exporting *x, struct target *target, const char *path,
		       struct err *err)
{
	static const char *const parts[] = {"cur", "new", "tmp"};

	target->folder = folder_make(x->root, path, err);
	for (size_t i = 0; target->folder >= 0 && i < 3; i++) {
		int fd = folder_make(target->folder, parts[i], err);

		if (fd < 0)
			return -1;
		if (i == 0)
			target->cur = fd;
		else if (i == 2)
			target->tmp = fd;
		else
			close(fd);
	}
	return target->folder < 0 ? -1 : 0;
}

/* dry_run: nothing is made; what is not there has no files. */
static int look_at_target(struct exporting *x, struct target *target, const char *path,
			  struct err *err)
{
	target->folder = openat(x->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target->folder < 0 && errno != ENOENT)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	return 0;
}

static void close_target(struct target *target)
{
	if (target->folder >= 0)
		close(target->folder);
	if (target->cur >= 0)
		close(target->cur);
	if (target->tmp >= 0)
		close(target->tmp);
	free(target->there);
}

static int export_index(struct exporting *x, const struct tool_index *index, struct err *err)
{
	struct target target = {.index = index, .folder = -1, .cur = -1, .tmp = -1};
	const char *path = tool_maildrop(index->name);
	int rc;

	target.there = calloc(index->log.count + 1, sizeof(*target.there));
	if (!target.there)
		return err_set(err, EX_OSERR, "out of memory");
	rc = x->tool->dry_run ? look_at_target(x, &target, path, err)
			      : open_target(x, &target, path, err);
	if (rc == 0 && target.folder >= 0) {
		rc = refuse_used(&target, path, err);
		if (rc == 0)
			rc = take_files(x, &target, "new", err);
		if (rc == 0)
			rc = take_files(x, &target, "cur", err);
	}
	if (rc == 0)
		rc = write_messages(x, &target, err);
	if (rc == 0 && !x->tool->dry_run)
		rc = write_ids(&target, err);
	close_target(&target);
	x->maildrops += rc == 0;
	return rc;
}

static int export_one(struct exporting *x, const char *name, struct err *err)
{
	struct tool_index index;
	int rc;

	if (!folder_path_is_safe(tool_maildrop(name)))
		return err_set(err, EX_DATAERR, "this is no path below a mail folder");
	rc = tool_index_read(x->tool, name, &index, err);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, EX_NOINPUT, "it is not there");
	rc = index.damaged ? -1 : export_index(x, &index, err);
	tool_index_finish(&index);
	return rc;
}

int export_command(struct tool *tool, struct err *err)
{
	struct exporting x = {.tool = tool, .root = -1, .room = malloc(PIECE)};
	struct tool_names names = {0};
	int rc = 0;

	if (!x.room)
		rc = err_set(err, EX_OSERR, "out of memory");
	if (rc == 0)
		x.root = folder_open(tool->folder, err);
	if (rc == 0 && x.root >= 0)
		rc = tool_indexes(tool, &names, err);
	for (size_t i = 0; rc == 0 && x.root >= 0 && i < names.count; i++) {
		struct err one = {0};

		if (export_one(&x, names.names[i], &one) < 0)
			tool_leave_out(tool, tool_maildrop(names.names[i]), &one);
	}
	tool_names_finish(&names);
	free(x.room);
	if (x.root < 0 || rc < 0)
		return -1;
	close(x.root);
	printf("%" PRIu64 " maildrops: %" PRIu64 " messages of %" PRIu64 " octets %s, %" PRIu64
	       " were there, %" PRIu64 " files of deleted ones %s\n",
	       x.maildrops, x.written, x.octets, tool->dry_run ? "would be written" : "written",
	       x.there, x.gone, tool->dry_run ? "would go" : "went");
	return EX_OK;
}
