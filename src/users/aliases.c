/* See aliases.h. The file is one text, cut in place into names and targets, with a table of aliases
 * sorted by name. The file's content is hostile until parsed. */
#include "users/aliases.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/text.h"
#include "users/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* A file that changed less than this before it was read may change again within the same tick of
 * its time stamp: it is read once more. */
enum {
	SETTLED_NS = 50000000,
};

struct content {
	char *text;
	struct alias *aliases;
	size_t count, cap;
};

struct aliases {
	int dir_fd;
	char *file_name;
	struct content content;
	struct stat seen; /* of the last file that was read, good or bad */
	bool settled, complained;
};

static void content_finish(struct content *content)
{
	free(content->text);
	free(content->aliases);
	*content = (struct content){NULL, NULL, 0, 0};
}

/* ---- reading ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static char *trim(char *text)
{
	size_t n;

	while (is_blank(*text))
		text++;
	n = strlen(text);
	while (n && is_blank(text[n - 1]))
		text[--n] = '\0';
	return text;
}

/* Writes the canonical form over the name. False: no user, alias or address can have this name. */
static bool fold_name(char *name)
{
	size_t n = 0;

	for (; name[n]; n++) {
		unsigned char c = (unsigned char)name[n];

		if (c <= ' ' || c == 0x7F || c == '"' || c == '\\' || c == ',' || c == ':')
			return false;
	}
	if (n == 0 || n > USER_NAME_MAX || strchr("/|-.", name[0]))
		return false;
	(void)user_name_key((pop3_span){name, n}, name);
	return text_mark_size((pop3_span){name, n}) == 0;
}

/* Cuts "a, b" into targets, one behind the other. Returns their number, -1: one of them is bad. */
static int cut_targets(char *list)
{
	char *next, *to = list;
	int count = 0;

	for (; list; list = next) {
		char *target;

		if ((next = strchr(list, ',')) != NULL)
			*next++ = '\0';
		target = trim(list);
		if (!fold_name(target))
			return -1;
		memmove(to, target, strlen(target) + 1);
		to += strlen(to) + 1;
		count++;
	}
	return count;
}

static int add_alias(struct content *content, const struct alias *alias)
{
	if (content->count == content->cap) {
		size_t cap = content->cap ? 2 * content->cap : 16;
		struct alias *grown = reallocarray(content->aliases, cap, sizeof(*grown));

		if (!grown)
			return -1;
		content->aliases = grown;
		content->cap = cap;
	}
	content->aliases[content->count++] = *alias;
	return 0;
}

/* One logical line, its continuations joined. */
static int parse_line(struct content *content, const char *file, char *line, uint32_t number,
		      struct err *err)
{
	struct alias alias = {.line = number};
	char *name = trim(line), *colon = strchr(name, ':');
	int count;

	if (!colon)
		return err_set(err, EX_CONFIG, "%s:%u: no \":\" behind the alias's name", file,
			       number);
	*colon = '\0';
	name = trim(name);
	if (!fold_name(name))
		return err_set(err, EX_CONFIG, "%s:%u: this cannot be an alias's name", file,
			       number);
	alias.name = name;
	alias.targets = colon + 1;
	if ((count = cut_targets(colon + 1)) < 0)
		return err_set(err, EX_CONFIG,
			       "%s:%u: a target of %s is empty or can be no user (commands, files "
			       "and includes are not known here)",
			       file, number, name);
	alias.count = (uint32_t)count;
	if (add_alias(content, &alias) < 0)
		return err_sys(err, EX_OSERR, ENOMEM, "%s", file);
	return 0;
}

/* Takes the next logical line off *text: continuation lines are joined, comments and empty lines
 * left out. NULL: no more. */
static char *next_line(char **text, uint32_t *line_number, uint32_t *ret_first)
{
	char *line = NULL;

	while (**text) {
		char *start = *text, *end = strchr(start, '\n');
		bool empty;

		*end = '\0';
		*text = end + 1;
		++*line_number;
		empty = start[strspn(start, " \t\r")] == '\0' || start[0] == '#';
		if (!empty && !line) {
			line = start;
			*ret_first = *line_number;
		}
		/* a continuation of this line is joined to it */
		if (line && !is_blank(**text))
			return line;
		if (line)
			for (char *gap = line + strlen(line); gap <= end; gap++)
				*gap = ' ';
	}
	return line;
}

static int by_name(const void *a, const void *b)
{
	const struct alias *one = a, *other = b;
	int order = strcmp(one->name, other->name);

	return order ? order : (one->line > other->line) - (one->line < other->line);
}

static int parse(struct content *content, const char *file, struct err *err)
{
	char *rest = content->text + text_mark_size(span_of(content->text)), *line;
	uint32_t number = 0, first = 0;

	while ((line = next_line(&rest, &number, &first)) != NULL)
		if (parse_line(content, file, line, first, err) < 0)
			return -1;
	if (content->count)
		qsort(content->aliases, content->count, sizeof(*content->aliases), by_name);
	for (size_t i = 1; i < content->count; i++) {
		const struct alias *alias = &content->aliases[i];

		if (strcmp(alias[-1].name, alias->name) == 0)
			return err_set(err, EX_CONFIG,
				       "%s:%u: %s is an alias on line %u already (case of letters "
				       "makes no difference)",
				       file, alias->line, alias->name, alias[-1].line);
	}
	return 0;
}

static bool is_settled(const struct timespec *changed)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - changed->tv_sec) * 1000000000 + now.tv_nsec - changed->tv_nsec >
	       SETTLED_NS;
}

/* Opens, checks and reads. *ret_seen is filled in as soon as the file is open. */
static int read_file(const struct aliases *aliases, struct content *ret, struct stat *ret_seen,
		     struct err *err)
{
	struct content content = {NULL, NULL, 0, 0};
	const char *file = aliases->file_name;
	int fd = openat(aliases->dir_fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	pop3_span text;
	ssize_t size;

	if (fd < 0)
		return err_sys(err, EX_CONFIG, errno, "%s", file);
	if (fstat(fd, ret_seen) < 0) {
		err_sys(err, EX_OSERR, errno, "%s", file);
		goto fail;
	}
	if (!S_ISREG(ret_seen->st_mode) || ret_seen->st_size > ALIASES_FILE_MAX) {
		err_set(err, EX_CONFIG, "%s: not a regular file of at most %u MiB", file,
			ALIASES_FILE_MAX >> 20);
		goto fail;
	}
	content.text = malloc((size_t)ret_seen->st_size + 1);
	size = content.text ? read_all(fd, content.text, (size_t)ret_seen->st_size) : -1;
	if (size < 0) {
		err_sys(err, EX_OSERR, errno, "%s", file);
		goto fail;
	}
	content.text[size] = '\0';
	text = (pop3_span){content.text, (size_t)size};
	if (text_skip_mark(&text) < 0) {
		err_set(err, EX_CONFIG, "%s:1: %s", file, text_utf16_words);
		goto fail;
	}
	if (strlen(content.text) != (size_t)size || (size && content.text[size - 1] != '\n')) {
		err_set(err, EX_CONFIG, "%s: holds a NUL, or its last line is not ended", file);
		goto fail;
	}
	if (parse(&content, file, err) < 0)
		goto fail;
	close(fd);
	*ret = content;
	return 0;
fail:
	content_finish(&content);
	close(fd);
	return -1;
}

/* ---- the module ---- */

int aliases_open(int dir_fd, const char *file_name, struct aliases **ret, struct err *err)
{
	struct aliases *aliases = calloc(1, sizeof(*aliases));

	if (!aliases || !(aliases->file_name = strdup(file_name))) {
		free(aliases);
		return err_sys(err, EX_OSERR, ENOMEM, "%s", file_name);
	}
	aliases->dir_fd = dir_fd;
	if (read_file(aliases, &aliases->content, &aliases->seen, err) < 0) {
		aliases_close(aliases);
		return -1;
	}
	*ret = aliases;
	return 0;
}

void aliases_close(struct aliases *aliases)
{
	if (!aliases)
		return;
	content_finish(&aliases->content);
	free(aliases->file_name);
	free(aliases);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

void aliases_refresh(struct aliases *aliases)
{
	struct content content;
	struct stat now;
	struct err err = {0};
	bool same;

	if (fstatat(aliases->dir_fd, aliases->file_name, &now, 0) < 0) {
		if (!aliases->complained)
			log_error("%s: %s; the aliases read before stay in force",
				  aliases->file_name, strerror(errno));
		aliases->complained = true;
		aliases->seen = (struct stat){0}; /* it is read when it is there again */
		return;
	}
	if (same_file(&now, &aliases->seen) && aliases->settled)
		return;
	aliases->settled = is_settled(&now.st_ctim);
	same = same_file(&now, &aliases->seen);
	aliases->seen = now;
	if (read_file(aliases, &content, &aliases->seen, &err) < 0) {
		if (!same || !aliases->complained)
			log_error("%s; the aliases read before stay in force", err.text);
		aliases->complained = true;
		return;
	}
	aliases->complained = false;
	content_finish(&aliases->content);
	aliases->content = content;
}

const struct alias *aliases_find(const struct aliases *aliases, pop3_span name)
{
	char key[USER_NAME_MAX + 1];
	size_t low = 0, high = aliases->content.count;

	if (name.size > USER_NAME_MAX)
		return NULL;
	(void)user_name_key(name, key);
	key[name.size] = '\0';
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct alias *alias = &aliases->content.aliases[middle];
		int order = strcmp(key, alias->name);

		if (order == 0)
			return alias;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct alias *aliases_nth(const struct aliases *aliases, size_t n)
{
	return n < aliases->content.count ? &aliases->content.aliases[n] : NULL;
}

const char *aliases_file_name(const struct aliases *aliases)
{
	return aliases->file_name;
}
