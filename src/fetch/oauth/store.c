/* See store.h. In a folder beside the state folder, because the confined
 * process may read that one, and has no business with refresh tokens. The lock is a file of its own
 * there, also for a keyring; it is never removed. */
#include "fetch/oauth/store.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "fetch/journal/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { NAME_MAX_HERE = STATE_NAME_MAX + 16 };

struct grant_store {
	const struct fetch_files *files;
	const struct fetch_account *account;
	int dir, lock;
	char name[NAME_MAX_HERE], temporary[NAME_MAX_HERE + 8];
};

/* The state folder's own name and "-grants"; made if it is missing. */
static int open_folder(struct grant_store *store, int state_dir, struct err *err)
{
	char link[32], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", state_dir);
	n = readlink(link, path, sizeof(path) - sizeof("-grants"));
	if (n <= 1)
		return err_sys(err, EX_OSERR, errno, "cannot find the name of the state folder");
	memcpy(path + n, "-grants", sizeof("-grants"));
	if (store->files->mkdirat(AT_FDCWD, path, 0700) == 0) {
		if (fetch_flush_parent(store->files, path) < 0)
			return err_sys(err, EX_IOERR, errno, "cannot flush the folder of %s", path);
	} else if (errno != EEXIST) {
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", path);
	}
	store->dir = store->files->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (store->dir < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot open %s", path);
	return 0;
}

static int take_lock(struct grant_store *store, struct err *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char name[NAME_MAX_HERE + 8];

	snprintf(name, sizeof(name), "%s.lock", store->name);
	store->lock = store->files->openat(store->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (store->lock < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot open %s", name);
	while (fcntl(store->lock, F_OFD_SETLKW, &whole) < 0)
		if (errno != EINTR)
			return err_sys(err, EX_OSERR, errno, "cannot lock %s", name);
	return 0;
}

int grant_open(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
	       struct grant_store **ret, struct err *err)
{
	struct grant_store *store = calloc(1, sizeof(*store));
	char key[STATE_KEY_MAX], name[STATE_NAME_MAX];

	if (!store)
		return err_sys(err, EX_OSERR, errno, "memory");
	store->files = files;
	store->account = account;
	store->dir = store->lock = -1;
	if (state_key(account, state_dir, key, err) < 0) {
		free(store);
		return -1;
	}
	state_journal_name(account, key, name);
	*strrchr(name, '.') = '\0'; /* ".journal" */
	snprintf(store->name, sizeof(store->name), "%s.grant", name);
	snprintf(store->temporary, sizeof(store->temporary), "%s.new", store->name);
	if (open_folder(store, state_dir, err) < 0 || take_lock(store, err) < 0) {
		grant_close(store);
		return -1;
	}
	*ret = store;
	return 0;
}

void grant_close(struct grant_store *store)
{
	if (!store)
		return;
	close_fd(&store->lock);
	close_fd(&store->dir);
	free(store);
}

/* -1: error; 0: not there. */
static ssize_t read_file(struct grant_store *store, char *text, size_t cap, struct err *err)
{
	int fd = store->files->openat(store->dir, store->name, O_RDONLY | O_NOFOLLOW, 0);
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno, "cannot open %s", store->name);
	if (fstat(fd, &st) < 0 || (st.st_mode & (S_IROTH | S_IWOTH))) {
		close(fd);
		return err_set(err, EX_NOPERM,
			       "everybody on this machine may read these tokens: "
			       "chmod go= %s",
			       store->name);
	}
	n = read(fd, text, cap);
	if (n < 0)
		err_sys(err, EX_IOERR, errno, "cannot read %s", store->name);
	close(fd);
	return n;
}

static int run_status(FILE *pipe, const char *what, struct err *err)
{
	int status = pclose(pipe);

	if (status == 0)
		return 0;
	return err_set(err, EX_UNAVAILABLE, "the %s command failed (%s %d)", what,
		       WIFSIGNALED(status) ? "signal" : "exit status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* A keyring that has nothing prints nothing, whatever its status. */
static ssize_t read_keyring(struct grant_store *store, char *text, size_t cap, struct err *err)
{
	FILE *pipe;
	struct err why = {0};
	size_t n;

	fflush(NULL);
	pipe = popen(store->account->token_lookup, "re");
	if (!pipe)
		return err_sys(err, EX_OSERR, errno, "cannot run the token-lookup command");
	setvbuf(pipe, NULL, _IONBF, 0); /* no copy of the tokens in a buffer */
	n = fread(text, 1, cap, pipe);
	if (run_status(pipe, "token-lookup", &why) < 0 && n) {
		if (err)
			*err = why;
		return -1;
	}
	return (ssize_t)n;
}

int grant_load(struct grant_store *store, struct grant *ret, struct err *err)
{
	bool keyring = store->account->token_lookup[0] != '\0';
	char *text = malloc(GRANT_TEXT_MAX);
	ssize_t n;
	int rc;

	grant_init(ret);
	if (!text)
		return err_sys(err, EX_OSERR, errno, "memory");
	n = keyring ? read_keyring(store, text, GRANT_TEXT_MAX, err)
		    : read_file(store, text, GRANT_TEXT_MAX, err);
	rc = n > 0 ? 1 : (int)n;
	if (n > 0 && grant_read((pop3_span){text, (size_t)n}, ret) < 0)
		rc = err_set(err, EX_DATAERR, "%s holds no tokens, or a part of them: log in again",
			     keyring ? "the keyring" : store->name);
	wipe(text, GRANT_TEXT_MAX);
	free(text);
	return rc;
}

static int write_keyring(struct grant_store *store, const char *text, size_t size, struct err *err)
{
	bool whole;
	FILE *pipe;

	fflush(NULL);
	pipe = popen(store->account->token_store, "we");
	if (!pipe)
		return err_sys(err, EX_OSERR, errno, "cannot run the token-store command");
	setvbuf(pipe, NULL, _IONBF, 0);
	whole = fwrite(text, 1, size, pipe) == size;
	if (run_status(pipe, "token-store", err) < 0)
		return -1;
	return whole ? 0
		     : err_set(err, EX_IOERR, "the token-store command did not read everything");
}

static int write_file(struct grant_store *store, const char *text, size_t size, struct err *err)
{
	const struct fetch_files *files = store->files;
	int fd, rc = -1;

	/* left by a process that was killed; the lock says that nobody writes it */
	files->unlinkat(store->dir, store->temporary, 0);
	fd = files->openat(store->dir, store->temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", store->temporary);
	if (fetch_write_all(files, fd, text, size) == 0 && files->fsync(fd) == 0 &&
	    files->rename(store->dir, store->temporary, store->dir, store->name) == 0 &&
	    files->fsync(store->dir) == 0)
		rc = 0;
	else
		err_sys(err, EX_IOERR, errno, "cannot write %s", store->name);
	files->close(fd);
	return rc;
}

int grant_save(struct grant_store *store, const struct grant *grant, struct err *err)
{
	char *text = malloc(GRANT_TEXT_MAX);
	int n = text ? grant_write(grant, text, GRANT_TEXT_MAX) : -1, rc;

	if (n < 0)
		rc = err_set(err, EX_SOFTWARE, "the tokens are too long");
	else if (store->account->token_store[0])
		rc = write_keyring(store, text, (size_t)n, err);
	else
		rc = write_file(store, text, (size_t)n, err);
	if (text)
		wipe(text, GRANT_TEXT_MAX);
	free(text);
	return rc;
}
