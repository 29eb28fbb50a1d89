/* See line_file.h. */
#include "users/line_file.h"

#include "base/crc32c.h"
#include "base/descriptor.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	SUM_SIZE = 8, /* hex digits of the checksum in front of a line */
	LOCK_TRIES = 500,
	LOCK_PAUSE = 10 * 1000 * 1000, /* nanoseconds */
	OPEN_TRIES = 10,
	NAME_MAX_NEW = 64,
};

/* ---- lines ---- */

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c && strchr("@.-_+=", c));
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *line_words(char *buf)
{
	return buf + SUM_SIZE + 1;
}

char *line_put_name(char *to, const char *name)
{
	for (const char *c = name; *c; c++)
		if (is_plain(*c))
			*to++ = *c;
		else
			to += snprintf(to, 4, "%%%02x", (unsigned char)*c);
	return to;
}

size_t line_finish(char *buf, char *end)
{
	const char *begin = line_words(buf);
	char sum[SUM_SIZE + 1];

	snprintf(sum, sizeof(sum), "%08" PRIx32, crc32c(0, begin, (size_t)(end - begin)));
	memcpy(buf, sum, SUM_SIZE);
	buf[SUM_SIZE] = ' ';
	*end++ = '\n';
	*end = '\0';
	return (size_t)(end - buf);
}

pop3_span line_take_word(pop3_span *rest)
{
	const char *blank = rest->size ? memchr(rest->data, ' ', rest->size) : NULL;
	pop3_span word = {rest->data, blank ? (size_t)(blank - rest->data) : rest->size};
	size_t whole = word.size + (blank != NULL);

	*rest = (pop3_span){rest->data + whole, rest->size - whole};
	return word;
}

int line_begin(pop3_span line, pop3_span *ret)
{
	pop3_span rest = line, word = line_take_word(&rest);
	char sum[SUM_SIZE + 1];

	snprintf(sum, sizeof(sum), "%08" PRIx32, rest.size ? crc32c(0, rest.data, rest.size) : 0);
	if (!span_equal(word, span_of(sum)))
		return -1;
	*ret = rest;
	return 0;
}

int line_take_name(pop3_span text, char name[USER_NAME_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (n == USER_NAME_MAX)
			return -1;
		if (c == '%' && i + 2 < text.size && hex_value(text.data[i + 1]) >= 0 &&
		    hex_value(text.data[i + 2]) >= 0) {
			c = (char)(16 * hex_value(text.data[i + 1]) + hex_value(text.data[i + 2]));
			i += 2;
			if (is_plain(c))
				return -1;
		} else if (!is_plain(c)) {
			return -1;
		}
		name[n++] = c;
	}
	name[n] = '\0';
	return 0;
}

/* ---- the file ---- */

static int failed(const struct line_file *file, struct err *err, const char *what)
{
	return err_sys(err, EX_IOERR, errno, "%s: %s", file->what, what);
}

static int wait_for_lock(int fd)
{
	struct timespec pause = {.tv_nsec = LOCK_PAUSE};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	for (int i = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; i++) {
		if ((errno != EAGAIN && errno != EACCES) || i == LOCK_TRIES)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Whether it is a file that only the owner of the folder could have put there. */
static int check_file(const struct line_file *file, int folder_fd, int fd, struct stat *ret,
		      struct err *err)
{
	struct stat folder;

	if (fstat(fd, ret) < 0 || fstat(folder_fd, &folder) < 0)
		return failed(file, err, "cannot be looked at");
	if (S_ISREG(ret->st_mode) && ret->st_nlink <= 1 && ret->st_uid == folder.st_uid)
		return 0;
	return err_set(err, EX_NOPERM,
		       "%s is no file of its own, or does not belong to the owner of its folder: "
		       "remove it",
		       file->what);
}

/* Opens and locks the file that has the name now. *ret -1: there is none. */
static int open_locked(const struct line_file *file, int folder_fd, bool make, int *ret,
		       struct stat *ret_st, struct err *err)
{
	int flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

	for (int i = 0; i < OPEN_TRIES; i++) {
		struct stat named;
		int fd = openat(folder_fd, file->name, make ? flags | O_CREAT : flags, 0600);

		*ret = -1;
		if (fd < 0 && errno == ENOENT && !make)
			return 0;
		if (fd < 0)
			return failed(file, err, "cannot be opened");
		if (check_file(file, folder_fd, fd, ret_st, err) < 0) {
			close(fd);
			return -1;
		}
		if (wait_for_lock(fd) < 0) {
			failed(file, err, "another process keeps it locked");
			close(fd);
			return -1;
		}
		*ret = fd;
		if (fstatat(folder_fd, file->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    named.st_dev == ret_st->st_dev && named.st_ino == ret_st->st_ino &&
		    fstat(fd, ret_st) == 0)
			return 0;
		close(fd); /* it was rewritten meanwhile */
	}
	return err_set(err, EX_TEMPFAIL, "%s is put anew again and again", file->what);
}

/* A line that was cut off is ended, so that the next one is a line. */
static int end_last_line(int fd, off_t size)
{
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return -1;
	return last == '\n' ? 0 : write_all(fd, "\n", 1);
}

int line_file_append(const struct line_file *file, int folder_fd, const struct line_append *append,
		     uint64_t *ret_size, struct err *err)
{
	struct stat st;
	int fd, rc = 0;

	if (open_locked(file, folder_fd, append->make, &fd, &st, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	if ((uint64_t)st.st_size + append->lines.size > file->max)
		rc = err_set(err, EX_CANTCREAT, "%s has %" PRIu64 " octets: it is full", file->what,
			     file->max);
	else if ((st.st_size == 0 ? write_all(fd, append->first.data, append->first.size)
				  : end_last_line(fd, st.st_size)) < 0 ||
		 write_all(fd, append->lines.data, append->lines.size) < 0 ||
		 (append->sync && fdatasync(fd) < 0))
		rc = failed(file, err, "cannot be written to");
	if (ret_size)
		*ret_size = (uint64_t)st.st_size + append->lines.size;
	close(fd);
	return rc;
}

/* Reads lines; one that is too long is passed over. */
struct reader {
	FILE *file;
	uint64_t number; /* of the line, from 1 */
	size_t size;
	char line[LINE_FILE_LINE_MAX];
};

/* fd: stays the caller's, and is at its begin. */
static int reader_begin(struct reader *reader, const struct line_file *file, int fd,
			struct err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	*reader = (struct reader){.file = copy < 0 ? NULL : fdopen(copy, "r")};
	if (reader->file && fseeko(reader->file, 0, SEEK_SET) == 0)
		return 0;
	failed(file, err, "cannot be read");
	if (reader->file)
		fclose(reader->file);
	else
		close_fd(&copy);
	return -1;
}

/* Only a line with its end is one. */
static bool reader_next(struct reader *reader)
{
	int c;

	reader->size = 0;
	while ((c = getc_unlocked(reader->file)) != EOF) {
		if (c != '\n') {
			if (reader->size < sizeof(reader->line))
				reader->line[reader->size++] = (char)c;
			continue;
		}
		reader->number++;
		if (reader->size < sizeof(reader->line))
			return true;
		reader->size = 0;
	}
	return false;
}

static pop3_span line_of(const struct reader *reader)
{
	return (pop3_span){reader->line, reader->size};
}

static int reader_end(struct reader *reader, const struct line_file *file, struct err *err)
{
	bool bad = ferror(reader->file) != 0;

	fclose(reader->file);
	return bad ? failed(file, err, "cannot be read") : 0;
}

int line_file_each(const struct line_file *file, int folder_fd, line_visit *visit, void *context,
		   struct err *err)
{
	int fd = openat(folder_fd, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct reader reader;
	struct stat st;
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : failed(file, err, "cannot be opened");
	rc = check_file(file, folder_fd, fd, &st, err);
	if (rc == 0)
		rc = reader_begin(&reader, file, fd, err);
	close(fd);
	if (rc < 0)
		return -1;
	while (reader_next(&reader))
		visit(context, line_of(&reader));
	return reader_end(&reader, file, err);
}

/* ---- rewriting ---- */

static int note_lines(const struct line_file *file, int fd, const struct line_sieve *sieve,
		      struct err *err)
{
	struct reader reader;

	if (reader_begin(&reader, file, fd, err) < 0)
		return -1;
	while (reader_next(&reader)) {
		if (sieve->note(sieve->context, line_of(&reader), reader.number) == 0)
			continue;
		(void)reader_end(&reader, file, err);
		return err_set(err, EX_OSERR,
			       "%s cannot be rewritten: no memory, or too many names in it",
			       file->what);
	}
	return reader_end(&reader, file, err);
}

static int copy_lines(const struct line_file *file, int fd, const struct line_sieve *sieve,
		      FILE *out, struct err *err)
{
	struct reader reader;

	if (reader_begin(&reader, file, fd, err) < 0)
		return -1;
	while (reader_next(&reader))
		if (sieve->keep(sieve->context, line_of(&reader), reader.number)) {
			fwrite(reader.line, 1, reader.size, out);
			putc('\n', out);
		}
	return reader_end(&reader, file, err);
}

static int sync_folder(int folder_fd)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* it may be O_PATH */
	int rc = fd < 0 ? -1 : fsync(fd);

	close_fd(&fd);
	return rc;
}

/* fd: the locked file. */
static int rewrite(const struct line_file *file, int folder_fd, int fd,
		   const struct line_sieve *sieve, uint64_t *ret_size, struct err *err)
{
	char name[NAME_MAX_NEW];
	off_t size = 0;
	int new_fd, rc;
	FILE *out;

	snprintf(name, sizeof(name), "%s.new", file->name);
	(void)unlinkat(folder_fd, name, 0); /* of one that did not come to its end */
	new_fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = new_fd < 0 ? NULL : fdopen(new_fd, "w");
	if (!out) {
		close_fd(&new_fd);
		return failed(file, err, "a new one cannot be made");
	}
	rc = copy_lines(file, fd, sieve, out, err);
	if (rc == 0 && (fflush(out) != 0 || ferror(out) || fsync(new_fd) < 0 ||
			(size = lseek(new_fd, 0, SEEK_CUR)) < 0))
		rc = failed(file, err, "a new one cannot be written");
	if (rc == 0 && renameat(folder_fd, name, folder_fd, file->name) < 0)
		rc = failed(file, err, "a new one cannot be put in its place");
	if (rc == 0 && sync_folder(folder_fd) < 0)
		rc = failed(file, err, "its folder cannot be flushed");
	if (rc == 0 && ret_size)
		*ret_size = (uint64_t)size;
	fclose(out);
	return rc;
}

int line_file_rewrite(const struct line_file *file, int folder_fd, const struct line_sieve *sieve,
		      uint64_t *ret_size, struct err *err)
{
	struct stat st;
	int fd, rc;

	if (ret_size)
		*ret_size = 0;
	if (open_locked(file, folder_fd, false, &fd, &st, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	rc = note_lines(file, fd, sieve, err);
	if (rc == 0)
		rc = rewrite(file, folder_fd, fd, sieve, ret_size, err);
	close(fd);
	return rc;
}
