/*
 * See with_exim.h. Debian's exim4-config makes Exim's configuration out of the files of
 * /etc/exim4/conf.d, or out of one template; update-exim4.conf.conf says which, and has the list of
 * local domains. Our parts are files of their own, or blocks between two marks in the template; so
 * they can be taken back when others have changed the rest.
 */
#include "cli/with_exim.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "cli/exim_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define SETTINGS EXIM_FOLDER "/update-exim4.conf.conf"
#define TEMPLATE EXIM_FOLDER "/exim4.conf.template"
#define HOSTNAMES "dc_other_hostnames="

enum {
	FILE_MAX = 1024 * 1024,
	LINE_SIZE = 4096,
};

struct exim {
	const struct with *with;
	bool split;
	char before[LINE_SIZE], after[LINE_SIZE]; /* the line of local domains */
	struct exim_parts parts;
};

/* ---- files ---- */

/* The whole file, ended by NUL; the caller frees it. NULL with err. */
static char *read_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = malloc(FILE_MAX + 1);
	ssize_t n = fd < 0 || !text ? -1 : read_all(fd, text, FILE_MAX);

	if (n < 0 || n == FILE_MAX)
		err_sys(err, EX_NOINPUT, n < 0 ? errno : EFBIG, "%s", path);
	else
		text[n] = '\0';
	if (fd >= 0)
		close(fd);
	if (n >= 0 && n < FILE_MAX)
		return text;
	free(text);
	return NULL;
}

/* Puts text in the place of the file, or makes it: owner and mode stay, it is never half there. */
static int write_file(const char *path, const char *text, struct err *err)
{
	char temporary[CONFIG_PATH_MAX];
	struct stat st;
	bool there = stat(path, &st) == 0;
	int fd, rc = -1;

	snprintf(temporary, sizeof(temporary), "%s.valija-new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && write_all(fd, text, strlen(text)) == 0 &&
	    (!there || fchown(fd, st.st_uid, st.st_gid) == 0) &&
	    fchmod(fd, there ? st.st_mode & 07777 : 0644) == 0 && fsync(fd) == 0 &&
	    rename(temporary, path) == 0)
		rc = 0;
	if (rc < 0)
		err_sys(err, EX_CANTCREAT, errno, "%s", path);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		unlink(temporary);
	return rc;
}

/* ---- what there is ---- */

/* The line of text that begins so; without its end. False: there is none. */
static bool find_line(const char *text, const char *begin, char *line, size_t size)
{
	for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncmp(p, begin, strlen(begin)) == 0) {
			snprintf(line, size, "%.*s", (int)strcspn(p, "\n"), p);
			return true;
		}
	return false;
}

static bool lists(const char *list, pop3_span word)
{
	for (const char *p = list; *(p += strspn(p, ":; ")); p += strcspn(p, ":; "))
		if (span_equal_nocase(word, (pop3_span){p, strcspn(p, ":; ")}))
			return true;
	return false;
}

/* The line with our domains: dc_other_hostnames='a;b'. */
static int add_domains(struct exim *exim, struct err *err)
{
	const char *value = exim->before + strlen(HOSTNAMES);
	char list[LINE_SIZE];
	size_t used;

	if (!exim->before[0])
		value = "";
	snprintf(list, sizeof(list), "%.*s", (int)strcspn(value + (*value == '\''), "'"),
		 value + (*value == '\''));
	if (strpbrk(list, "\"`$\\<#"))
		return err_set(err, EX_DATAERR, "%s: %s is not understood: write it as '%s'",
			       SETTINGS, exim->before, "a.example;b.example");
	used = strlen(list);
	for (const char *p = exim->with->config.domains; *(p += strspn(p, " "));
	     p += strcspn(p, " ")) {
		pop3_span domain = {p, strcspn(p, " ")};

		if (!lists(list, domain) && used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s",
						 used ? ";" : "", (int)domain.size, domain.data);
	}
	if (used + sizeof(HOSTNAMES) + 2 >= sizeof(list))
		return err_set(err, EX_DATAERR, "%s: too many domains", SETTINGS);
	snprintf(exim->after, sizeof(exim->after), HOSTNAMES "'%.*s'", LINE_SIZE - 64, list);
	if (exim->before[0] && strlen(list) == strcspn(value + (*value == '\''), "'"))
		memcpy(exim->after, exim->before, sizeof(exim->after));
	return 0;
}

static int read_exim(struct exim *exim, struct err *err)
{
	char *text, line[LINE_SIZE];

	if (access(SETTINGS, R_OK) < 0)
		return err_sys(
			err, EX_UNAVAILABLE, errno,
			"%s: Exim with Debian's exim4-config is needed; docs/delivery.md has "
			"the lines for others",
			SETTINGS);
	text = read_file(SETTINGS, err);
	if (!text)
		return -1;
	exim->split =
		find_line(text, "dc_use_split_config=", line, sizeof(line)) && strstr(line, "true");
	find_line(text, HOSTNAMES, exim->before, sizeof(exim->before));
	free(text);
	return 0;
}

/* ---- changes ---- */

static bool is_own_file(const struct exim *exim, const struct exim_part *part)
{
	return exim->split || !part->behind;
}

/* text without its blocks between our marks; the caller frees it. NULL: no memory. */
static char *without_blocks(const char *text)
{
	char *out = malloc(strlen(text) + 1);
	size_t used = 0;
	const char *block, *end;

	while (out && (block = strstr(text, EXIM_BEGIN)) && (end = strstr(block, EXIM_END))) {
		memcpy(out + used, text, (size_t)(block - text));
		used += (size_t)(block - text);
		text = end + strlen(EXIM_END);
	}
	if (out)
		memcpy(out + used, text, strlen(text) + 1);
	return out;
}

/* *text with a block behind its line; it is freed and replaced. -1: there is no such line. */
static int insert(char **text, const struct exim_part *part, struct err *err)
{
	char line[64];
	const char *at = *text;
	size_t head, size = strlen(*text) + strlen(part->text) + 1;
	char *grown;

	if (part->behind[0]) {
		snprintf(line, sizeof(line), "\n%s\n", part->behind);
		at = strstr(*text, line);
		if (!at)
			return err_set(err, EX_DATAERR, TEMPLATE ": no line \"%s\"", part->behind);
		at += strlen(line);
	}
	grown = malloc(size);
	if (!grown)
		return err_set(err, EX_OSERR, "out of memory");
	head = (size_t)(at - *text);
	memcpy(grown, *text, head);
	snprintf(grown + head, size - head, "%s%s", part->text, at);
	free(*text);
	*text = grown;
	return 0;
}

/* The template with our blocks, or, with none wanted, without any. NULL with err. */
static char *new_template(const struct exim *exim, bool with_blocks, struct err *err)
{
	char *old = read_file(TEMPLATE, err), *text = old ? without_blocks(old) : NULL;

	if (old && !text)
		err_set(err, EX_OSERR, "out of memory");
	free(old);
	for (size_t i = 0; text && with_blocks && i < exim->parts.count; i++)
		if (!is_own_file(exim, &exim->parts.parts[i]) &&
		    insert(&text, &exim->parts.parts[i], err) < 0) {
			free(text);
			return NULL;
		}
	return text;
}

static int write_template(const struct exim *exim, bool with_blocks, struct err *err)
{
	char *text = new_template(exim, with_blocks, err);
	int rc = text ? write_file(TEMPLATE, text, err) : -1;

	free(text);
	return rc;
}

/* Puts the line `to` in the place of `from`; "": no line. Where `from` is not there any more,
 * somebody has changed it, and it stays. */
static int change_line(const char *from, const char *to, struct err *err)
{
	char *text = read_file(SETTINGS, err), *at, *grown;
	size_t size = text ? strlen(text) + strlen(to) + 2 : 0;
	int rc;

	if (!text)
		return -1;
	grown = malloc(size);
	at = from[0] ? strstr(text, from) : text + strlen(text);
	if (!grown || !at || strcmp(from, to) == 0) {
		free(text);
		free(grown);
		return grown ? 0 : err_set(err, EX_OSERR, "out of memory");
	}
	snprintf(grown, size, "%.*s%s%s%s", (int)(at - text), text, to, from[0] ? "" : "\n",
		 at + strlen(from) + (to[0] ? 0 : strspn(at + strlen(from), "\n")));
	rc = write_file(SETTINGS, grown, err);
	free(text);
	free(grown);
	return rc;
}

static int write_parts(const struct exim *exim, struct err *err)
{
	for (size_t i = 0; i < exim->parts.count; i++)
		if (is_own_file(exim, &exim->parts.parts[i]) &&
		    write_file(exim->parts.parts[i].path, exim->parts.parts[i].text, err) < 0)
			return -1;
	if (!exim->split && write_template(exim, true, err) < 0)
		return -1;
	return change_line(exim->before, exim->after, err);
}

/* All files that any scheme may have got. */
static int take_back(const struct exim *exim, struct err *err)
{
	static const char *const own[] = {EXIM_FOLDER "/conf.d/main/000_valija",
					  EXIM_FOLDER "/conf.d/router/010_valija",
					  EXIM_FOLDER "/conf.d/transport/010_valija",
					  EXIM_FOLDER "/conf.d/auth/010_valija", EXIM_ACL};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (unlink(own[i]) < 0 && errno != ENOENT)
			return err_sys(err, EX_CANTCREAT, errno, "%s", own[i]);
	if (!exim->split && write_template(exim, false, err) < 0)
		return -1;
	return change_line(exim->after, exim->before, err);
}

static int renew(struct err *err)
{
	static const char *const update[] = {"update-exim4.conf", NULL};
	static const char *const reload[] = {"invoke-rc.d", "exim4", "reload", NULL};
	char out[256];
	struct err ignored;

	if (with_run(update, "exim4-config", out, sizeof(out), err) < 0)
		return -1;
	if (with_run(reload, "exim4-base", out, sizeof(out), &ignored) < 0)
		puts("Exim was not reloaded: it does not run now, or type: systemctl reload exim4");
	return 0;
}

/* ---- show, apply, undo ---- */

/* Whether a file has all of text. */
static bool has(const char *path, const char *text)
{
	struct err err;
	char *there = access(path, R_OK) == 0 ? read_file(path, &err) : NULL;
	bool found = there && strstr(there, text);

	free(there);
	return found;
}

static void show(const struct exim *exim)
{
	size_t changed = 0;

	printf("Exim's configuration is %s (dc_use_split_config in " SETTINGS ").\n",
	       exim->split ? "split: files of " EXIM_FOLDER "/conf.d" : "in one file: " TEMPLATE);
	if (strcmp(exim->before, exim->after) != 0) {
		changed++;
		printf("\n" SETTINGS ":\n%s\n", exim->after);
		if (exim->before[0])
			printf("\t(is: %s)\n", exim->before);
	}
	for (size_t i = 0; i < exim->parts.count; i++) {
		const struct exim_part *part = &exim->parts.parts[i];
		const char *path = is_own_file(exim, part) ? part->path : TEMPLATE;

		if (has(path, part->text))
			continue;
		changed++;
		printf("\n%s%s%s:\n%s", path, is_own_file(exim, part) ? ", a new file" : "",
		       is_own_file(exim, part) ? ""
		       : part->behind[0]       ? ", behind its \"begin\" of that section"
					       : ", at the top",
		       part->text);
	}
	if (!changed)
		puts("Exim has all of it.");
	else if (exim->with->mode == WITH_SHOW)
		puts("\nNothing was changed. --apply makes these changes, --undo takes them back.");
}

static int apply(struct exim *exim, struct err *err)
{
	static const char *const check[] = {"update-exim4.conf", "--check", NULL};
	char text[2 * LINE_SIZE + 64], out[256];
	struct err why;
	int n = snprintf(text, sizeof(text), "%s\n%s\n%s\n", exim->split ? "split" : "single",
			 exim->before, exim->after);

	if (with_save(exim->with, text, (size_t)n, err) < 0)
		return -1;
	if (write_parts(exim, err) < 0 ||
	    with_run(check, "exim4-config", out, sizeof(out), err) < 0) {
		if (take_back(exim, &why) == 0 && with_forget(exim->with, &why) == 0)
			return err_prefix(err, "no changes were made");
		return err_prefix(err, "not all changes were made (--undo takes them back)");
	}
	if (renew(err) < 0)
		return err_prefix(err, "the changes are made, but not in force");
	printf("\nWhat there was before is in %s.\n", exim->with->saved);
	if (!exim->with->tried)
		puts("See a message go through: valija init --with exim --try USER@DOMAIN");
	return 0;
}

static int undo(struct exim *exim, struct err *err)
{
	char *text = with_saved(exim->with, err), *rest = text, *lines[3] = {0};

	for (size_t i = 0; text && i < 3; i++)
		lines[i] = strsep(&rest, "\n");
	if (text && (!lines[2] || strlen(lines[1]) >= LINE_SIZE || strlen(lines[2]) >= LINE_SIZE)) {
		free(text);
		return err_set(err, EX_DATAERR, "%s: not what --apply writes", exim->with->saved);
	}
	if (!text)
		return -1;
	exim->split = strcmp(lines[0], "split") == 0;
	snprintf(exim->before, sizeof(exim->before), "%s", lines[1]);
	snprintf(exim->after, sizeof(exim->after), "%s", lines[2]);
	free(text);
	if (take_back(exim, err) < 0 || renew(err) < 0 || with_forget(exim->with, err) < 0)
		return -1;
	puts("Exim is as it was.");
	return 0;
}

static int work(struct exim *exim, struct err *err)
{
	if (exim->with->mode == WITH_UNDO)
		return undo(exim, err);
	if (exim_parts_make(&exim->with->config, &exim->parts, err) < 0 ||
	    read_exim(exim, err) < 0 || add_domains(exim, err) < 0)
		return -1;
	show(exim);
	return exim->with->mode == WITH_APPLY ? apply(exim, err) : 0;
}

int with_exim(struct with *with, struct err *err)
{
	struct exim *exim = calloc(1, sizeof(*exim));
	int rc;

	if (!exim)
		return err_set(err, EX_OSERR, "out of memory");
	exim->with = with;
	rc = work(exim, err);
	free(exim);
	return rc;
}
