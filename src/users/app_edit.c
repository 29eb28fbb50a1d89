/* See app_edit.h. */
#include "users/app_edit.h"

#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "users/passwd_line.h"
#include "users/rewrite.h"
#include "users/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	FILE_MOST = 128 << 20,
};

/* The file as it is, and what becomes of it. */
struct change {
	char path[PATH_MAX]; /* real */
	int lock_fd;         /* of the users file; -1: it is only read */
	char *text;          /* NULL: there is no file */
	size_t size;
	struct stat like; /* of the file, or of the users file where there is none */
	unsigned char key[APP_KEY];
	bool has_key;
	const struct app_password *add; /* NULL: none */
	const char *name, *label;       /* that are revoked; label NULL: all */
	unsigned revoked;
};

static void change_finish(struct change *change)
{
	free(change->text);
	if (change->lock_fd >= 0)
		close(change->lock_fd);
	wipe(change->key, sizeof(change->key));
}

/* The file stands where auth looks for it: in the folder of the users file as it is named. */
static int find_path(const char *users_path, char path[PATH_MAX], struct err *err)
{
	const char *slash = strrchr(users_path, '/');
	int folder = slash ? (int)(slash - users_path + 1) : 0;

	if (snprintf(path, PATH_MAX, "%.*s%s", folder, users_path, APP_PASSWORDS_FILE) >= PATH_MAX)
		return err_set(err, EX_DATAERR, "%s: the path is too long", users_path);
	return 0;
}

static int read_text(struct change *change, struct err *err)
{
	struct err why = {0};
	struct stat st;

	if (text_file_read(AT_FDCWD, change->path, FILE_MOST, &change->text, &change->size, &st,
			   &why) == 0) {
		change->like = st;
		return 0;
	}
	if (why.errnum == ENOENT)
		return 0;
	if (err)
		*err = why;
	return -1;
}

/* Nothing is changed in a file that the server would not read: it is mended by hand first. */
static int check_lines(struct change *change, struct err *err)
{
	pop3_span text = {change->text, change->size}, line;
	struct app_password app;
	bool ended;

	for (unsigned number = 1; passwd_line_next(&text, &line, &ended); number++) {
		switch (app_line_parse(line, change->key, &app, err)) {
		case APP_LINE_KEY:
			change->has_key = true;
			break;
		case APP_LINE_BAD:
			return err_prefix(err, "%s:%u", change->path, number);
		case APP_LINE_ENTRY:
		case APP_LINE_EMPTY:
			break;
		}
		if (!ended)
			return err_set(err, EX_DATAERR,
				       "%s: the last line is not ended: is it being written? Add "
				       "the end of the line, if not",
				       change->path);
	}
	return 0;
}

static int begin(const char *users_path, bool to_write, struct change *ret, struct err *err)
{
	char named[PATH_MAX], real[PATH_MAX];

	*ret = (struct change){.lock_fd = -1};
	if (find_path(users_path, named, err) < 0 || rewrite_real_path(named, ret->path, err) < 0)
		return -1;
	if (to_write) {
		if (rewrite_real_path(users_path, real, err) < 0)
			return -1;
		ret->lock_fd = rewrite_lock(real, false, &ret->like, err);
		if (ret->lock_fd < 0)
			return -1;
		ret->like.st_mode &= 0740; /* others have no business with it */
	}
	return read_text(ret, err) < 0 ? -1 : check_lines(ret, err);
}

static bool is_of(const struct app_password *app, const char *name, const char *label)
{
	return user_name_same(span_of(app->name), span_of(name)) &&
	       (!label || strcmp(app->label, label) == 0);
}

static int write_new(FILE *out, void *argument, struct err *err)
{
	struct change *change = argument;
	pop3_span text = {change->text, change->size}, line;
	const char *start = text.data;
	unsigned char key[APP_KEY];
	struct app_password app;
	char buf[APP_LINE_MAX];
	bool ended;

	if (!change->text)
		fputs("# app passwords of users; `valija user app` changes this file\n", out);
	if (!change->has_key)
		fwrite(buf, 1, app_key_print(change->key, buf), out);
	for (; passwd_line_next(&text, &line, &ended); start = text.data) {
		if (change->name && app_line_parse(line, key, &app, err) == APP_LINE_ENTRY &&
		    is_of(&app, change->name, change->label))
			change->revoked++;
		else
			fwrite(start, 1, (size_t)(text.data - start), out);
	}
	if (change->add)
		fwrite(buf, 1, app_line_print(change->add, buf), out);
	wipe(buf, sizeof(buf));
	return 0;
}

struct search {
	const char *name, *label;
	void (*each)(void *argument, const struct app_password *app);
	void *argument;
	unsigned count;
};

static void search(const struct change *change, struct search *search)
{
	pop3_span text = {change->text, change->size}, line;
	unsigned char key[APP_KEY];
	struct app_password app;
	struct err err;
	bool ended;

	while (passwd_line_next(&text, &line, &ended)) {
		if (app_line_parse(line, key, &app, &err) != APP_LINE_ENTRY ||
		    (search->name && !is_of(&app, search->name, search->label)))
			continue;
		search->count++;
		if (search->each)
			search->each(search->argument, &app);
	}
}

static int make_password(struct change *change, struct app_password *app, char shown[APP_SHOWN_MAX],
			 struct err *err)
{
	char letters[APP_LETTERS], name[USER_NAME_MAX + 1];
	pop3_span key = user_name_key(span_of(app->name), name);

	if ((!change->has_key && random_octets(change->key, sizeof(change->key)) < 0) ||
	    app_password_make(shown) < 0)
		return err_sys(err, EX_OSERR, errno, "no random octets");
	name[key.size] = '\0';
	memcpy(app->name, name, key.size + 1);
	(void)app_password_form(span_of(shown), letters);
	app_password_digest(change->key, key, letters, app->digest);
	wipe(letters, sizeof(letters));
	app->created = (uint64_t)time(NULL);
	return 0;
}

int app_edit_add(const char *users_path, struct app_password *app, char shown[APP_SHOWN_MAX],
		 struct err *err)
{
	struct search same = {.name = app->name, .label = app->label};
	struct change change;
	int status = -1;

	if (begin(users_path, true, &change, err) < 0)
		goto out;
	search(&change, &same);
	if (same.count) {
		err_set(err, EX_CANTCREAT,
			"%s has an app password of the label %s: take another label, or revoke it "
			"first",
			app->name, app->label);
		goto out;
	}
	if (make_password(&change, app, shown, err) < 0)
		goto out;
	change.add = app;
	status = rewrite_replace(change.path, &change.like, write_new, &change, err);
	if (status < 0)
		wipe(shown, APP_SHOWN_MAX);
out:
	change_finish(&change);
	return status;
}

int app_edit_revoke(const char *users_path, const char *name, const char *label,
		    unsigned *ret_count, struct err *err)
{
	struct search found = {.name = name, .label = label};
	struct change change;
	int status = begin(users_path, true, &change, err);

	if (status == 0)
		search(&change, &found);
	if (found.count) {
		change.name = name;
		change.label = label;
		status = rewrite_replace(change.path, &change.like, write_new, &change, err);
	}
	if (status == 0)
		*ret_count = found.count;
	change_finish(&change);
	return status;
}

int app_edit_list(const char *users_path, const char *name,
		  void (*each)(void *argument, const struct app_password *app), void *argument,
		  struct err *err)
{
	struct search all = {.name = name, .each = each, .argument = argument};
	struct change change;
	int status = begin(users_path, false, &change, err);

	if (status == 0)
		search(&change, &all);
	change_finish(&change);
	return status;
}
