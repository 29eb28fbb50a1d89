/* The state folder and the names in it, for run.c before the process confines itself; the caller
 * owns the descriptor. Runs as the user, whose folder it is. */
#include "fetch/journal/state.h"

#include "base/text.h"
#include "fetch/journal/delivery_id.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

static int default_dir(char *buf, size_t size, struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (state && state[0] == '/')
		n = snprintf(buf, size, "%s/valija", state);
	else if (home && home[0] == '/')
		n = snprintf(buf, size, "%s/.local/state/valija", home);
	else
		return err_set(err, EX_CONFIG, "neither $HOME nor --state names the state folder");
	return n < (int)size ? 0 : err_set(err, EX_CONFIG, "the state folder's name is too long");
}

/* mkdir -p. Each folder's name is flushed before the next one is made in it, also if an earlier run
 * made it, which may have been killed: a journal that a power cut could take away with its folder
 * would not be worth flushing. */
static int make_folders(const struct fetch_files *files, char *path, struct err *err)
{
	for (char *slash = path; slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (files->mkdirat(AT_FDCWD, path, 0700) < 0 && errno != EEXIST)
			return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", path);
		if (fetch_flush_parent(files, path) < 0)
			return err_sys(err, EX_CANTCREAT, errno, "cannot flush the folder of %s",
				       path);
		if (slash)
			*slash = '/';
	}
	return 0;
}

int state_open(const struct fetch_files *files, const char *dir, struct err *err)
{
	char path[PATH_MAX];
	int fd;

	if (dir && snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path))
		return err_set(err, EX_USAGE, "the state folder's name is too long");
	if (!dir && default_dir(path, sizeof(path), err) < 0)
		return -1;
	fd = files->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT) {
		if (make_folders(files, path, err) < 0)
			return -1;
		fd = files->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	} else if (fd >= 0 && fetch_flush_parent(files, path) < 0) {
		err_sys(err, EX_CANTCREAT, errno, "cannot flush the folder of %s", path);
		files->close(fd);
		return -1;
	}
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot open the state folder %s", path);
	return fd;
}

/* The absolute name of a file or folder that need not be there yet. */
static int absolute(const char *path, char *buf, size_t size, struct err *err)
{
	char parent[PATH_MAX], base[PATH_MAX], *whole = realpath(path, NULL);
	int n;

	if (whole) {
		n = snprintf(buf, size, "%s", whole);
	} else {
		snprintf(parent, sizeof(parent), "%s", path);
		snprintf(base, sizeof(base), "%s", path);
		whole = realpath(dirname(parent), NULL);
		if (!whole)
			return err_sys(err, EX_CANTCREAT, errno, "cannot find the folder of %s",
				       path);
		n = snprintf(buf, size, "%s/%s", strcmp(whole, "/") ? whole : "", basename(base));
	}
	free(whole);
	return n < (int)size ? 0 : err_set(err, EX_USAGE, "%s is too long", path);
}

/* A port of this host may be a tunnel's: then it alone says which server is meant. */
static bool is_this_host(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
	       strcmp(host, "::1") == 0;
}

static int make_key(const struct fetch_account *account, bool with_port, char key[STATE_KEY_MAX],
		    struct err *err)
{
	char place[FETCH_COMMAND_MAX] = "", port[8] = "";
	bool a_file = account->sink == FETCH_MAILDIR || account->sink == FETCH_MBOX;

	if (with_port && account->port != 110 && account->port != 995)
		snprintf(port, sizeof(port), ":%u", account->port);
	if (account->from_url && a_file) {
		if (absolute(account->target, place, sizeof(place), err) < 0)
			return -1;
	} else if (account->from_url) {
		snprintf(place, sizeof(place), "%s", account->target);
	}
	snprintf(key, STATE_KEY_MAX, "%s\n%s@%s%s\n%s", account->from_url ? "" : account->name,
		 account->user, account->host, port, place);
	return 0;
}

void state_journal_name(const struct fetch_account *account, const char *key,
			char name[STATE_NAME_MAX])
{
	char id[DELIVERY_ID_SIZE];
	size_t n;

	n = (size_t)snprintf(name, 100, "%.90s", account->name);
	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '@' || c == '-' || c == '_' ||
			    (c == '.' && i);

		if (!fine)
			name[i] = '_';
	}
	delivery_id(span_of(key), SPAN_LITERAL("journal"), id);
	snprintf(name + n, STATE_NAME_MAX - n, "-%.12s.journal", id);
}

static bool has_journal(const struct fetch_account *account, int dir, const char *key)
{
	char name[STATE_NAME_MAX];

	state_journal_name(account, key, name);
	return faccessat(dir, name, F_OK, 0) == 0;
}

int state_key(const struct fetch_account *account, int dir, char key[STATE_KEY_MAX],
	      struct err *err)
{
	bool tunnel = account->from_url && is_this_host(account->host);
	char before[STATE_KEY_MAX];

	if (make_key(account, tunnel, key, err) < 0 || make_key(account, true, before, err) < 0)
		return -1;
	/* the port used to be part of each key: such a journal, and the ids made of its key, stay
	 */
	if (!has_journal(account, dir, key) && has_journal(account, dir, before))
		snprintf(key, STATE_KEY_MAX, "%s", before);
	return 0;
}
