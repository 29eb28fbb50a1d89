/* See text_file.h. */
#include "users/text_file.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	SETTLED_NS = 50000000,
};

bool text_file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int text_file_read(int dir_fd, const char *name, size_t most, char **ret_text, size_t *ret_size,
		   struct stat *ret_st, struct err *err)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st, after;
	size_t used = 0;
	char *text = NULL;
	ssize_t n;

	if (fd < 0)
		return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_NOPERM, errno, "%s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err_set(err, EX_NOINPUT, "%s: not a regular file", name);
		goto fail;
	}
	if ((uint64_t)st.st_size > most) {
		err_set(err, EX_CONFIG, "%s: more than %zu MiB", name, most >> 20);
		goto fail;
	}
	text = malloc((size_t)st.st_size + 1);
	if (!text) {
		err_set(err, EX_OSERR, "out of memory");
		goto fail;
	}
	while (used < (size_t)st.st_size &&
	       (n = pread(fd, text + used, (size_t)st.st_size - used, (off_t)used)) != 0) {
		if (n < 0 && errno != EINTR) {
			err_sys(err, EX_IOERR, errno, "%s", name);
			goto fail;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	if (used != (size_t)st.st_size || fstat(fd, &after) < 0 || !text_file_same(&st, &after)) {
		err_set(err, EX_TEMPFAIL, "%s: changed while it was read", name);
		goto fail;
	}
	close(fd);
	text[used] = '\0';
	*ret_text = text;
	*ret_size = used;
	*ret_st = st;
	return 0;
fail:
	if (text) {
		wipe(text, used);
		free(text);
	}
	close(fd);
	return -1;
}

bool text_file_settled(const struct stat *st)
{
	struct timespec now;
	long long age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - st->st_mtim.tv_sec) * 1000000000ll + now.tv_nsec - st->st_mtim.tv_nsec;
	return age > SETTLED_NS || age < 0;
}
