/* See edit.h. Runs with the rights of the user who calls `valija user`. */
#include "users/edit.h"

#include "base/secret.h"
#include "base/text.h"
#include "users/passwd_line.h"
#include "users/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char edit_bad_name[] =
	"not a user name: 1 to 255 octets, no blank, no \"/\" or \":\", not beginning with \"-\", "
	"\".\" or \"#\"";

#define FILE_MAX (512u << 20)

struct old_file {
	int fd; /* locked */
	struct stat st;
	char *text;
	size_t size;
};

static void old_file_close(struct old_file *old)
{
	if (old->text) {
		wipe(old->text, old->size);
		free(old->text);
	}
	if (old->fd >= 0)
		close(old->fd);
}

static int read_old(const char *path, struct old_file *old, struct err *err)
{
	size_t want = (size_t)old->st.st_size;
	pop3_span text;

	if (old->st.st_size > FILE_MAX)
		return err_set(err, EX_DATAERR, "%s: more than 512 MiB", path);
	old->text = malloc(want + 1);
	if (!old->text)
		return err_set(err, EX_OSERR, "out of memory");
	while (old->size < want) {
		ssize_t n =
			pread(old->fd, old->text + old->size, want - old->size, (off_t)old->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, EX_IOERR, errno, "%s", path);
		if (n == 0)
			break;
		old->size += (size_t)n;
	}
	text = (pop3_span){old->text, old->size};
	if (text_skip_mark(&text) < 0)
		return err_set(err, EX_DATAERR, "%s: %s", path, text_utf16_words);
	return 0;
}

/* Comments and bad lines have no user's name: they are kept. */
static bool is_of(pop3_span line, pop3_span name)
{
	return memchr(line.data ? line.data : "", ':', line.size) &&
	       span_equal(passwd_line_name(line), name);
}

/* Returns the name as the file spells it, which may differ from name in case; size 0: the file does
 * not have it. A file that has the name in two cases (the server refuses it) is mended by the exact
 * spelling. */
static int find_spelling(const struct old_file *old, pop3_span name, pop3_span *ret,
			 struct err *err)
{
	pop3_span text = {old->text, old->size}, line, other, seen = {"", 0};
	bool ended, several = false;

	(void)text_skip_mark(&text);
	while (passwd_line_next(&text, &line, &ended)) {
		if (!line.size || !memchr(line.data, ':', line.size))
			continue;
		other = passwd_line_name(line);
		if (!user_name_same(other, name))
			continue;
		several = several || seen.size;
		seen = other;
		if (span_equal(other, name)) {
			several = false;
			break;
		}
	}
	if (several)
		return err_set(err, EX_DATAERR,
			       "there are several users %.*s that differ in case of letters only: "
			       "write the name exactly as the file has it",
			       (int)name.size, name.data);
	*ret = seen;
	return 0;
}

/* Writes the line with another secret; the fields behind it stay. */
static void write_changed(FILE *out, pop3_span line, pop3_span name, const char *stored)
{
	pop3_span rest = {line.data + name.size + 1, line.size - name.size - 1};
	const char *colon = rest.size ? memchr(rest.data, ':', rest.size) : NULL;

	fwrite(name.data, 1, name.size, out);
	fprintf(out, ":%s", stored);
	if (colon)
		fwrite(colon, 1, rest.size - (size_t)(colon - rest.data), out);
	fputc('\n', out);
}

int edit_taken(pop3_span name, pop3_span spelling, struct err *err)
{
	if (span_equal(name, spelling))
		return err_set(err, EX_CANTCREAT,
			       "the user %.*s is there already; change the password with `valija "
			       "user passwd`",
			       (int)name.size, name.data);
	return err_set(err, EX_CANTCREAT,
		       "%.*s is the user %.*s, who is there already: case of letters makes no "
		       "difference; take another name, or change the password with `valija user "
		       "passwd`",
		       (int)name.size, name.data, (int)spelling.size, spelling.data);
}

/* name: as the file spells it, unless it is added. */
static void write_lines(FILE *out, const struct old_file *old, enum edit edit, pop3_span name,
			const char *stored)
{
	pop3_span text = {old->text, old->size}, line;
	const char *start = text.data;
	bool ended;

	(void)text_skip_mark(&text);
	fwrite(start, 1, (size_t)(text.data - start), out);
	start = text.data;
	while (passwd_line_next(&text, &line, &ended)) {
		if (!is_of(line, name)) {
			fwrite(start, 1, (size_t)(text.data - start), out);
			if (!ended)
				fputc('\n', out);
		} else if (edit == EDIT_CHANGE) {
			write_changed(out, line, name, stored);
		}
		start = text.data;
	}
	if (edit == EDIT_ADD)
		fprintf(out, "%.*s:%s\n", (int)name.size, name.data, stored);
}

struct change {
	const struct old_file *old;
	enum edit edit;
	pop3_span name;
	const char *stored;
};

static int write_new(FILE *out, void *argument, struct err *err)
{
	const struct change *change = argument;
	pop3_span name = change->name, spelling;
	enum edit edit = change->edit;

	if (find_spelling(change->old, name, &spelling, err) < 0)
		return -1;
	if (edit == EDIT_ADD && spelling.size)
		return edit_taken(name, spelling, err);
	if (edit != EDIT_ADD && !spelling.size)
		return err_set(err, EX_NOUSER, "there is no user %.*s", (int)name.size, name.data);
	write_lines(out, change->old, edit, edit == EDIT_ADD ? name : spelling, change->stored);
	return 0;
}

int edit_check_name(enum edit edit, pop3_span name, struct err *err)
{
	if (!user_name_valid(name))
		return err_set(err, EX_DATAERR, "%s", edit_bad_name);
	if (edit == EDIT_ADD && !user_name_addressable(name))
		return err_set(err, EX_DATAERR,
			       "no mail could be addressed to a user of this name: %s",
			       names_unaddressable);
	return 0;
}

int edit_users(const char *path, enum edit edit, pop3_span name, const char *stored,
	       struct err *err)
{
	struct old_file old = {.fd = -1};
	struct change change = {&old, edit, name, stored};
	char real[PATH_MAX];
	int status = -1;

	if (edit_check_name(edit, name, err) < 0)
		return -1;
	if (rewrite_real_path(path, real, err) < 0)
		return -1;
	old.fd = rewrite_lock(real, edit == EDIT_ADD, &old.st, err);
	if (old.fd >= 0 && read_old(real, &old, err) == 0)
		status = rewrite_replace(real, &old.st, write_new, &change, err);
	old_file_close(&old);
	return status;
}

int edit_list(const char *path, void (*each)(void *argument, pop3_span name), void *argument,
	      struct err *err)
{
	struct old_file old = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
	pop3_span text, line;
	bool ended;
	int status = -1;

	if (old.fd < 0)
		return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_NOPERM, errno, "%s", path);
	if (fstat(old.fd, &old.st) < 0 || !S_ISREG(old.st.st_mode)) {
		err_set(err, EX_NOINPUT, "%s: not a regular file", path);
	} else if (read_old(path, &old, err) == 0) {
		text = (pop3_span){old.text, old.size};
		(void)text_skip_mark(&text);
		while (passwd_line_next(&text, &line, &ended))
			if (line.size && line.data[0] != '#' && memchr(line.data, ':', line.size))
				each(argument, passwd_line_name(line));
		status = 0;
	}
	old_file_close(&old);
	return status;
}
