/* See last_logins.h. The file belongs to a process that may be an intruder's: nothing in it is
 * believed without a check, and it is opened as what another user could have put there. */
#include "users/last_logins.h"

#include "base/crc32c.h"
#include "base/descriptor.h"
#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "users/app_password.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define NEW_FILE LAST_LOGINS_FILE ".new"

enum {
	SUM_SIZE = 8, /* hex digits of the checksum in front of a line */
	LOCK_TRIES = 500,
	LOCK_PAUSE = 10 * 1000 * 1000, /* nanoseconds */
	OPEN_TRIES = 10,
};

_Static_assert(LAST_LOGINS_LABEL_MAX == APP_LABEL_MAX, "a label fits");

static const char *const words[LAST_LOGIN_KINDS] = {
	[LAST_LOGIN_POP3] = "pop3",       [LAST_LOGIN_SASL] = "sasl",
	[LAST_LOGIN_REMOVED] = "removed", [LAST_LOGIN_REVOKED] = "revoked",
	[LAST_LOGIN_SINCE] = "since",
};

/* ---- days ---- */

/* Without gmtime, which reads the file of a time zone. Years begin in March, so that a leap day is
 * the last of one. */
void last_login_date(uint32_t day, char buf[LAST_LOGINS_DATE_SIZE])
{
	uint32_t z = day + 719468, era = z / 146097, of_era = z % 146097;
	uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint32_t month = (5 * of_year + 2) / 153, d = of_year - (153 * month + 2) / 5 + 1;
	char text[40];

	month = month < 10 ? month + 3 : month - 9;
	year = year + era * 400 + (month <= 2);
	snprintf(text, sizeof(text), "%04" PRIu32 "-%02" PRIu32 "-%02" PRIu32, year % 10000, month,
		 d);
	memcpy(buf, text, LAST_LOGINS_DATE_SIZE - 1);
	buf[LAST_LOGINS_DATE_SIZE - 1] = '\0';
}

/* The day of a date that last_login_date writes; else -1. */
static int day_of(pop3_span text, uint32_t *ret)
{
	char again[LAST_LOGINS_DATE_SIZE];
	uint64_t year, month, d, of_year;

	if (text.size != LAST_LOGINS_DATE_SIZE - 1 ||
	    span_number((pop3_span){text.data, 4}, 9999, &year) < 0 || year < 1970 ||
	    span_number((pop3_span){text.data + 5, 2}, 12, &month) < 0 || month == 0 ||
	    span_number((pop3_span){text.data + 8, 2}, 31, &d) < 0 || d == 0)
		return -1;
	year -= month <= 2;
	of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + d - 1;
	*ret = (uint32_t)(year / 400 * 146097 + year % 400 * 365 + year % 400 / 4 -
			  year % 400 / 100 + of_year - 719468);
	last_login_date(*ret, again);
	return span_equal(span_of(again), text) ? 0 : -1;
}

uint32_t last_login_today(void)
{
	time_t now = time(NULL);

	return now > 0 ? (uint32_t)(now / 86400) : 0;
}

/* ---- lines ---- */

int last_login_set(struct last_login *ret, enum last_login_kind kind, uint32_t day, pop3_span name,
		   pop3_span label)
{
	if (!user_name_valid(name) || (label.size && !app_label_valid(label)) ||
	    day > LAST_LOGINS_DAY_MAX || (kind == LAST_LOGIN_REMOVED && label.size))
		return -1;
	ret->kind = kind;
	ret->day = day;
	ret->name[user_name_key(name, ret->name).size] = '\0';
	return span_copy(label, ret->label, sizeof(ret->label));
}

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

size_t last_login_print(const struct last_login *login, char buf[LAST_LOGINS_LINE_MAX])
{
	char date[LAST_LOGINS_DATE_SIZE], sum[SUM_SIZE + 1];
	char *begin = buf + SUM_SIZE + 1, *to;

	last_login_date(login->day, date);
	to = begin + snprintf(begin, 128, "%s %s %s ", date, words[login->kind],
			      login->label[0] ? login->label : "-");
	for (const char *c = login->name; *c; c++)
		if (is_plain(*c))
			*to++ = *c;
		else
			to += snprintf(to, 4, "%%%02x", (unsigned char)*c);
	snprintf(sum, sizeof(sum), "%08" PRIx32, crc32c(0, begin, (size_t)(to - begin)));
	memcpy(buf, sum, SUM_SIZE);
	buf[SUM_SIZE] = ' ';
	*to++ = '\n';
	*to = '\0';
	return (size_t)(to - buf);
}

/* Takes what is in front of the next blank. */
static pop3_span take_word(pop3_span *rest)
{
	const char *blank = rest->size ? memchr(rest->data, ' ', rest->size) : NULL;
	pop3_span word = {rest->data, blank ? (size_t)(blank - rest->data) : rest->size};
	size_t whole = word.size + (blank != NULL);

	*rest = (pop3_span){rest->data + whole, rest->size - whole};
	return word;
}

static int take_name(pop3_span text, char name[USER_NAME_MAX + 1])
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

static int take_kind(pop3_span word, enum last_login_kind *ret)
{
	for (unsigned i = 0; i < LAST_LOGIN_KINDS; i++)
		if (span_equal(word, span_of(words[i]))) {
			*ret = (enum last_login_kind)i;
			return 0;
		}
	return -1;
}

int last_login_parse(pop3_span line, struct last_login *ret)
{
	char sum[SUM_SIZE + 1], name[USER_NAME_MAX + 1], key[USER_NAME_MAX + 1];
	pop3_span rest = line, word = take_word(&rest), label;
	enum last_login_kind kind;
	uint32_t day;

	snprintf(sum, sizeof(sum), "%08" PRIx32, rest.size ? crc32c(0, rest.data, rest.size) : 0);
	if (!span_equal(word, span_of(sum)) || day_of(take_word(&rest), &day) < 0 ||
	    take_kind(take_word(&rest), &kind) < 0)
		return -1;
	label = take_word(&rest);
	if (span_equal(label, SPAN_LITERAL("-")))
		label.size = 0;
	else if (!label.size)
		return -1;
	if (take_name(rest, name) < 0 || last_login_set(ret, kind, day, span_of(name), label) < 0)
		return -1;
	return span_equal(user_name_key(span_of(name), key), span_of(name)) ? 0 : -1;
}

/* ---- the file ---- */

static int failed(struct err *err, const char *what)
{
	return err_sys(err, EX_IOERR, errno, "the file of last logins: %s", what);
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
static int check_file(int folder_fd, int fd, struct stat *ret, struct err *err)
{
	struct stat folder;

	if (fstat(fd, ret) < 0 || fstat(folder_fd, &folder) < 0)
		return failed(err, "cannot be looked at");
	if (S_ISREG(ret->st_mode) && ret->st_nlink <= 1 && ret->st_uid == folder.st_uid)
		return 0;
	return err_set(err, EX_NOPERM,
		       "the file of last logins is no file of its own, or does not belong to the "
		       "owner of its folder: remove it");
}

/* Opens and locks the file that has the name now. *ret -1: there is none. */
static int open_locked(int folder_fd, bool make, int *ret, struct stat *ret_st, struct err *err)
{
	int flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

	for (int i = 0; i < OPEN_TRIES; i++) {
		struct stat named;
		int fd = openat(folder_fd, LAST_LOGINS_FILE, make ? flags | O_CREAT : flags, 0600);

		*ret = -1;
		if (fd < 0 && errno == ENOENT && !make)
			return 0;
		if (fd < 0)
			return failed(err, "cannot be opened");
		if (check_file(folder_fd, fd, ret_st, err) < 0) {
			close(fd);
			return -1;
		}
		if (wait_for_lock(fd) < 0) {
			failed(err, "another process keeps it locked");
			close(fd);
			return -1;
		}
		*ret = fd;
		if (fstatat(folder_fd, LAST_LOGINS_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    named.st_dev == ret_st->st_dev && named.st_ino == ret_st->st_ino &&
		    fstat(fd, ret_st) == 0)
			return 0;
		close(fd); /* it was rewritten meanwhile */
	}
	return err_set(err, EX_TEMPFAIL, "the file of last logins is put anew again and again");
}

/* A line that was cut off is ended, so that the next one is a line. */
static int end_last_line(int fd, off_t size)
{
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return -1;
	return last == '\n' ? 0 : write_all(fd, "\n", 1);
}

/* The first line of a file says from when on logins are known. */
static int begin_file(int fd)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login since;

	(void)last_login_set(&since, LAST_LOGIN_SINCE, last_login_today(), SPAN_LITERAL("all"),
			     SPAN_LITERAL(""));
	return write_all(fd, line, last_login_print(&since, line));
}

int last_logins_append(int folder_fd, const struct last_logins_append *append, uint64_t *ret_size,
		       struct err *err)
{
	struct stat st;
	int fd, rc = 0;

	if (open_locked(folder_fd, append->make, &fd, &st, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	if ((uint64_t)st.st_size + append->lines.size > LAST_LOGINS_MAX)
		rc = err_set(err, EX_CANTCREAT, "the file of last logins has %u octets: it is full",
			     LAST_LOGINS_MAX);
	else if ((st.st_size == 0 ? begin_file(fd) : end_last_line(fd, st.st_size)) < 0 ||
		 write_all(fd, append->lines.data, append->lines.size) < 0 ||
		 (append->sync && fdatasync(fd) < 0))
		rc = failed(err, "cannot be written to");
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
	char line[LAST_LOGINS_LINE_MAX];
};

/* fd: stays the caller's, and is at its begin. */
static int reader_begin(struct reader *reader, int fd, struct err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	*reader = (struct reader){.file = copy < 0 ? NULL : fdopen(copy, "r")};
	if (reader->file && fseeko(reader->file, 0, SEEK_SET) == 0)
		return 0;
	failed(err, "cannot be read");
	if (reader->file)
		fclose(reader->file);
	else
		close_fd(&copy);
	return -1;
}

/* Only a line with its end is one. */
static bool reader_next(struct reader *reader, struct last_login *ret)
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
		if (reader->size < sizeof(reader->line) &&
		    last_login_parse((pop3_span){reader->line, reader->size}, ret) == 0)
			return true;
		reader->size = 0;
	}
	return false;
}

static int reader_end(struct reader *reader, struct err *err)
{
	bool bad = ferror(reader->file) != 0;

	fclose(reader->file);
	return bad ? failed(err, "cannot be read") : 0;
}

int last_logins_each(int folder_fd, last_logins_visit *visit, void *context, struct err *err)
{
	int fd =
		openat(folder_fd, LAST_LOGINS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct last_login login;
	struct reader reader;
	struct stat st;
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : failed(err, "cannot be opened");
	rc = check_file(folder_fd, fd, &st, err);
	if (rc == 0)
		rc = reader_begin(&reader, fd, err);
	close(fd);
	if (rc < 0)
		return -1;
	while (reader_next(&reader, &login))
		visit(context, &login);
	return reader_end(&reader, err);
}

/* ---- compaction ---- */

/* The hash of what a line is about; kind LAST_LOGIN_KINDS: of something else than a login. */
static uint64_t hash_of(const struct last_login *login, enum last_login_kind kind, bool with_label)
{
	char key[1 + sizeof(login->label) + sizeof(login->name)];
	size_t n = strlen(login->name), labels = with_label ? strlen(login->label) : 0;

	key[0] = (char)('0' + (int)kind);
	if (labels)
		memcpy(key + 1, login->label, labels);
	key[1 + labels] = '\0'; /* in no label: what follows is the name */
	memcpy(key + 2 + labels, login->name, n);
	return hash_octets(key, 2 + labels + n);
}

static bool is_login(const struct last_login *login)
{
	return login->kind < LAST_LOGIN_REMOVED;
}

static bool is_before(const struct hash_map *map, uint64_t hash, uint64_t number)
{
	const uint64_t *at = hash_map_find(map, hash);

	return at && number < *at;
}

static bool is_the(const struct hash_map *map, uint64_t hash, uint64_t number)
{
	const uint64_t *at = hash_map_find(map, hash);

	return at && number == *at;
}

static bool counts(const struct hash_map *map, const struct last_login *login, uint64_t number)
{
	struct last_login any = *login;

	any.label[0] = '\0';
	if (login->kind == LAST_LOGIN_SINCE)
		return is_the(map, hash_of(login, LAST_LOGIN_SINCE, false), number);
	if (!is_login(login) || is_before(map, hash_of(login, login->kind, true), number) ||
	    is_before(map, hash_of(&any, LAST_LOGIN_REMOVED, false), number))
		return false;
	return !login->label[0] ||
	       (!is_before(map, hash_of(login, LAST_LOGIN_REVOKED, true), number) &&
		!is_before(map, hash_of(&any, LAST_LOGIN_REVOKED, true), number));
}

/* Notes the number of the latest line of each. */
static int note_lines(int fd, struct hash_map *map, struct err *err)
{
	struct last_login login;
	struct reader reader;

	if (reader_begin(&reader, fd, err) < 0)
		return -1;
	while (reader_next(&reader, &login)) {
		uint64_t *number = hash_map_put(map, hash_of(&login, login.kind, true));

		if (!number) {
			(void)reader_end(&reader, err);
			return err_set(err, EX_OSERR,
				       "the file of last logins cannot be rewritten: no memory, or "
				       "more than %u names and labels",
				       LAST_LOGINS_ENTRIES_MAX);
		}
		if (login.kind != LAST_LOGIN_SINCE || *number == 0) /* the first one counts */
			*number = reader.number;
	}
	return reader_end(&reader, err);
}

static int copy_lines(int fd, const struct hash_map *map, FILE *out, struct err *err)
{
	struct last_login login;
	struct reader reader;

	if (reader_begin(&reader, fd, err) < 0)
		return -1;
	while (reader_next(&reader, &login))
		if (counts(map, &login, reader.number)) {
			fwrite(reader.line, 1, reader.size, out);
			putc('\n', out);
		}
	return reader_end(&reader, err);
}

static int sync_folder(int folder_fd)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* it may be O_PATH */
	int rc = fd < 0 ? -1 : fsync(fd);

	close_fd(&fd);
	return rc;
}

/* fd: the locked file. */
static int rewrite(int folder_fd, int fd, const struct hash_map *map, uint64_t *ret_size,
		   struct err *err)
{
	int new_fd, rc;
	FILE *out;
	off_t size = 0;

	(void)unlinkat(folder_fd, NEW_FILE, 0); /* of one that did not come to its end */
	new_fd = openat(folder_fd, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = new_fd < 0 ? NULL : fdopen(new_fd, "w");
	if (!out) {
		close_fd(&new_fd);
		return failed(err, "a new one cannot be made");
	}
	rc = copy_lines(fd, map, out, err);
	if (rc == 0 && (fflush(out) != 0 || ferror(out) || fsync(new_fd) < 0 ||
			(size = lseek(new_fd, 0, SEEK_CUR)) < 0))
		rc = failed(err, "a new one cannot be written");
	if (rc == 0 && renameat(folder_fd, NEW_FILE, folder_fd, LAST_LOGINS_FILE) < 0)
		rc = failed(err, "a new one cannot be put in its place");
	if (rc == 0 && sync_folder(folder_fd) < 0)
		rc = failed(err, "its folder cannot be flushed");
	if (rc == 0 && ret_size)
		*ret_size = (uint64_t)size;
	fclose(out);
	return rc;
}

int last_logins_compact(int folder_fd, uint64_t *ret_size, struct err *err)
{
	struct hash_map map;
	struct stat st;
	int fd, rc;

	if (ret_size)
		*ret_size = 0;
	if (open_locked(folder_fd, false, &fd, &st, err) < 0)
		return -1;
	if (fd < 0)
		return 0;
	hash_map_init(&map, LAST_LOGINS_ENTRIES_MAX);
	rc = note_lines(fd, &map, err);
	if (rc == 0)
		rc = rewrite(folder_fd, fd, &map, ret_size, err);
	hash_map_finish(&map);
	close(fd);
	return rc;
}
